"""The examples run as they are, against a Braze on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bulk_sender.sandbox import RunningSandbox
from tests.kit.sandbox import run_in_thread
from tests.kit.target import CAMPAIGN, ENVIRONMENT

EXAMPLES = Path(__file__).parents[2] / "examples"


@dataclass(frozen=True, slots=True)
class Stage:
    """A folder with a job and inputs, and the Braze that the environment names."""

    folder: Path
    braze: RunningSandbox

    @property
    def job(self) -> Path:
        return self.folder / "winter.toml"

    @property
    def runs(self) -> Path:
        return self.folder / "runs"

    def recipients(self, name: str, rows: int) -> Path:
        path = self.folder / name
        stem = path.stem
        path.write_text("external_user_id\n" + "".join(f"sample-{stem}-{number:05}\n" for number in range(rows)))
        return path

    def accepted(self) -> int:
        assert not self.braze.ledger.twice()
        return int(self.braze.ledger.facts()["accepted_recipients"])


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    with run_in_thread() as braze:
        monkeypatch.setenv("BRAZE_ENDPOINT", braze.url)
        monkeypatch.setenv("BRAZE_API_KEY", ENVIRONMENT["BRAZE_API_KEY"])
        monkeypatch.setenv("BULK_SENDER_RUNS", str(tmp_path / "runs"))
        monkeypatch.setenv("WINTER_FOLDER", str(tmp_path))
        monkeypatch.setenv("WINTER_CONFIG", str(tmp_path / "winter.toml"))
        monkeypatch.syspath_prepend(str(EXAMPLES))
        stage = Stage(tmp_path, braze)
        stage.job.write_text(f'[braze]\ncampaign_id = "{CAMPAIGN}"\n[delivery]\nshare_rate = false\n')
        yield stage
