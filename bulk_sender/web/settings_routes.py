"""The settings page, what it says of profiles and people, and the audit log."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

import bulk_sender as bs
from bulk_sender.web.forms import whole
from bulk_sender.web.site import Site

ENTRIES_ON_A_PAGE = 100


class SettingsRoutes:
    """The functions behind ``/settings``."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def routes(self) -> list[Route]:
        return [
            Route("/settings", self.settings),
            Route("/settings/audit", self.audit),
        ]

    def settings(self, request: Request) -> Response:
        return self._site.page(request, "settings", current="settings", version=bs.__version__)

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
