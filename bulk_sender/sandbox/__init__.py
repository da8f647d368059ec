"""A simulated Braze on loopback, for rehearsals and tests.

It enforces Braze's documented rules and rate limits, keeps a ledger of what it accepted, and can simulate failures
(:data:`WEATHERS`), states of the campaign (:data:`STATES`) and rare answers (:data:`ANSWERS`). It shares no code with
the sender, so that each checks the other.

::

    async with Sandbox(weather="lost-answers") as sandbox:
        ...  # send to sandbox.url
        assert not sandbox.ledger.twice()
"""

from bulk_sender.sandbox.answers import ANSWERS
from bulk_sender.sandbox.ledger import Acceptance, Ledger, read_ledger
from bulk_sender.sandbox.rehearsal import STATES, Rehearsal
from bulk_sender.sandbox.server import Sandbox
from bulk_sender.sandbox.thread import RunningSandbox, run_in_thread
from bulk_sender.sandbox.weather import WEATHERS

__all__ = [
    "ANSWERS",
    "STATES",
    "WEATHERS",
    "Acceptance",
    "Ledger",
    "Rehearsal",
    "RunningSandbox",
    "Sandbox",
    "read_ledger",
    "run_in_thread",
]
