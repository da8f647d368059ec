"""Endpoints: a corpus of addresses that may or may not receive the key, and the JSON around the recipients."""

from __future__ import annotations

import json

import pytest

from bulk_sender.braze.endpoint import Endpoint, check_url, endpoint, endpoint_warning
from bulk_sender.braze.hosts import REST_HOSTS, host_warning, is_known_host
from bulk_sender.config.model import Config
from bulk_sender.errors import ConfigError

KNOWN = [
    *(f"https://rest.iad-0{number}.braze.com" for number in range(1, 9)),
    "https://rest.us-10.braze.com",
    "https://rest.fra-01.braze.eu",
    "https://rest.fra-02.braze.eu",
    "https://rest.au-01.braze.com",
    "https://rest.id-01.braze.com",
    "https://rest.jp-01.braze.com",
    "https://rest.kr-01.braze.com",
    "https://rest.iad-01.braze.com:443",
    "http://127.0.0.1:8080",
    "https://127.0.0.1",
    "http://127.8.9.1:1",
    "http://localhost",
    "http://[::1]:8080",
]

UNKNOWN = [
    # allowed with a warning: new instances appear, and some customers use a gateway
    "https://rest.iad-01.braze.com.evil.example",
    "https://rest.iad-01.braze.comevil.example",
    "https://evil-rest.iad-01.braze.com",
    "https://rest-iad-01.braze.com",
    "https://rest.iad-01.notbraze.com",
    "https://rest.iad-01.braze.co",
    "https://rest.iad-01.braze.org",
    "https://rest.iad-1.braze.com",
    "https://rest.iad-001.braze.com",
    "https://rest.i-01.braze.com",
    "https://rest.iad-01.eu.braze.com",
    "https://a.rest.iad-01.braze.com",
    "https://dashboard-01.braze.com",
    "https://sdk.iad-01.braze.com",
    "https://rest.us-09.braze.com",
    "https://rest.iad-09.braze.com",
    "https://rest.iad-01.braze.eu",
    "https://rest.fra-01.braze.com",
    "https://rest.xx-99.braze.com",
    "https://braze.com",
    "https://rest.iad-01.xn--brze-xqa.com",
    "https://xn--rest-iad-01-braze-com.example",
    "https://rest.iad-01.braze.com:8443",
    "https://rest.iad-01.braze.com:80",
    "https://10.0.0.1",
    "https://93.184.216.34",
    "https://[2001:db8::1]",
    "https://gateway.example.com",
    "https://localhost.example.com",
    "https://127.0.0.1.example.com",
    "https://2130706433",
    "https://0.0.0.0",
]

REFUSED = [
    # the key in plain text
    "http://rest.iad-01.braze.com",
    "HTTP://rest.iad-01.braze.com",
    "http://localhost.example.com",
    "http://127.0.0.1.example.com",
    "http://127.1",
    "http://2130706433",
    "http://0x7f000001",
    "http://017700000001",
    "http://0.0.0.0",
    "http://10.0.0.1",
    "http://192.168.1.1",
    "http://169.254.169.254",
    "http://[::ffff:127.0.0.1]",
    "http://[::ffff:8.8.8.8]",
    "http://[::]",
    "http://[fe80::1]",
    # a different host than it seems
    "https://rest.iad-01.braze.com@evil.example",
    "https://rest.iad-01.braze.com:443@evil.example",
    "https://user@rest.iad-01.braze.com",
    "https://user:pass@rest.iad-01.braze.com",
    "https://@rest.iad-01.braze.com",
    "https://rest.iad-01.braze.com%40evil.example",
    "https://rest.iad-01.braze.com%2eevil.example",
    "https://rest.iad-01.braze.com%00.evil.example",
    "https://rest.iad-01.braze.com\\.evil.example",
    "https://rest.iad-01.braze.com\\@evil.example",
    "https:\\\\rest.iad-01.braze.com",
    "https://evil.example#.braze.com",
    "https://evil.example#",
    "https://evil.example?.braze.com",
    "https://evil.example?",
    "https://evil.example/rest.iad-01.braze.com",
    "https://evil.example;.braze.com",
    "https://rest.iad-01.braze.com/../evil",
    "https://rest.iad-01.braze.com//evil.example",
    "https://rest.iad-01.braze.com/campaigns/trigger/send",
    # look-alikes
    "https://rest.iad-01.brаze.com",  # a Cyrillic a
    "https://rest.iad-01.braze.com\N{FULLWIDTH FULL STOP}evil.example",
    "https://rest\N{IDEOGRAPHIC FULL STOP}iad-01.braze.com",
    "https://rest.iad-01.bra\N{ZERO WIDTH SPACE}ze.com",
    "https://rest.iad-01.bra\N{SOFT HYPHEN}ze.com",
    "https://rest.iad-01.braze\N{DIVISION SLASH}.com",
    "https://loc\N{LATIN SMALL LETTER LONG S}t",
    "https://\N{KELVIN SIGN}.example",
    "https://rest.iad-\N{ARABIC-INDIC DIGIT ZERO}1.braze.com",
    "https://ｒest.iad-01.braze.com",
    # characters that parsers drop or differ on
    "https://rest.iad-01.bra\nze.com",
    "https://rest.iad-01.braze.com\r\nX-Header: 1",
    "https://rest.iad-01.bra\tze.com",
    "https://rest.iad-01.braze.com .evil.example",
    "https://rest.iad-01.braze.com\x00.evil.example",
    "https://rest.iad-01.braze.com\x7f",
    # no host name
    "https://rest.iad-01.braze.com.",
    "https://rest..braze.com",
    "https://.braze.com",
    "https://-rest.braze.com",
    "https://rest-.braze.com",
    "https://rest_iad.braze.com",
    "https://" + "a" * 64 + ".example",
    "https://",
    "https:///rest.iad-01.braze.com",
    "https:rest.iad-01.braze.com",
    "//rest.iad-01.braze.com",
    "rest.iad-01.braze.com",
    "rest.iad-01.braze.com:443",
    "ftp://rest.iad-01.braze.com",
    "file:///etc/passwd",
    "javascript:alert(1)",
    "https://[::1",
    "https://[::1%25eth0]",
    "https://[evil.example]",
    "https://::1",
    "https://rest.iad-01.braze.com:99999",
    "https://rest.iad-01.braze.com:-1",
    "https://rest.iad-01.braze.com:4a3",
    "",
    "   ",
]


def test_the_corpus_is_large_and_has_no_repeated_row() -> None:
    corpus = [*KNOWN, *UNKNOWN, *REFUSED]
    assert len(corpus) == len(set(corpus)) >= 100


@pytest.mark.parametrize("url", KNOWN)
def test_a_braze_or_loopback_host_is_accepted_without_a_warning(url: str) -> None:
    assert check_url(url) == url
    assert is_known_host(check_url(url))


@pytest.mark.parametrize("url", UNKNOWN)
def test_an_unknown_host_is_accepted_with_a_warning(url: str) -> None:
    assert check_url(url) == url
    assert not is_known_host(check_url(url))


@pytest.mark.parametrize("url", REFUSED, ids=ascii)
def test_an_invalid_address_is_refused_with_a_hint(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_url(url)
    assert caught.value.hint
    assert str(caught.value).isprintable()


def test_every_rest_host_of_braze_is_known_and_no_other() -> None:
    assert len(set(REST_HOSTS)) == 15
    assert {url.removeprefix("https://") for url in KNOWN if "braze" in url and ":443" not in url} == set(REST_HOSTS)


@pytest.mark.parametrize(
    ("url", "meant"),
    [
        ("https://sdk.iad-01.braze.com", "rest.iad-01.braze.com"),
        ("https://sdk.fra-02.braze.eu", "rest.fra-02.braze.eu"),
        ("https://sdk.us-10.braze.com", "rest.us-10.braze.com"),
        ("https://dashboard-01.braze.com", "rest.iad-01.braze.com"),
        ("https://dashboard-08.braze.com", "rest.iad-08.braze.com"),
        ("https://dashboard.us-10.braze.com", "rest.us-10.braze.com"),
        ("https://dashboard-01.braze.eu", "rest.fra-01.braze.eu"),
        ("https://dashboard.kr-01.braze.com", "rest.kr-01.braze.com"),
    ],
)
def test_another_address_of_an_instance_is_told_which_rest_host_is_meant(url: str, meant: str) -> None:
    what = "SDK" if "sdk" in url else "dashboard"
    assert what in host_warning(url)
    assert host_warning(url).endswith(f"Use https://{meant}")


def test_an_address_of_an_instance_that_does_not_exist_names_no_rest_host() -> None:
    assert host_warning("https://sdk.us-09.braze.com").endswith("Use your instance's REST address")
    assert host_warning("https://dashboard-09.braze.com").endswith("Use your instance's REST address")


def test_an_unknown_host_names_the_one_of_the_same_region() -> None:
    assert "Did you mean rest.fra-01.braze.eu?" in host_warning("https://rest.fra-01.braze.com")
    assert host_warning("https://gateway.example.com").endswith("Check the spelling.")
    assert host_warning("https://rest.iad-01.braze.com") == host_warning("http://127.0.0.1:1") == ""


def test_a_page_of_the_dashboard_is_refused_with_the_rest_host() -> None:
    with pytest.raises(ConfigError) as caught:
        check_url("https://dashboard-03.braze.com/engagement/campaigns")
    assert "rest.iad-03.braze.com" in caught.value.hint


def test_a_check_warns_of_an_endpoint_instead_of_refusing_it() -> None:
    assert endpoint_warning(None) == endpoint_warning("https://rest.iad-01.braze.com/") == ""
    assert "rest.iad-01.braze.com" in endpoint_warning("https://sdk.iad-01.braze.com")
    assert "scheme and a host" in endpoint_warning("https://rest.iad-01.braze.com/campaigns")


def test_a_pasted_address_is_normalized() -> None:
    assert check_url(" https://REST.IAD-01.BRAZE.COM/ \n") == "https://rest.iad-01.braze.com"
    with pytest.raises(ConfigError, match=r"braze\.endpoint is not set"):
        check_url(None)


# --- the JSON around the recipients -----------------------------------------------------------------------------------


def endpoint_of(config: Config) -> Endpoint:
    return endpoint(config.braze, config.message)


BASE = {"endpoint": "https://rest.iad-01.braze.com", "campaign_id": 'c"1'}


def test_a_campaigns_request() -> None:
    message = {
        "trigger_properties": {"broadcast": True, "recipients": []},
        "audience": {"AND": [{"custom_attribute": {"value": 1}}]},
        "attachments": [{"file_name": "t", "url": "https://a.example/t.pdf"}],
    }
    made = endpoint_of(Config.parse({"braze": {**BASE, "send_id": "s"}, "message": message}, where="here"))
    body = made.body(b'{"external_user_id":"a"},{"external_user_id":"b"}')
    assert made.url == "https://rest.iad-01.braze.com/campaigns/trigger/send"
    assert json.loads(body) == {
        "campaign_id": 'c"1',
        "send_id": "s",
        "broadcast": False,
        **message,
        "recipients": [{"external_user_id": "a"}, {"external_user_id": "b"}],
    }
    assert made.frame_bytes == len(made.head + made.tail)


@pytest.mark.parametrize("name", ["canvas_entry_properties", "context"])
def test_a_canvas_request(name: str) -> None:
    braze = {"endpoint": BASE["endpoint"], "canvas_id": "v", "canvas_properties_name": name}
    made = endpoint_of(Config.parse({"braze": braze, "message": {"trigger_properties": {"a": 1}}}, where="here"))
    assert made.url == "https://rest.iad-01.braze.com/canvas/trigger/send"
    assert json.loads(made.body(b"{}")) == {"canvas_id": "v", "broadcast": False, name: {"a": 1}, "recipients": [{}]}


@pytest.mark.parametrize("target", ["canvas_id", "campaign_id"])
def test_properties_of_the_request_have_a_limit(target: str) -> None:
    braze = {"endpoint": BASE["endpoint"], target: "v"}
    fits = Config.parse({"braze": braze, "message": {"trigger_properties": {"a": "x" * 49_992}}}, where="here")
    assert endpoint_of(fits).frame_bytes > 50_000
    over = Config.parse({"braze": braze, "message": {"trigger_properties": {"a": "x" * 49_993}}}, where="here")
    with pytest.raises(ConfigError, match="has 50,001 bytes; Braze accepts at most 50,000"):
        endpoint_of(over)


def test_a_target_is_required() -> None:
    with pytest.raises(ConfigError, match="no campaign"):
        endpoint_of(Config.parse({"braze": {"endpoint": BASE["endpoint"]}}, where="here"))
