"""Runs whose journals are in PostgreSQL and whose rows are in a store of objects."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import pytest

import bulk_sender as bs
from bulk_sender import journal as journals
from bulk_sender.delivery import leased_work
from bulk_sender.errors import BulkSenderError, ConfigError, CredentialError, StoreError
from bulk_sender.journal.place import VARIABLE, Place
from bulk_sender.journal.postgres.runs import PostgresRuns
from bulk_sender.journal.postgres.stored import StoredRows
from bulk_sender.journal.store import RunRef
from bulk_sender.reading import csv as reading_csv
from bulk_sender.run.catalogue import catalogue
from tests.crash.nursery import Nursery
from tests.faults import FaultServer
from tests.journal.contract import chunk
from tests.kit import s3
from tests.kit.journals import run_facts
from tests.kit.postgres import Server
from tests.kit.running import QUICK, Run, ids, read_run, settings, write_input
from tests.kit.target import KEY
from tests.postgres.crew import Crew

pytestmark = pytest.mark.usefixtures("here")
ROWS = 700


class Store(Protocol):
    """A store as a test sees it: its address, and its objects by name."""

    url: str

    def names(self) -> list[str]: ...

    def read(self, name: str) -> bytes: ...

    def write(self, name: str, body: bytes | None) -> None:
        """None removes the object."""


class Folder:
    def __init__(self, path: Path) -> None:
        self._path, self.url = path, path.as_uri()

    def names(self) -> list[str]:
        return sorted(str(path.relative_to(self._path)) for path in self._path.rglob("*") if path.is_file())

    def read(self, name: str) -> bytes:
        return (self._path / name).read_bytes()

    def write(self, name: str, body: bytes | None) -> None:
        if body is None:
            (self._path / name).unlink()
        else:
            (self._path / name).write_bytes(body)


class Bucket:
    url = "s3://frames/runs"

    def __init__(self, client: Any) -> None:
        self._client = client

    def names(self) -> list[str]:
        found = self._client.list_objects_v2(Bucket="frames").get("Contents", [])
        return sorted(each["Key"].removeprefix("runs/") for each in found)

    def read(self, name: str) -> bytes:
        return bytes(self._client.get_object(Bucket="frames", Key=f"runs/{name}")["Body"].read())

    def write(self, name: str, body: bytes | None) -> None:
        if body is None:
            self._client.delete_object(Bucket="frames", Key=f"runs/{name}")
        else:
            self._client.put_object(Bucket="frames", Key=f"runs/{name}", Body=body)


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    if request.param == "folder":
        yield Folder(tmp_path / "store")
        return
    with s3.serving(monkeypatch, bucket="frames") as client:
        yield Bucket(client)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "store")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of some hundred rows, and little patience."""
    monkeypatch.setattr(reading_csv, "BLOCK_BYTES", 2000)
    monkeypatch.setattr(leased_work, "_AGAIN_S", 0.1)
    monkeypatch.setattr(leased_work, "_PATIENCE_S", 0.5)


def configured(url: str, store: str, **scale: Any) -> dict[str, Any]:
    return settings(url) | {"scale": {"store": store, **scale}}


def send(place: Path, url: str, store: str, name: str = "winter", **more: Any) -> Run:
    runs = place / "runs"
    summary = bs.send(
        write_input(place, ROWS),
        config=configured(url, store),
        run_id=name,
        runs_dir=runs,
        environment={"BRAZE_API_KEY": KEY},
        waits=QUICK,
        **more,
    )
    return read_run(runs / name, summary)


def resume(place: Path, name: str = "winter") -> Run:
    summary = bs.resume(
        name,
        runs_dir=place / "runs",
        environment={"BRAZE_API_KEY": KEY},
        waits=QUICK,
        watch=bs.Watch(on_canary=granted),
    )
    return read_run(place / "runs" / name, summary)


def stored_rows(postgres: Server, place: Place) -> list[bytes]:
    return [bytes(row[0]) for row in postgres.sql(f"SELECT frame FROM {place.schema}.chunk")]


def test_the_rows_of_a_run_lie_in_the_store_by_their_sha256_and_not_in_the_database(
    store: Store, tmp_path: Path, postgres: Server, place: Place
) -> None:
    with FaultServer() as server:
        run = send(tmp_path, server.url, store.url)
        assert run.of("accepted") == set(ids(ROWS))
        assert server.ledger.accepted_ids().total() == ROWS
    names = store.names()
    records = stored_rows(postgres, place)
    assert len(names) == len(records) > 3
    assert {name.partition("/")[0] for name in names} == {names[0].partition("/")[0]}
    assert names[0].startswith("winter-")
    for name in names:
        assert hashlib.sha256(store.read(name)).hexdigest() == name.partition("/")[2]
    assert max(len(record) for record in records) < 60
    elsewhere = tmp_path / "elsewhere"  # another machine, which has neither the configuration nor the folder
    assert bs.explain("winter", 3, runs_dir=elsewhere)["identifier"] == ids(3)[-1]
    bs.export("winter", tmp_path / "again.csv", runs_dir=elsewhere)
    assert (tmp_path / "again.csv").read_text().count("accepted") == ROWS


def test_rejected_rows_lie_in_the_store_as_well(folder: Folder, place: Place, run: RunRef) -> None:
    runs = PostgresRuns(replace(place, store=folder.url))
    planned = chunk(valid=50, rejected=1)
    with runs.create(run, run_facts()) as writer:
        stored = writer.stored(planned)
        writer.write([stored])
        assert len(folder.names()) == 2
        assert planned.frame not in stored.frame
        assert planned.rejects not in stored.rejects
        assert (writer.frame(planned.id), writer.rejects(planned.id)) == (planned.frame, planned.rejects)


def test_a_process_that_joins_reads_the_rows_from_the_store(
    folder: Folder, tmp_path: Path, place: Place, nursery: Nursery
) -> None:
    with FaultServer() as server:
        crew = Crew(tmp_path, nursery, server, replace(place, store=folder.url), 3000, {"rate": "60/second"})
        try:
            planner = crew.started()
            joiner = crew.join()
            ended, joined = crew.wait(planner), crew.wait(joiner)
        finally:
            crew.end_quietly()
        assert (ended.code, joined.code, joined.err) == (1, 0, "")
        assert not crew.audit().wrong
        assert all(worker["requests"] > 5 for worker in ended.summary["workers"])
        assert folder.names()


def test_pruning_a_run_removes_its_objects_and_no_others(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FaultServer() as server:
        send(tmp_path, server.url, store.url)
        before = store.names()
        send(tmp_path, server.url, store.url, "winter-2", guards=bs.Guards(again=True))
    others = [name for name in store.names() if name not in before]
    assert len(others) == len(before) > 3
    assert {name.partition("/")[2] for name in others} == {name.partition("/")[2] for name in before}
    with monkeypatch.context() as broken:
        broken.setattr(StoredRows, "remove", _refuse)
        with pytest.raises(StoreError, match="not today"):
            bs.prune("0 seconds", runs_dir=tmp_path / "runs", confirm=lambda names: names == ["winter", "winter-2"])
    assert journals.exists(RunRef.at(tmp_path / "runs" / "winter"))
    with catalogue(tmp_path / "runs") as index:
        keep = index.entry("winter-2")
    assert keep is not None
    age = datetime.now(UTC) - datetime.fromisoformat(keep.created_at)
    assert bs.prune(age, runs_dir=tmp_path / "runs") == ["winter"]
    assert store.names() == others


def _refuse(_: object) -> None:
    raise StoreError("not today")


def test_a_store_that_takes_nothing_stops_the_run_which_resumes_when_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, taken = Folder(tmp_path / "store"), 0

    def put(rows: StoredRows, body: bytes) -> bytes:
        nonlocal taken
        taken += 1
        if taken == 3:
            raise StoreError("the store is full")
        return real(rows, body)

    real = StoredRows.put
    with FaultServer() as server:
        with monkeypatch.context() as full:
            full.setattr(StoredRows, "put", put)
            stopped = send(tmp_path, server.url, folder.url).summary
        assert (stopped.state, stopped.exit_code) == ("stopped", 3)
        assert stopped.reason and "the store is full" in stopped.reason
        assert 0 < stopped.rows < ROWS
        assert resume(tmp_path).of("accepted") == set(ids(ROWS))
        assert max(server.ledger.accepted_ids().values()) == 1


def test_a_run_keeps_the_store_that_it_began_with(tmp_path: Path) -> None:
    first, second = Folder(tmp_path / "store"), Folder(tmp_path / "other")
    with FaultServer() as server:
        send(tmp_path, server.url, first.url, guards=bs.Guards(canary=50))
        count = len(first.names())
        run = send(tmp_path, server.url, second.url, watch=bs.Watch(on_canary=granted))
        assert run.of("accepted") == set(ids(ROWS))
    assert (len(first.names()), second.names()) == (count, [])


@pytest.mark.parametrize(
    ("scale", "error", "words"),
    [
        ({"store": "s3://key:s3cret@frames/runs"}, CredentialError, "scale.store holds a credential"),
        ({"store": "az://frames/runs?sig=s3cret"}, CredentialError, "scale.store holds a credential"),
        ({"store": "ftp://frames/runs"}, ConfigError, "is not a store"),
        ({"store": "frames/runs"}, ConfigError, "is not a store"),
        ({"store": "file://frames"}, ConfigError, "is not a store"),
        ({"store": "s3://"}, ConfigError, "is not a store"),
    ],
)
def test_a_store_is_named_without_credentials(scale: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words) as caught:
        bs.Config.parse({"scale": scale}, where="the test")
    assert isinstance(caught.value, BulkSenderError)
    assert caught.value.exit_code == 2
    assert "s3cret" not in str(caught.value) + caught.value.hint


def test_a_store_without_a_database_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE)
    with pytest.raises(ConfigError, match="store is for runs whose journals are in PostgreSQL"):
        send(tmp_path, "http://127.0.0.1:9", (tmp_path / "store").as_uri())


async def granted(_: bs.Progress) -> bool:
    return True


@pytest.mark.parametrize("body", [None, b"", b"bulk-sender rows 2\n"])
def test_a_chunk_whose_object_is_missing_or_another_waits_and_nothing_of_it_is_sent(
    folder: Folder,
    tmp_path: Path,
    postgres: Server,
    place: Place,
    body: bytes | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with FaultServer() as server:
        held = send(tmp_path, server.url, folder.url, guards=bs.Guards(canary=50))
        assert (held.summary.state, held.summary.accepted, held.summary.rows) == ("stopped", 50, ROWS)
        [(record,)] = postgres.sql(f"SELECT frame FROM {place.schema}.chunk WHERE 300 BETWEEN first_row AND last_row")
        name = next(each for each in folder.names() if each.endswith(bytes(record)[-32:].hex()))
        whole = folder.read(name)
        folder.write(name, body)
        stopped = resume(tmp_path).summary
        assert (stopped.state, stopped.exit_code, stopped.unknown) == ("stopped", 3, 0)
        taken = server.ledger.accepted_ids()
        assert 50 < taken.total() < ROWS
        assert max(taken.values()) == 1
        assert "user-00300" not in taken
        what = "has no object" if body is None else "is not what was put there"
        assert stopped.reason and what in stopped.reason
        assert stopped.reason.count(name.partition("/")[2]) == caplog.text.count("waits: ") == 1
        folder.write(name, whole)
        run = resume(tmp_path)
        assert run.of("accepted") == set(ids(ROWS))
        assert max(server.ledger.accepted_ids().values()) == 1
