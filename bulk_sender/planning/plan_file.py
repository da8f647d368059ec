"""A plan file: digests of a checked plan. ``send`` refuses anything different.

It pins what is sent, not how: the input's bytes, the settings that decide the requests, the counts, and one digest
over all bodies. Names of files are in it for people; the name of a file may differ if its bytes are the same.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bulk_sender._version import __version__
from bulk_sender.atomic import write_json
from bulk_sender.config.difference import differing_keys
from bulk_sender.config.model import Config
from bulk_sender.errors import BulkSenderError, ConfigError, GuardrailError
from bulk_sender.planning.report import CheckReport
from bulk_sender.reading.identity import FileIdentity

KIND: Final = "bulk-sender plan"
VERSION: Final = 1
_COUNTS = ("rows", "valid", "rejected", "duplicate", "requests")
_LARGEST_BYTES = 64 << 20
_AGAIN = "write a new plan with bulk-sender check … --plan FILE, and look at what is different"

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class PlannedFile(_Model):
    """One file of the input; ``size`` in bytes."""

    name: str
    size: Count
    sha256: Sha256

    @classmethod
    def of(cls, file: FileIdentity) -> Self:
        shown = file.name.encode("utf-8", "replace").decode()  # a name may hold bytes that are not text
        return cls(name=shown, size=file.size, sha256=file.sha256)


class Counts(_Model):
    """The numbers of rows by the result of their check, and of requests."""

    rows: Count
    valid: Count
    rejected: Count
    duplicate: Count
    requests: Count


class PlanFile(_Model):
    """The contents of a plan file.

    ``configuration`` are a run's frozen settings, in clear; they never hold a key. ``canary`` is the number of rows
    that go out first: it decides where a batch ends. ``bodies_sha256`` is over all requests' bodies in order.
    """

    kind: Literal["bulk-sender plan"] = KIND
    version: Literal[1] = VERSION
    tool: str = f"bulk-sender {__version__}"
    input: list[PlannedFile]
    configuration: dict[str, Any]
    configuration_sha256: Sha256
    canary: int | None
    counts: Counts
    bodies_sha256: Sha256

    @classmethod
    def of(
        cls,
        input: Sequence[FileIdentity],
        settings: Config,
        canary: int | None,
        report: CheckReport,
    ) -> Self:
        configuration = settings.frozen_settings()
        return cls(
            input=[PlannedFile.of(item) for item in input],
            configuration=configuration,
            configuration_sha256=_digest(configuration),
            canary=canary,
            counts=Counts(**{name: getattr(report, name) for name in _COUNTS}),
            bodies_sha256=report.bodies_sha256,
        )

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Read a plan file. Raise ConfigError when it is missing, damaged, or not a plan file."""
        path = Path(path)
        try:
            found = _look(path)
        except OSError as error:
            raise ConfigError(
                f"cannot read plan file {path}: {error.strerror}", hint="check the path given to --plan"
            ) from None
        if found is None:
            raise ConfigError(
                f"{path} is not a bulk-sender plan file", hint="give --plan the file that check --plan wrote"
            )
        if found.get("version") != VERSION:
            raise ConfigError(
                f"plan file {path} has version {found.get('version')!r}, and this is bulk-sender {__version__}, "
                f"which reads version {VERSION}",
                hint="make the plan with the release that sends it",
            )
        try:
            plan = cls.model_validate(found)
        except ValidationError as error:
            where = ".".join(map(str, error.errors(include_url=False)[0]["loc"]))
            raise ConfigError(f"plan file {path} is damaged at {where}", hint=_AGAIN) from None
        if plan.configuration_sha256 != _digest(plan.configuration):
            raise ConfigError(
                f"plan file {path} is damaged: its configuration does not match its digest",
                hint=_AGAIN,
            )
        return plan

    @property
    def digest(self) -> str:
        """SHA-256 over all of the plan but the release that wrote it and the names of its files.

        Two plans with the same digest send the same requests to the same place, so it is what a person approves.
        """
        told = self.model_dump(exclude={"tool": True, "input": {"__all__": {"name"}}})
        return hashlib.sha256(json.dumps(told, separators=(",", ":")).encode()).hexdigest()

    def write(self, path: Path) -> None:
        """Write the plan in one step, private (mode 0600). Raise ConfigError when that is impossible."""
        try:
            write_json(path, self.model_dump())
        except BulkSenderError as error:
            raise ConfigError(f"{error}", hint="write the plan file elsewhere") from None

    # --- comparing with what is about to be sent ----------------------------------------------------------------

    def refuse_other_terms(
        self, input: Sequence[FileIdentity], settings: Config, canary: int | None, *, sandbox: bool
    ) -> None:
        """Compare what is known before a row is read. Raise GuardrailError naming every difference.

        In the ``sandbox`` a plan may be rehearsed: where it goes is then no difference.
        """
        self._refuse([*self._other_input(input), *self._other_settings(settings, sandbox), *self._other_canary(canary)])

    def refuse_other_outcome(self, report: CheckReport) -> None:
        """Compare the result of planning the whole input. Raise GuardrailError naming every difference."""
        planned = self.counts.model_dump()
        found = [
            f"{name} ({getattr(report, name)}, in the plan {planned[name]})"
            for name in _COUNTS
            if getattr(report, name) != planned[name]
        ]
        if report.bodies_sha256 != self.bodies_sha256:
            made_by = f" of {self.tool}" if self.tool != f"bulk-sender {__version__}" else ""
            now, then = _short(report.bodies_sha256), _short(self.bodies_sha256)
            found.append(f"the requests' bodies (SHA-256 {now}, in the plan{made_by} {then})")
        self._refuse(found)

    def _refuse(self, differences: Sequence[str]) -> None:
        if differences:
            raise GuardrailError(
                f"what would be sent differs from the plan in {'; '.join(differences)}: nothing was sent",
                hint=f"use the input and configuration of the plan; if the change is intended, {_AGAIN}",
            )

    def _other_input(self, found: Sequence[FileIdentity]) -> Iterator[str]:
        if len(found) != len(self.input):
            yield f"input ({len(found)} files, in the plan {len(self.input)})"
            return
        for now, then in zip(found, self.input, strict=True):
            if now.sha256 != then.sha256:
                yield f"input {now.name} ({_identity(now)}, in the plan {_identity(then)})"

    def _other_settings(self, settings: Config, sandbox: bool) -> Iterator[str]:
        now, then = settings.frozen_settings(), self.configuration
        if sandbox:
            now, then = _unaddressed(now), _unaddressed(then)
        keys = sorted(differing_keys(now, then))
        if not keys and _digest(now) != _digest(then):
            keys = ["the order of the keys"]  # it is the order of the properties in each body
        yield from (f"the configuration's {key}" for key in keys)

    def _other_canary(self, canary: int | None) -> Iterator[str]:
        if canary != self.canary:
            yield f"the canary ({canary or 'none'}, in the plan {self.canary or 'none'})"


def refuse_to_replace(path: Path) -> None:
    """Raise ConfigError before anything is read if the plan would replace a file that is not a plan file."""
    if not path.parent.is_dir():
        raise ConfigError(f"{path.parent} is not a folder", hint="write the plan file elsewhere")
    try:
        is_plan = _look(path) is not None
    except FileNotFoundError:
        return
    except OSError:
        is_plan = False
    if not is_plan:
        raise ConfigError(f"{path} exists and is not a plan file", hint="choose another name, or move that file away")


def _look(path: Path) -> dict[str, Any] | None:
    """Return the contents of a plan file; None for anything else, such as a folder or a pipe. Raise OSError."""
    if path.exists() and not path.is_file():
        return None
    with path.open("rb") as file:
        raw = file.read(_LARGEST_BYTES)
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and found.get("kind") == KIND else None


def _identity(file: FileIdentity | PlannedFile) -> str:
    return f"{file.size} bytes of SHA-256 {_short(file.sha256)}"


def _short(digest: str) -> str:
    """Return enough of a digest to compare by eye."""
    return f"{digest[:12]}…"


def _unaddressed(configuration: dict[str, Any]) -> dict[str, Any]:
    braze = configuration.get("braze")
    return configuration | {"braze": braze | {"endpoint": None}} if isinstance(braze, dict) else configuration


def _digest(configuration: dict[str, Any]) -> str:
    """Return the digest of the settings as JSON in their own order, which decides the order in each body."""
    text = json.dumps(configuration, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
