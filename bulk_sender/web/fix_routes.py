"""The routes of rejected rows that are fixed on the page, and sent as a run that knows the one before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

import bulk_sender as bs
from bulk_sender.web import drafts, fixing, inherit, keys, runs, words_after
from bulk_sender.web.desk import Desk
from bulk_sender.web.drafts import Draft, Step
from bulk_sender.web.fixes import FixBook, Fixes
from bulk_sender.web.fixing import Alike, Row, Trial, Wrong
from bulk_sender.web.forms import MOST_PLAIN_FILE, fields, plain_file, whole
from bulk_sender.web.roles import Role
from bulk_sender.web.site import Site, go
from bulk_sender.web.store import Entry
from bulk_sender.web.uploads import COMPRESSED, KINDS, digest_of


@dataclass(frozen=True, slots=True)
class About:
    """Whose wrong rows are fixed: those of a ``run``, or of a ``draft`` that was checked. ``here``: its address."""

    here: str
    wrong: Wrong
    run: bs.RunOverview | None = None
    draft: Draft | None = None

    @property
    def key(self) -> str:
        """The name of its fixes. Another check of a draft begins with none."""
        return self.run.run_id if self.run is not None else f"{self.draft and self.draft.id}\0{self.wrong.draft_digest}"


@dataclass(frozen=True, slots=True)
class Screen:
    """What the page of rejected rows shows."""

    wrong: Wrong
    fixes: Fixes
    trial: Trial
    rows: tuple[Row, ...]
    order: tuple[int, ...]
    alike: tuple[Alike, ...]
    kept: int
    name: str
    draft: Draft | None
    most: int = fixing.MOST_ROWS

    def number(self, row: int) -> int:
        """Return a row's number in the first file."""
        return self.wrong.shown[self.wrong.rows.index(row)]


class FixRoutes:
    """The functions behind ``/runs/{run}/fix``."""

    def __init__(self, site: Site, desk: Desk) -> None:
        self._site, self._desk = site, desk
        self._book = FixBook(site.state.folder / "fixes")

    def routes(self) -> list[Route]:
        return [
            Route("/runs/{run}/fix", self.show),
            Route("/runs/{run}/fix", self.change, methods=["POST"]),
            Route("/runs/{run}/fix/upload", self.upload, methods=["POST"]),
            Route("/new/{draft}/fix", self.show),
            Route("/new/{draft}/fix", self.change, methods=["POST"]),
        ]

    def show(self, request: Request) -> Response:
        """Show rejected rows as fields."""
        about = self._about(request)
        run, wrong, fixes = about.run, about.wrong, self._book.of(about.key)
        trial = fixing.tried(self._site, wrong, fixes)
        asked = request.query_params
        screen = Screen(
            wrong,
            fixes,
            trial,
            tuple(fixing.form(wrong, fixes, trial, whole(asked.get("row", "")))),
            fixing.order(wrong, fixes, trial),
            tuple(fixing.alike(wrong, fixes, trial)),
            len(fixing.kept_rows(wrong, fixes)),
            fixing.free_name(self._site, run.run_id) if run is not None else "",
            self._site.store.draft(fixes.draft) if fixes.draft and run is not None else None,
        )
        return self._site.page(
            request,
            "fix",
            current="runs" if run is not None else "new",
            run=run,
            prepared=about.draft,
            here=about.here,
            fix=screen,
            problem=words_after.FIX_TROUBLES.get(asked.get("trouble", "")),
            is_tried=asked.get("trouble") == "wrong",
            accept=",".join((*KINDS, *COMPRESSED)),
            most_plain=MOST_PLAIN_FILE,
        )

    async def change(self, request: Request) -> Response:
        """Keep what a form says, and do what its button says."""
        told = await fields(request)
        return await run_in_threadpool(self._changed, request, told)

    async def upload(self, request: Request) -> Response:
        """Take a file of fixed rows from a form. It gets the columns of the run."""
        run, who = await run_in_threadpool(self._run, request), request.scope["person"].name
        name, data = await plain_file(request)
        draft = await run_in_threadpool(self._uploaded, run.run_id, name, data, who)
        return go(f"/new/{draft.id}")

    def _about(self, request: Request) -> About:
        if "run" in request.path_params:
            run = self._run(request)
            return About(f"/runs/{run.run_id}/fix", fixing.wrong_rows(self._site, run.run_id), run)
        draft = self._site.store.draft(request.path_params["draft"])
        if draft is None or not draft.report or draft.step is Step.LAUNCHED:
            raise HTTPException(404)
        if not request.scope["person"].may(Role.PERSONAL):
            raise HTTPException(403)
        return About(f"/new/{draft.id}/fix", fixing.wrong_rows_of_draft(self._site, draft), draft=draft)

    def _run(self, request: Request) -> bs.RunOverview:
        """Return the run. Its rows are personal data, so that a person needs the right to see them."""
        if not request.scope["person"].may(Role.PERSONAL):
            raise HTTPException(403)
        run = runs.overview(self._site.runs_dir, request.path_params["run"])
        if run.broadcast is not None:
            raise HTTPException(404)
        return run

    def _changed(self, request: Request, told: Mapping[str, str]) -> Response:
        about, who = self._about(request), request.scope["person"].name
        here, wrong, do = about.here, about.wrong, told.get("do", "save")
        version = whole(told.get("version", "")) or 0
        before = self._book.of(about.key)
        if before.version != version:
            if do == "send" and version == before.made_from and before.by == who:  # a second click
                return go(f"/new/{before.draft}/check" if before.draft else here)
            return go(f"{here}?trouble=changed")
        step = fixing.written(wrong, before, told)
        verb, _, number = do.partition("-")
        row = whole(number)
        if verb in ("leave", "keep") and row in wrong.rows:
            rows = step.left_out | {row} if verb == "leave" else step.left_out - {row}
            step = replace(step, left_out=frozenset(rows))
        elif do in ("alike", "alike_leave"):
            step = self._alike(wrong, before, step, told, do)
        after = self._book.change(about.key, version, who, lambda found: step)
        if after is None:
            return go(f"{here}?trouble=changed")
        if do == "send":
            return self._sent(about, after, version, who)
        return go(here + (f"?row={row}#r-{row}" if verb == "open" and row else ""))

    def _alike(self, wrong: Wrong, before: Fixes, fixes: Fixes, told: Mapping[str, str], do: str) -> Fixes:
        """Do the same in all rows with the same wrong cell."""
        trial = fixing.tried(self._site, wrong, before)  # the groups that the form has shown
        groups = fixing.alike(wrong, before, trial)
        place = whole(told.get("which", ""))
        if place is None or place >= len(groups):
            return fixes
        chosen = groups[place]
        rows = fixing.rows_alike(wrong, before, trial, chosen)
        if do == "alike_leave":
            return replace(fixes, left_out=fixes.left_out | set(rows))
        for row in rows:
            fixes = fixes.with_cell(row, chosen.column, told.get("put", ""), wrong.before(row, chosen.column))
        return fixes

    def _sent(self, about: About, fixes: Fixes, version: int, who: str) -> Response:
        """Make a draft of the rows when all that are kept can be sent; else show what is still wrong."""
        here, wrong = about.here, about.wrong
        kept = fixing.kept_rows(wrong, fixes)
        if not kept and about.draft is None:
            return go(f"{here}?trouble=nothing")
        trial = fixing.tried(self._site, wrong, fixes)
        if trial.faults or trial.trouble:
            return go(f"{here}?trouble=wrong")
        if about.draft is not None:
            self._corrected(about.draft, wrong, fixes, who)
            return go(f"/new/{about.draft.id}/check")
        run = wrong.run
        after = self._book.change(run, fixes.version, who, lambda found: replace(found, draft="", made_from=version))
        if after is None:
            return go(f"{here}?trouble=changed")
        draft = self._drafted(run, fixing.fixed(wrong, fixes), fixing.numbers(wrong, kept), who)
        self._book.change(run, after.version, who, lambda found: replace(found, draft=draft.id))
        changed = sum(len(fixes.cells.get(row, {})) for row in kept)
        entry = Entry(who, "fixed wrong rows", run, draft.sha256, words_after.fixed_told(len(kept), changed))
        self._site.store.record(entry)
        self._desk.begin_check(draft, who, draft.version)
        return go(f"/new/{draft.id}/check")

    def _corrected(self, draft: Draft, wrong: Wrong, fixes: Fixes, who: str) -> None:
        """Write the file of a prepared send again with what was fixed. The person's own file stays as it is."""
        uploads, store = self._site.uploads, self._site.store
        before = self._desk.path(draft)
        name = f"{before.name.partition('.')[0].removesuffix('-fixed')}-fixed.csv"
        path = uploads.place_for(draft, name)
        settings = {"input": fixing.reading_of(draft)}
        bs.corrected(before, path, settings, cells=fixes.cells, leave_out=fixes.left_out)
        choices = inherit.of_draft(draft, path, fixing.WRITTEN)
        sha256, size = digest_of(path), path.stat().st_size
        rows = words_after.fixed_told(len(fixes.cells), sum(map(len, fixes.cells.values())))
        made = store.change(
            draft.id,
            lambda found: drafts.corrected(found, path.name, size, sha256, choices.to_dict(), who),
            Entry(who, "fixed wrong rows", digest=sha256, told=rows),
            version=draft.version,
        )
        self._desk.begin_check(made, who, made.version)

    def _drafted(self, run: str, data: bytes, first_rows: tuple[int, ...], who: str) -> Draft:
        name = fixing.free_name(self._site, run)
        draft = self._site.uploads.take(f"{name}.csv", data, who)
        choices = inherit.of_run(self._site, run, self._site.uploads.path(draft), fixing.WRITTEN)
        return self._kept(draft, choices.to_dict(), run, name, first_rows, who)

    def _kept(
        self, draft: Draft, config: Mapping[str, Any], run: str, name: str, first: tuple[int, ...], who: str
    ) -> Draft:
        goes = keys.place_of(self._site, runs.overview(self._site.runs_dir, run))
        return self._site.store.change(
            draft.id,
            lambda found: replace(
                drafts.mapped(found, config, who, goes), parent=run, first_rows=first, wanted_name=name
            ),
            Entry(who, "took the columns of a run", told=run),
        )

    def _uploaded(self, run: str, name: str, data: bytes, who: str) -> Draft:
        draft = self._site.uploads.take(name, data, who)
        path = self._site.uploads.path(draft)
        choices = inherit.from_parent(self._site, path) or inherit.of_run(self._site, run, path)
        return self._kept(draft, choices.to_dict(), run, fixing.free_name(self._site, run), (), who)
