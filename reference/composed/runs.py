"""The same formula run as other software would: in another format, another order of summation, other libraries."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.activations import Activation
from reference.operations.dense import Dense
from reference.operations.scaling import Scaling
from reference.precision import FORMATS, Format
from reference.rounding.functions import activation_error
from reference.trace import LayerTrace, Program

Array = NDArray[Any]

ORDERS = ("library", "forward", "reversed", "pairwise", "blocked")
"""Orders of summation: NumPy's own product; one term after the other, from either end; in halves; in eight lanes."""
LANES = 8
MOST_TERMS = 256
"""Of a sum that is taken one by one; of a longer one each term is a short sum of NumPy's own."""
COARSEST = 8.4
"""Units of roundoff of the worst sigmoid, tanh or exponential that was measured, for steps that have them inside; a
convolution by transforms of blocks (Winograd's) is inexact to the same degree."""
LAST_BITS = 2.0
"""Units of roundoff by which the functions of two good libraries differ: each is off by one at most."""


def as_dtype(program: Program, dtype: Any, kinds: tuple[type, ...]) -> Program:
    """A chain whose steps of these kinds compute in another format."""
    return replace(program, steps=tuple(_with_dtype(step, dtype, kinds) for step in program.steps))


def _with_dtype(step: Any, dtype: Any, kinds: tuple[type, ...]) -> Any:
    return replace(step, dtype=dtype) if type(step) in kinds else step


def with_rounded_numbers(program: Program, dtype: Any, kinds: tuple[type, ...]) -> Program:
    """A chain whose steps of these kinds have their stored numbers rounded to a format, and compute as before."""
    return replace(
        program, steps=tuple(_rounded(step, dtype) if type(step) in kinds else step for step in program.steps)
    )


def _rounded(step: Any, dtype: Any) -> Any:
    changed = {}
    for name in ("weights", "bias", "first", "second"):
        array = getattr(step, name, None)
        if array is not None:
            changed[name] = array.astype(dtype).astype(np.float64)
    return replace(step, **changed) if changed else step


def with_affine_scalings(program: Program) -> Program:
    """A chain whose scaling steps multiply and add once, by constants made beforehand."""
    steps = (_Affine(step) if isinstance(step, Scaling) else step for step in program.steps)
    return replace(program, steps=tuple(steps))


@dataclass(frozen=True)
class _Affine:
    """A scaling step as ``scale * x + offset``."""

    step: Scaling

    @property
    def name(self) -> str:
        return self.step.name

    @property
    def inputs(self) -> tuple[str, ...]:
        return self.step.inputs

    def __call__(self, x: Array) -> LayerTrace:
        scale, offset = (each.astype(self.step.dtype) for each in self.step.affine)
        with np.errstate(all="ignore"):
            return LayerTrace(self.name, scale * x.astype(self.step.dtype, copy=False) + offset)


def run_as(
    program: Program,
    order: str,
    rng: np.random.Generator | None,
    other: Program | None = None,
    coarse: bool = False,
) -> Program:
    """The program with every sum in this order and, where ``rng`` is given, every step off by its own rounding.

    Args:
        program: in the format that is to be emulated.
        order: one of ``ORDERS``.
        rng: draws the roundings of other libraries; None for none.
        other: the program in another format, the difference to which says how large the own rounding of a step is
            that is no plain layer; only its last bits where None.
        coarse: whether functions are as inexact as the worst that was measured, not off by their last bits alone.
    """
    steps = {} if other is None else {step.name: step for step in other.steps}
    runs = (_Run(step, order, rng, steps.get(step.name), coarse) for step in program.steps)
    return replace(program, steps=tuple(runs))


@dataclass(frozen=True)
class _Run:
    """A step as another library would compute it."""

    step: Any
    order: str
    rng: np.random.Generator | None
    other: Any
    coarse: bool

    @property
    def name(self) -> str:
        return str(self.step.name)

    @property
    def inputs(self) -> tuple[str, ...]:
        return tuple(self.step.inputs)

    def __call__(self, *inputs: Array) -> LayerTrace:
        trace = _in_order(self.step, inputs[0], self.order) if isinstance(self.step, Dense) else self.step(*inputs)
        if self.rng is None or trace.outputs.dtype.name not in FORMATS:
            return trace
        kind, wide = FORMATS[trace.outputs.dtype.name], trace.outputs.astype(np.float64)
        off = LAST_BITS * kind.unit * np.abs(wide)
        if self.coarse:
            off = np.maximum(off, _function_error(self.step, trace, kind))
        moved = wide + off * self.rng.uniform(-1, 1, wide.shape)
        if self.other is not None and not isinstance(self.step, Dense):
            inside = COARSEST / LAST_BITS if self.coarse else 1.0
            rounding = _own_rounding(self.other, inputs, wide, kind.unit)
            moved += inside * rounding * self.rng.standard_normal(wide.shape)
        return replace(trace, outputs=moved.astype(trace.outputs.dtype))


def _function_error(step: Any, trace: LayerTrace, kind: Format) -> Array:
    """How far the functions of other libraries may be off in this format."""
    a = trace.outputs.astype(np.float64)
    activation, z = getattr(step, "activation", None), trace.preactivation
    if not isinstance(activation, Activation) or z is None or z.shape != a.shape:
        return COARSEST * kind.unit * np.abs(a)
    return activation_error(activation, z.astype(np.float64), a, np.zeros(a.shape), kind, FORMATS["float64"])


def _own_rounding(other: Any, inputs: Sequence[Array], outputs: Array, unit: float) -> Array:
    """What the arithmetic inside a step costs in a format of this unit: root mean square by place on the last axis."""
    again = np.asarray(other(*inputs).outputs)
    if again.dtype.name not in FORMATS or (again.dtype == np.float64 and unit == FORMATS["float64"].unit):
        return np.zeros(())
    share = unit / max(unit, FORMATS[again.dtype.name].unit)
    with np.errstate(all="ignore"):
        error = np.where(np.isfinite(again) & np.isfinite(outputs), outputs - again, 0.0)
    return np.asarray(share * np.sqrt(np.mean(error**2, axis=tuple(range(error.ndim - 1)))))


def _in_order(step: Dense, x: Array, order: str) -> LayerTrace:
    """The layer with its sums taken in this order, in its own dtype."""
    if order == "library":
        return step(x)
    kernel = (step.weights.T if step.orientation == "units-first" else step.weights).astype(step.dtype)
    terms = list(_terms(x.astype(step.dtype), kernel))
    with np.errstate(all="ignore"):
        z = _SUMS[order](terms)
        z = z if step.bias is None else z + step.bias.astype(step.dtype)
        return LayerTrace(step.name, step.activation(z), z)


def _terms(x: Array, kernel: Array) -> Iterator[Array]:
    size = -(-len(kernel) // MOST_TERMS)
    with np.errstate(all="ignore"):
        for start in range(0, len(kernel), size):
            yield x[..., start : start + size] @ kernel[start : start + size]


def _forward(terms: Sequence[Array]) -> Array:
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


def _pairwise(terms: Sequence[Array]) -> Array:
    while len(terms) > 1:
        pairs = [a + b for a, b in zip(terms[::2], terms[1::2], strict=False)]
        terms = [*pairs, *terms[len(pairs) * 2 :]]
    return terms[0]


_SUMS: dict[str, Callable[[Sequence[Array]], Array]] = {
    "forward": _forward,
    "reversed": lambda terms: _forward(terms[::-1]),
    "pairwise": _pairwise,
    "blocked": lambda terms: _pairwise([_forward(terms[lane::LANES]) for lane in range(min(LANES, len(terms)))]),
}
