"""Read a TOML configuration and overlay settings from elsewhere."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bulk_sender.config.base import JsonObject
from bulk_sender.config.bucket import has_credential
from bulk_sender.config.database import has_password
from bulk_sender.errors import ConfigError, CredentialError

_KEY_NAMES = re.compile(r"(?i)^(rest_?)?(braze_?)?api_?-?key$|^(secret|token|password|authorization)$")

PROXY = "BULK_SENDER_PROXY"
"""The environment variable that holds the address of a proxy with a user and a password."""

_MOST_BYTES = 1 << 20
_DEEP_KEY = re.compile(r"(?<![^\s.=#,\[\]{}])(?:[^\s.=#,\[\]{}]+[ \t]*\.[ \t]*){64}")
"""A key with more parts than any configuration has levels."""

_OTHER_TARGET = {"campaign_id": "canvas_id", "canvas_id": "campaign_id"}


def overlaid(raw: Mapping[str, Any], overrides: Mapping[str, Any] | None, *, where: str) -> JsonObject:
    """Return ``raw`` with ``overrides`` (dotted key → value, None is skipped) applied. Raises ConfigError.

    A campaign in ``overrides`` replaces a Canvas in ``raw``, and the other way round.
    """
    found: JsonObject = dict(raw)
    for dotted, value in (overrides or {}).items():
        if value is None:
            continue
        table, key = dotted.split(".")
        under = found.get(table, {})
        if not isinstance(under, Mapping):
            raise ConfigError(f"{where}: {table} must be a table, [{table}]", hint="fix the configuration")
        found[table] = {name: old for name, old in under.items() if name != _OTHER_TARGET.get(key)} | {key: value}
    return found


def read_toml(path: Path) -> JsonObject:
    """Parse a TOML file. Raises ConfigError with the line."""
    try:
        size = path.stat().st_size
        if size > _MOST_BYTES:
            raise ConfigError(
                f"configuration file {path} has {size >> 20} MB, which cannot be a configuration",
                hint="check the path given to --config",
            )
        text = path.read_text(encoding="utf-8-sig")
        if _DEEP_KEY.search(text):  # tomllib would take minutes
            raise RecursionError
        return tomllib.loads(text)
    except FileNotFoundError:
        raise ConfigError(f"configuration file not found: {path}", hint="check the path given to --config") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"configuration file {path} cannot be read: {error}", hint="it must be a UTF-8 text file that you may read"
        ) from None
    except RecursionError:
        raise ConfigError(
            f"configuration file {path} has tables or lists that are nested too deeply",
            hint="no key of the configuration needs more than a few levels",
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(
            f"configuration file {path} is not valid TOML: {error}",
            hint='fix that line; text needs quotes, such as rate = "250000/hour"',
        ) from None


def refuse_keys(raw: Mapping[str, Any], where: str, prefix: str = "") -> None:
    """Refuse a credential without quoting it: files end up in backups and repositories."""
    for name, value in raw.items():
        if _KEY_NAMES.match(name) and prefix in ("", "braze.", "delivery."):
            raise CredentialError(
                f"{where}: {prefix}{name} holds a credential, which does not belong in a configuration file",
                hint="remove it, and set BRAZE_API_KEY or BRAZE_API_KEY_FILE in the environment",
            )
        if f"{prefix}{name}" == "braze.proxy" and isinstance(value, str) and "@" in value:
            raise CredentialError(
                f"{where}: braze.proxy holds a credential, which does not belong in a configuration file",
                hint=f"remove the user and password, and set {PROXY} in the environment to the proxy's whole address",
            )
        if f"{prefix}{name}" == "scale.journal" and isinstance(value, str) and has_password(value):
            raise CredentialError(
                f"{where}: scale.journal holds a password, which does not belong in a configuration file",
                hint="remove it, and set PGPASSWORD or PGPASSFILE in the environment",
            )
        if f"{prefix}{name}" == "scale.store" and isinstance(value, str) and has_credential(value):
            raise CredentialError(
                f"{where}: scale.store holds a credential, which does not belong in a configuration file",
                hint="name the bucket and a prefix alone; credentials come from the environment, such as "
                "AWS_ACCESS_KEY_ID or the machine's role",
            )
        if isinstance(value, dict) and not prefix:
            refuse_keys(value, where, f"{name}.")
