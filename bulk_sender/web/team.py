"""Team mode: who is there, by headers of a proxy that signs people in, and what their groups may do.

The page has no passwords. It believes these headers from the proxy's addresses alone, and refuses whatever a proxy that
does not clear the browser's own headers would pass on: a header twice, or two people in one.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from starlette.datastructures import Headers

from bulk_sender.text.clean import clean
from bulk_sender.web.roles import Person, Role

EVERYONE = "everyone"
"""In place of a group: each person whom the proxy has signed in."""
_LONGEST_NAME = 254
"""Characters of a name: as many as an e-mail address may have."""
_LONGEST_GROUPS = 16 << 10
_TOKEN = re.compile(r"[A-Za-z0-9][A-Za-z0-9!#$%&'*+.^`|~-]*")
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9]([a-z0-9.-]*[a-z0-9])?)(:[0-9]{1,5})?")
_NOT_FOR_NAMES = frozenset(
    ("host", "cookie", "origin", "referer", "authorization", "content-type", "content-length", "sec-fetch-site")
)
"""Headers that a browser sends by itself, or that say something else."""

_Network = IPv4Network | IPv6Network


class Roles(BaseModel):
    """Table ``[team.roles]``: the groups that have each role. Each other role includes ``look``."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    look: tuple[str, ...] = Field(default=(), strict=False)
    prepare: tuple[str, ...] = Field(default=(), strict=False)
    approve: tuple[str, ...] = Field(default=(), strict=False)
    personal: tuple[str, ...] = Field(default=(), strict=False)

    @field_validator("*")
    @classmethod
    def _are_groups(cls, groups: tuple[str, ...]) -> tuple[str, ...]:
        for group in groups:
            if not group or group != clean(group.strip()) or "," in group:
                raise ValueError(f"{clean(group)!r} is not the name of a group")
        return groups

    def of(self, groups: frozenset[str]) -> frozenset[Role]:
        """Return the roles of a person in these groups."""
        groups |= {EVERYONE}
        found = {role for role in _GIVEN if not groups.isdisjoint(getattr(self, role.value))}
        return frozenset(found | {Role.LOOK} if found else found)

    def named(self) -> Mapping[str, tuple[str, ...]]:
        """Return the groups by role."""
        return {role.value: getattr(self, role.value) for role in _GIVEN}


_GIVEN = (Role.LOOK, Role.PREPARE, Role.APPROVE, Role.PERSONAL)


class Team(BaseModel):
    """Table ``[team]`` of the settings file.

    ``hosts``: the addresses under which browsers reach the page, as ``Host`` names them. ``believe``: addresses of the
    proxy, as networks. ``address_header``: where the proxy says from which address a person came. ``https``: whether
    browsers speak https with the proxy. ``sign_out``: the proxy's own address for it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    hosts: tuple[str, ...] = Field(min_length=1, strict=False)
    believe: tuple[str, ...] = Field(min_length=1, strict=False)
    user_header: str
    groups_header: str | None = None
    address_header: str | None = None
    https: bool = True
    sign_out: str = ""
    roles: Roles

    @field_validator("hosts")
    @classmethod
    def _are_hosts(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        found = tuple(host.lower() for host in hosts)
        for host in found:
            if not _HOST.fullmatch(host):
                raise ValueError(f"{clean(host)!r} is not a host: write send.example.com, or send.example.com:8443")
        return found

    @field_validator("believe")
    @classmethod
    def _are_networks(cls, networks: tuple[str, ...]) -> tuple[str, ...]:
        for network in networks:
            try:
                found = ip_network(network)
            except ValueError:
                raise ValueError(f"{clean(network)!r} is not a network: write 10.0.0.7/32 or fd00::/64") from None
            if not found.prefixlen:
                raise ValueError(f"{network!r} is every address: name the proxy's alone")
        return networks

    @field_validator("user_header", "groups_header", "address_header")
    @classmethod
    def _is_a_header(cls, name: str | None) -> str | None:
        if name is not None and (not _TOKEN.fullmatch(name) or name.lower() in _NOT_FOR_NAMES):
            raise ValueError(f"{clean(name)!r} cannot be used: write a header of the proxy, such as X-Forwarded-Email")
        return name

    @field_validator("sign_out")
    @classmethod
    def _is_an_address(cls, address: str) -> str:
        is_path = address.startswith("/") and not address.startswith(("//", "/\\"))
        if address and not is_path and not address.startswith("https://"):
            raise ValueError("write a path of the proxy, such as /oauth2/sign_out, or an https address")
        return address

    @model_validator(mode="after")
    def _are_different(self) -> Team:
        names = [name.lower() for name in (self.user_header, self.groups_header, self.address_header) if name]
        if len(set(names)) < len(names):
            raise ValueError("each header must have another name")
        return self

    @property
    def url(self) -> str:
        """The address of the page for people."""
        return f"{'https' if self.https else 'http'}://{self.hosts[0]}"

    def believes(self, scope: Mapping[str, Any]) -> bool:
        """Whether a connection comes from the proxy."""
        peer = peer_of(scope)
        return peer is not None and any(peer in network for network in self._networks())

    def person(self, headers: Headers) -> Person | None:
        """Return whom the proxy names; None if it names nobody, or not clearly one person."""
        name = _name(headers.getlist(self.user_header))
        groups = _groups(headers.getlist(self.groups_header)) if self.groups_header else frozenset()
        if not name or groups is None:
            return None
        return Person(name, self.roles.of(groups))

    def address(self, scope: Mapping[str, Any]) -> str:
        """Return the address that a person came from, for the audit log. The proxy's own if it does not say."""
        peer = peer_of(scope)
        if self.address_header and self.believes(scope):
            told = Headers(scope=dict(scope)).getlist(self.address_header)
            if len(told) == 1 and (found := _address(told[0].strip())) is not None:
                return str(found)
        return str(peer) if peer is not None else ""

    def _networks(self) -> Iterator[_Network]:
        return (ip_network(network) for network in self.believe)


def peer_of(scope: Mapping[str, Any]) -> IPv4Address | IPv6Address | None:
    """Return the address at the other end of a connection; None if it has none."""
    client = scope.get("client")
    return _address(str(client[0])) if client else None


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        found = ip_address(text)
    except ValueError:
        return None
    if isinstance(found, IPv6Address):
        return found.ipv4_mapped or found
    return found


def _name(told: list[str]) -> str:
    """Return the one name in a header, in one spelling; empty if there is not exactly one.

    One person must not become two by capitals or by another form of an accent: a second person has to approve.
    """
    text = _text(told)
    name = unicodedata.normalize("NFKC", text or "").casefold().strip()
    if not name or len(name) > _LONGEST_NAME or "," in name or ";" in name or name != clean(name):
        return ""
    return name


def _groups(told: list[str]) -> frozenset[str] | None:
    """Return the groups in a header with commas, or none without the header. None if they cannot be relied on."""
    if not told:
        return frozenset()
    text = _text(told)
    if text is None or len(text) > _LONGEST_GROUPS:
        return None
    groups = frozenset(filter(None, (group.strip() for group in text.split(","))))
    return groups if all(group == clean(group) for group in groups) else None


def _text(told: list[str]) -> str | None:
    """Return the text of a header that was sent once; None for any other."""
    if len(told) != 1:
        return None
    try:
        return told[0].encode("latin-1").decode("utf-8").strip()
    except UnicodeError:
        return None
