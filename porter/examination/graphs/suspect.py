"""A step of a legacy Keras network under suspicion, with all that a hypothesis may need to explain it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.examination.compare import Comparison, merge_comparisons
from porter.examination.graphs.slots import NEUTRAL, Path, Slot, slots
from porter.examination.graphs.states import Recurrence
from porter.examination.judging import compare_step
from porter.examination.numbers import equal_within_ulp
from porter.examination.pasting import literal, quoted, reached, remade
from porter.ports.blocks import Asked
from reference.precision import Precision
from reference.trace import Program

Array = NDArray[Any]
Arrays = tuple[Array, ...]
SMALL = 2**12
"""Numbers in the arrays of a step, and in what it is fed with for one row, up to which all mistakes are tried."""

FIRST = 2
"""Rows on which a hypothesis is tried first."""


@dataclass(frozen=True)
class Seen:
    """What a step of the port was fed with, and what it gave.

    Attributes:
        probes: what the rows are.
        fed: (rows, ...) by the name of the step or input that they come from.
        actual: (rows, ...) the port's outputs, float64.
    """

    probes: str
    fed: Mapping[str, Array]
    actual: Array


@dataclass(frozen=True)
class Variant:
    """A hypothesis: a mistake, and what the step would be with it.

    Attributes:
        code: of the finding.
        message: what is wrong, as half a sentence.
        remedy: what to change.
        step: the step as the mistake makes it.
        prepare: what the mistake does to the step's inputs, or None.
        undo: what takes the mistake out of the port's outputs again, numbers only moved; or None.
    """

    code: str
    message: str
    remedy: str
    step: Any
    prepare: Callable[[Arrays], Arrays] | None = None
    undo: Callable[[Array], Array] | None = None


@dataclass(frozen=True)
class Suspect:
    """A step and what should compute it in the port.

    Attributes:
        step: of the legacy program.
        layers: names of the port's layers.
        seen: what they were fed with and gave.
        precision: in which they compute.
        found: the arrays that they show, by their place in the step; float64.
        program: the whole legacy program.
        sources: names of the steps and inputs that the port's layer takes, in order.
        shapes: without the rows, of what each step and input of the port gives.
        trained: what of it was called in training mode.
        calm: as ``seen``, with nothing in training mode.
        recurrence: the port's recurrent layers of a step that is judged a time step at a time.
        sparse: what the port's layer gives for rows that are zero nearly everywhere; or None.
        far: the same for rows far outside of anything that a network reaches; or None.
        functions: holds the activations that the port's layers show against the step's; or None.
        alone: what it gives for rows of the one tensor that it takes, under the name of these; or None.
        is_own: whether one layer of Keras' own code computes it.
        conditions: those of somebody's own code in what computes it; or None.
        ask: what it gives for rows of each of its sources, under the name of these.
    """

    step: Any
    layers: tuple[str, ...]
    seen: tuple[Seen, ...]
    precision: Precision
    found: Mapping[Path, Array]
    program: Program
    sources: tuple[str, ...]
    shapes: Mapping[str, tuple[int, ...]]
    trained: tuple[str, ...] = ()
    calm: tuple[Seen, ...] = ()
    recurrence: Recurrence | None = None
    sparse: Callable[[], Seen | None] | None = None
    far: Callable[[], Seen | None] | None = None
    functions: Callable[[], Comparison] | None = None
    alone: Callable[[Array, str], Seen] | None = None
    is_own: bool = True
    conditions: Callable[[], Asked | None] | None = None
    ask: Callable[[Mapping[str, Array], str], Seen] | None = None

    is_shown = True
    """Whether its arrays are compared digit by digit."""

    @property
    def name(self) -> str:
        """Row name."""
        return str(self.step.name)

    @property
    def dtype(self) -> str:
        """In which the port holds its variables."""
        return self.precision.variables

    @property
    def slots(self) -> tuple[Slot, ...]:
        """The arrays of the step."""
        return tuple(slots(self.step))

    def equal(self, found: Array, wanted: Array) -> Array:
        """Elementwise: are the port's numbers these, as exactly as its variables hold them?"""
        return equal_within_ulp(found, wanted, self.dtype)

    def judge(self, variant: Any, *, most: int | None = None) -> Comparison:
        """The port against a step or a variant of it, over all that was seen (``most`` rows of each part)."""
        one = variant if isinstance(variant, Variant) else Variant("", "", "", variant)
        return merge_comparisons(self._compare(one, part, most) for part in self.seen)

    def fits(self, variant: Any) -> bool:
        """Whether a step or a variant gives what the port gives: on a few rows first, then on all."""
        one = variant if isinstance(variant, Variant) else Variant("", "", "", variant)
        few = (self._compare(one, part, FIRST) for part in self.seen)
        return all(part.exceeding == 0 for part in few) and self.judge(variant).is_parity

    def compare(self, step: Any, fed: Arrays, actual: Array, probes: str) -> Comparison:
        """The port's outputs against a step's: a time step at a time where it is recurrent and shows its states.

        Raises:
            KeyError: the step, as it is configured, has no bound.
        """
        found = None if self.recurrence is None else self.recurrence.compare(step, fed, actual, self.precision, probes)
        return compare_step(step, fed, actual, self.precision, probes) if found is None else found

    def _compare(self, variant: Variant, part: Seen, most: int | None) -> Comparison:
        step = variant.step
        if any(name not in part.fed for name in step.inputs):
            return Comparison()
        fed = tuple(part.fed[name][:most] for name in step.inputs)
        actual = part.actual[:most]
        try:
            fed = fed if variant.prepare is None else variant.prepare(fed)
            actual = actual if variant.undo is None else variant.undo(actual)
            return self.compare(step, fed, actual, part.probes)
        except (KeyError, ValueError, IndexError, TypeError, AttributeError):  # arrays that do not fit it
            return _outside(actual)

    def assign(self, slot: Slot) -> str:
        """Python that gives the port's layer one array of the file, or what to do where it is the file's no more."""
        holder = reduce(getattr, slot.path[:-1], self.step)
        if any(getattr(holder, error, None) is not None for error in ERRORS.values()):
            return f"multiply the batch normalization into {self.layer} again, or keep it as a layer"
        path = self.name.split("#")[0].split("@")[0]
        inner = {"forward": ".inner[0]", "backward": ".inner[1]", "inner": ".inner[0]"}
        place = "".join(inner.get(field, "") for field in slot.path[:-1])
        own = f"network.layer({quoted(path)}){place}.weights[{quoted(slot.variable)}]"
        return f"{reached(self.layer)}{slot.attribute}.assign({own})"

    def assign_all(self) -> str:
        """The same for every array that the file has."""
        return "\n".join(dict.fromkeys(self.assign(slot) for slot in self.slots if slot.array is not None))

    def configure(self, kind: str | None = None, **arguments: Any) -> str:
        """Python that makes the port's layer again with other arguments, and of another class where one is given."""
        return remade(self.layer, {key: literal(value) for key, value in arguments.items()}, kind)

    @property
    def layer(self) -> str:
        """The port's layer that computes it, or the file's name of it."""
        return self.layers[-1] if self.layers else self.name


def _outside(actual: Array) -> Comparison:
    """The comparison with something that cannot be computed."""
    count = max(int(np.size(actual)), 1)
    return Comparison(elements=count, exceeding=count, ratio=float("inf"), error=float("inf"))


def differing(suspect: Suspect) -> int:
    """How many of the numbers that a port shows are not the cast of the file's, where both have one shape."""
    return sum(
        int(np.count_nonzero(~suspect.equal(suspect.found[slot.path], wanted)))
        for slot in suspect.slots
        if slot.path in suspect.found
        for wanted in [wanted_in(slot, suspect.found[slot.path])]
        if wanted.shape == suspect.found[slot.path].shape
    )


def wanted_in(slot: Slot, found: Array) -> Array:
    """What a variable of the port should hold."""
    if slot.array is None:
        return np.full(found.shape, NEUTRAL.get(slot.variable, 0.0))
    return np.asarray(slot.array, np.float64)


ERRORS = {"weights": "weights_error", "kernel": "kernel_error", "pointwise": "kernel_error", "bias": "bias_error"}
"""Fields of a step that say how far a port's arrays may lie from the file's, by the field of the array."""


def without_folding(step: Any, found: Mapping[Path, Array]) -> dict[Path, Array]:
    """The arrays that a port shows, as the step has them wherever what multiplied them out explains the difference."""
    told = dict(found)
    for path, array in found.items():
        holder = reduce(getattr, path[:-1], step)
        error = getattr(holder, ERRORS.get(path[-1], ""), None)
        if error is not None:
            own = np.asarray(getattr(holder, path[-1]), np.float64)
            if own.shape == array.shape:
                told[path] = np.where(np.abs(array - own) <= error, own, array)
    return told


def has_arrays(suspect: Suspect) -> bool:
    """Whether the step computes with arrays that a port may have wrong."""
    return any(slot.array is not None and slot.array.size for slot in suspect.slots)


def is_constant(suspect: Suspect) -> bool:
    """Whether the port gives the same for all rows: a dead layer hides what is in front of it."""
    parts = [part.actual for part in suspect.seen if len(part.actual) > 1]
    return bool(parts) and all(np.array_equal(row, rows[0]) for rows in parts for row in rows[1:])


def is_small(suspect: Suspect) -> bool:
    """Whether every mistake can be tried for little."""
    numbers = sum(slot.array.size for slot in suspect.slots if slot.array is not None)
    rows = [sum(array[0].size for array in part.fed.values() if len(array)) for part in suspect.seen]
    return numbers <= SMALL and max(rows, default=0) <= SMALL
