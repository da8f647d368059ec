"""How a chunk's rows are packed: what comes back, and what an earlier release packed."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import bulk_sender as bs
from bulk_sender.journal import chunks
from bulk_sender.journal.chunks import MARK, chunk_payload, chunk_rows
from bulk_sender.journal.sqlite import store
from bulk_sender.planning.batches import Payload, Planned
from bulk_sender.planning.plan import ROWS
from bulk_sender.reading.chunk import Position
from tests.kit.jobs import braze, options, recipients
from tests.kit.journals import read
from tests.kit.target import ENVIRONMENT


class _Frames:
    """A journal of one chunk."""

    def __init__(self, frame: bytes) -> None:
        self._frame = frame

    def frame(self, _: int) -> bytes:
        return self._frame


def packed_by_the_first_release(rows: pl.DataFrame, _: Payload) -> bytes:
    buffer = io.BytesIO()
    rows.write_ipc(buffer, compression="zstd")
    return buffer.getvalue()


def rows_of(texts: list[str | None]) -> pl.DataFrame:
    found: dict[str, Any] = {name: [None] * len(texts) for name in ROWS}
    found["row"] = range(1, len(texts) + 1)
    found["verdict"] = ["rejected" if text is None else "valid" for text in texts]
    found["recipient"] = texts
    return pl.DataFrame(found, schema=ROWS)


def journals_of(rows: pl.DataFrame) -> Iterator[Any]:
    yield _Frames(chunks.chunk_record(1, Planned(rows, pl.DataFrame(), [], Position())).frame)
    yield _Frames(packed_by_the_first_release(rows, Payload.of(rows["recipient"])))


_RECIPIENT = st.dictionaries(st.text(max_size=3), st.text(max_size=9), max_size=3).map(
    lambda members: json.dumps(members, ensure_ascii=False).replace("\ud800", "")
)
_TEXTS = st.lists(st.none() | st.just("{}") | _RECIPIENT.filter(lambda text: text.isprintable()), max_size=9)


@given(_TEXTS, st.lists(st.sampled_from(sorted(ROWS)), unique=True, min_size=1))
def test_rows_and_recipients_come_back_whoever_packed_them(texts: list[str | None], columns: list[str]) -> None:
    rows = rows_of(texts)
    for journal in journals_of(rows):
        assert chunk_rows(journal, 1).equals(rows)
        assert chunk_rows(journal, 1, columns).equals(rows.select(columns))
        payload, wanted = chunk_payload(journal, 1), [text for text in texts if text is not None]
        assert [payload.recipients(slot, 1).decode() for slot in range(len(wanted))] == wanted
        assert payload.recipients(0, len(wanted)).decode() == ",".join(wanted)


def test_a_run_that_the_first_release_began_is_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def hold(_: bs.Progress) -> None:
        return None

    async def go_on(_: bs.Progress) -> bool:
        return True

    runs, source = tmp_path / "runs", recipients(tmp_path, 200)
    with braze() as server:
        with monkeypatch.context() as patch:
            patch.setattr(store, "SCHEMA_VERSION", 1)
            patch.setattr(chunks, "_packed", packed_by_the_first_release)
            given = {"guards": bs.Guards(canary=50), "run_id": "r", "watch": bs.Watch(on_canary=hold)}
            held = bs.send(source, **options(runs, server.url, **given))
        with read(runs / "r") as journal:
            frames = [journal.frame(chunk) for chunk in journal.chunk_ids()]
        assert (held.accepted, len(frames), any(frame.startswith(MARK) for frame in frames)) == (50, 2, False)
        summary = bs.resume("r", runs_dir=runs, environment=ENVIRONMENT, watch=bs.Watch(on_canary=go_on))
    assert (summary.accepted, summary.unknown, summary.not_sent) == (200, 0, 0)
    assert len(server.ledger.recipients) == 200
