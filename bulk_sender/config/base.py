"""Base of all configuration models."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict

MAX_DEPTH = 64
"""How deep tables and lists may be in one another. Deeper ones exhaust the stack of the code that reads them."""


def _plain(raw: Any, depth: int = 0) -> Any:
    """Return TOML's dates and times as ISO 8601 strings for Braze, and other values unchanged."""
    if depth > MAX_DEPTH:
        raise ValueError(f"is nested deeper than {MAX_DEPTH} levels")
    if isinstance(raw, dt.datetime) and raw.tzinfo is None:
        raise ValueError(f"{raw} needs an offset here, such as {raw.isoformat()}Z")
    if isinstance(raw, dt.datetime | dt.date | dt.time):
        return raw.isoformat()
    if isinstance(raw, dict):
        return {name: _plain(value, depth + 1) for name, value in raw.items()}
    return [_plain(value, depth + 1) for value in raw] if isinstance(raw, list) else raw


def _plain_value(raw: Any) -> Any:
    return _plain(raw)


Constant = Annotated[Any, BeforeValidator(_plain_value)]


JsonObject = Annotated[dict[str, Any], BeforeValidator(_plain_value)]


class Model(BaseModel):
    """A frozen, strict table that refuses unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, populate_by_name=True)
