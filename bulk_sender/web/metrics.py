"""Figures of the page for Prometheus, in its text format. None of them names a person, a file or a run.

======================================= ===========================================================================
name                                    meaning
======================================= ===========================================================================
bulk_sender_web_info                    1; label version
bulk_sender_web_answers_total           answers since the page began; label status
bulk_sender_web_runs                    runs; label state: running, held, attention, ended
bulk_sender_web_prepared_sends          sends that people prepare; label step
bulk_sender_web_upload_bytes            bytes of their files
bulk_sender_web_disk_free_bytes         free on the fuller disk of uploads and runs
bulk_sender_web_disk_bytes              its size
bulk_sender_web_audit_entries           entries of the audit log: a number that falls means that it was replaced
======================================= ===========================================================================
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

import bulk_sender as bs
from bulk_sender.web import runs
from bulk_sender.web.site import Site
from bulk_sender.web.space import space

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_PREFIX = "bulk_sender_web_"


def exposition(site: Site) -> str:
    """Return all figures of a page now."""
    return "".join(f"{line}\n" for line in _lines(site))


def _lines(site: Site) -> Iterator[str]:
    found, groups, drafts = space(site), runs.groups(site.runs_dir), site.store.drafts()
    held = sum(run.held is not None for run in groups.attention)
    states = {
        "running": len(groups.running),
        "held": held,
        "attention": len(groups.attention) - held,
        "ended": len(groups.ended),
    }
    yield from _metric("info", "gauge", "1; which version this is.", "version", {bs.__version__: 1})
    answers = {str(status): count for status, count in sorted(site.answers.items())}
    yield from _metric("answers_total", "counter", "Answers since the page began.", "status", answers)
    yield from _metric("runs", "gauge", "Runs by state.", "state", states)
    steps = Counter(draft.step.value for draft in drafts)
    yield from _metric("prepared_sends", "gauge", "Sends that people prepare.", "step", steps)
    yield from _single("upload_bytes", "Bytes of their files.", found.upload_bytes)
    yield from _single("disk_free_bytes", "Free on the fuller disk of uploads and runs.", found.disk.free)
    yield from _single("disk_bytes", "Size of that disk.", found.disk.total)
    yield from _single("audit_entries", "Entries of the audit log.", site.store.count())


def _metric(name: str, kind: str, about: str, label: str, values: Mapping[str, int]) -> Iterator[str]:
    """``values`` by the label, whose values are this program's own and need no escape."""
    yield f"# HELP {_PREFIX}{name} {about}"
    yield f"# TYPE {_PREFIX}{name} {kind}"
    for value, count in values.items():
        yield f'{_PREFIX}{name}{{{label}="{value}"}} {count}'


def _single(name: str, about: str, value: int) -> Iterator[str]:
    yield f"# HELP {_PREFIX}{name} {about}"
    yield f"# TYPE {_PREFIX}{name} gauge"
    yield f"{_PREFIX}{name} {value}"
