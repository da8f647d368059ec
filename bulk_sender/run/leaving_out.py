"""Whom a new run leaves out: people of other runs and of lists, and those who got the message of a fixed row's run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from bulk_sender import journal as journals
from bulk_sender.config.model import Config, FieldSource, RecipientConfig
from bulk_sender.errors import ConfigError, GuardrailError, RunHeldError, RunNotFoundError
from bulk_sender.journal.index import IndexEntry, SentAgain
from bulk_sender.journal.store import RunReader, RunRef
from bulk_sender.planning.excluded import Excluded
from bulk_sender.planning.plan import duplicate_keys
from bulk_sender.reading.added import ADDED, added_columns
from bulk_sender.reading.settings import ReadSettings
from bulk_sender.reading.source import Input
from bulk_sender.reading.spool import Spool
from bulk_sender.recipients.encode import encode
from bulk_sender.recipients.mapping import resolve
from bulk_sender.reporting.reached import REACHED, reached
from bulk_sender.run.catalogue import catalogue
from bulk_sender.run.folder import is_name

_RESULTS = ("identifier_type", "identifier", "status")
_ANYONE = FieldSource(value=["most_recently_updated"])
"""A prioritization, without which no address is valid. A list names people, and asks for nothing."""


@dataclass(frozen=True, slots=True)
class Family:
    """The runs that an input of fixed rows belongs to: those that rejected them, their own parents, and siblings."""

    parents: tuple[str, ...] = ()
    runs: tuple[RunRef, ...] = ()
    again: tuple[SentAgain, ...] = ()
    """The rejected rows that the input sends again."""


def family_of(source: Input, runs_dir: Path, run: str, *, is_rehearsal: bool, anyway: bool) -> Family:
    """Return the family of an input; an empty one for any other than a ``rejected.csv``.

    ``anyway``: send although a parent has rows left to send, or a relative's data is gone. Raises GuardrailError when
    a parent is not there, has rows left to send, which may be for the same people, or when a relative is gone.
    """
    added = added_columns(source.schema.names())
    if not added:
        return Family()
    again = list(_sent_again(source, added, run))
    parents = tuple(dict.fromkeys(each.parent for each in again))
    found: dict[str, RunRef] = {}
    for name in parents:
        for ref in _with_relatives(_home(name, source, runs_dir), run, may_be_gone=is_rehearsal or anyway):
            found.setdefault(ref.name, ref)
    found.pop(run, None)
    real = {}
    for name, ref in found.items():
        with journals.read(ref) as journal:
            if journal.facts().sandbox and not is_rehearsal:
                continue  # a rehearsal reached nobody
            if not anyway:
                _refuse_unfinished(journal, ref)
            real[name] = ref
    return Family(
        tuple(name for name in parents if name in real),
        tuple(real.values()),
        tuple(each for each in again if each.parent in real),
    )


def _sent_again(source: Input, added: Sequence[str], run: str) -> Iterator[SentAgain]:
    _, line, parent = added
    for chunk in source.read():
        rows = chunk.frame.select(
            pl.col(parent).cast(pl.String),
            pl.col(line).cast(pl.String).str.strip_chars().cast(pl.Int64, strict=False),
            row=pl.int_range(chunk.start.row + 1, chunk.start.row + len(chunk.frame) + 1),
        )
        for name, number, row in rows.drop_nulls(parent).iter_rows():
            if is_name(name.strip()):
                yield SentAgain(name.strip(), number or 0, run, row)


def _home(name: str, source: Input, runs_dir: Path) -> RunRef:
    """Return the parent run of that name: the one whose folder the input is in, else the one in ``runs_dir``."""
    for path in source.paths:
        if path.parent.name == name and journals.exists(RunRef.at(path.parent.absolute())):
            return RunRef.at(path.parent.absolute())
    ref = RunRef.at((runs_dir / name).absolute())
    if not journals.exists(ref):
        raise GuardrailError(
            f"the input has rows that run {name!r} rejected (its column {ADDED[-1]!r} says so), and there is no such "
            f"run in {runs_dir}: who already got that run's message is not known",
            hint=f"name the folder of that run with --runs-dir. To send the file as any other, which may reach people "
            f"twice, remove its last columns: {', '.join(ADDED)}",
        )
    return ref


def _with_relatives(run: RunRef, new: str, *, may_be_gone: bool) -> Iterator[RunRef]:
    """Yield a run, the runs that it has its rows from, and all runs that send rejected rows of these again.

    ``new``: the name of the run that begins. Raises GuardrailError when one of the others is gone that may have sent.
    """
    with catalogue(run.folder.parent) as index:
        todo, seen = [run.name], set()
        while todo:
            name = todo.pop()
            ref = RunRef.at(run.folder.parent / name)
            if name in seen:
                continue
            seen.add(name)
            entry = index.entry(name)
            if journals.exists(ref):
                yield ref
            elif entry is not None and not may_be_gone and name != new:
                _refuse_gone_relative(entry, ref, run)
            todo += [*(entry.parents if entry is not None else ()), *index.children(name)]


def _refuse_gone_relative(entry: IndexEntry, ref: RunRef, run: RunRef) -> None:
    if entry.sandbox or not entry.may_have_sent:
        return
    what = f"its data was removed at {entry.pruned_at}" if entry.pruned_at else ref.loss
    raise GuardrailError(
        f"run {ref.name!r} sent the same rows as run {run.name!r}, or rejected rows of it, and {what}: "
        "who already got the message is not known",
        hint="put its folder back. --again sends the rows of this file, also to people whom that run has reached",
    )


def _refuse_unfinished(journal: RunReader, run: RunRef) -> None:
    if journals.holder(run) is not None:
        raise RunHeldError(
            f"run {run.name!r}, which rejected these rows, is still sending", hint="wait for it to end, then try again"
        )
    if journal.has_unsent() or not journal.is_plan_complete():
        raise GuardrailError(
            f"run {run.name!r}, which rejected these rows, still has rows to send, perhaps to the same people",
            hint=f"bulk-sender resume {run.name} first. If that run is given up for good, add --again: then people "
            "who are in both get the message twice, should that run ever be resumed",
        )


def excluded(
    given: Sequence[str | Path],
    family: Family,
    config: Config,
    runs_dir: Path,
    spool: Spool,
    *,
    is_rehearsal: bool,
) -> Excluded:
    """Return the people to leave out: of the runs and files ``given``, and of the family of the input.

    Raises RunNotFoundError, RunHeldError, InputError, ConfigError.
    """
    with ExitStack() as stack:
        sources: list[tuple[str, Iterator[pl.Series]]] = []
        for each in given:
            run = _run_named(each, runs_dir)
            if run is None:
                sources.append((f"listed in {Path(each).name}", _listed(Path(each), config, spool)))
            else:
                journal = stack.enter_context(journals.read(run))
                _refuse_useless(journal, run, is_rehearsal=is_rehearsal)
                sources.append((f"accepted or in doubt in run {run.name}", reached(journal)))
        for run in family.runs:
            journal = stack.enter_context(journals.read(run))
            sources.append((f"accepted or in doubt in run {run.name}, whose rejected rows are sent", reached(journal)))
        return Excluded.written(sources, spool)


def _run_named(given: str | Path, runs_dir: Path) -> RunRef | None:
    """Return the run that was given, by its name or its folder; None for a file. Raises RunNotFoundError."""
    path = Path(given)
    if path.is_file():
        return None
    if path.is_dir() and journals.exists(RunRef.at(path.absolute())):
        return RunRef.at(path.absolute())
    ref = RunRef.at((runs_dir / str(given)).absolute()) if is_name(str(given)) else RunRef.at(path.absolute())
    try:
        journals.read(ref).close()
    except RunNotFoundError as error:
        error.hint = f"--exclude takes a run's name or a file; there is no file {path} either"
        raise
    return ref


def _refuse_useless(journal: RunReader, run: RunRef, *, is_rehearsal: bool) -> None:
    if journal.facts().sandbox and not is_rehearsal:
        raise ConfigError(
            f"--exclude {run.name}: that run was a rehearsal, which reached nobody",
            hint="name a real run, or leave it out",
        )
    if journals.holder(run) is not None:
        raise RunHeldError(
            f"--exclude {run.name}: that run is still sending, so whom it reaches is not known yet",
            hint="wait for it to end, then try again",
        )


def _listed(path: Path, config: Config, spool: Spool) -> Iterator[pl.Series]:
    """Yield the keys of the people in a file: results of a run, columns with identifiers, or a single column.

    Raises ConfigError for a file in which nobody is found by its columns.
    """
    source = Input.open([path], ReadSettings.of(Config().input), spool)
    columns = source.schema.names()
    if set(_RESULTS) <= set(columns):
        for chunk in source.read():
            yield from _of_results(chunk.frame.filter(pl.col("status").is_in(REACHED)))
        return
    configs = list(_identifier_configs(columns, config))
    if not configs:
        raise ConfigError(
            f"--exclude {path}: none of its columns names people: {', '.join(columns[:10])}",
            hint="give a file with one column, with the columns of your input that identify people, or a results file",
        )
    for each in configs:
        mapping = resolve(source.schema, each)
        for chunk in source.read():
            rows = encode(chunk.frame, mapping, max_bytes=1 << 30)
            yield duplicate_keys(rows.filter(pl.col("error_code").is_null()))


def _of_results(rows: pl.DataFrame) -> Iterator[pl.Series]:
    """Yield the keys of results. An alias is ``label:name`` there, so its label ends at the first colon."""
    alias = pl.col("identifier").str.splitn(":", 2)
    columns = rows.select(
        *(
            pl.when(identifier_type=kind).then("identifier").alias(kind)
            for kind in ("external_user_id", "email", "braze_id")
        ),
        pl.when(identifier_type="user_alias").then(alias.struct.field("field_1")).alias("user_alias.alias_name"),
        pl.when(identifier_type="user_alias").then(alias.struct.field("field_0")).alias("user_alias.alias_label"),
    ).cast(pl.String)
    for each in _identifier_configs(columns.columns, Config()):
        found = encode(columns, resolve(columns.schema, each), max_bytes=1 << 30)
        yield duplicate_keys(found.filter(pl.col("error_code").is_null()))


def _identifier_configs(columns: Sequence[str], config: Config) -> Iterator[Config]:
    """Yield a configuration for each way in which a list with these columns identifies people."""
    mapped = config.recipient
    single = columns[0] if len(columns) == 1 else ""
    for kind in ("external_user_id", "email", "braze_id"):
        source = getattr(mapped, kind)
        names = [source.column if source is not None else None, kind, single if kind != "braze_id" else None]
        column = next((name for name in names if name in columns), None)
        if column is not None:
            yield _config(config, **{kind: column})
    alias = mapped.user_alias
    names = ["user_alias.alias_name", "user_alias.alias_label"]
    if alias is not None and alias.alias_name.column in columns:
        yield _config(config, user_alias=alias.model_dump(exclude_unset=True))
    elif set(names) <= set(columns):
        yield _config(config, user_alias={"alias_name": names[0], "alias_label": names[1]})


def _config(config: Config, **identifier: object) -> Config:
    recipient = RecipientConfig.model_validate(
        {**identifier, "prioritization": _ANYONE} if "email" in identifier else identifier
    )
    return Config(input=config.input, recipient=recipient)
