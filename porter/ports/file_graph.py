"""A graph that lies in a file as data, run by the file's own runtime: whole, and any part of it alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from porter.errors import PorterError, PortError, first_line
from porter.ports.blocks import Kind

Array = NDArray[Any]
Key = int
Role = Literal["", "arranges", "selects", "counts", "random"]
"""What an operation does to numbers: computes with them; puts them elsewhere, or takes some together; takes some out;
says how many there are; draws them, or keeps them between calls."""
RunPart = Callable[[Mapping[Key, Array], Sequence[Key]], dict[Key, Array]]
RunWhole = Callable[[Sequence[Array]], list[Array]]
Parameters = Callable[[], tuple[Array, Array | None]]


@dataclass(frozen=True)
class FileNode:
    """One operation, or an affine one with its bias.

    Attributes:
        name: in the file; its kind with a number where the file has none.
        operation: what the format calls it.
        kind: what it is for a chain of dense layers.
        inputs: keys of the tensors that it takes, constants left out.
        outputs: keys of the tensors that it gives.
        parameters: reads the kernel, (inputs, units), and the bias, (units,) or None, float64; None where it has none
            that is known.
        is_core: whether it multiplies by a matrix.
        is_conditional: whether what it does depends on a condition on its input.
        activation: what is fused behind a dense operation, callable on preactivations; None where nothing is.
        variables: the format in which its arrays are kept, where that is another than it computes in.
        role: what it does to numbers.
        shapes: those of its inputs that say a shape alone.
        inside: operations of the graphs that stand inside it.
    """

    name: str
    operation: str
    kind: Kind
    inputs: tuple[Key, ...]
    outputs: tuple[Key, ...]
    parameters: Parameters | None = None
    is_core: bool = False
    is_conditional: bool = False
    activation: Callable[[Array], Array] | None = None
    variables: str | None = None
    role: Role = ""
    shapes: tuple[Key, ...] = ()
    inside: tuple[str, ...] = ()


@dataclass(frozen=True)
class FileInput:
    """One input.

    Attributes:
        key: of its tensor.
        name: in the file.
        dtype: as NumPy spells it.
        shape: of a row; None where it is left open.
    """

    key: Key
    name: str
    dtype: str
    shape: tuple[int | None, ...]


@dataclass(frozen=True)
class FileGraph:
    """What a file holds.

    Attributes:
        name: of the file.
        runtime: what runs it, with its version.
        inputs: in order.
        outputs: keys, in order.
        nodes: in an order of computation.
        names: of tensors, by key.
        run: some tensors in, others out; no more of the graph is run than lies between them.
        whole: the graph as its runtime runs it unless it is told otherwise, with whatever that optimizes.
        defaults: what is on by itself then, in words.
        batch: how many rows it is made for, or None for any number.
        notes: of what is in the file, for the report.
        approximates: why its numbers are no rounding of the network's ("int8"), or "".
        metadata: texts that the file carries, by key.
        cells: what advances a recurrent operation by one time step, by the tensors that it gives.
        called: names by which inputs are fed and outputs asked for, where these are others than their tensors'.
        numbered: the outputs as a runtime numbers them that does not go by their names, where that is another order.
    """

    name: str
    runtime: str
    inputs: tuple[FileInput, ...]
    outputs: tuple[Key, ...]
    nodes: tuple[FileNode, ...]
    names: Mapping[Key, str]
    run: RunPart
    whole: RunWhole
    defaults: str
    batch: int | None = None
    notes: tuple[str, ...] = ()
    approximates: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    cells: Mapping[Key, Callable[..., tuple[Array, ...]]] = field(default_factory=dict)
    called: Mapping[Key, str] = field(default_factory=dict)
    numbered: tuple[Key, ...] = ()

    def outputs_by_name(self, names: Sequence[str]) -> tuple[Key, ...]:
        """The outputs in the order of some names, where those are the names that they are asked for by; else as is."""
        own = [self.called.get(key, self.names.get(key, "")).partition(":")[0] for key in self.outputs]
        if len(set(own)) < len(own) or set(own) != set(names):
            return self.outputs
        return tuple(self.outputs[own.index(name)] for name in names)

    def by_name(self, names: Sequence[str]) -> FileGraph:
        """The same with its inputs in another order: that of a network's, where they bear its names for them.

        Whoever runs the file feeds it by name. TensorFlow adds its own to them.
        """
        told = [each.name.removeprefix("serving_default_").partition(":")[0] for each in self.inputs]
        called = [self.called.get(each.key, "") for each in self.inputs]
        own = next((one for one in (called, told) if len(set(one)) == len(one) and set(one) == set(names)), None)
        if own is None:
            return self
        order = [own.index(name) for name in names]
        if order == sorted(order):
            return self
        back, whole = [order.index(at) for at in range(len(order))], self.whole
        inputs = tuple(self.inputs[at] for at in order)
        return replace(self, inputs=inputs, whole=lambda feeds: whole([feeds[at] for at in back]))

    @property
    def keys(self) -> tuple[Key, ...]:
        """Every tensor that is no constant: inputs, then in an order of computation."""
        made = (key for node in self.nodes for key in node.outputs)
        return tuple(dict.fromkeys((*(each.key for each in self.inputs), *made)))

    def trace(self, feeds: Sequence[Array]) -> dict[Key, Array]:
        """Every tensor.

        Args:
            feeds: (rows, ...) for each input.

        Raises:
            PortError: the runtime raises.
        """
        fed = self._cast(feeds)
        given = dict(zip((each.key for each in self.inputs), fed, strict=True))
        wanted = [key for key in self.keys if key not in given]
        return self._guard(lambda: {**given, **self._in_batches(given, wanted)}, fed)

    def call(self, feeds: Sequence[Array]) -> list[Array]:
        """The outputs alone, as its runtime gives them unless it is told otherwise.

        Raises:
            PortError: the runtime raises.
        """
        fed = self._cast(feeds)
        return self._guard(lambda: self._whole_in_batches(fed), fed)

    def _cast(self, feeds: Sequence[Array]) -> list[Array]:
        if len(feeds) != len(self.inputs):
            raise PortError(f"the port {self.name}", found=f"{len(self.inputs)} inputs", expected=f"{len(feeds)}")
        with np.errstate(over="ignore", invalid="ignore"):
            return [
                self._shaped(np.asarray(feed).astype(each.dtype), each)
                for feed, each in zip(feeds, self.inputs, strict=True)
            ]

    @staticmethod
    def _shaped(values: Array, each: FileInput) -> Array:
        """Rows of the shape that the input has, where that is another way to lay out the same numbers."""
        sizes = [size for size in each.shape if size is not None]
        fits = len(sizes) == len(each.shape) and values[:1].size == math.prod(sizes)
        return values.reshape(len(values), *sizes) if fits and values.ndim != len(sizes) + 1 else values

    def _in_batches(self, given: Mapping[Key, Array], wanted: Sequence[Key]) -> dict[Key, Array]:
        count = len(next(iter(given.values())))
        if self.batch is None or count == self.batch:
            return self.run(given, wanted)
        parts = [
            self.run({key: _rows(rows, at) for key, rows in given.items()}, wanted)
            for at in _batches(count, self.batch)
        ]
        return {key: _joined([part[key] for part in parts], count) for key in wanted}

    def _whole_in_batches(self, fed: Sequence[Array]) -> list[Array]:
        count = len(fed[0])
        if self.batch is None or count == self.batch:
            return self.whole(fed)
        parts = [self.whole([_rows(rows, at) for rows in fed]) for at in _batches(count, self.batch)]
        return [np.concatenate(outputs)[:count] for outputs in zip(*parts, strict=True)]

    def run_between(self, given: Mapping[Key, Array], wanted: Sequence[Key]) -> dict[Key, Array]:
        """Some tensors in, others out, in batches of the size that the file is made for."""
        return self._in_batches(given, wanted)

    def _guard(self, run: Callable[[], Any], fed: Sequence[Array]) -> Any:
        try:
            return run()
        except PorterError:
            raise
        except Exception as error:  # a runtime raises classes of its own
            raise PortError(
                f"the port {self.name}",
                found=f"on rows of shape {', '.join(str(rows.shape) for rows in fed)} {self.runtime} says: "
                f"{first_line(error)}",
                expected="a file that it can run on rows of numbers",
            ) from error


def _joined(parts: Sequence[Array], count: int) -> Array:
    """Rows of several batches as one; what has none, such as a shape, is the same in each."""
    return np.concatenate(parts)[:count] if parts[0].ndim else parts[0]


def _batches(count: int, size: int) -> list[NDArray[np.intp]]:
    """Places of the rows of each batch; the last is filled up with the last row, and a batch without any is one."""
    return [np.minimum(np.arange(start, start + size), count - 1) for start in range(0, max(count, 1), size)]


def _rows(rows: Array, places: NDArray[np.intp]) -> Array:
    """Rows by their places; zeros where there is none."""
    return rows[places] if len(rows) else np.zeros((len(places), *rows.shape[1:]), rows.dtype)
