"""Compiled templates, kept in ``__pycache__`` as Python keeps its compiled modules.

Compiling the template of the report is a twentieth of the CPU time of a small send.
"""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress
from importlib.util import cache_from_source
from pathlib import Path

from jinja2 import BytecodeCache, __version__
from jinja2.bccache import Bucket


class CompiledTemplates(BytecodeCache):
    """The compiled templates of a folder. Where nothing can be read or written, templates are compiled as without it.

    Python trusts the folder as much: anyone who can write there can change the compiled modules beside the templates.
    """

    def __init__(self, folder: Path, terms: str) -> None:
        """``terms``: what a compiled template depends on beside its source and the release of Jinja."""
        self._folder = folder
        self._terms = f"{__version__}\n{terms}\n"

    def get_cache_key(self, name: str, filename: str | None = None) -> str:
        return name

    def get_source_checksum(self, source: str) -> str:
        return super().get_source_checksum(self._terms + source)

    def load_bytecode(self, bucket: Bucket) -> None:
        with suppress(Exception), self._path(bucket).open("rb") as file:  # a damaged file raises anything
            bucket.load_bytecode(file)

    def dump_bytecode(self, bucket: Bucket) -> None:
        if sys.dont_write_bytecode:
            return
        path = self._path(bucket)
        new = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}")
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                new.touch(0o644, exist_ok=False)
                new.write_bytes(bucket.bytecode_to_string())
                new.replace(path)
            finally:
                new.unlink(missing_ok=True)

    def _path(self, bucket: Bucket) -> Path:
        return Path(cache_from_source(str(self._folder / bucket.key))).with_suffix(".jinjac")
