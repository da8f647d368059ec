"""The screens of ``bulk-sender web`` that the tutorial does not show: all of them, to look at after a change."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

from page_stage import (
    ADA,
    BEA,
    CAMPAIGN,
    CUSTOMERS,
    CYD,
    RECIPIENTS,
    Stage,
    broadcast,
    check,
    deliver,
    path_of,
    people,
    prepare,
    press,
    reviewed,
    send,
    until,
    upload,
)
from playwright.sync_api import Page, expect

Screen = Callable[[Stage], Page]


def at(path: str, server: str = "own", person: str = "") -> Screen:
    """Return the screen at an address."""
    return lambda stage: stage.at(path, server, person)


# ----- a new send: its file, its columns, its check


def uploading(stage: Stage) -> Page:
    """An upload that was paused: its parts are held back."""
    tab = stage.tab().context.new_page()
    tab.goto(f"{stage.server().url}/new")
    tab.route("**/api/v1/uploads/*?offset=*", lambda _route: None)
    tab.locator("input[type=file]").set_input_files(stage.folder / RECIPIENTS)
    expect(tab.locator("#upload")).to_contain_text(" of ")
    return tab


def files(stage: Stage) -> Page:
    """Files that somebody began with, and those on the server."""
    upload(stage, stage.folder / RECIPIENTS, "team", ADA)
    return stage.at("/new", "team", ADA)


def read_differently(stage: Stage) -> Page:
    tab = upload(stage, stage.folder / CUSTOMERS)
    tab.get_by_text("Read it differently").click()
    return tab


def two_columns(stage: Stage) -> Page:
    """Columns that do not fit yet."""
    tab = upload(stage, stage.folder / CUSTOMERS)
    tab.get_by_label("City: Goes out as").select_option("external_user_id")
    press(tab, "Check all rows")
    expect(tab.get_by_role("alert")).to_be_visible()
    return tab


def no_columns(stage: Stage) -> Page:
    """A file that cannot be read."""
    file = stage.folder / "export.csv"
    file.write_bytes(b"\x00\x01\x02\x03" * 100)
    tab = stage.at("/new")
    tab.locator("input[type=file]").set_input_files(file)
    tab.wait_for_url("**/new/*")
    return tab


def checking(stage: Stage) -> Page:
    tab = upload(stage, people(stage.folder / "large.csv", 300_000))
    tab.route("**/progress", lambda _route: None)  # the page stays as it is at first
    press(tab, "Check all rows")
    expect(tab.locator("h1")).to_contain_text("Checking")
    return tab


def check_stopped(stage: Stage) -> Page:
    tab = checking(stage)
    tab.unroute("**/progress")
    press(tab, "Stop the check")
    expect(tab.locator("h1")).to_contain_text("Check all rows")
    return tab


def check_of_a_send(stage: Stage) -> Page:
    return stage.at(f"{stage.once(second)}/check", "real")


def fix_before(stage: Stage) -> Page:
    """Wrong rows of a send that has not begun."""
    return stage.at(f"{stage.once(second)}/fix", "real")


# ----- a test, the review and the approval


def second(stage: Stage) -> str:
    return prepare(stage, "real")


def test_asked(stage: Stage) -> Page:
    return stage.at(f"{stage.once(second)}/test", "real")


def test_shown(stage: Stage) -> Page:
    tab = test_asked(stage)
    tab.get_by_label("Identifiers").fill("000104\n000107")
    press(tab, "Show the test")
    expect(tab.get_by_role("button", name="Send the test")).to_be_visible()
    return tab


def test_sent(stage: Stage) -> Page:
    tab = test_shown(stage)
    tab.get_by_role("button", name="Send the test").click()
    tab.wait_for_url("**/runs/**")
    until(lambda: not tab.goto(tab.url) or "/live" not in tab.url)
    tab = stage.at(f"{stage.once(second)}/test", "real")
    expect(tab.get_by_text("2 accepted")).to_be_visible()
    return tab


def wrong_count(stage: Stage) -> Page:
    tab = reviewed(stage.at(f"{stage.once(second)}/review", "real"))
    tab.get_by_label("Type the number").fill("18")
    tab.get_by_role("button", name="Send the first").click()
    return reviewed(tab)


def held_send(stage: Stage) -> str:
    """Return the address of a real send that waits after its first rows."""
    tab = reviewed(stage.at(f"{stage.once(second)}/review", "real"))
    tab.get_by_label("Type the number").fill("181")
    tab.get_by_role("button", name="Send the first").click()
    expect(tab.locator("h1")).to_contain_text("Send the other")
    return path_of(tab)


def wrong_answer(stage: Stage) -> Page:
    """The question after the first rows, with a number that does not fit."""
    tab = stage.at(stage.once(held_send), "real")
    tab.get_by_label("Type the number").fill("8")
    tab.get_by_role("button", name="Send the other").click()
    expect(tab.get_by_role("alert")).to_be_visible()
    return tab


def stopped_after_the_first(stage: Stage) -> Page:
    tab = stage.at(stage.once(held_send), "real")
    press(tab, "Stop here")
    tab.wait_for_url(re.compile("/runs/[^/]+$"))
    expect(tab.get_by_role("button", name="Resume")).to_be_visible()
    return tab


def third(stage: Stage) -> str:
    return prepare(stage, "real")


def same_people(stage: Stage) -> Page:
    """A review that names an earlier run, and cannot be sent yet."""
    stage.once(held_send)
    return reviewed(stage.at(f"{stage.once(third)}/review", "real"))


def not_started(stage: Stage) -> Page:
    """A review after a run that was refused."""
    stage.once(held_send)
    tab = reviewed(stage.at(f"{stage.once(third)}/review", "real"))
    tab.get_by_label("Type the number").fill("181")
    tab.get_by_role("button", name="Send the first").click()
    expect(tab.locator("h1")).to_contain_text("did not start")
    return tab


def not_started_review(stage: Stage) -> Page:
    return reviewed(stage.at(f"{stage.once(third)}/review", "real"))


def no_answer(stage: Stage) -> Page:
    """A review whose profile has no key."""
    tab = upload(stage, stage.folder / CUSTOMERS, "team", ADA)
    tab.get_by_label("Workspace").select_option("Trial")
    tab.get_by_label("ID of the campaign or Canvas").fill(CAMPAIGN)
    tab = stage.at(f"{check(tab)}/review", "team", ADA)
    expect(tab.get_by_text("name and state not known:")).to_be_visible()
    return tab


def of_ada(stage: Stage) -> str:
    """Return the address of a send that needs a second person."""
    return prepare(stage, "team", ADA)


def needs_approval(stage: Stage) -> Page:
    return reviewed(stage.at(f"{stage.once(of_ada)}/review", "team", ADA))


def asked(stage: Stage) -> str:
    press(needs_approval(stage), "Ask for approval")
    return stage.once(of_ada).replace("/new/", "/approvals/")


def waits(stage: Stage) -> Page:
    stage.once(asked)
    return reviewed(stage.at(f"{stage.once(of_ada)}/review", "team", ADA))


def approval(stage: Stage) -> Page:
    return reviewed(stage.at(stage.once(asked), "team", BEA))


def approvals(stage: Stage) -> Page:
    stage.once(asked)
    return stage.at("/", "team", BEA)


def own_approval(stage: Stage) -> Page:
    """The approval of a send for the person who prepared it."""
    own = prepare(stage, "team", BEA)
    press(reviewed(stage.at(f"{own}/review", "team", BEA)), "Ask for approval")
    return reviewed(stage.at(own.replace("/new/", "/approvals/"), "team", BEA))


def refused_without_a_reason(stage: Stage) -> Page:
    return reviewed(press(approval(stage), "Refuse"))


def refused(stage: Stage) -> Page:
    """What the person who asked sees after a refusal."""
    tab = approval(stage)
    tab.get_by_label("Reason, if you refuse").fill("The offer ended on Friday.")
    press(tab, "Refuse")
    return reviewed(stage.at(f"{stage.once(of_ada)}/review", "team", ADA))


def approved(stage: Stage) -> Page:
    press(needs_approval(stage), "Ask for approval")
    press(approval(stage), "Approve")
    return reviewed(stage.at(f"{stage.once(of_ada)}/review", "team", ADA))


def approved_seen(stage: Stage) -> Page:
    return reviewed(stage.at(stage.once(asked), "team", BEA))


def another_person(stage: Stage) -> Page:
    """After the first rows of a send that needed an approval: its owner may not answer."""
    tab = reviewed(stage.at(f"{stage.once(of_ada)}/review", "team", ADA))
    tab.get_by_label("Type the number").fill("181")
    tab.get_by_role("button", name="Send the first").click()
    expect(tab.locator("h1")).to_contain_text("Send the other")
    return tab


def another_answers(stage: Stage) -> Page:
    return stage.at(path_of(stage.tab("team", ADA)), "team", BEA)


def onlooker(stage: Stage) -> Page:
    """The same for a person who may only look."""
    return stage.at(path_of(stage.tab("team", BEA)), "team", CYD)


def real_live(stage: Stage) -> Page:
    tab = stage.at(path_of(stage.tab("team", BEA)), "team", BEA)
    rest = tab.locator("[data-count=not_sent]").inner_text()
    tab.get_by_label("Type the number").fill(rest)
    tab.get_by_role("button", name="Send the other").click()
    expect(tab.locator("h1")).not_to_contain_text("Send the other")
    return tab


def owner(stage: Stage) -> Page:
    """A send that another person works on."""
    return stage.at(path_of(upload(stage, stage.folder / CUSTOMERS, "team", ADA)), "team", BEA)


def changed_meanwhile(stage: Stage) -> Page:
    """What the second of two tabs gets."""
    tab = upload(stage, stage.folder / CUSTOMERS)
    other = tab.context.new_page()
    other.goto(tab.url)
    other.get_by_label("City: Goes out as").select_option("")
    press(other, "Save and show this row")
    expect(other.locator("#sight pre")).to_be_visible()
    other.close()
    press(tab, "Check all rows")
    expect(tab.locator("h1")).not_to_contain_text("What is each column")
    return tab


# ----- runs


def slow(stage: Stage) -> str:
    server = stage.server()
    page = server.begin("holiday-offer", stage.folder / RECIPIENTS, {"rate": "12/minute"})
    until(lambda: server.moment("holiday-offer").accepted > 0)
    return page


def live_dialog(stage: Stage) -> Page:
    tab = stage.at(stage.once(slow))
    tab.get_by_text("Stop…").click()
    expect(tab.get_by_role("dialog")).to_be_visible()
    return tab


def queued(stage: Stage) -> Page:
    """A run that waits until one of two others has ended."""
    stage.once(slow)
    server, file = stage.server(), stage.folder / RECIPIENTS
    server.begin("autumn-offer", file, {"rate": "12/minute"})
    until(lambda: server.moment("autumn-offer").accepted > 0)
    tab = stage.at(server.begin("advent-offer", file, {"rate": "1/second"}))
    expect(tab.locator("h1")).to_contain_text("waits for its turn")
    return tab


def runs_with_a_queue(stage: Stage) -> Page:
    return stage.at("/")


def paused(stage: Stage) -> Page:
    for run in ("advent-offer", "autumn-offer"):
        stage.server().crew.post(run).ask("stop", by="you")
    tab = stage.at(stage.once(slow))
    press(tab, "Pause")
    tab.wait_for_url(re.compile("/runs/[^/]+$"))
    expect(tab.get_by_role("button", name="Resume")).to_be_visible()
    return tab


def stopping(stage: Stage) -> Page:
    """A run whose last requests are in flight."""
    server = stage.server()
    page = server.begin("last-offer", stage.folder / RECIPIENTS, {"rate": "4/second"}, weather="slow")
    until(lambda: server.moment("last-offer").accepted >= 100)
    server.crew.post("last-offer").ask("stop", by="you")
    return stage.at(page)


def getting_ready(stage: Stage) -> Page:
    large = people(stage.folder / "larger.csv", 900_000)
    return stage.at(stage.server("real").begin("large-offer", large, {"rate": "1/second"}), "real")


def waiting_for_hours(stage: Stage) -> Page:
    """A run that waits, and says what for."""
    day = f"{datetime.now(UTC) + timedelta(days=2):%a}".lower()
    server = stage.server("real")
    page = server.begin("night-offer", stage.folder / RECIPIENTS, {"window": f"{day} 09:00-10:00 UTC"})
    until(lambda: server.moment("night-offer").waiting_on == "hours")
    return stage.at(page, "real")


def refused_run(stage: Stage) -> Page:
    tab = stage.at(stage.server("real").begin("lost-file", stage.folder / "nowhere.csv", {}), "real")
    expect(tab.locator("h1")).to_contain_text("did not start")
    return tab


def interrupted(stage: Stage) -> Page:
    """A run whose process was killed."""
    send(stage, RECIPIENTS, "summer-offer", BULK_SENDER_FAILPOINT="after_intent:12")
    return stage.at("/runs/summer-offer")


def all_accepted(stage: Stage) -> Page:
    deliver(stage, 120, "welcome")
    return stage.at("/runs/welcome")


def failed(stage: Stage) -> Page:
    """A run of which Braze refused rows."""
    deliver(stage, 120, "refused-offer", "error-body")
    return stage.at("/runs/refused-offer")


def broadcasted(stage: Stage) -> Page:
    broadcast(stage, "everybody")
    return stage.at("/runs/everybody")


def personal_asked(stage: Stage) -> Page:
    tab = stage.at("/runs/newsletter?status=rejected")
    tab.get_by_text("Show personal data").first.click()
    return tab


def personal_shown(stage: Stage) -> Page:
    tab = personal_asked(stage)
    tab.get_by_label("Why do you need").fill("A customer asked whether the mail left.")
    press(tab, "Show personal data")
    expect(tab.get_by_text("is shown on this page once")).to_be_visible()
    return tab


def personal_row(stage: Stage) -> Page:
    tab = stage.at("/runs/newsletter/rows/1")
    tab.get_by_text("Show personal data").first.click()
    tab.get_by_label("Why do you need").fill("A customer asked whether the mail left.")
    press(tab, "Show personal data")
    return tab


def report_written(stage: Stage) -> Page:
    return stage.at("/runs/newsletter/report")


def in_doubt(stage: Stage) -> str:
    """Return the address of a row that is unknown."""
    tab = stage.at("/runs/winter-offer?status=unknown")
    tab.locator("tbody th a").first.click()
    expect(tab.locator("h1")).to_contain_text("unknown")
    return path_of(tab)


def unknown_row(stage: Stage) -> Page:
    return stage.at(stage.once(in_doubt))


def asked_braze(stage: Stage) -> Page:
    tab = stage.at("/runs/winter-offer/decide")
    press(tab, "Ask Braze")
    expect(tab.get_by_role("button", name="Ask Braze again")).to_be_visible()
    return tab


def decided_wrongly(stage: Stage) -> Page:
    tab = stage.at("/runs/winter-offer/decide")
    tab.get_by_text("They have it: I saw it in Braze").click()
    press(tab, "Record this decision")
    expect(tab.get_by_role("alert")).to_contain_text("Say why")
    return tab


def decided(stage: Stage) -> Page:
    tab = stage.at("/runs/winter-offer/decide")
    tab.get_by_text("They have it: I saw it in Braze").click()
    tab.get_by_label("Why").fill("Seen in the campaign's message log.")
    press(tab, "Record this decision")
    expect(tab.locator("h1")).not_to_contain_text("may or may not")
    return stage.at(stage.once(in_doubt))


def fix_many(stage: Stage) -> Page:
    """Wrong cells that are alike in many rows."""
    send(stage, str(people(stage.folder / "ages.csv", 12, "forty")), "ages")
    return stage.at("/runs/ages/fix")


def still_wrong(stage: Stage) -> Page:
    tab = stage.at("/runs/newsletter/fix")
    tab.get_by_role("button", name="Leave out").first.click()
    return press(tab, "Save and check again")


def fixed(stage: Stage) -> Page:
    """Rows of which all are right now."""
    tab = stage.at("/runs/ages/fix")
    tab.get_by_label("New text").fill("40")
    press(tab, "Do it in all rows alike")
    expect(tab.get_by_text("can be sent")).to_be_visible()
    return tab


def too_many_to_fix(stage: Stage) -> Page:
    send(stage, str(people(stage.folder / "many-ages.csv", 400, "forty")), "many-ages")
    return stage.at("/runs/many-ages/fix")


# ----- signing in, settings, errors


def no_session(stage: Stage) -> Page:
    tab = stage.new_tab()
    tab.goto(stage.server().url)
    return tab


def no_proxy(stage: Stage) -> Page:
    tab = stage.new_tab()
    tab.goto(stage.server("team").url)
    return tab


def other_host(stage: Stage) -> Page:
    tab = stage.new_tab()
    tab.goto(stage.server().url.replace("127.0.0.1", "page.localhost"))
    return tab


def from_elsewhere(stage: Stage) -> Page:
    tab = stage.new_tab()
    tab.set_content(f'<form method="post" action="{stage.server().url}/sign-out"><button>Go</button></form>')
    press(tab, "Go")
    expect(tab.locator("h1")).to_contain_text("elsewhere")
    return tab


def checked_key(stage: Stage) -> Page:
    tab = stage.at("/settings", "team", ADA)
    press(tab, "Check the key: Production")
    press(tab, "Check the key: Trial")
    return stage.at("/settings", "team", ADA)


SCREENS: Mapping[str, Screen] = {
    # A new send.
    "web-uploading.png": uploading,
    "web-files.png": files,
    "web-columns-reading.png": read_differently,
    "web-columns-wrong.png": two_columns,
    "web-columns-unreadable.png": no_columns,
    "web-checking.png": checking,
    "web-check-stopped.png": check_stopped,
    "web-check-send.png": check_of_a_send,
    "web-fix-before.png": fix_before,
    # Its test, review and approval.
    "web-test.png": test_asked,
    "web-test-shown.png": test_shown,
    "web-test-sent.png": test_sent,
    "web-review-wrong-count.png": wrong_count,
    "web-first-rows-wrong.png": wrong_answer,
    "web-review-earlier.png": same_people,
    "web-live-not-started.png": not_started,
    "web-review-not-started.png": not_started_review,
    "web-first-rows-stopped.png": stopped_after_the_first,
    "web-review-no-key.png": no_answer,
    "web-review-needs.png": needs_approval,
    "web-review-waits.png": waits,
    "web-runs-approvals.png": approvals,
    "web-approval.png": approval,
    "web-approval-own.png": own_approval,
    "web-approval-reason.png": refused_without_a_reason,
    "web-review-refused.png": refused,
    "web-review-approved.png": approved,
    "web-approval-approved.png": approved_seen,
    "web-first-rows-another.png": another_person,
    "web-first-rows-real.png": another_answers,
    "web-first-rows-onlooker.png": onlooker,
    "web-live-real.png": real_live,
    "web-owner.png": owner,
    # Runs.
    "web-live-dialog.png": live_dialog,
    "web-queued.png": queued,
    "web-runs-queued.png": runs_with_a_queue,
    "web-result-paused.png": paused,
    "web-live-refused.png": refused_run,
    "web-live-ready.png": getting_ready,
    "web-live-waiting.png": waiting_for_hours,
    "web-live-stopping.png": stopping,
    "web-result-interrupted.png": interrupted,
    "web-result-unknown.png": at("/runs/winter-offer"),
    "web-result-all.png": all_accepted,
    "web-result-failed.png": failed,
    "web-result-broadcast.png": broadcasted,
    "web-result-rows.png": at("/runs/winter-offer?status=accepted"),
    "web-result-nothing.png": at("/runs/winter-offer?q=nobody"),
    "web-runs-full.png": at("/"),
    "web-runs-nothing.png": at("/?q=nothing"),
    "web-people.png": at("/people?who=customer-000001"),
    "web-people-nobody.png": at("/people?who=nobody"),
    "web-personal.png": personal_asked,
    "web-personal-shown.png": personal_shown,
    "web-personal-row.png": personal_row,
    "web-report.png": report_written,
    "web-row-rejected.png": at("/runs/newsletter/rows/32"),
    "web-row-unknown.png": unknown_row,
    "web-fix-many.png": fix_many,
    "web-fix-wrong.png": still_wrong,
    "web-fix-right.png": fixed,
    "web-fix-too-many.png": too_many_to_fix,
    "web-decide-failed.png": at("/runs/refused-offer/decide"),
    "web-decide-wrong.png": decided_wrongly,
    "web-decide-asked.png": asked_braze,
    "web-row-decided.png": decided,
    # Settings, other people's pages, and errors.
    "web-settings.png": at("/settings"),
    "web-settings-team.png": checked_key,
    "web-audit.png": at("/settings/audit", "team", BEA),
    "web-onlooker-runs.png": at("/", "team", CYD),
    "web-onlooker-new.png": at("/new", "team", CYD),
    "web-locked-runs.png": at("/", "locked"),
    "web-locked-result.png": at("/runs/newsletter", "locked"),
    "web-locked-settings.png": at("/settings", "locked"),
    "web-error-missing.png": at("/runs/nowhere"),
    "web-error-changed.png": changed_meanwhile,
    "web-error-session.png": no_session,
    "web-error-proxy.png": no_proxy,
    "web-error-host.png": other_host,
    "web-error-elsewhere.png": from_elsewhere,
}
