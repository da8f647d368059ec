"""Server of the sandbox: a listening socket on loopback, its connections, and the simulated failures.

It is the only module that applies the weather to real connections.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Collection
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bulk_sender.sandbox.details import Message
from bulk_sender.sandbox.endpoints import TRIGGERS, Endpoints, Limits
from bulk_sender.sandbox.ledger import Ledger
from bulk_sender.sandbox.ratelimit import Clock, KeyedRateLimit, RateLimit
from bulk_sender.sandbox.rehearsal import Rehearsal
from bulk_sender.sandbox.weather import LOST, Event, Fate, Weather
from bulk_sender.sandbox.wire import Answer, BadRequestError, Connection, Request, TooLargeError

HOST = "127.0.0.1"
INCOMPLETE = "its body was incomplete"
_UNANSWERED = frozenset({*LOST, Fate.DARK})


class Sandbox:
    """A simulated Braze, served while the ``async with`` block runs.

    ``port``            0 chooses a free port; see :attr:`url`
    ``weather``         one of :data:`~bulk_sender.sandbox.WEATHERS`; ``seed`` determines its sequence of events
    ``keys``            the only valid API keys; None accepts any that is not empty
    ``campaigns``       the only valid campaign or Canvas ids; None accepts any
    ``limit``           requests with recipients per ``window_s`` seconds; some weathers have a lower limit
    ``ledger_file``     the file (NDJSON) to append accepted requests to; an existing one is read first
    ``keep_recipients`` False keeps only counts in memory, for long or fast runs
    ``latency_s``       a fixed delay of every answer, instead of the weather's
    ``clock``           seconds since the epoch, for windows and times in answers
    ``…_limit``         the other limits: requests per minute, and send ids per day
    ``body_cap``        bytes of the largest accepted body; Braze documents 4 MB
    ``state``           of campaign and Canvas: live, paused, stopped, archived or draft; see :meth:`rehearse`
    ``answers``         one of :data:`~bulk_sender.sandbox.ANSWERS`
    ``details``         False refuses the details endpoints with 403, as for a key without the permission
    ``message``         the file (JSON) with the message that the details endpoints show: a saved answer, or messages
    """

    def __init__(
        self,
        *,
        port: int = 0,
        weather: str = "calm",
        seed: int = 1,
        keys: Collection[str] | None = None,
        campaigns: Collection[str] | None = None,
        limit: int = 250_000,
        window_s: float = 3600,
        ledger_file: str | Path | None = None,
        keep_recipients: bool = True,
        latency_s: float | None = None,
        clock: Clock = time.time,
        audience_limit: int = 250,
        broadcast_limit: int = 250,
        same_audience_limit: int = 10,
        export_limit: int = 250,
        send_id_limit: int = 100,
        body_cap: int = 4_000_000,
        state: str = "live",
        answers: str = "usual",
        details: bool = True,
        message: str | Path | None = None,
    ) -> None:
        rehearsal = Rehearsal(state, answers, details)
        shown = Message() if message is None else Message.read(message)
        self._weather = Weather(weather, seed, latency_s)
        climate = self._weather.climate
        self._limits = Limits(
            sends=RateLimit(min(limit, climate.limit or limit), min(window_s, climate.window_s or window_s), clock),
            audiences=RateLimit(audience_limit, 60, clock),
            broadcasts=RateLimit(broadcast_limit, 60, clock),
            same_audience=KeyedRateLimit(same_audience_limit, 60, clock),
            send_ids=RateLimit(send_id_limit, 86_400, clock),
            exports=RateLimit(export_limit, 60, clock),
        )
        self._port = port
        self._clock = clock
        self._body_cap = body_cap
        self.ledger = Ledger(ledger_file, keep_recipients=keep_recipients)
        self._endpoints = Endpoints(self.ledger, self._limits, clock, keys, campaigns, rehearsal, shown)
        self._server: asyncio.Server | None = None
        self._connections: dict[asyncio.Task[None], Connection] = {}
        self._bound: socket.socket | None = None
        self._recovery: asyncio.Task[None] | None = None  # set during an outage; its end is the outage's end

    @property
    def url(self) -> str:
        """``http://127.0.0.1:PORT``, to use as the sender's endpoint."""
        return f"http://{HOST}:{self._port}"

    def rehearse(self, **changes: Any) -> None:
        """Change some fields of the :class:`~bulk_sender.sandbox.rehearsal.Rehearsal`, such as ``state="live"``.

        Safe from any thread, while the sandbox serves. Raise :class:`ValueError`.
        """
        self._endpoints.rehearsal = self._endpoints.rehearsal.changed(changes)

    async def __aenter__(self) -> Self:
        try:
            self._bound = _bound_socket(self._port)
            self._port = self._bound.getsockname()[1]
            await self._listen()
        except BaseException:
            self._close_files()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
        tasks = [*self._connections, *([self._recovery] if self._recovery else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._close_files()

    async def serve_forever(self, started: Callable[[Sandbox], object] = lambda sandbox: None) -> None:
        """Serve until this task is cancelled. ``started`` is called once, when connections are accepted."""
        async with self:
            started(self)
            await asyncio.Event().wait()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._connected, sock=self._bound, backlog=1024)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(reader, writer, self._body_cap)
        if self._recovery is not None:  # accepted just before an outage
            connection.reset()
            return
        task = asyncio.current_task()
        assert task is not None
        self._connections[task] = connection
        try:
            while (request := await connection.next_request()) is not None:
                await self._serve(connection, request)
        except (BadRequestError, ConnectionError, asyncio.CancelledError):
            pass  # not HTTP, client gone, outage or shutdown: there is nobody to answer
        finally:
            del self._connections[task]
            connection.close()

    async def _serve(self, connection: Connection, request: Request) -> None:
        if request.path not in TRIGGERS or request.method != "POST":
            await connection.send(await self._answer(connection, request, Fate.ANSWERED), self._clock())
            return
        event = self._weather.next()
        self.ledger.arrive()
        if event.fate is Fate.UNREAD:
            self.ledger.end(event.fate)
            connection.reset()
            return
        try:
            answer = await self._answer(connection, request, event.fate)
        except (BadRequestError, ConnectionError):
            self.ledger.end(INCOMPLETE)
            raise
        unanswered = answer.status in (201, 202) and not answer.outcome and event.fate in _UNANSWERED
        self.ledger.end(event.fate if unanswered else answer.outcome or str(answer.status))
        if event.latency_s:
            await asyncio.sleep(event.latency_s)
        await self._deliver(connection, answer, event)

    async def _answer(self, connection: Connection, request: Request, fate: Fate) -> Answer:
        try:
            body = await connection.body(request)
        except TooLargeError:
            return self._endpoints.too_large()
        return self._endpoints.early(request) or self._endpoints.answer(request, body, fate)

    async def _deliver(self, connection: Connection, answer: Answer, event: Event) -> None:
        match event.fate:
            case Fate.CLOSED:
                connection.close()
            case Fate.RESET:
                connection.reset()
            case Fate.CUT_IN_HEAD:
                await connection.send_half_head(answer, self._clock())
            case Fate.CUT_IN_BODY:
                await connection.send_half_body(answer, self._clock())
            case Fate.DARK:
                self._begin_outage(event.dark_s)
            case _:
                await connection.send(answer, self._clock())

    def _begin_outage(self, seconds: float) -> None:
        """Reset every connection and refuse new ones for ``seconds``.

        A socket that is bound but does not listen keeps the port and refuses connections.
        """
        assert self._server is not None
        self._server.close()
        self._bound = _bound_socket(self._port)
        self._recovery = asyncio.create_task(self._recover_after(seconds))
        for connection in self._connections.values():
            connection.reset()

    async def _recover_after(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        self._recovery = None
        await self._listen()

    def _close_files(self) -> None:
        if self._bound is not None:
            self._bound.close()
        self.ledger.close()


def _bound_socket(port: int) -> socket.socket:
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.setblocking(False)
        bound.bind((HOST, port))
    except BaseException:
        bound.close()
        raise
    return bound
