"""One delivery on a terminal: prompts, progress, signals and the final summary."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio

from bulk_sender.cli.console import signals
from bulk_sender.cli.console.narrator import Narrator
from bulk_sender.cli.console.progress import view_for
from bulk_sender.cli.console.questions import Question, can_ask
from bulk_sender.cli.console.terminal import terminal
from bulk_sender.cli.render import preview as messages
from bulk_sender.cli.render import summary as summaries
from bulk_sender.cli.render.layout import STYLES
from bulk_sender.config.amount import Amount
from bulk_sender.errors import BulkSenderError, InternalError, Interrupted
from bulk_sender.eventloop import run
from bulk_sender.observe.events import Progress
from bulk_sender.reporting.origin import Origin
from bulk_sender.reporting.summary import Summary
from bulk_sender.run.control import Control
from bulk_sender.run.options import Watch
from bulk_sender.run.preview import Preview
from bulk_sender.text.masking import without_addresses
from bulk_sender.text.numbers import several


class Session:
    """One delivery on the terminal. ``confirm`` and ``watch`` go to the library's function; ``deliver`` runs it."""

    def __init__(
        self,
        *,
        yes: bool,
        canary: int | None = None,
        resumes: bool = False,
        helps: bool = False,
        tolerated: Amount | None = None,
    ) -> None:
        """``resumes``: to go on is what the command is for, so its yes also lets the rest follow a canary.

        ``helps``: another process answers for the run, so that any end of it is well.
        ``tolerated``: how many rejected rows do not change the exit code; None: not one.
        """
        self.control = Control()
        self.has_begun = False
        """Whether the run has begun to send: requests may have left."""
        self._yes = yes
        self._canary = canary
        self._tolerated = tolerated
        self._resumes = resumes
        self._helps = helps
        self._signal = 0
        self._in_flight = 0
        self._may_follow = False
        """Whether somebody has agreed to send the rest of a held run."""
        self._question = Question()
        self._narrator = Narrator(view_for(terminal))

    @property
    def confirm(self) -> Callable[[Preview], bool] | None:
        """The prompt for ``Guards``; None if nobody is asked and nothing is shown, so that nothing is counted."""
        return None if self._yes and terminal.quiet else self._confirm

    @property
    def confirm_again(self) -> Callable[[Preview], bool] | None:
        """The prompt for a send that was made before; None if nobody can answer it."""
        return None if self._yes or not can_ask() else self._confirm_again

    def watch(self, metrics_file: Path | None = None) -> Watch:
        """Return the callbacks of this terminal."""
        return Watch(
            on_progress=self._on_progress,
            on_rows=self._on_rows,
            on_canary=self._on_canary,
            metrics_file=metrics_file,
            control=self.control,
        )

    def deliver(
        self,
        begin: Callable[[], Awaitable[Summary]],
        *,
        nothing: str,
        as_json: bool,
    ) -> int:
        """Run a delivery and print its summary. ``nothing``: what to print if there was nothing to do.

        Return the exit code. Once sending has begun, an internal error has exit code 3 as expected errors do: the run
        can be resumed.
        """
        signals.outlive_the_terminal()
        try:
            with self._narrator, _library_warnings():
                summary = run(self._run, begin)
            return self._conclude(summary, nothing, as_json)
        except Exception as error:
            if not self.has_begun or isinstance(error, BulkSenderError):
                raise
            raise InternalError.of(error, exit_code=3) from error

    async def _run(self, begin: Callable[[], Awaitable[Summary]]) -> Summary:
        trouble: Exception | None = None
        summary: Summary | None = None
        async with anyio.create_task_group() as group:
            scope = anyio.CancelScope()

            def first(number: int) -> None:
                self._first(number)
                if not self.control.has_begun:  # nothing was sent
                    scope.cancel()

            await group.start(signals.listen, first, self._second)
            try:
                with scope:
                    summary = await begin()
                if summary is None:
                    self._refuse_if_interrupted()
            except Exception as error:  # outside the task group, which would wrap it
                trouble = error
            group.cancel_scope.cancel()
        if trouble is not None:
            raise trouble
        assert summary is not None
        return summary

    # --- signals ------------------------------------------------------------------------------------------------

    def _first(self, number: int) -> None:
        self._signal = number
        self._question.cut_short()
        name = signal.Signals(number).name
        self.control.stop(f"you stopped it with Ctrl-C ({name})" if number == signal.SIGINT else name, number)
        self._narrator.stop(self._stopping())

    def _second(self, number: int) -> None:
        if not self.has_begun:
            os._exit(128 + number)  # reading cannot be interrupted, and nothing was sent
        self._narrator.stop("Stopping now")
        self.control.abort()

    def _stopping(self) -> str:
        again = "Press Ctrl-C again to stop now"
        if not self._in_flight:
            return f"Stopping. {again}"
        return f"Stopping: finishing {several(self._in_flight, 'request')}. {again} (their rows become unknown)"

    def _refuse_if_interrupted(self) -> None:
        if self._signal:
            raise Interrupted.by(self._signal, "interrupted: nothing was sent")

    # --- what the library calls ---------------------------------------------------------------------------------

    def _on_rows(self, rows: int) -> None:
        """Called in a thread while rows are counted. A signal ends the count here."""
        self._refuse_if_interrupted()
        self._narrator.reading(rows)

    def _confirm_again(self, about: Preview) -> bool:
        """Called in a thread: show what was sent before, and ask for the number of people who may get it twice."""
        self._show(about, asks=True)
        wanted = str(about.recipients) if about.recipients is not None else about.run_id
        agreed = self._question.ask_for(wanted, messages.question_again(about, wanted))
        return self._agreed(about, agreed, asks=True)

    def _confirm(self, about: Preview) -> bool:
        """Called in a thread: show what is about to be sent, and ask."""
        asks = not self._yes and about.recipients != 0
        self._show(about, asks=asks)
        agreed = not asks or self._question.ask(messages.question(about, self._canary))
        return self._agreed(about, agreed, asks=asks)

    def _agreed(self, about: Preview, agreed: bool, *, asks: bool) -> bool:
        self._refuse_if_interrupted()
        if about.standing is not None and about.standing.held is not None and not about.again:
            self._may_follow = agreed and (asks or self._resumes)
        return agreed

    def _show(self, about: Preview, *, asks: bool) -> None:
        self._narrator.clear()
        self._narrator.expected = about.recipients
        self._narrator.target(about.preflight)
        terminal.say(messages.preview(about, terminal.width, canary=self._canary), always=asks)
        for warning in messages.warnings(about):
            terminal.warn(warning)
        terminal.say([""], always=asks)

    def ask(self, text: str) -> bool:
        """Ask another question in a thread. A signal cuts it short."""
        self._narrator.clear()
        agreed = self._question.ask(text)
        self._refuse_if_interrupted()
        return agreed

    def _on_progress(self, progress: Progress) -> None:
        self.has_begun = True
        self._in_flight = progress.in_flight
        self._narrator.moment(progress)

    async def _on_canary(self, progress: Progress) -> bool | None:
        """Ask whether to send the rest after the canary. None: nobody can answer."""
        # The question before the first request was this one, or a resume that nobody is asked about.
        if not progress.requests and (self._may_follow or (self._resumes and self._yes)):
            return True
        return await anyio.to_thread.run_sync(self._ask_about_the_rest, progress)

    def _ask_about_the_rest(self, progress: Progress) -> bool | None:
        with self._narrator.silent():
            if progress.requests:
                terminal.say(summaries.held(progress, progress.held_after or 0, terminal.width))
            return self._question.ask("Send the rest?") if can_ask() else None

    # --- the end ------------------------------------------------------------------------------------------------

    def _conclude(self, summary: Summary, nothing: str, as_json: bool) -> int:
        code = summary.code_tolerating(self._tolerated) if self.has_begun else standing_code(summary, self._tolerated)
        if self._helps and code == 1:
            code = 0
        if not self.has_begun:
            terminal.say([f"Run {summary.run_id} {nothing}", ""])
        if terminal.is_chatty:
            terminal.say(summaries.summary(summary, terminal.width, Origin.behind(summary)))
        if summary.state in ("stopped", "interrupted"):
            terminal.event("stopped", run_id=summary.run_id, reason=without_addresses(summary.reason or ""))
        if terminal.quiet and code:  # with --quiet, still print failures: cron mails any output
            terminal.fail(summaries.trouble(summary), summaries.next_step(summary), code)
        counts = {name: getattr(summary, name) for name in ("rows", *STYLES, "batches", "requests")}
        terminal.event(
            "run_finished",
            run_id=summary.run_id,
            state=summary.state,
            exit_code=code,
            **counts,
            elapsed_s=summary.elapsed_s,
            recipients_per_s=summary.recipients_per_s,
        )
        if as_json:
            terminal.json(summary.to_dict())
        return code


def standing_code(summary: Summary, tolerated: Amount | None = None) -> int:
    """Return the exit code of a run that another process stopped or finished: 0, 1 or 3."""
    return 3 if summary.state in ("stopped", "interrupted") else summary.code_tolerating(tolerated)


class _Warnings(logging.Handler):
    """Print the library's log records like all other warnings."""

    def emit(self, record: logging.LogRecord) -> None:
        terminal.warn(record.getMessage())


@contextmanager
def _library_warnings() -> Iterator[None]:
    log, handler = logging.getLogger("bulk_sender"), _Warnings(logging.WARNING)
    log.addHandler(handler)
    propagated, log.propagate = log.propagate, False
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.propagate = propagated
