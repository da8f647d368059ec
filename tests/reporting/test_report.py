"""``report.html``: true to the journal, harmless whatever it quotes, and sound as markup."""

from __future__ import annotations

import re
import stat
import sys
from itertools import pairwise
from pathlib import Path

import pytest

import bulk_sender as bs
from bulk_sender.errors import RunNotFoundError
from bulk_sender.journal.records import Status
from bulk_sender.reporting.report import charts
from bulk_sender.reporting.report.page import gather, render, write_report
from bulk_sender.text.pages import style
from tests.faults import FaultServer
from tests.kit.journals import Sent, written
from tests.kit.journals import read as journal_read
from tests.kit.target import KEY
from tests.reporting.markup import Element, read
from tests.reporting.runs import HOSTILE_CAMPAIGN, HOSTILE_COLUMN, HOSTILE_MESSAGE, Run, shouted

CSS = style(Path(charts.__file__).parent / "report.css")


def with_id(page: Element, name: str) -> Element:
    [found] = [element for element in page.all() if element.attributes.get("id") == name]
    return found


def test_the_numbers_on_the_page_are_those_of_the_summary(any_run: Run) -> None:
    page, told = read(any_run.page), any_run.told
    counted = {item.attributes["data-status"]: item for item in page.all("li") if "data-status" in item.attributes}
    assert set(counted) == set(Status)
    for status, item in counted.items():
        [figure] = item.all("data")
        assert figure.attributes["value"] == str(told[status])
        assert figure.words() == f"{told[status]:,}"
    assert with_id(page, "rows").all("data")[0].attributes["value"] == str(told["rows"])
    assert with_id(page, "elapsed_s").attributes["value"] == str(told["elapsed_s"])
    assert with_id(page, "recipients_per_s").attributes["value"] == str(told["recipients_per_s"])
    assert with_id(page, "state").words() == told["state"]
    assert with_id(page, "requests").words() == "Requests"
    text = page.words()
    assert f"{told['requests']:,} requests for {told['batches']:,} batches" in text
    assert str(told["run_id"]) in text


def test_trouble_comes_with_its_command(lost: Run) -> None:
    assert lost.summary.unknown
    page = read(lost.page)
    item = next(item for item in page.all("li") if item.attributes.get("data-status") == "unknown")
    commands = [code.words() for code in item.all("code")]
    where = f"--runs-dir {lost.folder.parent}"
    assert commands == [
        f"bulk-sender reconcile lost-answers {where}",
        f"bulk-sender explain lost-answers ROW {where}",
        f"bulk-sender resolve lost-answers --as accepted {where}",
        f"bulk-sender resolve lost-answers --as failed {where}",
        f"bulk-sender retry lost-answers --unknown {where}",
    ]


def test_every_run_has_its_report_private_and_named_in_the_summary(any_run: Run) -> None:
    path = any_run.folder / "report.html"
    assert any_run.summary.files["report"] == str(path)
    assert any_run.told["files"]["report"] == str(path)  # type: ignore[index]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not list(any_run.folder.glob(".*"))


def test_the_markup_is_sound(any_run: Run) -> None:
    page = read(any_run.page)
    [html] = page.all("html")
    assert html.attributes["lang"] == "en"
    assert len(page.all("main")) == len(page.all("h1")) == len(page.all("title")) == 1
    ids = [element.attributes["id"] for element in page.all() if "id" in element.attributes]
    assert len(ids) == len(set(ids))
    for element in page.all():
        assert set(element.attributes.get("aria-labelledby", "").split()) <= set(ids)
    levels = [int(element.tag[1]) for element in page.all() if re.fullmatch("h[1-6]", element.tag)]
    assert levels[0] == 1 and all(after - before <= 1 for before, after in pairwise(levels))
    for picture in page.all("svg"):
        drawn = picture.attributes
        assert drawn.get("aria-hidden") == "true" or (drawn["role"] == "img" and len(drawn["aria-label"]) > 20)
    for heading in page.all("th"):
        assert heading.attributes["scope"] in ("col", "row")


def test_nothing_in_the_page_runs_or_is_fetched(any_run: Run) -> None:
    page = read(any_run.page)
    for element in page.all():
        assert element.tag not in ("script", "iframe", "object", "embed", "img", "base", "form", "audio", "video")
        assert not [name for name in element.attributes if name.startswith("on") or name in ("style", "src", "srcset")]
        address = element.attributes.get("href", element.attributes.get("xlink:href", ""))
        assert address in ("", "data:,", "results.csv", "summary.json")
    assert "url(" not in CSS and "@import" not in CSS


def test_the_policy_allows_this_one_style_and_nothing_else(calm: Run) -> None:
    page = read(calm.page)
    [policy] = [meta.attributes["content"] for meta in page.all("meta") if "http-equiv" in meta.attributes]
    assert re.fullmatch(
        r"default-src 'none'; style-src 'sha256-[A-Za-z0-9+/]{43}='; img-src data:;"
        r" base-uri 'none'; form-action 'none'",
        policy,
    )
    assert len(page.all("style")) == 1


@pytest.mark.parametrize("text", [HOSTILE_MESSAGE, HOSTILE_CAMPAIGN, "<script>alert('setting')</script>"])
def test_what_comes_from_outside_is_shown_as_text(hostile: Run, text: str) -> None:
    assert text not in hostile.page
    assert text in read(hostile.page).words()


def test_a_columns_name_is_shown_as_text_too(hostile: Run) -> None:
    assert "<img" not in hostile.page
    assert HOSTILE_COLUMN in read(hostile.page).words()


def test_nobody_is_named(any_run: Run) -> None:
    assert not re.search(r"customer-\d{6}|>-\d{4}|someone@", read(any_run.page).words())


def test_the_key_is_not_in_the_page_though_the_server_quotes_it(hostile: Run) -> None:
    assert "with Bearer ***" in read(hostile.page).words()
    assert KEY not in hostile.page


def test_a_proxys_password_is_in_no_file_of_a_run_that_it_carried(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = tmp_path / "one.csv"
    source.write_text("external_user_id\na\n")
    with FaultServer() as proxy:
        summary = bs.send(
            source,
            config={"braze": {"endpoint": "http://127.0.0.1:9", "campaign_id": "c"}},
            run_id="run",
            runs_dir=tmp_path / "runs",
            environment={"BRAZE_API_KEY": KEY, "BULK_SENDER_PROXY": proxy.url.replace("//", "//user:hunter2@")},
        )
    assert (summary.state, summary.accepted) == ("finished", 1)
    assert proxy.ledger.accepted[0].target.startswith("http://127.0.0.1:9/")
    assert "hunter2" not in caplog.text
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not [path for path in written if b"hunter2" in path.read_bytes()]


def test_a_long_enough_run_has_charts_in_two_widths_with_tables_behind(throttled: Run) -> None:
    page = read(throttled.page)
    figures = page.all("figure")
    assert [figure.all("h3")[0].words() for figure in figures] == ["Requests a second", "Response time"]
    for figure in figures:
        boxes = [svg.attributes["viewbox"].split()[2] for svg in figure.all("svg") if svg.attributes.get("role")]
        assert boxes == [str(charts.WIDE), str(charts.NARROW)]
    [details] = page.all("details")
    rows = details.all("tbody")[0].all("tr")
    assert sum(int(row.all("data")[0].attributes["value"]) for row in rows) == throttled.summary.requests
    throttles = sum(int(row.all("data")[2].attributes["value"]) for row in rows)
    assert throttles > 0 and f"{throttles} answer{'s were' if throttles > 1 else ' was'} a 429" in page.words()


def test_colours_of_a_chart_are_the_pages_own(throttled: Run) -> None:
    pictures = "".join(re.findall(r'<svg role="img".*?</svg>', throttled.page, re.S))
    assert set(re.findall(r'(?:fill|stroke)="(?!none)(.*?)"', pictures)) <= {
        f"var(--{name})" for name in ("accepted", "throttled", "refused", "unknown", "ink", "muted", "line", "shade")
    }


def test_a_moments_run_has_a_table_and_no_charts(calm: Run) -> None:
    page = read(calm.page)
    assert page.all("figure") == []
    assert "too short for charts" in with_id(page, "no-charts").words()
    [details] = page.all("details")
    assert "open" in details.attributes


def test_without_the_extra_the_report_has_tables_and_says_how_to_get_charts(
    throttled: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    with journal_read(throttled.folder) as journal:
        page = read(render(gather(journal, throttled.summary)))
    assert page.all("figure") == []
    assert "pip install vl-convert-python" in with_id(page, "no-charts").words()
    assert len(page.all("details")[0].all("tr")) > 6


def test_a_drawing_that_fails_costs_the_charts_and_nothing_else(
    throttled: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Panic(BaseException):
        """As a panic in Rust arrives."""

    def fail(spec: object) -> str:
        raise Panic

    monkeypatch.setattr("vl_convert.vegalite_to_svg", fail)
    with journal_read(throttled.folder) as journal:
        page = read(render(gather(journal, throttled.summary)))
    assert "could not be drawn (Panic)" in with_id(page, "no-charts").words()


def test_the_report_is_written_again_as_the_journal_stands_now(tmp_path: Path) -> None:
    source = tmp_path / "people.csv"
    source.write_text("external_user_id\n" + "\n".join(f"customer-{row:06d}" for row in range(4000)))
    options = {"config": {"delivery": {"rate": "1000/second"}}, "run_id": "run", "runs_dir": tmp_path}
    bs.send(source, **options, sandbox=bs.Sandbox(weather="lost-answers"))
    path = tmp_path / "run" / "report.html"
    before = path.read_text()
    path.unlink()
    assert bs.report("run", runs_dir=tmp_path) == path
    made = re.compile(r"journal on <time.*?</time>")
    assert made.sub("", path.read_text()) == made.sub("", before)
    count, summary = bs.resolve("run", verdict="accepted", why="<seen> in Braze", runs_dir=tmp_path)
    page = read(path.read_text())
    assert summary.unknown == 0 and f"{count} rows" in page.words()
    assert re.search(r"decided: accepted .* <seen> in Braze", page.words())


def test_a_run_that_does_not_exist_has_no_report(tmp_path: Path) -> None:
    with pytest.raises(RunNotFoundError):
        bs.report("nowhere", runs_dir=tmp_path)


def test_a_stopped_run_says_why_and_how_to_go_on(tmp_path: Path) -> None:
    source = tmp_path / "people.csv"
    source.write_text("external_user_id\n" + "\n".join(f"customer-{row}" for row in range(500)))
    control = bs.Control()
    control.stop("it is late <now>")
    bs.send(source, run_id="run", runs_dir=tmp_path, sandbox=True, watch=bs.Watch(control=control))
    page = read((tmp_path / "run" / "report.html").read_text())
    assert "it is late <now>" in with_id(page, "reason").words()
    assert f"bulk-sender resume run --runs-dir {tmp_path}" in page.words()
    assert "The run stopped before its end. 0 of 500 rows accepted; 500 need your attention" in page.words()


@pytest.mark.parametrize(
    ("campaign", "status", "command"),
    [
        ("take", "accepted", None),
        ("lose", "unknown", "bulk-sender resolve shout --as accepted"),
        ("refuse", "failed", None),
        ("stop", "not_sent", "bulk-sender broadcast --run-id shout --confirm ID"),
    ],
)
def test_a_broadcast_has_no_rows_but_a_result(tmp_path: Path, campaign: str, status: str, command: str | None) -> None:
    control = bs.Control()
    if campaign == "stop":
        control.stop("too late")
    run = shouted(tmp_path, campaign, control)
    assert run.summary.broadcast is not None and run.summary.broadcast.status == status
    page = read(run.page)
    assert page.all("p")[1].words() == f"The broadcast is {status.replace('_', ' ')}."
    assert with_id(page, "broadcast").words() == "What happened to the broadcast"
    assert not [item for item in page.all("li") if "data-status" in item.attributes]
    commands = [code.words() for code in page.all("code") if code.attributes.get("class") == "command"]
    assert (commands[0] if commands else None) == (command and f"{command} --runs-dir {tmp_path}")
    assert (HOSTILE_MESSAGE in page.words()) == (campaign in ("lose", "refuse"))
    assert ("<b>take</b>" in page.words()) == (campaign == "take")
    assert HOSTILE_MESSAGE not in run.page and KEY not in run.page


def test_a_running_run_can_be_looked_at(tmp_path: Path) -> None:
    with written(tmp_path / "run", [Sent(0), Sent(1, "open")]):
        page = read(bs.report("run", runs_dir=tmp_path).read_text())
    assert with_id(page, "state").words() == "running"
    assert "The run is in progress: 50 of 100 rows accepted so far." in page.words()


def test_a_report_that_can_not_be_written_leaves_the_earlier_one(calm: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    before = calm.page
    monkeypatch.setattr("os.fsync", lambda descriptor: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with (
        journal_read(calm.folder) as journal,
        pytest.raises(bs.BulkSenderError, match=r"report\.html cannot be written"),
    ):
        write_report(journal, calm.summary, calm.folder / "report.html")
    assert calm.page == before


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_and_marks_stand_out_from_the_paper(scheme: str) -> None:
    """WCAG 2.2, AA: 4.5:1 for text, 3:1 for what carries meaning without words."""
    blocks = re.findall(r":root \{(.*?)\}", CSS, re.S)
    colours = dict(re.findall(r"--(\w+): (#[0-9a-f]{6});", blocks[0 if scheme == "light" else 1]))
    for paper in (colours["paper"], colours["tint"]):
        assert all(contrast(colours[name], paper) >= 4.5 for name in ("ink", "muted", "link"))
    marks = ("accepted", "duplicate", "rejected", "throttled", "failed", "refused", "unknown", "muted")
    assert all(contrast(colours[name], colours["paper"]) >= 3 for name in marks)


def test_nothing_moves() -> None:
    assert not re.search(r"animation|transition|scroll-behavior", CSS)


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
