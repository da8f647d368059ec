"""zstd: in the standard library since Python 3.14, from a backport before."""

from __future__ import annotations

import sys

if sys.version_info >= (3, 14):
    from compression.zstd import compress as compress
else:
    from backports.zstd import compress as compress
