"""Sentences of the screens from a checked file to a real send, in English."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bulk_sender.text.numbers import number, roughly, several

# Columns: where it goes.
WHERE = "Where it goes"
PROFILE = "Workspace"
NO_PROFILE = "Nowhere: only check the file"
KIND = "Kind"
KINDS = {"campaign": "Campaign", "canvas": "Canvas"}
TARGET = "ID of the campaign or Canvas"
TARGET_HINT = "Braze shows it on the page of the campaign or Canvas."
ONLY_REHEARSALS = "Nothing can be sent to real people from this page."
ONLY_REHEARSALS_HINT = (
    "The person who runs this page can allow it: with a table [profiles.NAME] in its settings file. "
    "Until then you can check and rehearse files here."
)
NO_TARGET = "Enter the ID of the campaign or Canvas, or choose to only check the file."
NOWHERE_CHOSEN = "No workspace is chosen for this send. Go back to the columns and choose one."
ENDPOINT_CHANGED = "The address of this workspace was changed since the check. Check all rows again."
NO_PLAN = "The check wrote no plan of the requests. Check all rows again."
NOBODY_LEFT = "No row can be sent."
NOT_A_NUMBER = "The number of first rows is not a number."

# Check.
REVIEW = "Review the send"

# Review.
BACK_TO_CHECK = "Back to the check"
ASKING = "Asking Braze about the campaign"
NOT_KNOWN = "name and state not known"
LOOKED_UP = "looked up in Braze at"
STATES = {"live": "active", "archived": "archived", "draft": "a draft", "stopped": "stopped"}
FILE = "File"
SHA = "SHA-256"
RECIPIENTS = "Recipients"
REQUESTS = "Requests"
HOURS = "Sending hours"
ANY_HOUR = "at any time"
EARLIER = "Earlier"
NO_EARLIER = "No run of this campaign or with this file in the last 7 days."
PLAN = "Plan"
PLAN_HINT = "exactly these requests, byte for byte; anything else is refused"
MESSAGE = "The message"
NO_MESSAGE = "No message is known."
NO_PERSONAL = "You may not see personal data, so the message of a person is not shown."
SHOW_ROW = "Show this row"
ROW = "Row"
ONLY_BRAZE = "Only Braze can fill in:"
HOW = "How it is sent"
FIRST_ROWS = "First rows, before the rest waits for an answer"
FIRST_ROWS_HINT = "Look at the message on a phone before you send the rest. Another number starts a new check."
RATE = "Requests, at most"
WINDOW = "Only in these hours"
WINDOW_HINT = "Like mon-fri 09:00-20:00 Europe/Paris. Outside them the run waits, and continues by itself."
AGAIN = "Send it also to people who already got it from this file"
SAVE_OPTIONS = "Save these options"
TYPE_COUNT = "Type the number of recipients to confirm"
ASK = "Ask for approval"
NOT_YET = "It cannot be sent yet:"
WITHDRAWN = "Nothing is sent before it is approved."
WRONG_COUNT = "That was not sent: what you typed is not the number of recipients"
WRONG_COUNT_HINT = "Look at the number again. Type it with or without separators."
SENT_LATELY = (
    "Open that run to send what it has left. To send to everyone again, also to those who have it, tick "
    f"“{AGAIN}” in the review of this send."
)
NOT_STARTED = "The send did not start. Nothing was sent."

# Approvals.
WAITING = "Waiting for approval"
SEND = "Send"
ASKED_BY = "Asked by"
APPROVE = "Approve"
REFUSE = "Refuse"
WHY = "Reason, if you refuse"
WHY_NEEDED = "It was not refused: a refusal needs a reason"
WHY_NEEDED_HINT = "Write in one sentence what has to change."
OWN_HANDS = "You worked on this send, so another person has to approve it."
NOT_WAITING = "This send does not wait for an approval."
OWN_FIRST_ROWS = "The rest was not sent: you worked on this send"
OWN_FIRST_ROWS_HINT = "A send that needed an approval needs another person for the rest, too. You can stop it."
APPROVED = "approved: its owner can send it"
LASTS = "An approval counts for 24 hours, and ends when anything is changed."

# Another person's send.
TAKE_OVER = "Take it over"
TAKE_OVER_HINT = (
    "If you take it over, you work on it, and the other person has to take it back first. The log of this page says so."
)

NOT_SAVED = "These options were not saved."
TROUBLES = {"typed": (WRONG_COUNT, WRONG_COUNT_HINT), "why": (WHY_NEEDED, WHY_NEEDED_HINT)}


def profile_gone(name: str) -> str:
    return f"The workspace {name} is not in the settings of this page any more. Choose another one."


def not_listed(name: str) -> str:
    return f"This ID is not one that may be used in {name}. The person who runs this page can add it."


def too_few_first(least: int) -> str:
    return f"At least {several(least, 'row')} must be sent first in this workspace."


def too_fast(most: str) -> str:
    return f"The rate may be {most} at most in this workspace."


def outside_hours(window: str) -> str:
    return f"The hours must be within {window}, in the same time zone."


def too_many(most: int) -> str:
    return f"At most {several(most, 'recipient')} may be sent to at once in this workspace."


def refused_by_limit(why: str) -> str:
    return f"A limit of this workspace refuses it: {why}."


def first_of(least: int) -> str:
    return f"At least {number(least)}." if least else "0 for none."


def title(draft: Any) -> str:
    return f"Send to {several(draft.report.get('valid') or 0, 'person', 'people')}?"


def main_button(draft: Any) -> str:
    """Return the words of the button that begins the run."""
    canary = draft.goes["canary"]
    if canary and canary < draft.report["rows"]:
        return f"Send the first {several(canary, 'row')}"
    return f"Send to {several(draft.report['valid'], 'person', 'people')}"


def count_hint(draft: Any) -> str:
    return f"{draft.report['valid']}, with or without separators"


def recipients(report: Mapping[str, Any]) -> str:
    left = f"{report['rejected']:,} wrong, {several(report['duplicate'], 'duplicate')}"
    return f"of {several(report['rows'], 'row')}; {left}"


def requests(report: Mapping[str, Any], seconds: float, rate: str, canary: int) -> str:
    told = f"{report['requests']:,}, about {roughly(seconds)} at {rate}" if seconds >= 1 else f"{report['requests']:,}"
    return f"{told}, plus a slow start after the first rows" if canary and canary < report["rows"] else told


def hours(window: str, closed_s: float) -> str:
    """Return when it is sent, and how long it would wait now."""
    if not window:
        return ANY_HOUR
    return f"{window}. Now it would wait about {roughly(closed_s)}" if closed_s else window


def short(digest: str) -> str:
    """Return enough of a digest to compare by eye."""
    return f"{digest[:4]} {digest[4:8]}"


def earlier(run: Any, same_target: bool, same_file: bool) -> str:
    what = {
        (True, True): "same campaign and same file",
        (True, False): "same campaign",
        (False, True): "same file",
    }[same_target, same_file]
    return f"{what}, {several(run.accepted, 'row')} accepted"


def second_person(above: int, sent_lately: int) -> str:
    more = f" Your {number(sent_lately)} of the last 24 hours count, too." if sent_lately else ""
    return f"More than {several(above, 'recipient')}: another person has to approve it.{more} {WITHDRAWN}"


def waits_for_approval(by: str) -> str:
    return f"{by or 'Somebody'} asked for an approval. {WITHDRAWN}"


def is_approved(by: str) -> str:
    return f"{by} approved it. {LASTS}"


def is_refused(by: str, why: str) -> str:
    return f"{by} refused it: {why}"


def taken(name: str, at: str) -> str:
    return f"{name or 'Somebody'} has worked on it since {at}"


def approve_title(draft: Any) -> str:
    return f"Approve a send to {several(draft.report.get('valid') or 0, 'person', 'people')}?"


def check_said(moment: Any) -> str:
    """Return how far a check is."""
    from bulk_sender.web.words import rows_checked, size_of

    if moment.step == "hashing":
        return f"Reading the file: {size_of(moment.done)} of {size_of(moment.total or 0)}"
    return rows_checked(moment.done if moment.step == "counting" else 0)


def next_step(hint: str) -> str:
    """Return what to do after a refusal. The library's own hint may name options of the command line."""
    return SENT_LATELY if "--again" in hint else hint


def state(name: str) -> str:
    return STATES.get(name, name)
