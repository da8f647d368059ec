"""Between code that has an event loop and code that has none."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from importlib.util import find_spec
from typing import ParamSpec, TypeVar, cast

import anyio

_P = ParamSpec("_P")
_T = TypeVar("_T")


def run(function: Callable[..., Awaitable[_T]], *arguments: object) -> _T:
    """An event loop around ``function``: uvloop where it is installed (extra ``fast``), else asyncio's own."""
    return anyio.run(function, *arguments, backend_options={"use_uvloop": find_spec("uvloop") is not None})


def blocking(function: Callable[_P, Awaitable[_T]]) -> Callable[_P, _T]:
    """``function`` with the same parameters, as one that returns when all is done.

    Raises RuntimeError inside a running event loop, before anything is done: it would stand still meanwhile.
    """
    name = function.__name__

    @functools.wraps(function)
    def call(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        if _in_event_loop():
            raise RuntimeError(
                f"{name.removesuffix('_async')} can't be called in a running event loop (a notebook has one, too): "
                f"await {name} with the same arguments"
            )
        return run(lambda: function(*args, **kwargs))

    call.__name__ = name.removesuffix("_async")
    call.__qualname__ = call.__name__
    call.__doc__ = f"``{name}`` for callers without an event loop; in one, RuntimeError names it.\n\n{function.__doc__}"
    return call


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


async def one_ahead(items: Iterator[_T]) -> AsyncGenerator[_T]:
    """The items, each made in a thread while whoever takes them is busy with the one before.

    To be closed (``aclosing``), which waits until none is being made any more.
    """
    loop, end = asyncio.get_running_loop(), object()
    following = loop.run_in_executor(None, next, items, end)
    try:
        while (item := await asyncio.shield(following)) is not end:
            following = loop.run_in_executor(None, next, items, end)
            yield cast(_T, item)
    finally:
        with anyio.CancelScope(shield=True):
            await asyncio.wait([following])
        following.exception()  # of an item that nobody asked for any more


async def to_its_end(call: Callable[[], _T]) -> _T:
    """Run ``call`` in a thread and wait for it in any case: a cancellation is only passed on when it has ended.

    For what must not go on behind its caller's back, such as writing with a connection that is about to be closed.
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
