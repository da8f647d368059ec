"""Base of all configuration models."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict


def _plain(raw: Any) -> Any:
    """Return TOML's dates and times as ISO 8601 strings for Braze, and other values unchanged."""
    if isinstance(raw, dt.datetime) and raw.tzinfo is None:
        raise ValueError(f"{raw} needs an offset here, such as {raw.isoformat()}Z")
    if isinstance(raw, dt.datetime | dt.date | dt.time):
        return raw.isoformat()
    if isinstance(raw, dict):
        return {name: _plain(value) for name, value in raw.items()}
    return [_plain(value) for value in raw] if isinstance(raw, list) else raw


Constant = Annotated[Any, BeforeValidator(_plain)]


JsonObject = Annotated[dict[str, Any], BeforeValidator(_plain)]


class Model(BaseModel):
    """A frozen, strict table that refuses unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, populate_by_name=True)
