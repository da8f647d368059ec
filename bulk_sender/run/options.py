"""Options of the public functions, as small frozen objects.

Built once, and shared by Python callers, the command line and the web page.
"""

from __future__ import annotations

import difflib
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict, TypeVar

from bulk_sender.config.amount import Amount
from bulk_sender.config.defaults import DEFAULT_RUNS_DIR
from bulk_sender.config.duration import parse_duration
from bulk_sender.errors import ConfigError
from bulk_sender.planning.limits import Limits

if TYPE_CHECKING:
    from bulk_sender.config.model import GuardConfig
    from bulk_sender.journal.facts import Format
    from bulk_sender.observe.events import Progress
    from bulk_sender.pace.backoff import Waits
    from bulk_sender.run.beside import Beside
    from bulk_sender.run.control import Control
    from bulk_sender.run.preview import Preview
    from bulk_sender.run.stages import Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Guards:
    """Limits on a run: it does not begin, or does not continue, when one of them says no.

    A function raises GuardrailError for a limit that is exceeded, and ConfigError for one that it cannot keep.
    """

    min_recipients: int | None = None
    """Refuse to begin with fewer recipients than this. Checked when a run begins, not when it is resumed."""
    max_recipients: int | None = None
    """Refuse to begin with more recipients than this, as above."""
    max_rejected: int | str | None = None
    """Refuse to begin when more rows are rejected than this number, or this share of them (``"1%"``)."""
    again: bool = False
    """Send although the same input went to the same target lately (``[guard] repeat_within``)."""
    confirm_again: Callable[[Preview], bool] | None = None
    """Called instead of ``confirm`` when it did. Without it and without ``again`` the run is refused."""
    exclude: Sequence[str | Path] = ()
    """Leave out everyone who was accepted or is in doubt in these runs, or is listed in these files."""
    max_duration: timedelta | str | None = None
    """Stop the run after this time (``"2 hours"``), so that it can be resumed."""
    not_after: datetime | str | None = None
    """Refuse to begin or to resume after this moment: a ``datetime``, or text such as ``"18:00 Europe/Paris"``.

    Without a time zone it is this machine's local time.
    """
    plan_file: str | Path | None = None
    """A file that ``check`` wrote with ``write_plan``. Each request has to be the planned one, byte for byte."""
    canary: int | None = None
    """Send the first N rows, then ask ``Watch.on_canary`` whether to send the rest. Without it the run stops there.

    It holds for the run until somebody has said yes, also when the run is resumed without it.
    """
    confirm: Callable[[Preview], bool] | None = None
    """Called in a thread before the first request. False refuses to send. Nobody is asked without it."""
    count_first: bool = True
    """Whether ``confirm`` gets a full count of the input. If False, only inputs of up to 16 MB are counted first."""

    def __post_init__(self) -> None:
        if self.canary is not None and self.canary < 1:
            raise ConfigError(f"canary must be at least 1 row, not {self.canary}")
        for name in ("min_recipients", "max_recipients"):
            if (value := getattr(self, name)) is not None and value < 0:
                raise ConfigError(f"{name} must be 0 or more, not {value}")
        try:
            if self.max_rejected is not None:
                Amount.parse(self.max_rejected)
        except ValueError as error:
            raise ConfigError(f"max_rejected: {error}") from None
        self.longest()

    def longest(self) -> timedelta | None:
        """Return how long the run may take; None: any time. Raises ConfigError."""
        if isinstance(self.max_duration, str):
            try:
                return parse_duration(self.max_duration)
            except ValueError as error:
                raise ConfigError(f"max_duration: {error}") from None
        return self.max_duration

    def limits(self, config: GuardConfig) -> Limits:
        """Return the limits of these guards, and those of the configuration where these name none."""
        least = self.min_recipients if self.min_recipients is not None else config.min_recipients
        most = self.max_recipients if self.max_recipients is not None else config.max_recipients
        rejected = self.max_rejected if self.max_rejected is not None else config.max_rejected
        return Limits(
            min_recipients=least,
            max_recipients=most,
            max_rejected=Amount.parse(rejected) if rejected is not None else None,
        )

    def refuse_unless(self, function: str, *kept: str) -> None:
        """Raise ConfigError for a guard that ``function`` cannot keep. A guard must never be ignored silently."""
        for guard in fields(self):
            if guard.name not in kept and getattr(self, guard.name) != guard.default:
                raise ConfigError(
                    f"{function} cannot keep the guard {guard.name}", hint=f"{function} keeps {', '.join(kept)}"
                )


@dataclass(frozen=True, slots=True)
class Approval:
    """An answer to whether the rest follows a canary, and whose it is."""

    granted: bool
    by: str = ""
    """Who decided; empty for the ``by`` of the call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """Callbacks that follow a run, and the handle that stops it."""

    on_progress: Callable[[Progress], object] | None = None
    """Called in the event loop four times a second, and at the end. An exception is logged and ends the calls."""
    on_rows: Callable[[int], None] | None = None
    """Called in a thread with the number of rows counted so far, before the first request."""
    on_stage: Callable[[Stage], object] | None = None
    """Called in a thread with each step of the work before the first request: hashing the files, counting the rows."""
    on_canary: Callable[[Progress], Awaitable[bool | Approval | None]] | None = None
    """Awaited once the rows of ``Guards.canary`` have an outcome, and when a held run is resumed.

    True sends the rest. None says that nobody has answered. An ``Approval`` also says who did. A stop ends the wait.
    """
    metrics_file: str | Path | None = None
    """A metrics file for node_exporter, written every 15 seconds and at the end."""
    control: Control | None = None
    """Stops the run from any thread; a check, too, which then raises Interrupted."""
    beside: Beside | None = None
    """For engines that start more processes of a run whose journal is in PostgreSQL, such as ``bulk_sender.ray``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Which:
    """Some of a run's rows, for a decision about them. A decision is about whole requests, so it names all their rows.

    ``rows`` and ``batches`` add up; ``likely`` chooses among them. Without any of them a decision is about all rows.
    """

    rows: str | Iterable[int] | None = None
    """Numbers, or a text of numbers and ranges such as ``"508-557,1007"``.

    Rejected rows and duplicates within a range are ignored.
    """
    batches: tuple[int, ...] = ()
    """Numbers of batches, as in the results."""
    likely: Literal["accepted", "not_accepted"] | None = None
    """Only unknown rows of which the evidence says this."""
    file: str | Path | None = None
    """A CSV file with the columns ``row`` and ``verdict``: ``accepted``, ``failed``, ``retry`` or empty.

    ``resolve`` records its first two verdicts, and ``retry`` sends the rows of the third.
    """

    def __post_init__(self) -> None:
        if self.likely not in (None, "accepted", "not_accepted"):
            raise ConfigError(f"{self.likely!r} is not a likely outcome", hint="choose accepted or not_accepted")
        if self.file is not None and (self.rows is not None or self.batches or self.likely is not None):
            raise ConfigError("a file of decisions names its rows by itself", hint="leave out rows, batches and likely")


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
    must_exist: bool = False
    """Refuse to begin when ``folder`` does not exist: a disk that is not mounted must not look like a first run."""
    result_format: Format = "csv"
    """``csv``, ``parquet`` or ``ndjson``."""


class Surroundings(TypedDict, total=False):
    """Plain keywords of every function that reads a configuration."""

    overrides: Mapping[str, Any] | None
    """Any other key of the configuration, dotted: ``{"delivery.attempts": 3}``."""
    environment: Mapping[str, str] | None
    """Replaces the environment of this process, which holds the key."""


class Deciding(TypedDict, total=False):
    """Plain keyword of every function in which somebody may decide."""

    by: str | None
    """Who decides, for the journal. Default: the account of this process."""


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
    sheet: str | None
    """The sheet of a workbook. Default: the first visible one with rows."""
    concurrency: int | None
    """Maximum parallel requests."""
    runs_dir: str | Path | None
    """The folder of all runs; short for ``RunName(folder=…)``."""
    on_progress: Callable[[Progress], object] | None
    """Short for ``Watch(on_progress=…)``."""
    again: bool
    """Short for ``Guards(again=…)``."""


class PreviewSettings(CheckSettings, Surroundings, total=False):
    """Plain keywords of ``preview``."""


class SendSettings(CheckSettings, DeliverySettings, Deciding, total=False):
    """Plain keywords of ``send``."""

    run_id: str | None
    """Short for ``RunName(id=…)``."""


class ResumeSettings(DeliverySettings, Deciding, total=False):
    """Plain keywords of ``resume`` and ``retry``. A run's target and rows cannot change any more."""

    again: bool
    rate: str | None
    concurrency: int | None
    runs_dir: str | Path | None
    on_progress: Callable[[Progress], object] | None


class BroadcastSettings(TargetSettings, DeliverySettings, total=False):
    """Plain keywords of ``broadcast``."""

    again: bool
    run_id: str | None
    runs_dir: str | Path | None
    on_progress: Callable[[Progress], object] | None


_OBJECTS: dict[str, type[Guards] | type[Watch] | type[Sandbox] | type[RunName] | type[Which]] = {
    "guards": Guards,
    "watch": Watch,
    "sandbox": Sandbox,
    "run": RunName,
    "which": Which,
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


def guarded(guards: Guards, plain: Mapping[str, Any]) -> Guards:
    """Return ``guards`` with ``again`` of the plain keywords. Raises ConfigError if both are given."""
    return _merged(guards, "guards", plain, {"again": "again"})


def rehearsal(sandbox: Sandbox | bool | None) -> Sandbox | None:
    """Return the sandbox to send to; None for the real Braze. True is a calm one."""
    if isinstance(sandbox, bool):
        return Sandbox() if sandbox else None
    return sandbox


_Options = TypeVar("_Options", Guards, RunName, Watch)


def _merged(options: _Options, what: str, plain: Mapping[str, Any], names: Mapping[str, str]) -> _Options:
    given = {field: plain[name] for name, field in names.items() if plain.get(name) is not None}
    for name, field in names.items():
        if field in given and getattr(options, field) != options.__dataclass_fields__[field].default:
            raise ConfigError(
                f"{name} is given twice, as {name}= and as {what}={type(options).__name__}({field}=…)",
                hint="give one of them",
            )
    return replace(options, **given) if given else options
