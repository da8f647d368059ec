"""What the operating system allows this process: open files (``ulimit -n``) and address space (``ulimit -v``).

The limit on open files is raised where that is allowed, and respected where it is not.
"""

from __future__ import annotations

import errno
import os

from bulk_sender.errors import BulkSenderError

HINT = "raise the limit before the command, for example with ulimit -n 1024"
SHORT = frozenset({errno.EMFILE, errno.ENFILE})
"""The errors that mean that this process, or the whole machine, has no file descriptor left."""
TO_BEGIN, TO_SEND = 16, 6
"""Descriptors to keep beside those asked for: before an input is opened, and once only connections are missing."""


LEAST_MB = 1_800
"""Address space below which the libraries abort or hang: they begin with 1,600 MB, most of which they never touch."""


def refuse_little_memory() -> None:
    """Raise BulkSenderError when this process may have less address space than its libraries begin with."""
    try:
        import resource
    except ImportError:  # Windows
        return
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY and limit < LEAST_MB << 20:
        raise BulkSenderError(
            f"this process may have only {limit >> 20:,} MB of address space, and needs {LEAST_MB:,} MB",
            hint="raise the limit before the command: ulimit -v unlimited. To bound the memory that is really used, "
            "limit the container or the control group instead",
        )


def is_shortage(error: BaseException | None) -> bool:
    """Whether an exception, or one behind it, says that no file descriptor was left."""
    for _ in range(10):
        if error is None:
            return False
        if isinstance(error, OSError) and error.errno in SHORT:
            return True
        if isinstance(error, BaseExceptionGroup):
            return any(map(is_shortage, error.exceptions))
        error = error.__cause__ or error.__context__
    return False


def room(wanted: int, keep: int) -> int:
    """Return how many of ``wanted`` further descriptors this process may open and still ``keep`` so many.

    Raise the limit if that is allowed. Raise BulkSenderError when not even one is left.
    """
    try:
        import resource
    except ImportError:  # Windows
        return wanted
    used = _used()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = used + keep + wanted
    if soft != resource.RLIM_INFINITY and soft < needed:
        raised = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        if raised > soft:
            try:
                resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
                soft = raised
            except (OSError, ValueError):  # macOS has a lower limit of the system's
                pass
    if soft == resource.RLIM_INFINITY:
        return wanted
    left = soft - used - keep
    if left < 1:
        raise BulkSenderError(
            f"this process may have only {soft} files open, and needs at least {used + keep + 1}", hint=HINT
        )
    return min(wanted, left)


def _used() -> int:
    for folder in ("/proc/self/fd", "/dev/fd"):
        try:
            return len(os.listdir(folder))  # noqa: PTH208 - fewer objects
        except OSError as error:
            if error.errno in SHORT:
                raise BulkSenderError("this process has no file descriptor left", hint=HINT) from None
    return 16
