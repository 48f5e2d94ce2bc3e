"""Is the port that is called the port that is judged? The same rows again, in other batches, whole and in parts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.codes import Cause
from porter.errors import first_line
from porter.examination.conduct import Conduct, Trace, watch
from porter.examination.judging import cast, judge_values, port_rows, rows_at_a_time
from porter.ports.blocks import Atom
from porter.ports.port import Port

Array = NDArray[Any]

CALLS = ("predict", "predict_on_batch", "predict_step", "make_predict_function")
"""Of a model, beside the call that is judged: what a person may run."""
SIZES = (1, 2, 3)
"""Rows of the batches on which every step is judged beside the large ones."""


@dataclass
class Steadiness:
    """What was seen of a port as it was called again and again.

    Attributes:
        graph: the port.
        notes: with how many rows it cannot be called.
    """

    graph: Port
    _rows: Array | None = field(default=None, init=False)
    _first: Array | None = field(default=None, init=False)
    _apart: bool = field(default=False, init=False)
    _changed: float = field(default=0.0, init=False)
    _conduct: Conduct = field(default_factory=Conduct, init=False)
    notes: list[str] = field(default_factory=list, init=False)

    def begin(self, inputs: Array) -> None:
        """The very first call of the port: on the last rows, and on none.

        Args:
            inputs: (rows, n) of the network.
        """
        fed = cast(inputs[-SIZES[-1] :], self.graph.input_dtypes[0])
        try:
            self._first = np.asarray(self.graph(fed)[0]).copy()
            self._rows = fed
            self.hold_together(self.graph.call_plainly(fed)[0], self._first)
            empty = np.asarray(self.graph(fed[:0])[0])
        except Exception as error:  # a port of one size of batch alone may raise anything
            self.refuse(len(fed) if self._first is None else 0, error)
            return
        if empty.shape != (0, *self._first.shape[1:]):
            self.notes.append(f"the port makes {empty.shape} of no rows")

    def hold_together(self, whole: Array, parts: Array) -> None:
        """The outputs of the port called as a whole beside those of its parts, on the same rows."""
        try:
            self._apart |= not np.array_equal(whole, parts, equal_nan=True)
        except TypeError:  # parts that are no plain numbers, as ragged tensors are
            self._apart = True

    def refuse(self, rows: int, error: BaseException) -> None:
        """The port cannot be called with so many rows."""
        self.notes.append(f"the port cannot be called with {rows} rows: {first_line(error)}")

    def end(self) -> None:
        """The first rows once more, after all the others."""
        if self._rows is None or self._first is None:
            return
        last = np.asarray(self.graph(self._rows)[0])
        if not np.array_equal(last, self._first, equal_nan=True):
            with np.errstate(invalid="ignore"):
                error = np.abs(last.astype(np.float64) - self._first.astype(np.float64))
            self._changed = float(np.nanmax(error, initial=0.0)) or float("nan")

    def watch(self, inputs: Array, numbers: int) -> None:
        """The port in batches of other sizes, again and again, and as a graph, where it has code of its own.

        Args:
            inputs: (rows, n) of the network.
            numbers: how many the layers compute for one row.
        """
        trains = any(atom.is_training for atom in self.graph.atoms)
        fed = cast(inputs, self.graph.input_dtypes[0])
        self._conduct = watch(self.graph, [fed], numbers, trains=trains)
        self.notes.extend(self._conduct.notes)
        for trace in self._conduct.traces:
            self.hold_together(trace.whole[0], trace.values[self.graph.outputs[0]])

    def judge(self, judged: Sequence[Any], atoms: Sequence[Atom]) -> tuple[Cause, ...]:
        """The mistakes of steps, and of what stands beside them, that show in those other calls alone.

        Args:
            judged: every step as it was judged in the usual ones.
            atoms: the port's pieces.
        """
        found: dict[str, Cause] = {}
        for trace in self._conduct.traces:
            for layer, names in _wrong_in(trace, judged, atoms):
                message = f"{names} gives other numbers for the same rows: {trace.probes}"
                remedy = "take out what depends on the number of rows, on their places, or on the way it is called"
                found.setdefault(layer, Cause("call.unsteady", layer, message, remedy))
        return tuple(found.values())

    def tell(self, layer: str, whole: str, trains: bool) -> tuple[tuple[Cause, ...], tuple[str, ...]]:
        """The mistakes, and what leaves the verdict open.

        Args:
            layer: row name of the last step.
            whole: what the port as a whole is within the end-to-end bound: "parity", "within", "mismatch" or "unknown".
            trains: whether a call in it was built in training mode, in which the whole and the parts differ anyway.
        """
        if self._changed or self._conduct.is_unsteady:
            by = f" (by {self._changed:.3g})" if self._changed else ""
            message = f"the port gives other numbers for the same rows when it is called again{by}"
            remedy = "take out what is random or keeps a state between calls"
            return (Cause("call.unsteady", layer, message, remedy),), ()
        doubts = (*own_calls(self.graph.model), *self._conduct.doubts)
        if not self._apart or trains or whole == "parity":
            return (), doubts
        message = "the model called as a whole gives other numbers than its layers one by one"
        if whole == "mismatch":
            remedy = "call the functional model itself, without a call or __call__ of its own"
            return (Cause("call.overridden", layer, message, remedy),), doubts
        return (), (*doubts, f"{message}, which are right: what its own call does beside them was not compared")


def trace_batches(graph: Port, inputs: Array) -> list[tuple[str, dict[int, Array]]]:
    """Traces of the port on one large batch and on those of ``SIZES`` rows, each with what its rows are.

    A batch that the port cannot be called with is left out; it was told already.

    Args:
        graph: the port.
        inputs: (rows, n) of the network.
    """
    found = [
        ("inputs of the network", graph.trace([cast(inputs[: rows_at_a_time(inputs.shape[1])], graph.input_dtypes[0])]))
    ]
    for size in SIZES:
        with suppress(Exception):
            tensors = graph.trace([cast(inputs[-size:], graph.input_dtypes[0])])
            found.append((f"inputs of the network in a batch of {size}", tensors))
    return found


def _wrong_in(trace: Trace, judged: Sequence[Any], atoms: Sequence[Atom]) -> Iterator[tuple[str, str]]:
    """Steps that a trace contradicts, with the names of what computes them."""
    last = judged[0].name
    blocks = {}
    for one in judged:
        block = one.pair.block
        if block is None:
            continue
        blocks.update(dict.fromkeys((atom.key for atom in block.atoms), one.name))
        rows = trace.rows(block.entry, block.leaving)
        if one.verdict != "mismatch" and len(rows):
            fed = port_rows(trace.values[block.entry][rows], block.precision)
            actual = trace.values[block.leaving][rows]
            if judge_values(one.step, fed, actual, block.precision, trace.probes).exceeding:
                yield one.name, ", ".join(block.names)
    for atom in atoms:
        last = blocks.get(atom.key, last)
        if atom.key not in blocks and atom.kind != "merge" and len(trace.rows(atom.entry, atom.key)):
            given, made = trace.values[atom.entry], trace.values[atom.key]
            if given.shape != made.shape or not np.array_equal(given, made, equal_nan=True):
                yield last, ", ".join(atom.names)


def own_calls(model: Any) -> tuple[str, ...]:
    """A sentence for each of ``CALLS`` that is not Keras' own."""
    found = []
    for name in CALLS:
        method = getattr(model, name, None)
        module = getattr(getattr(method, "__func__", method), "__module__", "") or ""
        if method is not None and not module.startswith("keras."):
            found.append(f"the model has its own {name}, which was not compared")
    return tuple(found)
