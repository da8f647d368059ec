"""The distributions: what is in them, and that they install and run where there is nothing else."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest

import bulk_sender
from benchmarks import measure

ROOT = Path(__file__).parents[1]
VERSIONS = ("3.11", "3.12", "3.13", "3.14")
GIVEN = os.environ.get("BULK_SENDER_DISTRIBUTIONS")
"""A folder with a wheel and a source distribution to test instead of newly built ones: those about to be released."""


def run(*command: object, cwd: Path = ROOT, timeout: float = 280) -> str:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "BRAZE"))}
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, env=clean, capture_output=True, text=True, timeout=timeout, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The wheel and the source distribution, built without a network unless they are given."""
    out = Path(GIVEN).resolve() if GIVEN else tmp_path_factory.mktemp("dist")
    if not GIVEN:
        run(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, ROOT)
    [wheel], [sdist] = out.glob("*.whl"), out.glob("*.tar.gz")
    return wheel, sdist


def test_the_wheel_holds_the_package_and_nothing_of_its_workshop(distributions: tuple[Path, Path]) -> None:
    names = zipfile.ZipFile(distributions[0]).namelist()
    assert {name.split("/")[0] for name in names} == {"bulk_sender", f"bulk_sender-{bulk_sender.__version__}.dist-info"}
    assert "bulk_sender/py.typed" in names
    assert not [name for name in names if "__pycache__" in name]
    shipped = {name for name in names if name.startswith("bulk_sender/")}
    tracked = {
        str(file.relative_to(ROOT))
        for file in (ROOT / "bulk_sender").rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert shipped == tracked


def test_the_source_distribution_has_what_its_tests_need(distributions: tuple[Path, Path]) -> None:
    with tarfile.open(distributions[1]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for needed in (
        "bulk_sender/py.typed",
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "tests/test_packaging.py",
        "examples/README.md",
        "sample_data/recipients.csv",
        "docs/howto/pipelines.md",
    ):
        assert needed in names


def test_the_version_is_written_down_alike() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == bulk_sender.__version__
    assert f"[{project['version']}]" in (ROOT / "CHANGELOG.md").read_text()


def test_every_extra_is_documented() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    documents = (ROOT / "README.md").read_text() + "".join(f.read_text() for f in (ROOT / "docs").rglob("*.md"))
    for extra in extras:
        assert re.search(rf"\[[\w,]*\b{extra}\b[\w,]*\]|`{extra}`", documents), extra


def test_hints_name_packages_of_the_extras_and_work_for_an_installation_from_source() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = " ".join(requirement for extra in project["optional-dependencies"].values() for requirement in extra)
    code = "".join(file.read_text() for file in (ROOT / "bulk_sender").rglob("*.py"))
    assert not re.search(r"bulk-sender\[", code), "the package is not on an index for everyone"
    named = re.findall(r"pip install ([a-z][a-z -]*)", code)
    assert len(named) >= 3
    for package in " ".join(named).split():
        assert re.search(rf"(^| ){package}>=", wanted), package


def test_every_pin_is_a_name_and_a_version_and_covers_what_is_installed() -> None:
    lines = (ROOT / ".ci" / "constraints.txt").read_text().split("\n")
    pins = [line for line in lines if line]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!+]+", pin) for pin in pins)
    assert pins == sorted(pins, key=str.lower) or len(pins) == len({pin.partition("==")[0].lower() for pin in pins})
    pinned = {re.sub(r"[-_.]+", "-", pin.partition("==")[0]).lower() for pin in pins}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = project["project"]["dependencies"] + project["dependency-groups"]["test"]
    for requirement in wanted:
        name = re.match(r"[A-Za-z0-9._-]+", requirement)
        assert name is not None
        assert re.sub(r"[-_.]+", "-", name[0]).lower() in pinned, requirement


def cpu_s(*arguments: str) -> float:
    """The processor's time that Python takes. Time on the clock would be that of whatever else the machine does."""
    done = measure.run([sys.executable, *arguments], env=os.environ, cwd=ROOT, core=None, timeout_s=60)
    assert done.exit_code == 0, done.stderr
    return done.cpu_s


def test_help_is_there_at_once() -> None:
    """A ratio, since machines differ: 0.3 s where an empty Python takes 0.02 s."""
    commands = (("-c", "pass"), ("-m", "bulk_sender", "--help"))
    empty, shown = zip(*([cpu_s(*command) for command in commands] for _ in range(15)), strict=True)
    assert min(shown) < 15 * min(empty) + 0.05, "the least of some tries is the least disturbed"


def installed(python: Path, distribution: Path, folder: Path) -> Callable[..., str]:
    run(python, "-m", "venv", folder)
    inside = folder / "bin" / "python"
    constraints = ROOT / ".ci" / "constraints.txt"
    run(inside, "-m", "pip", "install", "--quiet", "--constraint", constraints, distribution)
    return lambda *arguments: run(inside, *arguments, cwd=folder)


def pythons() -> list[Path]:
    """Interpreters of the supported versions on this machine. For given distributions, only the one running this."""
    if GIVEN:
        return [Path(sys.executable)]
    found = []
    for version in VERSIONS:
        places = [*Path.home().glob(f".pyenv/versions/{version}.*/bin/python"), Path(f"/usr/bin/python{version}")]
        found += [place for place in places if place.exists()][:1]
    return found


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", ["wheel", "sdist"])
@pytest.mark.parametrize("python", pythons() or [None], ids=str)
def test_it_installs_where_there_is_nothing_and_runs(
    python: Path | None, kind: str, distributions: tuple[Path, Path], tmp_path: Path
) -> None:
    if python is None:
        pytest.skip("no interpreter of a supported version was found")
    inside = installed(python, distributions[kind == "sdist"], tmp_path / "venv")
    expected = f"bulk-sender {metadata.version('bulk-sender')}"
    assert inside("-m", "bulk_sender", "--version").strip() == expected
    assert run(tmp_path / "venv" / "bin" / "bulk-sender", "--version").strip() == expected
    assert "send" in inside("-m", "bulk_sender", "--help")
    source = tmp_path / "recipients.csv"
    source.write_text("external_user_id\nsample-1\nsample-2\n")
    check = inside("-m", "bulk_sender", "check", source, "--json")
    assert '"valid": 2' in check
    inside("-c", "import bulk_sender as bs; assert bs.check(%r).valid == 2" % str(source))  # noqa: UP031
    inside("-m", "pip", "check")
