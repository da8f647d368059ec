"""API key: where it may come from, which keys are valid, and that it is never shown."""

from __future__ import annotations

import os
import pickle
import traceback
from pathlib import Path

import pytest

from bulk_sender.errors import CredentialError
from bulk_sender.http.client import HttpClient
from bulk_sender.http.credential import Credential
from bulk_sender.http.exchange import Target
from bulk_sender.http.settings import HttpSettings
from bulk_sender.http.transport import transport_factory

CANARY = "canary-0123456789.AZ_az"


def everything_shown(error: BaseException) -> str:
    """Return everything a program could print of an error: its text, chain, arguments and their objects."""
    shown, seen = ["".join(traceback.format_exception(error))], []
    while error is not None and error not in seen:
        seen.append(error)
        shown.append(repr(error) + repr(error.args) + repr(vars(error)))
        error = error.__cause__ or error.__context__  # type: ignore[assignment]
    return "\n".join(shown)


BROKEN = {
    "inner newline": "canary-01234\n56789",
    "inner CRLF": "canary-01234\r\nX-Evil: 56789",
    "inner CR": "canary-01234\r56789",
    "NUL": "canary-01234\x0056789",
    "space": "canary-01234 56789",
    "tab": "canary-01234\t56789",
    "é": "canary-0123456789é",
    "emoji": "canary-0123456789😀",
    "surrogate": "canary-0123456789\udce9",
    "zero width": "canary-01234\u200b56789",
    "quotes": '"canary-0123456789"',
    "bearer": "Bearer canary-0123456789",
    "short": "canary1",
    "long": "canary-" + "0" * 506,
    "other digits": "canary-٠١٢٣٤٥٦٧٨٩",
    "escape": "canary-\x1b[31m0123456789",
}


def test_the_proxy_of_the_environment_wins_and_is_not_shown() -> None:
    environment = {"BRAZE_API_KEY": CANARY, "BULK_SENDER_PROXY": "http://user:hunter2@proxy:3128"}
    key = Credential.from_environment(environment)
    assert key.routed(HttpSettings(proxy="http://other")).proxy == "http://user:hunter2@proxy:3128"
    assert "hunter2" not in repr(key)
    assert Credential.check(CANARY).routed(HttpSettings(proxy="http://other")).proxy == "http://other"


@pytest.mark.parametrize(
    "address", ["user:hunter2@proxy", "socks5://user:hunter2@p", "http://user:hunter2@", "http://[hunter2"]
)
def test_what_is_no_proxys_address_is_refused_and_not_shown(address: str) -> None:
    with pytest.raises(CredentialError, match="BULK_SENDER_PROXY is not the address of a proxy") as caught:
        Credential.from_environment({"BRAZE_API_KEY": CANARY, "BULK_SENDER_PROXY": address})
    assert "hunter2" not in everything_shown(caught.value)


@pytest.mark.parametrize("raw", BROKEN.values(), ids=BROKEN)
def test_an_invalid_key_is_refused_and_not_shown(raw: str) -> None:
    with pytest.raises(CredentialError) as caught:
        Credential.from_environment({"BRAZE_API_KEY": raw})
    shown = everything_shown(caught.value)
    assert "canary" not in shown
    assert "56789" not in shown
    assert "not shown here on purpose" in caught.value.hint


@pytest.mark.parametrize("raw", [CANARY, f"{CANARY}\n", f"{CANARY}\r\n", f"  {CANARY}\t", f"\ufeff{CANARY}"[1:]])
def test_spaces_around_a_key_are_removed(raw: str) -> None:
    assert Credential.from_environment({"BRAZE_API_KEY": raw}).authorization == f"Bearer {CANARY}"


@pytest.mark.parametrize("length", [8, 512])
def test_the_valid_lengths_of_a_key(length: int) -> None:
    assert Credential.check("k" * length).authorization.endswith("k" * length)


@pytest.mark.parametrize(
    "environment", [{}, {"BRAZE_API_KEY": ""}, {"BRAZE_API_KEY": " \n"}, {"BRAZE_API_KEY_FILE": ""}]
)
def test_the_error_for_a_missing_key_has_a_hint(environment: dict[str, str]) -> None:
    with pytest.raises(CredentialError, match="no API key is set") as caught:
        Credential.from_environment(environment)
    assert "BRAZE_API_KEY_FILE" in caught.value.hint


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        ('"canary-0123456789"', "quotation marks"),
        ("'canary-0123456789'", "quotation marks"),
        ("“canary-0123456789”", "quotation marks"),
        ("Bearer canary-0123456789", 'begins with "Bearer"'),
        ("bearer: canary-0123456789", 'begins with "Bearer"'),
        ("canary-01234 56789", "a space"),
        ("canary-01234\n56789", "more than one line"),
        ("canary-01234\u200b56789", "invisible"),
        ("canary", "too short"),
        ("canary-" + "0" * 506, "too long"),
        ("canary-0123456789;", "invalid characters"),
    ],
)
def test_each_wrong_form_of_a_key_has_its_own_words(raw: str, why: str) -> None:
    with pytest.raises(CredentialError, match=why) as caught:
        Credential.check(raw)
    assert "canary" not in everything_shown(caught.value)


def test_a_key_of_an_unusual_form_is_a_warning() -> None:
    assert Credential.check("0123abcd-4567-89ef-0123-456789abcdef").warning == ""
    assert Credential.check("0123ABCD-4567-89EF-0123-456789ABCDEF").warning == ""
    for unusual in (CANARY, "0123abcd456789ef0123456789abcdef", "0123abcd-4567-89ef-0123-456789abcde"):
        assert "8-4-4-4-12" in Credential.check(unusual).warning
        assert unusual not in Credential.check(unusual).warning


# --- files ------------------------------------------------------------------------------------------------------------


def key_file(folder: Path, mode: int = 0o600, content: bytes = CANARY.encode() + b"\n") -> Path:
    file = folder / "key"
    file.write_bytes(content)
    file.chmod(mode)
    return file


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
def test_a_private_file_is_read(tmp_path: Path, mode: int) -> None:
    environment = {"BRAZE_API_KEY_FILE": str(key_file(tmp_path, mode))}
    assert Credential.from_environment(environment).authorization == f"Bearer {CANARY}"
    assert Credential.from_environment({**environment, "BRAZE_API_KEY": ""}).authorization == f"Bearer {CANARY}"


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o644, 0o660, 0o610, 0o601, 0o620, 0o777])
def test_a_file_that_others_can_read_or_write_is_refused(tmp_path: Path, mode: int) -> None:
    file = key_file(tmp_path, mode)
    with pytest.raises(CredentialError, match=f"mode {mode:04o}") as caught:
        Credential.from_environment({"BRAZE_API_KEY_FILE": str(file)})
    assert caught.value.hint == f"chmod 600 {file}"
    assert "canary" not in everything_shown(caught.value)


def test_the_environment_overrides_the_file(tmp_path: Path) -> None:
    environment = {"BRAZE_API_KEY": "another-key", "BRAZE_API_KEY_FILE": str(key_file(tmp_path, 0o644))}
    assert Credential.from_environment(environment).authorization == "Bearer another-key"


def test_a_path_that_is_not_a_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    for path, why in (
        (tmp_path, "not a regular file"),
        (tmp_path / "pipe", "not a regular file"),
        (tmp_path / "missing", "No such file"),
        (tmp_path / "missing" / "key", "No such file"),
        ("nul\x00", "it is not a valid path"),
    ):
        with pytest.raises(CredentialError, match=why):
            Credential.from_environment({"BRAZE_API_KEY_FILE": str(path)})


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe\x00canary", b"canary-" * 1000, b"canary-1\ncanary-2\n", b"canary 012345"]
)
def test_a_file_without_a_key_is_refused_and_not_shown(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(CredentialError) as caught:
        Credential.from_environment({"BRAZE_API_KEY_FILE": str(key_file(tmp_path, content=content))})
    assert "canary" not in everything_shown(caught.value)


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    lowest = os.dup(0)
    os.close(lowest)
    for path in (tmp_path, key_file(tmp_path), key_file(tmp_path, 0o644)):
        try:
            Credential.from_environment({"BRAZE_API_KEY_FILE": str(path)})
        except CredentialError:
            continue
    free = os.dup(0)
    os.close(free)
    assert free == lowest


# --- secrecy ----------------------------------------------------------------------------------------------------------


def test_a_credential_never_shows_its_key() -> None:
    credential = Credential.check(CANARY)
    shown = [
        repr(credential),
        str(credential),
        f"{credential}",
        f"{credential!r:>40}",
        repr([credential]),
        ascii(credential),
    ]
    assert not any("canary" in text for text in shown)
    with pytest.raises(TypeError):
        pickle.dumps(credential)


def test_a_client_never_shows_the_key() -> None:
    credential = Credential.check(CANARY)
    target = Target.of("https://rest.iad-01.braze.com/campaigns/trigger/send", credential, timeout_s=1)
    client = HttpClient(target, credential, transport_factory(HttpSettings())())
    shown = repr(vars(client)) + repr(client)
    assert "canary" not in shown
    assert "Bearer" not in shown


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (f"Invalid key {CANARY}!", "Invalid key ***!"),
        (f"{CANARY}{CANARY}", "******"),
        (CANARY[:-1], CANARY[:-1]),
        ("nothing", "nothing"),
    ],
)
def test_a_key_quoted_by_a_server_is_removed(said: str, kept: str) -> None:
    assert Credential.check(CANARY).scrub(said) == kept


@pytest.mark.parametrize(
    "said",
    [
        '{"message": "Invalid key: canary\\/0123456789"}',
        '{"message": "Invalid key: \\u0063anary/0123456789"}',
        '{"errors": [{"canary\\u002f0123456789": 1}], "message": "no"}',
        '{"message": "canary/0123456789"}',
        '{"message": "canary\\/0123456789 \\ud800 \\udcff"}',
        "no JSON, canary/0123456789",
    ],
)
def test_a_key_quoted_in_escaped_form_is_removed(said: str) -> None:
    kept = Credential.check("canary/0123456789").scrub_json(said.encode())
    assert b"0123456789" not in kept
    assert b"***" in kept


def test_an_answer_without_the_key_is_kept_byte_for_byte() -> None:
    for said in (b'{"a":"\\u00e9","a": 1e400}', b"\xff\xfe", b"", b'{"a": ' + b"[" * 5000, b'"\\ud800"'):
        assert Credential.check(CANARY).scrub_json(said) == said


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can create a file owned by root")
def test_a_file_owned_by_root_may_be_readable_by_the_services_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kubernetes Secrets and systemd credentials are passed to an unprivileged process this way."""
    file = tmp_path / "key"
    file.write_text("0123abcd-0123-abcd")
    monkeypatch.setattr(os, "geteuid", lambda: 10001)
    for mode in (0o400, 0o440):
        file.chmod(mode)
        assert (
            Credential.from_environment({"BRAZE_API_KEY_FILE": str(file)}).authorization == "Bearer 0123abcd-0123-abcd"
        )
    for mode in (0o444, 0o460, 0o404):
        file.chmod(mode)
        with pytest.raises(CredentialError, match="can be read by others"):
            Credential.from_environment({"BRAZE_API_KEY_FILE": str(file)})
