"""Render the campaign's message for one recipient, and compare it with the whole input. Sends nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Unpack

import anyio

from bulk_sender.braze.details import CampaignDetails, DetailsAnswer, details_of, read_answer
from bulk_sender.braze.endpoint import check_url
from bulk_sender.braze.rendering import RenderedMessage, render_apart
from bulk_sender.config.model import Config
from bulk_sender.errors import BulkSenderError, InputError
from bulk_sender.eventloop import blocking, in_thread
from bulk_sender.guessing.fit import Fit
from bulk_sender.http.credential import Credential
from bulk_sender.planning.pick import Picked, pick
from bulk_sender.planning.prepared import InputLike, PreparedInput
from bulk_sender.reading.spool import Spool
from bulk_sender.run.options import DoctorSettings, PreviewSettings, refuse_unknown
from bulk_sender.run.preflight import ask, refused_key, unreached
from bulk_sender.run.settings import ConfigLike, config_of, environment_of


@dataclass(frozen=True, slots=True)
class MessagePreview:
    """The campaign's or Canvas' messages as the recipient of ``row`` would get them."""

    row: int
    identifier: str
    properties: Mapping[str, Any]
    """What fills the message: the row's properties over those of the request."""
    recipient: Mapping[str, Any]
    """The row's recipient exactly as it would be sent."""
    details: CampaignDetails | None
    why_not: str
    """Why there are no details, and so no messages; empty otherwise."""
    messages: tuple[RenderedMessage, ...]
    fit: Fit | None
    """What does not fit between the message and the whole input; None without details."""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


async def preview_async(
    source: InputLike,
    config: ConfigLike = None,
    *,
    row: int | None = None,
    message: str | Path | None = None,
    **plain: Unpack[PreviewSettings],
) -> MessagePreview:
    """Render the messages for one recipient, and say what does not fit the input.

    ``row``: its number in reading order; None: the first one that would be sent. ``message``: a file with an answer of
    ``/campaigns/details`` or ``/canvas/details``; without it Braze is asked, if endpoint, key and target are set. What
    Braze will not say ends in ``why_not``, and nothing is raised for it. The other arguments mean the same as those of
    ``send``. Needs the package python-liquid once there is a message. Raises ConfigError, InputError.
    """
    refuse_unknown("preview", PreviewSettings, plain, "row", "message")
    settings = config_of(config, plain)
    details: CampaignDetails | None
    why_not = ""
    if message is not None:
        details = read_message(message)
    else:
        answer = await _asked(settings, environment_of(plain))
        details, why_not = answer.details, answer.why_not
    picked, fit, settings = await in_thread(_picked, source, settings, row, details)
    recipient: dict[str, Any] = json.loads(picked.recipient)
    properties = _properties(settings, recipient)
    messages = await anyio.to_thread.run_sync(render_apart, details, properties) if details is not None else ()
    return MessagePreview(picked.row, picked.identifier, properties, recipient, details, why_not, messages, fit)


preview = blocking(preview_async)


async def campaign_async(config: ConfigLike = None, **plain: Unpack[DoctorSettings]) -> DetailsAnswer:
    """Ask Braze for the name, state and messages of the campaign or Canvas, with one GET. Sends nothing.

    What Braze will not say ends in ``why_not``, and nothing is raised for it, nor for a missing key or endpoint. The
    arguments mean the same as those of ``send``. Raises ConfigError for an invalid configuration.
    """
    refuse_unknown("campaign", DoctorSettings, plain)
    return await _asked(config_of(config, plain), environment_of(plain))


campaign = blocking(campaign_async)


def read_message(path: str | Path) -> CampaignDetails:
    """Return the details in a file. Raise InputError when it holds none."""
    try:
        answer = json.loads(Path(path).read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not JSON"
        raise InputError(f"{path} cannot be read as a message: {why}", hint=_HOW) from None
    if (details := details_of(answer)) is None:
        raise InputError(f"{path} does not hold the details of a campaign or Canvas", hint=_HOW)
    return details


_HOW = "save Braze's answer to GET /campaigns/details?campaign_id=… or /canvas/details?canvas_id=…"


async def _asked(config: Config, environment: Mapping[str, str]) -> DetailsAnswer:
    if config.target is None:
        return DetailsAnswer(why_not="neither a campaign nor a Canvas is set")
    try:
        base = check_url(config.braze.endpoint)
        evidence = await ask(config, Credential.from_environment(environment))
        if refusal := unreached(evidence, base):
            return DetailsAnswer(why_not=str(refusal))
        answer = read_answer(evidence, canvas=config.is_canvas)
        return replace(answer, why_not=str(refused_key(answer, config))) if answer.key_refused else answer
    except BulkSenderError as error:
        return DetailsAnswer(why_not=str(error))


def _picked(
    source: InputLike, config: Config, row: int | None, details: CampaignDetails | None
) -> tuple[Picked, Fit | None, Config]:
    with Spool() as spool:
        prepared = PreparedInput.open(source, config, spool)
        comparison = prepared.compared_with(details)
        picked = pick(prepared, source, row, comparison)
        return picked, comparison.result if comparison is not None else None, config


def _properties(config: Config, recipient: Mapping[str, Any]) -> dict[str, Any]:
    own: dict[str, Any] = next((recipient[name] for name in _NAMES if name in recipient), {})
    return {**config.message.trigger_properties, **own}


_NAMES = ("trigger_properties", "context", "canvas_entry_properties")
