"""Sentences of the pages about what happens after a run: fixing rows, and deciding about them."""

from __future__ import annotations

from typing import Any

from bulk_sender.text.numbers import several


def steps(run: Any) -> list[tuple[str, str]]:
    """Return what a person can do on the page about rows with a problem: (place, words), the most urgent first."""
    if run.broadcast is not None or run.state == "running" or run.is_gone or run.pruned_at:
        return []
    found = [
        ("fix", run.rejected - run.sent_again, fix_rows(run.rejected - run.sent_again)),
    ]
    return [(place, text) for place, count, text in found if count > 0]


# Fixing rows.
FIX_HERE = "Change the cells that are wrong. Only the rows on this page are sent then, as a separate run"
FIX_STAYS = "The run and its file stay as they are. What you change is kept with your name."
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
NOTHING_WRONG = "No row of this run is wrong."
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
    return f"{several(count, 'row')} went out again in another run. People who were accepted there are left out."


def fixed_told(rows: int, cells: int) -> str:
    return f"{several(rows, 'row')}, {several(cells, 'changed cell')}"
