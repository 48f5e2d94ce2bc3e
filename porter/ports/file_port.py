"""A file's graph as the engine for chains takes a port: pieces, a trace, and calls of the whole."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import PortError
from porter.ports.blocks import Atom
from porter.ports.file_atoms import cut
from porter.ports.file_graph import FileGraph, Key
from porter.ports.runtime import Runtime

Array = NDArray[Any]

SHAPED_ROWS = 2
"""Rows that are run to learn the shapes of a graph."""


@dataclass(frozen=True)
class FilePort:
    """A graph of one input and one output, which the engine may run in any part.

    Attributes:
        file: the graph.
        end: key of the output that is judged.
        picked: its number among the file's outputs.
    """

    file: FileGraph
    end: Key
    picked: int = 0

    model = None
    """No Keras model stands behind it."""

    @property
    def name(self) -> str:
        """Of the file."""
        return self.file.name

    @property
    def inputs(self) -> tuple[Key, ...]:
        """Keys of the inputs."""
        return tuple(each.key for each in self.file.inputs)

    @property
    def outputs(self) -> tuple[Key, ...]:
        """Key of the output that is judged."""
        return (self.end,)

    @property
    def input_dtypes(self) -> tuple[str, ...]:
        """Of each input."""
        return tuple(each.dtype for each in self.file.inputs)

    @property
    def input_shapes(self) -> tuple[tuple[int | None, ...], ...]:
        """Shape of a row of each input; one that is laid out otherwise counts as its numbers in a row."""
        return tuple(_as_columns(each.shape) for each in self.file.inputs)

    @property
    def batch(self) -> int | None:
        """How many rows it is made for."""
        return self.file.batch

    @property
    def runtime(self) -> Runtime:
        """What runs it."""
        name, _, version = self.file.runtime.partition(" ")
        return Runtime(name, version, "cpu")

    def trace(self, feeds: Sequence[Array]) -> dict[Key, Array]:
        """Every tensor."""
        return self.file.trace(feeds)

    def __call__(self, *feeds: Array) -> tuple[Array, ...]:
        """The output that is judged, its operations run as they stand."""
        given = {each.key: rows for each, rows in zip(self.file.inputs, self.file._cast(feeds), strict=True)}
        return (self.file.run_between(given, [self.end])[self.end],)

    def call_plainly(self, *feeds: Array) -> tuple[Array, ...]:
        """The same: a file knows no training."""
        return self(*feeds)

    @cached_property
    def _shaping(self) -> dict[Key, Array]:
        """A trace of few rows, for shapes and dtypes; of ones, which transforms and divisions bear."""
        rows = [np.ones((SHAPED_ROWS, *(size or 1 for size in each.shape))) for each in self.file.inputs]
        return self.trace(rows)

    @cached_property
    def atoms(self) -> tuple[Atom, ...]:
        """The graph cut wherever a single tensor crosses."""
        return cut(self.file, self._shaping, self.end)

    @cached_property
    def pieces(self) -> tuple[Atom, ...]:
        """The same, layers that run beside each other left together."""
        return cut(self.file, self._shaping, self.end, finely=False)


def _as_columns(shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
    sizes = [size for size in shape if size is not None]
    return (math.prod(sizes),) if len(shape) > 1 and len(sizes) == len(shape) else shape


def as_port(file: FileGraph, columns: int, rows: Array, expected: Array) -> FilePort:
    """The file as a port of a chain, with the output that is nearest to the network's where it has several.

    Args:
        file: read.
        columns: of the network's input.
        rows: (rows, columns) some inputs.
        expected: (rows, n) what the network makes of them.

    Raises:
        PortError: several inputs, or no output of the network's width.
    """
    if len(file.inputs) != 1:
        raise PortError(
            f"the port {file.name}", found=f"{len(file.inputs)} inputs", expected=f"one of (rows, {columns})",
            remedy="export it with the network's columns in one input",
        )  # fmt: skip
    port = FilePort(_with_columns(file, columns), file.outputs[0])
    found = port.trace([rows])
    fitting = [
        (_gap(found[key], expected), number, key) for number, key in enumerate(file.outputs)
        if found[key].size == expected.size
    ]  # fmt: skip
    if not fitting:
        told = ", ".join(str((None, *found[key].shape[1:])) for key in file.outputs)
        raise PortError(
            f"the port {file.name}", found=f"outputs of shape {told}", expected=f"one of {expected.shape[1]} columns",
            remedy="check that this is the port of that network",
        )  # fmt: skip
    _, number, key = min(fitting)
    return replace(port, end=key, picked=number)


def _gap(found: Array, expected: Array) -> float:
    """The largest difference; infinite where there is none that can be named."""
    with np.errstate(all="ignore"):
        gap = float(np.max(np.abs(found.reshape(expected.shape).astype(np.float64) - expected), initial=0.0))
    return np.inf if np.isnan(gap) else gap


def _with_columns(file: FileGraph, columns: int) -> FileGraph:
    """The file with the network's number of columns where it leaves that open."""
    only = file.inputs[0]
    if only.shape not in ((), (None,)):
        return file
    return replace(file, inputs=(replace(only, shape=(columns,)),))
