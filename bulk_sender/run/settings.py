"""Turn what a caller gives into one configuration, and the configuration into what each room needs."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from bulk_sender.braze.endpoint import Endpoint
from bulk_sender.config.hours import SendingHours
from bulk_sender.config.loading import overlaid
from bulk_sender.config.model import Config, DeliveryConfig
from bulk_sender.errors import ConfigError
from bulk_sender.http.settings import HttpSettings
from bulk_sender.pace.settings import PaceSettings
from bulk_sender.run.options import Sandbox

ConfigLike = str | Path | Mapping[str, Any] | Config | None
"""A TOML file's path, a table as read from TOML, a ``Config``, or None for the defaults."""

SANDBOX_TARGET = "sandbox-campaign"

PLAIN: Final = {
    "campaign_id": "braze.campaign_id",
    "canvas_id": "braze.canvas_id",
    "endpoint": "braze.endpoint",
    "limit": "input.limit",
    "sheet": "input.sheet",
    "rate": "delivery.rate",
    "concurrency": "delivery.concurrency",
}
"""The plain keywords that are keys of the configuration. Each is an option of the command line, too."""

_ADDRESSES = ("campaign_id", "canvas_id", "endpoint")


def flag(keyword: str) -> str:
    """Return the command line's name of a plain keyword: ``--campaign-id``."""
    return f"--{keyword.replace('_', '-')}"


def validated(plain: Mapping[str, Any], *, spelling: Callable[[str], str] = str) -> dict[str, Any]:
    """Return the plain keywords that have a value. Each is validated alone, so that an error names it.

    ``spelling``: how to name a keyword in an error. Raises ConfigError.
    """
    given = {name: plain[name] for name in PLAIN if plain.get(name) is not None}
    if "campaign_id" in given and "canvas_id" in given:
        raise ConfigError(
            f"{spelling('campaign_id')} and {spelling('canvas_id')} are both given", hint="a run triggers one of them"
        )
    for name, value in given.items():
        table, key = PLAIN[name].split(".")
        try:
            Config.parse({table: {key: value}}, where=spelling(name))
        except ConfigError as error:
            raise ConfigError(str(error), hint=f"fix {spelling(name)} and try again") from None
    return given


def overrides_of(plain: Mapping[str, Any]) -> dict[str, Any]:
    """Return plain keywords and their ``overrides`` as dotted keys; ``overrides`` win. Raises ConfigError."""
    dotted = {PLAIN[name]: value for name, value in validated(plain).items()} | dict(plain.get("overrides") or {})
    return {name: value for name, value in dotted.items() if value is not None}


def environment_of(plain: Mapping[str, Any]) -> Mapping[str, str]:
    """Return the environment that a caller gave, else that of this process."""
    given: Mapping[str, str] | None = plain.get("environment")
    return os.environ if given is None else given


def spelled(config: ConfigLike, overrides: Mapping[str, Any]) -> dict[str, str] | None:
    """Return the options of a command that sends the same to the same place; None when no command could."""
    if config is not None and not isinstance(config, str | Path):
        return None
    file = {"--config": str(Path(config).absolute())} if config is not None else {}
    flags = {flag(name): overrides.get(PLAIN[name]) for name in _ADDRESSES}
    return file | {name: str(value) for name, value in flags.items() if value is not None}


def load_config(config: ConfigLike, overrides: Mapping[str, Any] | None = None) -> Config:
    """Return a caller's configuration with ``overrides`` (dotted key → value) applied. Raises ConfigError."""
    where = "the configuration"
    if isinstance(config, Config):
        raw = config.model_dump(exclude_unset=True)
        return Config.parse(overlaid(raw, overrides, where=where), where=where) if overrides else config
    if isinstance(config, Mapping):
        return Config.parse(overlaid(config, overrides, where=where), where=where)
    return Config.load(config, overrides)


def config_of(config: ConfigLike, plain: Mapping[str, Any], sandbox: Sandbox | None = None) -> Config:
    """Return the configuration of a call: flags win over the environment, the environment over ``config``.

    Raises ConfigError.
    """
    address = {"braze.endpoint": environment_of(plain).get("BRAZE_ENDPOINT")}
    settings = load_config(config, address | overrides_of(plain))
    return _for_sandbox(settings, sandbox) if sandbox is not None else settings


def _for_sandbox(config: Config, sandbox: Sandbox) -> Config:
    from bulk_sender.sandbox import WEATHERS

    if sandbox.weather not in WEATHERS:
        raise ConfigError(
            f"{sandbox.weather!r} is not a weather of the sandbox", hint="choose one of " + ", ".join(WEATHERS)
        )
    target = {} if config.target else {"braze.campaign_id": SANDBOX_TARGET}
    return load_config(config, {"braze.endpoint": "http://127.0.0.1", **target})


@dataclass(frozen=True, slots=True)
class RunSettings:
    """A configuration, resolved once into what the parts of one process need."""

    kind: str
    """``campaign`` or ``canvas``."""
    target: str
    """The campaign's or Canvas' id."""
    base_url: str
    """The instance's REST address."""
    http: HttpSettings
    pace: PaceSettings
    delivery: DeliveryConfig
    hours: SendingHours | None
    """When sending is allowed; None: at any time."""

    @classmethod
    def of(cls, config: Config, endpoint: Endpoint) -> Self:
        """Resolve for requests to ``endpoint``, whose kind may have a limit."""
        return cls(
            kind="canvas" if config.is_canvas else "campaign",
            target=config.target or "",
            base_url=config.braze.endpoint or endpoint.url,
            http=http_settings(config),
            pace=PaceSettings(
                rate_per_s=endpoint.rate(config.delivery.pace).per_second,
                first_per_s=endpoint.first_rate(config.delivery.pace).per_second,
                reserve=config.delivery.reserve,
                ramp_s=config.delivery.ramp,
                is_shared=config.delivery.share_rate and not endpoint.broadcast,  # a broadcast has a limit for itself
            ),
            delivery=config.delivery,
            hours=sending_hours(config),
        )


def http_settings(config: Config) -> HttpSettings:
    """Return how requests travel."""
    return HttpSettings(
        timeout_s=config.delivery.timeout,
        transport=config.delivery.transport,
        keepalive=config.delivery.keepalive,
        ca_bundle=config.braze.ca_bundle,
        proxy=config.braze.proxy,
    )


def sending_hours(config: Config) -> SendingHours | None:
    """Return when sending is allowed; None: at any time."""
    return SendingHours.parse(config.delivery.window) if config.delivery.window else None
