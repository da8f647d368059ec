"""Validation errors in the terms of the configuration file: dotted keys, and the nearest known key."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ValidationError

_WORDS = {
    "missing": "is missing",
    "model_type": "should be a table",
    "dict_type": "should be a table",
    "list_type": "should be a list",
    "string_type": "should be text, in quotes",
    "int_type": "should be a whole number",
    "float_type": "should be a number",
    "bool_type": "should be true or false",
}
_NOT_WRITTEN = ("identifier_order",)


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """Return all errors in one line. Values may be secrets, so only the model's own validators quote them."""
    return "; ".join(_explain_one(detail, model) for detail in error.errors(include_url=False))


def _explain_one(detail: Any, model: type[BaseModel]) -> str:
    path = [part for part in detail["loc"] if not str(part).startswith("function-")]
    key = ".".join(str(part) for part in path)
    if detail["type"] == "extra_forbidden":
        known = _known_keys(model, path[:-1])
        near = difflib.get_close_matches(str(path[-1]), known, n=1, cutoff=0.5)
        return f"unknown key {key} " + (f"(did you mean {near[0]}?)" if near else f"(known here: {', '.join(known)})")
    message = _WORDS.get(detail["type"], detail["msg"].removeprefix("Value error, ").removeprefix("Input "))
    return f"{key}: {message}" if key else message


def _known_keys(model: type[BaseModel], path: list[Any]) -> list[str]:
    for part in path:
        field = model.model_fields.get(str(part))
        model = (next(_models_in(field.annotation), None) if field else None) or model
    names = [field.alias or name for name, field in model.model_fields.items() if name not in _NOT_WRITTEN]
    return [*names, "context", "canvas_entry_properties"] if "trigger_properties" in names else names


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in getattr(annotation, "__args__", ()):
        yield from _models_in(inner)
