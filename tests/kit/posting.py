"""One client over either transport, against a fault server, and what the judge makes of it."""

from __future__ import annotations

import asyncio
import functools
import tempfile
from collections.abc import Callable
from pathlib import Path

from bulk_sender.braze.answer import Outcome, Verdict
from bulk_sender.http.client import HttpClient
from bulk_sender.http.credential import Credential
from bulk_sender.http.evidence import Evidence
from bulk_sender.http.exchange import Target
from bulk_sender.http.settings import HttpSettings
from bulk_sender.http.transport import Transport, transport_factory
from tests.faults.tls import authority
from tests.kit.target import KEY

TRANSPORTS = ("httpx", "wire")
KINDS = (*TRANSPORTS, *(f"{transport} on uvloop" for transport in TRANSPORTS))
"""Each transport on asyncio's own event loop and on uvloop (``tests/delivery/conftest.py`` sees to the loop)."""


@functools.cache
def authority_file() -> Path:
    """The authority's certificate as a file that a ``ca_bundle`` can name; kept until the process ends."""
    file = Path(tempfile.mkdtemp(prefix="bulk-sender-tests-")) / "authority.pem"
    file.write_bytes(authority().cert_pem.bytes())
    return file


@functools.cache
def transports(kind: str) -> Callable[[], Transport]:
    """A maker of transports that trust the fault server's authority and no other."""
    return transport_factory(HttpSettings(ca_bundle=str(authority_file()), transport=kind.split()[0]))  # type: ignore[arg-type]


def client(kind: str, url: str, *, timeout: float = 10.0, keepalive: bool = True) -> HttpClient:
    credential = Credential.check(KEY)
    target = Target.of(f"{url}/campaigns/trigger/send", credential, timeout_s=timeout, keepalive=keepalive)
    return HttpClient(target, credential, transports(kind)())


def post_all(kind: str, url: str, *bodies: bytes, timeout: float = 10.0, pause: float = 0.0) -> list[Evidence]:
    """POST the bodies one after the other over one client, in a loop of its own."""

    async def go() -> list[Evidence]:
        sender, found = client(kind, url, timeout=timeout), []
        for body in bodies:
            found.append(await sender.post(body))
            await asyncio.sleep(pause)
        await sender.aclose()
        return found

    return asyncio.run(go())


def word(outcome: Outcome) -> str:
    """The outcome in the words of the fault catalogue."""
    if outcome.verdict in (Verdict.ACCEPTED, Verdict.UNKNOWN, Verdict.THROTTLED):
        return outcome.verdict.value
    if outcome.stop:
        return "stop"
    return "unsent" if outcome.verdict is Verdict.UNSENT and outcome.http_status is None else "refused"
