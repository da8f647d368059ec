"""Asking Braze about rows in doubt, in a worker process: it alone reads the key. It records nothing in the run.

What was found is kept in the private folder of the question, so that the page shows it until somebody decides.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import bulk_sender as bs
from bulk_sender.text.clean import clean
from bulk_sender.text.masking import without_addresses
from bulk_sender.web.workers import Crew, Job, Post

SETTLED_S = 600.0
"""Requests younger than this are not asked about. In a rehearsal every receipt is there at once."""
_LONGEST = 500

_log = logging.getLogger("bulk_sender.web.worker")


@dataclass(frozen=True, slots=True)
class Answer:
    """What Braze knows about the requests in doubt: the numbers of their batches by what was seen.

    ``proved``: two people of each were seen. ``likely``: one. ``nothing``: none. ``fresh``: too recent to ask.
    ``stopped``: why the questions ended early. ``left``: people not asked yet, while it asks.
    """

    at: str = ""
    proved: tuple[int, ...] = ()
    likely: tuple[int, ...] = ()
    nothing: tuple[int, ...] = ()
    fresh: tuple[int, ...] = ()
    stopped: str = ""
    left: int | None = None

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Answer:
        lists = {name: tuple(told[name]) for name in ("proved", "likely", "nothing", "fresh")}
        return cls(**{**told, **lists})

    @classmethod
    def found(cls, found: bs.Reconciliation) -> Answer:
        """Return what a reconciliation has found, request by request."""
        fresh = {row.batch for row in found.rows if row.finding == "too fresh"}
        groups: dict[str, list[int]] = {name: [] for name in ("proved", "likely", "nothing", "fresh")}
        for batch in found.batches:
            name = batch.word or ("fresh" if batch.batch in fresh else "nothing")
            groups[name].append(batch.batch)
        at = datetime.now(UTC).isoformat(timespec="seconds")
        proved, likely, nothing, too_fresh = (tuple(numbers) for numbers in groups.values())
        return cls(at, proved, likely, nothing, too_fresh, found.stopped)


@dataclass(frozen=True, slots=True)
class Question:
    """The state of a question about a run. ``refusal``: why it was not answered, and the next step."""

    is_asking: bool = False
    answer: Answer | None = None
    refusal: tuple[str, str] | None = None


def question(crew: Crew, run: str) -> Question:
    """Return how the last question about a run stands."""
    seat = Job(run_id=run, kind="ask", by="").seat
    post = crew.post(seat)
    is_asking = crew.is_busy(seat)
    found = post.read("answer")
    return Question(is_asking, Answer.of(json.loads(found)) if found else None, post.refusal())


@dataclass(slots=True)
class Asker:
    """Asks, and writes down what it found."""

    job: Job
    runs_dir: Path
    post: Post
    _shown: int | None = field(default=None)

    async def work(self) -> int:
        """Ask. Return an exit code."""
        self._write(Answer(left=0))
        try:
            is_rehearsal = bool(bs.facts(self.job.run_id, runs_dir=self.runs_dir).sandbox)
            found = await bs.reconcile_async(
                self.job.run_id,
                settle_s=0.0 if is_rehearsal else SETTLED_S,
                environment=self.job.environment(),
                runs_dir=self.runs_dir,
                on_progress=self._on_progress,
            )
            self._write(Answer.found(found))
            return 0
        except bs.BulkSenderError as error:
            return self._refuse(error)
        except Exception as error:
            return self._refuse(bs.InternalError.of(error))
        finally:
            self.post.write("over", "yes")

    def _on_progress(self, left: int) -> None:
        if self._shown is None or abs(self._shown - left) >= 50 or not left:
            self._shown = left
            self._write(Answer(left=left))

    def _refuse(self, error: bs.BulkSenderError) -> int:
        _log.error("%s: %s", type(error).__name__, clean(without_addresses(str(error)), _LONGEST))
        self.post.write("answer", "")
        self.post.refuse(error)
        return error.exit_code

    def _write(self, answer: Answer) -> None:
        self.post.write("answer", json.dumps(asdict(answer)))
