"""A run in real tabs: live counts, closed and second tabs, kills of the page and of the run, stop, and first rows."""

from __future__ import annotations

import os
import signal

from playwright.sync_api import Browser, Page, expect

import bulk_sender as bs
from tests.kit.command import until
from tests.web.surfing import ONLY_WITH_CHROMIUM, PATIENCE_S, Served, Surfer, barriers, value, width

pytestmark = ONLY_WITH_CHROMIUM
LOST = ("Failed to load resource", "net::ERR_", "interrupted while the page was loading")
QUICK = "1000/second"


def accepted(tab: Page) -> int:
    return int(tab.locator("[data-count=accepted]").inner_text().replace(",", ""))


def until_more(tab: Page, than: int) -> int:
    """Wait until the page counts more accepted rows, without loading it again."""
    until(lambda: accepted(tab) > than, PATIENCE_S)
    return accepted(tab)


def stop(tab: Page) -> None:
    tab.get_by_text("Stop…").click()
    tab.get_by_role("button", name="Stop the run").click()


def test_counts_move_in_all_tabs_and_a_stop_ends_the_run_in_order(surfer: Surfer, served: Served) -> None:
    served.begin("watched", rows=20_000)
    served.until_sending("watched")
    tab = surfer.open("/")
    tab.get_by_role("link", name="watched").click()
    expect(tab.locator("h1")).to_have_text("watched is being sent")
    value(tab, "window.same = true")
    seen = until_more(tab, accepted(tab))
    assert value(tab, "window.same")  # no reload
    assert barriers(tab) == []

    tab.close()
    tab, second = surfer.open("/runs/watched/live"), surfer.open("/runs/watched/live")
    assert accepted(tab) >= seen
    until_more(second, until_more(tab, seen) - 1)
    summary, dialog = tab.get_by_text("Stop…"), tab.get_by_role("dialog", name="Stop…")
    summary.focus()
    tab.keyboard.press("Enter")
    expect(dialog).to_be_visible()
    tab.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(summary).to_be_focused()
    stop(tab)
    for each in (tab, second):
        expect(each).to_have_url(f"{served.url}/runs/watched")
        expect(each.locator("h1")).to_contain_text("The run stopped early")
    found = served.until_ended("watched")
    assert (found.state, found.unknown) == ("stopped", 0)
    assert accepted_on(tab) == found.accepted

    tab.goto(f"{served.url}/runs/watched/live")  # what the back button would show, had the page not replaced it
    expect(tab).to_have_url(f"{served.url}/runs/watched")
    assert served.starts("watched") == ["send"]


def accepted_on(tab: Page) -> int:
    return int(tab.locator(".six .accepted data").get_attribute("value") or 0)


def test_a_run_continues_while_the_page_is_killed_and_its_tab_finds_it_again(surfer: Surfer, served: Served) -> None:
    surfer.expected += LOST
    served.begin("alone", rows=20_000)
    served.until_sending("alone")
    tab = surfer.open("/runs/alone/live")
    seen = until_more(tab, 0)
    served.kill()
    until(lambda: served.moment("alone").accepted > seen + 200, PATIENCE_S)
    assert bs.status("alone", runs_dir=served.runs).state == "running"
    served.start()
    until_more(tab, seen + 200)
    stop(tab)
    expect(tab.locator("h1")).to_contain_text("The run stopped early")
    assert served.until_ended("alone").unknown == 0
    assert served.starts("alone") == ["send"]


def test_a_run_whose_process_is_killed_says_so_and_is_resumed_once(surfer: Surfer, served: Served) -> None:
    served.begin("killed", rows=20_000)
    served.until_sending("killed")
    tab = surfer.open("/runs/killed/live")
    until_more(tab, 0)
    os.kill(served.crew._started["killed"].pid, signal.SIGKILL)
    expect(tab).to_have_url(f"{served.url}/runs/killed")
    expect(tab.locator("main")).to_contain_text("The process ended without closing the run")
    unknown = bs.status("killed", runs_dir=served.runs).unknown
    second = surfer.open("/runs/killed")
    tab.get_by_role("button", name="Resume and send").dblclick()
    expect(tab).to_have_url(f"{served.url}/runs/killed/live")
    second.get_by_role("button", name="Resume and send").click()
    expect(second).to_have_url(f"{served.url}/runs/killed/live")
    until_more(second, until_more(tab, 0) - 1)
    stop(second)
    for each in (tab, second):
        expect(each).to_have_url(f"{served.url}/runs/killed")
        expect(each.get_by_role("button", name="Resume and send")).to_be_visible()
    assert served.until_ended("killed").unknown <= unknown
    assert served.starts("killed") == ["send", "resume"]


def test_first_rows_need_the_right_count_and_the_back_button_does_no_harm(surfer: Surfer, served: Served) -> None:
    served.begin("first", rows=300, rate=QUICK, canary=100)
    tab = surfer.open("/runs/first/live")
    expect(tab.locator("h1")).to_have_text("The first 100 rows were sent. Send the other 200?")
    tab.get_by_label("Type the number").fill("100")
    tab.get_by_role("button", name="Send the other 200").click()
    expect(tab.get_by_role("alert")).to_contain_text("what you typed does not fit")
    expect(tab.get_by_role("alert")).to_be_focused()
    assert barriers(tab) == []
    tab.wait_for_timeout(500)  # the stream must not load the page again under a person who types
    expect(tab.get_by_role("alert")).to_be_visible()

    tab.close()
    tab = surfer.open("/runs/first/live")
    tab.get_by_label("Type the number").fill("2 00")
    tab.get_by_role("button", name="Send the other 200").dblclick()
    expect(tab).to_have_url(f"{served.url}/runs/first")
    expect(tab.locator("h1")).to_have_text("All 300 rows accepted")
    tab.goto(f"{served.url}/runs/first/live")
    expect(tab.locator("h1")).to_have_text("All 300 rows accepted")
    assert served.starts("first") == ["send"]


def test_a_run_that_waits_for_an_answer_can_be_stopped(surfer: Surfer, served: Served) -> None:
    served.begin("held", rows=300, rate=QUICK, canary=100)
    tab = surfer.open("/runs/held/live")
    expect(tab.locator("h1")).to_have_text("The first 100 rows were sent. Send the other 200?")
    tab.get_by_role("button", name="Stop here").click()
    expect(tab).to_have_url(f"{served.url}/runs/held")
    expect(tab.get_by_role("button", name="Resume: ask again about the rest")).to_be_visible()
    found = served.until_ended("held")
    assert (found.state, found.accepted, found.unknown) == ("stopped", 100, 0)
    tab.get_by_role("button", name="Resume: ask again about the rest").click()
    expect(tab.locator("h1")).to_have_text("The first 100 rows were sent. Send the other 200?")
    tab.get_by_role("button", name="Stop here").click()
    expect(tab).to_have_url(f"{served.url}/runs/held")
    assert served.until_ended("held").accepted == 100


def test_what_braze_proves_about_rows_in_doubt_is_recorded(surfer: Surfer, served: Served) -> None:
    before = served.rehearse_with_lost_answers("doubt")
    tab = surfer.open("/runs/doubt")
    tab.get_by_role("link", name=f"Decide about {before.unknown} rows").first.click()
    tab.get_by_role("button", name="Ask Braze").dblclick()
    expect(tab.get_by_role("button", name=f"Record {before.unknown} as accepted")).to_be_visible()
    assert barriers(tab) == []
    tab.get_by_role("button", name=f"Record {before.unknown} as accepted").dblclick()
    expect(tab.locator("h1")).to_have_text("All 3,000 rows accepted")


def test_a_decision_needs_a_reason_and_the_second_of_two_tabs_decides_nothing(surfer: Surfer, served: Served) -> None:
    before = served.rehearse_with_lost_answers("doubtful")
    tab, second = surfer.open("/runs/doubtful/decide"), surfer.open("/runs/doubtful/decide")
    for each in (tab, second):
        each.get_by_label("They do not have it: I know").check()
    tab.get_by_role("button", name="Record this decision").click()
    expect(tab.get_by_role("alert")).to_contain_text("Say why")
    tab.get_by_label("They do not have it: I know").check()
    tab.get_by_label("Why").fill("their log shows no message")
    tab.get_by_role("button", name="Record this decision").dblclick()
    expect(tab).to_have_url(f"{served.url}/runs/doubtful")
    second.get_by_label("Why").fill("so do I think")
    second.get_by_role("button", name="Record this decision").click()
    expect(second.get_by_role("alert")).to_contain_text("This changed meanwhile")
    after = bs.status("doubtful", runs_dir=served.runs)
    assert (after.unknown, after.failed, after.accepted) == (0, before.unknown, before.accepted)


def test_first_rows_and_counts_fit_a_phone(browser: Browser, served: Served) -> None:
    served.begin("phone", rows=300, rate=QUICK, canary=100)
    surfer = Surfer(browser, served, viewport={"width": 320, "height": 640})
    tab = surfer.open("/runs/phone/live")
    expect(tab.get_by_label("Type the number")).to_be_visible()
    assert width(tab) == 320
    assert barriers(tab) == []
    tab.get_by_role("button", name="Stop here").click()
    expect(tab).to_have_url(f"{served.url}/runs/phone")
    assert width(tab) == 320
    assert barriers(tab) == []
    surfer.close()
