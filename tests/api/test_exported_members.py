from __future__ import annotations

import inspect
import pkgutil
import subprocess
import sys

import bulk_sender as bs


def test_every_exported_name_is_there_and_has_something_to_say() -> None:
    for name in bs.__all__:
        member = getattr(bs, name)
        if name != "__version__":
            assert inspect.getdoc(member), name


def test_all_is_sorted_and_holds_each_name_once() -> None:
    assert sorted(set(bs.__all__)) == bs.__all__


def test_what_type_checkers_see_is_what_there_is() -> None:
    """The imports for type checkers and the table for the running program are written down twice."""
    source = inspect.getsource(bs)
    seen = source[source.index("if TYPE_CHECKING:") : source.index("_HOMES")]
    for name in bs._HOME:
        assert name in seen, name
    assert set(bs._HOME) == set(bs.__all__) - {"__version__"}


def test_no_module_has_the_name_of_an_exported_function() -> None:
    """Importing a submodule makes it an attribute of its package, in the place of the function."""
    modules = {module.name for module in pkgutil.iter_modules(bs.__path__)}
    assert not modules & set(bs.__all__)


def test_importing_it_imports_nothing_heavy() -> None:
    code = (
        "import sys, bulk_sender; print(sorted({'polars', 'httpx', 'pydantic', 'anyio', 'typer'} & set(sys.modules)))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True, timeout=60).strip() == "[]"


def test_sending_imports_no_optional_part_that_nobody_asked_for() -> None:
    code = (
        "import sys, bulk_sender.operations.send, bulk_sender.observe.observers as o, bulk_sender.config.model as c\n"
        "o.observers_for(c.Config(), {})\n"
        "print(sorted(m for m in sys.modules if m.split('.')[0] in ('opentelemetry', 'apprise', 'requests')))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True, timeout=60).strip() == "[]"


def test_the_blocking_functions_show_the_whole_signature() -> None:
    for blocking, awaitable in ((bs.send, bs.send_async), (bs.resume, bs.resume_async), (bs.retry, bs.retry_async)):
        assert inspect.signature(blocking) == inspect.signature(awaitable)
        assert not inspect.iscoroutinefunction(blocking)
        assert blocking.__name__ + "_async" == awaitable.__name__
