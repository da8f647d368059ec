"""The files for schedulers: what can be checked without cron, a cluster or a container engine."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import bulk_sender
from tests.examples.conftest import EXAMPLES, Stage

SCHEDULED = EXAMPLES / "scheduled"
ROOT = EXAMPLES.parent


def commands() -> dict[str, str]:
    """Each file's command line for a shell, by the file's name."""
    [cron] = [line for line in (SCHEDULED / "crontab").read_text().splitlines() if re.match(r"[\d*]", line)]
    [unit] = re.findall(r"^ExecStart=/bin/sh -c '(.*)'$", (SCHEDULED / "winter.service").read_text(), re.MULTILINE)
    return {
        "crontab": cron.split(maxsplit=6)[6].replace("\\%", "%"),
        "winter.service": unit.replace("$$", "$").replace("%%", "%"),
    }


def moved(command: str, stage: Stage) -> str:
    """The command with this test's places in the place of the machine's."""
    places = {
        "/data/winter": stage.folder,
        "/etc/bulk-sender": stage.folder,
        "/var/lib/bulk-sender/runs": stage.runs,
        "/var/lib/node_exporter": stage.folder,
        "/usr/local/bin/bulk-sender": "bulk-sender",
        "--not-after 12:00": "--not-after 23:59:59",
    }
    for place, here in places.items():
        command = command.replace(place, str(here))
    program = f"{sys.executable} -m bulk_sender"
    return command.replace("exec bulk-sender", f"exec {program}").replace("; bulk-sender", f"; {program}")


@pytest.mark.parametrize("file", ["crontab", "winter.service"])
def test_the_command_sends_the_file_of_the_day_and_sends_it_once(file: str, stage: Stage) -> None:
    day = subprocess.check_output(["date", "+%F"], text=True).strip()
    stage.recipients(f"{day}.csv", 120)
    stage.runs.mkdir()  # made once, by hand
    for _ in range(2):
        done = subprocess.run(
            ["/bin/sh", "-c", moved(commands()[file], stage)], cwd=ROOT, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr
    assert stage.accepted() == 120
    assert [run.name for run in stage.runs.iterdir() if run.is_dir()] == [f"winter-{day}"]


def test_every_percent_sign_in_the_crontab_is_escaped() -> None:
    """cron takes a bare one for the end of the line."""
    lines = [line for line in (SCHEDULED / "crontab").read_text().splitlines() if not line.startswith("#")]
    assert not [line for line in lines if re.search(r"(?<!\\)%", line)]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not here")
def test_systemd_finds_nothing_wrong_with_its_units(tmp_path: Path) -> None:
    unit = (SCHEDULED / "winter.service").read_text()
    unit = unit.replace("/usr/local/bin/bulk-sender", "/bin/true").replace("User=bulk-sender", "User=root")
    (tmp_path / "winter.service").write_text(unit)
    shutil.copy(SCHEDULED / "winter.timer", tmp_path)
    command = ["systemd-analyze", "verify", tmp_path / "winter.service", tmp_path / "winter.timer"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr.count(str(tmp_path))) == (0, 0), done.stderr


def cronjob() -> dict[str, Any]:
    yaml = pytest.importorskip("yaml")
    found: dict[str, Any] = yaml.safe_load((SCHEDULED / "cronjob.yaml").read_text())
    return found


def test_the_cronjob_ends_a_job_at_codes_that_a_try_can_not_mend_and_tries_the_others_again() -> None:
    job = cronjob()["spec"]["jobTemplate"]["spec"]
    [exits, moved_pod] = job["podFailurePolicy"]["rules"]
    assert (exits["action"], exits["onExitCodes"]["values"]) == ("FailJob", [1, 2])
    assert moved_pod["action"] == "Ignore"
    assert job["backoffLimit"] > 0
    assert job["template"]["spec"]["restartPolicy"] == "Never"  # a podFailurePolicy demands it
    [container] = job["template"]["spec"]["containers"]
    assert exits["onExitCodes"]["containerName"] == container["name"]


def test_the_cronjob_has_its_key_as_a_private_file_and_every_mount_its_volume() -> None:
    pod = cronjob()["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    [container] = pod["containers"]
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert volumes.keys() == {mount["name"] for mount in container["volumeMounts"]}
    assert volumes["key"]["secret"]["defaultMode"] == 0o400
    [key] = [entry["value"] for entry in container["env"] if entry["name"] == "BRAZE_API_KEY_FILE"]
    assert key.startswith(next(m["mountPath"] for m in container["volumeMounts"] if m["name"] == "key") + "/")
    assert pod["securityContext"]["runAsNonRoot"]
    assert container["securityContext"]["readOnlyRootFilesystem"]


def test_the_cronjob_calls_with_options_that_exist() -> None:
    [container] = cronjob()["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    command = [sys.executable, "-m", "bulk_sender", container["args"][0], "--help"]
    known = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=True).stdout
    for argument in container["args"][2:]:
        assert argument.split("=")[0] in known


def test_the_parallel_job_starts_one_run_and_joins_it_with_options_that_exist() -> None:
    yaml = pytest.importorskip("yaml")
    job = yaml.safe_load((SCHEDULED / "parallel-job.yaml").read_text())["spec"]
    assert job["completionMode"] == "Indexed" and job["parallelism"] == job["completions"] > 1
    pod = job["template"]["spec"]
    [container] = pod["containers"]
    assert {each["name"] for each in pod["volumes"]} == {mount["name"] for mount in container["volumeMounts"]}
    [script] = container["args"]
    for name in ("send", "join"):
        [line] = re.findall(rf"exec bulk-sender {name} ((?:[^\n]|\\\n)*)\n", script)
        command = [sys.executable, "-m", "bulk_sender", name, "--help"]
        known = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=True).stdout
        assert set(re.findall(r"--[a-z-]+", line)) <= set(re.findall(r"--[a-z-]+", known))


def dockerfile() -> list[list[str]]:
    """The steps of the container's file: an instruction, and what it is given."""
    joined = re.sub(r"\\\n", " ", (SCHEDULED / "Dockerfile").read_text())
    return [line.split(maxsplit=1) for line in joined.splitlines() if line and not line.startswith("#")]


def test_the_container_is_built_in_stages_from_files_that_exist_and_runs_as_nobody_in_particular() -> None:
    steps = dockerfile()
    assert [rest for step, rest in steps if step == "FROM"] == ["python:3.13-slim AS build", "python:3.13-slim"]
    allowed = (ROOT / ".dockerignore").read_text()
    for copied in (rest for step, rest in steps if step == "COPY" and not rest.startswith("--from")):
        for source in copied.split()[:-1]:
            assert (ROOT / source).exists()
            assert f"!{source}" in allowed
    names = [step for step, _ in steps]
    assert dict(steps)["USER"] == "10001"
    assert names.index("USER") < names.index("ENTRYPOINT")
    assert dict(steps)["ENTRYPOINT"] == '["bulk-sender"]'


def test_neither_the_container_nor_the_cronjob_has_a_key_in_it() -> None:
    settings = [rest for step, rest in dockerfile() if step in ("ENV", "ARG", "LABEL")]
    assert settings
    assert not [rest for rest in settings if re.search("key|token|secret|braze", rest, re.IGNORECASE)]
    [container] = cronjob()["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert {entry["name"] for entry in container["env"]} == {"JOB_NAME", "BRAZE_API_KEY_FILE"}


def test_the_examples_name_the_version_they_belong_to() -> None:
    image = f"bulk-sender:{bulk_sender.__version__}"
    assert image in (SCHEDULED / "Dockerfile").read_text()
    assert image in (SCHEDULED / "cronjob.yaml").read_text()
