"""Which key a run of an earlier day needs: that of the profile with the run's address."""

from __future__ import annotations

import os

import bulk_sender as bs
from bulk_sender.web.site import Site


def key_file(site: Site, run: bs.RunOverview) -> str | None:
    """Return the path of the key's file; empty where none is needed or the page's own is used; None without any."""
    if run.rehearsal:
        return ""
    for profile in site.profiles.values():
        if profile.endpoint.rstrip("/") == run.endpoint.rstrip("/"):
            return profile.key_file
    return "" if os.environ.get("BRAZE_API_KEY_FILE") else None
