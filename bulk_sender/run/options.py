"""Options of the public functions, as small frozen objects.

Built once, and shared by Python callers, the command line and the web page.
"""

from __future__ import annotations

import difflib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar

from bulk_sender.config.defaults import DEFAULT_RUNS_DIR
from bulk_sender.errors import ConfigError

if TYPE_CHECKING:
    from bulk_sender.journal.facts import Format
    from bulk_sender.observe.events import Progress
    from bulk_sender.pace.backoff import Waits
    from bulk_sender.run.control import Control
    from bulk_sender.run.preview import Preview


@dataclass(frozen=True, slots=True, kw_only=True)
class Guards:
    """Limits on a run: it does not begin, or does not continue, when one of them says no.

    A function raises GuardrailError for a limit that is exceeded, and ConfigError for one that it cannot keep.
    """

    max_recipients: int | None = None
    """Refuse to begin with more recipients than this. Checked when a run begins, not when it is resumed."""
    not_after: datetime | str | None = None
    """Refuse to begin or to resume after this moment: a ``datetime``, or text such as ``"18:00 Europe/Paris"``.

    Without a time zone it is this machine's local time.
    """
    plan_file: str | Path | None = None
    """A file that ``check`` wrote with ``write_plan``. Each request has to be the planned one, byte for byte."""
    canary: int | None = None
    """Send the first N rows, then ask ``Watch.on_canary`` whether to send the rest. Without it the run stops there."""
    confirm: Callable[[Preview], bool] | None = None
    """Called in a thread before the first request. False refuses to send. Nobody is asked without it."""
    count_first: bool = True
    """Whether ``confirm`` gets a full count of the input. If False, only inputs of up to 16 MB are counted first."""

    def __post_init__(self) -> None:
        if self.canary is not None and self.canary < 1:
            raise ConfigError(f"canary must be at least 1 row, not {self.canary}")
        if self.max_recipients is not None and self.max_recipients < 0:
            raise ConfigError(f"max_recipients must be 0 or more, not {self.max_recipients}")

    def refuse_unless(self, function: str, *kept: str) -> None:
        """Raise ConfigError for a guard that ``function`` cannot keep. A guard must never be ignored silently."""
        for guard in fields(self):
            if guard.name not in kept and getattr(self, guard.name) != guard.default:
                raise ConfigError(
                    f"{function} cannot keep the guard {guard.name}", hint=f"{function} keeps {', '.join(kept)}"
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """Callbacks that follow a run, and the handle that stops it."""

    on_progress: Callable[[Progress], object] | None = None
    """Called in the event loop four times a second, and at the end. An exception is logged and ends the calls."""
    on_rows: Callable[[int], None] | None = None
    """Called in a thread with the number of rows counted so far, before the first request."""
    on_canary: Callable[[Progress], Awaitable[bool]] | None = None
    """Awaited once the rows of ``Guards.canary`` have an outcome. True sends the rest."""
    metrics_file: str | Path | None = None
    """A metrics file for node_exporter, written every 15 seconds and at the end."""
    control: Control | None = None
    """Stops the run from any thread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandbox:
    """Send to a simulated Braze inside this process instead of the real one. Needs no key and no campaign."""

    weather: str = "calm"
    """What goes wrong: ``calm``, ``slow``, ``throttled``, ``lost-answers``, ``outage`` or ``storm``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunName:
    """The run's name, the folder that holds it, and the format of its results."""

    id: str | None = None
    """Default: a new name. The same name again resumes or reports the run instead of sending twice."""
    folder: str | Path = DEFAULT_RUNS_DIR
    """The folder of all runs. The run gets a folder of its name in it."""
    result_format: Format = "csv"
    """``csv``, ``parquet`` or ``ndjson``."""


class Surroundings(TypedDict, total=False):
    """Plain keywords of every function that reads a configuration."""

    overrides: Mapping[str, Any] | None
    """Any other key of the configuration, dotted: ``{"delivery.attempts": 3}``."""
    environment: Mapping[str, str] | None
    """Replaces the environment of this process, which holds the key."""


class DeliverySettings(Surroundings, total=False):
    """Plain keywords of every function that sends."""

    waits: Waits | None
    """Other pauses between attempts than the usual ones, for tests and simulations."""


class TargetSettings(Surroundings, total=False):
    """Plain keywords of every function that can name a target."""

    campaign_id: str | None
    canvas_id: str | None
    endpoint: str | None
    """The instance's REST address, such as ``https://rest.iad-01.braze.com``."""
    rate: str | None
    """Requests, such as ``"250000/hour"``."""


class DoctorSettings(TargetSettings, Surroundings, total=False):
    """Plain keywords of ``doctor``."""


class CheckSettings(TargetSettings, total=False):
    """Plain keywords of ``check``."""

    limit: int | None
    """The first N rows only."""
    concurrency: int | None
    """Maximum parallel requests."""


class PreviewSettings(CheckSettings, Surroundings, total=False):
    """Plain keywords of ``preview``."""


class SendSettings(CheckSettings, DeliverySettings, total=False):
    """Plain keywords of ``send``."""

    run_id: str | None
    """Short for ``RunName(id=…)``."""
    runs_dir: str | Path | None
    """Short for ``RunName(folder=…)``."""
    on_progress: Callable[[Progress], object] | None
    """Short for ``Watch(on_progress=…)``."""


class ResumeSettings(DeliverySettings, total=False):
    """Plain keywords of ``resume`` and ``retry``. A run's target and rows cannot change any more."""

    rate: str | None
    concurrency: int | None
    runs_dir: str | Path | None
    on_progress: Callable[[Progress], object] | None


class BroadcastSettings(TargetSettings, DeliverySettings, total=False):
    """Plain keywords of ``broadcast``."""

    run_id: str | None
    runs_dir: str | Path | None
    on_progress: Callable[[Progress], object] | None


_OBJECTS: dict[str, type[Guards] | type[Watch] | type[Sandbox] | type[RunName]] = {
    "guards": Guards,
    "watch": Watch,
    "sandbox": Sandbox,
    "run": RunName,
}


def refuse_unknown(function: str, allowed: type, plain: Mapping[str, Any], *objects: str) -> None:
    """Raise TypeError for a keyword that ``function`` does not take, naming where it belongs or the nearest one.

    ``allowed``: the TypedDict of its plain keywords; ``objects``: its option objects.
    """
    known = [*allowed.__annotations__, "config", *objects]
    for name in plain:
        if name in allowed.__annotations__:
            continue
        for where in objects:
            if name in _OBJECTS[where].__dataclass_fields__:
                raise TypeError(
                    f"{function}() takes {name!r} in an option object: {where}={_OBJECTS[where].__name__}({name}=…)"
                )
        near = difflib.get_close_matches(name, known, n=1)
        raise TypeError(
            f"{function}() got an unexpected keyword argument {name!r}"
            + (f"; did you mean {near[0]!r}?" if near else f"; it takes {', '.join(known)}")
        )


def named(run: RunName, plain: Mapping[str, Any]) -> RunName:
    """Return ``run`` with ``run_id`` and ``runs_dir`` of the plain keywords. Raises ConfigError if both name one."""
    return _merged(run, "run", plain, {"run_id": "id", "runs_dir": "folder"})


def watching(watch: Watch, plain: Mapping[str, Any]) -> Watch:
    """Return ``watch`` with ``on_progress`` of the plain keywords. Raises ConfigError if both are given."""
    return _merged(watch, "watch", plain, {"on_progress": "on_progress"})


def rehearsal(sandbox: Sandbox | bool | None) -> Sandbox | None:
    """Return the sandbox to send to; None for the real Braze. True is a calm one."""
    if isinstance(sandbox, bool):
        return Sandbox() if sandbox else None
    return sandbox


_Options = TypeVar("_Options", RunName, Watch)


def _merged(options: _Options, what: str, plain: Mapping[str, Any], names: Mapping[str, str]) -> _Options:
    given = {field: plain[name] for name, field in names.items() if plain.get(name) is not None}
    for name, field in names.items():
        if field in given and getattr(options, field) != options.__dataclass_fields__[field].default:
            raise ConfigError(
                f"{name} is given twice, as {name}= and as {what}={type(options).__name__}({field}=…)",
                hint="give one of them",
            )
    return replace(options, **given) if given else options
