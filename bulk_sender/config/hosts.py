"""Host names and addresses: which are addresses, and which are this machine."""

from __future__ import annotations

from ipaddress import ip_address


def is_address(host: str) -> bool:
    """Whether a host is an IP address. A scoped address such as ``::1%1`` does not count."""
    try:
        return ip_address(host) is not None and "%" not in host
    except ValueError:
        return False


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine's loopback, which may be reached without encryption."""
    return host == "localhost" or (is_address(host) and ip_address(host).is_loopback)
