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
class Space:
    """``uploads`` and ``upload_bytes``: files of sends that are prepared. ``free`` and ``total``: the fuller disk."""

    uploads: int
    upload_bytes: int
    runs: int
    free: int
    total: int

    @property
    def is_little(self) -> bool:
        return self.free < _LITTLE * self.total


def space(site: Site) -> Space:
    """Return the figures of one page."""
    drafts = [draft for draft in site.store.drafts() if not draft.path and draft.step is not Step.LAUNCHED]
    disks = [shutil.disk_usage(_existing(path)) for path in (site.state.folder, site.runs_dir)]
    fullest = min(disks, key=lambda disk: disk.free / max(1, disk.total))
    return Space(
        uploads=len(drafts),
        upload_bytes=sum(site.uploads.offset(draft) for draft in drafts),
        runs=sum(1 for _ in bs.runs(site.runs_dir)),
        free=fullest.free,
        total=fullest.total,
    )


def _existing(path: Path) -> Path:
    return next(each for each in (path, *path.parents) if each.exists())
