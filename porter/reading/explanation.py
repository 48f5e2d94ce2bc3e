"""Are samples explained by some arithmetic? The most exact that gives them, or the one that comes closest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.formats.samples import Samples
from porter.reading.arithmetic import (
    FACTOR,
    Arithmetic,
    Fit,
    arithmetics,
    fits_float32,
    numbers_of,
    side_by_side,
    spread_of,
)
from porter.reading.readings import Formula
from reference.precision import FORMATS

Array = NDArray[Any]

FEW = 8
"""Rows that nearly every other reading is refuted by."""
NUMBERS = 2**25
"""In all layers together: what is run in every way; rows beyond are held against the spread of those before."""
DIGITS = 8.0
"""Units of rounding: what is known no closer does not show in which arithmetic it was made."""
HOPELESS = 100.0
"""Times a spread of few runs, on few rows: no more runs would make up for it."""


def explain(formula: Formula, golden: Samples, known: Arithmetic | None = None) -> Fit:
    """The first arithmetic that gives these samples; the one that comes closest where none does.

    The inputs are taken as they stand at first, then as known to their last digit only.

    Args:
        formula: a legacy forward pass.
        golden: the samples.
        known: the arithmetic that they were made in, if that is known: only its name is tried.
    """
    outputs, resolution = side_by_side(golden.outputs), side_by_side(golden.resolution)
    exactly = tuple(np.zeros(each.shape) for each in golden.inputs)
    coarse = any(each.any() for each in golden.input_resolution)
    closest: Fit | None = None
    for steps in (exactly, golden.input_resolution) if coarse else (exactly,):
        for each in arithmetics(formula.program, formula.short):
            if (known is not None and each.name != known.name) or not _possible(formula, each, golden):
                continue
            fit = _fit(each, golden.inputs, steps, outputs, resolution)
            if fit.is_explained:
                return fit
            closest = fit if closest is None or fit.factor < closest.factor else closest
    nowhere = np.full(outputs.shape[1], np.inf)
    return closest if closest is not None else Fit(arithmetics(formula.program)[0], np.inf, nowhere)


def _possible(formula: Formula, arithmetic: Arithmetic, golden: Samples) -> bool:
    return arithmetic.kind == "float64" or fits_float32(formula.program, arithmetic, golden.outputs, golden.resolution)


def _fit(
    arithmetic: Arithmetic, inputs: Sequence[Array], steps: Sequence[Array], outputs: Array, resolution: Array
) -> Fit:
    """Few rows and runs first: they refute nearly everything."""
    first = arithmetic.centre(arithmetic.fed([each[:1] for each in inputs]))
    if side_by_side(first).shape[1] != outputs.shape[1]:
        return Fit(arithmetic, np.inf, np.full(outputs.shape[1], np.inf))

    def fit(rows: int, runs: int | None) -> Fit:
        spread = spread_of(arithmetic, [each[:rows] for each in inputs], [each[:rows] for each in steps], runs)
        return spread.fit(outputs[:rows], resolution[:rows])

    quick = fit(FEW, 1)
    if quick.factor > HOPELESS:
        return quick
    most = max(NUMBERS // numbers_of(arithmetic.program, inputs), FEW)
    found = fit(most, None)
    if len(outputs) <= most:
        return found
    rest = side_by_side(arithmetic.centre(arithmetic.fed([each[most:] for each in inputs])))
    with np.errstate(all="ignore"):
        beyond = FACTOR * np.max(np.abs(rest - outputs[most:]) / (found.visible + resolution[most:]))
    return replace(found, factor=max(found.factor, float(np.inf if np.isnan(beyond) else beyond)))


def closeness(fit: Fit, outputs: Sequence[Array], resolution: Sequence[Array]) -> str:
    """To what samples are given: rounding, or their last digit where they have fewer than the arithmetic has.

    Args:
        fit: how they lie to the arithmetic that explains them.
        outputs: (rows, ...) of the samples.
        resolution: how exactly they are known.
    """
    values, known = np.abs(side_by_side(outputs)), side_by_side(resolution)
    usable = np.isfinite(values) & (values > 0)
    share = float(np.median(known[usable] / values[usable])) if usable.any() else 0.0
    if share <= DIGITS * FORMATS[fit.arithmetic.kind].unit:
        return f"{fit.arithmetic.name} rounding"
    return f"the last digit that they have, about {share:.1g} of an output"


def contradicts_itself(golden: Samples, fit: Fit) -> str:
    """Two rows with the same inputs and visibly different outputs, in words; empty where there are none."""
    inputs, outputs = side_by_side(golden.inputs), side_by_side(golden.outputs)
    _, first, which = np.unique(inputs, axis=0, return_index=True, return_inverse=True)
    partner = first[which.reshape(-1)]
    slack = 2 * np.max(side_by_side(golden.resolution), axis=0)
    with np.errstate(all="ignore"):
        apart = np.abs(outputs - outputs[partner])
        rows = np.flatnonzero((apart > fit.visible + slack).any(axis=1))
    if not rows.size:
        return ""
    row = int(rows[0])
    return f"rows {int(partner[row])} and {row} have the same inputs, and outputs that differ by {apart[row].max():.3g}"
