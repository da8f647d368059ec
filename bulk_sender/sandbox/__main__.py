"""Command line of the sandbox: ``python -m bulk_sender.sandbox``.

It prints its URL on the first line, for the process that started it, and serves until SIGINT or SIGTERM.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from pathlib import Path

from bulk_sender.sandbox import ANSWERS, STATES, WEATHERS, Sandbox


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bulk_sender.sandbox", description="A simulated Braze on loopback.")
    parser.add_argument("--port", type=int, default=0, help="0 (the default) chooses a free port")
    parser.add_argument("--weather", choices=WEATHERS, default="calm")
    parser.add_argument("--seed", type=int, default=1, help="determines the sequence of the weather's events")
    parser.add_argument("--answers", choices=ANSWERS, default="usual", help="to requests that the rules allow")
    parser.add_argument("--state", choices=STATES, default="live", help="of campaign and Canvas")
    parser.add_argument(
        "--message", type=Path, metavar="FILE", help="the message that the details endpoints show, as JSON"
    )
    parser.add_argument("--no-details", action="store_true", help="answer the details endpoints with 403")
    parser.add_argument("--campaign", action="append", dest="campaigns", metavar="ID", help="accept only these ids")
    parser.add_argument("--limit", type=int, default=250_000, help="requests with recipients per window")
    parser.add_argument("--window-s", type=float, default=3600.0, help="length of the window in seconds")
    parser.add_argument("--latency-s", type=float, help="delay every answer by this many seconds")
    parser.add_argument("--ledger-file", type=Path, help="append accepted requests to this file, as NDJSON")
    parser.add_argument(
        "--strict", action="store_true", help="exit with 1 if anything collapsed, was dropped, or was sent twice"
    )
    parser.add_argument("--counts-only", action="store_true", help="keep only counts in memory, for long or fast runs")
    return parser.parse_args()


async def _serve(arguments: argparse.Namespace) -> int:
    sandbox = Sandbox(
        port=arguments.port,
        weather=arguments.weather,
        seed=arguments.seed,
        campaigns=arguments.campaigns,
        limit=arguments.limit,
        window_s=arguments.window_s,
        latency_s=arguments.latency_s,
        ledger_file=arguments.ledger_file,
        keep_recipients=not arguments.counts_only,
        state=arguments.state,
        answers=arguments.answers,
        details=not arguments.no_details,
        message=arguments.message,
    )
    serving = asyncio.create_task(sandbox.serve_forever(lambda running: print(running.url, flush=True)))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, serving.cancel)
    await asyncio.wait([serving])
    if not serving.cancelled():
        serving.result()
    complaints = sandbox.ledger.complaints()
    print(*sandbox.ledger.summary(), *complaints, sep="\n", file=sys.stderr)
    return 1 if complaints and arguments.strict else 0


def main() -> int:
    arguments = _arguments()
    try:
        return asyncio.run(_serve(arguments))
    except (OSError, ValueError) as error:
        print(f"the sandbox cannot start: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
