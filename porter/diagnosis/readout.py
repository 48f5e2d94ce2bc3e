"""The arrays of a dense layer that does not show them, read out of what it gives for chosen inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.examination.probes import FULL_BASIS_WIDTH
from porter.examination.suspect import Stored
from reference.activations import SELU_SCALE, Activation

Array = NDArray[Any]
Ask = Callable[[Array], Array]
"""(n, inputs) to (n, units), float64."""
Affine = tuple[Array, Array]
"""Kernel (inputs, units) and bias (units,), float64."""

INVERSES: Mapping[str, Callable[[Array], Array]] = {
    "linear": lambda a: a,
    "tanh": np.arctanh,
    "sigmoid": lambda a: np.log(a) - np.log1p(-a),
    "cut_sigmoid": lambda a: np.log(a) - np.log1p(-a),
    "softsign": lambda a: a / (1 - np.abs(a)),
    "softplus": lambda a: np.log(np.expm1(a)),
    "exponential": np.log,
}
ABOVE: Mapping[str, float] = {
    "relu": 1.0, "leaky_relu": 1.0, "elu": 1.0, "selu": SELU_SCALE, "gelu": 1.0, "gelu_tanh": 1.0, "silu": 1.0,
    "mish": 1.0, "softplus": 1.0,
}  # fmt: skip
"""Activations that are straight far above zero, and how steep they are there."""
STEPS = (2.0**-2, 2.0**-6, 2.0**-10)
"""Sizes of the probes for an inverse, largest first: the smaller ones are for layers that saturate early."""
STEEP, LIFT = 2.0**18, 32.0
"""Of probes far above zero, where no bias counts; and how far above its largest bias a unit is lifted to show it."""
TINY = 1e-9
"""Of a unit's largest weight: nothing brings it above zero."""
STRAIGHT = 1e-4
"""How far, beside the largest preactivation, three points of a straight line may lie off it."""
DIGITS = 1e-3
"""To what share of the largest weight probes in float32 read a weight out."""
ROUNDED = 4.0
"""Roundings of a number that is read out: of the weight, of two products, and of their difference."""
ALIKE, ROWS = 1e-2, 64
"""To what share of a unit's range arrays that were read out have to give what the layer gives, on how many rows."""
AS_GOOD = 4.0
"""Readings that miss by less than this factor more than the best are as good as it."""
REFINED = 3
"""Newton's steps from a bias that is about right to one of as many digits as its activation shows."""


@dataclass(frozen=True)
class ReadOut:
    """What was read out of a layer, to about three digits.

    Attributes:
        kernel: (inputs, units) float64.
        bias: (units,) float64.
        activation: in which the layer ends.
    """

    kernel: Array
    bias: Array
    activation: Activation


def read_out(ask: Ask, own: Stored) -> ReadOut | None:
    """The kernel and the bias that a layer holds, by whichever activation it may end in.

    A unit whose answers say nothing of its weights, and are those of the file's unit, has the file's. What was read out
    has to give what the layer gives on rows of every usual size: no array is claimed under a wrong activation.

    Args:
        ask: what the port's layer gives.
        own: the layer of the file.

    Returns:
        None where no activation that is known stands behind them.
    """
    if own.kernel.shape[0] > FULL_BASIS_WIDTH:
        return None
    options = [(_missed(ask, activation, found), activation, found) for activation, found in _options(ask, own)]
    least = min((missed for missed, _, _ in options), default=np.inf)
    if not least <= ALIKE:
        return None
    good = [(activation, found) for missed, activation, found in options if missed <= AS_GOOD * least]
    is_own = [option for option in good if option[0] == own.activation]
    activation, found = max(is_own or good, key=lambda option: _likeness(own, option[1][0]))
    return ReadOut(*_as_written(own, *found), activation)


def digits(unit: float) -> float:
    """To what share of the largest weight numbers are read out of a layer that computes with a unit of roundoff."""
    return DIGITS + ROUNDED * unit


def alike(found: Array, wanted: Array, unit: float = 0.0) -> Array:
    """Elementwise: are numbers that were read out these, to the few digits that they are good to?

    Args:
        found: as read out.
        wanted: of the file.
        unit: of roundoff in which the layer computes.
    """
    size = np.max(np.abs(found), initial=0.0)
    with np.errstate(invalid="ignore"):
        return np.abs(found - wanted) <= digits(unit) * (np.abs(wanted) + size)


def _options(ask: Ask, own: Stored) -> Iterator[tuple[Activation, Affine]]:
    name = own.activation.name
    known = {other: Activation(other) for other in (*INVERSES, *ABOVE)}
    if name in known:
        known = {name: own.activation, **{other: each for other, each in known.items() if other != name}}
    for step in STEPS:
        for other, activation in known.items():
            found = _inverted(ask, own, other, step) if other in INVERSES else None
            if found is not None:
                yield activation, found
    for other, activation in known.items():
        found = _from_above(ask, own, activation, ABOVE[other]) if other in ABOVE else None
        if found is not None:
            yield activation, found


def _missed(ask: Ask, activation: Activation, found: Affine) -> float:
    """By what share of a unit's range arrays that were read out miss what the layer gives, on rows of every usual size.

    Some of them are as large as bring the units to where their activations bend.
    """
    rng, (kernel, bias) = np.random.default_rng(0), found
    norm = np.max(np.linalg.norm(kernel, axis=0), initial=0.0)
    bending = np.array([1.0, 4.0]) / norm if norm > TINY else np.ones(2)
    rows = rng.normal(size=(ROWS, len(kernel))) * rng.choice([0.1, 1.0, 3.0, *bending], (ROWS, 1))
    with np.errstate(all="ignore"):
        wanted, given = activation(rows @ kernel + bias), ask(rows)
        size = np.maximum(np.ptp(wanted, axis=0), DIGITS * np.max(np.abs(wanted)))
        missed = float(np.max(np.abs(given - wanted) / np.maximum(size, np.finfo(np.float32).tiny)))
    return missed if np.isfinite(missed) else np.inf


def _inverted(ask: Ask, own: Stored, name: str, step: float) -> Affine | None:
    """Kernel and bias if the layer ends in that activation; None where its outputs say that it does not."""
    width, units = own.kernel.shape
    rows = np.vstack([np.zeros(width), step * np.eye(width), -step * np.eye(width)])
    given = ask(rows)
    if given.shape[1] != units:
        return None
    with np.errstate(all="ignore"):
        z = INVERSES[name](given)
    if not np.isfinite(z).all():
        return None
    curvature = np.max(np.abs(z[1 : width + 1] + z[width + 1 :] - 2 * z[0]))
    if curvature > STRAIGHT * np.max(np.abs(z)):
        return None
    return _without_mute_units(own, rows, given, (z[1 : width + 1] - z[width + 1 :]) / (2 * step), z[0])


def _from_above(ask: Ask, own: Stored, activation: Activation, slope: float) -> Affine | None:
    """The same for an activation that is straight far above zero: each weight there, then the biases."""
    width, units = own.kernel.shape
    axes = np.eye(width)
    rows = np.vstack([size * STEEP * axes for size in (1, 2, -1, -2)])
    given = ask(rows)
    if given.shape[1] != units or not np.isfinite(given).all():
        return None
    near, far, near_below, far_below = given.reshape(4, width, units)
    up, down = (far - near) / (slope * STEEP), (near_below - far_below) / (slope * STEEP)
    kernel = np.where(np.abs(up) >= np.abs(down), up, down)
    steering, picked = np.argmax(np.abs(kernel), axis=0), np.arange(units)
    largest = kernel[steering, picked]
    is_steered = np.abs(largest) > TINY

    def lifted(lift: Array) -> Array:
        """(units,) what each unit gives where its products come to ``lift``; a unit without weights stays."""
        rows = np.zeros((units, width))
        rows[picked, steering] = np.divide(lift, largest, out=np.zeros(units), where=is_steered)
        return np.asarray(ask(rows)[picked, picked])

    largest_bias = 0.0 if own.bias is None else np.max(np.abs(own.bias), initial=0.0)
    lift = np.where(is_steered, LIFT + 4 * largest_bias, 0.0)
    bias = lifted(lift) / slope - lift
    for _ in range(REFINED):
        # Just above zero, a small bias is not lost among the digits of what it is added to.
        lift = np.where(is_steered, np.maximum(4 * np.abs(bias), LIFT * STRAIGHT * DIGITS), 0.0)
        bias = bias + _newton(activation, lift + bias, lifted(lift))
    held = np.zeros(units) if own.bias is None else own.bias
    with np.errstate(all="ignore"):  # of a unit without weights, what is flat there tells no bias
        bias = np.where(~is_steered & np.isclose(activation(held), lifted(np.zeros(units))), held, bias)
    return _without_mute_units(own, rows, given, kernel, bias)


def _newton(activation: Activation, z: Array, given: Array) -> Array:
    """How far from ``z`` an activation gives ``given``; nowhere but there where it is flat."""
    step = DIGITS * np.maximum(np.abs(z), TINY)
    with np.errstate(all="ignore"):
        rise = (activation(z + step) - activation(z - step)) / (2 * step)
        found = (given - activation(z)) / rise
    return np.where(np.isfinite(found) & (np.abs(rise) > DIGITS), found, 0.0)


def _without_mute_units(own: Stored, rows: Array, given: Array, kernel: Array, bias: Array) -> Affine:
    """What was read out, but for units that answer as the file's do by arrays that nobody can read out of it.

    A relu that is off and a tanh at its limit answer every probe alike, whatever their weights are.
    """
    held = np.zeros(len(bias)) if own.bias is None else own.bias
    with np.errstate(all="ignore"):
        answers = own.activation(rows @ own.kernel + held)
    is_alike = np.isclose(given, answers, rtol=1e-6, atol=1e-30).all(axis=0)
    largest = np.abs(own.kernel).max(axis=0, initial=0.0)
    is_read = (np.abs(kernel - own.kernel) <= DIGITS * largest).all(axis=0)
    mute = is_alike & ~is_read
    return np.where(mute, own.kernel, kernel), np.where(mute, held, bias)


def _as_written(own: Stored, kernel: Array, bias: Array) -> Affine:
    """Zeros, and one number throughout, where probes gave such numbers but for their own rounding."""
    held = np.zeros(len(bias)) if own.bias is None else own.bias
    least = DIGITS**2 * np.max(np.abs(kernel), initial=0.0)
    bias = np.where(np.abs(bias) > least, bias, np.where(np.abs(held) > least, 0.0, held))
    return _one_number(kernel, own.kernel), _one_number(bias, held)


def _one_number(found: Array, held: Array) -> Array:
    """The number that all entries are where those of the file are not: its first one if it is that."""
    size = np.max(np.abs(found), initial=0.0)
    if found.size < 2 or np.ptp(found) > STRAIGHT * size or np.ptp(held) <= 4 * DIGITS * np.max(np.abs(held)):
        return found
    mean, first = float(np.mean(found)), float(held.flat[0])
    return np.full_like(found, first if alike(np.array(mean), np.array(first)) else mean)


def _likeness(own: Stored, kernel: Array) -> float:
    """Share of the entries that are the file's, to the precision of probes."""
    wanted = own.kernel
    return float((np.abs(kernel - wanted) <= DIGITS * (np.abs(wanted) + np.max(np.abs(wanted)))).mean())
