"""A run whose journal is in PostgreSQL, from one machine and from another: folders of runs that share nothing else."""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path

import pytest

import bulk_sender as bs
from bulk_sender.journal.place import SCHEMA_VARIABLE, VARIABLE, Place
from bulk_sender.journal.postgres.schema import grants
from tests.crash.audit import audit
from tests.crash.nursery import Nursery
from tests.faults import FaultServer, first_with, until
from tests.kit.postgres import Server
from tests.kit.scene import Scene

pytestmark = pytest.mark.usefixtures("here")


@pytest.fixture
def machines(nursery: Nursery, tmp_path: Path) -> list[Scene]:
    """Two machines that have the same input and configuration, each with its own disk."""
    settings = {"concurrency": 2, "timeout": 4}
    first = Scene(tmp_path / "first", nursery, "", settings).with_rows(400)
    second = Scene(tmp_path / "second", nursery, "", settings)
    second.inputs = first.inputs
    return [first, second]


def reaching(server: FaultServer, machines: list[Scene]) -> list[Scene]:
    return [replace(one, url=server.url, run_id="winter") for one in machines]


def with_inputs(machines: list[Scene], server: FaultServer) -> tuple[Scene, Scene]:
    first, second = reaching(server, machines)
    first.inputs = second.inputs = machines[0].inputs
    return first, second


def test_a_run_that_was_killed_goes_on_on_another_machine_and_nobody_gets_it_twice(machines: list[Scene]) -> None:
    with FaultServer() as server:
        first, second = with_inputs(machines, server)
        killed = first.run("send", failpoint="after_intent:3")
        assert killed.killed
        ended = second.run("send")
        assert (ended.code, ended.summary["state"], ended.summary["not_sent"]) == (1, "finished", 0)
        found = audit(second, server.ledger)
        assert not found.wrong
        assert 0 < found.doubt <= 100
        assert len(second.rows()) == 400
        again = first.run("send")
        assert (again.code, again.summary["accepted"]) == (1, ended.summary["accepted"])
        assert first.rows() == second.rows()
        requests = len(server.ledger.requests)
        assert second.run("resume").code == 1
        assert len(server.ledger.requests) == requests


def test_the_same_command_on_two_machines_sends_once(machines: list[Scene]) -> None:
    with FaultServer() as server:
        first, second = with_inputs(machines, server)
        assert first.run("send").code == 1
        requests = len(server.ledger.requests)
        ended = second.run("send")
        assert (ended.code, len(server.ledger.requests)) == (1, requests)
        assert "was finished before" in ended.err or ended.summary["state"] == "finished"
        assert not audit(second, server.ledger).wrong
        other = replace(second, run_id="other")
        other.inputs = second.inputs
        repeated = other.run("send")
        assert repeated.code == 2
        assert "this input was sent to this campaign" in repeated.err
        assert len(server.ledger.requests) == requests


def test_two_machines_at_once_are_one_sender(machines: list[Scene]) -> None:
    with FaultServer(until("hang_after_read", seconds=1.5)) as server:
        first, second = with_inputs(machines, server)
        child = first.start("send")
        assert server.ledger.wait(lambda ledger: len(ledger.accepted) == 2, 60)
        refused = second.run("send")
        assert refused.code == 2, refused
        assert f"is held by process {child.pid} on " in refused.err
        assert bs.status("winter", runs_dir=second.runs_dir).state == "running"
        child.signal(signal.SIGKILL)
        child.wait()
        assert second.run("send").code == 1
        assert not audit(second, server.ledger).wrong


def test_every_command_finds_the_run_from_a_machine_that_never_saw_it(machines: list[Scene], tmp_path: Path) -> None:
    with FaultServer(first_with("u60", "rst_after_read_not_taken")) as server:
        first, second = with_inputs(machines, server)
        assert first.run("send").summary["unknown"] == 50
        place = ["--runs-dir", second.runs_dir]
        command = second.nursery.run
        env = second.env
        assert "winter" in command(["runs", *place], env).out
        assert command(["status", "winter", "--json", *place], env).summary["unknown"] == 50
        assert "no answer came" in command(["explain", "winter", "61", *place], env).out
        assert not second.runs_dir.exists()
        written = tmp_path / "all.csv"
        assert command(["export", "winter", "-o", written, *place], env).code == 0
        assert len(written.read_text().splitlines()) == 401
        assert command(["report", "winter", *place], env).code == 0
        assert command(["export", "winter", *place], env).code == 0
        assert second.rows() == first.rows()
        assert command(["find", "u61", *place], env).code == 0
        assert second.run("resolve", "--as", "failed").code == 1
        assert first.run("retry", "--failed").summary["unknown"] == 0
        assert not audit(second, server.ledger).wrong
        assert command(["export", "winter", "-o", tmp_path / "two.csv", *place], env).code == 0
        assert (tmp_path / "two.csv").read_text() == (first.folder / "results.csv").read_text()


def test_a_pruned_run_leaves_the_database_and_its_name_stays_taken(
    machines: list[Scene], postgres: Server, place: Place
) -> None:
    with FaultServer() as server:
        first, second = with_inputs(machines, server)
        assert first.run("send").code == 1
        removed = second.nursery.run(["runs", "prune", "--older-than", "0h", "--yes"], second.env, cwd=second.place)
        assert removed.code == 0, removed
        for name in ("run", "chunk", "attempt", "outcome", "batch", "fact", "epoch"):
            assert postgres.sql(f"SELECT count(*) FROM {place.schema}.{name}") == [(0,)], name
        again = second.run("send")
        assert again.code == 2
        assert "its data was removed at" in again.err
        assert "winter" in second.nursery.run(["runs", "--runs-dir", second.runs_dir], second.env).out


def test_the_schema_is_made_once_and_the_same_database_needs_no_acceptance(
    machines: list[Scene], postgres: Server, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    command, folder = machines[0].nursery.run, machines[0].place
    monkeypatch.setenv(SCHEMA_VARIABLE, f"{place.schema}_new")
    env = machines[0].env
    refused = command(["status", "winter"], env, cwd=folder)
    assert (refused.code, "bulk-sender journal init" in refused.err) == (2, True)
    made = command(["journal", "init", "--json"], env, cwd=folder)
    assert (made.code, made.summary["is_new"], made.summary["warnings"]) == (0, True, [])
    again = command(["journal", "init"], env, cwd=folder)
    assert "was ready before" in again.err
    assert again.out.splitlines() == grants(f"{place.schema}_new")
    with FaultServer() as server:
        first, _ = with_inputs(machines, server)
        assert first.run("send").code == 1
    postgres.sql(f"UPDATE {place.schema}_new.run SET timeline = timeline - 1")
    assert "was promoted from a standby or restored" in first.run("send").err
    assert command(["journal", "accept", "winter"], env, cwd=folder).code == 2, "nobody said yes"
    for shown in ("Accepted. Continue with bulk-sender resume winter.", "nothing had to be accepted"):
        accepted = command(["journal", "accept", "winter", "--yes"], env, cwd=folder)
        assert (accepted.code, shown in accepted.err) == (0, True), accepted
    assert first.run("send").code == 1


def test_an_account_that_may_not_delete_is_told_so_and_the_run_stays_as_it_is(
    machines: list[Scene], postgres: Server, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FaultServer() as server:
        first, second = with_inputs(machines, server)
        assert first.run("send").code == 1
    role = f"worker_{place.schema}"
    for statement in grants(place.schema, role):
        postgres.sql(statement)
    monkeypatch.setenv(VARIABLE, place.address.replace("postgres@", f"{role}@"))
    refused = second.nursery.run(["runs", "prune", "--older-than", "0h", "--yes"], second.env, cwd=second.place)
    assert refused.code == 2
    assert "this role may not do that (permission denied" in refused.err
    assert bs.status("winter", runs_dir=second.runs_dir).rows == 400
    assert [run.pruned_at for run in bs.runs(second.runs_dir)] == [""]


def test_a_configuration_names_the_database_and_the_folder_remembers_it(
    machines: list[Scene], place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE)
    monkeypatch.delenv(SCHEMA_VARIABLE)
    with FaultServer() as server:
        first, second = with_inputs(machines, server)
        table = f'\n[scale]\njournal = "{place.address}"\nschema = "{place.schema}"\n'
        for one in (first, second):
            one.config.write_text(one.config.read_text() + table)
        assert first.run("send").code == 1
        assert {path.name for path in first.folder.iterdir()} >= {"journal.toml", "results.csv", "summary.json"}
        assert not list(first.runs_dir.rglob("*.sqlite*"))
        assert bs.status("winter", runs_dir=first.runs_dir).state == "finished"
        requests = len(server.ledger.requests)
        assert second.run("send").code == 1
        assert len(server.ledger.requests) == requests
        # Without its place, a folder of such runs is not taken for one of new runs.
        (first.runs_dir / "journal.toml").unlink()
        first.config.write_text(first.config.read_text().partition("\n[scale]")[0])
        refused = first.run("send")
        assert refused.code == 2
        assert "already exists, but is not a run" in refused.err
        assert len(server.ledger.requests) == requests


def test_a_process_that_slept_while_another_took_over_sends_nothing_more(
    machines: list[Scene], place: Place, postgres: Server
) -> None:
    """Longer than its time to live, which is shortened here by hand: nothing rests on the clock."""
    with FaultServer(until("hang_after_read", seconds=1.0)) as server:
        first, second = with_inputs(machines, server)
        child = first.start("send")
        assert server.ledger.wait(lambda ledger: len(ledger.accepted) == 2, 60)
        child.signal(signal.SIGSTOP)
        postgres.sql(f"UPDATE {place.schema}.run SET ttl_s = 0.5")
        ended = second.run("send")
        while ended.code == 2:
            ended = second.run("send")
        assert ended.code == 1, ended
        requests = len(server.ledger.requests)
        child.signal(signal.SIGCONT)
        woken = child.wait()
        assert woken.code == 3, woken
        assert "another process has taken over" in woken.out + woken.err
        assert len(server.ledger.requests) == requests
        found = audit(second, server.ledger)
        assert not found.wrong
        assert found.doubt == 100
