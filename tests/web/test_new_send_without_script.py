"""The same way without script: plain forms, from a file to its check, and a run that is watched, held and stopped."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

import bulk_sender as bs
from tests.kit.command import REPOSITORY, until
from tests.kit.target import CAMPAIGN
from tests.web.surfing import (
    ONLY_WITH_CHROMIUM,
    PATIENCE_S,
    WITHOUT_SCRIPT,
    Served,
    Surfer,
    chromium,
    fill_in_wrong_rows,
)

pytestmark = ONLY_WITH_CHROMIUM
CUSTOMERS = REPOSITORY / "sample_data" / "customers.csv"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium(WITHOUT_SCRIPT) as found:
        yield found


def test_a_file_is_uploaded_its_columns_chosen_and_all_rows_checked(surfer: Surfer) -> None:
    tab = surfer.open("/")
    tab.get_by_role("navigation").get_by_role("link", name="New send").click()
    expect(tab.locator("noscript p")).to_be_visible()
    tab.locator("input[type=file]").set_input_files(CUSTOMERS)
    tab.get_by_role("button", name="Upload the file").click()
    expect(tab.locator("h1")).to_have_text("What is each column?")

    tab.get_by_label("Points: Goes out as").select_option("")
    tab.get_by_label("Row", exact=True).fill("5")
    tab.get_by_role("button", name="Save and show this row").click()
    expect(tab.locator("#sight")).to_contain_text("This is row 5, exactly as it would be sent.")
    expect(tab.locator("#sight pre")).not_to_contain_text("loyalty_points")
    expect(tab.get_by_label("Points: Goes out as")).to_have_value("")

    tab.get_by_label("Order total: Goes out as").select_option("external_user_id")
    tab.get_by_role("button", name="Check all rows").click()
    expect(tab.get_by_role("alert")).to_contain_text("Two columns go out as one field")
    expect(tab.get_by_role("alert")).to_be_focused()
    tab.get_by_label("Order total: Goes out as").select_option("trigger_properties")
    tab.get_by_role("button", name="Check all rows").click()
    expect(tab.locator("h1")).to_contain_text("of 186 rows could be sent")  # the page loads itself again
    with tab.expect_download() as found:
        tab.get_by_role("link", name="Download 3 wrong rows (CSV)").click()
    assert "free" in found.value.path().read_text(encoding="utf-8")
    tab.get_by_role("link", name="Back to the columns").click()
    tab.get_by_role("button", name="Guess again").click()
    expect(tab.get_by_label("Points: Goes out as")).to_have_value("trigger_properties")


def test_a_file_is_rehearsed_tested_reviewed_and_sent_and_its_rows_fixed(
    surfer: Surfer, served: Served, tmp_path: Path
) -> None:
    assert served.braze is not None
    *lines, _ = CUSTOMERS.read_text(encoding="utf-8").splitlines()  # the filter leaves the last row out
    path = tmp_path / "customers.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    before = served.braze.ledger.accepted_recipients
    tab = surfer.open("/new")
    tab.locator("input[type=file]").set_input_files(path)
    tab.get_by_role("button", name="Upload the file").click()
    tab.get_by_label("Workspace").select_option("Production")
    tab.get_by_label("ID of the campaign or Canvas").fill(CAMPAIGN)
    tab.get_by_role("button", name="Check all rows").click()
    tab.get_by_role("link", name="Rehearse first").click()
    here = tab.url.removesuffix("/rehearse")
    tab.get_by_role("button", name="Start the rehearsal").click()
    expect(tab.locator("h1")).to_contain_text("181 are accepted")
    assert served.braze.ledger.accepted_recipients == before

    tab.goto(f"{here}/review")
    expect(tab.locator("main")).to_contain_text("Sandbox campaign")
    tab.get_by_role("link", name="Send a test first").click()
    tab.get_by_label("Identifiers").fill("colleague-1")
    tab.get_by_role("button", name="Show the test").click()
    tab.get_by_role("button", name="Send the test to 1 person").click()
    expect(tab.locator("h1")).to_contain_text("accepted")
    tab.goto(f"{here}/review")
    tab.get_by_label("Type the number of recipients").fill("181")
    tab.get_by_role("button", name="Send the first 100 rows").click()
    expect(tab.locator("main")).to_contain_text("The first 100 rows were sent.")
    tab.get_by_label("Type the number").fill("84")
    tab.get_by_role("button", name="Send the other").click()
    expect(tab.locator("h1")).to_contain_text("3 of 186 rows need your attention; 181 are accepted")
    assert served.braze.ledger.accepted_recipients == before + 1 + 181

    tab.get_by_role("link", name="Fix 3 rows").first.click()
    fill_in_wrong_rows(tab)
    tab.get_by_label("Row 141, Basket").fill("[]")
    tab.get_by_role("button", name="Check and send 3 rows").click()
    expect(tab.locator("h1")).to_have_text("3 of 3 rows could be sent")
    assert served.braze.ledger.accepted_recipients == before + 1 + 181


def test_rows_in_doubt_are_decided_and_the_key_is_checked(surfer: Surfer, served: Served) -> None:
    before = served.rehearse_with_lost_answers("plain-doubt")
    tab = surfer.open("/runs/plain-doubt/decide")
    tab.get_by_role("button", name="Ask Braze").click()
    expect(tab.get_by_role("button", name="as accepted")).to_be_visible()  # the page loads itself again
    tab.get_by_label("They have it: I saw it in Braze").check()
    tab.get_by_label("Why").fill("their log shows the message")
    tab.get_by_role("button", name="Record this decision").click()
    expect(tab).to_have_url(f"{served.url}/runs/plain-doubt")
    after = bs.status("plain-doubt", runs_dir=served.runs)
    assert (after.unknown, after.accepted) == (0, before.accepted + before.unknown)

    tab.goto(f"{served.url}/settings")
    tab.get_by_role("button", name="Check the key: Production").click()
    expect(tab.get_by_role("cell", name="good").first).to_be_visible()


def test_a_run_is_watched_answered_and_stopped(surfer: Surfer, served: Served) -> None:
    served.begin("plain", rows=20_000, canary=100)
    until(lambda: served.moment("plain").stage == "held", PATIENCE_S)
    tab = surfer.open("/runs/plain/live")
    expect(tab.locator("h1")).to_have_text("The first 100 rows were sent. Send the other 19,900?")
    tab.get_by_label("Type the number").fill("100")
    tab.get_by_role("button", name="Send the other").click()
    expect(tab.get_by_role("alert")).to_be_focused()
    tab.get_by_label("Type the number").fill("19900")
    tab.get_by_role("button", name="Send the other").click()
    expect(tab.locator("h1")).to_have_text("plain is being sent")
    tab.get_by_text("Stop…").click()
    tab.get_by_role("button", name="Stop the run").click()
    expect(tab.locator("h1")).to_contain_text("The run stopped early")
    tab.get_by_role("link", name="accepted").click()
    tab.get_by_label("Find a person").fill("plain-00003")
    tab.get_by_role("button", name="Search").click()
    tab.get_by_role("link", name="4", exact=True).click()
    expect(tab.locator("h1")).to_have_text("Row 4: accepted")
    assert served.until_ended("plain").state == "stopped"
