"""Warnings about attributes: what Braze stores differently from how it is written, or drops.

Sources: user_attributes_object, custom_attributes, nested_custom_attribute_support. Braze refuses no request for these.
They are counted over all rows that will be sent.
"""

from __future__ import annotations

import zoneinfo
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

import polars as pl

from bulk_sender.recipients.characters import INVISIBLE, LOOK_ALIKES
from bulk_sender.recipients.mapping import Field, RecipientMapping
from bulk_sender.text.numbers import several

PROFILE_FIELDS = frozenset(
    {
        "country",
        "current_location",
        "date_of_first_session",
        "date_of_last_session",
        "dob",
        "email",
        "email_click_tracking_disabled",
        "email_open_tracking_disabled",
        "email_subscribe",
        "facebook",
        "first_name",
        "gender",
        "home_city",
        "image_url",
        "language",
        "last_name",
        "marked_email_as_spam_at",
        "phone",
        "push_subscribe",
        "push_tokens",
        "subscription_groups",
        "time_zone",
        "twitter",
    }
)
_LONGEST_TEXT = 255
_LONGEST_LIST = 25
_MOST_NESTED_BYTES = 100_000
_STRING = r'"(?:[^"\\]|\\.)*"'
_TOKEN = rf"{_STRING}\s*:?"
_ODD_KEY = r'^"(?:[^"]*[ .][^"]*|[^"$]+\$[^"]*|\$[^"]*)"\s*:$'
_DOLLAR_KEY = r'^"\$(?:time|add|update|remove|identifier_key|identifier_value|new_object)"\s*:$'
_LISTED = r'^(?:\{\s*"(?:add|remove)"\s*:\s*)?\['
_SLASHED_DATE = r"^\s*[0-9]{1,2}/[0-9]{1,2}/[0-9]{4}\b"
_FAR_YEAR = r"^(?:300[1-9]|30[1-9][0-9]|3[1-9][0-9]{2}|[4-9][0-9]{3}|[0-9]{5,}|-[0-9]+)-[0-9]{2}-[0-9]{2}"
_ADDRESS = r"^[^@\s]+@[^@\s]+\.[^@\s]+$"
_STRANGE = f"{INVISIBLE}|{LOOK_ALIKES}"
_E164 = r"^\+[1-9][0-9]{6,14}$"
_NUMBER = r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?"

Odd = Callable[[pl.Expr], pl.Expr]


@dataclass(frozen=True, slots=True)
class _Look:
    """What to look for in the values of one attribute; ``odd`` takes bare text, a string without its quotes."""

    field: Field
    odd: Odd
    what: str


class StoredValues:
    """Counts attribute values that Braze stores differently from how they are written, or drops."""

    def __init__(self, mapping: RecipientMapping) -> None:
        self._looks = [look for field in mapping.attributes for look in _looks(field, mapping)]
        self._names = list(_about_names(mapping))
        self._found: dict[int, tuple[int, int]] = {}

    def __call__(self, frame: pl.DataFrame, planned: pl.DataFrame) -> None:
        if not self._looks or not len(frame):
            return
        fields = {id(look.field): look.field for look in self._looks}
        texts = frame.select(_bare(field).alias(str(key)) for key, field in fields.items())
        flags = [look.odd(pl.col(str(id(look.field)))).fill_null(False) for look in self._looks]
        counts = texts.select(flag.sum().alias(str(place)) for place, flag in enumerate(flags))
        for place, count in enumerate(counts.row(0)):
            if not count:
                continue
            odd = texts.select(flags[place]).to_series()
            is_constant = len(odd) != len(planned)
            before, first = self._found.get(place, (0, planned["row"][0 if is_constant else odd.arg_true()[0]]))
            self._found[place] = (before + (len(planned) if is_constant else count), first)

    def sentences(self) -> list[str]:
        """Return a warning for each kind of odd value, by column."""
        return self._names + [
            f"{several(count, 'row')}, starting at row {first}: {_where(look.field)} {look.what}"
            for place, look in enumerate(self._looks)
            for count, first in [self._found.get(place, (0, 0))]
            if count
        ]


def _bare(field: Field) -> pl.Expr:
    json = field.converted.json
    return pl.when(json != "null").then(json.str.strip_prefix('"').str.strip_suffix('"'))


def _where(field: Field) -> str:
    return f"column {field.column!r}" if field.column else f"the value of {'.'.join(field.path)}"


def _looks(field: Field, mapping: RecipientMapping) -> Iterator[_Look]:
    if len(field.path) == 1 and (shape := _shape(field.path[0], mapping)) is not None:
        odd, what = shape
        yield _Look(field, odd, what)
    if field.written is None:
        if field.path[0] in ("dob", "date_of_first_session", "date_of_last_session"):
            return
        yield _Look(field, _is_long, f"has more than {_LONGEST_TEXT} characters, which Braze cuts off or drops")
        yield _Look(
            field,
            lambda text: text.str.contains(_SLASHED_DATE),
            "has text such as 12/1/2021, which Braze turns into a time, with the month first",
        )
        yield _Look(field, _is_far, "has a year before 0 or after 3000, which Braze stores as text")
        return
    yield _Look(
        field,
        _is_long_list,
        f"has a list of more than {_LONGEST_LIST} values; Braze cuts it off unless the attribute's limit is higher",
    )
    yield _Look(field, _is_heavy, "has more than 100 KB; Braze then keeps the old value")
    if field.may_be_object:
        yield _Look(field, _has_odd_key, "has a name with a space, a dot or a dollar sign, which Braze does not allow")
        yield _Look(field, _has_long_text, f"has a text of more than {_LONGEST_TEXT} characters inside")


def _is_long(text: pl.Expr) -> pl.Expr:
    return (text.str.len_bytes() > _LONGEST_TEXT) & (text.str.len_chars() > _LONGEST_TEXT)


def _is_far(text: pl.Expr) -> pl.Expr:
    return text.str.contains(_FAR_YEAR)


def _is_heavy(text: pl.Expr) -> pl.Expr:
    return text.str.len_bytes() > _MOST_NESTED_BYTES


def _is_long_list(text: pl.Expr) -> pl.Expr:
    """Return where a list of plain values is too long; a list of objects has no limit on their number."""

    def judge(column: pl.Series) -> pl.Series:
        possible = (column.str.count_matches(",", literal=True) >= _LONGEST_LIST).fill_null(False)
        if not possible.any():
            return possible
        listed = pl.select(pl.when(column.str.contains(_LISTED)).then(column)).to_series()
        lists = listed.str.replace_all(_STRING, "0").str.extract(r"^(?:\{\s*0\s*:\s*)?(\[[^\[\]{}]*\])")
        return possible & (lists.str.count_matches(",", literal=True) >= _LONGEST_LIST).fill_null(False)

    return text.map_batches(judge, return_dtype=pl.Boolean)


def _has_odd_key(text: pl.Expr) -> pl.Expr:
    def judge(column: pl.Series) -> pl.Series:
        possible = column.str.contains(r'[ .$][^"]*"\s*:').fill_null(False)
        if not possible.any():
            return possible
        keys = pl.element().str.contains(_ODD_KEY) & ~pl.element().str.contains(_DOLLAR_KEY)
        return possible & column.str.extract_all(_TOKEN).list.eval(keys).list.any().fill_null(False)

    return text.map_batches(judge, return_dtype=pl.Boolean)


def _has_long_text(text: pl.Expr) -> pl.Expr:
    def judge(column: pl.Series) -> pl.Series:
        possible = (column.str.len_bytes() > _LONGEST_TEXT + 2).fill_null(False)
        if not possible.any():
            return possible
        longest = column.str.extract_all(_STRING).list.eval(pl.element().str.len_chars()).list.max()
        return possible & (longest > _LONGEST_TEXT + 2).fill_null(False)

    return text.map_batches(judge, return_dtype=pl.Boolean)


def _shape(name: str, mapping: RecipientMapping) -> tuple[Odd, str] | None:
    """Return what is odd about a profile field's value, and the words for it."""
    if name == "email" and not mapping.email_is_hashed:
        return lambda text: ~text.str.contains(_ADDRESS) | text.str.contains(_STRANGE), "is not an e-mail address"
    if name == "phone":
        return lambda text: ~text.str.contains(_E164), "is not a phone number such as +4915112345678 (E.164)"
    if name == "time_zone":
        return lambda text: ~text.is_in(_zones()), "is not a time zone such as Europe/Paris, and Braze ignores it"
    if name in ("email_open_tracking_disabled", "email_click_tracking_disabled"):
        return lambda text: ~text.is_in(["true", "false"]), "is not true or false"
    if name == "current_location":
        return _is_no_place, 'is not a place such as {"longitude": 2.35, "latitude": 48.85}'
    return None


@cache
def _zones() -> list[str]:
    return sorted(zoneinfo.available_timezones())


def _is_no_place(text: pl.Expr) -> pl.Expr:
    return ~(
        text.str.contains(rf'^\{{[\s\S]*"longitude"\s*:\s*{_NUMBER}\s*[,}}]')
        & text.str.contains(rf'^\{{[\s\S]*"latitude"\s*:\s*{_NUMBER}\s*[,}}]')
    )


def _about_names(mapping: RecipientMapping) -> Iterator[str]:
    """Yield what can be said of the names alone."""
    names = dict.fromkeys(field.path[0] for field in mapping.attributes)
    for name in names:
        meant = name.lower().replace(" ", "_").replace("-", "_")
        if name != meant and meant in PROFILE_FIELDS:
            yield (
                f"attribute {name!r} is not the profile field {meant!r}, whose name is in lower case: Braze stores it "
                "as a custom attribute"
            )
    for field in mapping.attributes:
        if field.was_number and field.path == ("phone",):
            yield (
                f"column {field.column!r} has numbers: telephone numbers lost their + and leading zeros; the digits "
                "are sent as text"
            )
    places = {field.path[1] for field in mapping.attributes if field.path[0] == "current_location" and field.path[1:]}
    if places and places != {"longitude", "latitude"}:
        yield "attribute 'current_location' needs longitude and latitude, and nothing else"
