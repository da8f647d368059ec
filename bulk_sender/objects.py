"""Objects by name in a folder (``file://``) or in a bucket (``s3://``, ``gs://``, ``az://``).

A bucket is read and written through obstore, with credentials from the environment as the store's own tools find them.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol, TypeVar
from urllib.parse import unquote, urlsplit

from bulk_sender.durable import make_folders, sync_file, sync_folder
from bulk_sender.errors import ConfigError, StoreError

T = TypeVar("T")

_RETRIES = {"max_retries": 5, "retry_timeout": timedelta(seconds=30)}


class Objects(Protocol):
    """Objects below one address. Any thread or process may use it. Methods raise StoreError."""

    def put(self, name: str, body: bytes) -> None:
        """Write an object, whole or not at all, in place of one of that name; durable on return."""
        ...

    def get(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        """Return the bytes of an object from ``start`` to before ``end``; None: to its end."""
        ...

    def remove_all(self) -> None:
        """Remove every object below the address."""
        ...


def objects_at(url: str) -> Objects:
    """Return the objects below an address. Raise ConfigError when obstore is missing or refuses the address."""
    if url.startswith("file://"):
        return _Folder(url, Path(unquote(urlsplit(url).path)))
    return _Bucket(url)


class _Folder:
    """A folder that every process of a run sees, such as a network share."""

    def __init__(self, url: str, path: Path) -> None:
        self._url, self._path = url, path

    def put(self, name: str, body: bytes) -> None:
        path = self._path / name
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        try:
            make_folders(path.parent)
            with open(temporary, "xb", opener=_private) as file:
                file.write(body)
                file.flush()
                sync_file(file.fileno())
            temporary.replace(path)
            sync_folder(path.parent)
        except OSError as error:
            with suppress(OSError):
                temporary.unlink()
            raise _refused("write", self._url, name, error.strerror or str(error)) from None

    def get(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        try:
            with (self._path / name).open("rb") as file:
                file.seek(start)
                return file.read(-1 if end is None else end - start)
        except FileNotFoundError:
            raise _missing(self._url, name) from None
        except OSError as error:
            raise _refused("read", self._url, name, error.strerror or str(error)) from None

    def remove_all(self) -> None:
        try:
            shutil.rmtree(self._path)
        except FileNotFoundError:
            return
        except OSError as error:
            raise _refused("remove", self._url, "", error.strerror or str(error)) from None


class _Bucket:
    """A prefix of a bucket."""

    def __init__(self, url: str) -> None:
        try:
            from obstore.exceptions import BaseError
            from obstore.store import from_url
        except ImportError as error:
            raise ConfigError(
                f"{urlsplit(url).scheme}:// needs obstore ({error})", hint="pip install obstore"
            ) from None
        self._url, self._trouble = url, BaseError
        try:
            self._store: Any = from_url(url, retry_config=_RETRIES)  # type: ignore[call-overload]
        except (BaseError, ValueError) as error:
            raise ConfigError(f"{url} cannot be used as a store: {_first_line(error)}") from None

    def put(self, name: str, body: bytes) -> None:
        self._try("write", name, lambda: self._store.put(name, body))

    def get(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        if end == start:
            return b""
        if end is None and not start:
            return self._try("read", name, lambda: bytes(self._store.get(name).bytes()))
        return self._try("read", name, lambda: bytes(self._store.get_range(name, start=start, end=end)))

    def remove_all(self) -> None:
        def remove() -> None:
            for part in self._store.list():
                self._store.delete([found["path"] for found in part])

        self._try("remove", "", remove)

    def _try(self, what: str, name: str, act: Callable[[], T]) -> T:
        try:
            return act()
        except FileNotFoundError:
            raise _missing(self._url, name) from None
        except (self._trouble, OSError) as error:
            raise _refused(what, self._url, name, _first_line(error)) from None


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _missing(url: str, name: str) -> StoreError:
    return StoreError(f"the store {url} has no object {name}", hint="restore it from a backup or an earlier version")


def _refused(what: str, url: str, name: str, why: str) -> StoreError:
    return StoreError(
        f"the store {url} does not let this process {what} {name or 'its objects'}: {why}",
        hint="check the store, the network and the credentials in the environment",
    )


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:300]
