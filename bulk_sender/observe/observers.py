"""Observers of a run: a caller's function, a metrics file, OpenTelemetry, notifications.

An observer cannot affect the run. An exception in one is logged (logger ``bulk_sender``) and removes it. No observer
receives a recipient's data: only counts, ids of run, campaign and batch, and Braze's status codes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from bulk_sender.observe.events import Attempt, Beginning, Observer, Refusal, log

if TYPE_CHECKING:
    from bulk_sender.config.model import NotifyConfig
    from bulk_sender.observe.events import Progress
    from bulk_sender.reporting.summary import Summary


_LONGEST_END_S = 15.0
"""A receiver that does not answer must not keep the process from ending."""


class Callback(Observer):
    """A caller's ``on_progress``."""

    def __init__(self, on_progress: Callable[[Progress], object]) -> None:
        self._on_progress = on_progress

    def moment(self, progress: Progress) -> None:
        try:
            self._on_progress(progress)
        except Exception:
            log.exception("on_progress raised and will not be called again; the run continues")
            self._on_progress = lambda _: None


class Observers(Observer):
    """All observers of one run."""

    def __init__(self, observers: Iterable[Observer] = ()) -> None:
        self._observers = list(observers)

    @property
    def count_attempts(self) -> bool:
        """Whether any of them wants to know of each attempt."""
        return any(type(observer).attempted is not Observer.attempted for observer in self._observers)

    def began(self, beginning: Beginning) -> None:
        self._tell(lambda observer: observer.began(beginning))

    def moment(self, progress: Progress) -> None:
        self._tell(lambda observer: observer.moment(progress))

    def attempted(self, attempt: Attempt) -> None:
        self._tell(lambda observer: observer.attempted(attempt))

    def ended(self, summary: Summary) -> None:
        self._tell(lambda observer: observer.ended(summary))

    def refused(self, refusal: Refusal) -> None:
        self._tell(lambda observer: observer.refused(refusal))

    async def tell_end(self, summary: Summary) -> None:
        """Call ``ended`` of each in a thread, and give up on those that take too long."""
        await self._tell_last(lambda: self.ended(summary))

    async def tell_refusal(self, refusal: Refusal) -> None:
        """Call ``refused`` of each in a thread, and give up on those that take too long."""
        await self._tell_last(lambda: self.refused(refusal))

    async def _tell_last(self, tell: Callable[[], None]) -> None:
        with anyio.move_on_after(_LONGEST_END_S, shield=True) as scope:
            await anyio.to_thread.run_sync(tell, abandon_on_cancel=True)
        if scope.cancelled_caught:
            log.warning("a notification did not finish within %.0f s", _LONGEST_END_S)

    def _tell(self, tell: Callable[[Observer], None]) -> None:
        for observer in tuple(self._observers):
            try:
                tell(observer)
            except Exception as error:  # its text may quote an address with a secret in it
                log.warning(
                    "%s failed (%s); the run continues without it", type(observer).__name__, type(error).__name__
                )
                self._observers.remove(observer)


def observers_for(
    notify: NotifyConfig | None,
    environment: Mapping[str, str],
    *,
    on_progress: Callable[[Progress], object] | None = None,
    metrics_file: str | Path | None = None,
) -> Observers:
    """Return all observers. Unused ones are not imported. Raises ConfigError for one that cannot work."""
    found: list[Observer] = []
    if on_progress is not None:
        found.append(Callback(on_progress))
    if metrics_file is not None:
        from bulk_sender.observe.metrics_file import MetricsFile

        found.append(MetricsFile.at(Path(metrics_file)))
    if notify is not None:
        from bulk_sender.observe.notification import Notification

        found.append(Notification.to(notify, environment))
    from bulk_sender.observe import telemetry

    if telemetry.is_wanted(environment):
        found.append(telemetry.Telemetry.start(environment))
    return Observers(found)
