"""Planning: each row with its result, and the valid rows in batches."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bulk_sender.config.model import Config, InputConfig
from bulk_sender.errors import ConfigError, InputError
from bulk_sender.planning import batches
from bulk_sender.planning import plan as planning
from bulk_sender.planning.batches import Payload, Planned, batch_sizes
from bulk_sender.planning.seen import Seen
from bulk_sender.reading import csv as reading_csv
from bulk_sender.recipients.filter import Filter
from tests.kit.reading import planned, rows_of


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "input.csv"


def config(**tables: dict[str, Any]) -> Config:
    return Config.parse(tables, where="the test")


def ids(count: int, start: int = 1) -> str:
    return "external_user_id\n" + "".join(f"u{number}\n" for number in range(start, start + count))


def verdicts(pieces: list[Planned]) -> list[tuple[int, str]]:
    return rows_of(pieces).select("row", "verdict").rows()


# ----- rows


def test_every_row_is_in_the_plan_with_its_position_and_its_result(path: Path) -> None:
    path.write_text("external_user_id,attributes.n:integer\nu1,1\n,2\nu1,3\nu2,x\nu3\nu4,5\n")
    rows = rows_of(list(planned(path)))
    assert rows.schema == planning.ROWS
    assert rows.select("row", "source", "source_row", "identifier", "verdict", "error_code").rows() == [
        (1, str(path), 1, "u1", "valid", None),
        (2, str(path), 2, None, "rejected", "missing_identifier"),
        (3, str(path), 3, "u1", "duplicate", "duplicate"),
        (4, str(path), 4, "u2", "rejected", "invalid_value"),
        (5, str(path), 5, "u3", "rejected", "malformed_row"),
        (6, str(path), 6, "u4", "valid", None),
    ]
    assert [text is not None for text in rows["recipient"]] == [True, False, False, False, False, True]
    assert rows["error"][2] == "another row of this run has the same external_user_id and goes first"
    assert rows["error"][4] == f"{path}, line 6: the row has 1 field, but the header has 2"


def test_rows_are_numbered_over_all_files_and_within_each(tmp_path: Path) -> None:
    paths = [tmp_path / "a.csv", tmp_path / "b.csv"]
    for number, path in enumerate(paths):
        path.write_text(ids(3, start=10 * number))
    rows = rows_of(list(planned(paths)))
    assert rows["row"].to_list() == [1, 2, 3, 4, 5, 6]
    assert rows["source_row"].to_list() == [1, 2, 3, 1, 2, 3]
    assert rows["source"].to_list() == [str(paths[0])] * 3 + [str(paths[1])] * 3


def test_rejected_rows_keep_their_cells_and_do_not_count_for_duplicates(path: Path) -> None:
    path.write_text('external_user_id,attributes.n:integer,error,"x,\n""y"""\nu1,bad,e,"1,\n2"\nu1,7,,\n')
    pieces = list(planned(path))
    assert [row for piece in pieces for row in piece.rejects.rows(named=True)] == [
        {
            "\x00row": 1,
            "external_user_id": "u1",
            "attributes.n:integer": "bad",
            "error": "e",
            'x,\n"y"': "1,\n2",
            "\x00column": "attributes.n:integer",
            "\x00value": "bad",
        }
    ]
    assert verdicts(pieces) == [(1, "rejected"), (2, "valid")]


def test_a_filter_removes_rows_from_the_run_but_keeps_row_numbers(path: Path) -> None:
    path.write_text("external_user_id,country\nu1,FR\nu2,DE\n,DE\nu3,FR\nu4,\n")
    pieces = list(planned(path, config(input={"filter": "country = 'FR'"})))
    assert verdicts(pieces) == [(1, "valid"), (4, "valid")]
    assert sum(len(piece.rejects) for piece in pieces) == 0


def test_a_limit_counts_the_rows_of_the_run(path: Path) -> None:
    path.write_text("external_user_id,country\nu1,FR\n,FR\nu2,DE\nu1,FR\nu3,FR\n,FR\n")
    pieces = list(planned(path, config(input={"filter": "country = 'FR'", "limit": 3})))
    assert verdicts(pieces) == [(1, "valid"), (2, "rejected"), (4, "duplicate")]
    assert [len(piece.rejects) for piece in pieces] == [1]


@pytest.mark.parametrize("limit", [1, 49, 50, 51, 99, 100, 101, 120, 500])
def test_a_limit_ends_the_run_regardless_of_chunks(path: Path, monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    monkeypatch.setattr(reading_csv, "BLOCK_BYTES", 100)
    path.write_text(ids(120))
    pieces = list(planned(path, config(input={"limit": limit})))
    expected = min(limit, 120)
    assert rows_of(pieces)["row"].to_list() == list(range(1, expected + 1))
    assert [size for piece in pieces for size in piece.sizes] == [50] * (expected // 50) + [expected % 50] * (
        expected % 50 > 0
    )


def test_an_input_without_rows_has_an_empty_plan(path: Path) -> None:
    path.write_text("external_user_id\n")
    assert list(planned(path)) == []


def test_a_damaged_input_raises_after_the_rows_before_the_damage(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading_csv, "BLOCK_BYTES", 200)
    path.write_text(ids(100) + '"never closed\n')
    pieces = []
    with pytest.raises(InputError, match="a quote opened in row 101 is never closed"):
        for piece in planned(path):
            pieces.append(piece)  # noqa: PERF402 - what came before the error counts
    assert rows_of(pieces)["row"].to_list() == list(range(1, 101))


# ----- filters


@pytest.mark.parametrize(
    "condition",
    [
        "a = 'x'",
        "a IN ('x', 'y') AND b IS NOT NULL",
        "a LIKE 'x%' OR NOT (b = '1')",
        "CAST(b AS INT) > 2",
        "UPPER(a) = 'X'",
        "a = 'count(*) over ()'",
        "CASE WHEN a = 'x' THEN b = '1' ELSE FALSE END",
        "COALESCE(a, b) = 'x'",
        "\"max (cm)\" = '3'",
    ],
)
def test_a_filter_over_single_rows_is_accepted(condition: str) -> None:
    Filter.of(InputConfig(filter=condition), pl.Schema({"a": pl.String(), "b": pl.String(), "max (cm)": pl.String()}))


@pytest.mark.parametrize(
    ("condition", "complaint"),
    [
        ("", "cannot be applied"),
        ("a =", "cannot be applied"),
        ("c = 'x'", "the input has no column 'c'"),
        ("n = 'x'", "cannot be applied"),
        ("UPPER(a)", "its result is String, not true or false"),
        ("n", "its result is Int64, not true or false"),
        ("a = 'x'; drop table b", "cannot be applied"),
        ("a IN (SELECT a FROM b)", "cannot be applied"),
        ("no_such_function(a)", "cannot be applied"),
        ("n > AVG(n)", "uses several rows (AVG(…)"),
        ("a = max (a)", "uses several rows"),
        ("COUNT(*) > 1", "uses several rows"),
        ("ROW_NUMBER() OVER (ORDER BY n) <= 10", "uses several rows"),
        ("n = first_value(n) over ()", "uses several rows"),
    ],
)
def test_a_filter_that_cannot_be_applied_to_each_row_is_refused(condition: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=r"^input\.filter: ") as refused:
        Filter.of(InputConfig(filter=condition), pl.Schema({"a": pl.String(), "n": pl.Int64()}))
    assert complaint in str(refused.value)


# ----- duplicates


def test_the_same_identifier_of_another_kind_is_a_different_person(path: Path) -> None:
    path.write_text("external_user_id,braze_id\nx,\n,x\nx,y\n")
    assert [verdict for _, verdict in verdicts(list(planned(path)))] == ["valid", "valid", "duplicate"]


def test_addresses_are_compared_without_case_and_sent_as_written(path: Path) -> None:
    path.write_text(
        "email,prioritization\n" + "".join(f"{each},identified\n" for each in ("A@x.de", " a@X.DE", "b@x.de"))
    )
    pieces = list(planned(path))
    assert [verdict for _, verdict in verdicts(pieces)] == ["valid", "duplicate", "valid"]
    assert json.loads(pieces[0].rows["recipient"][0])["email"] == "A@x.de"
    path.write_text("external_user_id\nA\na\n")
    assert [verdict for _, verdict in verdicts(list(planned(path)))] == ["valid", "valid"]


def test_aliases_are_equal_only_if_both_parts_are_equal(path: Path) -> None:
    pairs = [("b:c", "a"), ("c", "a:b"), ("b", "a"), ("b", "a"), ('b"', "a"), ("a", "b"), ('b","alias_label":"a', "x")]
    pl.DataFrame(pairs, orient="row", schema=["user_alias.alias_name", "user_alias.alias_label"]).write_csv(path)
    found = [verdict for _, verdict in verdicts(list(planned(path)))]
    assert found == ["valid", "valid", "valid", "duplicate", "valid", "valid", "valid"]


def test_duplicates_are_found_across_chunks_and_files_and_sent_if_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading_csv, "BLOCK_BYTES", 30)
    paths = [tmp_path / "a.csv", tmp_path / "b.csv"]
    for path in paths:
        path.write_text(ids(100))
    assert [verdict for _, verdict in verdicts(list(planned(paths)))] == ["valid"] * 100 + ["duplicate"] * 100
    allowed = list(planned(paths, config(input={"duplicates": "allow"})))
    assert [verdict for _, verdict in verdicts(allowed)] == ["valid"] * 200


def test_an_identifier_from_an_earlier_part_of_the_run_is_a_duplicate(path: Path) -> None:
    path.write_text(ids(3))
    seen = Seen()
    seen.repeated(pl.Series(["external_user_id:u2"]))
    assert [verdict for _, verdict in verdicts(list(planned(path, seen=seen)))] == ["valid", "duplicate", "valid"]


# ----- batches


@pytest.mark.parametrize(
    ("lengths", "most", "sizes"),
    [
        ([], 100, []),
        ([10], 100, [1]),
        ([10] * 50, 10_000, [50]),
        ([10] * 51, 10_000, [50, 1]),
        ([10] * 120, 10_000, [50, 50, 20]),
        ([10, 10], 21, [2]),  # the comma between them is the 21st byte
        ([10, 10], 20, [1, 1]),
        ([10] * 9, 32, [3, 3, 3]),
        ([32, 10, 21, 1, 30], 32, [1, 2, 2]),
    ],
)
def test_batches_contain_fifty_recipients_or_as_many_as_fit_into_a_request(
    lengths: list[int], most: int, sizes: list[int]
) -> None:
    assert batch_sizes(pl.Series(["x" * length for length in lengths], dtype=pl.String), most) == sizes


def test_the_size_limit_counts_bytes_not_characters() -> None:
    assert batch_sizes(pl.Series(["é" * 5, "é" * 5]), 21) == [2]
    assert batch_sizes(pl.Series(["é" * 5, "é" * 5]), 20) == [1, 1]


def test_only_the_last_batch_is_short_despite_chunks_and_rejects(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading_csv, "BLOCK_BYTES", 90)
    path.write_text("external_user_id,x\n" + "".join(f"u{n},\n,x\n" for n in range(1, 138)))
    pieces = list(planned(path))
    assert [size for piece in pieces for size in piece.sizes] == [50, 50, 37]
    assert all(len(piece.rows) for piece in pieces)
    assert rows_of(pieces)["row"].to_list() == list(range(1, 275))


def test_rows_after_a_short_batch_are_not_delayed_forever(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading_csv, "BLOCK_BYTES", 100)
    monkeypatch.setattr(batches, "_MOST_WAITING", 60)
    path.write_text("external_user_id,x\nu1,\n" + ",x\n" * 500 + "u2,\n")
    pieces = list(planned(path))
    assert [size for piece in pieces for size in piece.sizes] == [1, 1]
    assert max(len(piece.rows) for piece in pieces) < 200
    assert rows_of(pieces)["row"].to_list() == list(range(1, 503))


def test_a_recipient_too_large_for_a_request_is_rejected_without_affecting_others(path: Path) -> None:
    path.write_text(f"external_user_id,attributes.a\nu1,x\nu2,{'x' * 5000}\nu3,x\n")
    pieces = list(planned(path, config(delivery={"max_body_kb": 4})))
    assert rows_of(pieces)["error_code"].to_list() == [None, "too_large", None]


def test_a_message_that_leaves_no_space_for_recipients_is_refused(path: Path) -> None:
    path.write_text(ids(1))
    with pytest.raises(ConfigError, match=r"\[message\] makes a request of 4000 bytes"):
        list(planned(path, config(delivery={"max_body_kb": 4}), head_bytes=4000))


# ----- repeated people


@settings(max_examples=200, deadline=None)
@given(people=st.lists(st.integers(0, 60), max_size=300), size=st.sampled_from([1, 30, 90]))
def test_equal_identifiers_never_share_a_batch_and_batches_are_as_long_as_possible(
    people: list[int], size: int
) -> None:
    texts = pl.Series(["x" * size] * len(people), dtype=pl.String)
    sizes = batch_sizes(texts, 2000, pl.Series(map(str, people), dtype=pl.String))
    expected: list[int] = []
    batch: list[int] = []
    for one in people:
        if batch and (one in batch or len(batch) == 50 or (len(batch) + 1) * (size + 1) > 2001):
            expected.append(len(batch))
            batch = []
        batch.append(one)
    assert sizes == expected + ([len(batch)] if batch else [])


def test_allowed_duplicates_go_in_separate_requests_also_if_their_addresses_differ_in_case(path: Path) -> None:
    path.write_text("email,prioritization\n" + "".join(f"{who}@x.de,identified\n" for who in ("a", "b", "A", "c", "a")))
    pieces = list(planned(path, config(input={"duplicates": "allow"})))
    assert [verdict for _, verdict in verdicts(pieces)] == ["valid"] * 5
    assert [size for piece in pieces for size in piece.sizes] == [2, 2, 1]


def test_people_far_apart_do_not_shorten_batches(path: Path) -> None:
    path.write_text("external_user_id\n" + "".join(f"u{n % 50}\n" for n in range(1000)))
    pieces = list(planned(path, config(input={"duplicates": "allow"})))
    assert [size for piece in pieces for size in piece.sizes] == [50] * 20


def test_a_repeat_across_a_chunk_is_kept_apart_too(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading_csv, "BLOCK_BYTES", 30)
    path.write_text("external_user_id\n" + "".join(f"{who}\n" for who in "abcdefghijklmnoa"))
    pieces = list(planned(path, config(input={"duplicates": "allow"})))
    assert [size for piece in pieces for size in piece.sizes] == [15, 1]


def test_rich_rows_do_not_multiply_the_requests(path: Path) -> None:
    path.write_text("external_user_id,attributes.a\n" + "".join(f"u{n},{'x' * 40_000}\n" for n in range(100)))
    assert [size for piece in planned(path) for size in piece.sizes] == [50, 50]


# ----- payloads


def test_each_slice_of_a_payload_is_the_content_of_a_json_array() -> None:
    texts = ['{"a":"é,"}', None, '{"b":[1,2]}', '{"c":"x"}']
    payload = Payload.of(pl.Series(texts))
    sound = [json.loads(text) for text in texts if text]
    for first in range(3):
        for count in range(1, 4 - first):
            assert json.loads(b"[" + payload.recipients(first, count) + b"]") == sound[first : first + count]
        assert payload.recipient(first) == sound[first]
