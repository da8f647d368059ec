"""Draft configuration (``init``) for an input, guessed from its columns and a sample of its rows.

``check`` accepts the draft unchanged. Guesses are on the safe side: every column but bytes is sent as a property of the
message, which Braze does not store; attributes, which it stores in profiles, are only a comment.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from polars import selectors as cs

from bulk_sender.atomic import taken
from bulk_sender.config.model import Config, FieldType, InputConfig
from bulk_sender.errors import ConfigError, InputError
from bulk_sender.guessing import column_names, words
from bulk_sender.guessing.consent import Consent
from bulk_sender.guessing.survey import Survey, opened
from bulk_sender.guessing.types import (
    Guess,
    Notation,
    agreeing,
    guess_identifiers,
    guess_notation,
    guess_nothing,
    guess_type,
)
from bulk_sender.reading.locate import Given
from bulk_sender.reading.source import Input
from bulk_sender.reading.spool import Spool
from bulk_sender.recipients.columns import is_nameless
from bulk_sender.recipients.mapping import by_names, refuse_patterns
from bulk_sender.text.clean import clean

_KINDS: dict[FieldType, tuple[str, str]] = {
    "string": ("text", "text"),
    "integer": ("a whole number", "whole numbers"),
    "float": ("a number", "numbers"),
    "boolean": ("true or false", "true or false"),
    "date": ("a date", "dates"),
    "datetime": ("a date and time", "dates and times"),
    "json": ("valid JSON", "valid JSON"),
    "list": ("a list", "lists"),
}
"""Singular and plural of each type in a comment."""
_NUMBER = ":(integer|float)$"
"""Ends the name of a column that is mapped as a number by its name."""
_BYTES = 'if they are text, set type = "json" or "string"'


@dataclass(frozen=True, slots=True)
class Draft:
    """A configuration (TOML), and what a person should know about it before using it."""

    text: str
    notes: tuple[str, ...] = ()
    """What was decided for them: the sheet, the rows left out, who gets the message."""
    doubts: tuple[str, ...] = ()
    """What may be wrong, and has to be looked at."""

    @property
    def config(self) -> Config:
        """The configuration itself."""
        return Config.parse(tomllib.loads(self.text), where="the draft")


def draft(inputs: Given | Sequence[Given], config: Config | None = None) -> str:
    """Return a configuration (TOML) for an input, as ``drafted`` does."""
    return drafted(inputs, config).text


def drafted(inputs: Given | Sequence[Given], config: Config | None = None) -> Draft:
    """Return a configuration for an input, guessed from its first 10,000 rows. Raise InputError or ConfigError.

    ``config``: settings that are already known, such as how to read the input.
    """
    config = config or Config()
    given = [inputs] if isinstance(inputs, str | Path) or not isinstance(inputs, Sequence) else list(inputs)
    with Spool() as spool:
        return composed(*opened(given, config, spool), config)


def composed(source: Input, found: Survey, config: Config, guesses: Guesses | None = None) -> Draft:
    """Return the configuration for an input that was looked at. Raise InputError, ConfigError.

    ``guesses``: those about its sample, if they are known.
    """
    if not len(found.sample):
        raise InputError(
            f"{source.files[0].name} has no valid rows under its header",
            hint=source.other_sheets or "send a file with at least one row to guess from",
        )
    try:
        return _composed(
            found,
            config,
            guesses if guesses is not None else guessed(found.sample, config),
            encodings=source.guessed_encodings,
            sheet=source.chosen_sheet,
            header=source.found_header,
        )
    except ConfigError as error:
        raise ConfigError(str(error), hint=source.other_sheets or error.hint) from None


def write(path: Path, text: str) -> None:
    """Write a draft to a new file. Raise ConfigError if the file already exists."""
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644), "w", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise taken(path) from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from None


def compose(sample: pl.DataFrame, config: Config) -> str:
    """Return the configuration for rows like ``sample``. Pure. Raise ConfigError when no column can identify a row."""
    answers = {
        name: sample[name].alias("value").to_frame().group_by("value", maintain_order=True).len("count")
        for name, dtype in sample.schema.items()
        if words.may_answer(name, dtype)
    }
    return _composed(Survey(sample, len(sample), answers=answers), config, guessed(sample, config)).text


def _composed(
    found: Survey,
    config: Config,
    by: Guesses,
    *,
    encodings: Sequence[str] = (),
    sheet: tuple[str, str] | None = None,
    header: tuple[int, str] | None = None,
) -> Draft:
    """Return the configuration for an input of which a first look is known. Pure. Raise ConfigError.

    ``sheet``: the sheet that was read, and the others in words, where there are several. ``header``: the line of the
    header and what was said about it, if it had to be found.
    """
    sample, guesses = _named(found.sample), by.columns
    lines, notes, doubts = [*_head(config)], list[str](), list[str]()
    if by.is_mapped:
        lines += [
            "# The column names already name the fields (external_user_id, trigger_properties.NAME, …),",
            "# so no [recipient] table is needed.",
            "",
        ]
    else:
        lines += [*_recipient(sample), *_properties(sample, guesses)]
        notes.append(_identified(sample))
        doubts += _doubtful(guesses)
        notes += [f"column {name!r} holds bytes and is left out; {_BYTES}" for name in _bytes(sample)]
    lines += _input(guesses, config, by.nothing, encodings)
    if encodings and config.input.encoding is None:
        doubts.append(f"the file was read as {encodings[0]}, which is a guess: look at names with accents")
    if sheet is not None and config.input.sheet is None:
        lines.append(f"sheet = {_text(sheet[0])}    # not read: {sheet[1]}")
        notes.append(f"sheet {sheet[0]!r} was read; not read: {sheet[1]}. Choose another with --sheet")
    if header is not None and config.input.header_row is None:
        lines.append(f"header_row = {header[0]}    # {header[1]}")
        notes.append(header[1])
    if found.totals and "skip_last" not in config.input.model_fields_set:
        said = _left_out(found)
        lines.append(f"skip_last = {found.totals}    # {said}")
        notes.append(said)
    consent = Consent.of(found.answers)
    if consent.filter and "filter" not in config.input.model_fields_set:
        is_active = not by.is_mapped
        lines.append(f"{'' if is_active else '# '}filter = {_text(consent.filter)}    # {consent.said}")
        if is_active:
            notes.append(f"{consent.said}. To change that, edit filter under [input]")
    elif "filter" not in config.input.model_fields_set:
        lines += [f"# filter = {_text(each.offered)}    # people who agreed" for each in consent.unclear]
        doubts += consent.doubts
    return Draft("\n".join(lines) + "\n", tuple(notes), tuple(doubts))


def _left_out(found: Survey) -> str:
    if found.totals == 1:
        return f"the last row ({found.total!r}) is left out, because it is not a person"
    return f"the last {found.totals} rows ({found.total!r} …) are left out, because they are not people"


def _identified(sample: pl.DataFrame) -> str:
    """Return how people are identified, and what that means."""
    found = guess_identifiers(sample)
    first = next(iter(found))
    column = repr(found[first])
    if first != "external_user_id":
        return f"people are identified by {first}, from column {column}"
    other = f". If it is not, use the lines with {found['email']!r} instead" if "email" in found else ""
    return (
        f"people are identified by column {column}. Check that it is their external id in Braze, which sends nothing "
        f"to an id that it does not know{other}"
    )


def _doubtful(guesses: Mapping[str, Guess]) -> Iterator[str]:
    for name, guess in guesses.items():
        if guess.also:
            yield f"column {name!r}: the dates fit {guess.format} and {guess.also}; check which is right"
        if guess.also_decimal:
            yield f"column {name!r}: its numbers may have thousands separators or three decimals; check which is right"
        if guess.misfits:
            yield f"column {name!r}: {_misfits(guess)}"


@dataclass(frozen=True, slots=True)
class Guesses:
    """What the cells of a sample are: columns of text → their types, and ``nothing``, the texts that mean "empty".

    ``is_mapped``: whether the columns' names already are the mapping.
    """

    columns: Mapping[str, Guess]
    nothing: Sequence[str]
    is_mapped: bool


def guessed(sample: pl.DataFrame, config: Config) -> Guesses:
    """Guess what the cells of a sample are, where the configuration does not say. Raise InputError, ConfigError."""
    refuse_patterns(sample.schema)
    sample, given = _named(sample), config.input
    is_mapped = _is_mapped(sample)
    nothing = [] if is_mapped or given.null_values else guess_nothing(sample)
    # Names that are the mapping give the types, too. Only the notation of their numbers has to be guessed.
    texts = (sample.select(cs.matches(_NUMBER)) if is_mapped else sample).get_columns()
    columns = [column for column in texts if column.dtype == pl.String]
    empty = nothing or given.null_values
    is_known = {"decimal", "thousands"} & given.model_fields_set
    notation = Notation(given.decimal, given.thousands) if is_known else guess_notation(columns, empty)
    return Guesses(agreeing({each.name: guess_type(each, empty, notation) for each in columns}), nothing, is_mapped)


def _is_mapped(sample: pl.DataFrame) -> bool:
    """Whether the columns' names already are a mapping with which rows can be sent.

    A list with a column ``email`` and other names is not: an address alone needs a prioritization.
    """
    found = by_names(sample.schema)[0]
    is_alone = found.identifier_order == ("email",) and found.prioritization is None
    has_fields = bool(found.trigger_properties or found.attributes or found.subscription_groups)
    return bool(found.identifier_order) and (not is_alone or has_fields)


def _named(sample: pl.DataFrame) -> pl.DataFrame:
    """Return a sample without columns that have neither a name nor a value."""
    return pl.DataFrame([column for column in sample.get_columns() if not is_nameless(column)])


def _head(config: Config) -> Iterator[str]:
    braze = config.braze
    yield "# A draft, guessed from the columns and a sample of the rows. Review it, then run:"
    yield "#"
    yield "#     bulk-sender check INPUT --config THIS_FILE"
    yield "#"
    yield "# Set the API key in the environment (BRAZE_API_KEY or BRAZE_API_KEY_FILE), never in this file."
    yield ""
    yield "[braze]"
    yield (
        f"endpoint = {_text(braze.endpoint)}"
        if braze.endpoint
        else '# endpoint = "https://rest.iad-01.braze.com"    # your instance\'s REST host'
    )
    for name, value in (("campaign_id", braze.campaign_id), ("canvas_id", braze.canvas_id)):
        if value:
            yield f"{name} = {_text(value)}"
    if not (braze.campaign_id or braze.canvas_id):
        yield '# campaign_id = "…"    # an API-triggered campaign; or canvas_id'
    yield ""


def _recipient(sample: pl.DataFrame) -> Iterator[str]:
    found = guess_identifiers(sample)
    if not found:
        raise ConfigError(
            "no column can identify a recipient: none contains text or whole numbers",
            hint="the columns are " + ", ".join(map(repr, sample.columns[:12])),
        )
    first = next(iter(found))
    yield "[recipient]"
    if column_names.identifier_rank(found[first], first) is None:
        yield "# No column is named like an identifier; this one is a guess from its values."
    yield f"{first} = {_text(found[first])}"
    several_may = "# Several profiles may share an address; this chooses one of them."
    chosen = 'prioritization = ["identified", "most_recently_updated"]'
    if bool(_is_empty(sample[found[first]]).any()):
        yield from (f"{kind} = {_text(found[kind])}    # used where {first} is empty" for kind in list(found)[1:])
        if "email" in found:
            yield from (several_may, chosen)
    elif first == "email":
        yield from (several_may, chosen)
    elif len(found) > 1:
        yield "# An external id names one profile, and several profiles may share an address: so the id is used."
        yield f"# If {_text(found[first])} is not the external id in Braze, remove that line and use these:"
        yield from (f"# {kind} = {_text(found[kind])}" for kind in list(found)[1:])
        if "email" in found:
            yield f"# {chosen}"
    yield ""


def _is_empty(column: pl.Series) -> pl.Series:
    return column.is_null() if column.dtype != pl.String else column.str.strip_chars().str.len_bytes().fill_null(0) == 0


def _properties(sample: pl.DataFrame, guesses: Mapping[str, Guess]) -> Iterator[str]:
    identifiers = set(guess_identifiers(sample).values())
    names: dict[str, str] = {}
    for column, dtype in sample.schema.items():
        if column not in identifiers and dtype not in (pl.Binary, pl.Object):
            name = column_names.meaning(column, column_names.PROPERTIES) or column_names.slug(column)
            names[_new(name, names)] = column
    yield "# Properties for the message: {{ api_trigger_properties.${name} }}. Delete those it does not use."
    yield "[recipient.trigger_properties]"
    for name, column in names.items():
        yield f"{_key(name)} = {_source(sample[column], guesses.get(column))}"
    for column in _bytes(sample):
        name = _new(column_names.slug(column), names)
        yield f'# {_key(name)} = {{ column = {_text(column)}, type = "json" }}    # bytes; {_BYTES}'
    yield ""
    profile = [name for name in names if name in column_names.PROFILE_FIELDS]
    yield "# Attributes are stored permanently in people's profiles, so choose them with care."
    yield "# [recipient.attributes]"
    for name in profile:
        yield f"# {_key(name)} = {_source(sample[names[name]], guesses.get(names[name]))}"
    yield ""


def _bytes(sample: pl.DataFrame) -> list[str]:
    return sample.select(cs.binary()).columns


def _new(name: str, taken: dict[str, str]) -> str:
    number = 2
    wanted = name
    while wanted in taken:
        wanted = f"{name}_{number}"
        number += 1
    return wanted


def _source(values: pl.Series, guess: Guess | None) -> str:
    column = values.name
    if guess is None and values.dtype.is_integer() and column_names.is_code(column):
        return f'{{ column = {_text(column)}, type = "string" }}    # a code, not a number'
    if guess is None or guess.type == "string":
        return _text(column)
    form = f", format = {_text(guess.format)}" if guess.format else ""
    note = f"    # the sampled dates also fit {guess.also}; check which is right" if guess.also else ""
    if guess.also_decimal:
        note += "    # the sampled numbers have thousands separators or three decimals; check which is right"
    if guess.misfits:
        note += "    # " + _misfits(guess)
    return f'{{ column = {_text(column)}, type = "{guess.type}"{form} }}{note}'


def _misfits(guess: Guess) -> str:
    one, several = _KINDS[guess.type]
    shown = repr(clean(guess.misfit, 30))
    if guess.misfits == 1:
        return f"1 of the sampled cells is not {one} ({shown}); rows like this are rejected"
    return f"{guess.misfits} of the sampled cells are not {several} (such as {shown}); rows like these are rejected"


def _input(
    guesses: Mapping[str, Guess], config: Config, nothing: Sequence[str], encodings: Sequence[str]
) -> Iterator[str]:
    yield "[input]"
    given = config.input.model_dump(exclude_unset=True)
    for name, value in given.items():
        if name in InputConfig.model_fields and value is not None and name not in ("decimal", "thousands"):
            yield f"{name} = {json.dumps(value, ensure_ascii=False)}"
    if encodings and "encoding" not in given:
        yield f'encoding = "{encodings[0]}"    # a guess: review names with accents in the output of check'
    if nothing:
        yield f"null_values = {json.dumps(nothing)}"
    commas = [name for name, guess in guesses.items() if guess.decimal_comma]
    grouped = [name for name, guess in guesses.items() if guess.thousands]
    thousands = next((guesses[name].thousands for name in grouped), config.input.thousands)
    if commas or config.input.decimal == "," or thousands == ".":
        yield 'decimal = ","' + (f"    # as in the column {_text(commas[0])}" if commas else "")
    elif thousands:
        yield 'decimal = "."'
    if thousands:
        yield f"thousands = {_text(thousands)}" + (f"    # as in the column {_text(grouped[0])}" if grouped else "")
    if "timezone" not in given and any(guess.type == "datetime" for guess in guesses.values()):
        yield '# timezone = "Europe/Paris"    # for times without an offset; the default is UTC'


def _text(value: str | None) -> str:
    """Return a one-line TOML string."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _text(name)
