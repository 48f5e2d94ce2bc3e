"""The path of a port opened by whatever runs it."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from porter.errors import PortError, first_line
from porter.exports.formats import format_named, format_of
from porter.exports.names import checkpoint_prefix, named_function
from porter.named import import_named


def open_port(path: str | Path, *, trusted: bool = False, loading: Any = None) -> Any:
    """A ``TracedPort``, a ``FileGraph``, ``StoredArrays``, a function of arrays, or a keras.Model.

    Args:
        path: of a file, of a folder that is one port, or the prefix of a checkpoint. Or ``module:function``, where
            there is no such file: the module is imported.
        trusted: whether its code may be compiled and run.
        loading: what was said of a saved Keras model beside its path (``porter.ports.keras.loading.Loading``), or None.

    Raises:
        UsageError: it holds code, and may not be run.
        PortError: there is nothing of that name, or nothing here runs it.
    """
    module, function = named_function(path)
    if function:
        return import_function(module, function)
    path = Path(path)
    if checkpoint_prefix(path) is not None and (loading is None or loading.is_plain):
        return format_named("checkpoint").opens(path, trusted=trusted)  # type: ignore[misc]
    form = format_of(path) if path.exists() and (loading is None or loading.is_plain) else None
    if form is None or form.opens is None:
        from porter.ports.keras.graph import read_port

        return read_port(path) if loading is None else read_port(path, loading)
    return form.opens(path, trusted=trusted)


def import_function(module: str, function: str) -> Any:
    """A function by its name, in a module that is imported: whoever names it runs its code.

    Raises:
        PortError: no such module or function, or one that raises as it is imported.
    """
    try:
        with redirect_stdout(sys.stderr):  # standard output is the report's
            found = getattr(import_named(module), function)
    except Exception as error:  # a module may raise anything as it is imported
        raise PortError(
            f"the port {module}:{function}", found=f"{type(error).__name__}: {first_line(error)}",
            expected="a module on the path, and a function in it", remedy="run it where the module lies",
        ) from error  # fmt: skip
    if not callable(found):
        raise PortError(
            f"the port {module}:{function}", found=f"an object of type {type(found).__name__}", expected="a function"
        )
    return found
