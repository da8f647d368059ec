"""How much the page's files and runs take, and what is free."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import bulk_sender as bs
from bulk_sender.web.drafts import Step
from bulk_sender.web.site import Site

_LITTLE = 0.1
"""Of the disk."""


@dataclass(frozen=True, slots=True)
class Disk:
    """The bytes of the fuller disk of uploads and runs."""

    free: int
    total: int

    @property
    def share(self) -> float:
        """The free share."""
        return self.free / self.total if self.total else 1.0

    @property
    def is_little(self) -> bool:
        return self.share < _LITTLE


@dataclass(frozen=True, slots=True)
class Space:
    """``uploads`` and ``upload_bytes``: files of sends that are prepared."""

    uploads: int
    upload_bytes: int
    runs: int
    disk: Disk


def space(site: Site) -> Space:
    """Return the figures of one page."""
    drafts = [draft for draft in site.store.drafts() if not draft.path and draft.step is not Step.LAUNCHED]
    return Space(
        uploads=len(drafts),
        upload_bytes=sum(site.uploads.offset(draft) for draft in drafts),
        runs=sum(1 for _ in bs.runs(site.runs_dir)),
        disk=disk(site),
    )


def disk(site: Site) -> Disk:
    """Return what is free on the fuller disk."""
    found = [shutil.disk_usage(_existing(path)) for path in (site.state.folder, site.runs_dir)]
    return min((Disk(each.free, each.total) for each in found), key=lambda disk: disk.share)


def _existing(path: Path) -> Path:
    return next(each for each in (path, *path.parents) if each.exists())
