"""How the page shows values: masked, in the reader's time zone, and without anything that a browser would obey."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Any
from urllib.parse import urlencode, urlsplit

import bulk_sender as bs
from bulk_sender.text.clean import clean, escaped, plain
from bulk_sender.text.masking import mask_in, masked
from bulk_sender.text.numbers import duration
from bulk_sender.web.words import sentence, size_of, without_folders

_SHOWN_AT_EACH_END = 2
_LONG = 8
"""A shorter identifier is masked to its end: its middle would say too much."""
_MANY_DIGITS = 6
"""A number with as many digits may be a phone or customer number."""
_LONGEST_NAME = 120


def who(identifier: str | None) -> str:
    """Return an identifier with its middle masked: in a table ``00…04`` tells rows apart where ``00…`` does not."""
    text = clean(identifier or "", _LONGEST_NAME)
    if len(text) < _LONG or "@" in text:
        return masked(text)
    return text[:_SHOWN_AT_EACH_END] + "…" + text[-_SHOWN_AT_EACH_END:]


def said(text: str | None, identifier: str | None = None) -> str:
    """Return a message for a person, with addresses and the row's identifier masked."""
    return mask_in(clean(without_folders(text or "")), [identifier] if identifier else ())


def recipient(value: Any) -> str:
    """Return a recipient as JSON with all texts and long numbers masked."""
    return json.dumps(_masked(value), ensure_ascii=False, indent=2)


def whole_recipient(value: Any) -> str:
    """Return a recipient as JSON, with nothing masked."""
    return escaped(json.dumps(value, ensure_ascii=False, indent=2))


def shape(value: str) -> str:
    """Return the form of a cell: letters as x, digits as 9. It says what a column is, and nothing of the person."""
    return "".join("9" if sign.isdigit() else "x" if sign.isalpha() else sign for sign in clean(value))


def without_values(found: bs.Columns) -> bs.Columns:
    """Return the columns of a file with all cells by their form."""
    return replace(found, columns=tuple(map(_by_form, found.columns)))


def _by_form(column: bs.Column) -> bs.Column:
    cells = tuple(replace(cell, value=shape(cell.value)) for cell in column.misfit_cells)
    return replace(column, samples=tuple(map(shape, column.samples)), misfit_cells=cells)


def _masked(value: Any) -> Any:
    if isinstance(value, dict):
        return {clean(name, _LONGEST_NAME): _masked(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_masked(each) for each in value]
    if isinstance(value, str):
        return masked(clean(value))
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        digits = sum(sign.isdigit() for sign in str(value))
        return masked(str(value)) if digits >= _MANY_DIGITS else value
    return value


def moment(at: str | datetime | None) -> str:
    """Return a time in the zone of this machine: ``27 Nov 2026, 16:02``."""
    return f"{_local(at):%-d %b %Y, %H:%M}" if at else ""


def precisely(at: str | datetime | None) -> str:
    """Return a time to the millisecond."""
    return f"{_local(at):%-d %b %Y, %H:%M:%S.%f}"[:-3] if at else ""


def _local(at: str | datetime) -> datetime:
    return (datetime.fromisoformat(at) if isinstance(at, str) else at).astimezone()


def zone() -> str:
    """Return the name of the zone that the times are in."""
    return datetime.now().astimezone().tzname() or "UTC"


def file_name(path: str) -> str:
    """Return the last part of a path or URL: folders of the server are nobody's business."""
    return clean(PurePath(path.partition("?")[0]).name or path, _LONGEST_NAME)


def host(endpoint: str) -> str:
    """Return the host of an address, without anything else."""
    try:
        parts = urlsplit(endpoint)
        return clean(parts.hostname or "", _LONGEST_NAME)
    except ValueError:
        return ""


def query_of(**facts: object) -> str:
    """Return a query without what is empty."""
    return "?" + urlencode({name: value for name, value in facts.items() if value}, errors="replace")


FILTERS = {
    "bytes": size_of,
    "seconds": lambda at: datetime.fromtimestamp(at, UTC).isoformat(),
    "who": who,
    "said": said,
    "sentence": sentence,
    "recipient": recipient,
    "whole_recipient": whole_recipient,
    "moment": moment,
    "precisely": precisely,
    "file_name": file_name,
    "host": host,
    "duration": duration,
    "clean": clean,
    "plain": plain,
    "figure": lambda value: f"{value:,}",
}
