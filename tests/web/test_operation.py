"""What an administrator watches: metrics and the log, and the files of config/deploy."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

import bulk_sender as bs
from bulk_sender.web import logs, settings
from tests.kit.command import REPOSITORY
from tests.web.visitor import Visitor

DEPLOY = REPOSITORY / "config" / "deploy"


def figures(text: str) -> dict[tuple[str, str], float]:
    return {
        (sample.name.removeprefix("bulk_sender_web_"), "".join(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_metrics_count_and_name_nobody(tmp_path: Path, runs_dir: Path) -> None:
    visitor = Visitor(tmp_path / "state", runs_dir, metrics=True).signed_in()
    visitor.uploaded("people-of-ada.csv", b"external_user_id\ncustomer-000001\n")
    visitor.get("/nowhere")
    visitor.cookie = ""
    answer = visitor.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    found = figures(answer.text)
    assert found["info", bs.__version__] == 1
    assert found["runs", "ended"] + found["runs", "attention"] == 3
    assert found["prepared_sends", "uploaded"] == 1
    assert found["upload_bytes", ""] == 33
    assert found["answers_total", "404"] == 1
    assert found["audit_entries", ""] == visitor.site.store.verify()
    assert 0 < found["disk_free_bytes", ""] < found["disk_bytes", ""]
    for secret in ("ada", "calm", "abused", "customer", visitor.site.owner):
        assert secret not in answer.text


def test_metrics_are_off_unless_asked_for(visitor: Visitor) -> None:
    assert visitor.get("/metrics").status_code == 404


def test_a_line_of_the_log_is_an_object(capsys: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger("bulk_sender.web")
    before = logger.handlers, logger.level, logger.propagate
    try:
        logs.to_stderr("json")
        try:
            raise ValueError("no")
        except ValueError:
            logger.exception("two\nlines")
    finally:
        logger.handlers, logger.level, logger.propagate = before
    [line] = capsys.readouterr().err.splitlines()
    told = json.loads(line)
    assert (told["level"], told["message"], told["logger"]) == ("error", "two\nlines", "bulk_sender.web")
    assert "ValueError: no" in told["error"]


def test_the_settings_of_the_deployment_are_valid_and_fit_its_network() -> None:
    found = settings.load(DEPLOY / "web.toml")
    assert found.team is not None
    compose = (DEPLOY / "compose.yaml").read_text()
    [proxy] = re.findall(r"ipv4_address: (\S+)", compose)
    assert found.team.believe == (f"{proxy}/32",)
    assert f"PAGE_HOST: {found.team.hosts[0]}" in compose
    template = (DEPLOY / "page.conf.template").read_text()
    for name in (found.team.user_header, found.team.groups_header, found.team.address_header):
        assert f"proxy_set_header {name} $" in template
    assert set(re.findall(r"\$\{(\w+)\}", template)) == set(re.findall(r"(PAGE_\w+):", compose))


def test_the_unit_ends_the_page_alone() -> None:
    text = (DEPLOY / "bulk-sender-web.service").read_text()
    assert "\nKillMode=process\n" in text
    assert "PrivateTmp" not in text.replace("# PrivateTmp", "")  # it would end with the page, and runs use it


PAGE = '''
import subprocess, sys, time
run = """
import signal, sys, time
def stop(*given):
    time.sleep(0.3)
    print("stopped in order", flush=True)
    sys.exit()
signal.signal(signal.SIGTERM, stop)
print("ready", flush=True)
time.sleep(60)
"""
subprocess.Popen([sys.executable, "-c", run], start_new_session=True)
time.sleep(60)
'''


def can_have_its_own_processes() -> bool:
    found = shutil.which("unshare")
    return found is not None and subprocess.run([found, "-pf", "true"], capture_output=True).returncode == 0


@pytest.mark.skipif(not can_have_its_own_processes(), reason="this user cannot make a namespace of processes")
def test_a_container_ends_when_its_runs_have_stopped_in_order() -> None:
    init = [sys.executable, str(DEPLOY / "container_init.py"), sys.executable, "-c", PAGE]
    with subprocess.Popen(["unshare", "-pf", "--kill-child", *init], stdout=subprocess.PIPE, text=True) as outside:
        assert outside.stdout is not None
        assert outside.stdout.readline() == "ready\n"
        [first] = Path(f"/proc/{outside.pid}/task/{outside.pid}/children").read_text().split()
        os.kill(int(first), signal.SIGTERM)
        assert outside.stdout.read() == "stopped in order\n"
        assert outside.wait(10) == 0


def test_elsewhere_that_first_process_refuses_to_start() -> None:
    """Its signal would reach all processes of this user."""
    done = subprocess.run([sys.executable, str(DEPLOY / "container_init.py"), "true"], capture_output=True)
    assert done.returncode == 2


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / "bulk-sender-web.service"
    text = (DEPLOY / "bulk-sender-web.service").read_text()
    unit.write_text(re.sub("ExecStart=\\S+", "ExecStart=/bin/true", text))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True)
    told = [line for line in done.stderr.splitlines() if unit.name in line]
    assert not told
