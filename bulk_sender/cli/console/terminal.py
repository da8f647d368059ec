"""The terminal: standard error for people (or a log), standard output for data. Either may be closed at any time.

With ``--log-format json`` standard error is one JSON object per line. All have ``at`` (UTC, ISO 8601) and ``event``.
Counts are of recipients unless stated otherwise. No event holds a recipient's data.

=============== =========================== =======================================================================
event           when                        fields besides
=============== =========================== =======================================================================
run_started     a run begins to send        run_id; expected (recipients to send, or null); rate (requests a second);
                                            target_name (the campaign's or Canvas'), target_state (live): null if
                                            Braze did not say
progress        every 10 s                  run_id, elapsed_s, rows (planned so far), accepted, failed, unknown,
                                            requests, in_flight, retries, throttled, rate, expected
waiting         all requests wait           run_id, seconds, for (words), on (rate_limit, hours, connection, errors)
slowed          slower than asked           run_id, why (words), at_once (requests that may be in flight now)
ramping         a canary was approved       run_id, seconds (until the rate is reached)
stopped         a run has ended early       run_id, reason (as in summary.json, e-mail addresses masked)
run_finished    the end, also after stopped run_id, state, exit_code, rows and the six counts, batches, requests,
                                            elapsed_s, recipients_per_s
warning         something to check          message
error           a command failed            message, hint, exit_code
=============== =========================== =======================================================================
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from functools import cached_property
from typing import IO, TYPE_CHECKING, Any, Literal

from bulk_sender.text.clean import escaped, plain
from bulk_sender.text.masking import without_addresses
from bulk_sender.text.times import now

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

LogFormat = Literal["text", "json"]


class Enduring:
    """A standard stream that may be closed; after that, output is dropped silently."""

    def __init__(self, stream: IO[str] | None) -> None:
        self._stream = stream
        self._is_terminal = False
        with suppress(OSError, ValueError):
            self._is_terminal = stream is not None and stream.isatty()

    @property
    def encoding(self) -> str:
        return getattr(self._stream, "encoding", None) or "utf-8"

    def isatty(self) -> bool:
        return self._is_terminal and self._stream is not None

    def fileno(self) -> int:
        if self._stream is None:
            raise OSError("no stream")
        return self._stream.fileno()

    def write(self, text: str) -> int:
        if self._stream is not None:
            try:
                self._stream.write(text)
            except UnicodeEncodeError:
                self._stream.write(text.encode(self.encoding, "replace").decode(self.encoding))
            except (OSError, ValueError):
                self._give_up()
        return len(text)

    def flush(self) -> None:
        if self._stream is not None:
            try:
                self._stream.flush()
            except (OSError, ValueError):
                self._give_up()

    def _give_up(self) -> None:
        """Redirect the buffered output to /dev/null, so that it cannot fail again when the interpreter ends."""
        stream, self._stream = self._stream, None
        with suppress(OSError, ValueError, AttributeError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, stream.fileno())  # type: ignore[union-attr]
            os.close(null)


class Terminal:
    """The output streams of this process, and how much it prints on them in which form."""

    def __init__(self) -> None:
        self.quiet = False
        self.log_format: LogFormat = "text"

    def set_up(self, *, quiet: bool = False, log_format: str = "text") -> None:
        """Set ``quiet`` (only errors) and ``log_format``: ``text`` for people, ``json`` for programs."""
        self.quiet = quiet
        self.log_format = "json" if log_format == "json" else "text"

    @staticmethod
    def open_missing_streams() -> None:
        """Open closed standard streams, so that no file gets their number and the output of others."""
        for number in (0, 1, 2):
            try:
                os.fstat(number)
            except OSError:
                os.open(os.devnull, os.O_RDWR)

    @cached_property
    def err(self) -> Console:
        return self._console(sys.stderr)

    @cached_property
    def out(self) -> Console:
        return self._console(sys.stdout)

    @staticmethod
    def _console(stream: IO[str] | None) -> Console:
        from rich.console import Console

        file: Any = Enduring(stream)
        return Console(file=file, markup=False, highlight=False, emoji=False, soft_wrap=True)

    @property
    def is_chatty(self) -> bool:
        """Whether people read the output."""
        return not self.quiet and self.log_format == "text"

    @property
    def width(self) -> int | None:
        """The width of the terminal on standard error; None without one, so that nothing is wrapped."""
        return self.err.width if self.err.is_terminal else None

    @property
    def out_width(self) -> int | None:
        return self.out.width if self.out.is_terminal else None

    @staticmethod
    def _print(console: Console, line: Text | str) -> None:
        """Print a line. Whatever it quotes from outside, the terminal obeys none of it."""
        if isinstance(line, str):
            console.print(plain(line))
            return
        if (safe := plain(line.plain)) != line.plain:
            line = line.copy()
            line.plain = safe  # as long as before, so the styles stay in place
        console.print(line)

    def say(self, lines: Iterable[Text | str], *, always: bool = False) -> None:
        """Print to people on standard error. ``always``: even when quiet, since a question follows."""
        if self.is_chatty or always:
            for line in lines:
                self._print(self.err, line)

    def show(self, lines: Iterable[Text | str]) -> None:
        """Print the requested output on standard output."""
        for line in lines:
            self._print(self.out, line)

    def data(self, text: str) -> None:
        """Print a line of data on standard output, in UTF-8 whatever the locale."""
        self.data_bytes(text.encode("utf-8", "backslashreplace") + b"\n")

    def json(self, value: Any) -> None:
        """Print JSON on standard output."""
        self.data(escaped(json.dumps(value, ensure_ascii=False, indent=2, default=str)))

    def data_bytes(self, data: bytes) -> bool:
        """Write bytes to standard output. Return False when nobody reads them any more."""
        if sys.stdout is None:
            return False
        try:
            sys.stdout.flush()
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        except (OSError, ValueError):
            Enduring(sys.stdout)._give_up()
            return False
        return True

    def warn(self, message: str) -> None:
        """Print a warning on standard error."""
        if self.quiet:
            return
        if self.log_format == "json":
            self.event("warning", message=message)
            return
        from bulk_sender.cli.render.layout import notice

        self.say(notice("warning", "yellow", message, "", self.width))

    def fail(self, message: str, hint: str, exit_code: int) -> None:
        """Print an error, even when quiet."""
        if self.log_format == "json":
            self.event("error", message=without_addresses(message), hint=hint, exit_code=exit_code)
            return
        from bulk_sender.cli.render.layout import notice

        for line in notice("error", "bold red", message, hint, self.width):
            self._print(self.err, line)

    def insist(self, run_id: str, message: str, seconds: float, on: str) -> None:
        """Say that a run has waited for long, even when quiet."""
        if self.log_format == "json":
            self._write("waiting", run_id=run_id, seconds=seconds, on=on, **{"for": message})
        else:
            self._print(self.err, f"run {run_id}: {message}")

    def debug(self, text: str) -> None:
        """Print a traceback on standard error."""
        self._print(self.err, text)

    def event(self, event: str, **facts: Any) -> None:
        """Write one line of the JSON log."""
        if self.log_format != "json" or (self.quiet and event != "error"):
            return
        self._write(event, **facts)

    def _write(self, event: str, **facts: Any) -> None:
        at = now()
        file = self.err.file
        file.write(escaped(json.dumps({"at": at, "event": event, **facts}, ensure_ascii=False)) + "\n")
        file.flush()


terminal = Terminal()
