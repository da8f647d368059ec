"""Remote inputs: objects in an object store (``s3://``, ``gs://``, ``az://``) or on a web server (``https://``).

polars reads tables and text from a store, with credentials from the environment as the store's own tools find them.
It reads text as UTF-8 lines and unpacks gzip and Zstandard; a CR at the end of a line is dropped. Files on a web
server are downloaded unchanged. Messages never show a URL's query, which may be a signature.
"""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import polars as pl

from bulk_sender.config.hosts import is_loopback
from bulk_sender.errors import InputError
from bulk_sender.reading.polars_errors import ARROW, PARQUET, reading
from bulk_sender.reading.spool import Spool, unwritable

STORES = ("s3", "gs", "gcs", "az", "azure", "abfs", "abfss", "adl")
_URL = re.compile(r"^([a-z][a-z0-9+.-]+)://", re.IGNORECASE)
_SECRETS = re.compile(r"(?i)(?<=^http://)[^/]*@|(?<=^https://)[^/]*@|(?<=://)[^/@]*:[^/]*@")
_TIMEOUT = httpx.Timeout(60.0, connect=20.0)


def is_url(text: str) -> bool:
    return _URL.match(text) is not None


def name_of(url: str) -> str:
    """Return a URL without its secrets: the query, and a user and password. A container of ABFS looks like a user."""
    return _SECRETS.sub("", url.split("?")[0])


def fetch(url: str, name: str, kind: str | None, spool: Spool) -> Path | pl.LazyFrame:
    """Return a lazy frame for a table in a store, or a downloaded file in the spool. Raise InputError."""
    scheme = urlsplit(url).scheme.lower()
    if scheme in ("https", "http"):
        return _download(url, name, spool)
    if scheme not in STORES:
        raise InputError(f"{name}: {scheme}:// is not supported", hint="use a path, https://, s3://, gs:// or az://")
    if kind == "parquet":
        with reading(name, PARQUET):
            return pl.scan_parquet(url)
    if kind == "arrow":
        with reading(name, ARROW):
            return pl.scan_ipc(url)
    if kind == "excel" or name.endswith((".zip", ".bz2")):
        raise InputError(
            f"{name}: this format cannot be read from an object store", hint="copy the file to this computer first"
        )
    if any(sign in name for sign in "*[?"):
        raise InputError(f"{name}: in an object store, globs work for Parquet only", hint="name the objects one by one")
    path = spool.place(".lines")
    with reading(name, "lines of UTF-8 text"):
        pl.scan_lines(url, glob=False).sink_csv(path, include_header=False, quote_style="never")
    return path


def _download(url: str, name: str, spool: Spool) -> Path:
    def check_scheme(request: httpx.Request) -> None:  # before each request, to cover redirects as well
        _refuse_plain_http(str(request.url), name)

    path = spool.place(".bytes")
    try:
        with (
            httpx.Client(follow_redirects=True, timeout=_TIMEOUT, event_hooks={"request": [check_scheme]}) as client,
            client.stream("GET", url) as answer,
            path.open("wb") as file,
        ):
            if answer.status_code != 200:
                raise InputError(f"{name} cannot be downloaded: the server answered {answer.status_code}")
            # httpx decodes Content-Encoding here; the reader unpacks a .csv.gz that comes without that header.
            for part in answer.iter_bytes(1 << 20):
                file.write(part)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise InputError(
            f"{name} cannot be downloaded: {type(error).__name__}", hint="check the URL and the network"
        ) from None
    except OSError as error:
        raise unwritable(error) from None
    return path


def _refuse_plain_http(url: str, name: str) -> None:
    parts = urlsplit(url)
    if parts.scheme.lower() != "https" and not is_loopback(parts.hostname or ""):
        raise InputError(f"{name}: plain http would expose recipient data; use https")
