"""The endpoint: the address of a request, and the JSON around its recipients. Pure.

Sources: post_send_triggered_campaigns, post_send_triggered_canvases, api_basics (REST hosts), api_limits.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from bulk_sender.braze.hosts import host_warning, other_address
from bulk_sender.braze.limits import MAX_PROPERTIES_BYTES
from bulk_sender.config.constants import constant_json
from bulk_sender.config.hosts import is_address, is_loopback
from bulk_sender.config.model import BrazeConfig, MessageConfig
from bulk_sender.config.rate import Rate
from bulk_sender.errors import ConfigError

CAMPAIGN_PATH = "/campaigns/trigger/send"
CANVAS_PATH = "/canvas/trigger/send"

BROADCAST_RATE = Rate.parse("250/minute")
"""Braze's limit for requests without recipients, and perhaps for those with recipients and an ``audience``."""
AUDIENCE_WORST_RATE = Rate.parse("10/minute")
"""Braze's limit for one audience without recipients; it may be the limit beside recipients, too."""

_LABEL = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST_NAME = re.compile(rf"(?:{_LABEL}\.)*{_LABEL}")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A request is ``head + recipients + tail``, posted to ``url``.

    ``body`` makes every body. For a broadcast the head says ``"broadcast":true``, and there are no recipients.
    """

    url: str
    head: bytes
    tail: bytes
    broadcast: bool = False
    has_audience: bool = False

    def body(self, recipients: bytes) -> bytes:
        """Return a request's body. ``recipients``: 1 to 50 JSON objects with commas; empty only for a broadcast."""
        assert bool(recipients) is not self.broadcast, "recipients and a broadcast exclude each other"
        return self.head + recipients + self.tail

    @property
    def frame_bytes(self) -> int:
        return len(self.head) + len(self.tail)

    def rate(self, asked: Rate) -> Rate:
        """Return the rate for this kind of request: ``asked``, or the lower limit of broadcasts."""
        return min(asked, BROADCAST_RATE, key=lambda rate: rate.per_second) if self.broadcast else asked

    def first_rate(self, asked: Rate) -> Rate:
        """Return the rate until Braze's first answer tells the limit: lower with an ``audience`` beside recipients."""
        is_limited = self.broadcast or self.has_audience
        return min(asked, BROADCAST_RATE, key=lambda rate: rate.per_second) if is_limited else asked


def endpoint(braze: BrazeConfig, message: MessageConfig) -> Endpoint:
    """Return the endpoint of a run. Raises ConfigError when the host or the target is missing or invalid."""
    return replace(unaddressed(braze, message), url=_url(braze))


def unaddressed(braze: BrazeConfig, message: MessageConfig) -> Endpoint:
    """Return the endpoint of a check: what a request holds, without where it goes. Raises ConfigError."""
    return Endpoint("", request_head(braze, message), b"]}", has_audience=message.audience is not None)


def broadcast_endpoint(braze: BrazeConfig, message: MessageConfig) -> Endpoint:
    """Return the endpoint of a broadcast to the campaign's segment, or to those in it who match ``audience``.

    Raises ConfigError, also for attachments, which cannot go with a broadcast.
    """
    if message.attachments:
        raise ConfigError("message.attachments cannot be used with a broadcast", hint="remove them, or use send")
    return Endpoint(_url(braze), _open_object(_fields(braze, message, broadcast=True)), b"}", broadcast=True)


def _url(braze: BrazeConfig) -> str:
    base = check_url(braze.endpoint)
    if braze.target is None:
        raise ConfigError(
            "no campaign: neither braze.campaign_id nor braze.canvas_id is set",
            hint="give --campaign-id ID or --canvas-id ID, or set it under [braze]; --sandbox needs none",
        )
    return base + (CANVAS_PATH if braze.is_canvas else CAMPAIGN_PATH)


def request_head(braze: BrazeConfig, message: MessageConfig) -> bytes:
    """Return everything before the recipients. ``broadcast`` is always sent, as false."""
    return _open_object(_fields(braze, message, broadcast=False)) + b',"recipients":['


def _open_object(fields: dict[str, str]) -> bytes:
    return ("{" + ",".join(f'"{name}":{text}' for name, text in fields.items())).encode()


def _fields(braze: BrazeConfig, message: MessageConfig, *, broadcast: bool) -> dict[str, str]:
    """Return the request's fields except its recipients: name → JSON text."""
    fields: dict[str, str] = {"canvas_id" if braze.is_canvas else "campaign_id": json.dumps(braze.target)}
    if braze.send_id:
        fields["send_id"] = json.dumps(braze.send_id)
    fields["broadcast"] = json.dumps(broadcast)
    if message.trigger_properties:
        name = braze.canvas_properties_name if braze.is_canvas else "trigger_properties"
        text = constant_json(message.trigger_properties, f"message.{name}")
        if (size := len(text.encode())) > MAX_PROPERTIES_BYTES:
            raise ConfigError(
                f"message.{name} has {size:,} bytes; Braze accepts at most {MAX_PROPERTIES_BYTES:,} for a recipient",
                hint="shorten it, or put what only some recipients need into columns",
            )
        fields[name] = text
    if message.audience is not None:
        fields["audience"] = constant_json(message.audience, "message.audience")
    if message.attachments:
        if braze.is_canvas:
            raise ConfigError("message.attachments belong to campaigns, not to a Canvas")
        fields["attachments"] = constant_json(
            [item.model_dump(exclude_none=True) for item in message.attachments], "message.attachments"
        )
    return fields


def check_url(url: str | None) -> str:
    """Return the base address without a trailing slash: https except for loopback, without user, query or path.

    Raise ConfigError. An unknown host is allowed, since Braze adds instances; ``host_warning`` says when to warn.
    """
    if not url:
        raise ConfigError(
            "no endpoint: braze.endpoint is not set",
            hint="set BRAZE_ENDPOINT, --endpoint or [braze] endpoint to your instance's REST address, "
            "such as https://rest.iad-01.braze.com",
        )
    hint = "write it like https://rest.iad-01.braze.com"
    url = url.strip()
    # urlsplit silently drops some of these, and turns one (the Kelvin sign) into an ASCII letter.
    if not url.isascii() or re.search(r"[\s\\\x00-\x1f\x7f]", url):
        raise ConfigError("braze.endpoint has characters that are not valid in an address", hint=hint)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ConfigError("braze.endpoint is not a valid address", hint=hint) from None
    host = parts.hostname or ""
    if parts.scheme not in ("http", "https") or not host:
        raise ConfigError("braze.endpoint is not an http(s) address", hint=hint)
    if "@" in parts.netloc or "?" in url or "#" in url or parts.path not in ("", "/"):
        other = other_address(host)
        raise ConfigError(
            "braze.endpoint may only have a scheme and a host", hint=f"{host} is {other}" if other else hint
        )
    if not (_HOST_NAME.fullmatch(host) or is_address(host)):
        raise ConfigError(f"braze.endpoint: {host!r} is not a valid host name", hint=hint)
    if parts.scheme == "http" and not is_loopback(host):
        raise ConfigError(
            "braze.endpoint is http, which would expose the key",
            hint="use https; http is for loopback only",
        )
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}" + (f":{port}" if port is not None else "")


def endpoint_warning(url: str | None) -> str:
    """Return what is wrong or unusual about a configured endpoint, for a check, which does not need one."""
    if url is None:
        return ""
    try:
        return host_warning(check_url(url))
    except ConfigError as error:
        return f"{error}: {error.hint}"
