"""Configurations that agree with a few numbers held against all samples."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.identification.candidate import Candidate
from porter.identification.columns import OUTPUTS, applied
from porter.identification.forward import CLOSE, COARSE
from porter.identification.pool import Pool

Array = NDArray[Any]


LEAST_ALIKE = 0.2
"""Share of the outputs that one function has to give before others are tried for the rest."""


@dataclass(frozen=True)
class Golden:
    """Samples as the search takes them.

    Attributes:
        inputs: (rows, n) float64.
        outputs: (rows, m) float64; NaN where the original flags.
        input_resolution: (rows, n) how exactly the inputs are known.
        resolution: (rows, m) how exactly the outputs are known.
    """

    inputs: Array
    outputs: Array
    input_resolution: Array
    resolution: Array

    @property
    def coarse(self) -> bool:
        """Whether the inputs are known to a few digits only."""
        return bool(np.any(self.input_resolution > 1e-12 * np.maximum(np.abs(self.inputs), 1e-300)))

    @property
    def scale(self) -> Array:
        """(m,) how large each output is."""
        finite = np.where(np.isfinite(self.outputs), np.abs(self.outputs), 0.0)
        scale = np.max(finite, axis=0)
        return np.maximum(scale, 1e-6 * max(float(np.max(scale, initial=0.0)), 1e-300))

    @property
    def close(self) -> Array:
        """(rows, m) within which an output is thought to agree."""
        share = COARSE if self.coarse else CLOSE
        return share * (np.nan_to_num(np.abs(self.outputs)) + self.scale) + 2 * self.resolution


@dataclass(frozen=True)
class Hit:
    """A configuration that gives the samples, nearly or exactly.

    Attributes:
        candidate: which.
        residual: the largest difference, as a share of its column's size, beyond what the digits leave open.
        cost: how unlikely its chain is.
    """

    candidate: Candidate
    residual: float
    cost: float = 0.0


def residuals(values: Array, golden: Golden) -> Array:
    """(rows, m) differences beyond the digits, as shares of the columns' sizes; infinite for what is no number."""
    with np.errstate(all="ignore"):
        apart = np.maximum(np.abs(values - golden.outputs) - golden.resolution, 0.0) / golden.scale
    both = np.isnan(values) & np.isnan(golden.outputs)
    return np.where(both, 0.0, np.where(np.isnan(apart), np.inf, apart))


def refined(pool: Pool, candidate: Candidate, golden: Golden, cost: float = 0.0) -> Hit:
    """A configuration on all samples, with the functions of the outputs that suit each column."""
    plain = replace(candidate, functions_out=("identity",) * len(candidate.functions_out))
    values = plain.predict(pool, golden.inputs)
    if values.shape != golden.outputs.shape:
        return Hit(candidate, np.inf, cost)
    without = ("ln",) if candidate.activations[-1] == "exponential" else ()  # together they are nothing
    chosen = _functions(values, golden, candidate.functions_out[0], without)
    exact = residuals(applied(chosen, values), golden)
    usable = np.isfinite(golden.outputs)
    return Hit(replace(candidate, functions_out=chosen), float(np.max(exact[usable], initial=0.0)), cost)


def _functions(values: Array, golden: Golden, first: str, without: tuple[str, ...]) -> tuple[str, ...]:
    """The first function wherever it does; another for the columns where it does not."""
    chosen, columns = [], values.shape[1]
    usable = np.isfinite(golden.outputs)
    off = {name: _worst(name, values, golden, usable) for name in (first,)}
    if np.mean(off[first] <= CLOSE * 10) < LEAST_ALIKE:
        return (first,) * columns
    for column in range(columns):
        if off[first][column] <= CLOSE * 10:
            chosen.append(first)
            continue
        if len(off) == 1:
            off |= {name: _worst(name, values, golden, usable) for name in OUTPUTS if name not in (first, *without)}
        best = min(off, key=lambda name: float(off[name][column]))
        chosen.append(best if off[best][column] <= CLOSE * 10 else first)
    return tuple(chosen)


def _worst(name: str, values: Array, golden: Golden, usable: Array) -> Array:
    apart = residuals(applied((name,) * values.shape[1], values), golden)
    return np.asarray(np.max(np.where(usable, apart, 0.0), axis=0))


def distinct(hits: Iterable[Hit]) -> list[Hit]:
    """One of each configuration, the closest first; among equals the likeliest."""
    found: dict[str, Hit] = {}
    for hit in hits:
        key = str(sorted(hit.candidate.words.items()))
        if key not in found or hit.residual < found[key].residual:
            found[key] = hit
    return sorted(found.values(), key=lambda hit: (hit.residual, hit.cost))
