"""The file's steps along a port's tensors: which tensor holds what the file has there, whatever stands between."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.examination.probes import steered_rows, wide_rows
from porter.examination.rewriting.gauges import NEARLY_ALL, Found, find_units
from porter.examination.rewriting.spans import Pieces, Span
from porter.ports.blocks import Block
from reference.composed.folding import fold
from reference.composed.rewriting import HOMOGENEOUS, Units, amplitude_of, coarsest_unit, entered, is_absorbed, merge
from reference.operations.dense import Dense
from reference.operations.scaling import Scaling
from reference.precision import FORMATS, round_to

Array = NDArray[Any]

WINDOW = 24
"""How many of the port's tensors are looked at for what a step gives."""
LIKE = 1e-5
"""Relative: nearer to a factor that is known, one that was read off outputs is tried as that."""


@dataclass(frozen=True)
class Link:
    """Some steps of the file and what computes them all.

    Attributes:
        steps: consecutive, of the file.
        step: they as one, on the file's units.
        block: the port's.
        entering: where the port keeps the units that they take.
        leaving: where it keeps those that they give.
    """

    steps: tuple[Any, ...]
    step: Any
    block: Span
    entering: Units
    leaving: Units

    @property
    def owner(self) -> Any:
        """The step that stands for them all: the last layer, or the only step."""
        return next((step for step in reversed(self.steps) if isinstance(step, Dense)), self.steps[-1])


def find_chain(
    steps: Sequence[Any], pieces: Pieces, rows: Array, rng: np.random.Generator, *, held_in: str = "float64"
) -> list[Link] | None:
    """Follow the file's steps along the port, from its input to its output; None where that cannot be done.

    Args:
        steps: of the file, in order.
        pieces: the port.
        rows: (rows, inputs) of the network.
        rng: draws the probes.
        held_in: a dtype to which the port's arrays are rounded, where its units are looked for by what that gives.
    """
    return _Search(steps, pieces, rows, rng, held_in).extend(0, 0, Units.identity(rows.shape[1]))


class _Search:
    def __init__(
        self, steps: Sequence[Any], pieces: Pieces, rows: Array, rng: np.random.Generator, held_in: str
    ) -> None:
        self._held_in = held_in
        self._steps, self._pieces, self._rows, self._rng = tuple(steps), pieces, rows, rng
        self._budget = 8 * len(steps) + 16

    def extend(self, position: int, tensor: int, entering: Units) -> list[Link] | None:
        """Links from one step and tensor on to the end of both."""
        if position == len(self._steps):
            return [] if tensor == len(self._pieces.atoms) else None
        for group in _groups(self._steps, position):
            if self._budget == 0:
                return None
            self._budget -= 1
            unit = coarsest_unit(self._pieces.default)
            step = as_one(group, unit)
            if not isinstance(step, Dense) and not entering.is_identity:
                continue
            after = position + len(group)
            for stop, leaving in self._places(step, tensor, entering, is_last=after == len(self._steps)):
                rest = self.extend(after, stop, leaving)
                if rest is not None:
                    block = self._pieces.span(tensor, stop)
                    return [Link(group, step, block, entering, leaving), *rest]
        return None

    def _places(self, step: Any, tensor: int, entering: Units, *, is_last: bool) -> Iterator[tuple[int, Units]]:
        """Tensors that hold what the step gives, the one that holds it as the file does first."""
        rows = self._probes(step, is_first=tensor == 0)
        wanted = np.asarray(_held(step, self._held_in)(rows).outputs, np.float64)
        end, unit = len(self._pieces.atoms), self._pieces.default.format.unit
        found: list[tuple[int, Found]] = []
        most = end - tensor if is_last else WINDOW
        try:
            for stop, values in self._pieces.walk(tensor, entering.place(rows), most):
                if is_last != (stop == end) or values.shape[1] < wanted.shape[1] or len(values) != len(wanted):
                    continue
                one = find_units(wanted, values, unit, _is_free(step))
                one = None if one is None else replace(one, units=_known(one.units, step))
                fits = one is not None and (one.units.is_identity or not (is_last or not isinstance(step, Dense)))
                if one is not None and fits:
                    found.append((stop, one))
                elif found and found[-1][1].units.is_identity and found[-1][1].share == 1:
                    break  # what comes behind the step's own tensor is another step's
        except Exception:  # a piece that cannot run on these rows ends the way along it
            pass
        # Of several tensors that hold the file's own, the last: what does nothing belongs to the step before it.
        found.sort(
            key=lambda pair: (
                -pair[1].share,
                _strangeness(step, pair[1].units),
                -pair[0] if pair[1].units.is_identity else pair[0],
            )
        )
        for stop, one in (found[:1] + found[-1:])[: len(found)]:
            if not self._pieces.span(tensor, stop).names and isinstance(step, Dense):
                continue  # a layer that nothing computes
            yield stop, _refined(one.units, step, entering, self._pieces.span(tensor, stop))

    def _probes(self, step: Any, *, is_first: bool) -> Array:
        if not isinstance(step, Dense):
            return self._rows[:256] if is_first else wide_rows(step.width[0], self._rng)
        first = step.orientation == "units-first"
        kernel = np.asarray(step.weights.T if first else step.weights, np.float64)
        bias = None if step.bias is None else np.asarray(step.bias, np.float64).reshape(-1)
        small = self._rng.standard_normal((48, len(kernel)))
        sets = [wide_rows(len(kernel), self._rng), small, small / 8, steered_rows(kernel, bias, self._rng)]
        if is_first:
            sets.append(self._rows[:256])
        return np.concatenate(sets)


def _held(step: Any, dtype: str) -> Any:
    """A layer with its arrays rounded as a port holds them."""
    if not isinstance(step, Dense) or dtype == "float64":
        return step
    bias = None if step.bias is None else round_to(np.asarray(step.bias, np.float64), dtype)
    return replace(step, weights=round_to(np.asarray(step.weights, np.float64), dtype), bias=bias)


def _refined(units: Units, step: Any, entering: Units, block: Block) -> Units:
    """Factors read off the port's own kernel, where it shows one: outputs in 16 bits tell but three digits."""
    if not isinstance(step, Dense) or not _is_free(step):
        return units
    shown = None if block.dense is None or (units.scale == 1).all() else block.dense.kernel
    wanted = entered(step, entering)
    if shown is None or shown.shape != (len(wanted), len(units.order)):
        return units
    wanted = wanted[:, units.order]
    sizes = np.sum(wanted * wanted, axis=0)
    factors = np.divide(np.sum(wanted * shown, axis=0), sizes, out=units.scale.copy(), where=sizes > 0)
    near = (units.scale != 0) & (np.abs(factors - units.scale) <= 0.1 * np.abs(units.scale))
    powers = np.sign(factors) * 2.0 ** np.round(np.log2(np.abs(np.where(near, factors, 1.0))))
    exact = np.abs(factors - powers) <= 4 * FORMATS[block.precision.variables].unit * np.abs(powers)
    return replace(units, scale=np.where(near, np.where(exact, powers, factors), units.scale))


def _known(units: Units, step: Any) -> Units:
    """A factor that leaves the activation's amplitude to the next layer is what the file says it is, for every unit."""
    usual = 1 / amplitude_of(step.activation) if isinstance(step, Dense) else 1.0
    real = units.scale != 0
    is_usual = np.abs(units.scale - usual) <= LIKE * abs(usual)
    if usual == 1 or not real.any() or np.mean(is_usual[real]) < NEARLY_ALL:
        return units
    return replace(units, scale=np.where(real, usual, 0.0))


def _is_free(step: Any) -> bool:
    """Whether any positive factor passes through the step's activation."""
    return isinstance(step, Dense) and step.activation.name in (*HOMOGENEOUS, "linear")


def _strangeness(step: Any, units: Units) -> int:
    """0 for the file's own units, 1 for another order or sign, 2 for what the arrays can hold, 3 for anything else."""
    if units.is_identity:
        return 0
    if isinstance(step, Dense) and not is_absorbed(step, units):
        return 3
    return 2 if units.offset.any() or (np.abs(units.scale) != 1).any() else 1


def _groups(steps: Sequence[Any], position: int) -> Iterator[tuple[Any, ...]]:
    """The next step, then with each further one that could be multiplied into one layer with it."""
    for stop in range(position + 1, len(steps) + 1):
        group = tuple(steps[position:stop])
        if len(group) > 1 and not all(_is_affine(step) for step in group[:-1]):
            return
        if len(group) == 1 or any(isinstance(step, Dense) for step in group):
            if not isinstance(group[-1], Scaling | Dense) and len(group) > 1:
                return
            yield group


def _is_affine(step: Any) -> bool:
    return isinstance(step, Scaling) or (isinstance(step, Dense) and step.activation.name == "linear")


def as_one(group: Sequence[Any], unit: float) -> Any:
    """Steps that can be multiplied into one layer, as that layer, with what the multiplication may cost."""
    if len(group) == 1:
        return group[0]
    layers: list[Dense] = []
    before: Scaling | None = None
    for index, step in enumerate(group):
        if isinstance(step, Scaling):
            before = step if not layers else None
            continue
        behind = group[index + 1] if index + 1 < len(group) else None
        after = behind if isinstance(behind, Scaling) else None
        layers.append(step if before is None and after is None else fold(step, before, after, unit))
        before = None
    merged = layers[0]
    for layer in layers[1:]:
        merged = merge(merged, layer, unit)
    return replace(merged, inputs=group[0].inputs)
