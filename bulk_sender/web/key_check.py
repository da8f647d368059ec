"""Look at a profile's key in a process that ends afterwards: the page itself never opens a key's file.

``python -m bulk_sender.web.key_check`` reads what to look at as JSON from standard input and prints what it found.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import bulk_sender as bs
from bulk_sender.errors import BulkSenderError
from bulk_sender.text.clean import clean
from bulk_sender.web.profiles import Profile

_LONGEST_S = 60.0
_FILE = "key-checks.json"
_NOT_ABOUT_THE_KEY = ("configuration", "target", "runs folder", "disk", "left over")
_SECRETS = ("BRAZE_API_KEY", "BULK_SENDER_PROXY")


@dataclass(slots=True)
class KeyChecks:
    """What was found about the keys of a page's profiles, kept in its private folder."""

    folder: Path
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def found(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the last result by profile: ``at`` and ``found``."""
        try:
            told = json.loads((self.folder / _FILE).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return told if isinstance(told, dict) else {}

    def check(self, name: str, profile: Profile, runs_dir: Path) -> None:
        """Look at the key of a profile now. A second click while that runs does nothing."""
        if not self._lock.acquire(blocking=False):
            return
        try:
            result = {"at": time.time(), "endpoint": profile.endpoint, "found": _asked(profile, runs_dir)}
            path = self.folder / f"{_FILE}.new"
            path.unlink(missing_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump({**self.found(), name: result}, file)
            path.replace(self.folder / _FILE)
        finally:
            self._lock.release()


def _asked(profile: Profile, runs_dir: Path) -> list[dict[str, str]]:
    """Return what the process says. Raises BulkSenderError if it says nothing."""
    told = {"endpoint": profile.endpoint, "campaigns": profile.campaigns[:1], "runs_dir": str(runs_dir)}
    kept = {name: value for name, value in os.environ.items() if name not in _SECRETS}
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "bulk_sender.web.key_check"],
            input=json.dumps(told).encode(),
            capture_output=True,
            env=kept | {"BRAZE_API_KEY_FILE": profile.key_file},
            timeout=_LONGEST_S,
            check=True,
        )
        found: list[dict[str, str]] = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        raise BulkSenderError("the key could not be checked", hint="run bulk-sender doctor with this key") from None
    name = Path(profile.key_file).name
    return [{key: clean(value.replace(profile.key_file, name)) for key, value in each.items()} for each in found]


def main() -> int:
    """Examine what standard input names. Return an exit code."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # no core file with the key
    told = json.loads(sys.stdin.read())
    braze = {"endpoint": told["endpoint"]}
    if told["campaigns"]:
        braze["campaign_id"] = told["campaigns"][0]
    found = bs.doctor({"braze": braze}, runs_dir=told["runs_dir"])
    kept = [each for each in found.to_dict()["found"] if each["name"] not in _NOT_ABOUT_THE_KEY]
    sys.stdout.write(json.dumps(kept))
    return 0


if __name__ == "__main__":
    sys.exit(main())
