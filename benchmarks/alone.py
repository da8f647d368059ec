"""One subject alone, against any server: ``python benchmarks/alone.py drt --url URL --file FILE``.

Makes the subject's environment, lets it send the file, and prints its claim and what it used as JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

import measure
from environments import SetupError
from subjects import SUBJECTS, SubjectError, perform


def main() -> int:
    subjects = {subject.name: subject for subject in SUBJECTS}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("subject", choices=subjects)
    parser.add_argument("--url", required=True, help="scheme, host and port; the path is the subject's business")
    parser.add_argument("--file", type=Path, required=True)
    parser.add_argument("--timeout", type=float, default=600, metavar="S")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "bulk-sender-benchmarks")
    options = parser.parse_args()
    subject = subjects[options.subject]
    try:
        program = subject.install(options.work)
        finished, claim = perform(
            subject, program, options.url, options.file, core=measure.cores()[0], timeout_s=options.timeout
        )
    except (SetupError, SubjectError) as trouble:
        print(json.dumps({"error": str(trouble)}))
        return 1
    used = {"cpu_s": finished.cpu_s, "wall_s": finished.wall_s, "max_rss_mb": finished.max_rss_mb}
    said = {"claimed": claim.claimed, "failed": claim.failed, "unknown": claim.unknown}
    error = f"exit code {finished.exit_code}" if finished.exit_code else None
    print(json.dumps({**said, **{name: round(value, 2) for name, value in used.items()}, "error": error}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
