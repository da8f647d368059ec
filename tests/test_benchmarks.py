"""The instruments of the comparison: the counting server, the account of CPU time, the two scripts."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(BENCHMARKS)}
BATCH = b'{"recipients": [{"external_user_id": "a"}, {"external_user_id" : "b"}]}'


@contextmanager
def counting_server(*options: str) -> Iterator[int]:
    with subprocess.Popen([sys.executable, str(BENCHMARKS / "server.py"), *options], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())["port"]
        finally:
            process.terminate()


def post(connection: http.client.HTTPConnection, **request: object) -> tuple[http.client.HTTPResponse, bytes]:
    connection.request("POST", "/campaigns/trigger/send", **request)  # type: ignore[arg-type]
    response = connection.getresponse()
    return response, response.read()


def count(port: int) -> dict[str, int]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/count")
    facts: dict[str, int] = json.loads(connection.getresponse().read())
    return facts


@pytest.fixture
def recipients(tmp_path: Path) -> Callable[[int], Path]:
    def write(rows: int) -> Path:
        path = tmp_path / "recipients.csv"
        program = f"import input, pathlib; input.write_input(pathlib.Path({str(path)!r}), {rows})"
        subprocess.run([sys.executable, "-c", program], env=ENVIRONMENT, check=True, timeout=30)
        return path

    return write


def believed_by(script: str, port: int, path: Path) -> dict[str, int]:
    command = [sys.executable, str(BENCHMARKS / script), f"http://127.0.0.1:{port}", str(path)]
    done = subprocess.run(command, env=ENVIRONMENT, check=True, timeout=300, capture_output=True)
    claim: dict[str, int] = json.loads(done.stdout)
    return claim


def test_every_batch_gets_a_dispatch_id_of_its_own_and_is_counted() -> None:
    with counting_server("--keep-ids") as port:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        answers = [post(connection, body=BATCH) for _ in range(3)]
        facts = count(port)
    assert [response.status for response, _ in answers] == [201, 201, 201]
    assert len({json.loads(body)["dispatch_id"] for _, body in answers}) == 3
    assert all(response.headers["X-RateLimit-Remaining"] for response, _ in answers)
    assert facts == {
        "requests": 3,
        "dropped": 0,
        "recipients": 6,
        "largest_batch": 2,
        "distinct": 2,
        "doubled": 2,
    }


def test_a_batch_without_an_answer_is_taken_all_the_same() -> None:
    with counting_server("--keep-ids", "--drop-every", "2") as port:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        post(connection, body=BATCH)
        with pytest.raises(http.client.RemoteDisconnected):
            post(connection, body=BATCH)
        facts = count(port)
    assert (facts["requests"], facts["dropped"], facts["doubled"]) == (2, 1, 2)


def test_a_chunked_body_is_read_whole_and_a_wish_to_close_is_granted() -> None:
    with counting_server() as port:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        response, _ = post(connection, body=iter([BATCH[:9], BATCH[9:]]), headers={"Connection": "close"})
        facts = count(port)
    assert response.headers["Connection"] == "close"
    assert facts["recipients"] == 2


def test_the_naive_script_calls_failed_what_was_taken(recipients: Callable[[int], Path]) -> None:
    with counting_server("--keep-ids", "--drop-every", "5") as port:
        claim = believed_by("naive.py", port, recipients(500))
        facts = count(port)
    assert claim == {"claimed": 400, "failed": 100}
    assert (facts["distinct"], facts["doubled"]) == (500, 0)


def test_the_retrying_script_sends_twice_what_was_taken(recipients: Callable[[int], Path]) -> None:
    with counting_server("--keep-ids", "--drop-every", "9") as port:
        claim = believed_by("retrying.py", port, recipients(500))
        facts = count(port)
    assert claim == {"claimed": 500, "failed": 0}
    assert (facts["distinct"], facts["doubled"]) == (500, 50)


def test_cpu_time_of_a_grandchild_counts_and_a_command_past_its_time_is_killed(tmp_path: Path) -> None:
    burn = "import time\nwhile time.process_time() < 0.3: pass"
    program = f"""
import json, measure, os, pathlib, sys
def run(command, timeout_s):
    return measure.run(
        command, env=os.environ, cwd=pathlib.Path({str(tmp_path)!r}), core=None, timeout_s=timeout_s
    )
burn = [sys.executable, "-c", {burn!r}]
burnt = run([sys.executable, "-c", f"import subprocess; subprocess.run({{burn!r}})"], 30)
killed = run([sys.executable, "-c", "import threading; threading.Event().wait()"], 0.2)
print(json.dumps([burnt.cpu_s, burnt.exit_code, killed.exit_code]))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], env=ENVIRONMENT, check=True, timeout=300, capture_output=True
    )
    cpu_s, exit_code, killed = json.loads(done.stdout)
    assert cpu_s >= 0.3
    assert (exit_code, killed) == (0, -9)


@pytest.mark.parametrize("transport", ["fast", "httpx"])
def test_the_ratio_of_costs_is_measured_with_all_programs(transport: str) -> None:
    """``.ci/run`` demands it of a quiet machine; beside other tests a ratio of CPU times says little."""
    command = [sys.executable, str(BENCHMARKS / "ratio.py"), "--rows", "2000", "--rounds", "1"]
    command += ["--transport", transport]
    done = subprocess.run(command, timeout=600, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert set(json.loads(done.stdout)) == {"bulk_sender_us", "naive_us", "sequential_us", "ratio", "sequential"}


@pytest.mark.parametrize(
    ("demand", "code"),
    [(["--least", "1.9"], 0), (["--least", "2.1"], 1), (["--most", "0.9"], 0), (["--most", "0.7"], 1)],
)
def test_the_ratio_of_costs_can_be_demanded(demand: list[str], code: int) -> None:
    program = f"""
import ratio, sys
costs = {{ratio.naive: 8e-6, ratio.bulk_sender: 4e-6, ratio.sequential: 5e-6}}
ratio.cost_s = lambda command, rows, work, environment: rows * costs[command]
sys.argv[1:] = ["--rows", "20000", "--rounds", "1", *{demand!r}]
ratio.main()
"""
    done = subprocess.run(
        [sys.executable, "-c", program], env=ENVIRONMENT, timeout=300, capture_output=True, check=False
    )
    assert done.returncode == code, done.stderr
    figures = {"bulk_sender_us": 4.0, "naive_us": 8.0, "sequential_us": 5.0, "ratio": 2.0, "sequential": 0.8}
    assert json.loads(done.stdout) == figures


def test_a_shape_is_made_checked_and_sent() -> None:
    command = [sys.executable, str(BENCHMARKS / "shapes.py"), "--quick", "--rounds", "1", "--only", "one-file"]
    done = subprocess.run(command, timeout=300, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "| one CSV file of 20,000 rows | 20,000 |" in done.stdout


@pytest.mark.parametrize(
    ("option", "most", "code"), [("mb", 300, 0), ("mb", 199, 1), ("files", 1.9, 1), ("cell", 3, 0)]
)
def test_the_figures_of_shapes_can_be_demanded(option: str, most: float, code: int) -> None:
    program = f"""
import shapes, sys
shapes.Bench.run = lambda *_, **__: type("Done", (), {{"cpu_s": 0.0}})
costs = {{"files": 2.0, "one-file": 1.0, "csv": 9e-6, "csv-300": 600e-6}}
shapes.measured = lambda bench, name, rows, rounds: shapes.Measured(shapes.SHAPES[name], 1, costs[name], 150, 200)
sys.exit(shapes.main(["--only", ",".join(costs), "--most-{option}", "{most}"]))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], env=ENVIRONMENT, timeout=300, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stderr


def test_the_cost_of_a_start_is_measured_in_units_of_its_libraries() -> None:
    command = [sys.executable, str(BENCHMARKS / "start.py"), "--rounds", "1"]
    done = subprocess.run(command, timeout=600, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert set(json.loads(done.stdout)) == {"imports_ms", "send_ms", "ratio"}


@pytest.mark.parametrize(("most", "code"), [("2.6", 0), ("2.4", 1)])
def test_the_cost_of_a_start_can_be_bounded(most: str, code: int) -> None:
    program = f"""
import start, sys
start.cost_s = lambda command, rows, work, environment: 0.5
start.imports_s = lambda work, environment: 0.2
sys.argv[1:] = ["--rounds", "1", "--most", {most!r}]
start.main()
"""
    done = subprocess.run(
        [sys.executable, "-c", program], env=ENVIRONMENT, timeout=300, capture_output=True, check=False
    )
    assert done.returncode == code, done.stderr
    assert json.loads(done.stdout) == {"imports_ms": 200.0, "send_ms": 500.0, "ratio": 2.5}
