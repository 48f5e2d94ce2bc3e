"""What comes nearest where nothing gives the samples, and what the difference suggests, output by output."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from porter.identification.candidate import Candidate, Member
from porter.identification.candidates import COMMON, OUTPUT, activation
from porter.identification.columns import applied
from porter.identification.pool import Pool
from porter.identification.refining import Golden, residuals
from porter.identification.skeletons import Skeleton

if TYPE_CHECKING:
    from porter.identification.driver import Search

Array = NDArray[Any]

CHAINS, FRONTS, BACKS, READINGS, ROWS = 4, 6, 6, 8, 32
LEAST_ROWS = 5
"""Below which no function of an output can be made out."""
EXACT, NEAR = 1e-6, 2e-2
SHOWN = 4


@dataclass(frozen=True)
class Nearest:
    """A configuration that comes near the samples.

    Attributes:
        candidate: which.
        values: (rows, outputs) what it gives.
        golden: the samples.
    """

    candidate: Candidate
    values: Array
    golden: Golden

    @classmethod
    def of(cls, pool: Pool, candidate: Candidate, golden: Golden) -> Nearest:
        """A configuration held against all samples."""
        return cls(candidate, candidate.predict(pool, golden.inputs), golden)

    @property
    def residuals(self) -> Array:
        """(outputs,) the largest difference of each, as a share of its size."""
        usable = np.isfinite(self.golden.outputs)
        return np.asarray(np.max(np.where(usable, residuals(self.values, self.golden), 0.0), axis=0))

    @property
    def rank(self) -> tuple[int, float]:
        """How many outputs nothing exact is suggested for, and how far all are off."""
        told = 0
        for values, outputs in zip(self.values.T, self.golden.outputs.T, strict=True):
            usable = np.isfinite(values) & np.isfinite(outputs)
            x, y = values[usable], outputs[usable]
            told += len(y) >= LEAST_ROWS and np.ptp(x) > 0 and np.ptp(y) > 0 and bool(_held(x, y) or _exact(x, y))
        return -told, float(self.residuals.mean())

    def lines(self) -> list[str]:
        """The worst outputs, each with what its difference suggests."""
        worst = np.argsort(-self.residuals)[:SHOWN]
        lines = []
        for column in worst.tolist():
            what = suggestion(self.values[:, column], self.golden.outputs[:, column])
            line = f"output {column}: off by {self.residuals[column]:.2g} of its size"
            lines.append(f"{line}; {what}" if what else line)
        return lines


def suggestion(values: Array, outputs: Array) -> str:
    """What a function from what was computed to what was recorded looks like; empty where it looks like none."""
    usable = np.isfinite(values) & np.isfinite(outputs)
    x, y = values[usable], outputs[usable]
    if len(y) < LEAST_ROWS:
        return "too few rows to say more"
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return ""
    return next((told for look in (_held, _exact, _inexact) if (told := look(x, y))), "")


def _exact(x: Array, y: Array) -> str:
    """A gain, a power or an exponential that gives all rows."""
    slope, offset, off = _line(x, y)
    if off <= EXACT * float(np.max(np.abs(y))):
        return f"a gain of {slope:.6g} and an offset of {offset:.6g} behind the network would give it"
    if np.all(y > 0):
        slope, offset, off = _line(np.log(x), np.log(y)) if np.all(x > 0) else (0.0, 0.0, np.inf)
        if off <= EXACT:
            return f"a power of {slope:.4g}, times {np.exp(offset):.6g}, would give it"
        slope, offset, off = _line(x, np.log(y))
        if off <= EXACT:
            return f"an exponential, exp({slope:.6g} y + {offset:.6g}), would give it"
    return ""


def _inexact(x: Array, y: Array) -> str:
    size = float(np.max(np.abs(y)))
    if np.max(np.abs(x - y)) <= NEAR * size:
        return "small differences everywhere: a table in the place of an activation, or weights printed with few digits"
    slope, offset, off = _line(x, y)
    if off <= NEAR * size:
        return f"nearly a gain of {slope:.4g} and an offset of {offset:.4g}"
    steps = np.diff(y[np.argsort(x)])
    if np.all(steps >= 0) or np.all(steps <= 0):
        return "it rises or falls with what the network gives: some function stands behind it"
    return ""


def _held(x: Array, y: Array) -> str:
    """Values that are given, but for some that all are alike and lie inside of what the network gives."""
    size = float(np.max(np.abs(y)))
    right = np.abs(x - y) <= 1e-4 * size
    rest = y[~right]
    if right.mean() < 0.3 or rest.size < 2 or np.ptp(rest) > 1e-9 * size:
        return ""
    side = "from below" if np.all(x[~right] < rest) else "from above" if np.all(x[~right] > rest) else ""
    return f"a clamp at {rest[0]:.6g} {side} would give it" if side else ""


def _line(x: Array, y: Array) -> tuple[float, float, float]:
    """Slope, intercept, and the largest distance from the line."""
    matrix = np.stack([x, np.ones(len(x))], axis=1)
    (slope, offset), *_ = np.linalg.lstsq(matrix, y, rcond=None)
    return float(slope), float(offset), float(np.max(np.abs(matrix @ [slope, offset] - y)))


def nearest(search: Search, chains: Sequence[Skeleton], seconds: float) -> Nearest | None:
    """The configuration whose outputs go most alike with the samples', among simple ones of the likeliest chains."""
    began, golden = time.monotonic(), search.golden
    usable = np.flatnonzero(np.isfinite(golden.outputs).all(axis=1))[:ROWS]
    if not usable.size:
        return None
    wanted, best, score = golden.outputs[usable], None, -np.inf
    for chain in chains[:CHAINS]:
        fronts = (
            search.fronts(chain, FRONTS, transformed=False) + search.fronts(chain, FRONTS, transformed=True)[:FRONTS]
        )
        for layers in itertools.islice(itertools.product(*(slot.plain for slot in chain.slots)), READINGS):
            parts = [layer.canonical(search.pool) for layer in layers]
            for (functions, end), name in itertools.product(fronts, COMMON):
                fed = applied(functions, golden.inputs[usable]) * end.scale + end.offset
                z = _last(parts, name, fed)
                own = _likeness(z, wanted)
                if own > score:
                    score, best = own, (chain, layers, functions, end, name)
                if time.monotonic() - began > seconds:
                    break
    if best is None:
        return None
    chain, layers, functions, end, name = best
    found: Nearest | None = None
    for back, last in itertools.product(search.backs(chain, BACKS), OUTPUT):
        names = (*(name,) * (len(layers) - 1), last)
        plain = ("identity",) * wanted.shape[1]
        candidate = Candidate((Member(tuple(layers), end, back),), names, functions, plain)
        each = Nearest.of(search.pool, candidate, golden)
        if np.isfinite(each.residuals).all() and (found is None or each.rank < found.rank):
            found = each
    return found


def _last(parts: Sequence[Any], name: str, values: Array) -> Array:
    with np.errstate(all="ignore"):
        for kernel, bias in parts[:-1]:
            z = values @ kernel
            values = activation(name)(z if bias is None else z + bias)
        kernel, bias = parts[-1]
        z = values @ kernel
        return np.asarray(z if bias is None else z + bias)


def _likeness(z: Array, wanted: Array) -> float:
    """How well outputs go with what was recorded, whatever increasing function stands between."""
    if not np.isfinite(z).all():
        return -np.inf
    if len(z) < LEAST_ROWS:
        return -float(np.mean(np.abs(z - wanted) / np.maximum(np.max(np.abs(wanted), axis=0), 1e-300)))
    ranks = [np.argsort(np.argsort(each, axis=0), axis=0).astype(float) for each in (z, wanted)]
    centred = [each - each.mean(axis=0) for each in ranks]
    with np.errstate(all="ignore"):
        products = np.sum(centred[0] * centred[1], axis=0)
        found = products / np.sqrt(np.sum(centred[0] ** 2, axis=0) * np.sum(centred[1] ** 2, axis=0))
    return float(np.mean(np.nan_to_num(found)))
