"""A connection that fails because no file descriptor is left is not an outage of Braze."""

from __future__ import annotations

import errno

import httpx

from bulk_sender.braze.answer import SHORT, Verdict, judge
from bulk_sender.delivery.policy import Action, next_step
from bulk_sender.http.evidence import NO_DESCRIPTOR, Evidence, Reach
from bulk_sender.process_limits import is_shortage


def caused(error: Exception, cause: BaseException) -> Exception:
    error.__cause__ = cause
    return error


def test_a_shortage_is_found_behind_other_exceptions_and_in_groups() -> None:
    short = OSError(errno.EMFILE, "Too many open files")
    assert is_shortage(short)
    assert is_shortage(OSError(errno.ENFILE, "Too many open files in system"))
    assert is_shortage(caused(httpx.ConnectError(""), caused(OSError("All connection attempts failed"), short)))
    assert is_shortage(
        caused(httpx.ConnectError(""), ExceptionGroup("several", [OSError(errno.ECONNREFUSED, ""), short]))
    )
    assert not is_shortage(caused(httpx.ConnectError(""), OSError(errno.ECONNREFUSED, "")))
    assert not is_shortage(None)


def test_it_is_unsent_and_its_reason_does_not_name_braze() -> None:
    outcome = judge(Evidence(Reach.NOTHING, error="ConnectError", cause=NO_DESCRIPTOR))
    assert (outcome.verdict, outcome.code) == (Verdict.UNSENT, SHORT)
    step = next_step(outcome, size=50, attempts=8, most=8)
    assert step.action is Action.STOP
    assert "ulimit -n" in step.reason
    assert "Braze" not in step.reason
