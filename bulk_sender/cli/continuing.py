"""The beginning and end of the commands that send more of a run that exists: ``resume``, ``retry`` and ``join``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from bulk_sender.cli.console.terminal import terminal
from bulk_sender.cli.loading import loading
from bulk_sender.cli.options import LOG_FORMATS, located, one_of, settings

if TYPE_CHECKING:
    from bulk_sender.cli.console.watch import Session
    from bulk_sender.reporting.summary import Summary

    Begin = Callable[..., Awaitable[Summary]]


@dataclass(frozen=True, slots=True)
class Continuing:
    """One such command, with the options that all of them have."""

    command: str
    run: str
    runs_dir: Path
    rate: str | None
    concurrency: int | None
    metrics_file: Path | None
    as_json: bool
    quiet: bool
    log_format: str

    def set_up(self) -> None:
        terminal.set_up(quiet=self.quiet, log_format=one_of(self.log_format, LOG_FORMATS, "--log-format"))

    def deliver(
        self,
        own: Callable[[Session], Mapping[str, Any]],
        *,
        nothing: str,
        yes: bool,
        resumes: bool = False,
        helps: bool = False,
        through: Callable[[Begin], Begin] = lambda alone: alone,
    ) -> NoReturn:
        """Call the library's function of this name and exit. ``own``: its arguments that others do not have.

        ``nothing``: what to print if there was nothing to do. ``through``: makes of the function what is called
        instead. The other flags are those of ``Session``.
        """
        run, runs_dir = located(self.run, self.runs_dir)
        with loading():
            import bulk_sender as bs
            from bulk_sender.cli.console.watch import Session
            from bulk_sender.cli.environment import take_environment

            begin = through(getattr(bs, f"{self.command}_async"))
        plain = settings(rate=self.rate, concurrency=self.concurrency)
        delivery = Session(yes=yes, resumes=resumes, helps=helps)
        code = delivery.deliver(
            lambda: begin(
                run,
                watch=delivery.watch(self.metrics_file),
                runs_dir=runs_dir,
                environment=take_environment(),
                **plain,
                **own(delivery),
            ),
            nothing=nothing,
            as_json=self.as_json,
        )
        raise typer.Exit(code)
