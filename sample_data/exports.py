"""Exports as offices have them: titles, totals, blank lines, numbers and dates of a country, a second sheet.

They are for ``init``, which has to find out all of that. Each has two invalid rows and one duplicate.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np

from draws import Draws
from words import LOCALES

LENGTH = 240
DUPLICATE, ORIGINAL = 180, 20
BAD_DATE, BAD_AMOUNT = 60, 130
"""Offsets of the rows with something wrong. All of these people agreed to get messages."""
FLAWED = (DUPLICATE, ORIGINAL, BAD_DATE, BAD_AMOUNT)


@dataclass(frozen=True)
class Person:
    """One row, before it is written as its country writes it."""

    number: int
    title: str
    first_name: str
    last_name: str
    mail: str
    phone: str
    postcode: str
    city: str
    since: date
    cents: int
    points: int
    answer: str


@dataclass(frozen=True)
class Country:
    """How an office of a country writes its exports."""

    locale: int
    titles: tuple[str, ...]
    last_names: tuple[str, ...]
    header: tuple[str, ...]
    yes: tuple[str, ...]
    no: tuple[str, ...]
    above: tuple[str, ...]
    total: str
    sheet: str
    other_sheet: tuple[str, tuple[str, ...]]
    phone: Callable[[int], str]
    day: str
    day_of_excel: str
    group: str
    bad_date: str
    bad_amount: str


FRANCE = Country(
    locale=1,
    titles=("Mme", "M."),
    last_names=("Lemaître", "Nguyen", "D'Hondt", "Le Gall", "Bâtard-Roux", "Çelik", "Œuvrard", "Ferré"),
    header=(
        "N° client",
        "Civilité",
        "Prénom",
        "Nom",
        "E-mail",
        "Téléphone",
        "Code postal",
        "Ville",
        "Date d'inscription",
        "CA 2026",
        "Points",
        "Opt-in",
    ),
    yes=("Oui", "Oui", "Oui", "OUI", "oui"),
    no=("Non", "Non", "NON", ""),
    above=("Clients actifs - hiver 2026", "Export du 27/11/2026", ""),
    total="Total général",
    sheet="Clients",
    other_sheet=(
        "Lisez-moi",
        ("Export des clients actifs", "Données arrêtées au 27/11/2026", "Contact : crm@example.com"),
    ),
    phone=lambda number: f"06 39 98 {number // 100 % 100:02} {number % 100:02}",  # reserved for fiction
    day="%d/%m/%Y",
    day_of_excel="dd/mm/yyyy",
    group="\u00a0",
    bad_date="31/02/2026",
    bad_amount="à voir",
)
GERMANY = Country(
    locale=2,
    titles=("Frau", "Herr"),
    last_names=("Müller", "Groß", "von Ühlen", "Öztürk", "Schäfer", "Meier-Lüdenscheid", "Weiß", "Kühn"),
    header=(
        "Kundennummer",
        "Anrede",
        "Vorname",
        "Nachname",
        "E-Mail-Adresse",
        "Telefon",
        "PLZ",
        "Ort",
        "Kunde seit",
        "Umsatz",
        "Punkte",
        "Newsletter",
    ),
    yes=("Ja", "Ja", "Ja", "JA", "ja"),
    no=("Nein", "Nein", "nein", ""),
    above=("Kundenliste Winter 2026", "Stand: 27.11.2026", ""),
    total="Summe",
    sheet="Kunden",
    other_sheet=("Hinweise", ("Aktive Kunden", "Stand: 27.11.2026", "Rückfragen: crm@example.com")),
    phone=lambda number: f"030 23125 {number % 1000:03}",  # reserved for fiction
    day="%d.%m.%Y",
    day_of_excel="dd.mm.yyyy",
    group=".",
    bad_date="31.02.2026",
    bad_amount="offen",
)


def people(country: Country, seed: int) -> list[Person]:
    """The people of an export, with numbers that rise with gaps and begin with zeros."""
    rows = np.arange(LENGTH, dtype=np.uint64)
    draws = Draws(f"export/{country.sheet}/{seed}", rows)
    locale = LOCALES[country.locale]
    number = rows.astype(np.int64) * 7 + draws.number("gap", 7) + 77
    number[DUPLICATE] = number[ORIGINAL]
    first, city = draws.word("name", locale.first_names), draws.word("city", locale.cities)
    last, title = draws.word("last name", country.last_names), draws.word("title", country.titles)
    yes, no, agreed = draws.word("yes", country.yes), draws.word("no", country.no), draws.chance("agreed", 72)
    agreed[list(FLAWED)] = True
    phone, postcode = draws.number("phone", 10_000), draws.number("postcode", 95_000) + 1000
    days, cents = draws.number("since", 2400), draws.number("cents", 900_000) + 990
    points = draws.number("points", 12_000)
    return [
        Person(
            number=int(number[row]),
            title=title[row],
            first_name=first[row],
            last_name=last[row],
            mail=f"client.{int(number[row]):04}@example.com",
            phone=country.phone(int(phone[row])),
            postcode=f"{int(postcode[row]):05}",
            city=city[row],
            since=date(2020, 1, 1) + timedelta(days=int(days[row])),
            cents=int(cents[row]),
            points=int(points[row]),
            answer=yes[row] if agreed[row] else no[row],
        )
        for row in range(LENGTH)
    ]


def grouped(number: int, sign: str) -> str:
    """A whole number in groups of three digits."""
    return f"{number:,}".replace(",", sign)


def amount(cents: int, sign: str) -> str:
    """An amount with a decimal comma."""
    return f"{grouped(cents // 100, sign)},{cents % 100:02}"


def csv_export(country: Country, seed: int) -> bytes:
    """A CSV as Excel saves it in this country: semicolons, windows-1252, lines that end with CRLF."""
    out = io.StringIO()
    for line in country.above:
        out.write(line + ";" * (len(country.header) - 1) + "\r\n")
    writer = csv.writer(out, delimiter=";", lineterminator="\r\n")
    writer.writerow(country.header)
    found = people(country, seed)
    for row, one in enumerate(found):
        writer.writerow(
            [
                f"{one.number:06}",
                *(one.title, one.first_name, one.last_name, one.mail, one.phone, one.postcode, one.city),
                country.bad_date if row == BAD_DATE else one.since.strftime(country.day),
                country.bad_amount if row == BAD_AMOUNT else amount(one.cents, country.group),
                grouped(one.points, country.group),
                one.answer,
            ]
        )
        if row in (99, 199):
            writer.writerow([""] * len(country.header))
    writer.writerow([""] * len(country.header))
    writer.writerow(_totals(country, found, amount(sum(one.cents for one in found), country.group)))
    return out.getvalue().encode("cp1252")


def _totals(country: Country, found: Sequence[Person], revenue: object) -> list[object]:
    points = sum(one.points for one in found)
    last = grouped(points, country.group) if isinstance(revenue, str) else points
    return [country.total, *[""] * 8, revenue, last, ""]


def workbook(path: Path, country: Country, seed: int) -> None:
    """A workbook whose first sheet only explains, with numbers, dates and zeros as cells have them."""
    import xlsxwriter  # of the group "test"; nothing else here needs it

    with xlsxwriter.Workbook(path) as book:
        book.set_properties({"created": datetime(2026, 11, 27)})
        notes = book.add_worksheet(country.other_sheet[0])
        for row, text in enumerate(country.other_sheet[1]):
            notes.write_string(row, 0, text)
        sheet = book.add_worksheet(country.sheet)
        zeros, euros, day = (
            book.add_format({"num_format": form}) for form in ("000000", "#,##0.00", country.day_of_excel)
        )
        for row, text in enumerate(country.above):
            sheet.write_string(row, 0, text)
        first = len(country.above)
        for column, name in enumerate(country.header):
            sheet.write_string(first, column, name)
        found = people(country, seed)
        for row, one in enumerate(found):
            at = first + 1 + row
            sheet.write_number(at, 0, one.number, zeros)
            texts = (one.title, one.first_name, one.last_name, one.mail, one.phone, one.postcode, one.city)
            for column, text in enumerate(texts, 1):
                sheet.write_string(at, column, text)
            if row == BAD_DATE:
                sheet.write_string(at, 8, country.bad_date)
            else:
                sheet.write_datetime(at, 8, datetime.combine(one.since, datetime.min.time()), day)
            if row == BAD_AMOUNT:
                sheet.write_string(at, 9, country.bad_amount)
            else:
                sheet.write_number(at, 9, one.cents / 100, euros)
            sheet.write_number(at, 10, one.points)
            if one.answer:
                sheet.write_string(at, 11, one.answer)
        last = first + 2 + LENGTH
        sheet.write_string(last, 0, country.total)
        for column, letter, total in ((9, "J", sum(one.cents for one in found) / 100), (10, "K", 0)):
            value = total or sum(one.points for one in found)
            sheet.write_formula(last, column, f"=SUM({letter}{first + 2}:{letter}{last - 1})", euros, value)


def write_exports(folder: Path, seed: int) -> None:
    """All exports, under their own names."""
    for code, country in (("fr", FRANCE), ("de", GERMANY)):
        (folder / f"export-{code}.csv").write_bytes(csv_export(country, seed))
        workbook(folder / f"export-{code}.xlsx", country, seed)
