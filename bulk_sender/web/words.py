"""Every sentence of the page, in English. Templates hold no words, so that another language can follow."""

from __future__ import annotations

import re
from typing import Any

import bulk_sender as bs
from bulk_sender.errors import BulkSenderError
from bulk_sender.text.numbers import duration, number, roughly, several
from bulk_sender.web.settings import DEFAULT_PORT

PROGRAM = "bulk-sender"
SKIP = "Skip to content"
MAIN_MENU = "Main"
RUNS = "Runs"
SETTINGS = "Settings"
READ_ONLY = "Read-only mode. Nothing can be changed on this page."
SIGNED_IN_AS = "signed in as"

# The statuses. The name stays beside the words, so that results.csv and the page use the same one.
NAMES = {
    "unknown": "unknown",
    "failed": "failed",
    "rejected": "rejected",
    "not_sent": "not sent",
    "accepted": "accepted",
    "duplicate": "duplicate",
}
OUTCOMES = NAMES | {
    "not_sent": "nothing was sent",
    "split": "refused, and sent again in two halves",
}
"""What happened to one request."""
DECISIONS = NAMES | {"resend": "send again"}
MEANINGS = {
    "unknown": "sent or not",
    "failed": "refused by Braze",
    "rejected": "row is wrong",
    "not_sent": "not sent yet",
    "accepted": "accepted by Braze",
    "duplicate": "left out",
}
SENTENCES = {
    "unknown": "Braze may or may not have accepted this row. The request left, but no complete answer arrived.",
    "failed": "Braze refused this row, and documents that nothing was sent.",
    "rejected": "This row is invalid and was not sent.",
    "not_sent": "This row was not sent yet.",
    "accepted": "Braze accepted this row. That does not prove that a message reached the person.",
    "duplicate": "An earlier row has the same identifier, or the person was left out.",
}

# Home.
LEAD = "Runs that need attention come first."
ATTENTION = "Needs attention"
RUNNING = "In progress"
ENDED = "Finished"
RUN = "Run"
TARGET = "Sent to"
ROWS = "Rows"
ACCEPTED = "Accepted"
WAITS_FOR = "Waiting for"
PROGRESS = "Progress"
ENDED_AT = "Ended"
OUTCOME = "Outcome"
REHEARSAL = "rehearsal"
BROADCAST = "broadcast"
ALL_ACCEPTED = "all accepted"
NO_ROWS = "no rows"
NO_RUNS = "No runs yet"
NO_RUNS_HINT = "Begin with a file. Runs that were started in a terminal appear here, too."
NOTHING_FOUND = "No finished run fits this search."
FIND = "Find"
FIND_RUN_HINT = "run, file or campaign"
SHOW = "Show"
SHOWN = {"all": "all runs", "real": "real sends", "rehearsals": "rehearsals"}
SEARCH = "Search"
SHOW_ALL = "Show all"
OLDER = "Older runs"
NEWER = "Newer runs"
FOLDER_GONE = "the run's folder is gone; only these figures are left"
DATA_REMOVED = "personal data was removed"

# Result.
REAL = "Real recipients"
NOBODY = "Rehearsal"
NOBODY_HINT = "sent to the simulated Braze; nobody gets a message"
COUNTS = "What happened to the rows"
DOWNLOAD_RESULTS = "Download results"
REPORT = "Open the report"
WRITE_REPORT = "Write the report"
LOOK_AGAIN = "Refresh"
WHY = "Why"
REASONS = "Reasons"
REASON = "Reason"
EXAMPLE = "Example"
NEXT_STEPS = "What to do in a terminal"
ALL_ROWS = "All rows"
STATUS = "Status"
FIND_ROW = "Find a person"
FIND_ROW_HINT = "row number or the whole identifier"
ROW = "Row"
WHO = "Who"
NOBODY_NAMED = "none"
NO_ROWS_HERE = "No rows here."
FIRST_ROWS = "First rows"
NEXT_ROWS = "Next rows"
FILES = "Files"
FILE_WORDS = {
    "results": "Every row with its status. It holds personal data.",
    "rejected": "The rows that were not sent, as they were in your file, and why. Fix them and send this file.",
    "rejected_xlsx": "The same rows as a workbook.",
    "summary": "The counts and facts of the run, for programs.",
}
FORMULAS = (
    "Cells are kept exactly as they were in your file. A spreadsheet may run a cell that begins with = as a formula."
)
FACTS = "About this run"
STARTED = "Started"
TOOK = "Duration"
INPUT = "File"
REQUESTS = "Requests"
CAMPAIGN = {"campaign": "Campaign", "canvas": "Canvas"}
DISPATCH = "dispatch_id"
STATE = "State"
STATES = {"running": "in progress", "finished": "finished", "stopped": "stopped", "interrupted": "interrupted"}

# Live, and the first rows.
WATCH_LIVE = "Watch it live"
WHOLE_RESULT = "Rows and reasons so far"
PAUSE = "Pause"
PAUSE_HINT = "Pause lets requests in flight finish. One button resumes the run."
STOP = "Stop…"
STOP_HINT = "Requests in flight finish first, and nothing more is sent. You can resume the run later."
KEEP_SENDING = "Do not stop it"
STOP_NOW = "Stop the run"
STOPPING_HINT = "Requests in flight finish first. What is not sent yet stays unsent."
ELSEWHERE = "This run was not started on this page. Stop it where it was started."
CLOSE_HINT = "You may close this page. The run does not need it."
REFUSED = "Nothing was sent."
NOT_RESUMED = "The run was not resumed"
LOOK_FIRST = "Look at the message now, on a phone, before you send the rest."
SEE_FIRST_ROWS = "See the rows that were accepted"
TYPE_COUNT = "Type the number of recipients that follow"
TYPE_NAME = "Type the name of the run"
UNCOUNTED = "The file was not read to its end, so nobody knows yet how many recipients follow."
STOP_HERE = "Stop here"
STOP_HERE_HINT = "After “Stop here” nothing more is sent. What was sent cannot be undone."
MAY_NOT_APPROVE = "A person who may approve has to answer."
WRONG_ANSWER = "That was not sent: what you typed does not fit"
WRONG_ANSWER_HINT = "Look at the number again. Type it with or without separators."
NOT_REACHED = "The process of this run did not answer"
NOT_REACHED_HINT = "It may be busy or may just have ended. Refresh the page, then try again."
WAITING_ON = {
    "rate_limit": "Braze asks to wait: its rate limit is reached. The run continues by itself. No row is lost.",
    "hours": "The run waits for its sending hours. It continues by itself.",
    "connection": "There is no connection to Braze. The run continues by itself when there is one.",
    "errors": "Braze answers with errors. The run waits, then tries again by itself. No row is lost.",
}
ANOTHER_PERSON = "Another person has to answer"
ANOTHER_PERSON_HINT = "You prepared this send, and it is too large for one person to approve. You may stop it."
TROUBLES = {
    "typed": (WRONG_ANSWER, WRONG_ANSWER_HINT),
    "silent": (NOT_REACHED, NOT_REACHED_HINT),
    "second": (ANOTHER_PERSON, ANOTHER_PERSON_HINT),
}
STEPS = {"hashing": "Reading the file", "counting": "Checking the rows"}

# Personal data on Result and Explain.
SHOW_PERSONAL = "Show personal data"
SHOW_REASON = "Why do you need to see it?"
SHOW_REASON_HINT = "your name and this reason are recorded"
NO_REASON = "Nothing was shown. Write a reason of at least three characters first."
PERSONAL_SHOWN = "Personal data is shown on this page once. Your name and your reason were recorded."

# Explain.
BACK_TO_RUN = "Back to the run"
PREVIOUS_ROW = "Previous row"
NEXT_ROW = "Next row"
MASKED = "Personal data is masked. The results file has all of it."
WHAT_WAS_SENT = "What was sent"
WHAT_WOULD_BE_SENT = "What would be sent"
NOTHING_TO_SEND = "Nothing was made of this row, so there is nothing to send."
ATTEMPTS = "What happened"
NO_ATTEMPTS = "No request was made for this row."
WHERE = "Where it is"
IDENTIFIERS = {
    "external_user_id": "external ID",
    "email": "e-mail address",
    "user_alias": "user alias",
    "braze_id": "Braze ID",
}
REACHED = (
    "Nothing was sent.",
    "Connected, but nothing was sent.",
    "Part of the request was sent.",
    "The whole request was sent.",
    "Part of an answer arrived.",
    "An answer arrived.",
)
NO_OUTCOME = "No outcome was recorded: the process ended, or it is still sending."
MESSAGE = "Braze's message"
LIKELY = {"accepted": "Likely accepted.", "not_accepted": "Likely not accepted."}

# New send: the file.
NEW_SEND = "New send"
STAGES_LABEL = "Steps"
STAGES = ("File", "Columns", "Check", "Review", "First rows", "Send")
WHICH_FILE = "Which file?"
FILE = "File"
SIZE = "Size"
CHANGED = "Changed"
DELETE = "Delete"
UPLOAD = "Upload the file"
DROP_A_FILE = "You can also drop a file here."
UPLOADING = "Upload"
PAUSE_UPLOAD = "Pause the upload"
RESUME_UPLOAD = "Resume the upload"
CANCEL_UPLOAD = "Cancel and delete it"
UPLOAD_PAUSED = "Paused. What was uploaded is kept for 24 hours."
UPLOAD_WAITS = "Waiting for the server. The upload resumes by itself."
UPLOAD_BEGINS = "{done} of {size}"
UPLOAD_SENDS = UPLOAD_BEGINS + " · {speed} · about {left} s left"
UPLOAD_TOO_LARGE = "This file is too large. Compress it, or send it from the command line."
UPLOAD_MAY_CLOSE = "You may close this page. Choose the same file again within 24 hours, and the upload resumes."
FILES_HERE = "Files you began with"
SERVER_FILES = "Or a file on this server"
SERVER_FOLDERS = "The operator of this page allows files from:"
NO_SERVER_FILES = "There is no file in the folders that may be used."
USE_FILE = "Use this file"

# New send: the columns.
WHICH_COLUMNS = "What is each column?"
COLUMN = "Column and first cells"
GOES_OUT_AS = "Goes out as"
IS_READ_AS = "Read as"
USES = {
    "": "Not sent",
    "external_user_id": "Who: external ID",
    "email": "Who: e-mail address",
    "braze_id": "Who: Braze ID",
    "user_alias.alias_name": "Who: alias name",
    "user_alias.alias_label": "Who: alias label",
    "send_to_existing_only": "Only to existing profiles",
    "trigger_properties": "Message property",
    "attributes": "Profile attribute",
}
TYPES = {
    "": "as in the file",
    "string": "text",
    "integer": "whole number",
    "float": "decimal number",
    "boolean": "yes or no",
    "date": "date",
    "datetime": "date and time",
    "json": "JSON",
    "list": "list",
}
STORED_IN_BRAZE = "Stored permanently in the profile in Braze."
READ_DIFFERENTLY = "Read it differently"
READ_AGAIN = "Read it again"
DELIMITER = "Separator"
DELIMITERS = {"": "detected", ";": "semicolon", ",": "comma", "tab": "tab", "|": "vertical bar"}
READINGS = {
    "encoding": "Encoding, such as cp1252",
    "header_row": "Line with the names of the columns",
    "sheet": "Sheet",
    "null_values": "Texts that mean empty, separated by |",
    "timezone": "Time zone, such as Europe/Paris",
}
DECIMAL = "Decimal sign"
DECIMALS = {"": "detected", ".": "point", ",": "comma"}
FILTER = "Send only to rows that fit:"
ALIAS_LABEL = "Label of all aliases, if no column has it"
WHAT_BRAZE_GETS = "What Braze gets"
SHOW_RECIPIENT = "Save and show this row"
CHECK_ALL = "Check all rows"
GUESS_AGAIN = "Guess again"
BACK_TO_FILE = "Back to the file"
NOBODY_CHOSEN = "No column says who gets the message. Choose one that goes out as external ID, e-mail address or alias."
ALIAS_IN_TWO_PARTS = "An alias has a name and a label. Choose a column for both, or write the label below the table."

# New send: the check.
CHECK_TITLE = "Check all rows"
CHECKING = "Checking all rows"
CHECK_CONTINUES = "You may close this page. The check continues, and its result stays here."
CHECK_ENDED = "The check ended with the page's server. Start it again."
STOP_CHECK = "Stop the check"
WRONG_ROWS = "They are never sent. The others can be sent without them."
LOOK_ONCE = "Look at this once"
BACK_TO_COLUMNS = "Back to the columns"
BACK_TO_CHECK = "Back to the check"

REHEARSE_FIRST = "Rehearse first"
REHEARSE = "Rehearse"
REHEARSAL_HINT = (
    "The same requests, sent to a simulated Braze on this machine. Nobody gets a message, and no key is used."
)
WHAT_DAY = "How does Braze behave?"
DAYS = {
    "calm": ("Well", "Every request is answered at once."),
    "slow": ("Slowly", "Answers take up to a second and a half."),
    "throttled": ("It asks you to wait", "Now and then it allows fewer requests. The run waits and continues."),
    "lost-answers": ("Some answers are lost", "Some rows end unknown. Practice how to decide about them."),
    "outage": ("It cannot be reached for a while", "The run may stop. Practice how to resume it."),
    "storm": ("All of that at once", "The worst day that a run should survive."),
}
"""Weather of the simulated Braze → what it is like, and what that is good for."""
FIRST_ROWS_LABEL = "First send this many rows, then ask"
FIRST_ROWS_HINT = "Leave it empty to send all rows without a question."
START_REHEARSAL = "Start the rehearsal"
REHEARSALS = "Rehearsals of this file"

# Settings.
VERSION = "Version"
RUNS_FOLDER = "Runs folder"
ADDRESS = "Address"
MODE = "Mode"
MODES = {True: "read-only: nothing can be changed", False: "runs can be stopped, resumed and approved here"}
PERSON = "You"
KEY = "API key"
KEY_HINT = (
    "This page does not read the API key. A run reads it from the file of its workspace, "
    "or else from the one that BRAZE_API_KEY_FILE names."
)
SIGN_OUT = "Sign out"
SIGN_OUT_HINT = "Your session ends after 12 hours. This ends it now, in this browser."
CHANGE_HINT = "To change any of this, start the page again with other options:"
CHANGE_COMMAND = "bulk-sender web --help"

# Signing in.
SIGNED_IN = "You are signed in"
CONTINUE = "Continue to the runs"

BACK_TO_IT = "Back to it"
DISK_IS_FULL = "the disk of the server is full"
DISK_IS_FULL_HINT = "free some space there, and do the same again"
ERRORS = {
    "host": (
        "This address is not served",
        "Open the page under the address that bulk-sender web printed. Its host and port must be the same.",
    ),
    "elsewhere": (
        "This request came from elsewhere",
        "Nothing was changed. Open this page in your browser, and press the button there.",
    ),
    "session": (
        "Sign in first",
        "You need a sign-in link. Each works once, within an hour, and a session ends after 12 hours. "
        "Print a new link in the terminal where the page runs:",
    ),
    "proxy": ("Sign in first", "This page is reached through a proxy that signs people in."),
    "read_only": (
        "This page is read-only",
        "Nothing was changed. The page was started with --read-only.",
    ),
    "role": ("You may not do this", "Nothing was changed. Ask the person who runs this page for the right to do it."),
    "missing": ("There is nothing here", "Check the address, or look for the run in the list of all runs."),
    "method": ("That does not work here", "Nothing was changed. Go back to the list of all runs and try from there."),
    "trouble": ("This did not work", "Nothing was changed."),
    "bug": (
        "Something went wrong in this page",
        "Runs are not affected. The log of bulk-sender web says more; please report it.",
    ),
}
"""Reason → heading, next step."""
API_HINTS = {
    "host": "send the Host that the administrator of this page has set",
    "elsewhere": "send a token: Authorization: Bearer TOKEN",
    "session": "send a token that has not ended: bulk-sender web token NAME makes one",
    "read_only": "the page was started with --read-only",
    "role": "use a token with another role; what decides about rows is not in the API",
}
"""Reason → next step, for a program."""

_FOLDERS = re.compile(r"/[^\s'\"]*/uploads/[^\s/]+/(?:input/|tests/[^\s/]+/)?")


def size_of(count: float) -> str:
    """Return a number of bytes as people write it."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.1f} {unit}" if unit != "B" and count < 10 else f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def kinds_of_files(most: int) -> str:
    return (
        "CSV, Excel, Parquet, Arrow or NDJSON; text files may be compressed (.gz, .zst, .bz2, .zip). "
        f"Up to {size_of(most)}. The file stays on this server, and is deleted after 24 hours without use."
    )


def without_script(most: int) -> str:
    return f"Your browser runs no script here, so the file may have at most {size_of(most)}."


def delete_file(name: str) -> str:
    return f"{DELETE}: {name}"


def use_file(name: str) -> str:
    return f"{USE_FILE}: {name}"


def two_columns(first: str, second: str, use: str, name: str) -> str:
    told = f"{USES[use]} {name}" if use in ("trigger_properties", "attributes") else USES[use]
    return f"Two columns go out as one field ({told}): {first} and {second}. Choose one of them."


def problems_here(count: int) -> str:
    return "This does not fit yet:" if count == 1 else f"{count} things do not fit yet:"


def read_as(name: str, found: bs.Columns) -> str:
    """Return how a file is read, and what of that is a guess."""
    told = [name, several(len(found.columns), "column")]
    told.append(several(found.rows, "row") if found.rows is not None else f"the first {found.sampled:,} rows shown")
    if found.encoding is not None:
        told.append(f"{'probably ' if found.encoding.is_guess else ''}{found.encoding.value}")
    if found.delimiter is not None:
        sign = {"\t": "tabs"}.get(found.delimiter.value, found.delimiter.value)
        told.append(f"separated by {sign}")
    if found.sheet is not None:
        told.append(f"sheet {found.sheet.value}")
    return " · ".join(told)


def like(run: str) -> str:
    return f"The columns are chosen as in {run}, whose file had nearly the same ones. Look at each of them."


def samples(values: tuple[str, ...]) -> str:
    return " · ".join(values[:3]) or "no value"


def empty_cells(column: bs.Column) -> str:
    first = f" (row {column.empty_cells[0].row:,})" if column.empty_cells else ""
    return f"{several(column.empty, 'cell is', 'cells are')} empty{first}"


SHAPES = "You may not see personal data, so cells are shown by their form: x is a letter, 9 is a digit."


def misfits(column: bs.Column) -> str:
    first = column.misfit_cells[0]
    count = several(column.misfits, "cell is", "cells are")
    return f"{count} not {column.expected}: “{first.value}” (row {first.row:,})"


def goes_out_as(column: str) -> str:
    return f"{column}: {GOES_OUT_AS}"


def is_read_as(column: str) -> str:
    return f"{column}: {IS_READ_AS}"


def name_of(column: str) -> str:
    return f"{column}: name in the message"


def format_of(column: str) -> str:
    return f"{column}: how dates are written"


def recipient_of(row: int) -> str:
    return f"This is row {row:,}, exactly as it would be sent. Zeros at the start of a text stay."


def first_rows(report: Any) -> str:
    counts = f"{report.valid:,} could be sent, {report.rejected:,} are wrong, {report.duplicate:,} are duplicates"
    return f"Of the first {several(report.rows, 'row')}: {counts}."


def check_title(report: Any) -> str:
    return f"{report['valid']:,} of {several(report['rows'], 'row')} could be sent"


def rehearse_title(count: int) -> str:
    return f"Rehearse with {several(count, 'recipient')}"


def rows_checked(count: int) -> str:
    return f"{several(count, 'row')} checked so far"


def could_go(count: int) -> str:
    return several(count, "recipient")


def are_wrong(count: int) -> str:
    return f"{count:,} wrong"


def are_left_out(count: int) -> str:
    return f"{count:,} left out as duplicates"


def do_not_fit(count: int) -> str:
    return f"{several(count, 'more row does', 'more rows do')} not fit the filter"


def requests(report: Any) -> str:
    return several(report["requests"], "request")


def rows_are_wrong(count: int) -> str:
    return several(count, "row is wrong", "rows are wrong")


def download_wrong(count: int) -> str:
    return f"Download {several(count, 'wrong row')} (CSV)"


DRAFT_STATES = {
    "uploaded": "uploaded; the columns come next",
    "mapped": "columns chosen, not checked yet",
    "checking": "being checked",
    "checked": "checked",
    "asked": "waits for an approval",
    "approved": "approved",
    "launched": "sent",
}


def draft_state(draft: Any, offset: int) -> str:
    """Return where a prepared send is; of an upload that is not whole, how to resume it."""
    if draft.step != "uploading":
        return DRAFT_STATES[draft.step]
    return f"{size_of(offset)} uploaded; choose the same file again to resume"


def link_command(port: int) -> str:
    return "bulk-sender web --link" + ("" if port == DEFAULT_PORT else f" --port {port}")


def proxy_must_say(header: str) -> tuple[str, str]:
    """Return heading and next step when the proxy did not name one person."""
    step = (
        "Open this page under the address that your team uses. Its proxy signs you in. If you came through it, "
        f"the proxy must send the header {header} with one name, from an address that [team] believe names."
    )
    return ERRORS["proxy"][0], step


def headline(run: Any) -> str:
    """Return the state of a run in one sentence."""
    if run.broadcast is not None:
        return f"The broadcast is {NAMES[run.broadcast.status]}"
    if run.held is not None:
        return f"The first {several(run.held.rows, 'row')} were sent; the rest wait for an answer"
    if run.state == "running":
        return f"In progress: {run.accepted:,} of {run.rows:,} rows accepted so far"
    if run.open_rows == run.not_sent > 0:
        verb = "was" if run.not_sent == 1 else "were"
        return f"The run stopped early: {run.not_sent:,} of {run.rows:,} rows {verb} not sent"
    if run.open_rows:
        verb = "needs" if run.open_rows == 1 else "need"
        are = "is" if run.accepted == 1 else "are"
        return f"{run.open_rows:,} of {run.rows:,} rows {verb} your attention; {run.accepted:,} {are} accepted"
    if not run.rows:
        return "The run has no rows"
    if run.accepted == run.rows:
        return f"All {several(run.rows, 'row')} accepted" if run.rows > 1 else "The one row is accepted"
    return f"{run.accepted:,} of {run.rows:,} rows accepted; {others(run)}"


def live_headline(name: str, state: str, moment: Any) -> str:
    """Return what a run does now, in one sentence."""
    if state == "held":
        rest = f"the other {moment.to_send:,}" if moment.to_send is not None else "the rest"
        first = f"The first {several(moment.held_after, 'row')}" if moment.held_after else "The first rows"
        verb = "was" if moment.held_after == 1 else "were"
        return f"{first} {verb} sent. Send {rest}?"
    said = {
        "queued": "waits for its turn",
        "preparing": "is getting ready",
        "sending": "is being sent",
        "ending": "is stopping",
        "refused": "did not start",
    }
    return f"{name} {said[state]}"


def live_sentence(moment: Any, state: str) -> str:
    """Return how far a run is."""
    if state == "queued":
        return "Other runs are being sent. It starts by itself when one of them ends."
    if moment.step and not moment.rows:
        if moment.step == "hashing" and moment.total:
            return f"{STEPS['hashing']}: {100 * moment.done // moment.total} %"
        return f"{STEPS[moment.step]}: {several(moment.done, 'row')} so far"
    if not moment.rows:
        return "Nothing was sent yet."
    told = [f"{moment.rows - moment.not_sent:,} of {several(moment.rows, 'row')} done"]
    if state == "sending" and moment.rate:
        told.append(f"up to {number(moment.rate)} {'request' if moment.rate == 1 else 'requests'} a second")
    if state == "sending" and moment.seconds_left is not None:
        told.append(f"about {roughly(moment.seconds_left)} left")
    return " · ".join(told)


def live_note(moment: Any) -> str:
    """Return what a run waits for; empty if it does not wait."""
    if not moment.waiting_s or not moment.waiting_on:
        return ""
    return WAITING_ON.get(moment.waiting_on, "")


def send_the_rest(moment: Any) -> str:
    return f"Send the other {moment.to_send:,}" if moment.to_send is not None else "Send the rest"


def resume(run: Any) -> str:
    """Return the words of the button that resumes a stopped run."""
    if run.held is not None:
        return "Resume: ask again about the rest"
    if run.later_rows_unread:
        return "Resume and send the rest"
    return f"Resume and send the {several(run.not_sent, 'unsent row')}"


def others(run: Any) -> str:
    """Return the counts of all statuses but ``accepted`` that have rows."""
    found = [(NAMES[status], getattr(run, status)) for status in NAMES if status != "accepted"]
    return ", ".join(f"{count:,} {name}" for name, count in found if count)


def outcome(run: Any) -> str:
    """Return what the list says of a run that has ended."""
    if run.is_gone:
        return FOLDER_GONE
    told = NAMES[run.broadcast.status] if run.broadcast is not None else others(run)
    told = told or (ALL_ACCEPTED if run.rows else NO_ROWS)
    if run.state in ("stopped", "interrupted"):
        told = f"{STATES[run.state]}; {told}"
    return f"{told}; {DATA_REMOVED}" if run.pruned_at else told


def waits_for(run: Any) -> list[tuple[str, str]]:
    """Return what a run needs people for: (status, words), the most urgent first."""
    if run.broadcast is not None:
        return [(run.broadcast.status, f"the broadcast is {NAMES[run.broadcast.status]}")]
    if run.held is not None:
        return [("not_sent", f"an answer: the first {several(run.held.rows, 'row')} were sent")]
    to_fix = run.rejected - run.sent_again
    found = [
        ("unknown", run.unknown, several(run.unknown, "row is unknown", "rows are unknown")),
        ("failed", run.failed, several(run.failed, "row was refused by Braze", "rows were refused by Braze")),
        ("rejected", to_fix, several(to_fix, "row is wrong", "rows are wrong")),
        ("not_sent", run.not_sent, several(run.not_sent, "row was not sent", "rows were not sent")),
    ]
    told = [(status, text) for status, count, text in found if count > 0]
    return told or [("not_sent", f"the run was {STATES[run.state]} before its end")]


def progress(run: Any) -> str:
    """Return how far a run in progress is."""
    return f"{run.rows - run.not_sent:,} of {run.rows:,} rows done"


def section(name: str, count: int) -> str:
    return f"{name} ({count:,})"


def shown_rows(rows: bs.RowsPage, after: int, total: int | None) -> str:
    """Return which rows of a list are shown."""
    count = len(rows.rows)
    of = f"{count:,} of {several(total, 'row')}" if total is not None and total != count else several(count, "row")
    if after:
        return f"{of}, after row {after:,}"
    return f"the first {of}" if rows.next_after else of


def more_reasons(count: int) -> str:
    return f"{several(count, 'more reason')} with fewer rows. The report has them."


def example(row: int, text: str) -> str:
    return f"row {row:,}: {text}" if text else f"row {row:,}"


def row_title(row: int) -> str:
    return f"Row {row:,}"


def explained_title(row: int, status: str) -> str:
    return f"Row {row:,}: {NAMES[status]}"


def run_kicker(run: Any, when: str) -> str:
    return " · ".join(part for part in (run.run_id, f"{STATES[run.state]} {when}".strip()) if part)


def target(run: Any) -> str:
    return CAMPAIGN[run.kind]


def files_of(names: list[str]) -> str:
    return f"{names[0]} and {len(names) - 1} more" if len(names) > 1 else "".join(names)


def place(facts: dict[str, Any], file: str) -> str:
    """Return where a person finds a row in their file."""
    if facts.get("source_line") is None:
        return f"{file}, row {facts['source_row']:,} of the data"
    unit = "row" if file.lower().endswith((".xlsx", ".xlsm", ".xls", ".xlsb", ".ods")) else "line"
    return f"{file}, {unit} {facts['source_line']:,}"


def batch(each: dict[str, Any]) -> str:
    part = f", a part of batch {each['parent']:,}" if each["parent"] else ""
    return f"Batch {each['id']:,} with {several(each['size'], 'recipient')}{part}"


def request_outcome(status: str | None) -> str:
    found = status or "unknown"
    return OUTCOMES.get(found, found.replace("_", " "))


def attempt(number: int) -> str:
    return f"Request {number}"


def answer(each: dict[str, Any]) -> str:
    """Return what came back for a request."""
    if each["status"] is None:
        return NO_OUTCOME
    if each["code"] == "process_ended":
        return "The process ended before an answer."
    took = duration(each["elapsed_s"]) if each["elapsed_s"] is not None else ""
    if each["http_status"]:
        return f"Braze answered HTTP {each['http_status']}" + (f" after {took}." if took else ".")
    return f"No answer after {took}. {REACHED[each['reach'] or 0]}"


def decision(each: dict[str, Any]) -> str:
    why = f": {each['why']}" if each["why"] else ""
    return f"{each['user']} decided: {DECISIONS.get(each['status'], each['status'])}{why}"


def zone(name: str) -> str:
    return f"Times are in {name}."


def sentence(text: str) -> str:
    """Return a message as it begins a paragraph."""
    return text[:1].upper() + text[1:]


def without_folders(text: str) -> str:
    """Return a message without the folders of uploads: paths of the server are nobody's business."""
    return _FOLDERS.sub("", text)


def trouble(error: BulkSenderError) -> tuple[str, str]:
    """Return heading and next step for an expected error."""
    step = sentence(without_folders(error.hint))
    return sentence(without_folders(str(error))), f"{step}." if step[-1:].isalnum() else step
