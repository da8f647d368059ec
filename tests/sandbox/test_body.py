from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulk_sender.sandbox import body
from bulk_sender.sandbox.body import BadSyntaxError, parse, size_of

from .samples import compact

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@pytest.fixture(params=["with orjson", "without orjson"])
def _reader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "without orjson":
        monkeypatch.setattr(body, "_ORJSON", None)
    else:
        pytest.importorskip("orjson")


@given(JSON)
def test_parses_what_json_writes_in_either_form(value: Any) -> None:
    assert parse(json.dumps(value).encode()) == value
    assert parse(compact(value)) == value


@pytest.mark.usefixtures("_reader")
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b'{"a":1,"a":2}', "the key 'a' occurs twice"),
        (b'{"recipients":[{"email":"x","email":"x"}]}', "the key 'email' occurs twice"),
        (b'{"a":NaN}', "NaN is not JSON"),
        (b'{"a":Infinity}', "Infinity is not JSON"),
        (b'{"a":-Infinity}', "-Infinity is not JSON"),
        (b'{"a":1e999}', "beyond the range"),
        (b'{"a":' + b"9" * 5000 + b"}", "too many digits"),
        (b'{"a":"\\ud83d"}', "surrogate"),
        (b'{"a":"\xff"}', "not UTF-8"),
        (b"\xef\xbb\xbf{}", "at character 0"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":1', "at character"),
        (b'{"a":1}x', "Extra data"),
        (b"{'a':1}", "at character"),
        (b"", "at character 0"),
    ],
)
def test_refuses_invalid_json(text: bytes, reason: str) -> None:
    with pytest.raises(BadSyntaxError, match=reason):
        parse(text)


@pytest.mark.usefixtures("_reader")
@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b'{"a":18446744073709551616}', {"a": 2**64}),
        (b'{"a":1.0}', {"a": 1.0}),
        (b'{"a": 1}', {"a": 1}),
        (b'{"a":"\\ud83d\\ude00"}', {"a": "\U0001f600"}),
        (b"null", None),
    ],
)
def test_keeps_numbers_and_characters_unchanged(text: bytes, value: Any) -> None:
    assert parse(text) == value


def test_the_reason_never_quotes_a_value() -> None:
    with pytest.raises(BadSyntaxError) as caught:
        parse(b'{"email":"somebody@example.com","email":"somebody@example.com"}')
    assert "somebody" not in str(caught.value)


@pytest.mark.parametrize("value", [{}, {"é": [1, 1.5, None, True]}, {"big": 10**40}, ["\x01", '"'], 0])
def test_measures_compact_json(value: Any) -> None:
    assert size_of(value) == len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())
