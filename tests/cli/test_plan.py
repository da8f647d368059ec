"""``check --plan`` and ``send --plan`` on the command line."""

from __future__ import annotations

import hashlib
import json
import stat
import subprocess

from bulk_sender.sandbox import RunningSandbox
from tests.kit.command import Here, OnTerminal, Place, command_line, environment
from tests.kit.target import CAMPAIGN


def test_a_plan_is_written_shown_and_matched(place: Place, braze: RunningSandbox, here: Here) -> None:
    path = place.people(120)
    planned = here.run(place, "check", path, "--campaign-id", CAMPAIGN, "--plan", "plan.json")
    assert planned.code == 0
    digest = json.loads((place.folder / "plan.json").read_text())["bodies_sha256"]
    assert f"Plan written to plan.json: 3 requests for 120 recipients, SHA-256 {digest}" in planned.err
    assert stat.S_IMODE((place.folder / "plan.json").stat().st_mode) == 0o600
    assert braze.ledger.requests == 0
    done = here.send(place, path, "--plan", "plan.json", "--run-id", "r")
    assert done.code == 0
    assert f"each request as planned (SHA-256 {digest})" in done.err
    assert sum(braze.ledger.recipients.values()) == 120
    assert here.send(place, path, "--plan", "plan.json", "--run-id", "r").code == 0
    assert braze.ledger.requests == 3


def test_the_first_request_of_a_plan_can_be_recomputed_by_anybody(place: Place, here: Here) -> None:
    path = place.people(3)
    shown = here.run(place, "check", path, "--campaign-id", CAMPAIGN, "--plan", "plan.json", "--json")
    body = json.dumps(shown.json["sample_request"], separators=(",", ":")).encode()
    assert hashlib.sha256(body).hexdigest() == shown.json["bodies_sha256"]


def test_a_difference_is_an_error_that_names_it_and_the_next_step(
    place: Place, braze: RunningSandbox, here: Here
) -> None:
    path = place.people(120)
    here.run(place, "check", path, "--campaign-id", CAMPAIGN, "--plan", "plan.json")
    path.write_text(path.read_text().replace("user-0077", "user-007T"))
    done = here.send(place, path, "--plan", "plan.json", "--canary", "10")
    assert done.code == 2
    for told in ("differs from the plan in input", "people.csv", "the canary (10, in the plan none)", "hint:"):
        assert told in done.err
    assert braze.ledger.requests == 0
    assert not place.runs.exists()


def test_a_file_that_is_not_a_plan_is_refused(place: Place, braze: RunningSandbox, here: Here) -> None:
    path = place.people(3)
    for plan in (path, "absent.json", place.write("plan.json", "{}")):
        done = here.send(place, path, "--plan", plan)
        assert done.code == 2
        assert "plan" in done.err
    assert here.run(place, "check", path, "--campaign-id", CAMPAIGN, "--plan", path).code == 2
    assert path.read_text().startswith("external_user_id")
    assert braze.ledger.requests == 0


def test_too_many_recipients_leave_no_plan(place: Place, here: Here) -> None:
    given = ("check", place.people(3), "--campaign-id", CAMPAIGN, "--plan", "plan.json", "--max-recipients")
    refused = here.run(place, *given, "2")
    assert (refused.code, (place.folder / "plan.json").exists()) == (2, False)
    assert "3  of 3 rows" in refused.out
    assert "3 recipients are more than --max-recipients 2" in refused.err
    assert here.run(place, *given, "3").code == 0


def test_a_canary_goes_out_as_planned_and_the_rest_after_a_yes(place: Place, braze: RunningSandbox, here: Here) -> None:
    path = place.people(120)
    here.run(place, "check", path, "--campaign-id", CAMPAIGN, "--canary", "7", "--plan", "plan.json")
    options = ("--campaign-id", CAMPAIGN, "--plan", "plan.json", "--canary", "7")
    with OnTerminal(place, "send", path, *options) as terminal:
        terminal.see("Send to the first 7 now? [y/N]")
        terminal.type("y\n")
        terminal.see("Send the rest? [y/N]")
        assert sum(braze.ledger.recipients.values()) == 7
        terminal.type("y\n")
        assert terminal.end() == 0
    assert sum(braze.ledger.recipients.values()) == 120


def test_a_plan_of_standard_input_holds_for_the_same_bytes(place: Place, braze: RunningSandbox) -> None:
    def piped(rows: int, *arguments: str) -> int:
        return subprocess.run(
            command_line(*arguments, "-", "--campaign-id", CAMPAIGN, "--plan", "plan.json"),
            cwd=place.folder,
            env=environment(**place.variables),
            input=place.people(rows).read_bytes(),
            capture_output=True,
            timeout=300,
            check=False,
        ).returncode

    assert piped(60, "check") == 0
    assert piped(61, "send", "--yes") == 2
    assert braze.ledger.requests == 0
    assert piped(60, "send", "--yes") == 0
    assert sum(braze.ledger.recipients.values()) == 60
