"""Hidden units in another order or with another sign, compensated in the next layer: not a mistake."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.examination.numbers import equal_within_ulp, match_vectors
from porter.examination.suspect import Stored
from porter.ports.blocks import Block
from reference.operations.dense import Dense

Array = NDArray[Any]

ODD = {"linear", "tanh", "softsign", "hard_tanh", "scaled_tanh"}
"""Activations with g(-z) = -g(z), through which a sign may pass."""


@dataclass(frozen=True)
class Gauge:
    """Port unit u is sign[u] times the file's unit order[u]; both arrays are (units,)."""

    order: Array
    sign: Array

    @classmethod
    def identity(cls, units: int) -> Gauge:
        """Every unit where it should be."""
        return cls(np.arange(units), np.ones(units))

    @property
    def is_identity(self) -> bool:
        """Whether nothing moves."""
        return bool(np.array_equal(self.order, np.arange(len(self.order))) and (self.sign == 1).all())

    def describe(self) -> str:
        """How many units stand elsewhere, how many have the opposite sign."""
        moved = int(np.count_nonzero(self.order != np.arange(len(self.order))))
        flipped = int(np.count_nonzero(self.sign < 0))
        parts = [f"{moved} units stand elsewhere"] if moved else []
        parts += [f"{flipped} units have the opposite sign"] if flipped else []
        return " and ".join(parts)


def match_gauges(steps: Sequence[Dense], blocks: Sequence[Block | None]) -> dict[str, Gauge]:
    """Gauges of hidden layers that the next layer compensates, by layer name; identities are left out.

    Args:
        steps: the dense steps in order.
        blocks: the port's block for each, or None.
    """
    found: dict[str, Gauge] = {}
    entering: Gauge | None = None
    for index, (step, block) in enumerate(zip(steps, blocks, strict=True)):
        leaving = None
        if block is not None and block.dense is not None and block.dense.weights is not None:
            is_last = index == len(steps) - 1
            leaving = _leaving(step, block, entering, is_last)
            if leaving is None and entering is not None:
                found.pop(steps[index - 1].name, None)
                leaving = _leaving(step, block, None, is_last)
        elif entering is not None:
            found.pop(steps[index - 1].name, None)
        entering = None
        if leaving is not None and not leaving.is_identity:
            found[step.name] = entering = leaving
    if entering is not None:
        found.pop(steps[-1].name, None)
    return found


def _leaving(step: Dense, block: Block, entering: Gauge | None, is_last: bool) -> Gauge | None:
    """The gauge of the layer's own units, given that of its inputs; None where the weights do not match under any."""
    atom = block.dense
    assert atom is not None and atom.weights is not None
    stored, (shown, own) = Stored.of(step), atom.weights()
    kernel = stored.kernel
    if kernel.shape != shown.shape:
        return None
    if entering is not None:
        kernel = kernel[entering.order] * entering.sign[:, None]
    bias = np.zeros(kernel.shape[1]) if stored.bias is None else stored.bias
    own = np.zeros(kernel.shape[1]) if own is None else own
    wanted, found = np.vstack([kernel, bias]).T, np.vstack([shown, own]).T
    signs = stored.activation.name in ODD
    match = match_vectors(found, wanted, partial(equal_within_ulp, dtype=block.precision.variables), signs=signs)
    if match is None:
        return None
    gauge = Gauge(*match)
    return gauge if gauge.is_identity or not is_last else None


def apply_gauges(steps: Sequence[Dense], gauges: dict[str, Gauge]) -> list[Dense]:
    """The steps with their units in the port's order and sign, so that they can be judged element by element."""
    result = []
    entering: Gauge | None = None
    for step in steps:
        leaving = gauges.get(step.name)
        result.append(_regauged(step, entering, leaving))
        entering = leaving
    return result


def _regauged(step: Dense, entering: Gauge | None, leaving: Gauge | None) -> Dense:
    if entering is None and leaving is None:
        return step
    units_first = step.orientation == "units-first"
    kernel = step.weights.T if units_first else step.weights
    bias = step.bias
    if entering is not None:
        kernel = kernel[entering.order] * entering.sign[:, None]
    if leaving is not None:
        kernel = kernel[:, leaving.order] * leaving.sign
        bias = None if bias is None else np.asarray(bias).reshape(-1)[leaving.order] * leaving.sign
    return replace(step, weights=kernel.T if units_first else kernel, bias=bias)
