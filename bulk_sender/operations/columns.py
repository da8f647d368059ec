"""Look at the columns of an input, and suggest a first configuration. Reads a sample, sends nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bulk_sender.config.model import Config
from bulk_sender.errors import ConfigError
from bulk_sender.guessing.columns import SAMPLES, Columns, described
from bulk_sender.guessing.draft import Draft, drafted
from bulk_sender.guessing.survey import SAMPLE_ROWS
from bulk_sender.planning.prepared import InputLike, each_of
from bulk_sender.run.settings import ConfigLike, load_config, overrides_of


def columns(
    source: InputLike,
    config: ConfigLike = None,
    *,
    sheet: str | None = None,
    rows: int = SAMPLE_ROWS,
    samples: int = SAMPLES,
    overrides: Mapping[str, Any] | None = None,
) -> Columns:
    """Return what the columns of an input are, and how it is read. Raises InputError, ConfigError.

    Of each column: its name, type, first values and empty cells, what it is guessed to be, and the cells that do not
    fit. ``config`` says how to read the input and what each column is, as for ``send``; what it leaves open is guessed.
    What is wrong with it for these columns is in ``problems``, and nothing is raised for that. Its filter and its
    limit have no effect. Only the first ``rows`` rows are looked at; of a workbook or NDJSON, all rows for the types.
    ``samples``: how many values, empty cells and misfits to show of each column.
    """
    for name, value in (("rows", rows), ("samples", samples)):
        if value < 1:
            raise ConfigError(f"{name}={value} is not a valid number: use 1 or more")
    return described(each_of(source), _config(config, sheet, overrides), rows=rows, samples=samples)


def draft(
    source: InputLike,
    config: ConfigLike = None,
    *,
    sheet: str | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Draft:
    """Return the first configuration that ``init`` writes, as commented TOML. Raises InputError, ConfigError.

    It is guessed from the names of the columns and from a sample of the rows. What ``config`` says about the target and
    about reading the input is kept. ``check`` accepts it unchanged.
    """
    return drafted(each_of(source), _config(config, sheet, overrides))


def suggest(
    source: InputLike,
    config: ConfigLike = None,
    *,
    sheet: str | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Config:
    """Return the configuration of ``draft``, without its comments. Raises InputError, ConfigError."""
    return draft(source, config, sheet=sheet, overrides=overrides).config


def _config(config: ConfigLike, sheet: str | None, overrides: Mapping[str, Any] | None) -> Config:
    return load_config(config, overrides_of({"sheet": sheet, "overrides": overrides}))
