"""What a call is given besides its input: configuration and key, and the place they lead to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bulk_sender.config.loading import overlaid
from bulk_sender.config.model import Config
from bulk_sender.errors import ConfigError

ConfigLike = str | Path | Mapping[str, Any] | Config | None
SANDBOX_TARGET = "sandbox-campaign"
_DOTTED = {
    "campaign_id": "braze.campaign_id",
    "canvas_id": "braze.canvas_id",
    "endpoint": "braze.endpoint",
    "limit": "input.limit",
    "rate": "delivery.rate",
    "concurrency": "delivery.concurrency",
}

_ADDRESSES = ("campaign_id", "canvas_id", "endpoint")


def with_plain(overrides: Mapping[str, Any] | None, **plain: Any) -> dict[str, Any]:
    """Plain keyword arguments and ``overrides`` as one; None is skipped. Raises ConfigError."""
    if plain.get("campaign_id") is not None and plain.get("canvas_id") is not None:
        raise ConfigError("campaign_id and canvas_id are both given", hint="a run triggers one of them")
    named = {_DOTTED[name]: value for name, value in plain.items()} | dict(overrides or {})
    return {name: value for name, value in named.items() if value is not None}


def spelled(config: ConfigLike, overrides: Mapping[str, Any]) -> dict[str, str] | None:
    """What decides where and what is sent, as the options of a command; None when no command could say it."""
    if config is not None and not isinstance(config, str | Path):
        return None
    file = {"--config": str(Path(config).absolute())} if config is not None else {}
    flags = {f"--{name.replace('_', '-')}": overrides.get(_DOTTED[name]) for name in _ADDRESSES}
    return file | {flag: str(value) for flag, value in flags.items() if value is not None}


def load_config(config: ConfigLike, overrides: Mapping[str, Any] | None = None) -> Config:
    """Whatever a caller gave, as a ``Config`` with ``overrides`` (dotted key → value) laid over it."""
    where = "the configuration"
    if isinstance(config, Config):
        raw = config.model_dump(exclude_unset=True)
        return Config.parse(overlaid(raw, overrides, where=where), where=where) if overrides else config
    if isinstance(config, Mapping):
        return Config.parse(overlaid(config, overrides, where=where), where=where)
    return Config.load(config, overrides)


def from_surroundings(
    config: ConfigLike, overrides: Mapping[str, Any] | None, environment: Mapping[str, str], weather: str
) -> Config:
    """The configuration with the environment and then ``overrides`` over it; in a ``weather``, for its sandbox."""
    given = {name: value for name, value in (overrides or {}).items() if value is not None}
    settings = load_config(config, {"braze.endpoint": environment.get("BRAZE_ENDPOINT")} | given)
    return _for_sandbox(settings, weather) if weather else settings


def _for_sandbox(settings: Config, weather: str) -> Config:
    from bulk_sender.sandbox import WEATHERS

    if weather not in WEATHERS:
        raise ConfigError(f"no weather of the sandbox is called {weather!r}", hint="there are " + ", ".join(WEATHERS))
    target = {} if settings.target else {"braze.campaign_id": SANDBOX_TARGET}
    return load_config(settings, {"braze.endpoint": "http://127.0.0.1", **target})
