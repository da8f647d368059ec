"""Option objects and plain keywords of the public functions."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

import bulk_sender as bs
from bulk_sender.braze.endpoint import endpoint
from bulk_sender.config.model import Config
from bulk_sender.run.preview import rate_shown
from bulk_sender.run.settings import RunSettings
from tests.kit.jobs import braze, options, recipients

OBJECTS = (bs.Guards, bs.Watch, bs.Sandbox, bs.RunName)


@pytest.mark.parametrize("kind", OBJECTS)
def test_option_objects_are_frozen_and_take_keywords_only(kind: Any) -> None:
    made = kind()
    field = dataclasses.fields(kind)[0]
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(made, field.name, "another")
    with pytest.raises(TypeError):
        kind("positional")


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        (lambda: bs.send("a.csv", campain_id="a"), "did you mean 'campaign_id'"),
        (lambda: bs.send("a.csv", guard=bs.Guards()), "did you mean 'guards'"),
        (lambda: bs.send("a.csv", max_recipients=3), r"guards=Guards\(max_recipients=…\)"),
        (lambda: bs.send("a.csv", metrics_file="a.prom"), r"watch=Watch\(metrics_file=…\)"),
        (lambda: bs.send("a.csv", weather="storm"), r"sandbox=Sandbox\(weather=…\)"),
        (lambda: bs.send("a.csv", result_format="parquet"), r"run=RunName\(result_format=…\)"),
        (lambda: bs.check("a.csv", canary=3), r"guards=Guards\(canary=…\)"),
        (lambda: bs.check("a.csv", zzz=3), "unexpected keyword argument 'zzz'; it takes"),
        (lambda: bs.resume("a", rats="1/second"), "did you mean 'rate'"),
        (lambda: bs.retry("a", unknown=True, limit=1), "unexpected keyword argument 'limit'"),
        (lambda: bs.broadcast(confirm_campaign="a", limit=1), "unexpected keyword argument 'limit'"),
        (lambda: bs.preview_broadcast(run_id="a"), "unexpected keyword argument 'run_id'"),
    ],
)
def test_an_unknown_keyword_is_a_type_error_that_names_its_place_or_the_nearest(call: Any, complaint: str) -> None:
    with pytest.raises(TypeError, match=complaint):
        call()


@pytest.mark.parametrize(
    "given",
    [
        {"run_id": "a", "run": bs.RunName(id="b")},
        {"runs_dir": "here", "run": bs.RunName(folder="there")},
        {"on_progress": print, "watch": bs.Watch(on_progress=print)},
    ],
)
def test_a_plain_keyword_and_its_field_of_an_option_object_exclude_each_other(given: dict[str, Any]) -> None:
    with pytest.raises(bs.ConfigError, match="given twice"):
        bs.send("recipients.csv", **given)


def test_plain_keywords_and_option_objects_name_the_same_run(tmp_path: Path) -> None:
    with braze() as running:
        given = options(tmp_path / "runs", running.url)
        first = bs.send(recipients(tmp_path), run_id="a", **given)
        del given["runs_dir"]
        again = bs.send(recipients(tmp_path), run=bs.RunName(id="a", folder=tmp_path / "runs"), **given)
    assert again == first
    assert running.ledger.facts()["accepted_recipients"] == 500


@pytest.mark.parametrize("guards", [{"canary": 0}, {"max_recipients": -1}])
def test_a_guard_out_of_range_is_refused_when_it_is_made(guards: dict[str, Any]) -> None:
    with pytest.raises(bs.ConfigError):
        bs.Guards(**guards)


@pytest.mark.parametrize(
    ("call", "guard"),
    [
        (lambda: bs.resume("a", guards=bs.Guards(max_recipients=1)), "max_recipients"),
        (lambda: bs.retry("a", unknown=True, guards=bs.Guards(max_recipients=1)), "max_recipients"),
        (lambda: bs.broadcast(confirm_campaign="a", guards=bs.Guards(canary=1)), "canary"),
    ],
)
def test_a_guard_that_a_function_cannot_keep_is_refused_instead_of_ignored(call: Any, guard: str) -> None:
    with pytest.raises(bs.ConfigError, match=f"cannot keep the guard {guard}"):
        call()


@pytest.mark.parametrize("sandbox", [True, bs.Sandbox(), bs.Sandbox(weather="slow")])
def test_a_sandbox_is_asked_for_with_true_or_an_object(tmp_path: Path, sandbox: Any) -> None:
    seen: list[bs.Preview] = []
    summary = bs.send(
        recipients(tmp_path, 3),
        run=bs.RunName(folder=tmp_path / "runs"),
        guards=bs.Guards(confirm=lambda preview: seen.append(preview) is None),
        sandbox=sandbox,
        environment={},
    )
    assert summary.accepted == 3
    assert seen[0].sandbox == (bs.Sandbox() if sandbox is True else sandbox)


@pytest.mark.parametrize("sandbox", [None, False])
def test_without_a_sandbox_a_key_is_needed(tmp_path: Path, sandbox: Any) -> None:
    with pytest.raises(bs.CredentialError):
        bs.send(
            recipients(tmp_path, 3), sandbox=sandbox, campaign_id="a", endpoint="http://127.0.0.1:9", environment={}
        )


def test_an_invalid_plain_keyword_is_named(tmp_path: Path) -> None:
    with pytest.raises(bs.ConfigError, match=r"^rate: ") as refused:
        bs.check(recipients(tmp_path, 3), rate="fast")
    assert "fix rate" in refused.value.hint


def test_an_audience_beside_recipients_begins_at_250_requests_a_minute() -> None:
    audience = {"email_subscription_status": {"comparison": "is", "value": "opted_in"}}
    braze = {"endpoint": "https://rest.iad-01.braze.com", "campaign_id": "c"}
    with_audience = Config.parse({"braze": braze, "message": {"audience": audience}}, where="the test")
    plain = Config.parse({"braze": braze}, where="the test")
    paces = [RunSettings.of(each, endpoint(each.braze, each.message)).pace for each in (with_audience, plain)]
    assert [pace.first_per_s for pace in paces] == pytest.approx([250 / 60, 250_000 / 3600])
    assert paces[0].rate_per_s == paces[1].rate_per_s == pytest.approx(250_000 / 3600)
    assert [rate_shown(each) for each in (with_audience, plain)] == ["250/minute", "250000/hour"]
