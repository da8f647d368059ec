"""Helpers for calling async code from sync code, and back."""

from __future__ import annotations

import asyncio
import functools
import sqlite3
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from concurrent.futures import Future
from importlib.util import find_spec
from typing import ParamSpec, TypeVar, cast

import anyio

_P = ParamSpec("_P")
_T = TypeVar("_T")


def run(function: Callable[..., Awaitable[_T]], *arguments: object) -> _T:
    """Run ``function`` in an event loop: uvloop where it is installed, else asyncio's own."""
    return anyio.run(function, *arguments, backend_options={"use_uvloop": find_spec("uvloop") is not None})


async def in_thread(call: Callable[..., _T], *arguments: object) -> _T:
    """Run ``call`` in a thread; in this one if it reads a cursor of sqlite3, which works only where it was made."""
    if any(isinstance(each, sqlite3.Cursor) for each in arguments):
        return call(*arguments)
    return await anyio.to_thread.run_sync(call, *arguments)


def left_behind(call: Callable[[], _T], name: str) -> Future[_T]:
    """Run ``call`` in a new thread that does not hold up the end of the process when nobody waits for it any more."""
    done: Future[_T] = Future()
    done.set_running_or_notify_cancel()  # so that it can still be set after somebody has stopped to wait

    def work() -> None:
        try:
            done.set_result(call())
        except BaseException as error:
            done.set_exception(error)

    threading.Thread(target=work, name=name, daemon=True).start()
    return done


def blocking(function: Callable[_P, Awaitable[_T]]) -> Callable[_P, _T]:
    """Return a blocking version of ``function``, with the same parameters.

    Inside a running event loop it raises RuntimeError at once, because it would block that loop.
    """
    name = function.__name__

    @functools.wraps(function)
    def call(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        if _in_event_loop():
            raise RuntimeError(
                f"{name.removesuffix('_async')} cannot be called in a running event loop (a notebook has one, too): "
                f"await {name} with the same arguments"
            )
        return run(lambda: function(*args, **kwargs))

    call.__name__ = name.removesuffix("_async")
    call.__qualname__ = call.__name__
    call.__doc__ = (
        f"``{name}`` for callers without an event loop; inside one it raises RuntimeError.\n\n{function.__doc__}"
    )
    return call


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


async def one_ahead(items: Iterator[_T], *, on_end: Callable[[], None] = lambda: None) -> AsyncGenerator[_T]:
    """Prefetch: compute the next item in a thread while the caller handles the current one.

    Close it (``aclosing``); that waits for an item that is still being computed. ``on_end`` is called in the event loop
    as soon as it is known that no item follows the one that the caller handles.
    """
    loop, end = asyncio.get_running_loop(), object()

    def look(done: asyncio.Future[object]) -> None:
        if not done.cancelled() and done.exception() is None and done.result() is end:
            on_end()

    following = loop.run_in_executor(None, next, items, end)
    following.add_done_callback(look)
    try:
        while (item := await asyncio.shield(following)) is not end:
            following = loop.run_in_executor(None, next, items, end)
            following.add_done_callback(look)
            yield cast(_T, item)
    finally:
        with anyio.CancelScope(shield=True):
            await asyncio.wait([following])
        following.exception()  # of an item that is no longer wanted


async def to_its_end(call: Callable[[], _T]) -> _T:
    """Run ``call`` in a thread and wait for it even when cancelled; raise the cancellation afterwards.

    For work that must not outlive its caller, such as writing with a connection that is about to be closed.
    """
    done = asyncio.get_running_loop().run_in_executor(None, call)
    cancelled: asyncio.CancelledError | None = None
    with anyio.CancelScope(shield=True):
        while not done.done():
            try:
                await asyncio.wait([done])
            except asyncio.CancelledError as error:
                cancelled = error
    if cancelled is not None:
        raise cancelled
    return done.result()
