"""What does not fit between a message and an input is counted over the whole file and said in words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import bulk_sender as bs

P = "api_trigger_properties"


def message(folder: Path, *templates: str, **more: Any) -> Path:
    fields = {f"part{index}": template for index, template in enumerate(templates)}
    answer = {"name": "n", "archived": False, "messages": {"v": {"channel": "email", **fields}}, **more}
    path = folder / "message.json"
    path.write_text(json.dumps(answer))
    return path


def fit(folder: Path, columns: str, rows: list[str], *templates: str, config: Any = None, **more: Any) -> bs.Fit:
    path = folder / "people.csv"
    path.write_text("\n".join([f"external_user_id,{columns}", *rows]) + "\n")
    report = bs.check(path, config, message=message(folder, *templates, **more), environment={})
    assert report.fit is not None
    assert set(report.fit.sentences()) <= set(report.warnings)
    assert report.to_dict()["fit"] is not None
    return report.fit


def uses(*names: str, default: bool = False) -> str:
    end = " | default: 'x'" if default else ""
    return "".join(f"{{{{{P}.${{{name}}}{end}}}}}" for name in names)


def test_a_message_that_fits_has_nothing_to_say(tmp_path: Path) -> None:
    found = fit(tmp_path, "trigger_properties.a", ["u1,x", "u2,y"], uses("a"))
    assert found == bs.Fit()
    assert found.sentences() == []


def test_a_missing_name_is_said_with_the_nearest_column(tmp_path: Path) -> None:
    found = fit(tmp_path, "trigger_properties.totl,First name", ["u1,1,Anna"], uses("total", "first_name", "zzz"))
    assert {missing.name: missing.near for missing in found.missing} == {
        "total": "trigger_properties.totl",
        "first_name": "First name",
        "zzz": "",
    }
    assert any("did you mean 'First name'?" in text for text in found.sentences())


def test_a_missing_value_with_a_default_is_meant(tmp_path: Path) -> None:
    assert fit(tmp_path, "trigger_properties.a", ["u1,"], uses("a", "b", default=True)) == bs.Fit()


def test_empty_values_are_counted_over_the_rows_to_send(tmp_path: Path) -> None:
    rows = [f"u{number},{'x' if number % 3 else ''}" for number in range(1, 3001)]
    rows += [",", "u1,"]  # rejected, and a duplicate
    [empty] = fit(tmp_path, "trigger_properties.a", rows, uses("a")).empty
    assert (empty.name, empty.column, empty.rows, empty.first_row) == ("a", "trigger_properties.a", 1000, 3)


def test_a_property_of_every_request_fills_what_rows_lack(tmp_path: Path) -> None:
    config = {"message": {"trigger_properties": {"a": "x", "season": "winter"}}}
    assert fit(tmp_path, "trigger_properties.a", ["u1,"], uses("a", "season"), config=config) == bs.Fit()


def test_a_column_that_no_placeholder_uses_is_named(tmp_path: Path) -> None:
    found = fit(tmp_path, "trigger_properties.a,trigger_properties.b,attributes.c", ["u1,1,2,3"], uses("a"))
    assert found.unused == ("trigger_properties.b",)


@pytest.mark.parametrize("hidden", ["{{content_blocks.${footer}}}", "{% raw %}{% endraw %}"])
def test_unused_columns_are_named_only_if_the_whole_message_is_known(tmp_path: Path, hidden: str) -> None:
    found = fit(tmp_path, "trigger_properties.a,trigger_properties.b", ["u1,1,2"], uses("a"), hidden)
    assert found.unused == (() if "content_blocks" in hidden else ("trigger_properties.b",))


def test_nested_names_meet_their_objects(tmp_path: Path) -> None:
    template = f"{{{{{P}.${{order}}.total}}}} {{{{{P}.${{order}}.missing}}}} {{{{{P}.${{items}}[0].name}}}}"
    columns = "trigger_properties.order.total,trigger_properties.items:json"
    found = fit(tmp_path, columns, ['u1,3,"[{""name"": 1}]"'], template)
    assert [missing.name for missing in found.missing] == ["order.missing"]
    assert found.unused == ()


def test_a_canvas_is_compared_with_its_own_names(tmp_path: Path) -> None:
    steps = [{"name": "s", "messages": {"m": {"channel": "sms", "body": "{{context.${a}}}{{context.${b}}}"}}}]
    found = fit(tmp_path, "context.a", ["u1,x"], config={"braze": {"canvas_id": "v"}}, steps=steps, messages={})
    assert [missing.name for missing in found.missing] == ["b"]


def test_a_file_that_holds_no_message_is_refused(tmp_path: Path) -> None:
    people = tmp_path / "people.csv"
    people.write_text("external_user_id\na\n")
    for content, why in (("{}", "does not hold"), ("<html>", "not JSON")):
        (tmp_path / "m.json").write_text(content)
        with pytest.raises(bs.InputError, match=why):
            bs.check(people, message=tmp_path / "m.json", environment={})
    with pytest.raises(bs.InputError, match="No such file"):
        bs.check(people, message=tmp_path / "missing.json", environment={})
