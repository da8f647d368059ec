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
from bulk_sender.guessing import words
from bulk_sender.guessing.column_names import meaning, plain
from bulk_sender.guessing.draft import compose, draft, drafted, write
from bulk_sender.guessing.types import Guess, guess_type
from bulk_sender.operations.check import check
from bulk_sender.recipients.columns import is_pattern
from tests.kit.inputs import put
from tests.kit.workbooks import book, table

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


def test_the_notation_of_columns_named_after_fields_is_configured(tmp_path: Path) -> None:
    config, _ = _drafted(tmp_path, "external_user_id;attributes.total:float\nu1;1.000,50\nu2;2.001,75\n")
    assert (config["input"]["decimal"], config["input"]["thousands"]) == (",", ".")
    assert "recipient" not in config


def test_a_column_of_bytes_is_named_and_offered_as_a_comment(tmp_path: Path) -> None:
    people = tmp_path / "people.parquet"
    pl.DataFrame({"id": ["u1", "u2"], "pay load": [b'{"a":1}', b"[2]"]}).write_parquet(people)
    found = drafted(people)
    assert "column 'pay load' holds bytes and is left out" in " ".join(found.notes)
    [line] = [line.removeprefix("# ") for line in found.text.splitlines() if "bytes" in line]
    table = "[recipient.trigger_properties]"
    config = tomllib.loads(found.text.replace(table, f"{table}\n{line}"))
    assert check(people, config=config).samples[0]["trigger_properties"] == {"pay_load": {"a": 1}}


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
        # A name that polars takes for a pattern is refused when an input is opened.
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8).filter(
            lambda name: not is_pattern(name)
        ),
        st.lists(_CELLS, min_size=2, max_size=2),
        min_size=1,
        max_size=5,
    )
)
def test_every_draft_is_a_valid_configuration(columns: dict[str, list[str]]) -> None:
    sample = pl.DataFrame(columns)
    Config.parse(tomllib.loads(compose(sample, Config())), where="the draft")


@pytest.mark.parametrize(
    ("column", "answers", "condition", "messaged"),
    [
        ("Opt-in", ["Oui", "Non", "OUI", "oui", ""], "\"Opt-in\" IN ('Oui', 'OUI', 'oui')", 3),
        ("consentimiento", ["sí", "no"], "\"consentimiento\" IN ('sí')", 1),
        ("newsletter", ["1", "0"], "\"newsletter\" IN ('1')", 1),
        ("Opt-in e-mail ?", ["Ja", "Nein", "Ja"], "\"Opt-in e-mail ?\" IN ('Ja')", 2),
        ("Accord commercial", ["VRAI", "FAUX"], "\"Accord commercial\" IN ('VRAI')", 1),
        ("Werbe-Einwilligung", ["x", "", ""], "\"Werbe-Einwilligung\" IN ('x')", 1),
        ("optin", ["Yes", "perhaps", "No", "No", "Yes"], "\"optin\" IN ('Yes')", 2),
        ("Désabonné", ["Oui", "", "Non"], '("Désabonné" IS NULL OR "Désabonné" IN (\'Non\'))', 2),
        ("unsubscribed", ["X", "", ""], '"unsubscribed" IS NULL', 2),
        ("email_status opt-in", ["subscribed", "unsubscribed"], "\"email_status opt-in\" IN ('subscribed')", 1),
        ("Aceita novidades", ["Sim", "Não", "Sim"], "\"Aceita novidades\" IN ('Sim')", 2),
        ("Wypisany", ["Tak", "Nie", "Nie"], '("Wypisany" IS NULL OR "Wypisany" IN (\'Nie\'))', 2),
        (
            "Keine Einwilligung",
            ["Ja", "Nein"],
            '("Keine Einwilligung" IS NULL OR "Keine Einwilligung" IN (\'Nein\'))',
            1,
        ),
        ("Consenso revocato", ["sì", ""], '"Consenso revocato" IS NULL', 1),
    ],
)
def test_the_filter_has_the_answers_of_the_file(
    tmp_path: Path, column: str, answers: list[str], condition: str, messaged: int
) -> None:
    people = "".join(f"{n:05},{answer}\n" for n, answer in enumerate(answers))
    path = put(tmp_path, "people.csv", f"customer_id,{column}\n{people}")
    config = tomllib.loads(draft(path))
    assert config["input"]["filter"] == condition
    report = check(path, config=config)
    assert (report.valid, report.filtered) == (messaged, len(answers) - messaged)


@pytest.mark.parametrize(
    "column",
    [
        *("Consent withdrawn", "No consent", "Without consent", "Marketing consent declined", "E-mail: no marketing"),
        *("Sans consentement", "Consentement retiré", "Ne souhaite pas recevoir", "Refus", "Ne plus contacter"),
        *("Keine Einwilligung", "Ohne Werbung", "Einwilligung widerrufen", "Werbewiderspruch", "Nicht anschreiben"),
        *("Sin consentimiento", "No desea recibir ofertas", "Dado de baja", "No enviar correo", "Oposición"),
        *("Senza consenso", "Consenso negato", "Non contattare", "Cancellato", "Sem consentimento", "Não enviar"),
        *("Brak zgody", "Nie wyraża zgody", "Zgoda cofnięta", "Wypisany", "Rezygnacja", "Sprzeciw", "Nie wysyłać"),
        *("Geen toestemming", "Toestemming ingetrokken", "Afgemeld", "Uitgeschreven", "Niet mailen", "Avregistrerad"),
    ],
)
def test_a_column_that_denies_consent_is_about_refusal(column: str) -> None:
    assert words.asks(column) is False


@pytest.mark.parametrize(
    "column",
    [
        *("Desea recibir información", "Acepta publicidad", "LOPD", "Vuole ricevere offerte", "Consenso privacy"),
        *("Aceita receber novidades", "Recebe newsletter", "Souhaite recevoir", "Werbung erlaubt", "Opt-in (yes/no)"),
        *("Zgoda marketingowa", "Subskrypcja", "RODO", "Akkoord nieuwsbrief", "Aangemeld", "Nyhetsbrev", "Samtykke"),
    ],
)
def test_a_column_that_asks_for_consent_is_recognized(column: str) -> None:
    assert words.asks(column) is True


@pytest.mark.parametrize(
    "column", ["Revenue", "Reference", "Contact no", "Nota", "Kontakt", "Nazwisko", "Recibo", "Note"]
)
def test_an_ordinary_column_is_not_about_consent(column: str) -> None:
    assert words.asks(column) is None


def test_if_everyone_said_no_nobody_gets_a_message(tmp_path: Path) -> None:
    path = put(tmp_path, "people.csv", "customer_id,Opt-in\n1,Non\n2,non\n")
    with pytest.raises(InputError, match="none of the 2 rows matches"):
        check(path, config=tomllib.loads(draft(path)))


def test_everyone_must_have_agreed_in_all_columns_about_consent(tmp_path: Path) -> None:
    text = "customer_id,Email opt-in,SMS opt-in\n1,yes,yes\n2,yes,no\n3,no,yes\n"
    config = tomllib.loads(draft(put(tmp_path, "people.csv", text)))
    assert check(tmp_path / "people.csv", config=config).valid == 1


@pytest.mark.parametrize(
    ("column", "cells"),
    [
        ("Newsletter", ["weekly", "monthly"]),
        ("Date d'inscription", ["2026-01-01", "2026-01-02"]),
        ("Block", ["1", "0"]),
    ],
)
def test_a_column_without_answers_gives_no_filter(tmp_path: Path, column: str, cells: list[str]) -> None:
    rows = "".join(f"{n},{cell}\n" for n, cell in enumerate(cells))
    found = drafted(put(tmp_path, "people.csv", f"customer_id,{column}\n{rows}"))
    assert "filter" not in tomllib.loads(found.text)["input"]


def test_answers_that_are_not_clear_are_shown_and_offered(tmp_path: Path) -> None:
    found = drafted(put(tmp_path, "people.csv", "customer_id,optin\n1,perhaps\n2,later\n"))
    assert "filter" not in tomllib.loads(found.text)["input"]
    [line] = [line for line in found.text.splitlines() if line.startswith("# filter")]
    assert tomllib.loads(line.removeprefix("# "))["filter"] == "\"optin\" IN ('perhaps', 'later')"
    [doubt] = [doubt for doubt in found.doubts if "optin" in doubt]
    assert "'perhaps' (1), 'later' (1)" in doubt
    assert "Everyone gets the message" in doubt


def test_answers_beyond_the_sample_count(tmp_path: Path) -> None:
    people = "".join(f"{n:06},{'oui' if n < 10_500 else 'OUI'}\n" for n in range(10_600))
    path = put(tmp_path, "people.csv", f"customer_id,Opt-in\n{people}TOTAL,\n")
    config = tomllib.loads(draft(path))
    assert config["input"]["filter"] == "\"Opt-in\" IN ('oui', 'OUI')"
    assert config["input"]["skip_last"] == 1


@pytest.mark.parametrize("type", [pl.Boolean(), pl.Int64(), pl.Categorical()])
def test_answers_of_other_types_give_a_filter(type: pl.DataType) -> None:
    answers = pl.Series("Opt-in", [True, False, None, True])
    answers = answers.cast(pl.String).cast(type) if type == pl.Categorical else answers.cast(type)
    frame = pl.DataFrame([pl.Series("customer_id", [1, 2, 3, 4]), answers])
    assert check(frame, config=tomllib.loads(draft(frame))).valid == 2


# ----- rows at the end that are not people


@pytest.mark.parametrize(
    ("end", "skipped"),
    [
        ("TOTAL;;;4 613,92\n", 1),
        ("Total général;;;4 613,92\n", 1),
        (";;Summe;4 613,92\n", 1),
        ("Total : 12;;;\n", 1),
        ("Totaal: 12\n", 1),
        (";;;4 613,92\n", 1),
        ("\nTOTAL;;;4 613,92\nExporté le 27/11/2026\n", 2),
        ("000099;;;\n", 0),
        ("000099;Somme;;1,00\n", 0),
        ("", 0),
    ],
)
def test_rows_at_the_end_that_are_not_people_are_left_out(tmp_path: Path, end: str, skipped: int) -> None:
    people = "".join(f"{n:06};Zoé;Lille;{n},50\n" for n in range(12))
    path = put(tmp_path, "people.csv", f"N° client;Prénom;Ville;CA\n{people}{end}")
    found = drafted(path)
    config = tomllib.loads(found.text)
    assert config["input"].get("skip_last", 0) == skipped
    assert bool([note for note in found.notes if "left out" in note]) == bool(skipped)
    report = check(path, config=config)
    assert (report.rejected, report.valid) == (0, 12 + end.startswith("000099"))


# ----- identifiers


@pytest.mark.parametrize(
    "column",
    [
        *("N° client", "Nº client", "№ client", "N°client", "Code client", "Réf. client", "NumClient", "id_client"),
        *("Kunden-Nr.", "Kd.-Nr.", "KundenNr", "Kundenkennung", "Debitorennummer", "Mitglieds-Nr."),
        *("N.º de cliente", "Nº cliente", "Cód. cliente", "ID del cliente", "N. cliente", "Codice cliente"),
        *(
            "Número do cliente",
            "Klantnummer",
            "Numer klienta",
            "Relatienr.",
            "Kundnummer",
            "Customer Number",
            "ClientID",
            "User-ID",
            "N° adhérent",
        ),
    ],
)
def test_a_customer_number_goes_before_an_address(tmp_path: Path, column: str) -> None:
    config, written = _drafted(tmp_path, f"E-mail;{column};Nom\na@example.com;000077;Zoé\nb@example.com;000078;Ann\n")
    assert config["recipient"]["external_user_id"] == column
    assert "email" not in config["recipient"]
    assert '# email = "E-mail"\n# prioritization = ' in written
    assert f'If "{column}" is not the external id in Braze' in written


@pytest.mark.parametrize("column", ["Contact number", "N° de commande", "Kontaktnummer", "Order no", "Code postal"])
def test_other_numbers_do_not_identify_people(tmp_path: Path, column: str) -> None:
    config, _ = _drafted(tmp_path, f"E-mail;{column}\na@example.com;000077\nb@example.com;000078\n")
    assert config["recipient"]["email"] == "E-mail"


def test_a_column_of_names_does_not_identify_people(tmp_path: Path) -> None:
    text = "Kunde;E-Mail privat\nZoé Roux;a@example.com\nJürgen Groß;b@example.com\n"
    config, _ = _drafted(tmp_path, text)
    assert config["recipient"]["email"] == "E-Mail privat"


# ----- sheets


def test_a_sheet_of_people_is_found_behind_others(tmp_path: Path) -> None:
    cover = table(["Lisez-moi"], ["Export des clients"], ["Ne pas modifier"])
    fields = table(["Champ", "Description"], ["N° client", "numéro"], ["E-mail", "adresse"])
    people = table(["N° client", "E-mail"], ["000077", "a@example.com"], ["000078", "b@example.com"])
    path = book(tmp_path / "people.xlsx", {"Lisez-moi": cover, "Champs": fields, "Clients": people})
    found = drafted(path)
    config = tomllib.loads(found.text)
    assert config["input"]["sheet"] == "Clients"
    assert "sheet 'Clients' was read; not read: 'Lisez-moi' (3 rows), 'Champs' (3 rows)" in " ".join(found.notes)
    assert check(path, config=config).valid == 2


def test_telephone_numbers_and_postcodes_of_a_workbook_are_text(tmp_path: Path) -> None:
    people = table(
        ["N° client", "Portable", "CP", "Points"], ["A1", 33612345678, 75001, 12], ["A2", 33612345679, 1000, 9]
    )
    config = tomllib.loads(draft(book(tmp_path / "people.xlsx", people)))
    properties = config["recipient"]["trigger_properties"]
    assert properties["phone"] == {"column": "Portable", "type": "string"}
    assert properties["cp"] == {"column": "CP", "type": "string"}
    assert properties["loyalty_points"] == "Points"


# ----- answers, dates and numbers that other columns decide


@pytest.mark.parametrize(
    ("name", "cells", "guess"),
    [
        ("Actif", ["Oui", "Non"], Guess("boolean")),
        ("Aktiv", ["Ja", "Nein", "ja"], Guess("boolean")),
        ("Activo", ["Sí", "No"], Guess("boolean")),
        ("Actif", ["VRAI", "FAUX"], Guess("boolean")),
        ("VIP", ["O", "N"], Guess("boolean")),
        ("Size", ["S", "S"], Guess()),
        ("Sexe", ["F", "F"], Guess()),
        ("Country", ["NO", "NO"], Guess()),
        ("Móvil", ["612345678", "612345679"], Guess()),
        ("Achat", ["27/11/26", "01/12/26"], Guess("date", "%d/%m/%y")),
        ("Fecha de alta", ["17/6/26", "2/1/26"], Guess("date", "%d/%m/%y")),
        ("Version", ["17.6.26", "2.1.26"], Guess()),
        ("Geburtsdatum", ["27.11.56", "01.12.60"], Guess()),
    ],
)
def test_cells_are_read_as_their_column_means_them(name: str, cells: list[str], guess: Guess) -> None:
    assert guess_type(pl.Series(name, cells)) == guess


def test_other_columns_decide_between_day_and_month(tmp_path: Path) -> None:
    config, written = _drafted(tmp_path, "id,a,b\n1,01/02/2026,02/28/2026\n2,03/04/2026,01/30/2026\n")
    assert config["recipient"]["trigger_properties"]["a"]["format"] == "%m/%d/%Y"
    assert "check which is right" not in written


def test_other_columns_decide_whether_a_sign_separates_thousands(tmp_path: Path) -> None:
    _, written = _drafted(tmp_path, "id;Umsatz;Punkte\n1;1.234,50;11.498\n2;2.000,00;12.345\n")
    assert "check which is right" not in written


def test_a_cell_that_does_not_fit_is_shown() -> None:
    frame = pl.DataFrame(
        {"id": [f"u{n}" for n in range(50)], "seen": ["01/02/2026"] * 48 + ["31/02/2026", "28/02/2026"]}
    )
    assert "1 of the sampled cells is not a date ('31/02/2026'); rows like this are rejected" in compose(
        frame, Config()
    )
