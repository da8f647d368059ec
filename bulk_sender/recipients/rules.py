"""Braze's rules for one recipient, as polars expressions.

A row is rejected with the code and reason of the first rule that it breaks. Sources: the endpoint's page
(post_send_triggered_campaigns), and the recipient and user attributes objects.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from bulk_sender.braze.limits import MAX_EXTERNAL_USER_ID_BYTES, MAX_PROPERTIES_BYTES
from bulk_sender.recipients.attributes import bare, checked
from bulk_sender.recipients.characters import INVISIBLE, looks_like_another
from bulk_sender.recipients.mapping import PRIORITIZATION, PRIORITIZATION_FORM, Field, RecipientMapping
from bulk_sender.text.clean import CONTROLS, SHOWN

_EMAIL = r'^[^@\s,:;<>"()\[\]\\]+@[^@\s,;<>"()\[\]\\.]+(\.[^@\s,;<>"()\[\]\\.]+)+$'
_FRACTION = r"^(?:.*:)?-?[0-9]+[.,][0-9]+(?::.*)?$"
"""An identifier from a column of decimals, or one of the two parts of an alias, that is not whole."""
_HASH = r"^(?:[0-9A-Fa-f]{2}){16,64}$"
_A_HASH = "a hash of 32 to 128 hexadecimal digits, as recipient.email_is_hashed requires"
_BRACES = ("{", "\\u007b")
_LIQUID = [first + second for first in _BRACES for second in (*_BRACES, "%", "\\u0025")]
"""The beginnings of Liquid in JSON text, where any character may be written as an escape."""
_SAYS_NOTHING = r'"(?:[^"\\]|\\.)*"\s*:|[{},\s]|null'
"""All that an object without values is made of."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule: ``broken`` is true for a row that breaks it; ``reason`` names the column and the value.

    ``column`` is the column that the reason is about, and ``value`` its cell as text; null for one about a whole row.
    Reasons are concatenated with ``+``, because polars' ``format`` panics on nulls in some chunked columns.
    """

    code: str
    broken: pl.Expr
    reason: pl.Expr
    column: str | pl.Expr = ""
    value: pl.Expr | None = None

    @property
    def where(self) -> pl.Expr:
        """The column as an expression."""
        return (pl.lit(self.column or None, dtype=pl.String)) if isinstance(self.column, str) else self.column

    @property
    def cell(self) -> pl.Expr:
        """The value as an expression: at most 80 characters, with control characters made visible."""
        return pl.lit(None, dtype=pl.String) if self.value is None else visible(self.value)


@dataclass(frozen=True, slots=True)
class Names:
    """Names of the columns that ``encode`` computes for a row.

    Those placed beside the input's columns begin with a NUL, which no input column does. ``unquoted``: the columns of
    values that are text in which JSON escapes nothing, and that lack their quotes, which cost as much as the rest.
    """

    unquoted: frozenset[str] = frozenset()
    kind: str = "identifier_type"
    identifier: str = "identifier"
    head: str = "\x00head"
    prioritization: str = "\x00prioritization"
    recipient_bytes: str = "\x00bytes"
    properties_bytes: str = "\x00properties"

    def bad(self, index: int) -> str:
        return f"\x00bad{index}"

    def raw(self, index: int) -> str:
        return f"\x00raw{index}"

    def json(self, index: int) -> str:
        return f"\x00json{index}"

    def value(self, index: int) -> pl.Expr:
        """Return a field's value as JSON."""
        column = self.json(index)
        return pl.lit('"') + pl.col(column) + pl.lit('"') if column in self.unquoted else pl.col(column)

    def parts(self, column: str) -> list[str | pl.Expr]:
        """Return a value as the parts of a longer text, for ``joined``."""
        return ['"', pl.col(column), '"'] if column in self.unquoted else [pl.col(column)]

    def written(self, index: int) -> str:
        return f"\x00written{index}"


def rules(mapping: RecipientMapping, names: Names, max_bytes: int) -> Iterator[Rule]:
    """Yield all rules, in the order in which a person would fix a row."""
    kind, identifier = pl.col(names.kind), pl.col(names.identifier)
    tried = " or ".join(f"{item.kind} (column {item.column!r})" for item in mapping.identifiers)
    columns = {item.kind: item.column for item in mapping.identifiers}
    first = next(iter(columns.values()), "")
    yield Rule("missing_identifier", kind.is_null(), pl.lit(f"no identifier: {tried} is empty"), first)
    if alias := next((item for item in mapping.identifiers if item.kind == "user_alias"), None):
        yield Rule(
            "incomplete_alias",
            (kind == "user_alias") & identifier.is_null(),
            pl.lit("an alias needs both alias_name and alias_label; one is empty"),
            alias.label_column,
        )
    if any(item.kind == "email" for item in mapping.identifiers):
        yield from _email_rules(mapping, names)
    if decimal := [item.kind for item in mapping.identifiers if item.may_have_fraction]:
        yield Rule(
            "invalid_identifier",
            kind.is_in(decimal) & identifier.str.contains(_FRACTION),
            pl.lit("the identifier ") + shown(identifier) + pl.lit(" is not a whole number"),
            pl.coalesce(pl.when(kind == each).then(pl.lit(columns[each])) for each in decimal),
            identifier,
        )
    if any(item.kind == "external_user_id" for item in mapping.identifiers):
        yield Rule(
            "identifier_too_long",
            (kind == "external_user_id") & (identifier.str.len_bytes() > MAX_EXTERNAL_USER_ID_BYTES),
            pl.lit("the external_user_id has ")
            + identifier.str.len_bytes().cast(pl.String)
            + pl.lit(f" bytes; the maximum is {MAX_EXTERNAL_USER_ID_BYTES}"),
            columns["external_user_id"],
            identifier,
        )
    for index, field in enumerate(mapping.fields):
        if field.converted.can_fail:
            raw = pl.col(names.raw(index))
            yield Rule("invalid_value", pl.col(names.bad(index)), _bad_value(field, raw), field.column, raw)
    if mapping.profile_fields == "reject":
        yield from _attribute_rules(mapping, names)
    if mapping.existing_only is not None:
        yield from _existing_only_rules(mapping, names)
    yield Rule(
        "too_large",
        pl.col(names.recipient_bytes) > max_bytes,
        pl.lit("the recipient is ")
        + pl.col(names.recipient_bytes).cast(pl.String)
        + pl.lit(f" bytes long; at most {max_bytes} fit into a request"),
    )
    yield _properties_rule(mapping, names)
    if mapping.liquid == "reject":
        yield _liquid_rule(mapping, names)


def _email_rules(mapping: RecipientMapping, names: Names) -> Iterator[Rule]:
    is_email = pl.col(names.kind) == "email"
    column = next(item.column for item in mapping.identifiers if item.kind == "email")
    address = pl.col(names.identifier)
    shape, expected = (_HASH, _A_HASH) if mapping.email_is_hashed else (_EMAIL, "a valid e-mail address")
    if not mapping.email_is_hashed:
        yield Rule(
            "invalid_email",
            is_email & address.str.contains(rf"[{INVISIBLE}&&\S]"),
            shown(address.str.replace_all(INVISIBLE, "\u2423"))
            + pl.lit(f" is not {expected}: it has an invisible character"),
            column,
            address,
        )
        yield Rule(
            "invalid_email",
            is_email & looks_like_another(address),
            shown(address) + pl.lit(f" is not {expected}: it has a character that only looks like the right one"),
            column,
            address,
        )
    yield Rule(
        "invalid_email",
        is_email & ~address.str.contains(shape),
        shown(address) + pl.lit(f" is not {expected}"),
        column,
        address,
    )
    if mapping.prioritization is None:
        yield Rule("missing_prioritization", is_email, pl.lit(_MISSING_PRIORITIZATION))
        return
    given = pl.col(names.prioritization)
    where = mapping.prioritization_column
    yield Rule("missing_prioritization", is_email & given.is_null(), pl.lit(_MISSING_PRIORITIZATION), where)
    yield Rule(
        "invalid_prioritization",
        is_email & ~given.str.contains(f"^{PRIORITIZATION}$"),
        shown(given) + pl.lit(f" is not a valid prioritization: use {PRIORITIZATION_FORM}"),
        where,
        given,
    )


_MISSING_PRIORITIZATION = (
    "a recipient identified by e-mail needs a prioritization, such as identified|most_recently_updated"
)


def _existing_only_rules(mapping: RecipientMapping, names: Names) -> Iterator[Rule]:
    """Yield the rules for send_to_existing_only: false not with an alias, and only with attributes for a new user."""
    given = names.value(0)
    column = mapping.existing_only.column if mapping.existing_only is not None else ""
    yield Rule(
        "existing_only_with_alias",
        (pl.col(names.kind) == "user_alias") & (given == "false"),
        pl.lit("send_to_existing_only cannot be false for a user alias: Braze does not create such users"),
        column,
        given,
    )
    first = 1 + len(mapping.properties)
    stored = list(enumerate((*mapping.attributes, *mapping.subscription_groups), first))
    present = [_says_something(names.value(index), field) for index, field in stored]
    yield Rule(
        "existing_only_without_attributes",
        (given == "false") & ~pl.any_horizontal([pl.lit(False), *present]),
        pl.lit("send_to_existing_only is false, but the row has no attributes to create the user with"),
        column,
        given,
    )


def _says_something(value: pl.Expr, field: Field) -> pl.Expr:
    """Return where an attribute has a value; an object without values has none."""
    if not field.may_be_object:
        return value.is_not_null()
    return (value.str.replace_all(_SAYS_NOTHING, "").str.len_bytes() > 0).fill_null(False)


def _attribute_rules(mapping: RecipientMapping, names: Names) -> Iterator[Rule]:
    """Yield a rule for each attribute with a documented kind of value."""
    for item in checked(mapping):
        value = bare(names.value(item.index) if item.field.written is None else pl.col(names.written(item.index)))
        yield Rule(
            "invalid_attribute",
            ~item.documented.sound(value),
            pl.lit(f"{item.where}: ") + shown(value) + pl.lit(f" is not {item.documented.expected}"),
            item.field.column,
            value,
        )


def has_liquid(json: pl.Expr) -> pl.Expr:
    """Return where JSON text has ``{{`` or ``{%`` in a value or a name; neither can stand outside a string."""
    return json.str.contains_any(_LIQUID, ascii_case_insensitive=True)


def _liquid_rule(mapping: RecipientMapping, names: Names) -> Rule:
    """Return the rule against Liquid, with the first column that has it in the reason."""
    found = [
        (field.column, has_liquid(names.value(index))) for index, field in enumerate(mapping.fields) if field.column
    ]
    columns = [pl.when(has).then(pl.lit(f"column {column!r}")) for column, has in found]
    where = pl.coalesce([*columns, pl.lit("the identifier or a name")])
    return Rule(
        "liquid",
        has_liquid(pl.col("recipient")),
        where + pl.lit(" contains {{ or {%, which Braze runs as code (Liquid)"),
        pl.coalesce([*(pl.when(has).then(pl.lit(column)) for column, has in found), pl.lit(None, dtype=pl.String)]),
    )


def _properties_rule(mapping: RecipientMapping, names: Names) -> Rule:
    """Return the rule for the most bytes of properties: a recipient's own and the request's together."""
    size = pl.col(names.properties_bytes)
    merged = " with those of the request" if mapping.request_properties else ""
    return Rule(
        "properties_too_large",
        size > MAX_PROPERTIES_BYTES,
        pl.lit(f"{mapping.properties_name}{merged} has ")
        + size.cast(pl.String)
        + pl.lit(f" bytes; Braze accepts at most {MAX_PROPERTIES_BYTES}"),
    )


def _bad_value(field: Field, raw: pl.Expr) -> pl.Expr:
    said = pl.lit(f"column {field.column!r}: ") + shown(raw) + pl.lit(f" is not {field.converted.expected}")
    return said if field.converted.advice is None else said + field.converted.advice(raw).fill_null("")


def shown(value: pl.Expr) -> pl.Expr:
    """Return a value quoted for an error: at most 80 characters, with control characters made visible."""
    return pl.lit("'") + visible(value) + pl.lit("'")


def visible(value: pl.Expr) -> pl.Expr:
    """Return at most 80 characters of a value, with control characters made visible."""
    text = value.str.replace_all(CONTROLS, "\u2423")
    long = text.str.len_chars() > SHOWN
    return pl.when(long).then(text.str.slice(0, SHOWN) + "…").otherwise(text)
