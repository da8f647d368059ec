"""Draft configurations (``init``): guessed in six languages, and accepted by ``check`` unchanged."""

from __future__ import annotations

import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bulk_sender.config.model import Config
from bulk_sender.errors import ConfigError, InputError
from bulk_sender.guessing.column_names import meaning, plain
from bulk_sender.guessing.draft import compose, draft, write
from bulk_sender.guessing.types import Guess, guess_type
from bulk_sender.operations.check import check
from tests.kit.inputs import put

SAMPLES = Path(__file__).parents[2] / "sample_data"


def _drafted(tmp_path: Path, text: str, encoding: str = "utf-8") -> tuple[dict[str, Any], str]:
    path = tmp_path / "people.csv"
    path.write_bytes(text.encode(encoding))
    written = draft(path)
    config = tomllib.loads(written)
    report = check(path, config=config)
    assert report.valid == report.rows, report.reasons
    return config, written


@pytest.mark.parametrize(
    ("header", "first"),
    [
        ("Customer ID;E-mail;First name;Opt-in;Loyalty tier", "u1;a@example.com;Zoe;yes;gold"),
        ("Numéro client;Courriel;Prénom;Opt-in;Niveau de fidélité", "u1;a@example.com;Zoé;yes;or"),
        ("Kundennummer;E-Mail-Adresse;Vorname;Einwilligung;Treuestatus", "u1;a@example.com;Jürgen;yes;gold"),
        (
            "Código de cliente;Correo electrónico;Nombre;Consentimiento;Nivel de fidelidad",
            "u1;a@example.com;Íñigo;yes;oro",
        ),
        ("Código do cliente;Endereço de email;Nome;Consentimento;Fidelidade", "u1;a@example.com;João;yes;ouro"),
        ("顧客番号;メールアドレス;名前;オプトイン;会員ランク", "u1;a@example.com;太郎;yes;金"),
    ],
)
def test_column_names_are_recognized_in_six_languages(header: str, first: str, tmp_path: Path) -> None:
    config, written = _drafted(tmp_path, f"{header}\n{first}\n")
    columns = header.split(";")
    assert config["recipient"]["external_user_id"] == columns[0]
    assert f'# email = "{columns[1]}"' in written
    properties = config["recipient"]["trigger_properties"]
    assert properties["first_name"] == columns[2]
    assert properties["opted_in"] == {"column": columns[3], "type": "boolean"}
    assert properties["loyalty_tier"] == columns[4]


@pytest.mark.parametrize(
    ("cells", "guess"),
    [
        (["1", "22", "-3"], Guess("integer")),
        (["1.5", "2"], Guess("float")),
        (["1,5", "2"], Guess("float", decimal_comma=True)),
        (["007", "123"], Guess()),
        (["true", "false", ""], Guess("boolean")),
        (["2026-02-28"], Guess("date")),
        (["28/02/2026", "01/02/2026"], Guess("date", "%d/%m/%Y")),
        (["02/28/2026", "01/02/2026"], Guess("date", "%m/%d/%Y")),
        (["01/02/2026"], Guess("date", "%d/%m/%Y", also="%m/%d/%Y")),
        (["28.02.2026"], Guess("date", "%d.%m.%Y")),
        (["2026年2月28日"], Guess("date", "%Y年%m月%d日")),
        (["20260228", "20251231"], Guess("date", "%Y%m%d")),
        (["2026-02-28T10:00:00Z"], Guess("datetime")),
        (["28/02/2026 10:30"], Guess("datetime", "%d/%m/%Y %H:%M")),
        (['{"a": 1}'], Guess("json")),
        (["a|b", "c|d|e"], Guess("list")),
        (["Zoé", "1"], Guess()),
        (["", None], Guess()),
        (["1"] * 99 + ["many"], Guess("integer", misfits=1)),
    ],
)
def test_the_narrowest_type_that_fits_is_guessed(cells: list[str | None], guess: Guess) -> None:
    assert guess_type(pl.Series("amount", cells, dtype=pl.String)) == guess


@pytest.mark.parametrize("name", ["Postcode", "PLZ", "Phone number", "order_no", "Code postal"])
def test_codes_made_of_digits_stay_text(name: str) -> None:
    assert guess_type(pl.Series(name, ["75001", "13002"])) == Guess()


def test_decimal_commas_dates_and_null_values_are_configured(tmp_path: Path) -> None:
    config, _ = _drafted(tmp_path, "id;Montant;Né le\n1;12,50;28/02/1990\n2;n/a;01/03/1991\n", "cp1252")
    assert config["input"] == {"encoding": "cp1252", "null_values": ["n/a"], "decimal": ","}
    assert config["recipient"]["trigger_properties"]["ne_le"] == {
        "column": "Né le",
        "type": "date",
        "format": "%d/%m/%Y",
    }


@pytest.mark.parametrize(
    ("cells", "kind", "keys"),
    [
        (["4\u202f613,92", "12,50"], "float", {"decimal": ",", "thousands": " "}),
        (["4\u00a0613", "999"], "integer", {"decimal": ".", "thousands": " "}),
        (["4 613.92", "12"], "float", {"decimal": ".", "thousands": " "}),
        (["1.234,56", "12"], "float", {"decimal": ",", "thousands": "."}),
        (["1.234.567", "12"], "integer", {"decimal": ",", "thousands": "."}),
        (["1,234.56", "12"], "float", {"decimal": ".", "thousands": ","}),
        (["1,23,456", "12"], "integer", {"decimal": ".", "thousands": ","}),
        (["4\u2019613.92", "4'613"], "float", {"decimal": ".", "thousands": "'"}),
        (["1,5", "1234,5"], "float", {"decimal": ","}),
        (["1.5", "1234"], "float", {}),
    ],
)
def test_the_notation_of_numbers_is_configured(
    cells: list[str], kind: str, keys: dict[str, str], tmp_path: Path
) -> None:
    rows = "".join(f'{number};"{cell}"\n' for number, cell in enumerate(cells))
    config, _ = _drafted(tmp_path, f"id;Umsatz\n{rows}")
    assert config["recipient"]["trigger_properties"]["umsatz"] == {"column": "Umsatz", "type": kind}
    assert config["input"] == keys


def test_all_columns_of_a_file_decide_about_its_notation(tmp_path: Path) -> None:
    text = "id;Umsatz;Menge;Faktor\n1;1.234,50;1.234;1,5\n2;99,00;12.345;2\n"
    config, _ = _drafted(tmp_path, text)
    properties = config["recipient"]["trigger_properties"]
    assert [properties[name]["type"] for name in ("umsatz", "menge", "faktor")] == ["float", "integer", "float"]
    assert config["input"] == {"decimal": ",", "thousands": "."}


def test_a_column_in_another_notation_than_the_file_stays_text(tmp_path: Path) -> None:
    config, _ = _drafted(tmp_path, "id;a;b;c\n1;1,5;2,5;1.25\n2;3,5;4,5;2.75\n")
    assert config["input"] == {"decimal": ","}
    assert config["recipient"]["trigger_properties"]["c"] == "c"


@pytest.mark.parametrize("cells", [["1,234", "12,345"], ["1.234", "12.345"]])
def test_a_number_that_can_be_read_in_two_ways_gets_a_comment(cells: list[str], tmp_path: Path) -> None:
    rows = "".join(f'{number};"{cell}"\n' for number, cell in enumerate(cells))
    _, written = _drafted(tmp_path, f"id;Umsatz\n{rows}")
    assert "thousands separators or three decimals; check which is right" in written


@pytest.mark.parametrize("cells", [["732 829 320", "732 829 321"], ["06 12 34 56 78", "07 12 34 56 78"]])
def test_digits_in_groups_of_one_length_are_a_code(cells: list[str]) -> None:
    assert guess_type(pl.Series("SIREN", cells)) == Guess()


def test_a_notation_that_is_given_is_kept(tmp_path: Path) -> None:
    path = put(tmp_path, "people.csv", "id;Umsatz\n1;1.234\n2;5.678\n")
    given = Config.parse({"input": {"decimal": ",", "thousands": "."}}, where="test")
    config = tomllib.loads(draft(path, given))
    assert config["input"] == {"decimal": ",", "thousands": "."}
    assert config["recipient"]["trigger_properties"]["umsatz"] == {"column": "Umsatz", "type": "integer"}


@pytest.mark.parametrize(("scale", "found"), [("1001.000", "customer_id"), ("1001.500", "name")])
def test_a_column_of_whole_decimals_can_identify(scale: str, found: str) -> None:
    frame = pl.DataFrame({"customer_id": [Decimal(scale)], "name": ["Zoe"]})
    assert tomllib.loads(compose(frame, Config()))["recipient"]["external_user_id"] == found


def test_addresses_identify_recipients_if_no_other_column_does(tmp_path: Path) -> None:
    config, _ = _drafted(tmp_path, "wohin,Vorname\na@example.com,Zoe\nb@example.com,Max\n")
    assert config["recipient"]["email"] == "wohin"
    assert config["recipient"]["prioritization"] == ["identified", "most_recently_updated"]


def test_columns_named_after_fields_need_no_mapping() -> None:
    config = tomllib.loads(draft(SAMPLES / "recipients.csv"))
    assert "recipient" not in config
    assert check(SAMPLES / "recipients.csv", config=config).valid > 2900


@pytest.mark.parametrize("name", ["customers.csv", "mails.csv", "aliases.csv", "canvas.csv", "recipients.parquet"])
def test_nearly_every_row_of_the_sample_data_is_valid_with_the_draft(name: str) -> None:
    report = check(SAMPLES / name, config=tomllib.loads(draft(SAMPLES / name)))
    assert report.valid >= 0.97 * report.rows


def test_known_settings_are_kept() -> None:
    config = Config.parse({"braze": {"campaign_id": "c-1"}, "input": {"delimiter": ";"}}, where="test")
    drafted = tomllib.loads(draft(SAMPLES / "customers.csv", config))
    assert drafted["braze"] == {"campaign_id": "c-1"}
    assert drafted["input"]["delimiter"] == ";"


def test_a_file_is_never_overwritten(tmp_path: Path) -> None:
    write(tmp_path / "job.toml", "first")
    with pytest.raises(ConfigError, match="already exists and is never overwritten"):
        write(tmp_path / "job.toml", "second")
    assert (tmp_path / "job.toml").read_text() == "first"


def test_a_file_with_only_a_header_is_refused(tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text("id,name\n")
    with pytest.raises(InputError, match="has no valid rows under its header"):
        draft(tmp_path / "people.csv")


def test_names_are_compared_without_case_accents_and_punctuation() -> None:
    assert plain("E-Mail_Adresse") == plain("e mail adresse")
    assert plain("FirstName") == plain("first_name") == "first name"
    assert meaning("PRÉNOM", {"first_name": "prenom"}) == "first_name"


_CELLS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


@settings(deadline=None)
@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8),
        st.lists(_CELLS, min_size=2, max_size=2),
        min_size=1,
        max_size=5,
    )
)
def test_every_draft_is_a_valid_configuration(columns: dict[str, list[str]]) -> None:
    sample = pl.DataFrame(columns)
    Config.parse(tomllib.loads(compose(sample, Config())), where="the draft")


@pytest.mark.parametrize(
    ("column", "answers", "condition"),
    [
        ("Opt-in", ["Oui", "Non", "OUI", "oui", ""], "\"Opt-in\" IN ('Oui', 'OUI', 'oui')"),
        ("consentimiento", ["sí", "no"], "\"consentimiento\" IN ('sí')"),
        ("newsletter", ["1", "0"], "\"newsletter\" IN ('1')"),
        ("optin", ["perhaps", "later"], '"optin"'),
    ],
)
def test_the_offered_filter_has_the_answers_of_the_file(
    tmp_path: Path, column: str, answers: list[str], condition: str
) -> None:
    people = "".join(f"{n:05},{answer}\n" for n, answer in enumerate(answers))
    path = put(tmp_path, "people.csv", f"customer_id,{column}\n{people}")
    [line] = [line for line in draft(path).splitlines() if line.startswith("# filter")]
    offered = tomllib.loads(line.removeprefix("# "))["filter"]
    assert offered == condition
    if " IN " in offered:
        config = {"recipient": {"external_user_id": "customer_id"}, "input": {"filter": offered}}
        assert check(path, config=config).valid == sum(answer in condition for answer in answers if answer)
