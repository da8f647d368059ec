"""The manifests and the Python of the page about clusters: what can be checked without a cluster."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import bulk_sender.ray as on_ray
import bulk_sender.spark as on_spark

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "howto" / "cluster.md").read_text(encoding="utf-8")


def job() -> dict[str, Any]:
    yaml = pytest.importorskip("yaml")
    found: dict[str, Any] = yaml.safe_load((ROOT / "examples" / "cluster" / "rayjob.yaml").read_text())["spec"]
    return found


def refuse_unknown_options(command: str) -> None:
    name = command.split()[1]
    done = [sys.executable, "-m", "bulk_sender", name, "--help"]
    known = subprocess.run(done, cwd=ROOT, capture_output=True, text=True, timeout=300, check=True).stdout
    assert set(re.findall(r"--[a-z-]+", command)) <= set(re.findall(r"--[a-z-]+", known)), command


def test_the_rayjob_calls_with_options_that_exist_and_names_its_run() -> None:
    entrypoint = job()["entrypoint"]
    refuse_unknown_options(entrypoint)
    assert "--run-id" in entrypoint and "--on ray" in entrypoint


def test_every_pod_of_the_rayjob_has_the_key_and_the_password_as_private_files() -> None:
    cluster = job()["rayClusterSpec"]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        pod = group["template"]["spec"]
        [container] = pod["containers"]
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
        assert volumes.keys() == mounts.keys()
        given = {entry["name"]: entry["value"] for entry in container["env"]}
        for name, variable in (("key", "BRAZE_API_KEY_FILE"), ("pgpass", "PGPASSFILE")):
            assert volumes[name]["secret"]["defaultMode"] == 0o400
            assert given[variable].startswith(mounts[name] + "/")
        assert given["BULK_SENDER_JOURNAL"] == "postgresql:"


def test_the_commands_of_the_page_exist() -> None:
    commands = re.findall(r"^bulk-sender .*", PAGE, re.MULTILINE)
    assert commands
    for command in commands:
        refuse_unknown_options(command)


def test_the_python_of_the_page_calls_with_arguments_that_exist() -> None:
    calls = 0
    for block in [
        *re.findall(r"^```py\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL),
        *re.findall(r"`(bss\..*?\))`", PAGE),
    ]:
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.Call) and (found := re.match(r"(bs[rs])\.(\w+)$", ast.unparse(node.func))):
                function = getattr({"bsr": on_ray, "bss": on_spark}[found[1]], found[2])
                names = {str(keyword.arg): None for keyword in node.keywords}
                inspect.signature(function).bind(*node.args, **names)
                calls += 1
    assert calls == 3


def test_the_modules_import_neither_engine() -> None:
    code = (
        "import sys, bulk_sender.ray, bulk_sender.spark;"
        "print(sorted({'ray', 'pyspark', 'pyarrow', 'psycopg'} & set(sys.modules)), bulk_sender.ray.__name__)"
    )
    told = subprocess.check_output([sys.executable, "-c", code], text=True, timeout=300).strip()
    assert told == "[] bulk_sender.ray"
