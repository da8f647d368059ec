"""Plan digest: it covers the request bodies exactly as sent, however the plan is split into pieces."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulk_sender.braze.endpoint import Endpoint, unaddressed
from bulk_sender.config.model import Config
from bulk_sender.planning.batches import Payload
from bulk_sender.planning.digest import BodyDigest
from bulk_sender.planning.prepared import PreparedInput
from bulk_sender.planning.report import examined
from bulk_sender.reading import csv as reading_csv
from bulk_sender.reading.spool import Spool

FRAME = Endpoint("", b'{"campaign_id":"c","recipients":[', b"]}")
RECIPIENTS = st.text(max_size=8).map(lambda text: json.dumps({"external_user_id": text}, ensure_ascii=False))
BATCH = st.lists(RECIPIENTS, min_size=1, max_size=6)


@given(st.lists(st.lists(BATCH, max_size=4), max_size=5))
def test_the_digest_covers_the_bodies_in_order(pieces: list[list[list[str]]]) -> None:
    bodies = BodyDigest(FRAME)
    for batches in pieces:
        recipients = [recipient for batch in batches for recipient in batch]
        bodies.add(Payload.of(pl.Series(recipients, dtype=pl.String)), [len(batch) for batch in batches])
    posted = [FRAME.body(",".join(batch).encode()) for batches in pieces for batch in batches]
    assert bodies.sha256 == hashlib.sha256(b"".join(posted)).hexdigest()
    assert len(bodies.marks) == len(pieces)


@pytest.mark.parametrize("canary", [None, 1, 77, 500])
def test_the_digest_does_not_depend_on_how_the_input_is_split(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, canary: int | None
) -> None:
    path = tmp_path / "people.csv"
    path.write_text("external_user_id\n" + "".join(f"u{number % 450}\n" for number in range(500)))
    config = Config.parse({"braze": {"campaign_id": "c"}}, where="")
    found = set()
    for block in (70, 500, 1 << 20):
        monkeypatch.setattr(reading_csv, "BLOCK_BYTES", block)
        bodies = BodyDigest(unaddressed(config.braze, config.message))
        with Spool() as spool:
            examined(PreparedInput.open(path, config, spool), canary=canary, bodies=bodies)
        found.add(bodies.sha256)
    assert len(found) == 1
