"""Files in a folder, or of a pattern, that are not read, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bulk_sender.text.clean import clean
from bulk_sender.text.numbers import several

NO_ROWS = "without rows"
HIDDEN = "hidden or left by another program"
LOCK = "lock files of an office program"
FORMAT = "not in a format of inputs"
FOLDER = "folders"
_MOST_NAMED = 4


@dataclass(frozen=True, slots=True)
class PassedOver:
    """A file or folder that is not read. ``why`` describes several of them."""

    name: str
    why: str


def why_hidden(name: str) -> str:
    """Return why a file or folder of this name holds no recipients; empty if it may hold some.

    Programs that write folders of files mark what is not data with a dot or an underscore: ``_SUCCESS``.
    """
    if name.startswith("~$") or (name.startswith(".~lock.") and name.endswith("#")):
        return LOCK
    return HIDDEN if name.startswith((".", "_")) and "=" not in name else ""


def told(found: Sequence[PassedOver]) -> list[str]:
    """Return one sentence for each reason, with the first names."""
    names: dict[str, list[str]] = {}
    for each in found:
        names.setdefault(each.why, []).append(clean(Path(each.name).name))
    sentences = []
    for why, all_names in sorted(names.items()):
        all_names.sort()
        more = len(all_names) - _MOST_NAMED
        shown = ", ".join(all_names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
        what = "folder" if why == FOLDER else "file"
        reason = "" if why == FOLDER else f" ({why})"
        sentences.append(f"passed over {several(len(all_names), what)}{reason}: {shown}")
    return sentences
