"""Addresses of stores: ``file:///folder``, ``s3://bucket/prefix``, ``gs://bucket/prefix``, ``az://container/prefix``."""

from __future__ import annotations

from urllib.parse import urlsplit

_SCHEMES = ("file", "s3", "gs", "az")


def is_store(text: str) -> bool:
    """Whether a text names a store: a bucket, with or without a prefix, or an absolute path of a folder."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    if parts.scheme not in _SCHEMES or not text.startswith(f"{parts.scheme}://") or parts.fragment:
        return False
    return not parts.netloc and parts.path != "" if parts.scheme == "file" else bool(parts.hostname)


def has_credential(text: str) -> bool:
    """Whether a text holds what may be a credential: a user or password before the bucket, or a query."""
    return "?" in text or "@" in text.partition("://")[2].partition("/")[0]
