"""What the columns of a file are, as an earlier run had it, which rejected its rows or had the same columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import bulk_sender as bs
from bulk_sender.web import mapping
from bulk_sender.web.drafts import Draft, Step
from bulk_sender.web.mapping import NAMED, READING, SINGLE, TYPES, Choice, Choices
from bulk_sender.web.site import Site

ADDED = ("error", "source_line", "run")
"""The last columns of a file of rejected rows, each perhaps after ``bulk_sender_``."""
_NOT_FOR_A_NEW_FILE = ("format", "delimiter", "encoding", "header", "header_row", "skip_last", "sheet", "limit")
_MOST_KNOWN = 0.75
"""The share of a file's columns that an earlier send has to know."""
_KNOWN_KEYS = {"column", "type", "format"}


def from_parent(site: Site, path: Path) -> Choices | None:
    """Return the choices for a file of fixed rows; None for any other file, and when its run is not here."""
    with suppress(bs.BulkSenderError, OSError):
        found = bs.columns(path)
        if not is_of_rejected(tuple(column.name for column in found.columns)):
            return None
        parent = found.columns[-1].samples
        return of_run(site, parent[0], path) if parent else None
    return None


def from_earlier(site: Site, path: Path) -> Choices | None:
    """Return the choices of the latest send with nearly the same columns; None if there is none.

    Each column that it sent has to be in this file, and at least three of four columns of this file were known to it.
    Raises BulkSenderError when the file cannot be read.
    """
    sends = [
        draft for draft in site.store.drafts() if draft.step is Step.LAUNCHED and draft.config and not draft.parent
    ]
    names = {column.name for column in bs.columns(path).columns} if sends else set()
    for draft in sends:
        earlier = Choices.of(draft.config)
        sent = {each.column for each in earlier.columns if each.use}
        known = names.intersection(each.column for each in earlier.columns)
        if sent and sent <= names and len(known) >= _MOST_KNOWN * len(names):
            return replace(of_draft(draft, path), like=draft.run_id)
    return None


def is_of_rejected(columns: tuple[str, ...]) -> bool:
    """Whether a file with these columns has rejected rows of a run."""
    last = columns[-len(ADDED) :]
    return len(last) == len(ADDED) and all(
        name.endswith(wanted) and set(name[: -len(wanted)].split("bulk_sender_")) == {""}
        for name, wanted in zip(last, ADDED, strict=True)
    )


def of_run(site: Site, run: str, path: Path, written: Mapping[str, Any] | None = None) -> Choices:
    """Return the choices for fixed rows of a run in the file ``path``. Raises BulkSenderError.

    ``written``: how the file is written, where that is known.
    """
    draft = next((each for each in site.store.drafts() if each.run_id == run and each.config), None)
    if draft is not None:
        return of_draft(draft, path, written)
    reading = dict(written or {})
    return of_config(bs.configuration(run, runs_dir=site.runs_dir), path, reading)


def of_draft(draft: Draft, path: Path, written: Mapping[str, Any] | None = None) -> Choices:
    """Return the choices of a prepared send for a file with rows of it. Raises BulkSenderError."""
    before = Choices.of(draft.config)
    reading = _kept(before.reading) | dict(written or {})
    names = [column.name for column in bs.columns(path, {"input": reading}).columns]
    return renamed(replace(before, reading=reading), names)


def of_config(config: bs.Config, path: Path, reading: Mapping[str, Any]) -> Choices:
    """Return the choices that mean the same as a configuration. What they cannot say is in their ``base``."""
    told = config.model_dump(mode="json", exclude_unset=True)
    given = {name: value for name, value in told.get("input", {}).items() if name not in _NOT_FOR_A_NEW_FILE}
    reading = {name: value for name, value in given.items() if name in READING and value} | dict(reading)
    base: dict[str, Any] = {
        "input": {name: value for name, value in given.items() if name not in (*READING, "filter")},
        "message": told.get("message", {}),
    }
    shared: dict[str, Any] = {
        "reading": reading,
        "filter": given.get("filter") or "",
        "uses_filter": bool(given.get("filter")),
    }
    if not told.get("recipient"):
        found = mapping.suggested(path, reading)
        return Choices.of(found.to_dict() | shared | {"base": base})
    names = [column.name for column in bs.columns(path, {"input": reading}).columns]
    recipient, choices = _split(told["recipient"], names)
    return Choices(
        tuple(choices.get(name, Choice(name)) for name in names), base=base | {"recipient": recipient}, **shared
    )


def renamed(before: Choices, names: Sequence[str]) -> Choices:
    """Return choices for the same columns in a file of text, whose names may have types, such as ``age:integer``.

    An object of a typed table is several columns there. The configuration finds them, so it goes to ``base``.
    """
    known = {each.column: each for each in before.columns}
    choices = []
    for name in names:
        own, kind = _untyped(name)
        found = known.pop(name, None) or known.pop(own, None)
        if found is None:
            choices.append(Choice(name))
        elif found.column == name:
            choices.append(found)
        else:
            called = (found.name or found.column) if found.use in NAMED else ""
            choices.append(replace(found, column=name, name=called, type=found.type or kind))
    base = {table: dict(told) if isinstance(told, Mapping) else told for table, told in before.base.items()}
    for left in known.values():
        if left.use in NAMED and any(name.startswith(f"{left.column}.") for name in names):
            recipient = base.setdefault("recipient", {})
            recipient.setdefault(left.use, {})[left.name or left.column] = left.source()
    return replace(before, columns=tuple(choices), base=base)


def _kept(reading: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in reading.items() if name not in _NOT_FOR_A_NEW_FILE}


def _split(recipient: Mapping[str, Any], names: list[str]) -> tuple[dict[str, Any], dict[str, Choice]]:
    """Return what of a table ``recipient`` a form cannot say, and the choices for the rest."""
    plain = {_untyped(name)[0]: name for name in names} | {name: name for name in names}
    choices: dict[str, Choice] = {}
    left: dict[str, Any] = {}
    for use, name, source in _sources(recipient):
        column = plain.get(source.get("column") or "") if isinstance(source, dict) else None
        is_said = column is not None and set(source) <= _KNOWN_KEYS and column not in choices
        if is_said and (use in SINGLE or use in NAMED):
            own = name if name != column else ""
            choices[str(column)] = Choice(
                str(column),
                use,
                own,
                source.get("type") or (_untyped(str(column))[1] if column != source["column"] else ""),
                source.get("format") or "",
            )
        elif use in NAMED:
            left.setdefault(use, {})[name] = source
        elif use.startswith("user_alias."):
            left.setdefault("user_alias", {})[use.partition(".")[2]] = source
        else:
            left[use] = source
    return left, choices


def _sources(recipient: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    for use, told in recipient.items():
        if use in NAMED:
            for name, source in told.items():
                yield use, name, source
        elif use == "user_alias":
            for part, source in (told or {}).items():
                yield f"user_alias.{part}", "", source
        elif told is not None:
            yield use, "", told


def _untyped(column: str) -> tuple[str, str]:
    """Return a column's name and the type in it; empty without one."""
    name, _, kind = column.rpartition(":")
    return (name, kind) if name and kind in TYPES and kind else (column, "")
