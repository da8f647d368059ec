"""Syncs: a folder's name is made durable, and a disk that fails is not taken for one that cannot sync."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from bulk_sender import durable


def recorded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths that are synced from now on, in order."""
    found: list[str] = []
    sync = os.fsync

    def record(descriptor: int) -> None:
        found.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", record)
    return found


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="names of open files are in /proc on Linux only")
def test_the_name_of_each_new_folder_is_synced_before_the_next_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = recorded(monkeypatch)
    durable.make_folders(tmp_path / "a" / "b" / "c")
    up = str(tmp_path.parent)
    assert found == [
        *(str(tmp_path), up),
        *(str(tmp_path / "a"), str(tmp_path)),
        *(str(tmp_path / "a" / "b"), str(tmp_path / "a")),
    ]
    assert (tmp_path / "a" / "b" / "c").stat().st_mode & 0o777 == 0o700
    found.clear()
    durable.make_folders(tmp_path / "a" / "b" / "c")
    assert found == []


def test_a_file_where_a_folder_has_to_be_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder, kind in ((tmp_path / "file", FileExistsError), (tmp_path / "file" / "below", NotADirectoryError)):
        with pytest.raises(kind):
            durable.make_folders(folder)
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(FileExistsError):
        durable.make_folders(tmp_path / "link")


@pytest.mark.parametrize(
    ("code", "is_raised"),
    [
        (errno.EIO, True),
        (errno.ENOSPC, True),
        (errno.EDQUOT, True),
        (errno.EINVAL, False),
        (errno.ENOTSUP, False),
        (errno.ENOSYS, False),
    ],
)
def test_only_a_file_system_that_cannot_sync_folders_is_taken_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, is_raised: bool
) -> None:
    def fail(_: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fail)
    if is_raised:
        with pytest.raises(OSError, match=os.strerror(code)):
            durable.sync_folder(tmp_path)
    else:
        durable.sync_folder(tmp_path)
    with (tmp_path / "file").open("w") as file, pytest.raises(OSError, match=os.strerror(code)):
        durable.sync_file(file.fileno())


def test_a_file_that_does_not_exist_needs_no_sync(tmp_path: Path) -> None:
    durable.sync_path(tmp_path / "nothing")
