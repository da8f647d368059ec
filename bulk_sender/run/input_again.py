"""The input of a run that continues: where it was, given again by the command, or gone."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from bulk_sender.atomic import create_private
from bulk_sender.errors import InputError, RunMismatchError
from bulk_sender.journal.facts import Facts
from bulk_sender.reading.formats import InputFile
from bulk_sender.reading.identity import FileIdentity, FileStamp, identify
from bulk_sender.reading.spool import Spool, files_left_over, hand_over, unwritable

RISK_OF_ANOTHER_RUN = "Another run would send a second message to everyone whom this one has reached;"


class RestGoneError(InputError):
    """The rest of a run's input cannot be read. What the journal has of it can still be sent."""


@dataclass(frozen=True, slots=True)
class GivenAgain:
    """The input of a command whose files have the digests of the run's, in the same order."""

    paths: tuple[Path, ...]
    spool: Spool

    def is_spooled(self, path: Path) -> bool:
        return path.parent == self.spool.folder


@dataclass(frozen=True, slots=True)
class Located:
    """Where the files of a run are, proved to be the same."""

    files: list[InputFile]
    stamps: dict[Path, FileStamp | None]
    """Taken before the proof, so that a later change is noticed."""


def locate_again(facts: Facts, folder: Path, given: GivenAgain | None) -> Located:
    """Return the files of the run in ``folder``, each with the size and the SHA-256 that it began with.

    What the run has stored itself is replaced, if it is gone or damaged, by the same bytes of ``given``, or of a
    folder that a killed process left. Raises RestGoneError, and RunMismatchError for a file that somebody changed.
    """
    found = Located([], {})
    for index, (identity, path) in enumerate(facts.located(folder)):
        is_own = not Path(facts.paths[index]).is_absolute()
        again = given.paths[index] if given is not None else None
        place, stamp = path, FileStamp.calm(path)
        trouble = _trouble(identity, path)
        if trouble and given is not None and again is not None:
            place = _placed(again, path, given) if is_own else again
        elif trouble and is_own:
            _take_left_over(identity, path, folder.parent)
        if trouble:
            stamp = FileStamp.calm(place)
            if _trouble(identity, place):
                raise _refusal(identity, path, trouble, folder.name, is_own=is_own)
        found.files.append(InputFile(identity.name, place, identity.format, identity.partitions))
        found.stamps[place] = stamp
    return found


def _trouble(identity: FileIdentity, path: Path) -> str:
    """Say why the file cannot be read on; an empty text when it is the one that the run began with."""
    if not path.exists():
        return "gone"
    try:
        if path.stat().st_size == identity.size and (
            identify(InputFile(identity.name, path, "")).sha256 == identity.sha256
        ):
            return ""
    except (InputError, OSError):
        return "unreadable"
    return "changed"


def _placed(again: Path, path: Path, given: GivenAgain) -> Path:
    """Put the bytes that were given again in the place of the run's own."""
    if given.is_spooled(again):
        hand_over(again, path)
    else:
        _copy(again, path)
    return path


def _copy(source: Path, path: Path) -> None:
    """Copy a file durably, whole or not at all. Raise InputError."""
    temporary = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        create_private(temporary)
        shutil.copyfile(source, temporary)
    except OSError as error:
        raise unwritable(error) from None
    hand_over(temporary, path)


def _take_left_over(identity: FileIdentity, path: Path, runs_dir: Path) -> None:
    """Copy a file with the wanted bytes that a killed process left. Not moved: who left it may be still alive."""
    for left in files_left_over(runs_dir):
        if not _trouble(identity, left):
            _copy(left, path)
            return


def refuse_changed(facts: Facts, folder: Path) -> None:
    """Raise RunMismatchError for a file that somebody has changed, though the journal has all of its rows.

    Perhaps it was corrected, and the old rows are not wanted any more.
    """
    for index, (identity, path) in enumerate(facts.located(folder)):
        if Path(facts.paths[index]).is_absolute() and (trouble := _trouble(identity, path)) == "changed":
            raise _refusal(identity, path, trouble, folder.name, is_own=False)


def _refusal(
    identity: FileIdentity, path: Path, trouble: str, run: str, *, is_own: bool
) -> InputError | RunMismatchError:
    if is_own:
        how = "damaged (its size or SHA-256 differs)" if trouble == "changed" else trouble
        return RestGoneError(
            f"{path}, the run's copy of {identity.name}, is {how}, but the run has not read it to its end",
            hint="give the same input once more with the command that began the run: it sends only what is left",
        )
    if trouble != "changed":
        how = "is gone" if trouble == "gone" else "cannot be read"
        return RestGoneError(
            f"{path} {how}, but the run has not read it to its end", hint="put it back, then resume the run"
        )
    return RunMismatchError(
        f"{path} has changed since the run began (its size or SHA-256 differs)",
        hint=f"restore the file, then resume. {RISK_OF_ANOTHER_RUN} leave them out with --exclude {run}. If the old "
        "file is lost, move the changed one away: then resume sends only the rows that the journal has",
    )
