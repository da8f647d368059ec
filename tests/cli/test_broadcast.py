from __future__ import annotations

from bulk_sender.sandbox import RunningSandbox
from tests.kit.command import Here, OnTerminal, Place
from tests.kit.target import CAMPAIGN


def test_on_a_terminal_it_says_whom_it_reaches_and_a_no_sends_nothing(place: Place, braze: RunningSandbox) -> None:
    arguments = ("broadcast", "--campaign-id", CAMPAIGN, "--confirm", CAMPAIGN, "--run-id", "b")
    with OnTerminal(place, *arguments, width=40) as terminal:
        shown = " ".join(terminal.see("Send it? [y/N]").split())
        assert f"to {braze.url}" in shown
        assert "reaches everybody in the segment that the campaign targets in Braze" in shown
        terminal.type("n\n")
        assert terminal.end() == 2
    assert braze.ledger.requests == 0
    with OnTerminal(place, *arguments) as terminal:
        assert terminal.end(say="y") == 0
        assert "Broadcast b finished" in terminal.shown
        assert "0  rejected" not in terminal.shown
    assert braze.ledger.broadcasts == 1


def test_the_list_of_runs_and_its_status_tell_that_it_is_one(place: Place, here: Here) -> None:
    sent = here.run(place, "broadcast", "--campaign-id", CAMPAIGN, "--confirm", CAMPAIGN, "--run-id", "b", "--yes")
    assert sent.code == 0
    assert here.run(place, "runs").out.splitlines()[1].split()[:5] == ["b", "finished", "broadcast", "accepted", "0"]
    told = here.run(place, "status", "b").out
    assert "Braze accepted the broadcast" in told
    assert here.run(place, "status", "b", "--json").json["broadcast"]["dispatch_id"] in told


def test_a_stopped_broadcast_is_resumed_by_its_own_command(place: Place, here: Here) -> None:
    stopped = here.run(place, "broadcast", "--campaign-id", "nobody", "--confirm", "nobody", "--run-id", "b", "--yes")
    assert stopped.code == 3
    assert "bulk-sender broadcast --run-id b --confirm ID" in stopped.err
    assert "resume" not in stopped.err
    assert "broadcast" in here.run(place, "resume", "b", "--yes").err


def test_in_the_sandbox_it_says_so(place: Place, here: Here) -> None:
    place.variables = {}
    done = here.run(place, "broadcast", "--campaign-id", "c", "--confirm", "c", "--sandbox", "--yes")
    assert done.code == 0
    assert "the built-in sandbox: nothing leaves this computer" in done.err
