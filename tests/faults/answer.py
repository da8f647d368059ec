"""Bytes of HTTP/1.1 answers: Braze's valid ones, and ways to damage them."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from email.utils import formatdate
from http import HTTPStatus
from typing import Any

Body = bytes | str | Mapping[str, Any]


def success(dispatch_id: str | None, **more: Any) -> dict[str, Any]:
    """Return Braze's answer body for an accepted batch."""
    return {"dispatch_id": dispatch_id, "message": "success", **more}


def http_answer(
    status: int,
    body: Body,
    headers: Mapping[str, str] | None = None,
    *,
    length: bool = True,
    chunked: bool = False,
) -> bytes:
    """Return a complete answer. ``headers`` override the defaults; ``length=False`` ends it by closing.

    It has ``Date`` and the rate limit headers of every Braze answer (an hourly window, hardly used).
    """
    content = _content(body)
    fields = {
        "Date": formatdate(usegmt=True),
        "Content-Type": "application/json" if isinstance(body, Mapping) else "text/html",
        "X-RateLimit-Limit": "250000",
        "X-RateLimit-Remaining": "249000",
        "X-RateLimit-Reset": str(int(time.time()) // 3600 * 3600 + 3600),
    }
    if chunked:
        fields["Transfer-Encoding"] = "chunked"
        content = _chunks(content)
    elif not length:
        fields["Connection"] = "close"
    elif status not in (204, 304):
        fields["Content-Length"] = str(len(content))
    fields.update(headers or {})
    lines = [f"HTTP/1.1 {status} {_reason(status)}"]
    lines += [f"{name}: {value}" for name, value in fields.items()]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + content


def _content(body: Body) -> bytes:
    if isinstance(body, bytes):
        return body
    if isinstance(body, str):
        return body.encode()
    return json.dumps(body).encode()


def _chunks(content: bytes, size: int = 16) -> bytes:
    parts = [content[start : start + size] for start in range(0, len(content), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
