"""Which tensor of a port agrees with a step of the legacy program, fed with the port's own values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.examination.compare import Comparison, compare_outputs
from porter.examination.graphs.kinds import applies_activation, can_compute, has_same_numbers
from porter.examination.graphs.masked_rows import draw_numbers
from porter.examination.graphs.pieces import Pieces
from porter.examination.graphs.steps import OWN_ROWS
from porter.examination.judging import compare_step
from porter.ports.keras.nodes import Key
from reference.composed.together import Together
from reference.operations.embedding import Embedding
from reference.operations.encoding import CategoryEncoding
from reference.operations.masking import Mask, Masking
from reference.operations.replacement import Replacement
from reference.operations.shaping import Rearrangement
from reference.precision import Precision
from reference.rounding.bounds import allowed_error, has_bound, inevitable_overflow, platform_allowance
from reference.trace import LayerTrace

Array = NDArray[Any]

WIDE = 6
"""Wide rows of a step that is looked for: every kind of mask once."""
WIDEST = 2**21
"""Numbers in one row of a step's inputs beyond which it is not fed with numbers of its own."""
LIKELY = 2
"""Tensors at most that agree on the network's rows, where wide ones cannot be asked: fused, and with activation."""
REFUSED = (KeyError, ValueError, IndexError, TypeError)
"""What a step says to inputs that are not its own."""


@dataclass(frozen=True)
class Folded:
    """Steps without a tensor of their own in the port, for the step that takes what they would give.

    Attributes:
        steps: their names, in order of computation.
        base: what they take from outside: legacy names with the port's tensors.
    """

    steps: tuple[str, ...]
    base: tuple[tuple[str, Key], ...]


Source = Key | Folded


class Agreement:
    """The judge of single steps, each judged once for what it is fed with.

    ``comparisons`` holds those that came out at parity, by step, what it was fed with, and tensor.

    Args:
        steps: of the program, by name.
        port: in pieces, with its values.
        seed: of the wide numbers.
    """

    def __init__(self, steps: Mapping[str, Any], port: Pieces, seed: int = 0) -> None:
        self.steps, self.port, self.seed = steps, port, seed
        self.comparisons: dict[tuple[str, tuple[Source, ...], Key], Comparison] = {}
        self._found: dict[tuple[str, tuple[Source, ...]], tuple[Key, ...]] = {}
        self._traces: dict[tuple[str, tuple[Source, ...]], LayerTrace | None] = {}

    def whole(self, step: Any, fed: Sequence[Source]) -> tuple[Any, tuple[Key, ...]]:
        """The step, with those folded into it, and the tensors that they take together."""
        base: dict[str, Key] = {}
        before: dict[str, None] = {}
        for name, source in zip(step.inputs, fed, strict=True):
            base.update(dict(source.base) if isinstance(source, Folded) else {name: source})
            before.update(dict.fromkeys(source.steps if isinstance(source, Folded) else ()))
        if not before:
            return step, tuple(source for source in fed if not isinstance(source, Folded))
        parts = (*(self.steps[name] for name in self.steps if name in before), step)
        return Together(step.name, tuple(base), parts), tuple(base.values())

    def trace(self, step: Any, fed: tuple[Source, ...]) -> LayerTrace | None:
        """What the reference makes of the port's own values; None where the step cannot take them."""
        if (step.name, fed) not in self._traces:
            whole, keys = self.whole(step, fed)
            while len(self._traces) > 32:
                self._traces.pop(next(iter(self._traces)))
            try:
                with np.errstate(all="ignore"):
                    self._traces[step.name, fed] = whole(*self.arrays(keys))
            except REFUSED:
                self._traces[step.name, fed] = None
        return self._traces[step.name, fed]

    def arrays(self, keys: Sequence[Key]) -> tuple[Array, ...]:
        """The port's own values, in float64."""
        return tuple(np.asarray(self.port.values[key], np.float64) for key in keys)

    def agreeing(self, step: Any, fed: tuple[Source, ...]) -> tuple[Key, ...]:
        """The nearest tensor that agrees with the step, and others beside it that hold the same values."""
        if (step.name, fed) not in self._found:
            key = self._nearest(step, fed)
            ties = () if key is None else self._ties(key, self.whole(step, fed)[1])
            self._found[step.name, fed] = () if key is None else (key, *ties)
        return self._found[step.name, fed]

    def behind(self, step: Any, keys: Sequence[Key]) -> list[Key]:
        """The tensors computed from all that the step takes, nearest first; what it takes itself among them."""
        masks = [name.endswith(":mask") for name in self.whole_inputs(step, keys)]
        needed = [key for key, mask in zip(keys, masks, strict=True) if not mask] or list(keys)
        return [key for key in self.port.keys if all(self.port.is_behind(key, source) for source in needed)]

    @staticmethod
    def whole_inputs(step: Any, keys: Sequence[Key]) -> tuple[str, ...]:
        """The names of what is taken, one for each key."""
        return tuple(step.inputs) if len(step.inputs) == len(keys) else ("",) * len(keys)

    def is_exact(self, step: Any, fed: tuple[Source, ...]) -> bool:
        """Whether the step only moves numbers, or chooses among them: nothing is rounded."""
        trace, (whole, keys) = self.trace(step, fed), self.whole(step, fed)
        if trace is None or not has_bound(whole):
            return False
        try:
            return not np.any(allowed_error(whole, self.arrays(keys), trace, self.port.precision(keys[0])))
        except REFUSED:
            return False

    def _nearest(self, step: Any, fed: tuple[Source, ...]) -> Key | None:
        trace, (whole, keys) = self.trace(step, fed), self.whole(step, fed)
        if trace is None or isinstance(step, Replacement) or not has_bound(whole):
            return None
        bounds: dict[Precision, Array] = {}
        likely: list[Key] = []
        for key in self._shaped(whole, keys, trace):
            compared = self._compare(whole, keys, trace, key, bounds)
            if compared is not None and compared.is_parity:
                self.comparisons[step.name, fed, key] = compared
                widely = self._is_plain(whole, keys, key) or self._agrees_widely(whole, keys, key)
                if widely or (widely is None and key in keys and isinstance(step, Rearrangement)):
                    return key
                likely += [key] if widely is None else []
            if len(likely) > LIKELY:
                break
        made = [key for key in likely if self._is_kindred(whole, keys, key)]
        natural = [key for key in made if self._is_natural(whole, keys, key)]
        return next(iter([*natural, *made]), None)

    def _shaped(self, step: Any, keys: Sequence[Key], trace: LayerTrace) -> list[Key]:
        found = [key for key in self.behind(step, keys) if self.port.values[key].shape == trace.outputs.shape]
        return [key for key in found if (self.port.values[key].dtype == bool) == (trace.outputs.dtype == bool)]

    def _compare(
        self, step: Any, keys: Sequence[Key], trace: LayerTrace, key: Key, bounds: dict[Precision, Array]
    ) -> Comparison | None:
        """The tensor against what the reference made of the same inputs; None where there is no bound."""
        precision, fed = self.port.precision(key), self.arrays(keys)
        try:
            if precision not in bounds:
                allowed = allowed_error(step, fed, trace, precision)
                bounds[precision] = allowed + platform_allowance(step, fed, trace, precision)
        except REFUSED:
            return None
        actual = np.asarray(self.port.values[key], np.float64)
        expected = np.asarray(trace.outputs, np.float64)
        unheld = inevitable_overflow(trace, precision)
        return compare_outputs(expected, actual, bounds[precision], probes=OWN_ROWS, unheld=unheld)

    def _is_plain(self, step: Any, keys: Sequence[Key], key: Key) -> bool:
        """Whether one layer with the step's own numbers makes the tensor, with or without an activation as the step."""
        positions, alone = self.port.between(keys, key)
        pieces = [self.port.pieces[at] for at in positions]
        holders = [piece for piece in pieces if piece.has_weights]
        others = [piece for piece in pieces if not piece.has_weights and not piece.is_activation]
        same = len(holders) == 1 and not others and has_same_numbers(step, holders[0])
        return same and alone and self._is_natural(step, keys, key)

    def _agrees_widely(self, step: Any, keys: Sequence[Key], key: Key) -> bool | None:
        """Whether the tensor follows the step on wide numbers too; None where it cannot be asked."""
        drawn = draw_wide(step, self.port, keys, np.random.default_rng(self.seed))
        if drawn is None or not self.port.between(keys, key)[1]:
            return None
        fed = tuple(np.asarray(drawn[source], np.float64) for source in keys)
        try:
            actual = np.asarray(self.port.run(drawn, key), np.float64)
        except Exception:  # somebody's own layer may raise anything
            return None
        try:
            found = compare_step(step, fed, actual, self.port.precision(key), "wide rows")
        except REFUSED:
            return False
        return found.is_parity or (found.elements == 0 and not isinstance(step, Together))

    def _is_kindred(self, step: Any, keys: Sequence[Key], key: Key) -> bool:
        positions, _ = self.port.between(keys, key)
        return any(can_compute(self._last(step), self.port.pieces[at]) for at in positions)

    def _is_natural(self, step: Any, keys: Sequence[Key], key: Key) -> bool:
        """Whether an activation is applied on the way where the step has one, and only there."""
        positions, _ = self.port.between(keys, key)
        applied = any(self.port.pieces[at].is_activation for at in positions)
        return applied == applies_activation(self._last(step)) or (applied and hasattr(self._last(step), "cell"))

    @staticmethod
    def _last(step: Any) -> Any:
        return step.steps[-1] if isinstance(step, Together) else step

    def _ties(self, key: Key, keys: Sequence[Key]) -> list[Key]:
        """Tensors that hold the same bits as another, neither behind the other."""
        port, own = self.port, self.port.values[key]
        if key in keys or not any(port.is_behind(key, source) for source in keys):
            return []
        found = []
        for other in port.keys:
            apart = not port.is_behind(other, key) and not port.is_behind(key, other)
            if apart and any(port.is_behind(other, source) for source in keys):
                value = port.values[other]
                same = value.shape == own.shape and value.dtype == own.dtype
                found += [other] if same and np.array_equal(value, own, equal_nan=own.dtype != bool) else []
        return found[:3]


def draw_wide(step: Any, port: Pieces, keys: Sequence[Key], rng: np.random.Generator) -> dict[Key, Array] | None:
    """A few rows of wide random numbers for each tensor that a step takes; None where it cannot take such numbers."""
    parts = step.steps if isinstance(step, Together) else (step,)
    whole = any(port.values[key].dtype.kind in "iu" for key in keys)
    if whole or any(takes_words(part) for part in parts):
        return None
    if sum(port.values[key][0].size for key in keys) > WIDEST:
        return None
    takers = dict(zip(keys, (_masker(parts, name) for name in step.inputs), strict=False))
    return {
        key: draw_numbers(takers.get(key), (WIDE, *port.values[key].shape[1:]), port.values[key].dtype, rng)
        for key in keys
    }


def takes_words(step: Any) -> bool:
    """Whether a step looks words up, or masks one of them."""
    return isinstance(step, CategoryEncoding | Embedding) or (isinstance(step, Mask) and step.kind == "nonzero")


def _masker(parts: Sequence[Any], name: str) -> Any:
    """What masks the time steps of an input; None where nothing does."""
    return next((part for part in parts if isinstance(part, Mask | Masking) and name in part.inputs), None)
