"""Notify people when a run fails or finishes: e-mail, Slack, Teams, webhooks, through Apprise.

The addresses hold secrets, so they stay in the environment, in the variable that ``[notify] urls_env`` names: one or
several Apprise URLs separated by blanks (https://github.com/caronc/apprise/wiki lists their forms). ``trouble``
notifies once during the run, at the first failed or unknown rows or when all requests have waited for five minutes, and
again at the end if the run ended badly. ``end`` notifies at every end. A run that is refused always notifies. Each
notification says what is sent where, and names a rehearsal.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal

from bulk_sender.config.model import NotifyConfig
from bulk_sender.errors import ConfigError
from bulk_sender.journal.records import Status
from bulk_sender.observe.events import Beginning, Observer, Refusal, log
from bulk_sender.reporting.advice import NAMES, counts, of_broadcast

if TYPE_CHECKING:
    from bulk_sender.observe.events import Progress
    from bulk_sender.reporting.summary import Summary

LONG_WAIT_S = 300.0

Kind = Literal["info", "success", "warning", "failure"]
Post = Callable[[str, str, Kind], bool]
"""Sends a title, a body and its kind; returns True if all receivers accepted them."""


class Notification(Observer):
    """Decides when to notify; ``post`` sends the notification."""

    def __init__(
        self, post: Post, on: tuple[str, ...] = ("trouble", "end"), clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._post = post
        self._on = on
        self._clock = clock
        self._run_id = ""
        self._what, self._sent = "run", ""
        self._has_notified = False
        self._waiting_since: float | None = None

    @classmethod
    def to(cls, config: NotifyConfig, environment: Mapping[str, str]) -> Notification:
        """Raises ConfigError before the run when nobody could be notified."""
        urls = environment.get(config.urls_env, "")
        if not urls.strip():
            raise ConfigError(
                f"[notify] needs addresses in the environment variable {config.urls_env}, which is not set",
                hint="set it to Apprise URLs, or remove [notify]",
            )
        return cls(_apprise(urls, config.urls_env), tuple(config.on))

    def began(self, beginning: Beginning) -> None:
        self._run_id = beginning.run_id
        self._what = "rehearsal" if beginning.rehearsal else "run"
        self._sent = _sent(beginning)

    def moment(self, progress: Progress) -> None:
        trouble = self._trouble(progress)
        if trouble and "trouble" in self._on and not self._has_notified:
            self._has_notified = True
            body = f"{self._sent}\n{trouble}. It continues; bulk-sender status {self._run_id} shows its state."
            title = f"bulk-sender: trouble in {self._what} {self._run_id}"
            threading.Thread(target=self._tell, args=(title, body, "warning"), daemon=True).start()

    def _trouble(self, progress: Progress) -> str:
        if progress.failed or progress.unknown:
            return (
                f"{progress.failed} rows failed and {progress.unknown} are unknown, {progress.accepted} were accepted"
            )
        if not progress.waiting_s:
            self._waiting_since = None
        elif self._waiting_since is None:
            self._waiting_since = self._clock()
        elif self._clock() - self._waiting_since >= LONG_WAIT_S:
            return f"All requests have waited for {progress.waiting_for} for {LONG_WAIT_S / 60:.0f} minutes"
        return ""

    def ended(self, summary: Summary) -> None:
        is_bad = summary.state != "finished" or bool(summary.failed or summary.unknown)
        kind: Kind = "failure" if is_bad else "warning" if summary.exit_code else "success"
        if "end" in self._on or (is_bad and "trouble" in self._on):
            title = f"bulk-sender: {self._what} {summary.run_id} {summary.state}"
            self._tell(title, f"{self._sent}\n{account(summary)}", kind)

    def refused(self, refusal: Refusal) -> None:
        what = "rehearsal" if refusal.rehearsal else "run"
        name = f" {refusal.run_id}" if refusal.run_id else ""
        body = f"{refusal.message}\nexit code: {refusal.exit_code}. Nothing was sent."
        self._tell(f"bulk-sender: {what}{name} refused", body, "failure")

    def _tell(self, title: str, body: str, kind: Kind) -> None:
        try:
            taken = self._post(title, body, kind)
        except Exception as error:  # its text may quote an address with its secret
            log.warning("the notification could not be sent (%s)", type(error).__name__)
            return
        if not taken:
            log.warning("the notification could not be sent: an address did not accept it")


def _sent(beginning: Beginning) -> str:
    """Return what is sent where, in one line: ``people.csv to campaign 1234 on rest.iad-01.braze.com``."""
    names = [name.rsplit("/", 1)[-1] for name in beginning.inputs]
    file = f"{names[0]} and {len(names) - 1} more" if len(names) > 1 else "".join(names) or "a broadcast"
    place = "the built-in sandbox, so nobody gets a message" if beginning.rehearsal else beginning.host
    kind = "Canvas" if beginning.kind == "canvas" else "campaign"
    return f"{file} to {kind} {beginning.target} on {place}"


def account(summary: Summary) -> str:
    """Return the counts and the next step, without personal data and without the reason, which may quote Braze."""
    lines = [f"rows: {summary.rows}", *(f"{NAMES[status]}: {getattr(summary, status)}" for status in Status)]
    lines.append(f"exit code: {summary.exit_code}, after {summary.elapsed_s:.0f} s")
    if summary.state != "finished":
        lines.append(f"The reason: bulk-sender status {summary.run_id}")
    found = [of_broadcast(summary)] if summary.broadcast is not None else counts(summary, rejects=summary.rejects_file)
    for count in found:
        if count.steps:
            step = count.steps[0]
            lines.append(f"{NAMES[count.status]}: {count.meaning} {step.words} {step.command}".strip())
    return "\n".join(lines)


def _apprise(urls: str, variable: str) -> Post:
    try:
        from apprise import Apprise, NotifyFormat, NotifyType
    except ImportError:
        raise ConfigError("[notify] needs Apprise, which is not installed", hint="pip install apprise") from None
    logging.getLogger("apprise").setLevel(logging.CRITICAL)  # it logs addresses, and some of them hold secrets
    receivers = Apprise()
    for number, url in enumerate(urls.split(), start=1):
        if not receivers.add(url):
            raise ConfigError(
                f"{variable}: address {number} is not a valid Apprise URL",
                hint="https://github.com/caronc/apprise/wiki lists the valid forms",
            )
    return lambda title, body, kind: bool(
        receivers.notify(body=body, title=title, notify_type=NotifyType(kind), body_format=NotifyFormat.TEXT)
    )
