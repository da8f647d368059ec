"""What the profile with a run's address says about it: which key it needs, and whether a second person answers."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import bulk_sender as bs
from bulk_sender.web import going
from bulk_sender.web.profiles import Profile
from bulk_sender.web.site import Site


def profile_of(site: Site, run: bs.RunOverview) -> Profile | None:
    """Return the profile that the page sent a run with, if it still has the run's address.

    Several workspaces may share one address, each with its own key. Of a run that the page did not begin, it is the
    profile with this address that asks for a second person first.
    """
    address = run.endpoint.rstrip("/")
    found = {name: each for name, each in site.profiles.items() if each.endpoint.rstrip("/") == address}
    for draft in site.store.drafts():
        if draft.run_id == run.run_id and (name := draft.goes.get("profile")) in found:
            return found[name]
    return min(found.values(), key=lambda each: each.second_person_above, default=None)


def needs_another(site: Site, run: bs.RunOverview, recipients: int | None, who: str) -> bool:
    """Whether another person than ``who``, who prepared the run, has to answer. ``recipients``: None if uncounted."""
    profile = profile_of(site, run)
    if not site.team or run.rehearsal or profile is None:
        return False
    if recipients is not None and recipients <= profile.second_person_above:
        return False
    return any(draft.run_id == run.run_id and who in draft.hands for draft in site.store.drafts())


def key_file(site: Site, run: bs.RunOverview) -> str | None:
    """Return the path of the key's file; empty where none is needed or the page's own is used; None without any."""
    if run.rehearsal:
        return ""
    profile = profile_of(site, run)
    if profile is not None:
        return profile.key_file
    return "" if os.environ.get("BRAZE_API_KEY_FILE") else None


def place_of(site: Site, run: bs.RunOverview) -> Mapping[str, Any]:
    """Return where a run went, for another send to the same; empty for a rehearsal, or without such a profile."""
    profile = profile_of(site, run)
    if run.rehearsal or profile is None:
        return {}
    name = next(name for name, each in site.profiles.items() if each is profile)
    return going.place({"profile": name, "kind": run.kind, "target": run.target}, site.profiles, {})
