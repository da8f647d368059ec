"""Constants of the configuration, as JSON."""

from __future__ import annotations

import json
from typing import Any

from bulk_sender.errors import ConfigError


def constant_json(value: Any, where: str) -> str:
    """Return a constant of the configuration as JSON text. Raises ConfigError."""
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{where}: {value!r} cannot be sent as JSON: {error}") from None
