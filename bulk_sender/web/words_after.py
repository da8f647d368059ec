"""Sentences of the pages about what happens after a run: fixing rows, and deciding about them."""

from __future__ import annotations

from typing import Any

from bulk_sender.text.numbers import several

DOWNLOAD_WORKBOOK = "As an Excel file"
TOO_LARGE_FOR_A_WORKBOOK = (
    "This run has too many rows for a workbook",
    "A sheet holds at most 1,048,575 rows. Download the results as they are.",
)

STARTED_BY = "Started by"
COMMANDS = {"send": "sent", "resume": "resumed", "retry": "sent again", "broadcast": "sent", "test": "tested"}


def start(each: Any) -> str:
    return f"{each.by or 'somebody'} ({COMMANDS.get(each.command, each.command)})"


# Home.
WAITING = "Waiting for a turn"
FIND_PERSON = "Find a person in all runs"
FIND_PERSON_HINT = "the whole identifier"
NOT_IN_ANY_RUN = "No run has this identifier."
SENT_AT = "Sent"


def disk_is_full(share: float) -> str:
    return f"The disk with the runs is almost full: {100 * share:.0f} % is free. Make room before the next run."


def people_title(count: int) -> str:
    return f"Found in {several(count, 'row')}"


def searched(found: Any) -> str:
    return f"{several(found.runs, 'run')} searched."


def unread(names: Any) -> str:
    return f"{several(len(names), 'run')} could not be searched: {', '.join(list(names)[:5])}"


def steps(run: Any) -> list[tuple[str, str]]:
    """Return what a person can do on the page about rows with a problem: (place, words), the most urgent first."""
    if run.broadcast is not None or run.state == "running" or run.is_gone or run.pruned_at:
        return []
    found = [
        ("decide", run.unknown, f"Decide about {several(run.unknown, 'row')}"),
        ("decide#failed", run.failed, send_refused(run.failed)),
        ("fix", run.rejected - run.sent_again, fix_rows(run.rejected - run.sent_again)),
    ]
    return [(place, text) for place, count, text in found if count > 0]


def steps_of_a_list(run: Any) -> list[tuple[str, str]]:
    """Return the same for a list of runs, one for each page."""
    found = {place.partition("#")[0]: (place, text) for place, text in reversed(steps(run))}
    return list(reversed(found.values()))


# Fixing rows.
FIX_HERE = "Change the cells that are wrong. Only the rows on this page are sent then. The name of their run"
FIX_STAYS = "The run and its file stay as they are. What you change is kept with your name."
FIX_BEFORE = "Change the cells that are wrong. The fixed rows then go out together with the rest, in one send."
FIX_STAYS_BEFORE = "A new file is made for this send. Your own file stays as it is."
ALL_LEFT_OUT_BEFORE = "These rows are left out. The others can be sent without them."
FIX_ROW = "Row"
FIX_WHOLE_ROW = "The row"
LEAVE_OUT = "Leave out"
BRING_BACK = "Bring back"
LEFT_OUT = "left out"
OTHER_CELLS = "Other cells"
SAVE_FIXES = "Save and check again"
DOWNLOAD_CSV = "Download as CSV"
UPLOAD_FIXED = "Upload a fixed file"
UPLOAD_FIXED_HINT = "Keep its last three columns: they say which run the rows are from."
UPLOAD_LARGER = "A larger file: choose it under New send. The page sees which run it is from."
ALIKE = "The same in many rows"
ALIKE_WHICH = "All wrong cells like"
ALIKE_PUT = "New text"
ALIKE_DO = "Do it in all rows alike"
ALIKE_LEAVE = "Leave these rows out"
EMPTY_CELL = "(empty)"
STILL_WRONG = "Some rows are still wrong"
NOTHING_WRONG = "No row is wrong."
ALL_LEFT_OUT = "All rows are left out, so there is nothing to send."
READY = "All of these rows can be sent."
OPEN_FIXED = "Open what is prepared"
OF_A_REHEARSAL = (
    "These rows are from a rehearsal, which reached nobody. The fixed rows alone would go out. To send the whole "
    "file, fix it and upload it again."
)
FIX_TROUBLES = {
    "changed": (
        "Somebody changed these rows meanwhile",
        "What you typed last was not kept. Look at the rows again.",
    ),
    "nothing": (ALL_LEFT_OUT, "Bring a row back first."),
    "wrong": (STILL_WRONG, "Nothing was sent. Fix these cells, or leave the rows out."),
}


def fix_title(count: int) -> str:
    return f"Fix {several(count, 'row')}"


def fix_rows(count: int) -> str:
    return f"Fix {several(count, 'row')}"


def check_and_send(count: int) -> str:
    return f"Check and send {several(count, 'row')}…"


def fix_and_check(count: int) -> str:
    return f"Put {several(count, 'row')} into the send and check again"


def fix_wrong(count: int) -> str:
    return f"Fix the {several(count, 'wrong row')}"


def still_wrong(count: int) -> str:
    return several(count, "row is still wrong", "rows are still wrong")


def ready(trial: Any) -> str:
    """Return what would happen to rows that are right."""
    if not trial.duplicates:
        return READY
    left = several(trial.duplicates, "row", "rows")
    return (
        f"{several(trial.ready, 'row')} can be sent. {left} would be left out: these people already have the message, "
        "or may have it, or are in an earlier row."
    )


def cell_label(row: int, column: str) -> str:
    return f"Row {row:,}, {column}"


def fault(row: int, column: str, error: str) -> str:
    return f"Row {row:,}, {column}: {error}" if column else f"Row {row:,}: {error}"


def leave_out(row: int) -> str:
    return f"{LEAVE_OUT}: row {row:,}"


def bring_back(row: int) -> str:
    return f"{BRING_BACK}: row {row:,}"


def other_cells(row: int) -> str:
    return f"{OTHER_CELLS} of row {row:,}"


def alike_option(each: Any) -> str:
    return f"{each.column}: {each.text[:60] or EMPTY_CELL} ({several(each.rows, 'row')})"


def too_many(count: int, most: int) -> str:
    return (
        f"{count:,} rows are wrong. Up to {most:,} can be fixed on this page. Download the file, fix it in a "
        "spreadsheet, and upload it here."
    )


def prepared_as(name: str, who: str) -> str:
    return f"{who or 'Somebody'} prepared these rows already, as {name}."


def sent_again(count: int) -> str:
    return f"{several(count, 'row')} went out again in a later run. People who were accepted there are left out."


def fixed_told(rows: int, cells: int) -> str:
    return f"{several(rows, 'row')}, {several(cells, 'changed cell')}"


# Deciding.
ASK_BRAZE = "Ask Braze"
ASK_AGAIN = "Ask Braze again"
ASK_HINT = "Braze is asked about each of these people. Nothing is sent and nothing is recorded yet."
ASK_REHEARSAL = "This was a rehearsal, so the simulated Braze is asked."
NO_KEY = (
    "This page has no key for the address of this run, so it can neither ask Braze nor send. The person who runs this "
    "page has to add a workspace with that address."
)
BEING_SENT = "This run is being sent. Decide after it has ended."
NOTHING_IN_DOUBT = "No row of this run is in doubt, and Braze refused none."
MAY_NOT_DECIDE = "A person who may approve has to decide."
BRAZE_SAYS = "What Braze says"
FOLLOWS = "What follows"
REQUESTS = "Requests"
SEEN = {
    "proved": "received",
    "likely": "one person seen",
    "nothing": "nothing seen",
    "fresh": "too recent",
}
FOLLOWING = {
    "proved": "Proved: Braze accepts a request as a whole, and at least two people of each received the message.",
    "likely": "Likely, but not proved: a receipt may come from another profile with the same address.",
    "nothing": "This proves nothing. They stay in doubt.",
    "fresh": "Ask again ten minutes after the request.",
}
DECIDE_REST = "Your decision"
HAPPENED = "What happened to them"
WHICH_ROWS = "About which rows"
THESE_ROWS = "these rows, written below"
ROWS_HINT = "whole requests, such as 508-557,1007"
ROW_NUMBERS = "Row numbers"
WHY_DECIDED = "Why"
WHY_HINT = "kept with your name, and never changed"
TYPE_ROWS = "To send again, type the number of rows"
RECORD = "Record this decision"
SEE_ROWS = "See these rows"
REFUSED_ROWS = "Refused by Braze"
REFUSED_HINT = "Nothing was sent to these people. Read the errors and fix their cause first."
REFUSED_ERRORS = "See the errors"
DECIDE_TROUBLES = {
    "running": ("This run is being sent", "Nothing was recorded. Wait until it has ended."),
    "changed": (
        "This changed meanwhile",
        "Nothing more was recorded. Somebody may have decided already. Look at the numbers again.",
    ),
    "why": ("Say why", "Nothing was recorded. Write a reason: it is kept with your name."),
    "rows": ("Say which rows", "Nothing was recorded. Write their numbers, such as 508-557."),
    "typed": ("The number does not fit", "Nothing was sent. Type the number of rows that would go out again."),
    "key": ("There is no key for this run", "Nothing was sent."),
}


def decide_title(run: Any) -> str:
    if run.unknown:
        return f"{several(run.unknown, 'person', 'people')} may or may not have the message"
    if run.failed:
        return f"Braze refused {several(run.failed, 'row')}"
    return NOTHING_IN_DOUBT


def in_doubt(run: Any, requests: int) -> str:
    left = several(requests, "request")
    return f"No complete answer came to {left}. These rows are not sent again until somebody decides."


def asking(question: Any) -> str:
    """Return how far a question to Braze is."""
    left = question.answer.left if question.answer is not None else None
    return f"Asking Braze. {several(left, 'person', 'people')} to go." if left else "Asking Braze."


def record_accepted(count: int) -> str:
    return f"Record {count:,} as accepted"


def proof(at: str, rows: int, requests: int) -> str:
    return (
        f"asked Braze at {at}: at least two people of each of {several(requests, 'request')} received the message "
        f"({several(rows, 'row')})"
    )


def choices(count: int) -> list[tuple[str, str, str]]:
    """Return what can be decided about so many rows in doubt: (value, words, what it may cost)."""
    up_to = several(count, "person", "people")
    get = "gets" if count == 1 else "get"
    return [
        ("leave", "Leave them in doubt", f"Nobody gets it twice. Up to {up_to} may not get it at all."),
        (
            "accepted",
            "They have it: I saw it in Braze",
            f"Recorded as accepted. If you are wrong, up to {up_to} {get} no message.",
        ),
        (
            "failed",
            "They do not have it: I know",
            f"Recorded as failed, and can be sent again. If you are wrong, up to {up_to} {get} it twice.",
        ),
        (
            "again",
            "Send them again",
            f"Up to {up_to} {get} it twice, unless the campaign in Braze prevents that.",
        ),
    ]


def scopes(run: Any, groups: Any) -> list[tuple[str, str]]:
    found = [("all", f"all {several(run.unknown, 'row')} in doubt")]
    found += [(group.name, f"{SEEN[group.name]}: {several(group.rows, 'row')}") for group in groups]
    return [*found, ("rows", THESE_ROWS)]


def send_refused(count: int) -> str:
    return f"Send {several(count, 'refused row')} again"


def also_unsent(count: int) -> str:
    return f"The {several(count, 'row')} not sent yet will go out too."
