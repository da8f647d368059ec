"""Row filter (``input.filter``): SQL over the input's columns, even when all are text."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from bulk_sender.config.model import InputConfig
from bulk_sender.errors import ConfigError, InputError
from bulk_sender.operations.check import check
from bulk_sender.recipients.filter import Filter
from tests.kit.inputs import put

TEXT = pl.DataFrame(
    {
        "country": ["FR", "DE", "FR", "FR", None],
        "opted_in": ["true", "false", "yes", "0", "1"],
        "age": ["18", "x", "7", " 99", None],
        "First name": ["Zoé", "a", "b", "c", "d"],
        "day": ["2026-01-01", "2026-02-01", "2026-03-01", "2026-01-02", None],
    }
)


def _chosen(condition: str, frame: pl.DataFrame = TEXT, decimal: str = ".") -> list[int]:
    config = InputConfig.model_validate({"filter": condition, "decimal": decimal})
    return Filter.of(config, frame.schema).select(frame).arg_true().to_list()


@pytest.mark.parametrize(
    ("condition", "rows"),
    [
        ("country = 'FR' AND opted_in", [0, 2]),
        ("NOT opted_in", [1, 3]),
        ("opted_in = 'true'", [0]),
        ("age > 17", [0, 3]),
        ("age BETWEEN 1 AND 20 AND opted_in", [0, 2]),
        ("age IS NULL", [4]),
        ("country IN ('DE', 'IT') OR age < 10", [1, 2]),
        ("country LIKE 'F%'", [0, 2, 3]),
        ("\"First name\" = 'Zoé'", [0]),
        ("day >= '2026-02-01'", [1, 2]),
        ("DATE(day) >= DATE '2026-02-01'", [1, 2]),
        ("age > 7.5", [0, 3]),
        ("age = 18.0 AND country <> '1.5'", [0]),
        ("1 = 1", [0, 1, 2, 3, 4]),
        ("1 = 0", []),
    ],
)
def test_a_condition_over_text_selects_the_expected_rows(condition: str, rows: list[int]) -> None:
    assert _chosen(condition) == rows


def test_typed_columns_are_compared_by_their_type() -> None:
    frame = pl.DataFrame({"n": [1, 5, None], "b": [True, False, True], "t": ["1", "2", "3"]})
    assert _chosen("n > 2 OR b", frame) == [0, 1, 2]
    assert _chosen("b AND t > 1", frame) == [2]


def test_the_decimal_comma_of_the_input_applies_to_its_filter() -> None:
    assert _chosen("total > 1.4", pl.DataFrame({"total": ["1,5", "1,3", "1.500"]}), ",") == [0]


@pytest.mark.parametrize(
    "condition",
    [
        "nowhere = 1",
        "country =",
        "count(*) > 1",
        "age > max(age)",
        "row_number() OVER () = 1",
        "(SELECT 1)",
        "'text'",
        "read_csv('/etc/hostname')",
    ],
)
def test_an_invalid_condition_is_refused_before_any_row_is_read(condition: str) -> None:
    with pytest.raises(ConfigError, match=r"input\.filter"):
        Filter.of(InputConfig(filter=condition), TEXT.schema)


def test_the_filter_does_not_change_what_is_sent(tmp_path: Path) -> None:
    path = put(tmp_path, "people.csv", "external_user_id,attributes.zip\n007,01\n008,02\n")
    report = check(path, overrides={"input.filter": "external_user_id > 7"})
    assert report.samples == [{"external_user_id": "008", "attributes": {"zip": "02"}}]
    assert report.rows == 1


def test_a_malformed_row_is_reported_regardless_of_the_filter(tmp_path: Path) -> None:
    path = put(tmp_path, "people.csv", "external_user_id,attributes.zip\n1,a\n2\n3,b\n")
    report = check(path, overrides={"input.filter": "\"attributes.zip\" = 'b'"})
    assert (report.rows, report.valid, report.rejected) == (2, 1, 1)


def test_the_limit_counts_only_rows_that_pass_the_filter(tmp_path: Path) -> None:
    path = put(tmp_path, "people.csv", "external_user_id\n" + "\n".join(map(str, range(100))))
    report = check(path, overrides={"input.filter": "external_user_id >= 50", "input.limit": 10})
    assert [sample["external_user_id"] for sample in report.samples] == ["50", "51", "52"]
    assert report.rows == 10


def test_constants_and_fallback_identifiers_are_sent(tmp_path: Path) -> None:
    path = put(tmp_path, "people.csv", "id,mail,x\nu1,a@example.com,\n,b@example.com,\n,,x\n")
    report = check(
        path,
        config={
            "recipient": {
                "external_user_id": "id",
                "email": "mail",
                "prioritization": ["identified", "most_recently_updated"],
                "attributes": {"source": {"value": "list"}},
            }
        },
    )
    assert report.identifiers == {"external_user_id": 1, "email": 1}
    assert report.samples[0] == {"external_user_id": "u1", "attributes": {"source": "list"}}
    assert report.reasons["missing_identifier"]["count"] == 1


@pytest.mark.parametrize(("nulls", "sent"), [("omit", {}), ("send", {"attributes": {"tier": None}})])
def test_empty_cells_are_left_out_or_clear_the_attribute(nulls: str, sent: object, tmp_path: Path) -> None:
    path = put(tmp_path, "people.csv", "external_user_id,attributes.tier\nu1,\n")
    assert check(path, overrides={"input.nulls": nulls}).samples == [{"external_user_id": "u1"} | dict(sent)]  # type: ignore[call-overload]


@pytest.mark.parametrize(("duplicates", "counts"), [("first", (1, 1)), ("allow", (2, 0))])
def test_a_repeated_identifier_is_sent_once_unless_duplicates_are_allowed(
    duplicates: str, counts: tuple[int, int], tmp_path: Path
) -> None:
    report = check(
        put(tmp_path, "people.csv", "external_user_id\nu1\nu1\n"), overrides={"input.duplicates": duplicates}
    )
    assert (report.valid, report.duplicate) == counts


def test_a_cell_that_makes_the_condition_fail_raises_a_readable_error() -> None:
    chosen = Filter.of(InputConfig(filter="DATE(day) > DATE '2026-01-01'"), TEXT.schema)
    with pytest.raises(ConfigError, match="cannot be applied to every row"):
        chosen.select(TEXT.with_columns(day=pl.lit("soon")))


def test_a_filter_that_keeps_no_row_says_so_and_shows_the_values(tmp_path: Path) -> None:
    rows = "".join(f"{n},{answer}\n" for n, answer in enumerate(["Oui"] * 3 + ["Non"] * 2 + ["OUI"]))
    path = put(tmp_path, "people.csv", "external_user_id,Opt-in\n" + rows)
    with pytest.raises(InputError) as refused:
        check(path, overrides={"input.filter": "\"Opt-in\" = 'yes'"})
    assert str(refused.value) == "none of the 6 rows matches [input] filter; 'Opt-in' holds Oui, Non, OUI"
    assert refused.value.hint.startswith("compare with a value")
    empty = put(tmp_path, "empty.csv", "external_user_id,Opt-in\nu1,\nu2,\n")
    with pytest.raises(InputError, match="'Opt-in' holds nothing") as refused:
        check(empty, overrides={"input.filter": "\"Opt-in\" = 'Oui'"})
    assert refused.value.hint == "these cells are empty, so the filter keeps nobody"
    with pytest.raises(InputError, match="the frame has no data row"):
        check(pl.DataFrame({"external_user_id": []}, schema={"external_user_id": pl.String}))
