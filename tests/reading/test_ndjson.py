"""NDJSON reader: one schema for the file, and one malformed row for each invalid line."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bulk_sender as bs
from bulk_sender.errors import InputError
from bulk_sender.reading import ndjson
from bulk_sender.reading.types import NUMBER
from tests.kit.inputs import faults, put, read, recipients


def _lines(*rows: Any) -> str:
    return "\n".join(json.dumps(row) for row in rows)


def test_an_invalid_line_is_a_malformed_row_with_its_line_number(tmp_path: Path) -> None:
    bad = ['{"id": 1', "[1]", "5", "null", '"x"', '{"id": NaN}', '{"id": "\\ud800"}', "{}{}", '{"id": 1e999}']
    text = '{"id": "a"}\n\n' + "".join(f'{line}\n{{"id": "ok"}}\n' for line in bad)
    path = put(tmp_path, "people.ndjson", text)
    found = faults(path)
    assert sorted(found) == list(range(2, 2 * len(bad) + 1, 2))
    assert [text.split(" is not")[0] for text in found.values()] == [f"line {3 + 2 * n}" for n in range(len(bad))]
    assert read(path)["id"].to_list() == ["a"] + [None, "ok"] * len(bad)


def test_line_numbers_continue_in_later_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ndjson, "BLOCK_BYTES", 64)
    path = put(tmp_path, "people.ndjson", '{"id": "a"}\n\n' * 50 + "{bad\n")
    assert faults(path) == {51: "line 101 is not a JSON object: '{bad'"}


def test_a_column_that_first_appears_later_is_null_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ndjson, "BLOCK_BYTES", 64)
    path = put(
        tmp_path, "people.ndjson", _lines(*[{"id": str(n)} for n in range(50)], {"id": "50", "more": [{"a": 1}]})
    )
    found = read(path)
    assert found.schema == {"id": pl.String, "more": pl.List(pl.Struct({"a": pl.Int64}))}
    assert found["more"].null_count() == 50


def test_a_column_with_mixed_values_has_one_type_for_all_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ndjson, "BLOCK_BYTES", 64)
    rows = [{"n": 1, "t": 1}] * 20 + [{"n": 1.5, "t": "x"}] + [{"n": 2**70, "t": True}]
    found = read(put(tmp_path, "people.ndjson", _lines(*rows)))
    assert found.schema == {"n": NUMBER, "t": pl.String}
    assert found["t"].unique().sort().to_list() == ["1", "true", "x"]


def test_whole_numbers_of_any_length_keep_their_digits(tmp_path: Path) -> None:
    found = read(put(tmp_path, "people.ndjson", _lines({"id": 2**64 - 1}, {"id": -(2**100)})))
    assert found["id"].to_list() == [2**64 - 1, -(2**100)]


def test_a_value_with_a_different_structure_is_malformed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ndjson, "BLOCK_BYTES", 64)
    rows = [{"id": {"a": 1}}] * 20 + [{"id": 5}] + [{"id": [1]}] + [{"id": {"a": 2}}] * 20
    path = put(tmp_path, "people.ndjson", _lines(*rows))
    assert {row: text[:46] for row, text in faults(path).items()} == {
        21: "line 21 has a different structure than the lin",
        22: "line 22 has a different structure than the lin",
    }
    assert read(path)["id"].null_count() == 2


@pytest.mark.parametrize(
    "value", [[1, {"a": 2}], [{"a": 2}, 1], {"b": [[1], 2]}, [{"a": 1}, {"a": {"b": 2}}], [[{"a": [1]}], [{"a": 1}]]]
)
def test_a_line_with_different_structures_in_one_list_says_so_even_if_it_is_the_first(
    value: Any, tmp_path: Path
) -> None:
    path = put(tmp_path, "people.ndjson", _lines({"id": "a", "v": value}, {"id": "b"}))
    [(row, reason)] = faults(path).items()
    assert (row, reason.split(":")[0]) == (1, "line 1 has values of different structures in one list")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le"])
def test_byte_order_marks_of_joined_files_are_dropped(
    encoding: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ndjson, "BLOCK_BYTES", 64)
    text = "".join(f'\ufeff{{"id": "{n}", "v": "\ufeff"}}\n{{"id": "{n}b"}}\r\n' for n in range(20)) + "\ufeff\n"
    path = tmp_path / "people.ndjson"
    path.write_bytes(text.encode(encoding))
    found = read(path)
    assert faults(path) == {}
    assert found["id"].to_list() == [name for n in range(20) for name in (str(n), f"{n}b")]
    assert set(found["v"]) == {"\ufeff", None}


def test_line_numbers_count_lines_that_have_only_a_byte_order_mark(tmp_path: Path) -> None:
    path = put(tmp_path, "people.ndjson", '{"id": "a"}\n\ufeff\n\ufeff{bad\n')
    assert faults(path) == {2: "line 3 is not a JSON object: '{bad'"}


@pytest.mark.parametrize("twice", ['{"id": "b", "v": 1, "v": "x"}', '{"id": "b", "w": {"a": 1, "a": "x"}}'])
def test_a_line_with_one_name_twice_changes_no_other_line(twice: str, tmp_path: Path) -> None:
    path = put(tmp_path, "people.ndjson", f'{twice}\n{{"id": "a", "v": 1, "w": {{"a": 2}}}}\n{{"id": "c"}}\n')
    assert {row: reason.split(":")[0] for row, reason in faults(path).items()} == {
        1: "line 1 has one name twice in an object"
    }
    assert read(path).rows()[1:] == [("a", 1, {"a": 2}), ("c", None, None)]


def test_a_file_in_which_all_lines_have_one_name_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="each object has one name twice"):
        read(put(tmp_path, "people.ndjson", '{"id": 1, "id": 2}\n'))


@pytest.mark.parametrize(
    ("first", "other"),
    [
        ({"name": "Ann"}, {"name": {"x": 1}}),
        ({"names": ["Ann"]}, {"names": ["Bob", {"x": 1}]}),
        ({"names": ["Ann"]}, {"names": [["Bob"]]}),
        ({"people": [{"name": "Ann", "age": 1}]}, {"people": [{"name": ["Bob"], "age": 1}]}),
    ],
)
def test_an_object_or_a_list_where_text_was_is_not_read_as_text(first: Any, other: Any, tmp_path: Path) -> None:
    path = put(tmp_path, "people.ndjson", _lines({"id": first}, {"id": other}, {"id": first}))
    assert list(faults(path)) == [2]
    assert read(path)["id"].is_null().to_list() == [False, True, False]


def test_text_that_begins_like_an_object_stays_text(tmp_path: Path) -> None:
    path = put(
        tmp_path, "people.ndjson", _lines({"id": {"name": "{{x}}"}, "n": ["[1]"]}, {"id": {"name": "{}"}, "n": []})
    )
    assert faults(path) == {}
    assert read(path)["id"].to_list() == [{"name": "{{x}}"}, {"name": "{}"}]


def test_many_lines_that_do_not_fit_are_found_with_few_calls_of_polars(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"id": "a", "n": n if n % 3 else [n]} for n in range(1, 2_000)]
    path = put(tmp_path, "people.ndjson", _lines(*rows))
    real, calls = pl.read_ndjson, []
    monkeypatch.setattr(pl, "read_ndjson", lambda *args, **options: calls.append(1) or real(*args, **options))
    assert list(faults(path)) == list(range(3, 2_000, 3))
    assert len(calls) < 10


@pytest.mark.parametrize("depth", [40, 500, 5_000, 100_000])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}"), ('[{"a":', "}]")])
def test_deep_nesting_is_a_malformed_row(depth: int, opening: str, closing: str, tmp_path: Path) -> None:
    deep = opening * depth + "1" + closing * depth
    path = put(tmp_path, "people.ndjson", f'{{"id": "a"}}\n{{"id": {deep}}}\n{{"id": "b"}}\n')
    assert list(faults(path)) == [2]


def test_a_number_of_5000_digits_is_a_malformed_row(tmp_path: Path) -> None:
    path = put(tmp_path, "people.ndjson", '{"id": 1}\n{"id": ' + "9" * 5000 + '}\n{"id": 3}\n')
    assert list(faults(path)) == [2]


def test_a_json_array_is_refused_with_a_hint_how_to_convert_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="contains a JSON array") as caught:
        read(put(tmp_path, "people.json", "[\n" + _lines({"id": 1}) + "\n]"))
    assert "jq" in caught.value.hint


def test_a_line_that_never_ends_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ndjson, "MAX_LINE_BYTES", 1 << 20)
    with pytest.raises(InputError, match="longer than 1 MB"):
        read(put(tmp_path, "people.ndjson", '{"id": "' + "x" * (9 << 20)))


_SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=5)


@settings(deadline=None)
@given(
    st.lists(
        st.fixed_dictionaries({"id": st.text(max_size=5)}, optional={"tags": st.lists(_SCALARS, max_size=3)}).filter(
            lambda row: row["id"].strip() or "tags" in row  # rows without any value are left out
        ),
        min_size=1,
    )
)
def test_every_line_becomes_one_row_in_order(rows: list[dict[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = put(Path(folder), "people.ndjson", _lines(*rows))
        found = read(path)
        bad = {row - 1 for row in faults(path)}
    assert len(found) == len(rows)
    assert [id for n, id in enumerate(found["id"]) if n not in bad] == [
        row["id"] for n, row in enumerate(rows) if n not in bad
    ]


@pytest.mark.parametrize(
    ("values", "sent"),
    [
        (["9007199254740993", "1.5"], ["9007199254740993", "1.5"]),
        (["10", "1.5", "-0", "1e3"], ["10", "1.5", "-0", "1e3"]),
        (["123456789012345678901234567890", "0.5"], ["123456789012345678901234567890", "0.5"]),
        (["9" * 60, "1"], ["9" * 60, "1"]),
        (["12345678901234567.123456789", "1.50"], ["12345678901234567.123456789", "1.50"]),
        (["[9007199254740993,1.5,null]", "[]", "null"], ["[9007199254740993,1.5]", "[]", None]),
        (['{"a":9007199254740993}', '{"a":0.5}'], ['{"a":9007199254740993}', '{"a":0.5}']),
        (['[{"a":1,"t":"x, 5"},{"a":1.5}]'], ['[{"a":1,"t":"x, 5"},{"a":1.5}]']),
        (["[[1],[2.5]]"], ["[[1],[2.5]]"]),
    ],
)
def test_numbers_are_sent_with_the_digits_of_the_file(
    values: list[str], sent: list[str | None], tmp_path: Path
) -> None:
    lines = [f'{{"external_user_id":"u","trigger_properties":{{"v":{value}}}}}' for value in values]
    texts = recipients(put(tmp_path, "people.ndjson", "\n".join(lines)))
    assert [text.partition('"v":')[2].removesuffix("}}") or None for text in texts] == sent


def test_numbers_keep_their_digits_beside_a_malformed_row(tmp_path: Path) -> None:
    path = put(tmp_path, "people.ndjson", '{"id":"a","n":9007199254740993}\n{bad\n{"id":"b","n":1.5}\n')
    assert read(path)["n"].ext.storage().to_list() == ["9007199254740993", None, "1.5"]
    assert list(faults(path)) == [2]


@pytest.mark.parametrize("number", ["05", "1.", "-", "+5", ".5", "1e", "1e999", "5x"])
def test_what_is_not_a_number_of_json_is_malformed(number: str, tmp_path: Path) -> None:
    path = put(tmp_path, "people.ndjson", f'{{"id":"a","n":1}}\n{{"id":"b","n":1.5}}\n{{"id":"c","n":{number}}}\n')
    assert list(faults(path)) == [3]


@pytest.mark.parametrize(
    "line",
    [
        '{"id":"a","id":"b"}',
        '{"id":"a","o":{"x":1,"x":2}}',
        '{"id":"a","l":[{"x":1},{"x":1,"x":1}]}',
        '{"id":"a","\\u0069d":"b"}',
    ],
)
def test_a_line_with_one_name_twice_is_malformed(line: str, tmp_path: Path) -> None:
    path = put(tmp_path, "people.ndjson", f'{{"id":"ok","o":{{"x":1}},"l":[{{"x":1}},{{"x":2}}]}}\n{line}\n')
    assert faults(path)[2].startswith("line 2 has one name twice in an object")


def test_a_filter_compares_numbers_of_any_length(tmp_path: Path) -> None:
    path = put(tmp_path, "people.ndjson", '{"external_user_id":"a","n":10}\n{"external_user_id":"b","n":1.5}\n')
    report = bs.check(path, {"input": {"filter": "n > 5"}, "recipient": {"external_user_id": "external_user_id"}})
    assert report.valid == 1


def test_the_names_of_wide_objects_keep_the_order_of_the_text(tmp_path: Path) -> None:
    """polars has them in another order in each process, so a plan would fit no other process."""
    late = {f"n{number}": number for number in range(60)}
    rows = [
        {"external_user_id": f"u{row}"} | {f"c{number}": "é" for number in range(60)} | ({"late": late} if row else {})
        for row in range(3)
    ]
    path = put(tmp_path, "wide.ndjson", "\n".join(map(json.dumps, rows)))
    frame = read(path)
    assert frame.columns == list(rows[1])
    assert [field.name for field in frame.schema["late"].fields] == list(late)  # type: ignore[attr-defined]
