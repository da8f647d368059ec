"""What an error of an engine is about, in one line: engines quote whole tracebacks of their workers."""

from __future__ import annotations

import re

from bulk_sender.text.masking import without_addresses

_RAISED = re.compile(r"(?:Caused by: |: )?((?:\w+\.)*\w*(?:Error|Exception)\b: .*)")


def in_a_line(error: Exception) -> str:
    """Return the last line that names an exception, which caused the others, or else the first of all."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = [found[1] for line in lines if (found := _RAISED.match(line))]
    return without_addresses((told[-1:] or lines[:1] or [type(error).__name__])[0])
