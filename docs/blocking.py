"""Griffe extension for the Python reference: show ``send = blocking(send_async)`` as a function.

Read from the source, ``send`` is a variable without a text. It has the parameters and the docstring of ``send_async``.
"""

from __future__ import annotations

from typing import Any

import griffe


class Blocking(griffe.Extension):
    """Replace each ``name = blocking(name_async)`` by a function."""

    def on_module(self, *, mod: griffe.Module, **_: Any) -> None:
        for name, member in list(mod.members.items()):
            if isinstance(member, griffe.Attribute) and str(member.value) == f"blocking({name}_async)":
                awaited = mod.functions[f"{name}_async"]
                function = griffe.Function(
                    name,
                    lineno=member.lineno,
                    endlineno=member.endlineno,
                    parameters=awaited.parameters,
                    returns=awaited.returns,
                    docstring=awaited.docstring,
                )
                mod.set_member(name, function)
