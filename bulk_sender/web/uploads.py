"""Uploads: files that arrive in parts, in flat memory, and continue after a cut, a reload or the server's death.

The size of the part that is on disk is the only truth about how far an upload is. It becomes the file when its last
byte is durable. Nothing here is ever served back as a page.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
import threading
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Protocol

import anyio.to_thread

from bulk_sender.durable import make_folders, sync_file, sync_folder
from bulk_sender.errors import BulkSenderError
from bulk_sender.text.clean import clean
from bulk_sender.web import drafts
from bulk_sender.web.drafts import ConflictError, Draft, Step
from bulk_sender.web.store import Entry, Store

MOST_BYTES = 4 << 30
MOST_PART = 16 << 20
MOST_DRAFTS = 20
IDLE_S = 24 * 3600.0
ASKED_IDLE_S = 7 * IDLE_S
"""For a send that somebody was asked to approve, and for the file of a run that has ended."""
KINDS = (
    *(".csv", ".tsv", ".txt", ".ndjson", ".jsonl", ".json", ".parquet", ".pq"),
    *(".arrow", ".arrows", ".ipc", ".feather", ".xlsx", ".xlsm"),
)
"""The endings of file names that are taken. Others, such as ``.sql``, the library may read as something else."""
COMPRESSED = (".gz", ".gzip", ".zst", ".zstd", ".bz2", ".zip")
_PIECE = 1 << 20
"""Bytes that are kept in memory before they are written."""
_LONGEST_NAME = 120
_MOST_NAME_BYTES = 200
_UNSAFE = re.compile(r"[^\w .,()+&@=-]")
_PART = ".part"
_LEAVES_S = 2.0


class UploadError(BulkSenderError):
    """An upload that is refused. ``status``: for HTTP."""

    status = 400


class TooLargeError(UploadError):
    """More bytes than are taken."""

    status = 413


class TooManyError(UploadError):
    """A person has as many files here as anybody may have."""

    status = 409


class NoSpaceError(UploadError):
    """The disk is too full."""

    status = 507


class WrongOffsetError(UploadError):
    """A part that does not begin where the file ends. ``offset``: where it does."""

    status = 409

    def __init__(self, offset: int) -> None:
        super().__init__(f"the upload has {offset:,} bytes so far", hint="send the part that begins there")
        self.offset = offset


class _Digest(Protocol):
    def update(self, data: bytes, /) -> None: ...
    def hexdigest(self) -> str: ...


@dataclass(slots=True)
class _Hashed:
    """The SHA-256 of the first ``count`` bytes of a file. It is lost with the process, and then made again."""

    digest: _Digest = field(default_factory=hashlib.sha256)
    count: int = 0

    def add(self, data: bytes) -> None:
        self.digest.update(data)
        self.count += len(data)


class Uploads:
    """The files of one page's drafts, each in a folder of its draft's id."""

    def __init__(self, folder: Path, store: Store) -> None:
        self._folder = folder
        self._store = store
        self._hashed: dict[str, _Hashed] = {}
        self._busy: set[str] = set()
        self._lock = threading.Lock()

    def begin(self, name: str, size: int, who: str) -> Draft:
        """Expect a file. Raises UploadError."""
        name = cleaned(name)
        refuse_kind(name)
        if size < 1:
            raise UploadError("the file is empty", hint="choose a file with at least one row")
        if size > MOST_BYTES:
            raise TooLargeError(
                f"the file has {size:,} bytes; at most {MOST_BYTES:,} are taken",
                hint="compress it (.gz or .zst), or send it from the command line",
            )
        if sum(each.person == who and each.step is not Step.LAUNCHED for each in self._store.drafts()) >= MOST_DRAFTS:
            raise TooManyError(f"you have {MOST_DRAFTS} files here already", hint="delete one that you no longer need")
        make_folders(self._folder)
        if shutil.disk_usage(self._folder).free < 2 * size:
            raise NoSpaceError(
                "there is not enough space on the server's disk", hint="twice the size of the file must be free"
            )
        draft = self._store.create(Draft("", name, size, who), Entry(who, "began an upload", told=name))
        self._make_folders(draft)
        return draft

    def offset(self, draft: Draft) -> int:
        """Return how many bytes of a file are here."""
        for path in (self._part(draft), self.path(draft)):
            with suppress(OSError):
                return path.stat(follow_symlinks=False).st_size
        return 0

    def path(self, draft: Draft) -> Path:
        """Return where a draft's file is, or will be."""
        return Path(draft.path) if draft.path else self.home(draft) / "input" / draft.name

    def rejects(self, draft: Draft) -> Path:
        """Return where the rows that a check found to be wrong are."""
        return self.home(draft) / f"rejected-{draft.terms[:16]}.csv"

    def plan(self, draft: Draft) -> Path:
        """Return where the plan file of a check is."""
        return self.home(draft) / f"plan-{draft.terms[:16]}.json"

    async def receive(self, draft: Draft, offset: int, data: AsyncIterator[bytes], who: str) -> int:
        """Add the bytes that begin at ``offset``. Return how many there are now; with the last one, the file is whole.

        Bytes that arrived before a connection was cut are kept. Raises UploadError.
        """
        with self._lock:
            if draft.id in self._busy:
                raise WrongOffsetError(self.offset(draft))
            self._busy.add(draft.id)
        try:
            return await self._received(draft, offset, data, who)
        finally:
            with self._lock:
                self._busy.discard(draft.id)

    async def _received(self, draft: Draft, offset: int, data: AsyncIterator[bytes], who: str) -> int:
        found = await anyio.to_thread.run_sync(self._store.draft, draft.id)  # another tab may have been first
        here = self.offset(draft)
        if found is None or found.step is not Step.UPLOADING or offset != here:
            raise WrongOffsetError(here)
        room = min(MOST_PART, draft.size - here)
        kept = bytearray()
        part = await anyio.to_thread.run_sync(self._opened, draft, here)
        try:
            try:
                async for piece in data:
                    room -= len(piece)
                    if room < 0:
                        raise TooLargeError("the part is longer than it may be", hint="send parts of at most 16 MB")
                    kept += piece
                    if len(kept) >= _PIECE:
                        await anyio.to_thread.run_sync(self._write, part, draft, bytes(kept))
                        kept.clear()
            finally:
                with anyio.CancelScope(shield=True):
                    await anyio.to_thread.run_sync(self._write, part, draft, bytes(kept))
        finally:
            os.close(part)
        await anyio.to_thread.run_sync(self._store.touch, draft.id)
        here = self.offset(draft)
        if here == draft.size:
            await anyio.to_thread.run_sync(self._finish, draft, who)
        return here

    def take(self, name: str, data: bytes, who: str) -> Draft:
        """Keep a small file that is whole already. Raises UploadError."""
        draft = self.begin(name, len(data), who)
        part = self._opened(draft, 0)
        try:
            self._write(part, draft, data)
        finally:
            os.close(part)
        return self._finish(draft, who)

    def place_for(self, draft: Draft, name: str) -> Path:
        """Return a free path for another file of a draft, in its folder."""
        self._make_folders(draft)
        folder, stem = self.home(draft) / "input", cleaned(name)
        path = folder / stem
        number = 2
        while path.exists():
            path, number = folder / f"{PurePath(stem).stem}-{number}{PurePath(stem).suffix}", number + 1
        return path

    def settle(self, draft: Draft) -> Draft:
        """Return the draft, made whole if the server ended between its file's last byte and its record."""
        with self._lock:
            if draft.step is not Step.UPLOADING or draft.id in self._busy or self.offset(draft) != draft.size:
                return draft
            self._busy.add(draft.id)
        try:
            return self._finish(draft, draft.person)
        finally:
            with self._lock:
                self._busy.discard(draft.id)

    def delete(self, draft: Draft, who: str, did: str = "deleted the file") -> None:
        """Remove a draft with its file. A file that was on the server before stays.

        Raises UploadError while it is uploaded, and ConflictError if it was launched after ``draft`` was read.
        """
        deadline = time.monotonic() + _LEAVES_S
        while draft.id in self._busy:  # the server hears a moment later that a browser cut its connection
            if time.monotonic() > deadline:
                raise UploadError("the file is being uploaded", hint="pause the upload first")
            time.sleep(0.02)
        unless = None if draft.step is Step.LAUNCHED else Step.LAUNCHED  # a run that began meanwhile needs the file
        self._store.delete(draft.id, Entry(who, did, told=draft.name), unless=unless)
        self._hashed.pop(draft.id, None)
        shutil.rmtree(self.home(draft), ignore_errors=True)

    def clean_up(self, now: float | None = None) -> None:
        """Delete what nobody touched for a day and was not launched, and folders that belong to nothing."""
        late = (time.time() if now is None else now) - IDLE_S
        very_late = late + IDLE_S - ASKED_IDLE_S
        known = set()
        for draft in self._store.drafts():
            is_asked = draft.step in (Step.ASKED, Step.APPROVED)
            is_idle = draft.touched_at < (very_late if is_asked else late)
            if is_idle and draft.step not in (Step.LAUNCHED, Step.CHECKING):
                with suppress(UploadError, ConflictError):
                    self.delete(draft, "", "deleted after a day without use")
                    continue
            known.add(draft.id)
        for folder in self._folder.iterdir() if self._folder.is_dir() else ():
            if folder.name not in known and _made(folder) < late:
                shutil.rmtree(folder, ignore_errors=True)

    def home(self, draft: Draft) -> Path:
        """Return the private folder of a draft."""
        return self._folder / draft.id

    def _make_folders(self, draft: Draft) -> None:
        make_folders(self.home(draft))
        make_folders(self.home(draft) / "input")

    def _part(self, draft: Draft) -> Path:
        return self.home(draft) / _PART

    def _opened(self, draft: Draft, size: int) -> int:
        """Open the part to add to it, and know the digest of what it has."""
        self._make_folders(draft)
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        part = os.open(self._part(draft), flags, 0o600)
        hashed = self._hashed.get(draft.id)
        if hashed is None or hashed.count != size:
            hashed = _Hashed()
            while piece := os.pread(part, _PIECE, hashed.count):
                hashed.add(piece)
            self._hashed[draft.id] = hashed
        return part

    def _write(self, part: int, draft: Draft, data: bytes) -> None:
        left = memoryview(data)
        while left:
            try:
                count = os.write(part, left)
            except OSError as error:
                raise NoSpaceError(f"the file cannot be written: {error.strerror}") from None
            self._hashed[draft.id].add(bytes(left[:count]))
            left = left[count:]

    def _finish(self, draft: Draft, who: str) -> Draft:
        part, path = self._part(draft), self.path(draft)
        if part.exists():
            descriptor = self._opened(draft, draft.size)
            try:
                sync_file(descriptor)
            finally:
                os.close(descriptor)
            sha256 = self._hashed[draft.id].digest.hexdigest()
            part.rename(path)
            sync_folder(path.parent)
        else:
            sha256 = digest_of(path)
        self._hashed.pop(draft.id, None)
        return self._store.change(
            draft.id, lambda found: drafts.uploaded(found, sha256, who), Entry(who, "uploaded a file", digest=sha256)
        )


def cleaned(name: str) -> str:
    """Return a file's name as a plain name: no folders, no sign that a shell, a glob or a page would obey."""
    last = clean(re.split(r"[/\\]", name)[-1], 1000).rstrip("…")
    plain = _UNSAFE.sub("_", last).strip(" .")
    plain = re.sub(r"^-+", "_", plain) or "file"
    kind, _, packing = plain.lower().partition(".")
    if f".{kind}" in KINDS and f".{packing}" in (".", *COMPRESSED):  # only the ending is left
        plain = f"file.{plain}"
    ending = "".join(PurePath(plain).suffixes[-2:])[-20:]
    stem = plain[: len(plain) - len(ending)] if ending else plain
    while len(stem + ending) > _LONGEST_NAME or len((stem + ending).encode()) > _MOST_NAME_BYTES:
        stem = stem[:-1]
    return stem + ending


def refuse_kind(name: str) -> None:
    """Raise UploadError for a file of a kind that is not taken."""
    path = PurePath(name.lower())
    ending = PurePath(path.stem).suffix if path.suffix in COMPRESSED else path.suffix
    if ending not in KINDS:
        raise UploadError(
            f"files like {name} are not taken",
            hint="choose a CSV, Excel, Parquet, Arrow or NDJSON file; text files may end in .gz, .zst, .bz2 or .zip",
        )


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a regular file, and follow no link. Raises UploadError."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise UploadError(f"{path.name} cannot be read: {error.strerror}", hint="choose the file again") from None
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise UploadError(f"{path.name} is not a regular file", hint="choose another file")
        return hashlib.file_digest(file, "sha256").hexdigest()


def _made(path: Path) -> float:
    try:
        return path.stat(follow_symlinks=False).st_mtime
    except OSError:
        return time.time()
