from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bulk_sender import __version__
from tests.faults import FaultServer
from tests.kit.command import Place, environment
from tests.kit.target import KEY

_BOOM = """
import sys
import bulk_sender as bs{more}
def boom(*args, **options):
    raise RuntimeError("about anna@example.com")
{where} = boom
from bulk_sender.cli import main
main()
"""


def _python(code: str, *arguments: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=cwd,
        env=environment(**variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_and_version_import_nothing_heavy(tmp_path: Path, option: str) -> None:
    code = (
        "import sys\n"
        "from bulk_sender.cli.app import run\n"
        f"code = run([{option!r}])\n"
        "print(code, sorted({'polars', 'pydantic', 'httpx', 'anyio', 'numpy'} & set(sys.modules)), file=sys.stderr)\n"
    )
    done = _python(code, cwd=tmp_path)
    assert done.stderr == "0 []\n"
    assert (__version__ if option == "--version" else "explain") in done.stdout


def test_without_a_command_it_shows_the_help(tmp_path: Path) -> None:
    done = Place(tmp_path).run()
    assert done.code == 2
    assert "Commands" in done.out + done.err or "explain" in done.out + done.err


def test_a_mistake_of_its_own_is_one_line_without_anybody_s_data(tmp_path: Path) -> None:
    code = _BOOM.format(more="", where="bs.check")
    done = _python(code, "check", "x.csv", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: internal error: RuntimeError in bulk_sender.cli.commands.check, line ")
    assert "please report" in done.stderr
    assert "anna" not in done.stderr
    assert "Traceback" not in done.stderr
    debugged = _python(code, "check", "x.csv", cwd=tmp_path, BULK_SENDER_DEBUG="1")
    assert "Traceback" in debugged.stderr
    assert "boom" in debugged.stderr


def test_a_mistake_once_sending_has_begun_is_exit_code_3(tmp_path: Path) -> None:
    code = _BOOM.format(more="\nfrom bulk_sender.reporting import account", where="account.write_files")
    path = Place(tmp_path).people(3)
    done = _python(code, "send", str(path), "--sandbox", "--yes", "--run-id", "r", cwd=tmp_path)
    assert done.returncode == 3
    assert "internal error: RuntimeError" in done.stderr
    assert "Traceback" not in done.stderr


def test_expected_trouble_once_sending_has_begun_is_exit_code_3(tmp_path: Path) -> None:
    code = (
        "from bulk_sender.run import closing\n"
        "from bulk_sender.errors import BulkSenderError\n"
        "def full(*args, **_):\n"
        "    raise BulkSenderError('no space left', hint='free some')\n"
        "closing.close_files = full\n"
        "from bulk_sender.cli import main\n"
        "main()\n"
    )
    path = Place(tmp_path).people(3)
    done = _python(code, "send", str(path), "--sandbox", "--yes", "--run-id", "r", cwd=tmp_path)
    assert done.returncode == 3
    assert done.stderr.splitlines()[-2:] == ["error: no space left", "  hint: free some"]


def test_a_command_is_loaded_without_the_others(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from bulk_sender.cli.app import run\n"
        "code = run(['send', '--help'])\n"
        "prefix = 'bulk_sender.cli.commands.'\n"
        "print(code, [name.removeprefix(prefix) for name in sys.modules if name.startswith(prefix)], file=sys.stderr)\n"
    )
    assert _python(code, cwd=tmp_path).stderr == "0 ['send']\n"


def test_what_a_command_has_loaded_is_not_searched_for_garbage_again(tmp_path: Path) -> None:
    code = (
        "import gc, sys\n"
        "from bulk_sender.run import closing\n"
        "close_files = closing.close_files\n"
        "def closed(*args, **options):\n"
        "    print(gc.isenabled(), len(gc.get_objects()) < gc.get_freeze_count(), file=sys.stderr)\n"
        "    return close_files(*args, **options)\n"
        "closing.close_files = closed\n"
        "from bulk_sender.cli import main\n"
        "main()\n"
    )
    path = Place(tmp_path).people(3)
    done = _python(code, "send", str(path), "--sandbox", "--yes", "--json", "--quiet", cwd=tmp_path)
    assert done.stderr == "True True\n"


_NOT_FOR_A_SMALL_SEND = {
    "apprise",
    "charset_normalizer",
    "deltalake",
    "duckdb",
    "liquid",
    "numpy",
    "opentelemetry",
    "orjson",
    "pandas",
    "psycopg",
    "pyarrow",
    "pyiceberg",
    "requests",
    "sqlglot",
    "starlette",
    "uvicorn",
    "vl_convert",
    "xlsxwriter",
    "bulk_sender.guessing.draft",
    "bulk_sender.planning.fingerprints",
    "bulk_sender.reading.excel",
    "bulk_sender.sandbox",
    "bulk_sender.web",
}


def test_a_send_of_a_small_file_loads_only_what_it_uses(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from bulk_sender.cli.app import run\n"
        "code = run(sys.argv[1:])\n"
        f"print(code, sorted({_NOT_FOR_A_SMALL_SEND!r} & set(sys.modules)), file=sys.stderr)\n"
    )
    path = Place(tmp_path).people(50)
    with FaultServer("ok") as server:
        target = ("--endpoint", server.url, "--campaign-id", "c")
        done = _python(code, "send", str(path), *target, "--yes", "--json", "--quiet", cwd=tmp_path, BRAZE_API_KEY=KEY)
    assert done.stderr.splitlines()[-1] == "0 []", done.stderr
