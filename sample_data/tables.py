"""The four small files that go with the examples in ``config/``: columns named as people name them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from draws import Draws, Rows, absent
from faults import Fault, Flaws, rows_with
from words import COUNTRIES, INTERESTS, LOCALES, PLANS, PRODUCTS, TIERS

LENGTH = 200
LATIN = LOCALES[:7]
_FLAWED_CUSTOMERS = (20, 31, 62, 63, 87, 140, 160)


@dataclass(frozen=True)
class Table:
    """One small file: how it is written, its flaws, and what makes its rows before they are flawed."""

    name: str
    separator: str
    flaws: Flaws
    columns: Callable[[Draws, Draws], dict[str, pl.Series]]

    def frame(self, rows: Rows, seed: int) -> pl.DataFrame:
        """The file's rows as text columns."""
        own = f"{self.name}/{seed}"
        cells = self.columns(Draws(own, rows), Draws(own, self.flaws.owner(rows)))
        return self.flaws.put_into(pl.DataFrame(cells), rows)


def _customers(draws: Draws, owner: Draws) -> dict[str, pl.Series]:
    locale = draws.number("locale", len(LATIN))
    basket = [f'[{{"sku": "{sku}", "quantity": {n}, "price": {price}}}]' for n, (sku, price) in enumerate(PRODUCTS, 1)]
    visit = _moment(draws, "appointment").dt.strftime("%Y-%m-%dT%H:%M:%S")
    no_visit = pl.Series(draws.chance("no appointment", 30))
    newsletter = draws.word("newsletter", ("true",) * 11 + ("false",))
    flawed = pl.Series(rows_with(_FLAWED_CUSTOMERS, draws.rows, LENGTH))  # they agreed, so that they are sent
    return {
        "Customer no": _numbered(owner, "", 6),
        "First name": draws.word_of_group("name", [one.first_names for one in LATIN], locale),
        "City": absent(draws.word_of_group("city", [one.cities for one in LATIN], locale), draws.chance("no city", 8)),
        "Country": owner.word("country", COUNTRIES),
        "Status": owner.word("status", ("active",) * 9 + ("closed",)),
        "Tier": draws.word("tier", TIERS),
        "Points": pl.Series(draws.number("points", 9000)).cast(pl.String),
        "Newsletter": pl.Series(["true"]).gather([0] * len(draws.rows)).zip_with(flawed, newsletter),
        "Order no": _numbered(draws, "A-", 7),
        "Order total": _price(draws),
        "Order date": _moment(draws, "order").dt.strftime("%Y-%m-%d"),
        "Next appointment": pl.Series(["n/a"]).gather([0] * len(draws.rows)).zip_with(no_visit, visit),
        "Interests": absent(_two_interests(draws), draws.chance("no interests", 15)),
        "Basket": absent(draws.word("basket", basket), draws.chance("no basket", 20)),
    }


def _mails(draws: Draws, owner: Draws) -> dict[str, pl.Series]:
    locale = draws.number("locale", len(LATIN))
    host = owner.word("host", ("@example.com", "@example.org"))
    return {
        "mail": _numbered(owner, "reader.", 4) + owner.word("tag", ("", "", "+news")) + host,
        "first_name": draws.word_of_group("name", [one.first_names for one in LATIN], locale),
        "voucher": _numbered(draws, "SPRING-", 6),
        "voucher_value": _price(draws),
        "valid_until": _moment(draws, "valid until").dt.strftime("%Y-%m-%d"),
        "favourite_shop": absent(draws.word("shop", ("Nord", "Rive gauche", "Südring")), draws.chance("no shop", 15)),
        "visits": pl.Series(draws.number("visits", 60)).cast(pl.String),
    }


def _aliases(draws: Draws, owner: Draws) -> dict[str, pl.Series]:
    locale = draws.number("locale", len(LOCALES))
    return {
        "contact": _numbered(owner, "contact-", 5),
        "first_name": draws.word_of_group("name", [one.first_names for one in LOCALES], locale),
        "plan": draws.word("plan", PLANS),
        "renews_on": _moment(draws, "renews on").dt.strftime("%Y-%m-%d"),
        "seats": pl.Series(draws.number("seats", 250) + 1).cast(pl.String),
        "admin": absent(draws.word("admin", ("true", "false")), draws.chance("no admin", 10)),
    }


def _canvas(draws: Draws, owner: Draws) -> dict[str, pl.Series]:
    locale = draws.number("locale", len(LATIN))
    number = _numbered(draws, "", 7)
    return {
        "customer_id": _numbered(owner, "web-", 6),
        "first_name": draws.word_of_group("name", [one.first_names for one in LATIN], locale),
        "cart_number": number,
        "cart_value": _price(draws),
        "cart_items": pl.Series(draws.number("items", 9) + 1).cast(pl.String),
        "abandoned_at": _moment(draws, "abandoned").dt.strftime("%Y-%m-%dT%H:%M:%S")
        + draws.word("offset", ("Z", "+01:00", "-05:00")),
        "cart_url": "https://shop.example.com/carts/" + number,
        "loyalty_tier": absent(draws.word("tier", TIERS), draws.chance("no tier", 25)),
    }


def _numbered(draws: Draws, prefix: str, width: int) -> pl.Series:
    """Numbers of their own, rising with gaps, with leading zeros."""
    number = pl.Series(draws.rows.astype("int64") * 7 + draws.number(f"{prefix} gap", 7) + 100)
    return prefix + number.cast(pl.String).str.zfill(width)


def _price(draws: Draws) -> pl.Series:
    cents = pl.DataFrame({"cents": draws.number("price", 30_000) + 10})
    euros = (pl.col("cents") // 100).cast(pl.String)
    return cents.select(euros + "." + (pl.col("cents") % 100).cast(pl.String).str.zfill(2)).to_series()


def _moment(draws: Draws, name: str) -> pl.Series:
    """Quarter hours between 9 and 18 o'clock, through 2026."""
    parts = pl.DataFrame({"day": draws.number(name, 365), "quarter": draws.number(f"{name} quarter", 36)})
    first = pl.datetime(2026, 1, 1, 9)
    return parts.select(first + pl.duration(days="day", minutes=pl.col("quarter") * 15)).to_series()


def _two_interests(draws: Draws) -> pl.Series:
    latin = INTERESTS[:6]
    first = draws.number("interest", len(latin))
    words = pl.Series(list(latin))
    return words.gather(first) + "|" + words.gather((first + 1) % len(latin))


TABLES = (
    Table(
        "customers.csv",
        ";",
        Flaws(
            period=LENGTH,
            faults=(
                Fault(31, "Customer no", None, "no identifier"),
                Fault(87, "Order total", "free", "not a float"),
                Fault(140, "Basket", '[{"sku": "SKU-0001"', "not JSON"),
            ),
            repeats={63: 62, 160: 20},
        ),
        _customers,
    ),
    Table(
        "mails.csv",
        ",",
        Flaws(
            period=LENGTH,
            faults=(
                Fault(44, "mail", None, "no identifier"),
                Fault(129, "valid_until", "end of May", "not a date"),
            ),
            repeats={73: 70, 188: 12},
        ),
        _mails,
    ),
    Table(
        "aliases.csv",
        ",",
        Flaws(
            period=LENGTH,
            faults=(
                Fault(17, "contact", None, "no identifier"),
                Fault(152, "seats", "2.5", "not an integer"),
            ),
            repeats={99: 98},
        ),
        _aliases,
    ),
    Table(
        "canvas.csv",
        ",",
        Flaws(
            period=LENGTH,
            faults=(
                Fault(66, "customer_id", None, "no identifier"),
                Fault(111, "abandoned_at", "yesterday", "not a datetime"),
            ),
            repeats={58: 57, 180: 3},
        ),
        _canvas,
    ),
)
