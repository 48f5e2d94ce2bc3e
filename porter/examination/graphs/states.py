"""The states that a port's recurrent layers go through: the layers' own code, on copies that give every state."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.examination.compare import Comparison, compare_outputs, merge_comparisons
from porter.examination.graphs.walking import Rows, as_array, cut, in_order, is_walked, join, quick_call, walk
from reference.operations.cell import States
from reference.operations.recurrent import Recurrent
from reference.precision import Precision
from reference.rounding.bounds import inevitable_overflow
from reference.rounding.recurrent_steps import Stepped, directions, held, step_through
from reference.trace import LayerTrace

Array = NDArray[Any]

LONGEST = 64
"""Time steps up to which states are asked for by prefixes, a quadratic number of steps."""
FIRST = 4
"""Rows of each set of probes whose states are kept, to ask which mistakes would have shown on them."""


def recurrent_layers(operations: Sequence[Any]) -> tuple[Any, ...]:
    """The recurrent layers among some operations of a port, those inside wrappers and layers of the user's own too."""
    found: dict[int, Any] = {}
    for operation in operations:
        for layer in _inside(operation):
            found.setdefault(id(layer), layer)
    return tuple(found.values())


def _inside(operation: Any) -> Iterator[Any]:
    import keras

    if isinstance(operation, keras.layers.RNN):
        yield operation
    elif isinstance(operation, keras.layers.Bidirectional):
        yield from (operation.forward_layer, operation.backward_layer)
    elif isinstance(operation, keras.layers.Layer):
        for inner in operation._flatten_layers(include_self=False, recursive=False):
            yield from _inside(inner)


class StatesUnknown(Exception):
    """A port's recurrent layer does not show the states that it goes through."""


@dataclass(frozen=True)
class _Taken:
    """What a recurrent layer of the port takes."""

    layer: Any
    x: Array
    begin: States
    mask: Array | None

    @property
    def key(self) -> tuple[Any, ...]:
        """The same for the same layer and numbers."""
        parts = [self.x, *self.begin, *([] if self.mask is None else [self.mask])]
        return (id(self.layer), *((part.shape, hash(part.tobytes())) for part in parts))

    def cut(self, rows: slice) -> _Taken:
        """A few rows of it."""
        mask = None if self.mask is None else self.mask[rows]
        return _Taken(self.layer, self.x[rows], tuple(each[rows] for each in self.begin), mask)

    def forms(self) -> Iterator[Array]:
        """What the layer as configured makes of it, heeding the mask or not: in all forms that a port may give."""
        for mask in dict.fromkeys((self.mask is not None, False)):
            outputs, last = _run(
                self.layer, self.x, self.begin, self.mask if mask else None, self.layer.go_backwards
            )  # fmt: skip
            yield from (outputs[:, -1], outputs, outputs[:, ::-1], *last)


def _joined(ahead: Sequence[Array], back: Sequence[Array]) -> Iterator[Array]:
    """Two directions made one, or one of them alone."""
    yield from (*ahead, *back)
    for one in ahead:
        for other in back:
            if one.shape == other.shape:
                yield from (np.concatenate([one, other], axis=-1), np.concatenate([other, one], axis=-1))
                yield from (one + other, one * other, (one + other) / 2)


def _turned(actual: Array) -> Iterator[Array]:
    """As it is, and with channels that stand first put last."""
    yield actual
    if actual.ndim > 3:
        yield from (np.moveaxis(actual, 1, -1), np.moveaxis(actual, 2, -1))


class Recurrence:
    """The recurrent layers of a port that compute one step, asked for their states once for whatever they are fed.

    Args:
        layers: of the port, as ``recurrent_layers`` finds them.

    Attributes:
        is_hidden: whether the states could not be had when they were asked for.
    """

    def __init__(self, layers: Sequence[Any]) -> None:
        self.layers = tuple(layers)
        self.is_hidden = False
        self._known: dict[tuple[Any, ...], States] = {}
        self._walked: dict[tuple[Any, ...], States] = {}
        self._made: dict[tuple[Any, ...], bool] = {}

    def compare_rows(self, step: Any, parts: Sequence[Rows], precision: Precision) -> list[Comparison] | None:
        """As ``compare``, of several sets of probes at once, where the port's cells alone show that all agree.

        Args:
            step: as there.
            parts: every set of probes.
            precision: of the port.

        Returns:
            One comparison for each; None where they do not agree, which proves nothing.
        """
        fed = join(parts) if all(map(is_walked, self.layers)) else None
        ends = list(accumulate((len(part.actual) for part in parts), initial=0))
        found = None if fed is None else self._walk(step, fed, precision, ends)
        if found is None:
            return None
        compared = [
            _compared(cut(found, start, stop), part.actual, precision, part.probes)
            for part, (start, stop) in zip(parts, pairwise(ends), strict=True)
        ]
        if all(one.is_parity for one in compared):
            return compared
        self._walked.clear()
        return None

    def _walk(self, step: Any, fed: tuple[Array, ...], precision: Precision, ends: Sequence[int]) -> Stepped | None:
        """The step from the states that the port's cells give; they are kept for the first rows of each part."""
        sides = self._sides(step)
        if sides is None:
            return None

        def provide(one: Recurrent, at: int, x: Array, begin: States, mask: Array | None) -> States:
            layer = sides[at]
            states = walk(layer, x, begin, mask, one.reverse, quick_call(layer))
            taken, times = _Taken(layer, x, begin, mask), len(x) // ends[-1]
            for start, stop in pairwise(ends):
                rows = slice(start * times, min(stop, start + FIRST) * times)
                self._walked[(*taken.cut(rows).key, one.reverse)] = tuple(each[rows] for each in states)
            return states

        try:
            found = step_through(step, tuple(held(array, precision) for array in fed), provide, precision)
        except Exception:  # whatever a cell of the user's own, and the backend, may raise
            return None
        return found if len(found.outputs) == ends[-1] else None

    def compare(
        self, step: Any, fed: tuple[Array, ...], actual: Array, precision: Precision, probes: str
    ) -> Comparison | None:
        """The port's outputs, and each of its states, against what the step makes of the states before them.

        Args:
            step: for which ``reference.rounding.recurrent_steps.is_stepped``.
            fed: (rows, steps, ...), and initial states and mask.
            actual: what the port gave.
            precision: in which it computes.
            probes: what the rows are.

        Returns:
            None where the port's layers do not show their states, or where what differs may not come from them.
        """
        found = self._compare(step, fed, actual, precision, probes)
        self.is_hidden |= found is None
        return found

    def _compare(
        self, step: Any, fed: tuple[Array, ...], actual: Array, precision: Precision, probes: str
    ) -> Comparison | None:
        taken: list[_Taken] = []
        found = self.expect(step, fed, precision, taken)
        if found is None:
            return None
        compared = _compared(found, actual, precision, probes)
        return compared if compared.is_parity or self._makes(taken, actual, precision) else None

    def expect(
        self, step: Any, fed: tuple[Array, ...], precision: Precision, taken: list[_Taken] | None = None
    ) -> Stepped | None:
        """What the step makes of the states that the port was in; None where those cannot be had.

        Args:
            step: for which ``reference.rounding.recurrent_steps.is_stepped``.
            fed: (rows, steps, ...), and initial states and mask.
            precision: of the port.
            taken: gets what each of the port's layers was fed with, where it is given.
        """
        sides = self._sides(step)
        if sides is None:
            return None

        def provide(one: Recurrent, at: int, x: Array, begin: States, mask: Array | None) -> States:
            own = _Taken(sides[at], x, begin, mask)
            if taken is not None:
                taken.append(own)
            elif self._walked:
                return self._walked_before(own, one.reverse)
            return self.states(sides[at], x, begin, mask, one.reverse)

        try:
            return step_through(step, tuple(held(array, precision) for array in fed), provide, precision)
        except (StatesUnknown, KeyError):
            return None

    def _walked_before(self, own: _Taken, reverse: bool) -> States:
        """The states as the layer's cell gave them.

        Raises:
            StatesUnknown: it was not walked so; the reference's own states do as well to ask what a mistake would do.
        """
        key = (*own.key, reverse)
        if key not in self._walked:
            raise StatesUnknown(f"{own.layer.name} was not walked so")
        return self._walked[key]

    def forget(self) -> None:
        """Free what was kept of the port's states."""
        self._walked.clear()
        self._known.clear()
        self._made.clear()

    def _makes(self, taken: Sequence[_Taken], actual: Array, precision: Precision) -> bool:
        """Whether what the port gave is what its layers make of these inputs, in whatever order of time."""
        key = tuple(one.key for one in taken), actual.shape, hash(actual.tobytes())
        if key not in self._made:
            sides = [list(one.forms()) for one in taken]
            close = 8 * precision.format.unit  # two directions added or multiplied, one rounding each
            self._made[key] = any(
                form.shape == turned.shape and np.allclose(form, turned, rtol=close, atol=0, equal_nan=True)
                for form in (sides[0] if len(sides) == 1 else _joined(*sides))
                for turned in _turned(actual)
            )
        return self._made[key]

    def _sides(self, step: Any) -> tuple[Any, ...] | None:
        """The layers in the order of the step's directions; None where there are others."""
        wanted = directions(step)
        if len(wanted) != len(self.layers):
            return None
        turned = len(wanted) == 2 and self.layers[0].go_backwards and not self.layers[1].go_backwards
        return self.layers[::-1] if turned and not wanted[0].reverse else self.layers

    def states(self, layer: Any, x: Array, begin: States, mask: Array | None, reverse: bool) -> States:
        """After each time step, in the order in which they are computed, (rows, steps, ...) in float64.

        Args:
            layer: recurrent, of the port.
            x: (rows, steps, ...), channels last.
            begin: the states before the first step.
            mask: (rows, steps) of bool, or None.
            reverse: begin with the last step.

        Raises:
            StatesUnknown: the layer does not give the same outputs a step at a time.
        """
        key = (*_Taken(layer, x, begin, mask).key, reverse)
        if key not in self._known:
            self._known[key] = _states(layer, x, begin, mask, reverse)
        return self._known[key]


def _compared(found: Stepped, actual: Array, precision: Precision, probes: str) -> Comparison:
    whole = _within(found.outputs, actual, found.allowed, precision, probes)
    told = f"{probes}, the state after each time step"
    states = [_within(value, own, bound, precision, told) for value, own, bound in found.states]
    # What the states show is no substitute for what the outputs show.
    return replace(merge_comparisons([whole, *states]), coarseness=whole.coarseness)


def _within(expected: Array, actual: Array, allowed: Array, precision: Precision, probes: str) -> Comparison:
    unheld = inevitable_overflow(LayerTrace("", expected), precision)
    return compare_outputs(expected, actual, np.array(allowed), probes=probes, unheld=unheld)


def _states(layer: Any, x: Array, begin: States, mask: Array | None, reverse: bool) -> States:
    """Of a layer on a copy of its attributes that gives all outputs and states: its variables are the layer's."""
    try:
        outputs, last = _run(layer, x, begin, mask, reverse)
        if len(last) != len(begin):
            raise StatesUnknown(f"{layer.name} carries {len(last)} states")
        h = _without_masked(outputs, begin[0], in_order(mask, reverse))
        if len(begin) == 1:
            return (h,)
        chain: States | None = walk(layer, x, begin, mask, reverse, layer.cell)
        if chain is None or not np.array_equal(chain[0], h, equal_nan=True):
            chain = _prefixes(layer, x, begin, mask, reverse)
    except StatesUnknown:
        raise
    except Exception as error:  # whatever a layer of the user's own, and the backend, may raise
        raise StatesUnknown(str(error)) from error
    return chain


def _without_masked(outputs: Array, begin: Array, mask: Array | None) -> Array:
    """The state behind each output: at a masked time step the state before it."""
    if mask is None:
        return outputs
    states, state = [], begin
    for time in range(outputs.shape[1]):
        counts = mask[:, time].reshape((-1, *(1,) * (begin.ndim - 1)))
        state = np.where(counts, outputs[:, time], state)
        states.append(state)
    return np.stack(states, axis=1)


def _run(layer: Any, x: Array, begin: States, mask: Array | None, reverse: bool) -> tuple[Array, States]:
    """All outputs of a layer, in the order in which they are computed, and its last states."""
    import keras
    from keras import ops

    bare = object.__new__(type(layer))
    own = {"return_sequences": True, "return_state": True, "stateful": False, "go_backwards": reverse}
    bare.__dict__.update({**layer.__dict__, **own})
    given = {} if mask is None else {"mask": ops.convert_to_tensor(mask)}
    states = [ops.convert_to_tensor(state, dtype=layer.compute_dtype) for state in begin]
    outputs, *last = bare(
        ops.convert_to_tensor(x, dtype=layer.compute_dtype), initial_state=states, training=False, **given
    )
    return as_array(outputs), tuple(map(as_array, keras.tree.flatten(last)))


def _prefixes(layer: Any, x: Array, begin: States, mask: Array | None, reverse: bool) -> States:
    """The states as the layer gives them behind each of the sequence's beginnings."""
    if x.shape[1] > LONGEST:
        raise StatesUnknown(f"{layer.name}: too many time steps to run every beginning of the sequence")
    found = []
    for count in range(1, x.shape[1] + 1):
        part = slice(x.shape[1] - count, None) if reverse else slice(0, count)
        found.append(_run(layer, x[:, part], begin, None if mask is None else mask[:, part], reverse)[1])
    return tuple(np.stack(parts, axis=1) for parts in zip(*found, strict=True))
