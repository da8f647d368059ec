"""Arrow streams without the columns whose types polars does not have.

polars panics at the schema of such a stream, even if nobody needs the column. So these columns are taken out of the C
structures of Arrow's stream interface before polars sees them. No other library is needed for that.
"""

from __future__ import annotations

import ctypes
import re
from ctypes import CFUNCTYPE, POINTER, Structure, byref, c_char_p, c_int, c_int64, c_void_p
from itertools import count
from typing import Any

from bulk_sender.errors import InputError

_NAME = b"arrow_array_stream"
_KNOWN = re.compile(r"[nbcCsSiIlLefgzZuU]|v[zu]|d:.*|w:\d+|t[dts].*|tD.|tin|\+[lLsm]|\+w:\d+")
"""Formats of types that polars has. ``tin`` is INTERVAL, which ``readable`` leaves out."""
_WORDS = {"+u": "union", "+v": "list view", "+r": "run-end encoding", "ti": "INTERVAL"}


class _Schema(Structure):
    pass


class _Array(Structure):
    pass


class _Stream(Structure):
    pass


_ReleaseSchema, _ReleaseArray = CFUNCTYPE(None, POINTER(_Schema)), CFUNCTYPE(None, POINTER(_Array))
_GetSchema, _GetNext = (CFUNCTYPE(c_int, POINTER(_Stream), POINTER(kind)) for kind in (_Schema, _Array))
_GetError, _Release = CFUNCTYPE(c_void_p, POINTER(_Stream)), CFUNCTYPE(None, POINTER(_Stream))
_Schema._fields_ = [
    ("format", c_char_p),
    ("name", c_char_p),
    ("metadata", c_void_p),
    ("flags", c_int64),
    ("n_children", c_int64),
    ("children", POINTER(c_void_p)),
    ("dictionary", POINTER(_Schema)),
    ("release", _ReleaseSchema),
    ("private_data", c_void_p),
]
_Array._fields_ = [
    *((name, c_int64) for name in ("length", "null_count", "offset", "n_buffers", "n_children")),
    ("buffers", POINTER(c_void_p)),
    ("children", POINTER(c_void_p)),
    ("dictionary", POINTER(_Array)),
    ("release", _ReleaseArray),
    ("private_data", c_void_p),
]
_Stream._fields_ = [
    ("get_schema", _GetSchema),
    ("get_next", _GetNext),
    ("get_last_error", _GetError),
    ("release", _Release),
    ("private_data", c_void_p),
]
_new_capsule = ctypes.pythonapi.PyCapsule_New
_new_capsule.restype, _new_capsule.argtypes = ctypes.py_object, [c_void_p, c_char_p, c_void_p]
_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_pointer.restype, _pointer.argtypes = c_void_p, [ctypes.py_object, c_char_p]

_numbers = count(1)
_opened: dict[int, tuple[Any, list[int]]] = {}
"""Streams that are read: the original, and the places of the columns to leave out."""


class ReadableStream:
    """The columns of an Arrow stream that polars can read. ``unreadable``: the types of the others, by name.

    Raise InputError if the stream fails, or has no other column.
    """

    def __init__(self, given: Any, name: str) -> None:
        self._capsule = given.__arrow_c_stream__()
        original = _Stream.from_address(_pointer(self._capsule, _NAME))
        schema = _Schema()
        if original.get_schema(byref(original), byref(schema)):
            address = original.get_last_error(byref(original))
            said = ctypes.string_at(address).decode(errors="replace") if address else "the stream has no schema"
            raise InputError(f"{name} cannot be read: {said[:200]}")
        columns = _children(schema) if schema.format == b"+s" else []
        kinds = [_unknown(column) for column in columns]
        self.unreadable = {
            (column.name or b"").decode(): kind for column, kind in zip(columns, kinds, strict=True) if kind
        }
        schema.release(byref(schema))
        if not self.unreadable:
            return
        if all(kinds):
            column, kind = next(iter(self.unreadable.items()))
            raise InputError(f"{name}: column {column!r} has the type {kind}, and no other column can be read")
        self._stream = _Stream(*_CALLBACKS, next(_numbers))
        _opened[self._stream.private_data] = (_moved(original), [at for at, kind in enumerate(kinds) if kind])
        self._original, self._capsule = self._capsule, _new_capsule(ctypes.addressof(self._stream), _NAME, None)

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self._capsule


def _children(parent: Any) -> list[Any]:
    return [type(parent).from_address(parent.children[at]) for at in range(parent.n_children)]


def _unknown(schema: Any) -> str | None:
    """Return the type in words if polars does not have it, or a type inside it."""
    form = (schema.format or b"").decode()
    if not _KNOWN.fullmatch(form):
        return _WORDS.get(form[:2], f"{form!r} of Arrow")
    inside = [*_children(schema), *([schema.dictionary.contents] if schema.dictionary else [])]
    return next((kind for each in inside if (kind := _unknown(each))), None)


def _moved(stream: Any) -> Any:
    """Take over a stream, as its consumer does."""
    own = _Stream()
    ctypes.memmove(byref(own), byref(stream), ctypes.sizeof(_Stream))
    stream.release = _Release()
    return own


def _drop(parent: Any, places: list[int]) -> None:
    """Release some children, and leave the others to the consumer."""
    slots = parent.children
    addresses = [slots[at] for at in range(parent.n_children)]
    for at in places:
        child = type(parent).from_address(addresses[at])
        if child.release:
            child.release(byref(child))
    dropped = set(places)
    kept = [address for at, address in enumerate(addresses) if at not in dropped]
    for at, address in enumerate([*kept, *(addresses[at] for at in places)]):
        slots[at] = address
    parent.n_children = len(kept)


def _get_schema(stream: Any, out: Any) -> int:
    original, places = _opened[stream.contents.private_data]
    code: int = original.get_schema(byref(original), out)
    if not code:
        _drop(out.contents, places)
    return code


def _get_next(stream: Any, out: Any) -> int:
    original, places = _opened[stream.contents.private_data]
    code: int = original.get_next(byref(original), out)
    if not code and out.contents.release:  # a released array marks the end
        _drop(out.contents, places)
    return code


def _get_error(stream: Any) -> int | None:
    original, _ = _opened[stream.contents.private_data]
    address: int | None = original.get_last_error(byref(original))
    return address


def _release(stream: Any) -> None:
    original, _ = _opened.pop(stream.contents.private_data)
    original.release(byref(original))
    stream.contents.release = _Release()


_CALLBACKS = (_GetSchema(_get_schema), _GetNext(_get_next), _GetError(_get_error), _Release(_release))
"""Kept for the whole process, because a consumer may call them at any time."""
