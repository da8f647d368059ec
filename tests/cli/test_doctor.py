from __future__ import annotations

from tests.braze.test_details import CAMPAIGN as DETAILS
from tests.kit.command import Here, Place
from tests.kit.scripted import Answer, scripted
from tests.kit.target import CAMPAIGN


def test_doctor_prints_a_line_for_each_finding(place: Place, here: Here) -> None:
    with scripted(lambda *_: None, lambda _: Answer(200, DETAILS)) as braze:
        done = here.run(place, "doctor", "--campaign-id", CAMPAIGN, "--endpoint", braze.url)
    assert done.code == 0
    assert "'Winter sale' is live" in done.out
    assert done.out.rstrip().endswith("A send could begin.")
    assert done.err == ""


def test_doctor_exits_with_2_when_a_send_would_be_refused(place: Place, here: Here) -> None:
    with scripted(lambda *_: None, lambda _: Answer(200, DETAILS | {"draft": True})) as braze:
        done = here.run(place, "doctor", "--campaign-id", CAMPAIGN, "--endpoint", braze.url, "--json")
    assert done.code == 2
    assert done.json["exit_code"] == 2
    [campaign] = [each for each in done.json["found"] if each["name"] == "campaign"]
    assert campaign["state"] == "refused"
    assert "is a draft" in campaign["text"]
