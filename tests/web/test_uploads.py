"""Uploads: the offset protocol, what is refused, cleaned names, and what a cut or a second tab leaves."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import stat
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bulk_sender.reading.compression import SUFFIXES
from bulk_sender.reading.formats import FORMATS
from bulk_sender.web import uploads
from bulk_sender.web.drafts import Step
from bulk_sender.web.store import Store
from bulk_sender.web.uploads import COMPRESSED, KINDS, TooLargeError, Uploads, WrongOffsetError, cleaned
from tests.web.visitor import OURS, Visitor

DATA = b"id;name\n" + b"1;Ann\n" * 1000


@pytest.fixture
def store(visitor: Visitor) -> Store:
    return Store(visitor.state.folder)


@pytest.fixture
def held(store: Store) -> Uploads:
    return Uploads(store.folder / "uploads", store)


def file_of(store: Store, id: str) -> Path:
    draft = store.draft(id)
    assert draft is not None
    return store.folder / "uploads" / id / "input" / draft.name


def test_a_file_arrives_in_parts(visitor: Visitor, store: Store) -> None:
    begun = visitor.announce("people.csv", len(DATA))
    assert begun.status_code == 201
    id = begun.json()["id"]
    for offset in range(0, len(DATA), 2000):
        assert visitor.ask("GET", f"/api/v1/uploads/{id}").json()["offset"] == offset
        told = visitor.put(id, offset, DATA[offset : offset + 2000]).json()
    assert told == {
        "id": id,
        "name": "people.csv",
        "size": len(DATA),
        "offset": len(DATA),
        "done": True,
        "sha256": hashlib.sha256(DATA).hexdigest(),
        "next": f"/new/{id}",
    }
    assert file_of(store, id).read_bytes() == DATA
    assert [entry.did for entry in store.audit()] == ["signed in", "began an upload", "uploaded a file"]


@pytest.mark.parametrize("offset", [0, 1999, 2001, 6008, 10**17])
def test_a_part_from_another_offset_is_refused_with_the_right_one(visitor: Visitor, offset: int) -> None:
    id = visitor.announce("people.csv", len(DATA)).json()["id"]
    visitor.put(id, 0, DATA[:2000])
    answer = visitor.put(id, offset, DATA[:10])
    assert (answer.status_code, answer.json()["offset"]) == (409, 2000)
    assert answer.headers["content-type"] == "application/problem+json"
    assert visitor.put(id, 2000, DATA[2000:]).json()["done"]
    assert visitor.put(id, len(DATA), b"").status_code == 409


def test_all_files_and_folders_are_private(visitor: Visitor, store: Store) -> None:
    visitor.uploaded("people.csv", DATA)
    visitor.put(visitor.announce("half.csv", 100).json()["id"], 0, b"x")
    for path in [store.folder, *store.folder.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_after_a_restart_it_continues_and_the_digest_is_the_same(visitor: Visitor, store: Store) -> None:
    id = visitor.announce("people.csv", len(DATA)).json()["id"]
    visitor.put(id, 0, DATA[:3000])
    again = Visitor(visitor.state.folder, visitor.site.runs_dir)
    again.cookie = visitor.cookie
    told = again.put(id, 3000, DATA[3000:]).json()
    assert told["sha256"] == hashlib.sha256(DATA).hexdigest()


@pytest.mark.parametrize("is_renamed", [False, True])
def test_an_end_between_the_last_byte_and_the_record_is_repaired(
    visitor: Visitor, store: Store, is_renamed: bool
) -> None:
    id = visitor.announce("people.csv", len(DATA)).json()["id"]
    part, whole = store.folder / "uploads" / id / ".part", file_of(store, id)
    (whole if is_renamed else part).write_bytes(DATA)
    told = visitor.ask("GET", f"/api/v1/uploads/{id}").json()
    assert (told["done"], told["sha256"]) == (True, hashlib.sha256(DATA).hexdigest())
    assert whole.read_bytes() == DATA
    assert not part.exists()


@pytest.mark.parametrize(
    ("name", "size", "code", "told"),
    [
        ("people.csv", 0, 400, "empty"),
        ("people.csv", -1, 400, "empty"),
        ("people.csv", uploads.MOST_BYTES + 1, 413, "at most"),
        ("people.csv", 10**30, 413, "at most"),
        ("query.sql", 10, 400, "not taken"),
        ("people", 10, 400, "not taken"),
        ("people.csv.sql", 10, 400, "not taken"),
        ("people.sql.gz", 10, 400, "not taken"),
        ("people.exe", 10, 400, "not taken"),
    ],
)
def test_what_is_not_taken_is_refused_before_its_first_byte(
    visitor: Visitor, store: Store, name: str, size: int, code: int, told: str
) -> None:
    answer = visitor.announce(name, size)
    assert answer.status_code == code
    assert told in answer.json()["detail"]
    assert store.drafts() == []
    assert not (store.folder / "uploads").exists()


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"name": 1, "size": 1}', b'{"name": "a.csv", "size": "1"}', b"[" * 50_000, b"\xff"]
)
def test_a_body_that_announces_nothing_is_refused(visitor: Visitor, body: bytes) -> None:
    assert visitor.ask("POST", "/api/v1/uploads", OURS, body).status_code == 400


def test_a_long_announcement_is_refused(visitor: Visitor) -> None:
    told = json.dumps({"name": "x" * 70_000, "size": 1}).encode()
    assert visitor.ask("POST", "/api/v1/uploads", OURS, told).status_code == 413


@pytest.mark.parametrize("offset", ["", "-1", "x", "²", "9" * 19])
def test_a_part_without_a_place_is_refused(visitor: Visitor, offset: str) -> None:
    id = visitor.announce("people.csv", 10).json()["id"]
    assert visitor.ask("PUT", f"/api/v1/uploads/{id}?offset={offset}", OURS, b"x").status_code == 400


def test_more_than_was_announced_is_refused_and_never_kept(visitor: Visitor, store: Store) -> None:
    id = visitor.announce("people.csv", 10).json()["id"]
    assert visitor.put(id, 0, b"x" * 11).status_code == 413
    assert visitor.ask("GET", f"/api/v1/uploads/{id}").json()["offset"] <= 10
    assert store.draft(id).step is Step.UPLOADING  # type: ignore[union-attr]


def test_a_part_that_is_too_long_is_refused_by_its_header(visitor: Visitor) -> None:
    id = visitor.announce("people.csv", uploads.MOST_PART + 10).json()["id"]
    assert visitor.put(id, 0, b"x" * (uploads.MOST_PART + 1)).status_code == 413
    assert visitor.ask("GET", f"/api/v1/uploads/{id}").json()["offset"] == 0


def test_a_full_disk_is_refused(visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    free = SimpleNamespace(free=19)
    monkeypatch.setattr("bulk_sender.web.uploads.shutil.disk_usage", lambda _: free)
    assert visitor.announce("people.csv", 10).status_code == 507


def test_one_person_has_at_most_twenty_files_here(visitor: Visitor) -> None:
    answers = [visitor.announce("people.csv", 10).status_code for _ in range(uploads.MOST_DRAFTS + 1)]
    assert answers == [201] * uploads.MOST_DRAFTS + [409]


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("people.csv", "people.csv"),
        ("../../etc/people.csv", "people.csv"),
        ("C:\\Users\\ann\\people.csv", "people.csv"),
        (".hidden.csv", "hidden.csv"),
        ("-rf.csv", "_rf.csv"),
        ("a*b?[c].csv", "a_b__c_.csv"),
        ('<script>"x.csv', "_script__x.csv"),
        ("été مرحبا.csv", "été مرحبا.csv"),
        ("a\x00\x1b[31m\n.csv", "a .csv"),
        ("\u202eevil.csv", "evil.csv"),
        ("https://x/y.csv", "y.csv"),
        ("..", "file"),
        ("\x88.csv", "file.csv"),
        (".csv.gz", "file.csv.gz"),
        ("parquet.csv", "parquet.csv"),
        ("", "file"),
        ("x" * 500 + ".csv.gz", "x" * 113 + ".csv.gz"),
        ("\udcff.csv", "_.csv"),
    ],
)
def test_a_name_becomes_a_plain_name(name: str, wanted: str) -> None:
    found = cleaned(name)
    assert found == wanted
    assert cleaned(found) == found


def test_a_name_fits_a_file_system() -> None:
    assert len(cleaned("名" * 300 + ".csv").encode()) <= 200
    assert cleaned("名" * 300 + ".csv").endswith("名.csv")


def test_the_kinds_are_those_that_the_library_reads() -> None:
    assert set(KINDS) == set(FORMATS)
    assert set(COMPRESSED) == set(SUFFIXES)


def test_a_second_tab_is_refused_while_a_part_arrives(visitor: Visitor, store: Store, held: Uploads) -> None:
    draft = held.begin("people.csv", 10, "ann")

    async def both() -> int:
        async def slow() -> AsyncIterator[bytes]:
            yield b"12345"
            with pytest.raises(WrongOffsetError):
                await held.receive(draft, 0, nothing(), "ann")
            yield b"67890"

        return await held.receive(draft, 0, slow(), "ann")

    assert asyncio.run(both()) == 10
    assert file_of(store, draft.id).read_bytes() == b"1234567890"


async def nothing() -> AsyncIterator[bytes]:
    return
    yield b""


def test_what_arrived_before_a_cut_is_kept(store: Store, held: Uploads) -> None:
    draft = held.begin("people.csv", 10, "ann")

    async def cut() -> AsyncIterator[bytes]:
        yield b"12345"
        raise ConnectionError

    with pytest.raises(ConnectionError):
        asyncio.run(held.receive(draft, 0, cut(), "ann"))
    assert held.offset(draft) == 5

    async def rest() -> AsyncIterator[bytes]:
        yield b"67890"

    assert asyncio.run(held.receive(draft, 5, rest(), "ann")) == 10
    assert store.draft(draft.id).sha256 == hashlib.sha256(b"1234567890").hexdigest()  # type: ignore[union-attr]


def test_a_stream_without_an_end_is_cut(held: Uploads) -> None:
    draft = held.begin("people.csv", 1000, "ann")

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 600

    with pytest.raises(TooLargeError):
        asyncio.run(held.receive(draft, 0, endless(), "ann"))
    assert held.offset(draft) <= 1000


def test_a_link_in_place_of_the_file_is_not_followed(held: Uploads, tmp_path: Path) -> None:
    draft = held.begin("people.csv", 10, "ann")
    (held._folder / draft.id / ".part").symlink_to(tmp_path / "elsewhere")

    async def data() -> AsyncIterator[bytes]:
        yield b"x"

    with pytest.raises((OSError, WrongOffsetError)):
        asyncio.run(held.receive(draft, 0, data(), "ann"))
    assert not (tmp_path / "elsewhere").exists()


def old(days: float) -> float:
    return time.time() + days * 24 * 3600


@pytest.mark.parametrize(("after", "is_kept"), [(0.9, True), (1.1, False)])
def test_what_nobody_touches_for_a_day_is_deleted(
    visitor: Visitor, store: Store, held: Uploads, after: float, is_kept: bool
) -> None:
    ids = [visitor.uploaded("people.csv", DATA), visitor.announce("half.csv", 100).json()["id"]]
    (store.folder / "uploads" / "stray").mkdir()
    held.clean_up(old(after))
    assert sorted(draft.id for draft in store.drafts()) == (sorted(ids) if is_kept else [])
    if not is_kept:
        assert list((store.folder / "uploads").iterdir()) == []


def test_deleting_removes_the_file_and_keeps_the_log(visitor: Visitor, store: Store) -> None:
    id = visitor.uploaded("people.csv", DATA)
    assert visitor.press(f"/new/{id}/delete").headers["location"] == "/new"
    assert store.draft(id) is None
    assert not (store.folder / "uploads" / id).exists()
    assert [entry.did for entry in store.audit()][-1] == "deleted the file"
    assert visitor.press(f"/new/{id}/delete").status_code == 303


@pytest.mark.parametrize("id", ["nobody", "..", "%2e%2e%2f%2e%2e", "a%00b", "é"])
def test_an_id_that_names_nothing_is_missing(visitor: Visitor, id: str) -> None:
    assert visitor.ask("GET", f"/api/v1/uploads/{id}").status_code == 404
    assert visitor.ask("PUT", f"/api/v1/uploads/{id}?offset=0", OURS, b"x").status_code == 404


EDGE = "----edge"


def form(name: str, data: bytes, edge: str = EDGE) -> tuple[dict[str, str], bytes]:
    """What a browser sends without script."""
    head = (
        f'--{edge}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\nContent-Type: text/csv\r\n\r\n'
    )
    return (
        OURS | {"Content-Type": f"multipart/form-data; boundary={edge}"},
        head.encode() + data + f"\r\n--{edge}--\r\n".encode(),
    )


@pytest.mark.parametrize("data", [DATA, b"\r\n", b"x\r\n--\r\n--other--\r\n", bytes(range(256))])
def test_a_form_without_script_sends_a_file(visitor: Visitor, store: Store, data: bytes) -> None:
    headers, body = form("people.csv", data)
    answer = visitor.ask("POST", "/new", headers, body)
    assert answer.status_code == 303
    [draft] = store.drafts()
    assert answer.headers["location"] == f"/new/{draft.id}"
    assert (draft.name, draft.step) == ("people.csv", Step.UPLOADED)
    assert file_of(store, draft.id).read_bytes() == data


Break = Callable[[dict[str, str], bytes], tuple[dict[str, str], bytes]]
BROKEN: list[tuple[Break, int]] = [
    (lambda headers, body: (headers, body[:-30]), 400),
    (lambda headers, body: (headers, b""), 400),
    (lambda headers, body: (headers, b"x" + body), 400),
    (lambda headers, body: (headers | {"Content-Type": "multipart/form-data"}, body), 400),
    (lambda headers, body: (headers | {"Content-Type": "text/plain"}, body), 400),
    (lambda headers, body: (headers, body.replace(b"people.csv", b"")), 400),
    (lambda headers, body: (headers, body.replace(b"people.csv", b"people.sql")), 400),
    (lambda headers, body: (headers, body.replace(b"1;Ann\n", b"1;Ann\n" * 3000)), 413),
    (lambda headers, body: (headers, body[:-4] + b"\r\n" + body), 400),
]


@pytest.mark.parametrize("number", range(len(BROKEN)))
def test_a_form_that_cannot_be_read_is_a_page_with_a_next_step(visitor: Visitor, store: Store, number: int) -> None:
    change, code = BROKEN[number]
    answer = visitor.ask("POST", "/new", *change(*form("people.csv", DATA)))
    assert answer.status_code == code
    assert "<h1>" in answer.text
    assert store.drafts() == []


def server(tmp_path: Path, visitor: Visitor) -> tuple[Visitor, Path]:
    folder = tmp_path / "exports"
    folder.mkdir()
    (folder / "people.csv").write_bytes(DATA)
    found = Visitor(visitor.state.folder, visitor.site.runs_dir, folders=(folder, tmp_path / "missing"))
    found.cookie = visitor.cookie
    return found, folder


def ids(page: str) -> list[str]:
    return [part.split('"')[0] for part in page.split('name="file" value="')[1:]]


def test_a_file_of_the_server_is_used_by_its_id(visitor: Visitor, store: Store, tmp_path: Path) -> None:
    visitor, folder = server(tmp_path, visitor)
    [id] = ids(visitor.get("/new").text)
    answer = visitor.press("/new/from-server", {"file": id})
    [draft] = store.drafts()
    assert answer.headers["location"] == f"/new/{draft.id}"
    assert draft.path == str(folder / "people.csv")
    assert draft.sha256 == hashlib.sha256(DATA).hexdigest()
    visitor.press(f"/new/{draft.id}/delete")
    assert (folder / "people.csv").exists()


def test_links_out_of_a_folder_and_other_things_in_it_are_not_shown(visitor: Visitor, tmp_path: Path) -> None:
    visitor, folder = server(tmp_path, visitor)
    (tmp_path / "secret.csv").write_text("secret")
    (folder / "link.csv").symlink_to(tmp_path / "secret.csv")
    (folder / "broken.csv").symlink_to(tmp_path / "nowhere")
    (folder / "inside.csv").mkdir()
    (folder / ".hidden.csv").write_text("x")
    (folder / "query.sql").write_text("x")
    os.mkfifo(folder / "pipe.csv")
    page = visitor.get("/new").text
    assert len(ids(page)) == 1
    assert "exports/people.csv" in page
    assert "secret" not in page


def test_a_file_that_became_a_link_is_refused(visitor: Visitor, store: Store, tmp_path: Path) -> None:
    visitor, folder = server(tmp_path, visitor)
    [id] = ids(visitor.get("/new").text)
    (tmp_path / "secret.csv").write_text("secret")
    (folder / "people.csv").unlink()
    (folder / "people.csv").symlink_to(tmp_path / "secret.csv")
    assert visitor.press("/new/from-server", {"file": id}).status_code == 400
    assert store.drafts() == []


@pytest.mark.parametrize("file", ["", "../secret.csv", "/etc/passwd", "people.csv", "x" * 1000])
def test_a_path_is_not_an_id(visitor: Visitor, store: Store, tmp_path: Path, file: str) -> None:
    visitor, _ = server(tmp_path, visitor)
    assert visitor.press("/new/from-server", {"file": file}).status_code == 400
    assert store.drafts() == []


def test_the_page_lists_what_was_begun(visitor: Visitor) -> None:
    id = visitor.uploaded("whole.csv", DATA)
    visitor.put(visitor.announce("half.csv", 2000).json()["id"], 0, b"x" * 1000)
    page: Any = visitor.get("/new").text
    assert f'href="/new/{id}"' in page
    assert "1.0 kB uploaded; choose the same file again to resume" in page
