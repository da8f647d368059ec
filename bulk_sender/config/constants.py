"""Constants in a mapping, as JSON."""

from __future__ import annotations

import json
from typing import Any

from bulk_sender.errors import ConfigError


def constant_json(value: Any, where: str) -> str:
    """A constant of the configuration → JSON text. Raises ConfigError."""
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{where}: {value!r} can't be sent as JSON: {error}") from None
