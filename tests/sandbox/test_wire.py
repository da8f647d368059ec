"""HTTP of the sandbox, byte by byte."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bulk_sender.sandbox import Sandbox

from .samples import CAMPAIGN_PATH, campaign, compact

pytestmark = pytest.mark.anyio
BODY = compact(campaign())


def head(*lines: str) -> bytes:
    fixed = (
        f"POST {CAMPAIGN_PATH} HTTP/1.1",
        "Host: x",
        "Authorization: Bearer k",
        "Content-Type: application/json",
    )
    return "\r\n".join([*fixed, *lines, "", ""]).encode()


def whole(*lines: str) -> bytes:
    return head(f"Content-Length: {len(BODY)}", *lines) + BODY


@asynccontextmanager
async def connected(sandbox: Sandbox) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(sandbox.url.rpartition(":")[2]))
    try:
        yield reader, writer
    finally:
        writer.close()


async def test_pipelined_requests_are_answered_in_order() -> None:
    async with Sandbox() as sandbox, connected(sandbox) as (reader, writer):
        writer.write(whole() + whole() + whole("Connection: close"))
        answers = await reader.read()
    assert answers.count(b"HTTP/1.1 201 ") == 3
    positions = [answers.index(dispatch.encode()) for dispatch in sandbox.ledger.dispatches]
    assert positions == sorted(positions)


async def test_a_request_sent_byte_by_byte_is_accepted() -> None:
    async with Sandbox() as sandbox, connected(sandbox) as (reader, writer):
        for byte in whole("Connection: close"):
            writer.write(bytes([byte]))
            await writer.drain()
        assert (await reader.read()).startswith(b"HTTP/1.1 201 ")


async def test_sends_100_continue_to_a_client_that_waits_for_it() -> None:
    async with Sandbox() as sandbox, connected(sandbox) as (reader, writer):
        writer.write(head(f"Content-Length: {len(BODY)}", "Expect: 100-continue", "Connection: close"))
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
        writer.write(BODY)
        assert (await reader.read()).startswith(b"HTTP/1.1 201 ")


async def test_a_body_that_ends_early_is_not_accepted() -> None:
    async with Sandbox() as sandbox, connected(sandbox) as (reader, writer):
        writer.write(whole()[:-1])
        writer.write_eof()
        assert await reader.read() == b""
    assert sandbox.ledger.accepted_requests == 0
    assert sandbox.ledger.outcomes == {"its body was incomplete": 1}


async def test_a_connection_that_is_not_http_is_closed() -> None:
    async with Sandbox() as sandbox, connected(sandbox) as (reader, writer):
        writer.write(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello\r\n\r\n")
        assert await reader.read() == b""
    assert sandbox.ledger.requests == 0
