"""Pictures of the pages of ``bulk-sender web``, made by a real browser from real page processes and sample data.

``docs/pictures.py`` calls it. Needs ``chromium`` and the Python package ``playwright``. The screens here are those of
the tutorial; ``page_screens`` has all others.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from page_screens import SCREENS
from page_stage import (
    CUSTOMERS,
    PATIENCE_S,
    RECIPIENTS,
    Stage,
    check,
    held,
    path_of,
    prepare,
    reviewed,
    send,
    until,
    upload,
)
from playwright.sync_api import Error, Page, expect, sync_playwright

WIDTH, HEIGHT = 1100, 700
_TALLEST = 1500
"""A picture of the tutorial shows at most so much of a page."""

# ----- what the pictures show


def draft(stage: Stage) -> str:
    """Return the address of a send whose file was uploaded."""
    tab = upload(stage, stage.folder / CUSTOMERS)
    expect(tab.locator("#sight pre")).to_be_visible()
    return path_of(tab)


def checked(stage: Stage) -> str:
    return check(stage.at(stage.once(draft)))


def ready(stage: Stage) -> str:
    """Return the address of a send that is ready to be reviewed."""
    return prepare(stage, "real")


def rehearsed(stage: Stage) -> str:
    """Return the address of a rehearsal that has finished, with rows that are wrong and rows that are unknown."""
    send(stage, RECIPIENTS, "winter-offer", "--weather", "lost-answers")
    send(stage, CUSTOMERS, "newsletter", "--config", "customers.toml")
    return "/runs/newsletter"


def sending(stage: Stage) -> str:
    server = stage.server()
    page = server.begin("spring-offer", stage.folder / RECIPIENTS, {"rate": "1/second"})
    until(lambda: server.moment("spring-offer").accepted >= 200)
    return page


# ----- the pictures


def file(stage: Stage) -> Page:
    """Which file?"""
    return stage.at("/new")


def columns(stage: Stage) -> Page:
    """What is each column, with the exact recipient."""
    return stage.at(stage.once(draft))


def check_of_rows(stage: Stage) -> Page:
    """What a check of all rows found."""
    return stage.at(f"{stage.once(checked)}/check")


def rehearsal(stage: Stage) -> Page:
    """What the day of a rehearsal is like."""
    return stage.at(f"{stage.once(checked)}/rehearse")


def review(stage: Stage) -> Page:
    """The last look before a real send, with the message of one person."""
    return reviewed(stage.at(f"{stage.once(ready)}/review", "real"))


def live(stage: Stage) -> Page:
    """A run in progress."""
    tab = stage.at(stage.once(sending))
    expect(tab.locator("h1")).to_contain_text("is being sent")
    return tab


def first_rows(stage: Stage) -> Page:
    """The question whether to send the rest."""
    tab = stage.at(stage.once(held))
    expect(tab.locator("h1")).to_contain_text("Send the other")
    return tab


def result(stage: Stage) -> Page:
    """A run that has finished."""
    return stage.at(stage.once(rehearsed))


def fix(stage: Stage) -> Page:
    """Rows that were wrong, with the cells to change."""
    return stage.at(f"{stage.once(rehearsed)}/fix")


def decide(stage: Stage) -> Page:
    """Rows in doubt, and what can be decided about them."""
    stage.once(rehearsed)
    return stage.at("/runs/winter-offer/decide")


def row(stage: Stage) -> Page:
    """Everything about one row."""
    return stage.at(f"{stage.once(rehearsed)}/rows/1")


def runs(stage: Stage) -> Page:
    """The list of runs."""
    for each in (rehearsed, held, sending):
        stage.once(each)
    return stage.at("/")


def empty(stage: Stage) -> Page:
    """The list before the first run."""
    return stage.at("/")


PAGES: dict[str, Callable[[Stage], Page]] = {
    "web-empty.png": empty,
    "web-file.png": file,
    "web-columns.png": columns,
    "web-check.png": check_of_rows,
    "web-rehearsal.png": rehearsal,
    "web-review.png": review,
    "web-result.png": result,
    "web-fix.png": fix,
    "web-decide.png": decide,
    "web-row.png": row,
    "web-live.png": live,
    "web-first-rows.png": first_rows,
    "web-runs.png": runs,
} | SCREENS
"""By name, in an order in which none shows what another one left."""


def take(
    names: Sequence[str], to: Path, folder: Path, *, dark: bool = False, width: int = WIDTH, whole: bool = False
) -> None:
    """Write the pictures with these names, in the order of ``PAGES``.

    ``folder``: a temporary one with ``sample_data`` in it. ``whole``: show all of a page, however long it is.
    """
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        raise SystemExit("chromium is not installed")
    expect.set_options(timeout=1000 * PATIENCE_S)
    with ExitStack() as ends:
        player = ends.enter_context(sync_playwright())
        opened = player.chromium.launch(executable_path=browser, args=["--no-sandbox", "--disable-gpu"])
        ends.callback(opened.close)
        stage = Stage(folder, opened, dark, width, HEIGHT, ends)
        failed = []
        for name, show in PAGES.items():
            if name in names:
                try:
                    tab = show(stage)
                    photograph(tab, to / name, 100_000 if whole else _TALLEST)
                except (AssertionError, Error) as error:
                    failed.append(name)
                    print(f"{name} failed: {error}", file=sys.stderr, flush=True)
                    continue
                print(to / name, _too_wide(tab), flush=True)
        if failed:
            raise SystemExit(f"not made: {', '.join(failed)}")


def photograph(tab: Page, path: Path, tallest: int) -> None:
    """Write the top of a page as a picture, at most so many pixels of it."""
    box = tab.locator("html").bounding_box()
    assert box is not None
    clip = {"x": 0, "y": 0, "width": box["width"], "height": max(min(tallest, int(box["height"])), 320)}
    tab.screenshot(path=path, full_page=True, clip=clip, animations="disabled")  # type: ignore[arg-type]


def _too_wide(tab: Page) -> str:
    """Return by how much a page is wider than its window; empty if it is not."""
    session = tab.context.new_cdp_session(tab)
    shown = "document.scrollingElement.scrollWidth - document.documentElement.clientWidth"
    found = session.send("Runtime.evaluate", {"expression": shown, "returnByValue": True})["result"]["value"]
    session.detach()
    return f"{found} pixels too wide" if found > 0 else ""
