"""Files to read, and what was read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from bulk_sender.config.model import Config
from bulk_sender.planning.prepared import PreparedInput
from bulk_sender.reading.chunk import Chunk, Position
from bulk_sender.reading.settings import ReadSettings
from bulk_sender.reading.source import Input
from bulk_sender.reading.spool import Spool
from bulk_sender.recipients.encode import encode

PEOPLE = pl.DataFrame({"external_user_id": [f"{n:05d}" for n in range(1000)], "name": ["Zoé", "Jürgen"] * 500})
CSV = PEOPLE.write_csv(line_terminator="\r\n")


def put(folder: Path, name: str, data: bytes | str) -> Path:
    path = folder / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def chunks(given: Any, start: Position | None = None, **config: Any) -> list[Chunk]:
    """All chunks of an input, which may be one thing or a list of them."""
    with Spool() as spool:
        source = Input.open(given if isinstance(given, list) else [given], ReadSettings(**config), spool)
        return list(source.read(start))


def read(given: Any, **config: Any) -> pl.DataFrame:
    return pl.concat([chunk.frame for chunk in chunks(given, **config)])


def recipients(given: Any, config: dict[str, Any] | None = None) -> list[str]:
    """The recipients of an input as JSON text, exactly as they would be sent."""
    settings = Config.model_validate(config or {})
    with Spool() as spool:
        prepared = PreparedInput.open(given, settings, spool)
        texts = [
            encode(part.frame, prepared.mapping, max_bytes=1 << 20)["recipient"] for part in prepared.source.read()
        ]
    return [text for text in pl.concat(texts) if text is not None]


def faults(given: Any, **config: Any) -> dict[int, str]:
    """Row of the input (from 1) → what is wrong with it."""
    return {
        chunk.start.row + index + 1: text for chunk in chunks(given, **config) for index, text in chunk.faults.items()
    }
