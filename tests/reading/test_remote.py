"""Remote inputs, read from servers on loopback."""

from __future__ import annotations

import gzip
import io
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

import bulk_sender as bs
from bulk_sender.errors import InputError
from bulk_sender.reading import compression
from bulk_sender.reading.remote import name_of
from bulk_sender.reading.settings import ReadSettings
from bulk_sender.reading.source import Input
from bulk_sender.reading.spool import Spool
from tests.kit import s3, zstd
from tests.kit.inputs import CSV, PEOPLE, put, read
from tests.kit.web import Quiet, serving


class _Redirecting(Quiet):
    def do_GET(self) -> None:
        if self.path.startswith("/away"):
            self.send_response(302)
            self.send_header("Location", "http://example.com/people.csv")
            self.end_headers()
        else:
            super().do_GET()


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    with serving(tmp_path, _Redirecting) as url:
        yield url


def test_a_file_on_a_web_server_is_read_in_any_format(web: str, tmp_path: Path) -> None:
    put(tmp_path, "people.csv", CSV.encode("utf-16"))
    put(tmp_path, "people.csv.gz", gzip.compress(CSV.encode()))
    PEOPLE.write_parquet(tmp_path / "people.parquet")
    PEOPLE.write_excel(tmp_path / "people.xlsx")
    for name in ("people.csv", "people.csv.gz", "people.parquet", "people.xlsx"):
        assert read(f"{web}/{name}").equals(PEOPLE)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://user:s3cret@host/a@b.csv?signature=s3cret", "https://host/a@b.csv"),
        ("HTTPS://s3cret@host/a.csv", "HTTPS://host/a.csv"),
        ("s3://key:s3cret@bucket/a.csv", "s3://bucket/a.csv"),
        (
            "abfss://container@account.dfs.core.windows.net/a.csv",
            "abfss://container@account.dfs.core.windows.net/a.csv",
        ),
    ],
)
def test_the_secrets_of_a_url_are_not_in_its_name(url: str, name: str) -> None:
    assert name_of(url) == name


def test_the_password_of_a_url_is_in_no_file_of_a_run(web: str, tmp_path: Path) -> None:
    put(tmp_path, "people.csv", "external_user_id\na\n")
    runs, secret = tmp_path / "runs", web.replace("//", "//user:hunter2@")
    summary = bs.send(f"{secret}/people.csv?signature=hunter2", runs_dir=runs, sandbox=True)
    assert summary.accepted == 1
    assert not [path for path in runs.rglob("*") if path.is_file() and b"hunter2" in path.read_bytes()]


def test_a_signature_in_a_url_never_shows_in_a_name_or_an_error(web: str, tmp_path: Path) -> None:
    put(tmp_path, "people.csv", CSV)
    with Spool() as spool:
        source = Input.open([f"{web}/people.csv?signature=s3cret"], ReadSettings(), spool)
        assert source.files[0].name == f"{web}/people.csv"
        with pytest.raises(InputError, match="answered 404") as caught:
            Input.open([f"{web}/nowhere.csv?signature=s3cret"], ReadSettings(), spool)
    assert "s3cret" not in str(caught.value) + caught.value.hint


def test_plain_http_is_refused_except_on_loopback(web: str) -> None:
    for url in ("http://example.com/people.csv", f"{web}/away"):
        with pytest.raises(InputError, match="plain http would expose recipient data; use https"):
            read(url)
    with pytest.raises(InputError, match="ftp:// is not supported"):
        read("ftp://example.com/people.csv")


def _chunked(body: bytes) -> bytes:
    parts = [body[at : at + 5000] for at in range(0, len(body), 5000)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


_BODY = CSV.encode()
_GZIP = gzip.compress(_BODY)
_MANY = b"external_user_id\n" + b"u\n" * 4_000_000
_ANSWERS = {
    "/length": (b"Content-Length: %d" % len(_BODY), _BODY),
    "/chunked": (b"Transfer-Encoding: chunked", _chunked(_BODY)),
    "/neither": (b"Connection: close", _BODY),
    "/cut-length": (b"Content-Length: %d" % len(_BODY), _BODY[:6000]),
    "/cut-chunk": (b"Transfer-Encoding: chunked", _chunked(_BODY)[:6000]),
    "/cut-between-chunks": (b"Transfer-Encoding: chunked", _chunked(_BODY[:10_000]).removesuffix(b"0\r\n\r\n")),
    "/gzip": (b"Content-Encoding: gzip\r\nContent-Length: %d" % len(_GZIP), _GZIP),
    "/gzip-of-gz.csv.gz": (
        b"Content-Encoding: x-gzip\r\nContent-Length: %d" % len(gzip.compress(_GZIP)),
        gzip.compress(_GZIP),
    ),
    "/zstd": (b"Content-Encoding: zstd\r\nTransfer-Encoding: chunked", _chunked(zstd.compress(_BODY))),
    "/false-gzip": (b"Content-Encoding: gzip\r\nContent-Length: %d" % len(_BODY), _BODY),
    "/cut-gzip": (b"Content-Encoding: gzip\r\nContent-Length: 500", _GZIP[:500]),
    "/br": (b"Content-Encoding: br\r\nContent-Length: 5", b"\x0b\x02\x80hi"),
    "/twice": (b"Content-Encoding: gzip, gzip\r\nContent-Length: %d" % len(_GZIP), _GZIP),
    "/bomb": (
        b"Content-Encoding: gzip\r\nContent-Length: %d" % len(gzip.compress(_MANY)),
        gzip.compress(_MANY),
    ),
}


class _Raw(BaseHTTPRequestHandler):
    """Answers with bytes as they are, then closes the connection."""

    asked: ClassVar[list[str]] = []

    def log_message(self, format: str, *args: object) -> None: ...

    def do_GET(self) -> None:
        self.asked.append(self.headers.get("Accept-Encoding", ""))
        if self.path == "/moved":
            self.wfile.write(b"HTTP/1.1 307 Temporary Redirect\r\nLocation: /length?signature=s\r\n\r\n")
        else:
            head, body = _ANSWERS[self.path.partition("?")[0]]
            self.wfile.write(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n" + body)
        self.close_connection = True


@pytest.fixture(scope="module")
def raw() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Raw) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("path", ["length", "chunked", "moved", "gzip", "gzip-of-gz.csv.gz", "zstd"])
def test_an_answer_with_an_end_is_read_whatever_its_coding(raw: str, path: str) -> None:
    _Raw.asked.clear()
    assert read(f"{raw}/{path}").equals(PEOPLE)
    assert set(_Raw.asked) == {"identity"}


REFUSED = {
    "neither": "does not say how long its answer is",
    "cut-length": "the connection broke before the answer was complete",
    "cut-chunk": "the connection broke before the answer was complete",
    "cut-between-chunks": "the connection broke before the answer was complete",
    "false-gzip": "its Content-Encoding is gzip, but its bytes are not",
    "cut-gzip": "cannot be unpacked",
    "br": "encoded as br",
    "twice": "encoded as gzip, gzip",
}


@pytest.mark.parametrize("path", REFUSED)
def test_an_answer_that_may_be_a_part_is_refused(raw: str, path: str) -> None:
    with pytest.raises(InputError, match=REFUSED[path]) as caught:
        read(f"{raw}/{path}?signature=s3cret")
    assert "s3cret" not in str(caught.value) + caught.value.hint
    assert caught.value.hint


def test_an_answer_is_unpacked_within_the_bounds_of_files(
    raw: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(compression, "FREE_BYTES", 1 << 20)
    monkeypatch.setattr(compression, "MAX_RATIO", 100)
    with Spool(tmp_path) as spool, pytest.raises(InputError, match="looks like a decompression bomb"):
        try:
            Input.open([f"{raw}/bomb"], ReadSettings(), spool)
        finally:
            assert sum(path.stat().st_size for path in tmp_path.rglob("*.bytes")) < len(_MANY) // 2


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    with s3.serving(monkeypatch, bucket="lists") as client:
        yield client


def test_objects_in_s3_are_read(bucket: Any) -> None:
    parquet, packed = io.BytesIO(), gzip.compress(CSV.encode())
    PEOPLE.write_parquet(parquet)
    ndjson = io.BytesIO()
    PEOPLE.write_ndjson(ndjson)
    for name, body in {
        "people.csv": CSV.encode(),
        "people.csv.gz": packed,
        "people.ndjson": ndjson.getvalue(),
        "parts/0.parquet": parquet.getvalue(),
    }.items():
        bucket.put_object(Bucket="lists", Key=name, Body=body)
    for name in ("people.csv", "people.csv.gz", "people.ndjson", "parts/0.parquet", "parts/*.parquet"):
        assert read(f"s3://lists/{name}").equals(PEOPLE), name


def test_a_missing_s3_object_raises_a_readable_error(bucket: Any) -> None:
    for name in ("nowhere.csv", "nowhere.parquet"):
        with pytest.raises(InputError, match=name):
            read(f"s3://lists/{name}")
    with pytest.raises(InputError, match="cannot be read from an object store"):
        read("s3://lists/people.xlsx")
