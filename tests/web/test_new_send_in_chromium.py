"""A send in a real browser: the whole way from a file to its fixed rows, and the accidents on the way."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

import bulk_sender as bs
from tests.kit.command import REPOSITORY
from tests.kit.target import CAMPAIGN
from tests.web.surfing import ONLY_WITH_CHROMIUM, Served, Surfer, barriers, fill_in_wrong_rows

pytestmark = ONLY_WITH_CHROMIUM
CUSTOMERS = REPOSITORY / "sample_data" / "customers.csv"
LARGE = b"id;name\n" + b"1;Ann\n" * 1_500_000
"""Two parts of an upload."""
WAITS = "Waiting for the server. The upload resumes by itself."
LOST = "Failed to load resource"


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("large") / "large.csv"
    path.write_bytes(LARGE)
    return path


def uploaded(surfer: Surfer, path: Path) -> Page:
    """A tab at the columns of a file that it has just uploaded."""
    tab = surfer.open("/new")
    tab.locator("input[type=file]").set_input_files(path)
    expect(tab.locator("h1")).to_have_text("What is each column?")
    return tab


def recipient(tab: Page) -> dict[str, object]:
    found: dict[str, object] = json.loads(tab.locator("#sight pre").inner_text())
    return found


def draft_of(tab: Page) -> str:
    return tab.url.partition("/new/")[2].partition("/")[0].partition("?")[0]


def acts(served: Served, draft: str, did: str) -> int:
    return sum(entry.object == draft and entry.did == did for entry in served.store.audit())


def test_the_way_from_a_file_to_its_check_with_reload_and_back_at_each_step(surfer: Surfer, served: Served) -> None:
    tab = surfer.open("/")
    tab.get_by_role("navigation").get_by_role("link", name="New send").click()
    tab.reload()
    tab.locator("input[type=file]").set_input_files(CUSTOMERS)
    expect(tab.locator("h1")).to_have_text("What is each column?")
    columns = tab.url
    tab.go_back()
    expect(tab.locator("h1")).to_have_text("Which file?")
    expect(tab.get_by_role("row", name="customers.csv").first).to_contain_text("uploaded; the columns come next")
    tab.go_forward()
    expect(tab).to_have_url(columns)

    tab.get_by_label("Row", exact=True).fill("5")
    expect(tab.locator("#sight")).to_contain_text("This is row 5, exactly as it would be sent.")
    assert "loyalty_points" in str(recipient(tab))
    tab.get_by_label("Points: Goes out as").select_option("")
    expect(tab.locator("#sight pre")).not_to_contain_text("loyalty_points")
    tab.get_by_label("Points: Goes out as").select_option("trigger_properties")
    expect(tab.locator("#sight pre")).to_contain_text("loyalty_points")
    tab.get_by_label("Customer no: Goes out as").select_option("")
    expect(tab.locator("#sight")).to_contain_text("No column says who gets the message.")
    tab.get_by_label("Customer no: Goes out as").select_option("external_user_id")
    tab.get_by_role("button", name="Save and show this row").click()
    expect(tab.locator("#sight")).to_contain_text("This is row 5")
    tab.reload()
    expect(tab.get_by_label("Points: Goes out as")).to_have_value("trigger_properties")

    tab.get_by_role("button", name="Check all rows").dblclick()
    expect(tab.locator("h1")).to_have_text("181 of 186 rows could be sent")
    expect(tab.locator("main")).to_contain_text("14 more rows do not fit the filter")
    assert acts(served, draft_of(tab), "began a check") == 1
    tab.reload()
    expect(tab.locator("h1")).to_have_text("181 of 186 rows could be sent")
    with tab.expect_download() as found:
        tab.get_by_role("link", name="Download 3 wrong rows (CSV)").click()
    assert "free" in found.value.path().read_text(encoding="utf-8")
    tab.get_by_role("link", name="Back to the columns").click()
    tab.go_back()
    expect(tab.locator("h1")).to_have_text("181 of 186 rows could be sent")
    tab.go_back()
    expect(tab.locator("h1")).to_have_text("What is each column?")


def test_the_whole_way_from_a_file_to_people_and_to_the_fixed_rows(surfer: Surfer, served: Served) -> None:
    """A rehearsal, then real messages: two tabs, reload, back, and a tab that was closed change nothing."""
    assert served.braze is not None
    ledger = served.braze.ledger
    before = ledger.accepted_recipients
    tab = uploaded(surfer, CUSTOMERS)
    tab.get_by_label("Workspace").select_option("Production")
    tab.get_by_label("ID of the campaign or Canvas").fill(CAMPAIGN)
    tab.get_by_role("button", name="Check all rows").click()
    expect(tab.locator("h1")).to_have_text("181 of 186 rows could be sent")
    draft = draft_of(tab)

    tab.get_by_role("link", name="Rehearse first").click()
    assert barriers(tab) == []
    tab.get_by_role("button", name="Start the rehearsal").dblclick()
    expect(tab.locator("h1")).to_contain_text("3 of 186 rows need your attention; 181 are accepted")
    assert ledger.accepted_recipients == before
    assert sum(run.run_id.endswith(".rehearsal.1") for run in bs.runs(served.runs)) == 1

    tab.goto(f"{served.url}/new/{draft}/check")
    tab.get_by_role("link", name="Review the send").click()
    expect(tab.locator("h1")).to_have_text("Send to 181 people?")
    expect(tab.locator("main")).to_contain_text("Sandbox campaign")
    tab.get_by_role("link", name="Send a test first").click()
    tab.get_by_label("Identifiers").fill("colleague-1\ncolleague-2")
    tab.get_by_role("button", name="Show the test").click()
    expect(tab.locator("pre")).to_contain_text("colleague-1")
    assert barriers(tab) == []
    tab.get_by_role("button", name="Send the test to 2 people").dblclick()
    expect(tab.locator("main")).to_contain_text("All 2 rows accepted")
    assert ledger.accepted_recipients == before + 2
    before += 2
    tab.goto(f"{served.url}/new/{draft}/review")
    expect(tab.locator("main")).to_contain_text("Test sent to 2 people, 2 accepted.")
    second = surfer.open(f"/new/{draft}/review")
    tab.get_by_label("Type the number of recipients").fill("186")
    tab.get_by_role("button", name="Send the first 100 rows").click()
    expect(tab.get_by_role("alert")).to_contain_text("what you typed is not the number of recipients")
    assert barriers(tab) == []
    for each in (tab, second):
        each.get_by_label("Type the number of recipients").fill("181")
    tab.get_by_role("button", name="Send the first 100 rows").dblclick()
    second.get_by_role("button", name="Send the first 100 rows").click()
    for each in (tab, second):
        expect(each.locator("h1")).to_have_text(HELD)
    assert barriers(tab) == []
    live = tab.url
    assert second.url == live
    assert ledger.accepted_recipients == before + 97  # two are wrong, one is a duplicate
    tab.go_back()
    expect(tab).to_have_url(live)  # the review leads to the run
    second.close()
    tab.reload()
    expect(tab.locator("h1")).to_have_text(HELD)
    tab.close()

    tab = surfer.open("/")
    run = live.split("/")[-2]
    tab.get_by_role("link", name=run, exact=True).first.click()
    expect(tab.locator("h1")).to_have_text(HELD)
    rest = re.sub(r"[^0-9]", "", tab.locator("h1").inner_text().partition("other")[2])
    tab.get_by_label("Type the number").fill(rest)
    tab.get_by_role("button", name="Send the other").dblclick()
    expect(tab).to_have_url(f"{served.url}/runs/{run}")
    expect(tab.locator("h1")).to_contain_text("3 of 186 rows need your attention; 181 are accepted")
    assert ledger.accepted_recipients == before + 181
    assert served.starts(run) == ["send"]
    tab.get_by_label("Find a person").fill("000107")
    tab.get_by_role("button", name="Search").click()
    tab.get_by_role("link", name="2", exact=True).click()
    expect(tab.locator("h1")).to_have_text("Row 2: accepted")
    assert barriers(tab) == []

    tab.goto(f"{served.url}/runs/{run}")
    assert barriers(tab) == []
    tab.get_by_role("link", name="Fix 3 rows").first.click()
    fill_in_wrong_rows(tab)
    assert barriers(tab) == []
    tab.get_by_label("Row 141, Basket").fill("[]")
    tab.get_by_role("button", name="Check and send 3 rows").dblclick()
    expect(tab.locator("h1")).to_have_text("3 of 3 rows could be sent")
    assert [each.parent for each in served.store.drafts()].count(run) == 1
    tab.get_by_role("link", name="Review the send").click()
    expect(tab.locator("h1")).to_have_text("Send to 3 people?")
    assert ledger.accepted_recipients == before + 181


HELD = re.compile("The first 100 rows were sent. Send the other [0-9]+")


def test_an_upload_that_was_cut_resumes_when_the_same_file_is_chosen_again(
    surfer: Surfer, served: Served, large: Path
) -> None:
    surfer.expected.append(LOST)
    tab = surfer.open("/new")
    until_cut(tab, large)
    tab.close()

    tab = surfer.open("/new")
    row = tab.get_by_role("row", name="large.csv")
    expect(row).to_contain_text("8.4 MB uploaded; choose the same file again to resume")
    offsets: list[str] = []
    tab.on("request", lambda request: offsets.append(request.url.partition("?offset=")[2]))
    tab.locator("input[type=file]").set_input_files(large)
    expect(tab.locator("h1")).to_have_text("What is each column?")
    assert [int(each) for each in offsets if each] == [8 << 20]
    draft = served.store.draft(draft_of(tab))
    assert draft is not None
    assert draft.sha256 == hashlib.sha256(LARGE).hexdigest()


def until_cut(tab: Page, path: Path) -> None:
    """Upload a file whose second part never arrives."""
    tab.route("**/api/v1/uploads/*?offset=*", cut_after_the_first)
    with tab.expect_request_finished(lambda request: request.url.endswith("?offset=0")):
        tab.locator("input[type=file]").set_input_files(path)
    expect(tab.locator("#upload [role=status]")).to_have_text(WAITS)


def cut_after_the_first(route: Route) -> None:
    if route.request.url.endswith("?offset=0"):
        route.continue_()
    else:
        route.abort("connectionreset")


def test_an_upload_continues_by_itself_when_the_killed_page_is_back(
    surfer: Surfer, served: Served, large: Path, tmp_path: Path
) -> None:
    surfer.expected.append(LOST)
    tab = surfer.open("/new")
    killed: list[bool] = []

    def kill(route: Route) -> None:
        if not killed and not route.request.url.endswith("?offset=0"):
            killed.append(True)
            served.kill()
        route.continue_()

    tab.route("**/api/v1/uploads/*?offset=*", kill)
    path = tmp_path / "killed.csv"
    path.write_bytes(large.read_bytes())
    tab.locator("input[type=file]").set_input_files(path)
    tab.wait_for_event("requestfailed")
    expect(tab.locator("#upload [role=status]")).to_have_text(WAITS)
    served.start()
    expect(tab.locator("h1")).to_have_text("What is each column?")
    draft = served.store.draft(draft_of(tab))
    assert draft is not None
    assert draft.sha256 == hashlib.sha256(LARGE).hexdigest()


def test_a_paused_upload_is_resumed_and_a_cancelled_one_is_gone(surfer: Surfer, large: Path, tmp_path: Path) -> None:
    surfer.expected.append(LOST)
    path = tmp_path / "paused.csv"
    path.write_bytes(large.read_bytes())
    tab = surfer.open("/new")
    until_cut(tab, path)
    tab.get_by_role("button", name="Pause the upload").click()
    expect(tab.locator("#upload [role=status]")).to_have_text("Paused. What was uploaded is kept for 24 hours.")
    tab.get_by_role("button", name="Resume the upload").click()
    expect(tab.locator("#upload [role=status]")).to_have_text(WAITS)
    tab.get_by_role("button", name="Cancel and delete it").click()
    expect(tab.locator("h1")).to_have_text("Which file?")
    expect(tab.get_by_text("paused.csv")).to_have_count(0)


def test_the_second_of_two_tabs_is_told_that_the_columns_were_changed(surfer: Surfer) -> None:
    surfer.expected.append("409")
    first = uploaded(surfer, CUSTOMERS)
    second = surfer.open(first.url.removeprefix(surfer.served.url))
    first.get_by_label("Points: Goes out as").select_option("")
    first.get_by_role("button", name="Save and show this row").click()
    expect(first.get_by_label("Points: Goes out as")).to_have_value("")
    second.get_by_label("Order total: Goes out as").select_option("")
    second.get_by_role("button", name="Check all rows").click()
    expect(second.locator("h1")).to_contain_text("changed this send meanwhile")
    expect(second.locator("main")).to_contain_text("Look at it again")
    second.go_back()
    expect(second.locator("h1")).to_have_text("What is each column?")


def test_a_file_of_the_server_is_used_once_by_two_clicks(surfer: Surfer, served: Served) -> None:
    tab = surfer.open("/new")
    tab.get_by_role("button", name="Use this file: inbox/people.csv").dblclick()
    expect(tab.locator("h1")).to_have_text("What is each column?")
    assert sum(draft.name == "people.csv" for draft in served.store.drafts()) == 1
    tab.go_back()
    expect(tab.locator("h1")).to_have_text("Which file?")


def test_a_check_is_found_again_after_its_tab_was_closed_and_the_page_was_killed(
    surfer: Surfer, served: Served
) -> None:
    tab = uploaded(surfer, CUSTOMERS)
    address = tab.url.removeprefix(served.url)
    tab.get_by_role("button", name="Check all rows").click()
    expect(tab.locator("h1")).to_have_text("181 of 186 rows could be sent")
    tab.close()
    served.kill()
    served.start()
    tab = surfer.open(f"{address.partition('?')[0]}/check")
    expect(tab.locator("h1")).to_have_text("181 of 186 rows could be sent")
