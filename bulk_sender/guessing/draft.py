"""Draft configuration (``init``) for an input, guessed from its columns and a sample of its rows.

``check`` accepts the draft unchanged. Guesses are on the safe side: every column is sent as a property of the message,
which Braze does not store; attributes, which it stores in profiles, are only a comment.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from bulk_sender.config.model import Config, FieldType, InputConfig
from bulk_sender.errors import ConfigError, InputError
from bulk_sender.guessing import column_names, words
from bulk_sender.guessing.types import Guess, Notation, guess_identifiers, guess_notation, guess_nothing, guess_type
from bulk_sender.reading.locate import Given
from bulk_sender.reading.settings import ReadSettings
from bulk_sender.reading.source import Input
from bulk_sender.reading.spool import Spool
from bulk_sender.recipients.columns import is_nameless
from bulk_sender.recipients.mapping import by_names

SAMPLE_ROWS = 10_000
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


def draft(inputs: Given | Sequence[Given], config: Config | None = None) -> str:
    """Return a configuration (TOML) for an input, from its first 10,000 rows. Raise InputError or ConfigError.

    ``config``: settings that are already known, such as how to read the input.
    """
    config = config or Config()
    given = [inputs] if isinstance(inputs, str | Path) or not isinstance(inputs, Sequence) else list(inputs)
    with Spool() as spool:
        source = Input.open(given, ReadSettings.of(config.input), spool)
        sample = source.head(SAMPLE_ROWS)
        if not len(sample):
            raise InputError(
                f"{source.files[0].name} has no valid rows under its header",
                hint=source.other_sheets or "send a file with at least one row to guess from",
            )
        try:
            return compose(
                sample,
                config,
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
        raise ConfigError(
            f"{path} already exists and is never overwritten", hint="choose another name, or move the file away"
        ) from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from None


def compose(
    sample: pl.DataFrame,
    config: Config,
    *,
    encodings: Sequence[str] = (),
    sheet: tuple[str, str] | None = None,
    header: tuple[int, str] | None = None,
) -> str:
    """Return the configuration for rows like ``sample``. Pure. Raise ConfigError when no column can identify a row.

    ``sheet``: the sheet that was read, and the others in words, where there are several. ``header``: the line of the
    header and what was said about it, if it had to be found.
    """
    sample = sample.select(name for name in sample.columns if not is_nameless(sample[name]))
    mapped, _ = by_names(sample.schema)
    nothing = [] if mapped.identifier_order or config.input.null_values else guess_nothing(sample)
    guesses = {} if mapped.identifier_order else _guesses(sample, nothing or config.input.null_values, config.input)
    lines = [*_head(config)]
    if mapped.identifier_order:
        lines += [
            "# The column names already name the fields (external_user_id, trigger_properties.NAME, …),",
            "# so no [recipient] table is needed.",
            "",
        ]
    else:
        lines += [*_recipient(sample), *_properties(sample, guesses)]
    lines += _input(sample, guesses, config, nothing, encodings)
    if header is not None and config.input.header_row is None:
        lines.append(f"header_row = {header[0]}    # {header[1]}")
    if sheet is not None and config.input.sheet is None:
        lines.append(f"sheet = {_text(sheet[0])}    # not read: {sheet[1]}")
    return "\n".join(lines) + "\n"


def _guesses(sample: pl.DataFrame, nothing: Sequence[str], given: InputConfig) -> dict[str, Guess]:
    columns = [sample[name] for name, dtype in sample.schema.items() if dtype == pl.String]
    is_known = {"decimal", "thousands"} & given.model_fields_set
    notation = Notation(given.decimal, given.thousands) if is_known else guess_notation(columns, nothing)
    return {column.name: guess_type(column, nothing, notation) for column in columns}


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
    if not column_names.meaning(found[first], column_names.IDENTIFIERS):
        yield "# No column is named like an identifier; this one is a guess from its values."
    yield f"{first} = {_text(found[first])}"
    has_gaps = bool(_is_empty(sample[found[first]]).any())
    for kind in list(found)[1:]:
        if has_gaps:
            yield f"{kind} = {_text(found[kind])}    # used where {first} is empty"
        else:
            yield f"# {kind} = {_text(found[kind])}    # used where {first} is empty"
    if first == "email" or (has_gaps and "email" in found):
        yield "# Several profiles may share an address; this chooses one of them."
        yield 'prioritization = ["identified", "most_recently_updated"]'
    yield ""


def _is_empty(column: pl.Series) -> pl.Series:
    return column.is_null() if column.dtype != pl.String else column.str.strip_chars().str.len_bytes().fill_null(0) == 0


def _properties(sample: pl.DataFrame, guesses: dict[str, Guess]) -> Iterator[str]:
    identifiers = set(guess_identifiers(sample).values())
    names: dict[str, str] = {}
    for column, dtype in sample.schema.items():
        if column not in identifiers and dtype not in (pl.Binary, pl.Object):
            name = column_names.meaning(column, column_names.PROPERTIES) or column_names.slug(column)
            names[_new(name, names)] = column
    yield "# Properties for the message: {{ api_trigger_properties.${name} }}. Delete those it does not use."
    yield "[recipient.trigger_properties]"
    for name, column in names.items():
        yield f"{_key(name)} = {_source(column, guesses.get(column))}"
    yield ""
    profile = [name for name in names if name in column_names.PROFILE_FIELDS]
    yield "# Attributes are stored permanently in people's profiles, so choose them with care."
    yield "# [recipient.attributes]"
    for name in profile:
        yield f"# {_key(name)} = {_source(names[name], guesses.get(names[name]))}"
    yield ""


def _new(name: str, taken: dict[str, str]) -> str:
    number = 2
    wanted = name
    while wanted in taken:
        wanted = f"{name}_{number}"
        number += 1
    return wanted


def _source(column: str, guess: Guess | None) -> str:
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
    if guess.misfits == 1:
        return f"1 of the sampled cells is not {one}; rows like this are rejected"
    return f"{guess.misfits} of the sampled cells are not {several}; rows like these are rejected"


def _input(
    sample: pl.DataFrame, guesses: dict[str, Guess], config: Config, nothing: Sequence[str], encodings: Sequence[str]
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
    consent = [name for name in sample.columns if column_names.meaning(name, column_names.PROPERTIES) == "opted_in"]
    if consent and "filter" not in given:
        yield f"# filter = {_text(_only_consenting(sample[consent[0]]))}    # only people who opted in"
    if "timezone" not in given and any(guess.type == "datetime" for guess in guesses.values()):
        yield '# timezone = "Europe/Paris"    # for times without an offset; the default is UTC'


def _only_consenting(answers: pl.Series) -> str:
    """Return the condition for people who agreed, with the answers of the sample as they are written."""
    column = '"' + answers.name.replace('"', '""') + '"'
    if answers.dtype == pl.Boolean:
        return column
    values = answers.drop_nulls().unique(maintain_order=True)
    agreed = [value for value in values.cast(pl.String) if words.agrees(answers.name, value)]
    if not agreed:
        return column
    if answers.dtype.is_integer():
        return f"{column} IN ({', '.join(agreed)})"
    quoted = ", ".join("'" + value.replace("'", "''") + "'" for value in agreed)
    return f"{column} IN ({quoted})"


def _text(value: str | None) -> str:
    """Return a one-line TOML string."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _text(name)
