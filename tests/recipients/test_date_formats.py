"""Formats of dates: checked when the configuration is read, and read as ``datetime.strptime`` documents."""

from __future__ import annotations

import datetime as dt
import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import bulk_sender as bs
from bulk_sender.config.model import Config
from bulk_sender.errors import ConfigError
from bulk_sender.recipients.convert import Convention
from bulk_sender.text.date_formats import DateFormat
from tests.kit.inputs import put
from tests.recipients.converting import WRONG, Sent, converted

DAYS = ("%d/%m/%Y", "%d/%m/%y", "%Y%m%d", "%d. %B %Y", "%b %d, %Y", "%A %d %b %y", "%a, %d%b%Y", "%Y-%j", "%m/%Y", "%Y")
CLOCKS = ("", "%H", "%H:%M", "%H%M%S", "%I:%M %p", "%I%p", "%H:%M:%S.%f", "%H:%M:%S %z", "T%H:%M:%S%z")
FORMATS = st.builds(
    lambda day, gap, clock: f"{day}{gap}{clock}", *map(st.sampled_from, (DAYS, (" ", "", "%%"), CLOCKS))
)
MOMENTS = st.datetimes(dt.datetime(1000, 1, 1), dt.datetime(3000, 12, 31), timezones=st.just(dt.UTC))
PIECES = st.text("0123456789 /-:.,+aApPmMZT%年", max_size=3)


def of_python(cell: str, form: str) -> dt.datetime | None:
    """What Python makes of a cell without the blanks around it, in UTC; None if it is refused."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            found = dt.datetime.strptime(cell.strip(), form.strip())
    except ValueError:
        return None
    return found.astimezone(dt.UTC) if found.tzinfo else found.replace(tzinfo=dt.UTC)


def written(sent: Sent) -> dt.datetime | None:
    return dt.datetime.fromisoformat(sent.strip('"')) if isinstance(sent, str) else None


@given(FORMATS, MOMENTS)
@example("%d/%m/%Y %H:%M:%S.%f", dt.datetime(2026, 2, 28, 10, 0, 0, 500_000, tzinfo=dt.UTC))
def test_what_python_writes_in_a_format_is_read_like_python_does(form: str, at: dt.datetime) -> None:
    cell = at.strftime(form)
    expected = of_python(cell, form)
    found = written(converted([cell], "datetime", by=Convention(format=form))[0])
    if expected is not None and expected.weekday() != at.weekday() and ("%A" in form or "%a" in form):
        expected = None  # the weekday is another one in the other century
    assert found == expected
    days = converted([cell], "date", by=Convention(format=form))
    assert days == [f'"{expected:%Y-%m-%d}"' if expected else WRONG]


@given(FORMATS, MOMENTS, st.data())
@example("%d/%m/%Y %H:%M", dt.datetime(1, 2, 3, 1, tzinfo=dt.UTC), None)
def test_any_other_cell_is_read_like_python_does_or_refused(form: str, at: dt.datetime, data: Any) -> None:
    cell = at.strftime(form)
    if data is not None:
        place = data.draw(st.integers(0, len(cell)))
        cell = cell[:place] + data.draw(PIECES) + cell[place + data.draw(st.integers(0, 3)) :]
    found = written(converted([cell], "datetime", by=Convention(format=form))[0])
    assert found is None or found == of_python(cell, form)


@pytest.mark.parametrize(
    ("form", "cell", "sent"),
    [
        ("%d/%m/%Y", "28/02/26", WRONG),
        ("%d/%m/%y", "28/02/26", '"2026-02-28T00:00:00+00:00"'),
        ("%d/%m/%y", "28/02/69", '"1969-02-28T00:00:00+00:00"'),
        ("%d/%m/%Y %H:%M", "1/2/3 1:00", WRONG),
        ("%d/%m/%Y", "28/02/+2026", WRONG),
        ("%d/%m/%Y", "28/02/0999", WRONG),
        ("%d/%m/%Y", "28/02/3001", WRONG),
        ("%d/%m/%Y", "31/12/3000", '"3000-12-31T00:00:00+00:00"'),
        ("%Y-%m-%d %H:%M:%S.%f", "2026-02-28 10:00:00.5", '"2026-02-28T10:00:00.500+00:00"'),
        ("%Y-%m-%d %H:%M:%S.%f", "2026-02-28 10:00:00.0000005", WRONG),
        ("%Y-%m-%d %H:%M:%S", "2026-02-28 10:00:60", WRONG),
        ("%Y-%m-%d %H:%M", "2026-02-28 24:00", WRONG),
        ("%Y-%m-%d %H:%M", "2026-02-2810:00", WRONG),
        ("%Y-%m-%d %H", "2026-02-28 10", '"2026-02-28T10:00:00+00:00"'),
        ("%Y-%m-%d %I:%M %p", "2026-02-28 12:05 AM", '"2026-02-28T00:05:00+00:00"'),
        ("%d %B %Y", "28 Feb 2026", WRONG),
        ("%Y %j", "2024 366", '"2024-12-31T00:00:00+00:00"'),
        ("%Y %j", "2026 366", WRONG),
        ("%a %d/%m/%Y", "Sun 28/02/2026", WRONG),  # it was a Saturday
        ("%Y-%m-%dT%H:%M%z", "2026-02-28T10:00+02:00", '"2026-02-28T08:00:00+00:00"'),
        ("%Y-%m-%dT%H:%M%z", "2026-02-28T10:00Z", '"2026-02-28T10:00:00+00:00"'),
        ("%Y-%m-%dT%H:%M%z", "2026-02-28T10:00+99:00", WRONG),
        ("%Y年%m月%d日", "2026年2月8日", '"2026-02-08T00:00:00+00:00"'),
    ],
)
def test_a_cell_is_read_by_its_format(form: str, cell: str, sent: Sent) -> None:
    assert converted([cell], "datetime", by=Convention(format=form)) == [sent]


@pytest.mark.parametrize(
    ("form", "advice"),
    [
        ("%D", "write %m/%d/%y"),
        ("%F", "write %Y-%m-%d"),
        ("%T %d/%m/%Y", "write %H:%M:%S"),
        ("%e/%m/%Y", "write %d"),
        ("%-d/%-m/%Y", "write %d"),
        ("%#d/%m/%Y", "write %d"),
        ("%Y-%m-%d %H:%M:%S%.f", "write .%f"),
        ("%Y-%m-%d %H:%M:%S.%3f", "write %f"),
        ("%Y-%m-%d %H:%M%:z", "write %z"),
        ("%Y-%m-%d %H:%M %Z", "use %z for an offset, or [input] timezone"),
        ("%s", "send them as a number"),
        ("%x", "write %m/%d/%y"),
        ("%c", "write %a %b %d %H:%M:%S %Y"),
        ("%G-W%V-%u", "write %Y"),
        ("%Y-%U-%w", "a week cannot be read"),
        ("%d/%M/%Y", "months are %m"),
        ("%Y-%m-%d %H:%m", "minutes are %M"),
        ("%d/%m", "has no year"),
        ("%d/%Y", "no month: add %m"),
        ("%Y-%m-%d %I:%M", "write %H for hours from 0 to 23, or add %p"),
        ("%Y-%m-%d %H:%M %p", "write %I instead of %H"),
        ("%y/%Y", "keep one"),
        ("%Y-%m-%d %H:%S", "no minutes (%M)"),
        ("%d/%m/%Y%", "write %% for a percent sign"),
        ("%K %Y", "use %Y %y %m"),
        ("DD/MM/YYYY", "write '%d/%m/%Y'"),
        ("dd.MM.yyyy HH:mm:ss", "write '%d.%m.%Y %H:%M:%S'"),
        ("MM/dd/yyyy hh:mm a", "write '%m/%d/%Y %I:%M %p'"),
        ("yyyy-MM-ddTHH:mm:ss.SSS", "write '%Y-%m-%dT%H:%M:%S.%f'"),
        ("TT.MM.JJJJ", "write '%d.%m.%Y'"),
        ("jj/mm/aaaa", "write '%d/%m/%Y'"),
        ("%1d/%m/%Y", "write %d"),
        ("%d/%m/%Ey", "write %y"),
        ("%Y-%m-%d %OH", "write %H"),
        ("%dd/%mm/%yyyy", "write '%d/%m/%Y'"),
        ("%DD/%MM/%YYYY", "write '%d/%m/%Y'"),
        ("%d/%m/%YY", "write '%d/%m/%Y'"),
        ("%HH:%MM %d%m%Y", "write '%H:%M %d%m%Y'"),
        ("DD-MON-YYYY HH24:MI:SS", "write '%d-%b-%Y %H:%M:%S'"),
        ("YYYY-MM-DD HH12:MI AM", "write '%Y-%m-%d %I:%M %p'"),
        ("YYYYMMDDHH24MISS", "write '%Y%m%d%H%M%S'"),
        ("ddMMyyyy", "write '%d%m%Y'"),
        ("yyyy-MM-dd'T'HH:mm:ss.SSSXXX", "write '%Y-%m-%dT%H:%M:%S.%f%z'"),
        ("EEE, d MMM yyyy HH:mm:ss Z", "write '%a, %d %b %Y %H:%M:%S %z'"),
        ("[$-407]dd\\.mm\\.yyyy;@", "write '%d.%m.%Y'"),
        ("d/m/Y H:i:s", "write '%d/%m/%Y %H:%M:%S'"),
        ("d.m.y", "write '%d.%m.%y'"),
        ("gg/mm/aaaa", "write '%d/%m/%Y'"),
        ("ISO8601", "leave it out for ISO 8601"),
        ("epoch", "send them as a number"),
        ("auto", "no directive such as %d"),
        ("", "no directive such as %d"),
    ],
)
def test_a_format_that_cannot_be_meant_is_refused_with_the_nearest_right_form(form: str, advice: str) -> None:
    field = {"column": "d", "type": "datetime", "format": form}
    with pytest.raises(ConfigError) as refused:
        Config.parse({"recipient": {"trigger_properties": {"d": field}}}, where="job.toml")
    assert "recipient.trigger_properties.d" in str(refused.value)
    assert advice in str(refused.value)


@pytest.mark.parametrize("form", ["дд.мм.гггг", "LL", "oo/mm/yyyy"])
def test_a_word_that_is_not_understood_gives_no_half_right_form(form: str) -> None:
    with pytest.raises(ValueError, match=r"has no directive such as %d$"):
        DateFormat.parse(form)


@pytest.mark.parametrize("form", ["%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d %H:%M Z "])
def test_a_z_behind_the_time_means_utc_whatever_the_timezone(form: str) -> None:
    cell = dt.datetime(2026, 3, 29, 2, 30).strftime(form)
    by = Convention(format=form, timezone="Europe/Paris")
    assert converted([cell], "datetime", by=by) == ['"2026-03-29T02:30:00+00:00"']


@given(st.text("%YymdHMSfzpIjbBaA:/- .TzeDFcxXs%3#", max_size=12))
def test_a_format_is_accepted_only_if_python_accepts_it(form: str) -> None:
    try:
        DateFormat.parse(form)
    except ValueError:
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            dt.datetime.strptime("", form.strip())
    except ValueError as error:
        assert "does not match format" in str(error)


@pytest.mark.parametrize(
    ("cell", "advice"),
    [
        ("28/02/26", ": a year of two digits is %y"),
        ("31/12/9999", ": years are from 1000 to 3000"),
        ("soon", ""),
    ],
)
def test_a_rejected_date_says_what_would_read_it(cell: str, advice: str, tmp_path: Path) -> None:
    field = {"column": "d", "type": "date", "format": "%d/%m/%Y"}
    config = {"recipient": {"external_user_id": "id", "trigger_properties": {"d": field}}}
    report = bs.check(put(tmp_path, "people.csv", f"id,d\nu1,{cell}\nu2,28/02/2026\n"), config=config)
    assert (report.rejected, report.samples[0]["trigger_properties"]) == (1, {"d": "2026-02-28"})
    [found] = report.reasons["invalid_value"]["examples"]
    assert found["error"] == f"column 'd': '{cell}' is not a date in the format %d/%m/%Y{advice}"


@pytest.mark.parametrize(
    ("cell", "advice"),
    [
        ("28/02/2026", ': give the column a format, such as "%d/%m/%Y"'),
        ("02/28/2026", ': give the column a format, such as "%m/%d/%Y"'),
        ("28.02.2026", ': give the column a format, such as "%d.%m.%Y"'),
        ("28/2/26", ': give the column a format, such as "%d/%m/%y"'),
        ("31/02/2026", ": there is no such day"),
        ("2026.02.30", ": there is no such day"),
        ("0026-02-28", ": years are from 1000 to 9999"),
        ("1.2.3", ""),
    ],
)
def test_the_format_that_a_rejected_date_needs_is_named(cell: str, advice: str, tmp_path: Path) -> None:
    config = {"recipient": {"external_user_id": "id", "trigger_properties": {"d": {"column": "d", "type": "date"}}}}
    report = bs.check(put(tmp_path, "people.csv", f"id,d\nu1,{cell}\nu2,2026-02-28\n"), config=config)
    [found] = report.reasons["invalid_value"]["examples"]
    assert found["error"] == f"column 'd': '{cell}' is not a date, such as 2026-02-28{advice}"


def test_a_rejected_time_that_no_clock_showed_says_so(tmp_path: Path) -> None:
    field = {"column": "d", "type": "datetime", "format": "%d/%m/%Y %H:%M"}
    config = {
        "input": {"timezone": "Europe/Paris"},
        "recipient": {"external_user_id": "id", "trigger_properties": {"d": field}},
    }
    report = bs.check(put(tmp_path, "people.csv", "id,d\nu1,29/03/2026 02:30\nu2,29/03/2026 03:30\n"), config=config)
    [found] = report.reasons["invalid_value"]["examples"]
    assert found["error"].endswith("in the format %d/%m/%Y %H:%M: daylight saving skips this time")


def test_a_format_with_a_fraction_prints_no_warning(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    field = {"column": "d", "type": "datetime", "format": "%Y-%m-%d %H:%M:%S.%f"}
    config = {"recipient": {"external_user_id": "id", "trigger_properties": {"d": field}}}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        report = bs.check(put(tmp_path, "people.csv", "id,d\nu1,2026-02-28 10:00:00.5\n"), config=config)
    assert report.samples[0]["trigger_properties"] == {"d": "2026-02-28T10:00:00.500+00:00"}
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("wanted", "cell", "sent"),
    [
        ("date", "0026-02-28", WRONG),
        ("date", "1000-01-01", '"1000-01-01"'),
        ("date", "9999-12-31", '"9999-12-31"'),
        ("datetime", "0026-02-28T10:00:00", WRONG),
        ("datetime", "0999-12-31 10:00", WRONG),
    ],
)
def test_an_iso_date_has_a_year_of_four_digits(wanted: Any, cell: str, sent: Sent) -> None:
    assert converted([cell], wanted) == [sent]
    assert converted([cell, " x "], wanted)[0] == sent
