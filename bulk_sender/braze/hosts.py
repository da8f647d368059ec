"""Braze's REST hosts, and the mistakes that people make with them. Pure.

Source: api_basics. Braze adds instances, so an unknown host is a warning and is never refused.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from bulk_sender.config.hosts import is_loopback

_AMERICAN = tuple(f"iad-0{number}" for number in range(1, 9))
REST_HOSTS = (
    *(f"rest.{region}.braze.com" for region in (*_AMERICAN, "us-10")),
    *(f"rest.{region}.braze.eu" for region in ("fra-01", "fra-02")),
    *(f"rest.{region}.braze.com" for region in ("au-01", "id-01", "jp-01", "kr-01")),
)
"""All fifteen. There is no US-09."""

_SDK = re.compile(r"sdk\.(?P<region>[a-z]+-[0-9]+)\.braze\.(?P<end>com|eu)")
_DASHBOARD = re.compile(r"dashboard(?:-(?P<number>[0-9]+)|\.(?P<region>[a-z]+-[0-9]+))\.braze\.(?P<end>com|eu)")


def is_known_host(url: str) -> bool:
    """Whether ``url``, as ``check_url`` returned it, is one of Braze's REST hosts at the usual port, or loopback."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    return is_loopback(host) or (parts.port in (None, 443) and host in REST_HOSTS)


def host_warning(url: str) -> str:
    """Return what is likely wrong with the host of ``url``, as ``check_url`` returned it; empty for a known one."""
    if is_known_host(url):
        return ""
    host = urlsplit(url).hostname or ""
    if other := other_address(host):
        return f"{url} is {other}"
    # Only one of the same region: a host that merely looks alike belongs to another instance.
    near = next((known for known in REST_HOSTS if known.split(".")[1] in host), "")
    return f"{url} is not a known Braze instance. " + (f"Did you mean {near}?" if near else "Check the spelling.")


def other_address(host: str) -> str:
    """Return which other address of an instance ``host`` is, and the REST address to use; empty for any other host."""
    if found := _SDK.fullmatch(host):
        what, region = "the address for Braze's SDK, not for its REST API", found["region"]
    elif found := _DASHBOARD.fullmatch(host):
        what = "the address of Braze's dashboard, not of its REST API"
        region = found["region"] or f"{'fra' if found['end'] == 'eu' else 'iad'}-{int(found['number']):02}"
    else:
        return ""
    meant = f"rest.{region}.braze.{found['end']}"
    return f"{what}. " + (f"Use https://{meant}" if meant in REST_HOSTS else "Use your instance's REST address")
