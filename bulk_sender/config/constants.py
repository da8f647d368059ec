"""Constants of the configuration, as JSON."""

from __future__ import annotations

import json
from typing import Any

from bulk_sender.errors import ConfigError


def constant_json(value: Any, where: str) -> str:
    """Return a constant of the configuration as JSON text, without what is null inside it. Raises ConfigError."""
    try:
        return json.dumps(_without_nulls(value), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{where}: {value!r} cannot be sent as JSON: {error}") from None


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(inner) for name, inner in value.items() if inner is not None}
    return [_without_nulls(inner) for inner in value if inner is not None] if isinstance(value, list) else value
