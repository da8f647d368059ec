"""The sentences of the settings page about profiles, people and space."""

from __future__ import annotations

from typing import Any

from bulk_sender.text.numbers import several
from bulk_sender.web.words import size_of

PROFILES = "Where real messages can be sent"
NO_PROFILES = "No workspace is set up, so this page sends rehearsals only."
PROFILE = "Workspace"
LIMITS = "Limits"
KEY = "Key"
KEY_IS_THERE = "The key's file is there. This page never opens it."
KEY_IS_MISSING = "The key's file is missing."
CHECK_KEY = "Check the key"
CHECK_HINT = "A separate process asks Braze one question. Nothing is sent."
CHECKED = "Checked"
NOT_CHECKED = "The key was not checked yet."
STATES = {"ok": "good", "warning": "look at this", "refused": "refused", "not tried": "not tried"}
COLOURS = {"ok": "accepted", "warning": "unknown", "refused": "failed", "not tried": "not_sent"}
PEOPLE = "People and roles"
ROLE = "Role"
GROUPS = "Groups"
ROLES = {
    "look": "See runs, with personal data masked",
    "prepare": "Prepare, check, rehearse, send up to the limit, stop and resume",
    "approve": "Approve sends, answer after the first rows, decide",
    "personal": "See and download personal data",
}
NOBODY = "nobody"
EVERYONE = "everyone who is signed in at the proxy"
YOUR_ROLES = "Your roles"
SIGN_OUT_AT_THE_PROXY = "Sign out where you signed in: at the proxy, or by closing the browser."
SPACE = "Space"
UPLOADS = "Files of prepared sends"
RUNS = "Runs"
FREE = "Free for uploads and runs"
LITTLE = "Less than a tenth of the disk is free. Remove old runs with bulk-sender runs prune, or make space."


def check_key(profile: str) -> str:
    return f"{CHECK_KEY}: {profile}"


def groups(names: tuple[str, ...]) -> str:
    return ", ".join(EVERYONE if name == "everyone" else name for name in names) or NOBODY


def limits(profile: Any) -> list[str]:
    """Return what a profile allows, a sentence each."""
    told = [f"a second person approves above {several(profile.second_person_above, 'recipient')}"]
    if profile.max_recipients is not None:
        told.append(f"at most {several(profile.max_recipients, 'recipient')}")
    told.append(
        f"the first {several(profile.canary, 'row')} go out first" if profile.canary else "no first rows needed"
    )
    if profile.rate is not None:
        told.append(f"at most {profile.rate}")
    if profile.window is not None:
        told.append(f"only {profile.window}")
    if profile.campaigns:
        told.append(f"only {several(len(profile.campaigns), 'campaign')}")
    return told


def files(count: int, size: int) -> str:
    return f"{several(count, 'file')}, {size_of(size)}"


def free(left: int, total: int) -> str:
    return f"{size_of(left)} of {size_of(total)}"
