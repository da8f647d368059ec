"""Encoding of input rows as recipient objects in JSON text, with a reason for each row that is rejected.

Pure, and in whole columns for speed. The result has one row for each row of the frame:

| column | type | holds |
| --- | --- | --- |
| identifier_type | String | external_user_id, email, user_alias, braze_id, or null |
| identifier | String | the identifier, ``label:name`` for an alias, or null |
| recipient | String | the recipient object as JSON, null when the row is rejected |
| error_code, error | String | the first rule that the row breaks, null when it is valid |
| column, value | String | the column that the rule is about, and its cell as text; null for a rule about a whole row |
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import polars as pl

from bulk_sender.braze.limits import MAX_PROPERTIES_BYTES
from bulk_sender.recipients.cells import cell_texts
from bulk_sender.recipients.convert import joined, plain_quote, plain_texts, quote
from bulk_sender.recipients.mapping import Field, Identifier, RecipientMapping
from bulk_sender.recipients.rules import Names, Rule, rules

_NAMES = Names()
_REASON = ("error_code", "error", "column", "value")
_Tree = dict[str, "str | _Tree"]
"""Member name → the column with its JSON text, or the members of a nested object."""

SCHEMA = pl.Schema(
    {
        "identifier_type": pl.String(),
        "identifier": pl.String(),
        "recipient": pl.String(),
        "error_code": pl.String(),
        "error": pl.String(),
        "column": pl.String(),
        "value": pl.String(),
    }
)


def encode(frame: pl.DataFrame, mapping: RecipientMapping, *, max_bytes: int) -> pl.DataFrame:
    """Encode ``frame`` (the input's columns) by ``mapping``; reject recipients larger than ``max_bytes``."""
    encoded = frame.select(
        _kind(mapping.identifiers), _identifier(mapping.identifiers), *_values(mapping), *_written(mapping)
    )
    plain = plain_texts(encoded.select(_NAMES.identifier, *_texts(mapping)))
    names = Names(unquoted=plain - {_NAMES.identifier})
    heads = frame.select(_heads(mapping, plain_quote if _NAMES.identifier in plain else quote))
    others = [quote(pl.col(name)).alias(name) for name in _texts(mapping) if name not in plain]
    encoded = pl.concat([encoded.with_columns(others), heads], how="horizontal")
    facts = encoded
    if failures := _failures(mapping):
        values = encoded.select(_NAMES.json(index) for index, _ in enumerate(mapping.fields))
        flags = pl.concat([values, frame], how="horizontal").select(failures)
        facts = pl.concat([encoded, flags], how="horizontal")
    full = frozenset(name for name in encoded.columns if encoded[name].null_count() == 0)
    renderer = _Renderer(names, full)
    facts = facts.with_columns(recipient=_recipient(mapping, renderer)).with_columns(
        pl.col("recipient").str.len_bytes().alias(_NAMES.recipient_bytes)
    )
    facts = facts.with_columns(_properties_bytes(mapping, facts, renderer).alias(_NAMES.properties_bytes))
    broken = list(rules(mapping, names, max_bytes))
    bad = facts.select(pl.any_horizontal([rule.broken.fill_null(False) for rule in broken])).to_series()
    if not bad.any():
        none = dict.fromkeys(_REASON, pl.lit(None, dtype=pl.String))
        return facts.select("identifier_type", "identifier", "recipient", **none)
    return _with_reasons(facts, frame, mapping, broken, bad)


def _with_reasons(
    facts: pl.DataFrame, frame: pl.DataFrame, mapping: RecipientMapping, broken: list[Rule], bad: pl.Series
) -> pl.DataFrame:
    """Add codes and reasons, computed only for the few rejected rows, because text is slow to build."""
    quoted = [
        _shown_text(field.raw).alias(_NAMES.raw(index))
        for index, field in enumerate(mapping.fields)
        if field.converted.can_fail
    ]
    rejected = pl.concat([facts.filter(bad), frame.filter(bad).select(quoted)], how="horizontal")
    reasons = rejected.select(
        error_code=pl.coalesce([pl.when(rule.broken).then(pl.lit(rule.code)) for rule in broken]),
        error=pl.coalesce([pl.when(rule.broken).then(rule.reason) for rule in broken]),
        column=_of_first(broken, [rule.where for rule in broken]),
        value=_of_first(broken, [rule.cell for rule in broken]),
    )
    position = pl.when(bad).then(bad.cast(pl.Int64).cum_sum() - 1)
    return facts.select(
        "identifier_type",
        "identifier",
        recipient=pl.when(~bad).then(pl.col("recipient")),
        **{name: pl.lit(reasons[name]).gather(position) for name in _REASON},
    )


def _of_first(broken: list[Rule], values: list[pl.Expr]) -> pl.Expr:
    """Return for each row the value that belongs to the first rule that it breaks, which may be null."""
    chain = pl.lit(None, dtype=pl.String)
    for rule, value in reversed(list(zip(broken, values, strict=True))):
        chain = pl.when(rule.broken.fill_null(False)).then(value).otherwise(chain)
    return chain


def _shown_text(raw: pl.Expr) -> pl.Expr:
    return raw.map_batches(cell_texts, return_dtype=pl.String)


def _kind(identifiers: Iterable[Identifier]) -> pl.Expr:
    return pl.coalesce([pl.when(item.text.is_not_null()).then(pl.lit(item.kind)) for item in identifiers]).alias(
        "identifier_type"
    )


def _identifier(identifiers: Iterable[Identifier]) -> pl.Expr:
    """Return the first identifier that the row has. An alias is ``label:name``, or null without a label."""
    texts = [item.text if item.label is None else item.label + ":" + item.text for item in identifiers]
    chain = pl.lit(None, dtype=pl.String)
    for item, text in reversed(list(zip(identifiers, texts, strict=True))):
        chain = pl.when(item.text.is_not_null()).then(text).otherwise(chain)
    return chain.alias("identifier")


def _heads(mapping: RecipientMapping, quote: Callable[[pl.Expr], pl.Expr]) -> list[pl.Expr]:
    """Return the start of the recipient object: ``"external_user_id":"…"``, the first identifier of the row.

    ``quote`` makes an identifier a JSON string.
    """
    chain = pl.lit(None, dtype=pl.String)
    for item in reversed(mapping.identifiers):
        if item.label is not None:
            head = joined('"user_alias":{"alias_name":', quote(item.text), ',"alias_label":', quote(item.label), "}")
        else:
            head = joined(f'"{item.kind}":', quote(item.text))
        if item.kind == "email" and mapping.prioritization is not None:
            values = mapping.prioritization.str.replace_all("|", '","', literal=True)
            head = joined(head, ',"prioritization":["', values, '"]')
        chain = pl.when(item.text.is_not_null()).then(head).otherwise(chain)
    heads = [chain.alias(_NAMES.head)]
    if mapping.prioritization is not None:
        heads.append(mapping.prioritization.alias(_NAMES.prioritization))
    return heads


def _values(mapping: RecipientMapping) -> list[pl.Expr]:
    """Return the values as JSON, but text as it is: only what a chunk's texts have in them says how to quote them."""
    return [
        (field.converted.json if field.converted.text is None else field.converted.text).alias(_NAMES.json(index))
        for index, field in enumerate(mapping.fields)
    ]


def _texts(mapping: RecipientMapping) -> list[str]:
    """Return the names of the values that are text."""
    return [_NAMES.json(index) for index, field in enumerate(mapping.fields) if field.converted.text is not None]


def _written(mapping: RecipientMapping) -> list[pl.Expr]:
    """Return the values with the nulls inside them, for the rules that judge what somebody wrote."""
    if mapping.profile_fields != "reject":
        return []
    return [
        field.written.alias(_NAMES.written(index))
        for index, field in enumerate(mapping.fields)
        if field.written is not None
    ]


def _failures(mapping: RecipientMapping) -> list[pl.Expr]:
    return [
        field.converted.failed(pl.col(_NAMES.json(index))).alias(_NAMES.bad(index))
        for index, field in enumerate(mapping.fields)
        if field.converted.can_fail
    ]


def _recipient(mapping: RecipientMapping, renderer: _Renderer) -> pl.Expr:
    """Concatenate the recipient's parts: the head, then each group that has a member."""
    index = 0
    parts: list[str | pl.Expr] = ["{", pl.col(_NAMES.head)]
    if mapping.existing_only is not None:
        given = pl.col(_NAMES.json(0))
        if any(item.kind == "user_alias" for item in mapping.identifiers):  # an alias goes without it; true is implied
            given = pl.when(pl.col(_NAMES.kind) != "user_alias").then(given)
        parts.append(_optional("send_to_existing_only", given))
        index = 1
    tree, index = _tree(mapping.properties, index)
    parts.extend(renderer.group(mapping.properties_name, tree))
    tree, index = _tree(mapping.attributes, index)
    groups, index = _tree(mapping.subscription_groups, index)
    more = [renderer.subscriptions(groups)] if groups else []
    parts.extend(replace(renderer, send_nulls=mapping.send_nulls).group("attributes", tree, *more))
    return joined(*parts, "}")


def _properties_bytes(mapping: RecipientMapping, facts: pl.DataFrame, renderer: _Renderer) -> pl.Expr:
    """Return the size of a recipient's properties merged with the request's: a member of the recipient's replaces one.

    It is null where no row can reach the limit, so that ordinary rows cost nothing.
    """
    none = pl.lit(None, dtype=pl.UInt32)
    largest = facts[_NAMES.recipient_bytes].max()
    of_request = sum(mapping.request_properties.values()) + len(mapping.request_properties) + 1
    if not isinstance(largest, int) or largest + of_request <= MAX_PROPERTIES_BYTES:
        return none
    start = 0 if mapping.existing_only is None else 1
    tree, _ = _tree(mapping.properties, start)
    parts = renderer.group(mapping.properties_name, tree)
    frame = len(f",{_key(mapping.properties_name)}:{{}}".encode())
    own = joined(*parts).str.len_bytes().cast(pl.Int64) if parts else pl.lit(0, dtype=pl.Int64)
    # Each member counts with one comma, the last of them for nothing.
    size = pl.when(own > 0).then(own - frame + 1).otherwise(0)
    for name, length in mapping.request_properties.items():
        columns = list(_columns({name: tree[name]})) if name in tree else []
        is_replaced = pl.any_horizontal([pl.lit(False), *(pl.col(column).is_not_null() for column in columns)])
        size = size + pl.when(is_replaced).then(0).otherwise(length + 1)
    return pl.when(pl.col(_NAMES.recipient_bytes) + of_request > MAX_PROPERTIES_BYTES).then(size + 1)


def _tree(fields: tuple[Field, ...], index: int) -> tuple[_Tree, int]:
    tree: _Tree = {}
    for field in fields:
        node = tree
        for part in field.path[:-1]:
            inner = node.setdefault(part, {})
            assert isinstance(inner, dict)  # overlapping paths were refused when the mapping was resolved
            node = inner
        node[field.path[-1]] = _NAMES.json(index)
        index += 1
    return tree, index


@dataclass(frozen=True, slots=True)
class _Renderer:
    """Renders a tree of members as the parts of a JSON object, for a single call of ``joined``.

    ``names``: of the columns with the values. ``full``: those without nulls; an object built only from these has no
    missing members to handle. ``send_nulls``: whether a missing member is sent as null. That goes for the first level
    only: Braze drops the whole update of a nested attribute that has a null inside.
    """

    names: Names
    full: frozenset[str]
    send_nulls: bool = False

    @property
    def _inner(self) -> _Renderer:
        return replace(self, send_nulls=False)

    def group(self, name: str, tree: _Tree, *more: pl.Expr) -> list[str | pl.Expr]:
        """Return ``,"name":{…}``, or empty text where no member has a value. ``more``: rendered extra members."""
        if self._is_full(tree) and tree:
            return [f",{_key(name)}:{{", *self._members(tree), *more, "}"]
        if not tree and not more:
            return []
        # Check the columns for values, not the body: using the body twice gives 2ⁿ parts for objects nested n deep.
        present = [pl.col(column).is_not_null() for column in _columns(tree)]
        present += [part.str.len_bytes() > 0 for part in more]
        if self.send_nulls and any(not isinstance(node, dict) for node in tree.values()):
            present.append(pl.lit(True))
        body = joined(*self._present_members(tree), *more)
        wrapped = joined(f",{_key(name)}:{{", body.str.slice(1), "}")
        return [pl.when(pl.any_horizontal(present)).then(wrapped).otherwise(pl.lit(""))]

    def _is_full(self, tree: _Tree) -> bool:
        return all(
            self._inner._is_full(node) and bool(node)
            if isinstance(node, dict)
            else self.send_nulls or node in self.full
            for node in tree.values()
        )

    def _members(self, tree: _Tree) -> list[str | pl.Expr]:
        """Return the members of an object without missing members."""
        parts: list[str | pl.Expr] = []
        for number, (name, node) in enumerate(tree.items()):
            start = f"{',' if number else ''}{_key(name)}:"
            if isinstance(node, dict):
                parts.extend([start + "{", *self._inner._members(node), "}"])
            else:
                parts.extend([start, *self._value(node)])
        return parts

    def _present_members(self, tree: _Tree) -> list[str | pl.Expr]:
        """Return the members of an object in which some may be missing, each with a comma before it."""
        parts: list[str | pl.Expr] = []
        for name, node in tree.items():
            if isinstance(node, dict):
                parts.extend(self._inner.group(name, node))
            elif node in self.full or self.send_nulls:
                parts.extend([f",{_key(name)}:", *self._value(node)])
            else:
                parts.append(_optional(name, *self.names.parts(node)))
        return parts

    def _value(self, column: str) -> list[str | pl.Expr]:
        """Return a value of a member that is always sent."""
        parts = self.names.parts(column)
        return parts if column in self.full or not self.send_nulls else [joined(*parts).fill_null("null")]

    def subscriptions(self, groups: _Tree) -> pl.Expr:
        """Return flat subscription-group columns as the list of objects that Braze expects."""
        entries = [
            joined(
                f',{{"subscription_group_id":{_key(name)},"subscription_state":', *self.names.parts(column), "}"
            ).fill_null("")
            for name, column in groups.items()
            if isinstance(column, str)
        ]
        body = joined(*entries)
        listed = joined(',"subscription_groups":[', body.str.slice(1), "]")
        return pl.when(body.str.len_bytes() > 0).then(listed).otherwise(pl.lit(""))


def _columns(tree: _Tree) -> Iterator[str]:
    """Yield the columns with the values of a tree, at any depth."""
    for node in tree.values():
        if isinstance(node, dict):
            yield from _columns(node)
        else:
            yield node


def _optional(name: str, *value: str | pl.Expr) -> pl.Expr:
    """Return ``,"name":value``, or empty text where there is no value."""
    return joined(f",{_key(name)}:", *value).fill_null("")


def _key(name: str) -> str:
    return json.dumps(name, ensure_ascii=False)
