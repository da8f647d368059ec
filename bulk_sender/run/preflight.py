"""Look at the target before the first request: is the host reached, the key taken, the campaign live?

One GET and no message. A campaign that is not live stops a send. A host that is not reached and a key that is refused
are said at once; the run still begins, stops with the same words, and can be resumed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from urllib.parse import urlsplit

import anyio

from bulk_sender.braze.details import CampaignDetails, DetailsAnswer, details_url, read_answer
from bulk_sender.braze.endpoint import check_url
from bulk_sender.braze.hosts import host_warning
from bulk_sender.config.hosts import is_loopback
from bulk_sender.config.model import Config
from bulk_sender.errors import CredentialError, GuardrailError
from bulk_sender.http.bounds import MAX_DETAILS_BYTES
from bulk_sender.http.client import HttpClient
from bulk_sender.http.credential import Credential
from bulk_sender.http.evidence import Evidence, Reach
from bulk_sender.http.exchange import Target
from bulk_sender.http.transport import transport_factory
from bulk_sender.observe.events import log
from bulk_sender.pace.backoff import WAITS, Waits
from bulk_sender.run.options import Sandbox
from bulk_sender.run.settings import http_settings

TIMEOUT_S = 10.0
"""For the question; connecting may take half of it."""

OFF = "the state was not asked for ([guard] preflight = false)"


@dataclass(frozen=True, slots=True)
class Preflight:
    """What was found out about the target. All empty before it was looked at, and in a rehearsal."""

    details: CampaignDetails | None = None
    why_not: str = ""
    """Why there are no details, in one line."""
    warnings: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The campaign's or Canvas' name; empty when it is not known."""
        return self.details.name if self.details is not None else ""


async def preflight(config: Config, credential: Credential, sandbox: Sandbox | None, waits: Waits = WAITS) -> Preflight:
    """Look at the target of a send. What is wrong with host or key is logged as a warning.

    Raise GuardrailError when the campaign or Canvas is archived, a draft or stopped.
    """
    if sandbox is not None:  # it begins with the run, and needs no key
        return Preflight()
    base = check_url(config.braze.endpoint)
    warnings = () if is_loopback(urlsplit(base).hostname or "") else tuple(filter(None, (credential.warning,)))
    if not config.guard.preflight:
        return Preflight(why_not=OFF, warnings=warnings)
    evidence = await ask(config, credential, waits)
    if refusal := unreached(evidence, base):
        log.warning("%s: %s", refusal, refusal.hint)
        return Preflight(why_not=str(refusal), warnings=warnings)
    answer = read_answer(evidence, canvas=config.is_canvas)
    if answer.key_refused:
        refused = refused_key(answer, config)
        log.warning("%s: %s", refused, refused.hint)
        return Preflight(why_not=f"Braze refuses the API key ({answer.key_refused})", warnings=warnings)
    if answer.details is not None and answer.details.refusal:
        raise GuardrailError(
            f"{answer.details.refusal} ({config.target}): nothing was sent", hint=answer.details.remedy
        )
    return Preflight(answer.details, answer.why_not, warnings)


async def ask(config: Config, credential: Credential, waits: Waits = WAITS) -> Evidence:
    """Ask once for the details, with the client settings of the run; once more if the connection was refused."""
    settings = replace(http_settings(config), transport="httpx")
    url = details_url(check_url(config.braze.endpoint), config.braze)
    target = Target.of(
        url,
        credential,
        timeout_s=min(TIMEOUT_S, settings.timeout_s),
        most_bytes=MAX_DETAILS_BYTES,
    )
    new_transport = transport_factory(credential.routed(settings), is_plain=url.startswith("http:"))
    client = HttpClient(target, credential, new_transport())
    try:
        evidence = await client.get()
        if _may_pass(evidence):
            await anyio.sleep(waits.shortest_s)
            evidence = await client.get()
        return evidence
    finally:
        await client.aclose()


def _may_pass(evidence: Evidence) -> bool:
    """Whether no connection came about, quickly and for a reason that may be over in a moment."""
    return evidence.reach is Reach.NOTHING and evidence.error == "ConnectError" and not _lasts(evidence.cause)


def _lasts(cause: str) -> bool:
    return cause in _NAME or cause in _CERTIFICATE or cause.startswith("SSL")


_NAME = ("gaierror",)
_CERTIFICATE = ("SSLCertVerificationError", "CertificateError")


def unreached(evidence: Evidence, base: str) -> GuardrailError | None:
    """Return the refusal when nothing was sent because no connection worked, in words for each cause; else None."""
    if evidence.reach > Reach.CONNECTED:
        return None
    host = urlsplit(base).netloc
    error, cause = evidence.error, evidence.cause
    through = "let this host through the firewall, or name a proxy with [braze] proxy"
    if error in ("ConnectTimeout", "DeadlineExceeded"):
        words, hint = f"{host} did not answer a connection in time", through
    elif cause in _NAME:
        words, hint = f"the name {host} cannot be resolved", "check its spelling, and this machine's DNS"
    elif cause in _CERTIFICATE:
        words = f"the certificate of {host} cannot be trusted"
        hint = "check the address; behind a company proxy, name its certificates with [braze] ca_bundle"
    elif cause.startswith("SSL"):
        words, hint = f"{host} does not speak TLS as expected ({cause})", "check the address, its port, and any proxy"
    elif error == "ProxyError":
        words, hint = (
            f"the proxy does not let requests to {host} pass",
            "check [braze] proxy, or BULK_SENDER_PROXY with its user and password",
        )
    elif cause == "ConnectionRefusedError":
        words, hint = f"{host} refuses connections", "check the address and its port"
    else:
        words, hint = f"no connection to {host} ({cause or error})", through
    if unusual := host_warning(base):
        hint = f"{unusual}. {hint}" if not unusual.endswith((".", "?")) else f"{unusual} {hint}"
    return GuardrailError(f"cannot reach Braze: {words}", hint=hint)


def refused_key(answer: DetailsAnswer, config: Config) -> CredentialError:
    """Return the refusal of a key that Braze does not take."""
    return CredentialError(
        f"Braze refuses the API key ({answer.key_refused}): it is wrong, was revoked, or belongs to another instance "
        f"than {config.braze.endpoint}",
        hint="compare key and endpoint with those of your workspace in Braze; if this key may send but read no "
        "details, give it that permission, or set [guard] preflight = false",
    )
