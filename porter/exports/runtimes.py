"""Runtimes by name: what a port can be written for and run by, as a second witness."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from porter.errors import UsageError
from porter.exports import c, fortran
from porter.exports.formats import FORMATS
from porter.exports.registry import Format, Opens


@dataclass(frozen=True)
class Runtime:
    """One runtime.

    Attributes:
        name: for ``--runtime``.
        format: name of what it runs.
        check: raises where it is not installed.
        opens: opens a file; None where the format's own opener uses it.
    """

    name: str
    format: str
    check: Callable[[], Any]
    opens: Opens | None = None

    @property
    def form(self) -> Format:
        """What it runs, opened by it."""
        form = FORMATS[self.format]
        return form if self.opens is None else replace(form, opens=self.opens)


def _check_onnx() -> None:
    from porter.ports.packages import require

    require("onnx", "onnx")


def _check_onnxruntime() -> None:
    from porter.ports.packages import require

    _check_onnx()
    require("onnxruntime", "onnx")


def _open_by_reference(path: Path, *, trusted: bool) -> Any:
    from porter.ports.onnx_file import open_by_reference

    return open_by_reference(path, trusted=trusted)


def _check_litert() -> None:
    from porter.ports.litert_file import runtime

    runtime()


RUNTIMES: Mapping[str, Runtime] = {
    each.name: each
    for each in (
        Runtime("c", "c", c.COMPILER.find),
        Runtime("fortran", "fortran", fortran.COMPILER.find),
        Runtime("litert", "litert", _check_litert),
        Runtime("numpy", "numpy", lambda: None),
        Runtime("onnx-reference", "onnx", _check_onnx, _open_by_reference),
        Runtime("onnxruntime", "onnx", _check_onnxruntime),
        Runtime("tensorflow", "saved_model", lambda: None),
    )
}


def runtime_named(name: str) -> Runtime:
    """The runtime of that name, which is installed.

    Raises:
        UsageError: there is none; the message lists those that exist.
        MissingPackageError: it is not installed; one line, with the command that installs it.
        NoCompilerError: no compiler.
    """
    if name not in RUNTIMES:
        raise UsageError("the runtime", found=repr(name), expected=f"one of {', '.join(RUNTIMES)}")
    RUNTIMES[name].check()
    return RUNTIMES[name]


def runtimes_of(form: Format) -> tuple[str, ...]:
    """Names of other runtimes of a format's files than the one that usually runs them."""
    return tuple(each.name for each in RUNTIMES.values() if each.format == form.name and each.opens is not None)
