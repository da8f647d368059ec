"""Exports of offices, from ``init`` to the requests: what Braze gets is what the people of the export have."""

from __future__ import annotations

import itertools
import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.kit.command import Here, Place
from tests.kit.samples import EXPORTS, SAMPLES, run
from tests.kit.scripted import Answer, scripted
from tests.kit.target import CAMPAIGN

NAMES = {
    "fr": ("N° client", "civilite", "code_postal", "date_d_inscription", "ca_2026", "Opt-in", "E-mail"),
    "de": ("Kundennummer", "anrede", "plz", "kunde_seit", "umsatz", "Newsletter", "E-Mail-Adresse"),
}
"""The column of the identifier, some properties of the draft, and the columns of consent and of addresses."""


@pytest.fixture(scope="module")
def made() -> dict[str, list[dict[str, Any]]]:
    """Whom the generator put into the exports, by language."""
    script = (
        "import dataclasses, json, exports, generate\n"
        "print(json.dumps({code: [dataclasses.asdict(one) for one in exports.people(country, generate.SEED)]\n"
        "    for code, country in (('fr', exports.FRANCE), ('de', exports.GERMANY))}, default=str))\n"
    )
    done = run("-c", script)
    assert done.returncode == 0, done.stderr
    found: dict[str, list[dict[str, Any]]] = json.loads(done.stdout)
    return found


def wanted(people: list[dict[str, Any]], language: str) -> dict[str, dict[str, Any]]:
    """The properties of everyone who gets the message: they agreed, are valid, and are there for the first time."""
    _, title, postcode, since, revenue, _, _ = NAMES[language]
    found: dict[str, dict[str, Any]] = {}
    for row, one in enumerate(people):
        if one["answer"].lower() in ("oui", "ja") and row not in (60, 130):
            found.setdefault(
                f"{one['number']:06}",
                {
                    title: one["title"],
                    "first_name": one["first_name"],
                    "last_name": one["last_name"],
                    "phone": one["phone"],
                    postcode: one["postcode"],
                    "home_city": one["city"],
                    since: one["since"],
                    revenue: one["cents"] / 100,
                    "loyalty_points": one["points"],
                    "opted_in": True,
                },
            )
    return found


@pytest.mark.parametrize("file", EXPORTS)
def test_an_export_is_drafted_checked_and_sent_with_its_values(
    file: str, made: dict[str, list[dict[str, Any]]], tmp_path: Path, here: Here
) -> None:
    language = file[7:9]
    who = wanted(made[language], language)
    path = tmp_path / file
    path.write_bytes((SAMPLES / file).read_bytes())
    dispatched = itertools.count(1)
    with scripted(lambda *_: Answer(201, {"message": "success", "dispatch_id": f"{next(dispatched):032x}"})) as braze:
        place = Place(tmp_path, braze.url)
        assert here.run(place, "init", path).code == 0
        config = path.with_suffix(".toml")
        checked = here.run(place, "check", path, "--config", config, "--json")
        sent = here.run(
            place, "send", path, "--config", config, "--campaign-id", CAMPAIGN, "--yes", "--run-id", "r", "--json"
        )
    report = checked.json
    assert (checked.code, report["valid"], report["rejected"], report["duplicate"]) == (1, len(who), 2, 1)
    assert report["filtered"] == len(made[language]) - len(who) - 3
    examples = [each["source_row"] for each in report["reasons"]["invalid_value"]["examples"]]
    assert examples == [61, 131], "only what is really wrong is rejected"
    assert not [text for text in report["warnings"] if "says no" in text or "looks like a total" in text]
    assert (sent.code, sent.json["accepted"]) == (1, len(who)), sent.json["reason"]
    recipients = [one for body in braze.bodies("/campaigns/trigger/send") for one in body["recipients"]]
    assert {one["external_user_id"]: one["trigger_properties"] for one in recipients} == who
    assert len(recipients) == len(who)


@pytest.mark.parametrize("file", EXPORTS)
def test_init_says_what_it_decided(file: str, tmp_path: Path, here: Here) -> None:
    identifier, *_, consent, mail = NAMES[file[7:9]]
    path = tmp_path / file
    path.write_bytes((SAMPLES / file).read_bytes())
    done = here.run(Place(tmp_path), "init", path)
    said = " ".join(done.err.split())
    assert f"people are identified by column '{identifier}'. Check that it is their external id in Braze" in said
    assert f"use the lines with '{mail}' instead" in said
    assert f"only people who agreed in '{consent}' get the message; left out:" in said
    assert "is left out, because it is not a person" in said
    assert "3 lines above it were left out" in said or "3 rows above it were left out" in said
    assert ("was read; not read:" in said) == (path.suffix == ".xlsx")
    assert "('31" in said, "the cells that do not fit are shown"
    draft = path.with_suffix(".toml").read_text(encoding="utf-8")
    config = tomllib.loads(draft)
    assert next(iter(config["recipient"])) == "external_user_id"
    assert f'# email = "{mail}"' in draft
    assert config["input"]["skip_last"] == 1
    assert config["input"]["filter"].startswith(f'"{consent}" IN (')


@pytest.mark.parametrize("file", EXPORTS)
def test_the_built_in_sandbox_takes_an_export(file: str, tmp_path: Path, here: Here) -> None:
    path = tmp_path / file
    path.write_bytes((SAMPLES / file).read_bytes())
    place = Place(tmp_path)
    here.run(place, "init", path)
    done = here.run(place, "send", path, "--config", path.with_suffix(".toml"), "--sandbox", "--yes", "--json")
    assert (done.json["rejected"], done.json["duplicate"]) == (2, 1)
    assert done.json["accepted"] == done.json["rows"] - 3


def test_init_keeps_what_a_configuration_says_about_reading(tmp_path: Path, here: Here) -> None:
    place = Place(tmp_path)
    path = place.write("people.csv", "N° client|Points|Opt-in\n1|1.234|Oui\n2|5.678|Non\n")
    known = place.write("known.toml", '[input]\ndelimiter = "|"\ndecimal = ","\nthousands = "."\n')
    assert here.run(place, "init", path, "--config", known).code == 0
    drafted = tomllib.loads((tmp_path / "people.toml").read_text(encoding="utf-8"))
    assert drafted["input"]["delimiter"] == "|"
    assert drafted["recipient"]["trigger_properties"]["loyalty_points"]["type"] == "integer"


def test_check_says_how_many_rows_the_filter_leaves_out(tmp_path: Path, here: Here) -> None:
    place = Place(tmp_path)
    path = place.write("people.csv", "external_user_id,x\nu1,a\nu2,b\nu3,b\n")
    config = place.write("c.toml", "[input]\nfilter = \"x = 'a'\"\n")
    done = here.run(place, "check", path, "--config", config)
    assert "left out 2 by [input] filter" in " ".join(done.out.split())
