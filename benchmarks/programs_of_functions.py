"""C, Fortran and NumPy programs of one function alone, as ``porter export`` writes it, run on arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np

from porter.exports.plan import Dense, GoldenRows, Piece, Plan, Transform
from reference.activations import Activation
from reference.operations.transforms import FUNCTIONS as TRANSFORMS

Array = np.ndarray[Any, Any]
Run = Callable[[Array], Array]

FLAGS: Mapping[str, tuple[str, ...]] = {
    "-O2": ("-O2",), "-O3 -march=native, contracted": ("-O3", "-march=native", "-ffp-contract=fast"),
}  # fmt: skip
LANGUAGES = {"c": ("c", ".c"), "fortran": ("fortran", ".f90"), "numpy": ("numpy_file", ".py")}


def plan_of(label: str, width: int, precision: str) -> Plan:
    """One layer of so many numbers: a product that changes nothing, and the function."""
    is_transform = label in TRANSFORMS and label not in ("identity", "relu", "exp")
    layer: Any = (
        Transform("f", (label,) * width) if is_transform else Dense("f", np.eye(width), None, Activation(label))
    )
    piece = Piece("f", "f", layer, width, width, (-1,), (width,))
    nothing = GoldenRows(*(np.zeros((1, width)) for _ in range(3)))
    return Plan("f", "net", (piece,), precision, nothing, (), {"x": (width,)}, (0,))


def program_paths(label: str, language: str, precision: str, width: int) -> dict[str, Run]:
    """The ways in which a compiler makes that program; of NumPy the one that there is."""
    module, suffix = LANGUAGES[language]
    writer, plan = import_module(f"porter.exports.{module}"), plan_of(label, width, precision)
    path = Path(mkdtemp(prefix="porter-accuracy-")) / f"net{suffix}"
    if language == "numpy":
        path.write_text("\n".join(writer._lines(plan)) + "\n")
        return {"as it is written": by_port(writer.open_file(path, trusted=True), width)}
    lines = writer._lines(plan, path.name) if language == "c" else writer.folded(writer._lines(plan, path.name, True))
    path.write_text("\n".join(lines) + "\n")
    found, usual = {}, writer.COMPILER
    for name, flags in FLAGS.items():
        rest = tuple(each for each in usual.flags if each != "-O2")
        writer.COMPILER = replace(usual, flags=(*flags, *rest))
        found[name] = by_port(writer.open_file(path, trusted=True), width)
    writer.COMPILER = usual
    return found


def by_port(port: Any, width: int) -> Run:
    """A program as a function of an array, whose rows are filled up."""

    def run(x: Array) -> Array:
        rows = np.resize(x, (-(-x.size // width), width)).astype(np.float64)
        (made,) = port.call([rows]).values()
        return np.asarray(made).reshape(-1)[: x.size]

    return run
