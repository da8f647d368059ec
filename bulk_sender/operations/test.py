"""Send one message to a person of your own, before anyone else gets it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Unpack

from bulk_sender.braze.endpoint import endpoint
from bulk_sender.config.model import IDENTIFIERS, Config
from bulk_sender.errors import ConfigError
from bulk_sender.eventloop import blocking, in_thread
from bulk_sender.operations.send import send_async
from bulk_sender.planning.pick import Picked, pick
from bulk_sender.planning.prepared import InputLike, PreparedInput
from bulk_sender.reading.added import foreign_columns
from bulk_sender.reading.formats import where
from bulk_sender.reading.spool import Spool
from bulk_sender.recipients.mapping import by_names
from bulk_sender.reporting.summary import Summary
from bulk_sender.run.folder import new_run_id
from bulk_sender.run.options import (
    Guards,
    RunName,
    Sandbox,
    SendSettings,
    Watch,
    named,
    refuse_unknown,
    rehearsal,
)
from bulk_sender.run.preview import Preview
from bulk_sender.run.settings import ConfigLike, config_of

_KEPT = ("not_after", "confirm", "count_first")
_PASSED_ON = ("environment", "waits", "on_progress")
_OF_A_FILE: dict[str, Any] = {
    "format": None,
    "delimiter": None,
    "encoding": None,
    "sheet": None,
    "filter": None,
    "limit": None,
}
"""The keys of ``[input]`` that the one row has behind it."""


async def test_async(
    source: InputLike,
    config: ConfigLike = None,
    *,
    to: str,
    row: int | None = None,
    run: RunName = RunName(),
    guards: Guards = Guards(),
    watch: Watch = Watch(),
    sandbox: Sandbox | bool | None = None,
    **plain: Unpack[SendSettings],
) -> Summary:
    """Send one row's message to the person with the external id ``to``, in one request, as a separate run.

    ``row``: its number in reading order; None: the first one that would be sent. Everything but the identifier stays
    as mapped, so attributes are written to the profile of ``to``. Of ``guards``, ``not_after`` and ``confirm`` can be
    kept. The other arguments mean the same as those of ``send``. Raises BulkSenderError for trouble before anything is
    sent.
    """
    refuse_unknown("test", SendSettings, plain, "run", "guards", "watch", "sandbox")
    guards.refuse_unless("test", *_KEPT)
    if not to.strip():
        raise ConfigError("a test needs the external id of a person of your own", hint="give it with --to ID")
    run, rehearsed = named(run, plain), rehearsal(sandbox)
    settings = config_of(config, plain, rehearsed)
    endpoint(settings.braze, settings.message)  # fail on a bad endpoint before reading the input
    picked, about = await in_thread(_picked, source, settings, to, row)
    place = where(picked.source, picked.source_row, picked.source_line)
    words = f"the message of row {picked.row} ({picked.source}, {place}), to {to}"
    if (confirm := guards.confirm) is not None:

        def asked(preview: Preview) -> bool:
            return confirm(replace(preview, test=words))

        guards = replace(guards, confirm=asked)
    passed: Any = {name: plain[name] for name in _PASSED_ON if name in plain}  # type: ignore[literal-required]
    name = replace(run, id=run.id or f"test-{new_run_id()}")
    return await send_async(picked.columns, about, run=name, guards=guards, watch=watch, sandbox=sandbox, **passed)


test = blocking(test_async)


def _picked(source: InputLike, config: Config, to: str, row: int | None) -> tuple[Picked, Config]:
    """Return the row, and a configuration that sends it to ``to`` alone."""
    with Spool() as spool:
        prepared = PreparedInput.open(source, config, spool)
        picked = pick(prepared, source, row)
        mapped = config.recipient if not config.recipient.is_empty else by_names(prepared.source.schema)[0]
    fields = mapped.model_dump(exclude_unset=True, exclude={"identifier_order", "prioritization", *IDENTIFIERS})
    raw = config.model_dump(exclude_unset=True)
    raw["recipient"] = fields | {"external_user_id": {"value": to}}
    # Limits and the guard against repeats are about sends to customers.
    raw["guard"] = {"preflight": config.guard.preflight, "repeat_within": "0"}
    raw["input"] = raw.get("input", {}) | _OF_A_FILE
    own = replace(picked, columns=picked.columns.drop(foreign_columns(picked.columns.columns)))
    return own, Config.parse(raw, where="the configuration")
