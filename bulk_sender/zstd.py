"""Zstandard: the standard library's module, and its backport for Python before 3.14."""

import sys

if sys.version_info >= (3, 14):
    from compression.zstd import ZstdError, ZstdFile, compress, decompress
else:
    from backports.zstd import ZstdError, ZstdFile, compress, decompress

__all__ = ["ZstdError", "ZstdFile", "compress", "decompress"]
