"""Where a prepared send goes, and how fast: what a person may choose within a profile, and what does not fit. Pure."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from bulk_sender.config.hours import SendingHours
from bulk_sender.config.rate import Rate
from bulk_sender.web import words_send as words
from bulk_sender.web.drafts import Draft, Step
from bulk_sender.web.forms import whole
from bulk_sender.web.profiles import Profile

DAY_S = 24 * 3600.0
KINDS = ("campaign", "canvas")
_LONGEST_ID = 100
_USUAL_RATE = "250000/hour"

Profiles = Mapping[str, Profile]


def place(told: Mapping[str, str], profiles: Profiles, before: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return where a form says that a send goes; empty for nowhere. A browser never names an address."""
    name, target = told.get("profile", ""), told.get("target", "").strip()[:_LONGEST_ID]
    profile = profiles.get(name)
    if profile is None:
        return {}
    kind = told.get("kind", "")
    canary = before.get("canary", profile.canary) if before.get("profile") == name else profile.canary
    return {
        "profile": name,
        "kind": kind if kind in KINDS else KINDS[0],
        "target": target,
        "endpoint": profile.endpoint,
        "canary": max(canary, profile.canary),
    }


def place_problems(goes: Mapping[str, Any], profiles: Profiles) -> Iterator[str]:
    """Yield what is wrong with where a send goes, before its check."""
    if not goes:
        return
    profile = profiles.get(goes["profile"])
    if profile is None:
        yield words.profile_gone(goes["profile"])
    elif not goes["target"]:
        yield words.NO_TARGET
    elif profile.campaigns and goes["target"] not in profile.campaigns:
        yield words.not_listed(goes["profile"])


def config_of(draft: Draft, columns: Mapping[str, Any], profile: Profile | None) -> dict[str, Any]:
    """Return the configuration of a check, and later of the run. ``columns``: what the screen of the columns says."""
    config = dict(columns)
    if draft.goes:
        config["braze"] = {
            "endpoint": draft.goes["endpoint"],
            f"{draft.goes['kind']}_id": draft.goes["target"],
        }
        config["delivery"] = {"rate": rate_of(draft, profile)}
        if window := window_of(draft, profile):
            config["delivery"]["window"] = window
        if profile is not None and profile.max_recipients is not None:
            config["guard"] = {"max_recipients": profile.max_recipients}
    return config


def rate_of(draft: Draft, profile: Profile | None) -> str:
    return draft.pace.get("rate") or (profile.rate if profile is not None else None) or _USUAL_RATE


def window_of(draft: Draft, profile: Profile | None) -> str:
    return draft.pace.get("window") or (profile.window if profile is not None else None) or ""


def pace(told: Mapping[str, str]) -> dict[str, Any]:
    """Return what a form says about rate and hours; what is empty is as the profile has it."""
    found: dict[str, Any] = {name: told.get(name, "").strip()[:_LONGEST_ID] for name in ("rate", "window")}
    return {name: value for name, value in found.items() if value} | ({"again": True} if "again" in told else {})


def first_rows(told: Mapping[str, str]) -> int | None:
    """Return how many rows a form wants to send first; None for something that is not a number."""
    text = told.get("canary", "").strip()
    return 0 if not text else whole(text.replace(",", "").replace(" ", ""))


def option_problems(canary: int | None, chosen: Mapping[str, Any], profile: Profile) -> dict[str, str]:
    """Return what is wrong with options of the review: field of the form → sentence."""
    found = {}
    if canary is None:
        found["canary"] = words.NOT_A_NUMBER
    elif canary < profile.canary:
        found["canary"] = words.too_few_first(profile.canary)
    if window := chosen.get("window"):
        try:
            hours = SendingHours.parse(window)
            if profile.window and not is_inside(hours, SendingHours.parse(profile.window)):
                found["window"] = words.outside_hours(profile.window)
        except ValueError as error:
            found["window"] = str(error)
    if rate := chosen.get("rate"):
        try:
            if Rate.parse(rate).per_second > Rate.parse(profile.rate or _USUAL_RATE).per_second:
                found["rate"] = words.too_fast(profile.rate or _USUAL_RATE)
        except ValueError as error:
            found["rate"] = str(error)
    return found


def is_inside(hours: SendingHours, allowed: SendingHours) -> bool:
    """Whether hours lie within others. Of another time zone they do not: clocks change on different days."""
    if hours.zone.key != allowed.zone.key or not hours.days <= allowed.days:
        return False
    opens, closes = _minutes(allowed)
    start, end = _minutes(hours)
    return opens <= start and end <= closes


def _minutes(hours: SendingHours) -> tuple[int, int]:
    start, end = (each.hour * 60 + each.minute for each in (hours.start, hours.end))
    return start, end if end > start else end + 24 * 60


def problems(draft: Draft, profiles: Profiles) -> Iterator[str]:
    """Yield why a checked draft cannot be sent as it is. Settings may have changed since its check."""
    goes = draft.goes
    if not goes:
        yield words.NOWHERE_CHOSEN
        return
    yield from place_problems(goes, profiles)
    profile = profiles.get(goes["profile"])
    if profile is None:
        return
    if profile.endpoint != goes["endpoint"]:
        yield words.ENDPOINT_CHANGED
    yield from option_problems(goes["canary"], draft.pace, profile).values()
    if draft.report.get("refused"):
        yield words.refused_by_limit(draft.report["refused"])
    elif not draft.report.get("valid"):
        yield words.NOBODY_LEFT
    elif profile.max_recipients is not None and draft.report["valid"] > profile.max_recipients:
        yield words.too_many(profile.max_recipients)
    elif not draft.plan:
        yield words.NO_PLAN


def lately(every: Iterable[Draft], draft: Draft, person: str, now: float | None = None) -> int:
    """Return to how many recipients of the draft's target this person has sent within 24 hours, tests included."""
    since = (time.time() if now is None else now) - DAY_S
    every, here = list(every), _address(draft)
    tests = sum(
        int(test["people"])
        for each in every
        for test in each.tests
        if test["by"] == person and test["at"] >= since and _address_of(test["endpoint"], test["target"]) == here
    )
    return tests + sum(
        int(each.report.get("valid") or 0)
        for each in every
        if each.step is Step.LAUNCHED
        and each.id != draft.id
        and each.launched_at >= since
        and person in each.hands
        and _address(each) == here
    )


def _address(draft: Draft) -> tuple[str, str]:
    """Return where a draft goes. An id in capitals is the same id."""
    return _address_of(draft.goes.get("endpoint", ""), draft.goes.get("target", ""))


def _address_of(endpoint: str, target: str) -> tuple[str, str]:
    return endpoint.rstrip("/"), target.casefold()


def needs_second_person(team: bool, profile: Profile, draft: Draft, sent_lately: int) -> bool:
    """Whether another person must approve. What was sent lately counts, so that splitting a file does not help."""
    return team and int(draft.report.get("valid") or 0) + sent_lately > profile.second_person_above
