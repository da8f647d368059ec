"""What is said of an engine's error, which quotes whole tracebacks."""

from __future__ import annotations

import pytest

from bulk_sender.cluster.trouble import in_a_line

RAY = """The actor died because of an error raised in its creation task, ray::Actor.__init__() (pid=1, ip=10.0.0.1)
    return self.__get_result()
RuntimeError: The actor with name Actor failed to import on the worker. This may be because
ray::Actor.__init__() (pid=1)
ModuleNotFoundError: No module named 'bulk_sender'
"""
SPARK = """An error occurred while calling o84.collectToPython.
: org.apache.spark.SparkException: Job aborted due to stage failure: Task 0 in stage 0.0 failed 4 times
\tat org.apache.spark.scheduler.DAGScheduler.abortStage(DAGScheduler.scala:1)
Caused by: java.io.IOException: error=2, No such file or directory
\tat java.base/java.lang.ProcessBuilder.start(ProcessBuilder.java:1)
"""


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (RuntimeError(RAY), "ModuleNotFoundError: No module named 'bulk_sender'"),
        (RuntimeError(SPARK), "java.io.IOException: error=2, No such file or directory"),
        (RuntimeError("\nThe actor died unexpectedly.\n\tpid: 1"), "The actor died unexpectedly."),
        (RuntimeError(), "RuntimeError"),
    ],
)
def test_the_cause_is_said_in_one_line(error: Exception, line: str) -> None:
    assert in_a_line(error) == line
