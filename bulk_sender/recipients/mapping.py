"""Mapping of input columns to recipient fields, from the configuration or the columns' names.

Pure: ``resolve`` uses only names and types. It returns a ``RecipientMapping`` of polars expressions, from which
``encode`` builds the recipients, and ``rules`` the reasons why a row is rejected.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from types import NoneType
from typing import Any, get_args

import polars as pl

from bulk_sender.config.constants import constant_json
from bulk_sender.config.model import Config, FieldSource, FieldType, RecipientConfig
from bulk_sender.errors import ConfigError, InputError
from bulk_sender.reading.added import foreign_columns
from bulk_sender.reading.types import NUMBER
from bulk_sender.recipients.columns import Columns, Found, is_pattern, misspelt_type, unknown_type, untyped
from bulk_sender.recipients.convert import (
    Convention,
    Converted,
    as_text,
    convert,
    is_object,
    is_shown_bytes,
    scalar_text,
    text_of_bytes,
    type_name,
    without_nulls,
)
from bulk_sender.recipients.profile import OTHER_TYPES, TEXT_FIELDS

FieldPath = tuple[str, ...]

_TYPES = "|".join(get_args(FieldType))
_NAMED = re.compile(
    rf"^(?P<field>external_user_id|email|braze_id|user_alias\.alias_name|user_alias\.alias_label|prioritization"
    rf"|send_to_existing_only|(?P<group>trigger_properties|canvas_entry_properties|context|attributes"
    rf"|subscription_groups)\.(?P<name>.+?))(?::(?P<type>{_TYPES}))?$",
    re.DOTALL,
)
_LONGEST_NAME = 255
_PROPERTIES = ("trigger_properties", "canvas_entry_properties", "context")
GROUPS = (*_PROPERTIES, "attributes", "user_alias")
"""Struct columns with these names are objects of the recipient."""
_IDENTITIES = ("external_id", "user_alias", "braze_id")
_OF_USERS_TRACK = {
    "_update_existing_only": "use recipient.send_to_existing_only instead",
    "push_token_import": "import push tokens by Braze's endpoint /users/track",
}
_CHANGES = ("$add", "$update", "$remove")

PRIORITIZATION = r"((un)?identified(\|(most|least)_recently_updated)?|(most|least)_recently_updated)"
PRIORITIZATION_FORM = "identified or unidentified, then most_recently_updated or least_recently_updated, joined by |"


@dataclass(frozen=True, slots=True)
class Identifier:
    """One way to identify a recipient; ``text`` is null where the row does not have it. An alias also has a label.

    ``is_padded``: where the input has blanks around the identifier; None if there cannot be any.
    ``may_have_fraction``: whether a part comes from a column of decimals, in which only whole numbers identify.
    """

    kind: str
    column: str
    text: pl.Expr
    label: pl.Expr | None = None
    is_padded: pl.Expr | None = None
    may_have_fraction: bool = False
    label_column: str = ""


@dataclass(frozen=True, slots=True)
class Field:
    """One property or attribute: its ``path`` inside the object, the raw value, and the value as JSON text."""

    path: FieldPath
    column: str
    raw: pl.Expr
    converted: Converted
    may_be_object: bool = False
    """Whether the value can be a JSON object, because the column is JSON or nested."""
    written: pl.Expr | None = None
    """The value as JSON with the nulls inside it, which ``converted`` leaves out; None if there cannot be any."""
    was_number: bool = False
    """Whether the input has numbers where Braze takes text."""
    has_format: bool = False
    """Whether the configuration says how its dates are written."""


@dataclass(frozen=True, slots=True)
class RecipientMapping:
    """Everything that ``encode`` and ``rules`` need to turn a frame of the input into recipients."""

    identifiers: tuple[Identifier, ...]
    prioritization: pl.Expr | None
    """Values joined by ``|``, or null without values."""
    existing_only: Field | None
    properties_name: str
    properties: tuple[Field, ...]
    attributes: tuple[Field, ...]
    subscription_groups: tuple[Field, ...]
    send_nulls: bool
    profile_fields: str
    unused: tuple[str, ...]
    trim: bool
    liquid: str
    email_is_hashed: bool
    request_properties: Mapping[str, int]
    """The properties that every recipient gets from the request, with the bytes of each member."""
    prioritization_column: str = ""
    """The column that ``prioritization`` is from; empty for a constant."""

    @property
    def fields(self) -> tuple[Field, ...]:
        existing = (self.existing_only,) if self.existing_only else ()
        return (*existing, *self.properties, *self.attributes, *self.subscription_groups)


def resolve(schema: pl.Schema, config: Config, unreadable: Mapping[str, str] | None = None) -> RecipientMapping:
    """Resolve the configured mapping (or, without one, the columns' names) against the input's schema.

    Raise ConfigError for a missing column (with the nearest name), an impossible type, two fields with the same path,
    or no identifier. Raise InputError for a column name that polars would treat as a pattern. ``unreadable``: columns
    that are not in ``schema``, because their types cannot be read → those types.
    """
    refuse_patterns(schema)
    columns = Columns(schema, unreadable)
    recipient, unused = (config.recipient, ()) if not config.recipient.is_empty else by_names(schema)
    if config.recipient.is_empty:
        for name in columns.unreadable:
            if _NAMED.match(name) or name in GROUPS:
                columns.refuse_unreadable(name, "recipient")
    resolver = _Resolver(columns, config)
    identifiers = tuple(resolver.identifiers(recipient))
    if not identifiers:
        raise ConfigError(
            "no column identifies a recipient: " + columns.shown(),
            hint="name a column external_user_id, email, braze_id or user_alias.alias_name, "
            "or map one under [recipient] (bulk-sender init INPUT writes a configuration to start from)",
        )
    existing_only = resolver.existing_only(recipient.send_to_existing_only)
    prioritization = resolver.prioritization(recipient.prioritization)
    properties = resolver.fields("trigger_properties", recipient.trigger_properties)
    attributes = resolver.fields("attributes", recipient.attributes)
    _refuse_identities(attributes)
    groups = resolver.fields("subscription_groups", recipient.subscription_groups, nest=False)
    _refuse_names(attributes, groups)
    if not config.recipient.is_empty:
        unused = tuple(name for name in schema if name not in resolver.columns.used)
    added = foreign_columns(schema.names())  # rejected.csv has these; no warning is needed when it is sent again
    unused = tuple(name for name in unused if name not in added)
    return RecipientMapping(
        identifiers=identifiers,
        prioritization=prioritization,
        existing_only=existing_only,
        properties_name=config.braze.canvas_properties_name if config.is_canvas else "trigger_properties",
        properties=properties,
        attributes=attributes,
        subscription_groups=groups,
        send_nulls=config.input.nulls == "send",
        profile_fields=config.input.profile_fields,
        unused=unused,
        trim=config.input.trim,
        liquid=config.input.liquid,
        email_is_hashed=config.recipient.email_is_hashed,
        request_properties={
            name: len(constant_json({name: value}, f"message.trigger_properties.{name}").encode()) - 2
            for name, value in config.message.trigger_properties.items()
        },
        prioritization_column=(recipient.prioritization.column or "") if recipient.prioritization else "",
    )


@dataclass(frozen=True, slots=True)
class Use:
    """A field of a recipient that a column fills, by its name in the configuration (``trigger_properties.city``).

    ``fields``: the values that the cells become; none for what stays text, such as an identifier.
    """

    name: str
    column: str
    source: FieldSource
    fields: tuple[Field, ...] = ()


def uses(
    schema: pl.Schema, config: Config, unreadable: Mapping[str, str] | None = None
) -> tuple[list[Use], list[ConfigError | InputError]]:
    """Return what the columns fill, as ``resolve`` would find it, and what is wrong with the rest.

    ``resolve`` ends at the first error; a person who edits a configuration needs what is right, too.
    """
    found: list[Use] = []
    wrong: list[ConfigError | InputError] = []
    try:
        refuse_patterns(schema)
        recipient = by_names(schema)[0] if config.recipient.is_empty else config.recipient
    except (ConfigError, InputError) as error:
        return found, [error]
    for group, name, source in _sources(recipient):
        columns = Columns(schema, unreadable)
        try:
            fields = _fields_of(_Resolver(columns, config), group, name, source)
        except (ConfigError, InputError) as error:
            wrong.append(error)
            continue
        several = len(columns.used) > 1  # the members of an object, each in a column
        for column in (column for column in schema if column in columns.used):
            own = tuple(field for field in fields if field.column == column) if several else fields
            found.append(Use(f"{group}.{name}" if group else name, column, source, own))
    if not wrong and not config.recipient.is_empty:
        try:
            resolve(schema, config, unreadable)
        except (ConfigError, InputError) as error:
            wrong.append(error)
    return found, wrong


def _sources(recipient: RecipientConfig) -> Iterator[tuple[str, str, FieldSource]]:
    """Yield the group of each source (empty for what is not in one), its name, and the source."""
    for kind in recipient.identifier_order:
        if kind == "user_alias":
            assert recipient.user_alias is not None
            yield "user_alias", "alias_name", recipient.user_alias.alias_name
            yield "user_alias", "alias_label", recipient.user_alias.alias_label
        else:
            yield "", kind, getattr(recipient, kind)
    for name in ("prioritization", "send_to_existing_only"):
        if (source := getattr(recipient, name)) is not None:
            yield "", name, source
    for group in ("trigger_properties", "attributes", "subscription_groups"):
        for name, source in getattr(recipient, group).items():
            yield group, name, source


def _fields_of(resolver: _Resolver, group: str, name: str, source: FieldSource) -> tuple[Field, ...]:
    """Resolve one source. Raise ConfigError."""
    if name == "prioritization" and not group:
        resolver.prioritization(source)
        return ()
    if name == "send_to_existing_only" and not group:
        found = resolver.existing_only(source)
        return (found,) if found is not None else ()
    if group in ("", "user_alias"):
        resolver.text(source, f"recipient.{group}.{name}" if group else f"recipient.{name}")
        return ()
    return resolver.fields(group, {name: source}, nest=group != "subscription_groups")


def by_names(schema: pl.Schema) -> tuple[RecipientConfig, tuple[str, ...]]:
    """Return the mapping given by the columns' names, and the names of the columns that fit no field.

    Raise ConfigError for a type behind a name that is not one.
    """
    plain: dict[str, Any] = {}
    alias: dict[str, Any] = {}
    groups: dict[str, dict[str, Any]] = {
        "trigger_properties": {},
        "attributes": {},
        "subscription_groups": {},
    }
    unused: list[str] = []
    for column, dtype in schema.items():
        match = _NAMED.match(column)
        _refuse_unknown_type(column, match)
        source = {"column": column} | ({"type": match["type"]} if match and match["type"] else {})
        if match and match["group"]:
            group = "trigger_properties" if match["group"] in _PROPERTIES else match["group"]
            _add_once(groups[group], match["name"], source, column)
        elif match and match["field"].startswith("user_alias."):
            _add_once(alias, match["field"].removeprefix("user_alias."), source, column)
            plain.setdefault("user_alias", alias)
        elif match:
            _add_once(plain, match["field"], source, column)
        elif isinstance(dtype, pl.Struct) and column in (*_PROPERTIES, "attributes"):
            _add_once(groups["attributes" if column == "attributes" else "trigger_properties"], "", source, column)
        elif isinstance(dtype, pl.Struct) and column == "user_alias":
            for part in ("alias_name", "alias_label"):
                _add_once(alias, part, {"column": f"user_alias.{part}"}, column)
            plain.setdefault("user_alias", alias)
        else:
            unused.append(column)
    for part in ("alias_name", "alias_label"):
        if alias and part not in alias:
            raise ConfigError(
                f"a user alias needs two columns; user_alias.{part} is missing",
                hint=f"add a column user_alias.{part}, or map a constant under [recipient] user_alias",
            )
    return RecipientConfig.model_validate(plain | {name: group for name, group in groups.items() if group}), tuple(
        unused
    )


def _refuse_unknown_type(column: str, match: re.Match[str] | None) -> None:
    """Refuse ``attributes.age:int``. A name may have a colon, so only what looks like a type counts."""
    wrong = misspelt_type(column)
    if wrong is not None and _NAMED.match(wrong[0]):
        raise unknown_type(column, *wrong[1:])
    name, colon, kind = column.rpartition(":")
    if match is None and colon and _NAMED.match(name.strip()) and re.fullmatch(r"\s*[A-Za-z]\w{0,19}\s*", kind):
        raise unknown_type(column, kind)


def _add_once(group: dict[str, Any], name: str, source: Any, column: str) -> None:
    if name in group:
        field = name or "the object of that name"
        raise ConfigError(f"columns {group[name]['column']!r} and {column!r} both map to {field}: keep one")
    group[name] = source


@dataclass(frozen=True, slots=True)
class _IdentifierText:
    """An identifier as text, where the input has blanks around it, and whether it comes from a column of decimals."""

    text: pl.Expr
    is_padded: pl.Expr | None = None
    is_decimal: bool = False


class _Resolver:
    def __init__(self, columns: Columns, config: Config) -> None:
        self.columns = columns
        self.config = config

    def column(self, name: str, where: str) -> Found:
        """Return the column for a name; configured null values become null."""
        found = self.columns.find(name, where)
        nothing = self.config.input.null_values
        if nothing and found.dtype == pl.String:
            return replace(found, value=pl.when(~found.value.is_in(nothing)).then(found.value))
        return found

    def text(self, source: FieldSource, where: str) -> _IdentifierText:
        """Return an identifier as text, null where it is empty."""
        if source.is_constant:
            if not isinstance(source.value, str) and type(source.value) is not int:
                raise ConfigError(f"{where}: the value must be text or a whole number")
            return _IdentifierText(pl.lit(str(source.value)))
        assert source.column is not None
        found = self.column(source.column, where)
        value, dtype = found.value, found.dtype
        if dtype == pl.Binary and source.type == "string":
            value, dtype = text_of_bytes(value), pl.String()
        if dtype == pl.String and "string" in (source.type, found.type):
            value = pl.when(~is_shown_bytes(value)).then(value)
        refused = dtype.is_float() or is_object(dtype) or dtype.is_temporal()
        if refused or dtype in (pl.Binary, pl.Boolean, pl.Object, NUMBER):
            raise ConfigError(
                f"{where}: column {source.column!r} has type {type_name(dtype)}, which would change the identifiers",
                hint='set type = "string" if it is text; a UUID has to be written as text'
                if dtype == pl.Binary
                else "store identifiers as text or whole numbers in the input",
            )
        text = scalar_text(value, dtype, Convention())
        bare = text.str.strip_chars()
        kept = bare if self.config.input.trim else text
        # A rejected row of a table with decimals comes back as text in a column NAME:float.
        is_typed = not {"float", "integer"}.isdisjoint((source.type, found.type))
        is_decimal = dtype.is_decimal() or (dtype == pl.String and is_typed)
        if is_decimal:
            signs = {".", ","} - {self.config.input.thousands}
            kept = kept.str.replace(rf"^(-?[0-9]+)[{''.join(sorted(signs))}]0+$", "${1}")
        is_padded = (text != bare) if dtype == pl.String else None
        return _IdentifierText(pl.when(bare.str.len_bytes() > 0).then(kept), is_padded, is_decimal)

    def identifiers(self, recipient: RecipientConfig) -> Iterator[Identifier]:
        for kind in recipient.identifier_order:
            where = f"recipient.{kind}"
            if kind == "user_alias":
                alias = recipient.user_alias
                assert alias is not None
                name = self.text(alias.alias_name, f"{where}.alias_name")
                label = self.text(alias.alias_label, f"{where}.alias_label")
                padded = [each.is_padded for each in (name, label) if each.is_padded is not None]
                is_padded = pl.any_horizontal(padded) if padded else None
                fraction = name.is_decimal or label.is_decimal
                column = alias.alias_name.column or "user_alias"
                label_column = alias.alias_label.column or ""
                yield Identifier(kind, column, name.text, label.text, is_padded, fraction, label_column)
            else:
                source: FieldSource = getattr(recipient, kind)
                only = self.text(source, where)
                yield Identifier(kind, source.column or kind, only.text, None, only.is_padded, only.is_decimal)

    def prioritization(self, source: FieldSource | None) -> pl.Expr | None:
        if source is None:
            return None
        if source.is_constant:
            joined = "|".join(map(str, source.value)) if isinstance(source.value, list) else str(source.value)
            if not re.fullmatch(PRIORITIZATION, joined):
                raise ConfigError(
                    f"recipient.prioritization: {joined!r} is not a valid prioritization: use {PRIORITIZATION_FORM}"
                )
            return pl.lit(joined)
        assert source.column is not None
        found = self.column(source.column, "recipient.prioritization")
        value, dtype = found.value, found.dtype
        if dtype not in (pl.String, pl.List(pl.String), pl.Categorical, pl.Enum, pl.Null):
            raise ConfigError(f"recipient.prioritization: column {source.column!r} has type {dtype}, not text")
        text = value.list.join("|") if isinstance(dtype, pl.List) else value.cast(pl.String)
        stripped = text.str.replace_all(" ", "", literal=True)
        if dtype == pl.String:  # it may be a list written as JSON
            listed = stripped.str.strip_chars('[]"').str.replace_all('","', "|", literal=True)
            stripped = pl.when(stripped.str.starts_with("[")).then(listed).otherwise(stripped)
        return pl.when(stripped.str.len_bytes() > 0).then(stripped)

    def existing_only(self, source: FieldSource | None) -> Field | None:
        if source is None:
            return None
        typed = source if source.is_constant else source.model_copy(update={"type": "boolean"})
        if source.is_constant and not isinstance(source.value, bool):
            raise ConfigError("recipient.send_to_existing_only: value must be true or false")
        [found] = self.field((), typed, "recipient.send_to_existing_only")
        return found

    def fields(self, group: str, sources: dict[str, FieldSource], *, nest: bool = True) -> tuple[Field, ...]:
        found: list[Field] = []
        for name, source in sources.items():
            path = tuple(name.split(".")) if nest and name else ((name,) if name else ())
            if any(not part for part in path):
                raise ConfigError(f"recipient.{group}: {name!r} has an empty part between its dots")
            found.extend(self.field(path, source, f"recipient.{group}.{name}", stored=group == "attributes"))
        _refuse_overlaps(group, found)
        return tuple(found)

    def field(self, path: FieldPath, source: FieldSource, where: str, *, stored: bool = False) -> Iterator[Field]:
        """Yield the fields of one source. ``stored``: whether it is an attribute, which Braze writes to the profile."""
        if source.is_constant:
            if stored and len(path) == 1 and path[0] in TEXT_FIELDS and not isinstance(source.value, str | NoneType):
                raise ConfigError(f"{where}: Braze requires text", hint="write the value in quotation marks")
            text = pl.lit(constant_json(source.value, where), dtype=pl.String)
            yield Field(path, "", text, Converted(text), isinstance(source.value, dict))
            return
        assert source.column is not None
        name = source.column
        if members := self.columns.members(name):
            for rest, column in members.items():
                member = source.model_copy(update={"column": column, "type": untyped(column)[1]})
                yield from self.field((*path, *rest), member, where, stored=stored)
            return
        found = self.column(name, where)
        if source.type is None and found.type is not None:
            source = source.model_copy(update={"type": found.type})
        yield from self._typed(path, name, found.value, found.dtype, source, where, stored)

    def _typed(
        self,
        path: FieldPath,
        column: str,
        value: pl.Expr,
        dtype: pl.DataType,
        source: FieldSource,
        where: str,
        stored: bool,
    ) -> Iterator[Field]:
        if isinstance(dtype, pl.Struct) and source.type is None and (dtype.fields or not path):
            # Resolve a struct field by field, so that its nulls are left out like those of any other column.
            for inner in dtype.fields:
                inner_type = inner.dtype if isinstance(inner.dtype, pl.DataType) else inner.dtype()
                yield from self._typed(
                    (*path, inner.name),
                    f"{column}.{inner.name}",
                    value.struct.field(inner.name),
                    inner_type,
                    source,
                    where,
                    stored,
                )
            return
        is_text = stored and bool(path) and path[0] in TEXT_FIELDS
        if is_text and (len(path) > 1 or is_object(dtype) or source.type in ("json", "list")):
            raise ConfigError(
                f"{where}: column {column!r} cannot be sent as {path[0]}: Braze requires text",
                hint="map a column of text, or give the attribute another name",
            )
        if stored and source.type is None and dtype == pl.String and path in OTHER_TYPES:
            source = source.model_copy(update={"type": OTHER_TYPES[path]})
        given = self.config.input
        convention = Convention(given.timezone, given.decimal, given.thousands, source.format, source.separator)
        try:
            converted = convert(value, dtype, source.type, convention)
            written = converted.json if source.type in ("json", "list") or is_object(dtype) else None
            if written is not None:
                converted = replace(converted, json=without_nulls(written), text=None)
            was_number = is_text and (dtype.is_numeric() or dtype == NUMBER or source.type in ("integer", "float"))
            if was_number or (is_text and (dtype == pl.Boolean or source.type == "boolean")):
                converted = replace(converted, json=as_text(converted.json), text=None)
            may_be_object, has_format = source.type == "json" or is_object(dtype), source.format is not None
            yield Field(path, column, value, converted, may_be_object, written, was_number, has_format)
        except ConfigError as error:
            raise ConfigError(f"{where}: column {column!r}: {error}", hint=error.hint) from None


def refuse_patterns(schema: pl.Schema) -> None:
    """Raise InputError for a name that polars would take for several columns."""
    for name in schema:
        if is_pattern(name):
            raise InputError(
                f"the input has a column {name!r}, which polars treats as a pattern for column names",
                hint="rename it",
            )


def _refuse_identities(attributes: tuple[Field, ...]) -> None:
    """Refuse identifiers among attributes; the recipient identifies the user (Braze: user_attributes_object)."""
    for field in attributes:
        if field.path[:1] and field.path[0] in _IDENTITIES:
            raise ConfigError(
                f"recipient.attributes: {field.path[0]!r} is not allowed as an attribute: "
                "the recipient's identifier already identifies the user",
                hint="leave the column out, or map it under another name",
            )
        if field.path[:1] and field.path[0] in _OF_USERS_TRACK:
            raise ConfigError(
                f"recipient.attributes: {field.path[0]!r} is not an attribute but a field of /users/track",
                hint=_OF_USERS_TRACK[field.path[0]],
            )


def _refuse_overlaps(group: str, fields: list[Field]) -> None:
    paths = sorted(field.path for field in fields)
    for shorter, longer in pairwise(paths):
        if longer[: len(shorter)] == shorter:
            raise ConfigError(
                f"recipient.{group}: {'.'.join(shorter)!r} and {'.'.join(longer)!r} conflict",
                hint="a name is either a value or an object with further names, not both",
            )


def _refuse_names(attributes: tuple[Field, ...], groups: tuple[Field, ...]) -> None:
    """Refuse invalid attribute names. Sources: user_attributes_object, nested_custom_attribute_support."""
    if groups and any(field.path[:1] == ("subscription_groups",) for field in attributes):
        raise ConfigError(
            "recipient.attributes.subscription_groups and recipient.subscription_groups set the same field: keep one"
        )
    for field in attributes:
        for part in field.path:
            if len(part) > _LONGEST_NAME:
                raise ConfigError(
                    f"recipient.attributes: the name {part[:40]!r}… is longer than {_LONGEST_NAME} characters"
                )
        for place, part in enumerate(field.path[1:], 1):
            is_change = part in _CHANGES and place == len(field.path) - 1 == 1
            if part != "$time" and not is_change and re.search(r"[ .$]", part):
                raise ConfigError(
                    f"recipient.attributes: {part!r} is not a valid name for a member of an object: Braze does not "
                    "allow spaces, dots or dollar signs",
                    hint="rename it in the mapping; allowed are $time, which marks a date, and NAME.$add, NAME.$update "
                    "and NAME.$remove, which change a list of objects",
                )
