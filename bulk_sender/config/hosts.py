"""Hosts that are this machine, which may be reached without encryption."""

from __future__ import annotations

from ipaddress import ip_address


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine's loopback. A scoped address such as ``::1%1`` is not."""
    try:
        return host == "localhost" or ("%" not in host and ip_address(host).is_loopback)
    except ValueError:
        return False
