"""The configuration: what it takes, what it refuses and how it says so, and what a run remembers of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulk_sender.config.model import BrazeConfig, Config
from bulk_sender.config.rate import Rate
from bulk_sender.errors import ConfigError, CredentialError
from bulk_sender.run.facts import Facts
from bulk_sender.run.settings import config_of, load_config
from tests.kit.journals import run_facts

SECRET = "5ecre7-1234-abcd"
ROOT = Path(__file__).parents[2]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "job.toml"


def load(file: Path, text: str, overrides: dict[str, Any] | None = None) -> Config:
    file.write_text(text, encoding="utf-8")
    return Config.load(file, overrides)


def refusal(file: Path, text: str) -> str:
    with pytest.raises(ConfigError) as refused:
        load(file, text)
    assert str(file) in str(refused.value)
    return str(refused.value)


# ----- unknown keys


@pytest.mark.parametrize(
    ("text", "unknown", "nearest"),
    [
        ("[brazee]", "brazee", "braze"),
        ("[braze]\nendpont = 'x'", "braze.endpont", "endpoint"),
        ("[braze]\ncampaing_id = 'x'", "braze.campaing_id", "campaign_id"),
        ("[delivery]\nconcurency = 3", "delivery.concurency", "concurrency"),
        ("[input]\ndelimeter = ';'", "input.delimeter", "delimiter"),
        ("[recipient]\nexternal_id = 'a'", "recipient.external_id", "external_user_id"),
        (
            "[recipient]\ncanvas_entry_propertis = {a = 'b'}",
            "recipient.canvas_entry_propertis",
            "canvas_entry_properties",
        ),
        ("[recipient.attributes]\na = {colum = 'b'}", "recipient.attributes.a.colum", "column"),
        ("[recipient.user_alias]\nalias_nam = 'a'", "recipient.user_alias.alias_nam", "alias_name"),
        ("[message]\nattachments = [{filename = 'a'}]", "message.attachments.0.filename", "file_name"),
    ],
)
def test_an_unknown_key_names_the_nearest_known_one(file: Path, text: str, unknown: str, nearest: str) -> None:
    assert f"unknown key {unknown} (did you mean {nearest}?)" in refusal(file, text)


def test_an_unknown_key_without_a_near_one_names_those_there_are(file: Path) -> None:
    found = refusal(file, "[zzz]")
    assert "unknown key zzz (known here: braze, message, recipient, input, delivery" in found


# ----- too deep


DEEP = 100_000


@pytest.mark.parametrize(
    "text",
    [
        "x = " + "[" * DEEP + "]" * DEEP,
        "x = " + "{a = " * DEEP + "1" + "}" * DEEP,
        "[message.trigger_properties]\nx" + ".a" * 2000 + " = 1",
        "[message.audience]\nAND" + ".a" * 2000 + " = 1",
        "a" + ".a" * DEEP + " = 1",
        "[" + " . ".join(["'a'"] * DEEP) + "]",
        "[recipient.attributes]\nx = { value = " + "[" * 100 + "]" * 100 + " }",
    ],
    ids=["arrays", "inline tables", "dotted keys", "an audience", "many parts", "a table of many parts", "a constant"],
)
def test_deep_nesting_in_the_file_is_an_error_of_the_file(file: Path, text: str) -> None:
    said = refusal(file, text)
    assert "nested" in said
    assert str(file) in said


@pytest.mark.parametrize("levels", [100, 1000, DEEP])
def test_deep_nesting_in_a_table_is_an_error(levels: int) -> None:
    deep: dict[str, Any] = {"a": 1}
    for _ in range(levels):
        deep = {"a": [deep]}
    with pytest.raises(ConfigError, match=r"message\.trigger_properties: is nested deeper than 64 levels"):
        load_config({"message": {"trigger_properties": deep}})


def test_nesting_that_people_write_is_taken(file: Path) -> None:
    assert load(file, "[message]\ntrigger_properties = { a = " + "[" * 50 + "1" + "]" * 50 + " }").message


def test_a_file_that_cannot_be_a_configuration_is_not_parsed(file: Path) -> None:
    assert "2 MB" in refusal(file, "#" * (2 << 20))
    assert load(file, '[message.trigger_properties]\nx = "' + "a" * 900_000 + '"').message


# ----- the key


@pytest.mark.parametrize(
    "name", ["api_key", "API_KEY", "apikey", "api-key", "rest_api_key", "BRAZE_API_KEY", "token", "secret", "password"]
)
@pytest.mark.parametrize("table", ["", "[braze]\n", "[delivery]\n"])
def test_a_key_in_the_file_is_refused_without_being_quoted(file: Path, table: str, name: str) -> None:
    with pytest.raises(CredentialError) as refused:
        load(file, f"{table}{name} = '{SECRET}'")
    assert SECRET not in str(refused.value) + refused.value.hint
    assert name in str(refused.value)
    assert "BRAZE_API_KEY" in refused.value.hint


@pytest.mark.parametrize("text", ["[braze]\nkey = '{}'", "[braze.auth]\napi_key = '{}'", "bearer = '{}'"])
def test_a_key_under_a_name_of_ones_own_is_not_quoted_either(file: Path, text: str) -> None:
    assert SECRET not in refusal(file, text.format(SECRET))


def test_a_property_may_be_called_token(file: Path) -> None:
    config = load(file, "[message.trigger_properties]\ntoken = 'spring'\n[recipient.attributes]\nsecret = 'column'")
    assert config.message.trigger_properties == {"token": "spring"}


@pytest.mark.parametrize("address", ["http://user:{}@proxy.example.com:3128", "user:{}@proxy:3128", "https://{}@p"])
def test_a_proxy_with_a_password_is_refused_as_a_key_is(file: Path, address: str) -> None:
    proxy = address.format(SECRET)
    for attempt in (
        lambda: load(file, f"[braze]\nproxy = '{proxy}'"),
        lambda: Config.load(None, {"braze.proxy": proxy}),
        lambda: load_config({"braze": {"proxy": proxy}}),
        lambda: config_of(Config(braze=BrazeConfig(proxy=proxy)), {}),
    ):
        with pytest.raises(CredentialError, match=r"braze\.proxy holds a credential, which does not belong") as refused:
            attempt()
        assert SECRET not in str(refused.value) + refused.value.hint
        assert "BULK_SENDER_PROXY" in refused.value.hint
    assert load(file, "[braze]\nproxy = 'http://proxy:3128'").braze.proxy == "http://proxy:3128"


def test_the_password_of_a_proxy_that_an_earlier_release_stored_is_left_out() -> None:
    stored = '{"braze": {"campaign_id": "c", "proxy": "http://user:hunter2@proxy:3128"}}'
    assert run_facts(config=stored).revived().braze.proxy == "http://proxy:3128"


# ----- values


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[delivery]\nrate = 'fast'", "delivery.rate: invalid rate 'fast': use N/second"),
        ("[delivery]\nrate = '0/second'", "invalid rate"),
        ("[delivery]\nrate = '-1/second'", "invalid rate"),
        ("[delivery]\nconcurrency = '3'", "delivery.concurrency: should be a whole number"),
        ("[delivery]\nconcurrency = 0", "delivery.concurrency: should be greater than or equal to 1"),
        ("[delivery]\nreserve = 1.0", "delivery.reserve: should be less than 1"),
        ("[delivery]\ntimeout = true", "delivery.timeout: should be a number"),
        ("[delivery]\nserver_errors = 'ignore'", "delivery.server_errors: should be 'retry' or 'hold'"),
        ("braze = 'x'", "braze: should be a table"),
        ("[braze]\ncampaign_id = 5", "braze.campaign_id: should be text, in quotes"),
        ("[braze]\ncampaign_id = ' '", "braze.campaign_id: is empty"),
        ("[braze]\ncampaign_id = 'a'\ncanvas_id = 'b'", "campaign_id and canvas_id are both given"),
        ("[braze]\ncanvas_id = 'a'\nsend_id = 'b'", "send_id is for campaigns"),
        ("[recipient]\nexternal_user_id = {}", "recipient.external_user_id: give either column or value"),
        ("[recipient]\nexternal_user_id = {column = 'a', value = 'b'}", "give either column or value"),
        ("[recipient]\nexternal_user_id = 5", "recipient.external_user_id: should be a table"),
        ("[recipient.user_alias]\nalias_name = 'a'", "recipient.user_alias.alias_label: is missing"),
        ("[recipient.attributes]\na = {column = 'a', type = 'int'}", "recipient.attributes.a.type: should be 'string'"),
        ("[recipient.attributes]\na = {column = 'a', format = '%Y'}", "a format needs type date or datetime"),
        (
            "[recipient.attributes]\na = {column = 'a', type = 'list', separator = ''}",
            "recipient.attributes.a.separator",
        ),
        ("[recipient]\ncontext = {a = 'b'}\ntrigger_properties = {c = 'd'}", "two names of the same field"),
        ("[message]\ncontext = {a = 1}\ncanvas_entry_properties = {b = 2}", "two names of the same field"),
        ("[message.trigger_properties]\nat = 2026-02-28T10:00:00", "needs an offset"),
        ("[message]\naudience = {AND = []}", "audience.AND: needs a list of at least one filter"),
        ("[message]\naudience = {AND = [{a = {b = 1}}, 5]}", "audience.AND[1]: a filter is a table with one key"),
        ("[message]\nattachments = [{file_name = 'a', url = 'file:///etc/passwd'}]", "message.attachments.0.url"),
        ("[input]\ndelimiter = ',,'", "input.delimiter"),
        ("[input]\ndelimiter = '§'", "input.delimiter: '§' is not a valid delimiter"),
        ("[input]\ndelimiter = '\"'", "input.delimiter"),
        ("[input]\ntimezone = 'Paris'", "input.timezone: 'Paris' is not a time zone"),
        ("[input]\ntimezone = 'posix/Europe/Paris'", "is not a time zone"),
        ("[input]\nlimit = 0", "input.limit: should be greater than or equal to 1"),
        ("[braze", "is not valid TOML"),
        ("[braze]\ncampaign_id = 'a'\ncampaign_id = 'b'", "is not valid TOML"),
    ],
)
def test_a_wrong_value_is_refused_by_its_key(file: Path, text: str, complaint: str) -> None:
    assert complaint in refusal(file, text)


def test_all_errors_are_reported_together(file: Path) -> None:
    found = refusal(file, "[braze]\nendpont = 'x'\n[delivery]\nconcurrency = 0\nattempts = 0")
    assert {"braze.endpont", "delivery.concurrency", "delivery.attempts"} <= set(re.findall(r"[\w.]+", found))


def test_a_file_that_is_not_there_or_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not found"):
        Config.load(tmp_path / "no.toml")
    with pytest.raises(ConfigError, match="cannot be read"):
        Config.load(tmp_path)
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="cannot be read"):
        Config.load(tmp_path / "bytes.toml")


def test_a_file_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    (tmp_path / "job.toml").write_bytes(b"\xef\xbb\xbf[braze]\ncampaign_id = 'c'")
    assert Config.load(tmp_path / "job.toml").target == "c"


def test_dates_of_toml_become_the_text_that_braze_reads(file: Path) -> None:
    config = load(file, "[message.trigger_properties]\nday = 2026-02-28\nat = [{t = 2026-02-28T10:00:00+01:00}]")
    assert config.message.trigger_properties == {"day": "2026-02-28", "at": [{"t": "2026-02-28T10:00:00+01:00"}]}


@pytest.mark.parametrize("name", ["trigger_properties", "canvas_entry_properties", "context"])
def test_a_canvas_names_are_names_of_the_same_thing(file: Path, name: str) -> None:
    config = load(file, f"[message.{name}]\na = 1\n[recipient.{name}]\nb = 'column'")
    assert config.message.trigger_properties == {"a": 1}
    assert config.recipient.trigger_properties["b"].column == "column"


def test_identifiers_keep_the_order_in_which_they_are_written(file: Path) -> None:
    config = load(file, "[recipient]\nemail = 'm'\nbraze_id = 'b'\nexternal_user_id = 'e'")
    assert config.recipient.identifier_order == ("email", "braze_id", "external_user_id")


# ----- rates


@pytest.mark.parametrize(
    ("text", "per_second"),
    [("250000/hour", 250_000 / 3600), ("5/second", 5), ("90/minute", 1.5), ("86_400/day", 1), (" 2.5 / s ", 2.5)],
)
def test_a_rate_is_a_number_per_unit(text: str, per_second: float) -> None:
    assert Rate.parse(text).per_second == pytest.approx(per_second)


@pytest.mark.parametrize("text", ["", "5", "5/", "/hour", "5/week", "five/hour", "5/hour/hour", "1e9/second", "5 hour"])
def test_an_invalid_rate_is_refused_with_the_expected_form(text: str) -> None:
    with pytest.raises(ValueError, match="use N/second"):
        Rate.parse(text)


@given(st.text(max_size=12))
def test_no_text_makes_a_rate_of_zero_or_less(text: str) -> None:
    try:
        assert Rate.parse(text).per_second > 0
    except ValueError as error:
        assert "invalid rate" in str(error)


# ----- overrides


BRAZE = "[braze]\nendpoint = 'https://one.example.com'\ncampaign_id = 'c'"


def test_an_override_wins_over_the_file_and_none_does_not(file: Path) -> None:
    config = load(
        file, BRAZE, {"braze.endpoint": "https://two.example.com", "braze.campaign_id": None, "input.limit": 3}
    )
    assert (config.braze.endpoint, config.target, config.input.limit) == ("https://two.example.com", "c", 3)


@pytest.mark.parametrize("form", ["file", "table", "config"])
def test_a_canvas_given_later_replaces_the_campaign(file: Path, form: str) -> None:
    file.write_text(BRAZE)
    given: dict[str, Any] = {"file": file, "table": {"braze": {"campaign_id": "c"}}, "config": Config.load(file)}
    config = load_config(given[form], {"braze.canvas_id": "v"})
    assert (config.is_canvas, config.target, config.braze.campaign_id) == (True, "v", None)


def test_an_override_of_something_other_than_a_table_is_refused(file: Path) -> None:
    file.write_text("braze = 'x'")
    for given_config in (file, {"braze": "x"}):
        with pytest.raises(ConfigError, match="braze must be a table"):
            load_config(given_config, {"braze.endpoint": "https://one.example.com"})


def test_laying_an_override_over_a_table_leaves_the_callers_own_alone() -> None:
    table = {"braze": {"campaign_id": "c"}}
    load_config(table, {"braze.canvas_id": "v", "input.limit": 1})
    assert table == {"braze": {"campaign_id": "c"}}


# ----- what a run remembers


def facts(config: Config) -> Facts:
    return Facts(config.frozen_settings(), config.model_dump_json(exclude_unset=True), (), (), "", "csv", "")


@pytest.mark.parametrize("name", sorted(path.name for path in (ROOT / "config").glob("*.toml")))
def test_a_configuration_comes_back_from_what_a_run_remembers_of_it(name: str) -> None:
    config = Config.load(ROOT / "config" / name)
    revived = facts(config).revived()
    assert revived == config
    assert revived.recipient.is_empty == config.recipient.is_empty
    assert load_config(revived, {"delivery.concurrency": 2}).frozen_settings() == config.frozen_settings()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"braze.campaign_id": "d"}, "braze.campaign_id"),
        ({"braze.endpoint": "https://two.example.com"}, "braze.endpoint"),
        ({"braze.send_id": "s"}, "braze.send_id"),
        ({"message.trigger_properties": {"a": 2}}, "message.trigger_properties.a"),
        ({"recipient.external_user_id": "b"}, "recipient.external_user_id.column"),
        ({"input.nulls": "send"}, "input.nulls"),
        ({"input.limit": 5}, "input.limit"),
        ({"delivery.max_body_kb": 64}, "delivery.max_body_kb"),
        ({"delivery.server_errors": "hold"}, "delivery.server_errors"),
    ],
)
def test_a_change_of_what_is_sent_is_found_and_named(change: dict[str, Any], named: str) -> None:
    config = load_config(
        {
            "braze": {"campaign_id": "c"},
            "message": {"trigger_properties": {"a": 1}},
            "recipient": {"external_user_id": "a"},
        }
    )
    assert facts(config).difference(facts(load_config(config, change))) == [named]


@pytest.mark.parametrize(
    "change",
    [{"delivery.rate": "1/second"}, {"delivery.concurrency": 1}, {"delivery.timeout": 5}, {"braze.proxy": "http://p"}],
)
def test_a_change_of_how_it_is_delivered_is_none(change: dict[str, Any]) -> None:
    config = Config.parse({"braze": {"campaign_id": "c"}}, where="the test")
    assert facts(config).difference(facts(load_config(config, change))) == []
