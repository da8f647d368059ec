"""The settings page, what it says of profiles and people, and the audit log."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

import bulk_sender as bs
from bulk_sender.web import words_settings
from bulk_sender.web.forms import fields, whole
from bulk_sender.web.key_check import KeyChecks
from bulk_sender.web.site import Site, go
from bulk_sender.web.space import space
from bulk_sender.web.store import Entry

ENTRIES_ON_A_PAGE = 100


class SettingsRoutes:
    """The functions behind ``/settings``."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._checks = KeyChecks(site.state.folder)

    def routes(self) -> list[Route]:
        return [
            Route("/settings", self.settings),
            Route("/settings/audit", self.audit),
            Route("/settings/key", self.check_key, methods=["POST"]),
        ]

    def settings(self, request: Request) -> Response:
        site = self._site
        return site.page(
            request,
            "settings",
            current="settings",
            version=bs.__version__,
            own=words_settings,
            checks=self._still_true(),
            keys={name for name, profile in site.profiles.items() if Path(profile.key_file).is_file()},
            space=space(site),
        )

    def _still_true(self) -> dict[str, Any]:
        """Return the results of checks, without those of another endpoint."""
        found = self._checks.found()
        ends = {name: profile.endpoint for name, profile in self._site.profiles.items()}
        return {name: each for name, each in found.items() if each.get("endpoint") == ends.get(name)}

    async def check_key(self, request: Request) -> Response:
        """Let a process look at a profile's key."""
        told = await fields(request)
        return await run_in_threadpool(self._key_checked, request, told.get("profile", ""))

    def _key_checked(self, request: Request, name: str) -> Response:
        profile = self._site.profiles.get(name)
        if profile is None:
            raise HTTPException(404)
        self._site.store.record(Entry(request.scope["person"].name, "checked the key", name))
        self._checks.check(name, profile, self._site.runs_dir)
        return go("/settings#profiles")

    def audit(self, request: Request) -> Response:
        """Show who did what, the latest first."""
        store, trouble = self._site.store, ""
        try:
            store.verify()
        except bs.BulkSenderError as error:
            trouble = f"{error}: {error.hint}"
        every = store.audit()[::-1]
        skip = min(whole(request.query_params.get("skip", "")) or 0, max(0, len(every) - 1))
        following = skip + ENTRIES_ON_A_PAGE
        return self._site.page(
            request,
            "audit",
            current="settings",
            trouble=trouble,
            count=len(every),
            entries=every[skip:following],
            newer=max(0, skip - ENTRIES_ON_A_PAGE) if skip else None,
            older=following if following < len(every) else None,
        )
