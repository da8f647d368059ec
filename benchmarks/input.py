"""The input every subject reads: a clean CSV of nine columns, named as bulk-sender reads them unmapped.

The people are synthetic and the same for the same number of rows. Every value is text, so that a subject that
keeps what it reads sends the same bodies as the others: about 11 kB for a batch of 50.
"""

from __future__ import annotations

import csv
from pathlib import Path
from random import Random

COLUMNS = (
    "external_user_id",
    "trigger_properties.first_name",
    "trigger_properties.city",
    "trigger_properties.product",
    "trigger_properties.amount",
    "trigger_properties.coupon",
    "attributes.loyalty_tier",
    "attributes.country",
    "attributes.last_order",
)
_FIRST_NAMES = ("Ada", "Bilal", "Chloé", "Dmitri", "Elif", "Farid", "Grace", "Hanna", "Ines", "Jürgen")
_CITIES = (("Lyon", "FR"), ("Porto", "PT"), ("Gdańsk", "PL"), ("Leeds", "GB"), ("Bern", "CH"), ("Oulu", "FI"))
_PRODUCTS = ("walking boots", "rain jacket", "head torch", "wool blanket", "travel mug")
_TIERS = ("bronze", "silver", "gold")


def write_input(path: Path, rows: int) -> None:
    """Write ``rows`` people to ``path`` as UTF-8 CSV with one header line; every identifier occurs once."""
    random = Random(rows)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for row in range(1, rows + 1):
            city, country = random.choice(_CITIES)
            writer.writerow(
                (
                    f"person-{row:08d}",
                    random.choice(_FIRST_NAMES),
                    city,
                    random.choice(_PRODUCTS),
                    f"{random.randrange(500, 50_000) / 100:.2f}",
                    f"{random.getrandbits(32):08X}",
                    random.choice(_TIERS),
                    country,
                    f"2025-{random.randrange(1, 13):02d}-{random.randrange(1, 29):02d}",
                )
            )
