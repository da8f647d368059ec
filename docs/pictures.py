"""Make the pictures of the documentation: terminals as SVG, the report and the pages of ``web`` as PNG.

    python docs/pictures.py                     # all of them, into docs/assets/
    python docs/pictures.py send.svg            # some of them
    python docs/pictures.py --to /tmp/pictures
    python docs/pictures.py pages --dark --to /tmp/dark        # every screen of bulk-sender web, to look at
    python docs/pictures.py pages --width 390 --to /tmp/phone
    python docs/pictures.py web-live-dialog.png --to /tmp      # one of them; docs/page_screens.py has the names

Each picture shows a real command, run in a temporary folder against the sandbox. Pictures of the report need
``chromium``, those of pages also the Python package ``playwright``. Run it again after a change of what the terminal,
the report or a page shows.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import pty
import re
import select
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).parents[1]
ASSETS = ROOT / "docs" / "assets"
WIDTH = 100
_LONGEST_S = 60.0
_SEQUENCE = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])")
_WEB_FONTS = re.compile(r"\s*@font-face \{.*?\}", re.DOTALL)
"""Pictures fetch nothing from elsewhere: the reader's own monospaced font is used."""


def terminal(folder: Path, command: list[str], *, until: str = "", width: int = WIDTH) -> list[Text]:
    """Run ``bulk-sender`` with ``command`` on a terminal and return the lines that it shows in the end.

    ``until``: stop the command when this pattern appears, and return what is shown then. Every question is answered
    with y.
    """
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))
    process = subprocess.Popen(  # noqa: S603 - the program itself
        [_program(), *command], cwd=folder, env=_environment(), stdin=slave, stdout=slave, stderr=slave
    )
    os.close(slave)
    raw, answered, deadline = "", 0, time.monotonic() + _LONGEST_S
    try:
        while time.monotonic() < deadline and not _has(raw, until):
            if not select.select([master], [], [], 0.2)[0]:
                continue
            try:
                more = os.read(master, 65536)
            except OSError:  # the other side is closed
                break
            if not more:
                break
            raw += more.decode("utf-8", "replace")
            if raw.count("[y/N]") > answered:
                answered += 1
                os.write(master, b"y\n")
        else:
            if not _has(raw, until):
                raise SystemExit(f"{' '.join(command)} took too long:\n{raw}")
    finally:
        with suppress(OSError):
            os.close(master)
        if until and process.poll() is None:
            process.kill()
        process.wait(_LONGEST_S)
    return [Text.assemble(("$ ", "bold green"), "bulk-sender ", " ".join(command)), *screen(raw)]


def _program() -> str:
    found = shutil.which("bulk-sender", path=str(Path(sys.executable).parent))
    if found is None:
        raise SystemExit("bulk-sender is not installed in this environment: python -m pip install -e .")
    return found


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("BRAZE_", "BULK_SENDER_"))}
    return kept | {"TERM": "xterm-256color", "COLUMNS": str(WIDTH), "LINES": "50"}


def _has(raw: str, pattern: str) -> bool:
    """Whether a whole line of what is shown has ``pattern``."""
    return bool(pattern and re.search(f"{pattern}[^\n]*\n", _SEQUENCE.sub("", raw)))


def screen(raw: str) -> list[Text]:
    """The lines left on a terminal after ``raw``: it knows moving up, returning, erasing below, and styles."""
    lines, row = [""], 0
    for part in re.split(r"(\r\n|\r|\n|\x1b\[[0-9;?]*[A-Za-z])", raw):
        sequence = _SEQUENCE.fullmatch(part)
        if part in ("\r\n", "\n"):
            row += 1
        elif part == "\r":
            lines[row] = ""  # what returns to the start of a line writes all of it again
        elif sequence and sequence[2] == "A":
            row = max(0, row - int(sequence[1] or 1))
        elif sequence and sequence[2] == "J":
            del lines[row + 1 :]
        elif sequence and sequence[2] != "m":
            continue
        else:
            lines[row] += part
        lines += [""] * (row + 1 - len(lines))
    shown = [Text.from_ansi(line) for line in lines]
    while shown and not shown[-1].plain.strip():
        shown.pop()
    return shown


def draw(lines: list[Text], path: Path) -> None:
    """Write ``lines`` as a picture of a terminal."""
    with Path(os.devnull).open("w") as nowhere:
        console = Console(record=True, width=WIDTH, file=nowhere, force_terminal=True, color_system="truecolor")
        for line in lines:
            console.print(line, no_wrap=True, overflow="crop", crop=True)
        svg = _WEB_FONTS.sub("", console.export_svg(title="bulk-sender"))
    path.write_text(svg.replace("font-family: Fira Code", "font-family: ui-monospace"), encoding="utf-8")


def photograph(page: Path, path: Path, *, width: int = 1000, height: int = 1060) -> None:
    """Write the top of a run's report as a picture. The report is changed: it names files relative to the runs."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        raise SystemExit("chromium is not installed")
    page.write_text(page.read_text(encoding="utf-8").replace(f"{page.parents[2]}/", ""), encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--window-size={width},{height}"]
    subprocess.run(  # noqa: S603 - the browser that was just found
        [browser, *options, f"--screenshot={path}", page.as_uri()], check=True, capture_output=True, timeout=_LONGEST_S
    )


# ----- the pictures

LOST = ["send", "sample_data/recipients.csv", "--sandbox", "--weather", "lost-answers", "--run-id", "winter"]


def send(folder: Path, path: Path) -> None:
    """A send on a day when answers get lost."""
    draw(terminal(folder, LOST), path)


def progress(folder: Path, path: Path) -> None:
    """A send in progress, on a day when Braze's rate limit makes it wait."""
    command = ["send", "sample_data/recipients.csv", "--sandbox", "--weather", "throttled", "--run-id", "throttled"]
    draw(terminal(folder, command, until="waiting [0-9]"), path)


def explain(folder: Path, path: Path) -> None:
    """Everything known about one unknown row."""
    terminal(folder, LOST)
    results = (folder / "bulk-sender-runs" / "winter" / "results.csv").read_text(encoding="utf-8")
    row = next(line.partition(",")[0] for line in results.splitlines() if ",unknown," in line)
    lines = terminal(folder, ["explain", "winter", row])
    draw(_without_recipient(lines), path)


def _without_recipient(lines: list[Text]) -> list[Text]:
    """The recipient's JSON fills a screen and says nothing about the request: all but its frame is left out."""
    opened = next(number for number, line in enumerate(lines) if line.plain.strip() == "{")
    closed = next(number for number, line in enumerate(lines) if line.plain == lines[opened].plain.replace("{", "}"))
    return [*lines[: opened + 1], Text("    …", "dim"), *lines[closed:]]


def report(folder: Path, path: Path) -> None:
    """The report of the send above."""
    terminal(folder, LOST)
    photograph(folder / "bulk-sender-runs" / "winter" / "report.html", path)


PICTURES: dict[str, Callable[[Path, Path], None]] = {
    "send.svg": send,
    "progress.svg": progress,
    "explain.svg": explain,
    "report.png": report,
}
PAGES = (
    "web-file.png",
    "web-columns.png",
    "web-check.png",
    "web-rehearsal.png",
    "web-review.png",
    "web-result.png",
    "web-fix.png",
    "web-decide.png",
    "web-row.png",
    "web-live.png",
    "web-first-rows.png",
    "web-runs.png",
)
"""Of ``bulk-sender web``, see ``page_pictures``. The other screens are only written to a folder that ``--to`` names."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join([*PICTURES, *PAGES, "pages"]))
    parser.add_argument("--to", type=Path, default=ASSETS, help="folder to write to")
    parser.add_argument("--dark", action="store_true", help="pages in the dark scheme")
    parser.add_argument("--width", type=int, default=1100, help="of pages, in pixels (1100)")
    given = parser.parse_args()
    names = given.names or [*PICTURES, *PAGES]
    screens: list[str] = []
    if any(name == "pages" or name.startswith("web-") for name in names):
        sys.path.insert(0, str(Path(__file__).parent))
        import page_pictures

        screens += page_pictures.PAGES
    pages = screens if "pages" in names else [name for name in names if name in screens]
    if unknown := {*names} - {*PICTURES, *screens, "pages"}:
        parser.error(f"no such picture: {', '.join(sorted(unknown))}")
    if given.to == ASSETS and (other := {*pages} - {*PAGES}):
        parser.error(f"the documentation does not show these: give a folder with --to: {', '.join(sorted(other))}")
    given.to.mkdir(parents=True, exist_ok=True)
    for name in PICTURES:
        if name in names:
            with _furnished() as folder:
                PICTURES[name](folder, given.to / name)
            print(given.to / name)
    if pages:
        with _furnished() as folder:
            page_pictures.take(pages, given.to, folder, dark=given.dark, width=given.width, whole="pages" in names)


@contextmanager
def _furnished() -> Iterator[Path]:
    """A temporary folder with the sample data."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(ROOT / "sample_data", Path(folder) / "sample_data")
        yield Path(folder)


if __name__ == "__main__":
    main()
