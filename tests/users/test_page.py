"""The README's command for people without a terminal: from a file to a finished rehearsal in a browser."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.kit.command import REPOSITORY
from tests.web.surfing import ONLY_WITH_CHROMIUM, chromium, expect

from .conftest import Machine

pytestmark = [ONLY_WITH_CHROMIUM, pytest.mark.timeout(1200)]  # the machine may have to be made first
COMMAND = re.compile(r"^```sh\n(\.venv/bin/bulk-sender web)\n```$", re.MULTILINE)


def test_one_command_and_a_browser_lead_to_the_result_of_a_rehearsal(machine: Machine, tmp_path: Path) -> None:
    [command] = COMMAND.findall((REPOSITORY / "README.md").read_text(encoding="utf-8"))
    process = subprocess.Popen(
        [*command.split(), "--port", "0", "--no-browser"],
        cwd=machine.folder,
        env=machine.variables(XDG_STATE_HOME=str(tmp_path)),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        link = process.stdout.readline().strip()
        with chromium() as browser:
            tab = browser.new_page()
            tab.goto(link)
            tab.get_by_role("link", name="New send").first.click()
            tab.locator("input[type=file]").set_input_files(machine.folder / "sample_data" / "customers.csv")
            tab.get_by_role("button", name="Check all rows").click()
            tab.get_by_role("link", name="Rehearse").first.click()
            tab.get_by_role("button", name="Start the rehearsal").click()
            expect(tab.locator("h1")).to_contain_text("3 of 186 rows need your attention; 181 are accepted")
    finally:
        process.terminate()
        process.communicate(timeout=60)
    assert process.returncode == 0
