"""Two clients that nobody here wrote use every endpoint of the sandbox for which they have a function.

npm's braze-api has no function for Canvas details, and PyPI's edx-braze-client none for details and send ids.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bulk_sender.sandbox import RunningSandbox, run_in_thread
from tests.kit import tools

FOLDER = Path(__file__).parent / "clients"
KEY = "client-key"
MODULES = Path(os.environ.get("BULK_SENDER_NODE_CLIENT", FOLDER)) / "node_modules"
NODE = shutil.which("node")
needs_node = pytest.mark.skipif(
    (NODE is None or not (MODULES / "braze-api").is_dir()) and not tools.required(),
    reason="node or braze-api is not installed: npm install --no-package-lock --prefix tests/sandbox/clients",
)
needs_edx = pytest.mark.skipif(
    importlib.util.find_spec("braze") is None and not tools.required(),
    reason="edx-braze-client is not installed: pip install --no-deps edx-braze-client",
)


@pytest.fixture
def sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningSandbox]:
    """A Braze that knows one key, one campaign with a message, and one Canvas."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    message = tmp_path / "message.json"
    message.write_text(json.dumps({"v1": {"channel": "sms", "body": "Hello"}}))
    with run_in_thread(keys=[KEY], campaigns=["campaign-1", "canvas-1"], message=message) as running:
        yield running


@needs_node
def test_braze_api_of_npm(sandbox: RunningSandbox) -> None:
    assert NODE is not None, "node is missing"
    wanted = json.loads((FOLDER / "package.json").read_text())["dependencies"]["braze-api"]
    assert json.loads((MODULES / "braze-api" / "package.json").read_text())["version"] == wanted
    done = subprocess.run(
        [NODE, FOLDER / "use.cjs", sandbox.url, KEY],
        env={"PATH": os.environ["PATH"], "NODE_PATH": str(MODULES)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    outcomes: dict[str, Any] = json.loads(done.stdout)

    for name in ("campaign", "broadcast", "canvas"):
        assert outcomes[name]["answer"].keys() == {"dispatch_id", "message"}
    details = outcomes["details"]["answer"]
    assert (details["name"], details["enabled"]) == ("Sandbox campaign", True)
    assert details["messages"] == {"v1": {"channel": "sms", "body": "Hello"}}
    assert outcomes["send_id"]["answer"] == {"message": "success", "send_id": "winter"}
    [user] = outcomes["export"]["answer"]["users"]
    assert user["external_id"] == "u1"
    assert [received["api_campaign_id"] for received in user["campaigns_received"]] == ["campaign-1"]
    assert [received["api_canvas_id"] for received in user["canvases_received"]] == ["canvas-1"]

    assert outcomes["unknown_campaign"] == {"message": "Invalid Campaign ID", "status": 400}
    nobody = outcomes["nobody"]
    assert (nobody["message"], nobody["status"], nobody["errors"]) == (
        "No Recipients",
        400,
        [{"type": "No Recipients"}],
    )
    assert outcomes["not_served"] == {"message": "Not Found", "status": 404}
    assert outcomes["wrong_key"] == {"message": "Invalid App Group API Identifier: another-key", "status": 401}
    assert (sandbox.ledger.accepted_requests, sandbox.ledger.broadcasts) == (3, 1)
    assert sandbox.ledger.complaints() == []


@needs_edx
def test_edx_braze_client_of_pypi(sandbox: RunningSandbox) -> None:
    from braze import exceptions
    from braze.client import BrazeClient

    client = BrazeClient(api_key=KEY, api_url=sandbox.url, app_id="app")
    person = {"external_user_id": "u1", "trigger_properties": {"name": "Ann"}}
    by_alias = {"user_alias": {"alias_label": "crm", "alias_name": "ann@example.com"}}
    sent = client.send_campaign_message("campaign-1", recipients=[person, by_alias], trigger_properties={"a": 1})
    entered = client.send_canvas_message("canvas-1", recipients=[{"external_user_id": "u1"}])
    for answer in (sent, entered):
        assert answer.keys() == {"dispatch_id", "message"}
    assert client.get_braze_external_id("ann@example.com") is None  # the sandbox has no list of users
    assert client.get_braze_external_id_batch(["ann@example.com"], "crm") == {}

    with pytest.raises(exceptions.BrazeBadRequestError, match="Invalid Campaign ID"):
        client.send_campaign_message("other", recipients=[person])
    with pytest.raises(
        exceptions.BrazeBadRequestError, match="canvas_id must be a string of the Canvas api identifier"
    ):
        client.send_canvas_message("other", recipients=[by_alias])
    with pytest.raises(exceptions.BrazeNotFoundError):
        client.track_user(attributes=[{"external_id": "u1"}])
    with pytest.raises(exceptions.BrazeUnauthorizedError, match="Invalid App Group API Identifier"):
        BrazeClient("another-key", sandbox.url, "app").send_campaign_message("campaign-1", recipients=[person])
    sandbox.rehearse(answers="error-body")
    with pytest.raises(exceptions.BrazeBadRequestError, match="does not match declared format"):
        client.send_campaign_message("campaign-1", recipients=[person])
    sandbox.rehearse(state="paused", answers="usual")
    assert client.send_campaign_message("campaign-1", recipients=[person]).keys() == {"message", "notice"}
    assert (sandbox.ledger.accepted_requests, sandbox.ledger.accepted_recipients) == (2, 3)
    assert sandbox.ledger.complaints() == []


@needs_edx
def test_edx_braze_client_reads_when_a_used_up_window_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    from braze import exceptions
    from braze.client import BrazeClient

    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with run_in_thread(limit=1) as sandbox:
        client = BrazeClient(KEY, sandbox.url, "app")
        client.send_campaign_message("c", recipients=[{"external_user_id": "u1"}])
        with pytest.raises(exceptions.BrazeRateLimitError) as refused:
            client.send_campaign_message("c", recipients=[{"external_user_id": "u2"}])
    assert refused.value.reset_epoch_s % 3600 == 0
