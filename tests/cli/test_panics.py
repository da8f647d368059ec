"""A panic of polars' engine: told in words, without the engine's own note."""

from __future__ import annotations

import io
from pathlib import Path

import polars as pl
import pytest

from bulk_sender.reading.panics import other_than_panics
from tests.kit.command import Place


def _panics(path: Path) -> bool:
    try:
        pl.scan_ipc(path).collect()
    except BaseException as error:
        return type(error).__name__ == "PanicException"
    return False


@pytest.fixture
def damaged(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Path:
    """An Arrow file with one wrong byte that makes the engine panic."""
    sound = io.BytesIO()
    pl.DataFrame({"external_user_id": ["00001", "00002"]}).write_ipc(sound)
    data, path = sound.getvalue(), tmp_path / "damaged.arrow"
    for at in reversed(range(len(data))):
        path.write_bytes(data[:at] + b"\xff" + data[at + 1 :])
        if _panics(path):
            assert "panicked at" in capfd.readouterr().err, "it does leave a note: this test would see it"
            return path
    raise AssertionError("no byte made the engine panic: is the guard needed any more?")


def test_a_panic_is_reported_in_words_only(damaged: Path, tmp_path: Path) -> None:
    told = Place(tmp_path).run("check", damaged, RUST_BACKTRACE="1")
    assert told.code == 2
    assert "damaged.arrow cannot be read as Arrow IPC: its internal structure is damaged" in told.err
    assert "panicked" not in told.err and "stack backtrace" not in told.err
    assert len(told.err.splitlines()) <= 4


def test_what_else_was_written_beside_python_is_kept() -> None:
    heard = (
        b"memory is short\n"
        b"\nthread 'worker' (7) panicked at crates/x.rs:10:9:\nindex out of range\nstack backtrace:\n   0: begin\n"
        b"note: Some details are omitted, run with `RUST_BACKTRACE=full` for a verbose backtrace.\n"
        b"\ndisk is slow\n"
    )
    assert list(other_than_panics(io.BytesIO(heard))) == [b"memory is short\n", b"disk is slow\n"]
