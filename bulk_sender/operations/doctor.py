"""Look at everything that a send needs, without sending: configuration, key, host, campaign, clock, disk."""

from __future__ import annotations

import shutil
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Unpack
from urllib.parse import urlsplit

import anyio

from bulk_sender.braze.details import DetailsAnswer, read_answer
from bulk_sender.braze.endpoint import check_url
from bulk_sender.braze.headers import server_now
from bulk_sender.braze.hosts import host_warning
from bulk_sender.config.defaults import ANOTHER_RUNS_DIR, DEFAULT_RUNS_DIR
from bulk_sender.config.hosts import is_loopback
from bulk_sender.config.loading import PROXY
from bulk_sender.config.model import Config
from bulk_sender.durable import sync_file
from bulk_sender.errors import BulkSenderError, ConfigError, CredentialError
from bulk_sender.eventloop import blocking
from bulk_sender.http.credential import Credential
from bulk_sender.http.evidence import Evidence
from bulk_sender.reading.spool import is_locked, left_over
from bulk_sender.run.options import DoctorSettings, refuse_unknown
from bulk_sender.run.preflight import ask, refused_key, unreached
from bulk_sender.run.settings import ConfigLike, config_of, environment_of
from bulk_sender.text.numbers import duration, several

CheckState = Literal["ok", "warning", "refused", "not tried"]
"""``refused``: a send would end with exit code 2, or stop at its first request."""

_RESOLVE_S = 5.0
_SKEW_S = 30.0
"""HTTP dates are whole seconds, and an answer takes a moment."""
_LITTLE_BYTES = 1 << 30
_REMOTE = ("nfs", "cifs", "smb", "9p", "fuse", "afs", "ceph", "glusterfs", "lustre")


@dataclass(frozen=True, slots=True)
class Examination:
    """One thing that was looked at."""

    name: str
    state: CheckState
    text: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Everything that was looked at, in order."""

    found: tuple[Examination, ...]

    @property
    def exit_code(self) -> int:
        """2 when a send would be refused, else 0, with warnings too."""
        return 2 if any(each.state == "refused" for each in self.found) else 0

    def to_dict(self) -> dict[str, Any]:
        return {"exit_code": self.exit_code, "found": [asdict(each) for each in self.found]}


async def doctor_async(
    config: ConfigLike = None, *, runs_dir: str | Path = DEFAULT_RUNS_DIR, **plain: Unpack[DoctorSettings]
) -> Diagnosis:
    """Look at what a send needs: one GET to Braze, and one temporary file in the folder of all runs.

    Raises nothing for what it finds. The arguments mean the same as those of ``send``.
    """
    refuse_unknown("doctor", DoctorSettings, plain, "runs_dir")
    found: list[Examination] = []
    try:
        settings = config_of(config, plain)
    except BulkSenderError as error:
        return Diagnosis((_refusal("configuration", error), *_local(Path(runs_dir))))
    target = settings.target
    found.append(Examination("configuration", "ok", "valid"))
    key, about_key = _key(environment_of(plain))
    found.append(about_key)
    base, about_endpoint = _endpoint(settings)
    found.append(about_endpoint)
    if not target:
        hint = "give --campaign-id ID or --canvas-id ID, or set it under [braze]"
        found.append(Examination("target", "refused", "neither a campaign nor a Canvas is set", hint))
    if base and key is not None and about_key.state == "warning" and is_loopback(urlsplit(base).hostname or ""):
        found[1] = Examination(about_key.name, "ok", about_key.text)
    if base and not settings.braze.proxy and not environment_of(plain).get(PROXY):
        found.append(await _name(base))
    if base and key is not None:
        found += await _asked(settings, key, base)
    elif base:
        found.append(Examination("host", "not tried", "without a key nothing can be asked"))
    return Diagnosis((*found, *_local(Path(runs_dir))))


doctor = blocking(doctor_async)


def _refusal(name: str, error: BulkSenderError) -> Examination:
    return Examination(name, "refused", str(error), error.hint)


def _key(environment: Mapping[str, str]) -> tuple[Credential | None, Examination]:
    try:
        key = Credential.from_environment(environment)
    except CredentialError as error:
        return None, _refusal("key", error)
    where = "in BRAZE_API_KEY, which every child process inherits; a private file is better"
    if not environment.get("BRAZE_API_KEY", "").strip():
        path = Path(environment["BRAZE_API_KEY_FILE"])
        where = f"in {path}, mode {path.stat().st_mode & 0o777:04o}"
    if key.warning:
        return key, Examination("key", "warning", key.warning, where)
    return key, Examination("key", "ok", where)


def _endpoint(config: Config) -> tuple[str, Examination]:
    try:
        base = check_url(config.braze.endpoint)
    except ConfigError as error:
        return "", _refusal("endpoint", error)
    if unusual := host_warning(base):
        return base, Examination("endpoint", "warning", unusual)
    return base, Examination("endpoint", "ok", base)


async def _name(base: str) -> Examination:
    host = urlsplit(base).hostname or ""
    addresses: set[str] = set()
    try:
        with anyio.fail_after(_RESOLVE_S):
            found = await anyio.to_thread.run_sync(
                lambda: socket.getaddrinfo(host, None, type=socket.SOCK_STREAM), abandon_on_cancel=True
            )
        addresses = {str(entry[4][0]) for entry in found}
    except TimeoutError:
        return Examination("name", "refused", f"the name {host} was not resolved in time", "check this machine's DNS")
    except OSError:
        return Examination("name", "refused", f"the name {host} cannot be resolved", "check its spelling, and DNS")
    return Examination("name", "ok", f"{host} has {several(len(addresses), 'address', 'addresses')}")


async def _asked(config: Config, key: Credential, base: str) -> list[Examination]:
    """Examine host, key, target, permissions and clock with one question."""
    try:
        evidence = await ask(config, key)
    except ConfigError as error:
        return [_refusal("host", error)]
    if refusal := unreached(evidence, base):
        return [_refusal("host", refusal)]
    secure = "TCP and TLS" if base.startswith("https") else "TCP"
    found = [Examination("host", "ok", f"reached by {secure}; its answer took {duration(evidence.elapsed_s)}")]
    answer = read_answer(evidence, canvas=config.is_canvas)
    if answer.key_refused:
        found.append(_refusal("key taken", refused_key(answer, config)))
    elif config.target:
        found.append(_target(config, answer))
    found += _permissions(config, answer)
    found.append(_clock(evidence))
    return found


def _target(config: Config, answer: DetailsAnswer) -> Examination:
    kind = "Canvas" if config.is_canvas else "campaign"
    if answer.details is None:
        return Examination(kind, "warning", f"name and state are unknown: {answer.why_not}")
    if answer.details.refusal:
        return Examination(kind, "refused", answer.details.refusal, answer.details.remedy)
    return Examination(kind, "ok", f"{answer.details.name!r} is live")


def _permissions(config: Config, answer: DetailsAnswer) -> Iterator[Examination]:
    group = "canvas" if config.is_canvas else "campaigns"
    if answer.details is not None:
        yield Examination(f"{group}.details", "ok", "the key has it")
    yield Examination(f"{group}.trigger.send", "not tried", "only a send can tell")
    yield Examination("users.export.ids", "not tried", "only reconcile needs it")


def _clock(evidence: Evidence) -> Examination:
    now = time.time()
    if "date" not in evidence.headers:
        return Examination("clock", "not tried", "the answer has no date to compare with")
    apart = server_now(evidence.headers, now) - now
    if abs(apart) > _SKEW_S:
        side = "behind" if apart > 0 else "ahead of"
        hint = "synchronize it (NTP); times in results and sending hours depend on it"
        return Examination("clock", "warning", f"this machine's clock is {duration(abs(apart))} {side} Braze's", hint)
    return Examination("clock", "ok", "agrees with Braze's")


def _local(runs_dir: Path) -> Iterator[Examination]:
    folder = runs_dir.absolute()
    while not folder.exists():
        folder = folder.parent
    is_new = folder != runs_dir.absolute()
    kind = _file_system(folder)
    where = f"{runs_dir} does not exist yet; {folder}" if is_new else str(runs_dir)
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".bulk-sender-doctor-") as file:
            file.write(b"x")
            file.flush()
            sync_file(file.fileno())
    except OSError as error:
        hint = f"make it writable, or {ANOTHER_RUNS_DIR}"
        yield Examination("runs folder", "refused", f"{where} cannot be written: {error.strerror}", hint)
    else:
        text = f"{where} can be written and synchronized ({kind or 'file system unknown'})"
        if kind.startswith(_REMOTE):
            hint = "a journal needs reliable locks and synchronization: prefer a local disk"
            yield Examination("runs folder", "warning", text, hint)
        else:
            yield Examination("runs folder", "ok", text)
    if not is_new and (left := left_over(folder)):
        yield _left_over(left)
    free = shutil.disk_usage(folder).free
    state: CheckState = "warning" if free < _LITTLE_BYTES else "ok"
    hint = "a run's folder takes about the size of its input, and its results as much again" if state != "ok" else ""
    yield Examination("disk", state, f"{free / 1e9:,.1f} GB free", hint)


def _left_over(folders: list[Path]) -> Examination:
    """Name the stored inputs of killed processes: they hold data of people."""
    older = [folder for folder in folders if not is_locked(folder)]
    text = f"{several(len(folders), 'stored input')} of killed processes: {', '.join(map(str, (older or folders)[:3]))}"
    hint = "the next send, or runs prune, removes them"
    if older:
        hint = "of an earlier release: once no process of it runs any more, remove them yourself"
    return Examination("left over", "warning", text, hint)


def _file_system(folder: Path) -> str:
    """Return the type of the file system that holds ``folder``; empty where the system does not say."""
    try:
        mounts = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace")
        device = folder.stat().st_dev
    except OSError:
        return ""
    found = ""
    for line in mounts.splitlines():
        parts = line.split()
        try:
            if len(parts) > 2 and Path(parts[1].replace("\\040", " ")).stat().st_dev == device:
                found = parts[2]
        except OSError:
            continue
    return found
