"""The screens of a new send for everybody: axe-core, the keyboard alone, a narrow phone, forced colors, less motion."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.kit.command import REPOSITORY
from tests.web.surfing import ONLY_WITH_CHROMIUM, Served, Surfer, barriers, value, width

pytestmark = ONLY_WITH_CHROMIUM
CUSTOMERS = REPOSITORY / "sample_data" / "customers.csv"
MOST_KEYS = 60


@pytest.fixture(scope="module")
def prepared(browser: Browser, served: Served) -> str:
    """The address of a send that was checked, by the keyboard alone."""
    surfer = Surfer(browser, served)
    tab = surfer.open("/")
    reach(tab, "a", "New send")
    tab.keyboard.press("Enter")
    expect(tab.locator("h1")).to_have_text("Which file?")
    reach(tab, "input", "")
    with tab.expect_file_chooser() as chooser:
        tab.keyboard.press("Space")
    chooser.value.set_files(CUSTOMERS)
    expect(tab.locator("h1")).to_have_text("What is each column?")
    reach(tab, "select", "Points: Goes out as")
    tab.keyboard.type("Not sent")
    expect(tab.locator("#sight pre")).not_to_contain_text("loyalty_points")
    reach(tab, "button", "Check all rows")
    tab.keyboard.press("Enter")
    expect(tab.locator("h1")).to_have_text("181 of 186 rows could be sent")
    found = tab.url.removeprefix(served.url).removesuffix("/check")
    surfer.close()
    return found


def reach(tab: Page, kind: str, name: str) -> None:
    """Press Tab until an element has the focus: in reading order, and with a ring that shows it."""
    told = "[document.activeElement.localName, document.activeElement.ariaLabel || document.activeElement.innerText]"
    for _ in range(MOST_KEYS):
        tab.keyboard.press("Tab")
        found = value(tab, told)
        if found == [kind, name]:
            assert value(tab, "getComputedStyle(document.activeElement).outlineStyle") == "solid"
            return
    raise AssertionError(f"the keyboard does not reach {name}")


def shown(prepared: str) -> tuple[str, ...]:
    return ("/new", prepared, f"{prepared}/check", "/", "/settings")


LOOKS: list[dict[str, Any]] = [
    {"viewport": {"width": 1200, "height": 900}},
    {"viewport": {"width": 320, "height": 640}},
]


@pytest.mark.parametrize("look", LOOKS, ids=["wide", "narrow"])
def test_no_screen_has_a_barrier_or_scrolls_sideways(
    browser: Browser, served: Served, prepared: str, look: dict[str, Any]
) -> None:
    surfer = Surfer(browser, served, **look)
    tab = surfer.open("/")
    for path in shown(prepared):
        tab.goto(f"{served.url}{path}")
        assert width(tab) == look["viewport"]["width"], path
        tab.emulate_media(reduced_motion="reduce")
        moving = "[...document.querySelectorAll('*')].filter(e => getComputedStyle(e).transitionDuration !== '0s')"
        assert value(tab, f"{moving}.length") == 0, path
        assert barriers(tab) == [], path
    surfer.close()


def test_controls_are_large_enough_on_a_phone(browser: Browser, served: Served, prepared: str) -> None:
    surfer = Surfer(browser, served, viewport={"width": 390, "height": 844})
    wanted = "a:not(p a, li a, dd a, .skip), button, input:not([type=hidden]), select, summary, .button"
    small = (
        f"[...document.querySelectorAll('{wanted}')]"
        ".map(e => e.closest('.tick') || e).filter(e => e.checkVisibility() && e.offsetHeight < 44)"
    )
    tab = surfer.open("/")
    for path in shown(prepared):
        tab.goto(f"{served.url}{path}")
        assert value(tab, f"{small}.map(e => e.outerHTML)") == [], path
    surfer.close()


def test_forced_colors_keep_statuses_and_focus_visible(browser: Browser, served: Served, prepared: str) -> None:
    surfer = Surfer(browser, served, forced_colors="active")
    tab = surfer.open(f"{prepared}/check")
    mark = "getComputedStyle(document.querySelector('.chip.rejected'), '::before')"
    assert value(tab, f"{mark}.backgroundColor") not in ("rgba(0, 0, 0, 0)", "rgb(255, 255, 255)")
    assert value(tab, f"{mark}.outlineStyle") == "solid"
    reach(tab, "a", "Back to the columns")
    surfer.close()


def test_a_summary_of_errors_has_the_focus(browser: Browser, served: Served, prepared: str) -> None:
    surfer = Surfer(browser, served)
    tab = surfer.open(prepared)
    tab.get_by_label("Order total: Goes out as").select_option("external_user_id")
    tab.get_by_role("button", name="Check all rows").click()
    expect(tab.get_by_role("alert")).to_contain_text("Two columns go out as one field")
    expect(tab.get_by_role("alert")).to_be_focused()
    assert barriers(tab) == []
    surfer.close()
