"""Rejected rows as a form: their cells, what is still wrong with them, and the file that is made of them.

Cells stay text, exactly as they were in the input, so that zeros at the start survive. What is still wrong is what a
check of the new file finds.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

import bulk_sender as bs
from bulk_sender.web import inherit
from bulk_sender.web.drafts import Draft
from bulk_sender.web.fixes import Fixes
from bulk_sender.web.mapping import Choices
from bulk_sender.web.site import Site

MOST_ROWS = 200
"""More rows are fixed in a spreadsheet."""
WRITTEN = {"delimiter": ",", "encoding": "utf-8"}
"""How the file of fixed rows is written."""
_LONGEST_NAME = 110
_LONGEST_SHOWN = 80


@dataclass(frozen=True, slots=True)
class Wrong:
    """The rejected rows of a run: ``cells`` as ``bs.rejected`` has them, and the number of each row.

    ``shown``: the numbers for people, in the first file. ``count``: how many rows are wrong in all; above
    ``MOST_ROWS`` no row is here.
    """

    run: str
    cells: pl.DataFrame
    rows: tuple[int, ...]
    shown: tuple[int, ...]
    count: int
    draft: Draft | None = None
    """The prepared send that they are of, before it is sent; None for rows of a run."""

    @property
    def draft_digest(self) -> str:
        return self.draft.digest if self.draft is not None else ""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that can be changed: all but those that say why a row was rejected."""
        return tuple(self.cells.columns[: -len(inherit.ADDED)])

    def before(self, row: int, column: str) -> str | None:
        found: str | None = self.cells[column][self.rows.index(row)]
        return found


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a row would still be rejected. ``column``: which cell it is about; empty for the whole row."""

    row: int
    column: str
    error: str


@dataclass(frozen=True, slots=True)
class Trial:
    """What a check says of the rows as they are now. ``trouble``: why there was none."""

    faults: tuple[Fault, ...] = ()
    duplicates: int = 0
    ready: int = 0
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of the form. ``field``: its name in the form; empty where it is only shown."""

    id: str
    column: str
    text: str
    field: str = ""
    error: str = ""
    is_long: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the form. ``error``: what is wrong with all of it."""

    row: int
    number: int
    cells: tuple[Cell, ...]
    is_left_out: bool
    error: str = ""


@dataclass(frozen=True, slots=True)
class Alike:
    """Wrong cells with the same text in the same column."""

    column: str
    text: str
    rows: int


def wrong_rows(site: Site, run: str) -> Wrong:
    """Return the rejected rows of a run. Raises BulkSenderError."""
    folder = site.runs_dir
    count = bs.status(run, runs_dir=folder).rejected
    if count > MOST_ROWS or not count:
        return Wrong(run, pl.DataFrame(), (), (), count)
    rows = tuple(bs.rejects(run, runs_dir=folder)["row"].to_list())
    cells = bs.rejected(run, runs_dir=folder).with_columns(pl.all().cast(pl.String))
    own = next((draft for draft in site.store.drafts() if draft.run_id == run and draft.first_rows), None)
    first = own.first_rows if own is not None else ()
    shown = tuple(first[row - 1] if row <= len(first) else row for row in rows)
    return Wrong(run, cells, rows, shown, count)


def wrong_rows_of_draft(site: Site, draft: Draft) -> Wrong:
    """Return the rows that the check of a prepared send found to be wrong. Raises BulkSenderError."""
    rows = tuple(draft.report.get("wrong_rows", ()))
    count = int(draft.report.get("rejected", 0))
    if count > MOST_ROWS or not count or len(rows) != count:
        return Wrong("", pl.DataFrame(), (), (), count)
    found = bs.cells(site.uploads.rejects(draft), {"input": reading_of(draft)}, limit=MOST_ROWS)
    return Wrong("", found, rows, rows, count, draft)


def reading_of(draft: Draft) -> dict[str, Any]:
    """Return how a prepared send reads its file, without a choice of rows."""
    found: dict[str, Any] = Choices.of(draft.config).config().get("input", {})
    return {name: value for name, value in found.items() if name != "filter"}


def kept_rows(wrong: Wrong, fixes: Fixes) -> list[int]:
    return [row for row in wrong.rows if row not in fixes.left_out]


def fixed(wrong: Wrong, fixes: Fixes) -> bytes:
    """Return the rows as they are now, without those that are left out, as a CSV file."""
    kept = kept_rows(wrong, fixes)
    at = [wrong.rows.index(row) for row in kept]
    columns: dict[str, pl.Series] = {}
    for column in wrong.cells.columns:
        before = wrong.cells[column].gather(at).to_list()
        texts = [
            (fixes.cells[row][column] or None) if column in fixes.cells.get(row, {}) else text
            for row, text in zip(kept, before, strict=True)
        ]
        columns[column] = pl.Series(column, texts, dtype=pl.String)
    return pl.DataFrame(columns).write_csv().encode("utf-8", "surrogatepass")


def tried(site: Site, wrong: Wrong, fixes: Fixes) -> Trial:
    """Check the rows as they are now, exactly as the file that would be made of them."""
    kept = kept_rows(wrong, fixes)
    if not kept:
        return Trial()
    home = site.state.folder / "fixes"
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home) as folder:
        path = Path(folder) / "fixed.csv"
        path.write_bytes(fixed(wrong, fixes))
        try:
            config = choices_for(site, wrong, path).config()
            report = bs.check(path, config, runs_dir=site.runs_dir)
        except bs.BulkSenderError as error:
            told = f"{error}: {error.hint}" if error.hint else str(error)
            return Trial(trouble=told.replace(str(path), path.name))
    faults = tuple(Fault(kept[each.row - 1], each.column or "", _short(each)) for each in report.rejects)
    return Trial(faults, report.duplicate, report.valid)


def _short(reject: bs.Reject) -> str:
    """Return a reason without the column, beside which it is shown."""
    return reject.error.removeprefix(f"column {reject.column!r}: ")


def form(wrong: Wrong, fixes: Fixes, trial: Trial, opened: int | None) -> Iterator[Row]:
    """Yield the rows of the form. Fields are the cells that are or were wrong; of the row ``opened`` all cells."""
    faults = {fault.row: fault for fault in trial.faults}
    for place, row in enumerate(wrong.rows):
        fault = faults.get(row)
        is_left_out = row in fixes.left_out
        changed = set(fixes.cells.get(row, {})) | ({fault.column} if fault is not None else set())
        whole = row == opened or (fault is not None and fault.column not in wrong.columns)
        cells = []
        for number, column in enumerate(wrong.columns):
            text = fixes.text(row, column, wrong.before(row, column))
            is_field = not is_left_out and (whole or column in changed)
            cells.append(
                Cell(
                    f"c-{row}-{number}",
                    column,
                    text if is_field or len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "…",
                    f"c-{row}-{number}" if is_field else "",
                    fault.error if fault is not None and fault.column == column else "",
                    "\n" in text or "\r" in text or len(text) > _LONGEST_SHOWN,
                )
            )
        about_all = fault.error if fault is not None and fault.column not in wrong.columns else ""
        yield Row(row, wrong.shown[place], tuple(cells), is_left_out, about_all)


def order(wrong: Wrong, fixes: Fixes, trial: Trial) -> tuple[int, ...]:
    """Return the places of the columns as they are shown: first those with a cell that is or was wrong."""
    first = {fault.column for fault in trial.faults}.union(*fixes.cells.values())
    return tuple(sorted(range(len(wrong.columns)), key=lambda place: wrong.columns[place] not in first))


def alike(wrong: Wrong, fixes: Fixes, trial: Trial) -> list[Alike]:
    """Return the wrong cells by column and text, the most frequent first."""
    found: dict[tuple[str, str], int] = {}
    for fault in trial.faults:
        if fault.column in wrong.columns:
            text = fixes.text(fault.row, fault.column, wrong.before(fault.row, fault.column))
            found[fault.column, text] = found.get((fault.column, text), 0) + 1
    ordered = sorted(found.items(), key=lambda each: -each[1])
    return [Alike(column, text, rows) for (column, text), rows in ordered]


def written(wrong: Wrong, fixes: Fixes, told: Mapping[str, str]) -> Fixes:
    """Return the fixes with the cells of a form. Fields that no cell has are ignored."""
    known = {f"c-{row}-{number}": (row, column) for row in wrong.rows for number, column in enumerate(wrong.columns)}
    for name, text in told.items():
        if name in known:
            row, column = known[name]
            fixes = fixes.with_cell(row, column, text, wrong.before(row, column))
    return fixes


def rows_alike(wrong: Wrong, fixes: Fixes, trial: Trial, chosen: Alike) -> list[int]:
    """Return the rows whose wrong cell is one of these."""
    return [
        fault.row
        for fault in trial.faults
        if fault.column == chosen.column
        and fixes.text(fault.row, fault.column, wrong.before(fault.row, fault.column)) == chosen.text
    ]


def free_name(site: Site, run: str) -> str:
    """Return the name for the run of fixed rows: ``X-fixed``, then ``X-fixed-2``."""
    base = re.sub(r"-fixed(-[0-9]+)?$", "", run)[:_LONGEST_NAME] + "-fixed"
    taken = {each.run_id for each in bs.runs(site.runs_dir)}
    taken |= {name for draft in site.store.drafts() for name in (draft.wanted_name, draft.run_id)}
    number = 2
    name = base
    while name in taken:
        name, number = f"{base}-{number}", number + 1
    return name


def numbers(wrong: Wrong, rows: Sequence[int]) -> tuple[int, ...]:
    """Return the numbers of these rows in the first file."""
    place = dict(zip(wrong.rows, wrong.shown, strict=True))
    return tuple(place[row] for row in rows)


def choices_for(site: Site, wrong: Wrong, path: Path) -> Choices:
    """Return what the columns of the file of fixed rows are, as the run or the prepared send has it."""
    if wrong.draft is None:
        return inherit.of_run(site, wrong.run, path, WRITTEN)
    return inherit.of_draft(wrong.draft, path, WRITTEN)
