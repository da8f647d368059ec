from __future__ import annotations

import ast
import inspect
import pkgutil
import re
import subprocess
import sys

import bulk_sender as bs


def test_every_exported_name_is_there_and_has_something_to_say() -> None:
    for name in bs.__all__:
        member = getattr(bs, name)
        if inspect.isclass(member) or inspect.isfunction(member):
            assert inspect.getdoc(member), name


def test_all_is_sorted_and_holds_each_name_once() -> None:
    assert sorted(set(bs.__all__)) == bs.__all__


def test_type_checkers_see_the_names_of_the_table_from_the_same_modules() -> None:
    """The imports for type checkers and the table for the running program have to agree."""
    block = next(node for node in ast.parse(inspect.getsource(bs)).body if isinstance(node, ast.If))
    seen = {
        name.asname: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for name in node.names
        if name.name == name.asname  # "import X as X" is what type checkers take for an export
    }
    assert seen == bs._HOME
    assert set(bs._HOME) == set(bs.__all__) - {"__version__"}


_FROM_ELSEWHERE = {
    "Any",
    "Callable",
    "Collection",
    "DataFrame",
    "Iterable",
    "Iterator",
    "Mapping",
    "None",
    "Path",
    "Unpack",
}


def test_every_type_that_a_public_function_takes_or_returns_is_exported() -> None:
    functions = [getattr(bs, name) for name in bs.__all__ if inspect.isfunction(getattr(bs, name))]
    annotations = [annotation for function in functions for annotation in function.__annotations__.values()]
    mentioned = {name for annotation in annotations for name in re.findall(r"\b[A-Z]\w+", annotation)}
    assert {"Guards", "Summary"} < mentioned
    assert mentioned - _FROM_ELSEWHERE <= set(bs.__all__)


def test_no_public_function_has_more_than_twelve_parameters() -> None:
    functions = [getattr(bs, name) for name in bs.__all__ if inspect.isfunction(getattr(bs, name))]
    assert functions
    assert [one.__name__ for one in functions if len(inspect.signature(one).parameters) > 12] == []


def test_no_module_has_the_name_of_an_exported_function() -> None:
    """Importing a submodule makes it an attribute of its package, in the place of the function."""
    modules = {module.name for module in pkgutil.iter_modules(bs.__path__)}
    assert not modules & set(bs.__all__)


def test_importing_it_imports_nothing_heavy() -> None:
    code = (
        "import sys, bulk_sender; print(sorted({'polars', 'httpx', 'pydantic', 'anyio', 'typer'} & set(sys.modules)))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True, timeout=300).strip() == "[]"


def test_sending_imports_no_optional_part_that_is_not_used() -> None:
    code = (
        "import sys, bulk_sender.operations.send, bulk_sender.observe.observers as o, bulk_sender.config.model as c\n"
        "o.observers_for(c.Config().notify, {})\n"
        "print(sorted(m for m in sys.modules if m.split('.')[0] in ('opentelemetry', 'apprise', 'requests')))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True, timeout=300).strip() == "[]"


def test_the_blocking_functions_show_the_whole_signature() -> None:
    for blocking, awaitable in ((bs.send, bs.send_async), (bs.resume, bs.resume_async), (bs.retry, bs.retry_async)):
        assert inspect.signature(blocking) == inspect.signature(awaitable)
        assert not inspect.iscoroutinefunction(blocking)
        assert blocking.__name__ + "_async" == awaitable.__name__
