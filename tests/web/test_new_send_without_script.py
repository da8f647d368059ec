"""The same way without script: plain forms, from a file to its check, and a run that is watched, held and stopped."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.kit.command import REPOSITORY, until
from tests.web.surfing import ONLY_WITH_CHROMIUM, PATIENCE_S, WITHOUT_SCRIPT, Served, Surfer, chromium

pytestmark = ONLY_WITH_CHROMIUM


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium(WITHOUT_SCRIPT) as found:
        yield found


def test_a_file_is_uploaded_its_columns_chosen_and_all_rows_checked(surfer: Surfer) -> None:
    tab = surfer.open("/")
    tab.get_by_role("navigation").get_by_role("link", name="New send").click()
    expect(tab.locator("noscript p")).to_be_visible()
    tab.locator("input[type=file]").set_input_files(REPOSITORY / "sample_data" / "customers.csv")
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
    tab.get_by_role("link", name="Back to the file").click()
    tab.get_by_role("button", name="Delete: customers.csv").click()
    expect(tab.get_by_text("customers.csv")).to_have_count(0)


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
