"""The affine part of a block that does not show its weights, read out through basis probes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.examination.parts import read_parts
from porter.examination.probes import FULL_BASIS_WIDTH
from porter.examination.suspect import Stored, Suspect

Array = NDArray[Any]

INVERSES: Mapping[str, Callable[[Array], Array]] = {
    "linear": lambda a: a,
    "tanh": np.arctanh,
    "sigmoid": lambda a: np.log(a) - np.log1p(-a),
    "softsign": lambda a: a / (1 - np.abs(a)),
    "softplus": lambda a: np.log(np.expm1(a)),
    "exponential": np.log,
}
STEPS = (2.0**-2, 2.0**-6, 2.0**-10)
"""Sizes of the probes, largest first: the smaller ones are for layers that saturate early."""
STRAIGHT = 1e-4
"""How far, beside the largest preactivation, three points of a straight line may lie off it."""
DIGITS = 1e-3
"""To what share of the largest weight probes in float32 read a weight out."""


@dataclass(frozen=True)
class _Found(Suspect):
    """A suspect whose weights no single layer of the port shows."""

    found_kernel: Array | None = None
    found_bias: Array | None = None

    @property
    def kernel(self) -> Array | None:
        return self.found_kernel

    @property
    def bias(self) -> Array | None:
        return self.found_bias


@dataclass(frozen=True)
class _Recovered(_Found):
    """Weights that were read out through probes, not off the port."""

    is_shown = False

    def equal(self, found: Array, wanted: Array) -> Array:
        size = np.max(np.abs(found), initial=0.0)
        with np.errstate(invalid="ignore"):
            return np.abs(found - wanted) <= DIGITS * (np.abs(wanted) + size)


@dataclass(frozen=True)
class _Assembled(_Found):
    """Weights that several layers of the port hold together."""

    held_in: str = "float32"

    @property
    def dtype(self) -> str:
        return self.held_in

    def assign(self, *what: str) -> str:
        """In words: which part of an array each layer holds is for whoever wrote them to say."""
        names = ", ".join(self.block.names)
        return f"give {names} their parts of the {' and the '.join(what)} of {self.name}"


def assemble(suspect: Suspect) -> tuple[Suspect, Array, Array] | None:
    """As ``recover_affine``, of a block of several layers that show their weights, digit by digit."""
    found = read_parts(suspect.step, suspect.block)
    if found is None:
        return None
    kernel, bias, held_in = found
    given = (suspect.step, suspect.block, suspect.position, suspect.layers, suspect.probes)
    return _Assembled(*given, suspect.slack, kernel, bias, held_in), kernel, bias


def recover_affine(suspect: Suspect) -> tuple[Suspect, Array, Array] | None:
    """Kernel and bias of a block that hides them, for each invertible activation that it may end in.

    Returns:
        The suspect with these weights, the kernel (inputs, units) and the bias (units,), float64; None where the
        block's outputs lie outside every inverse, or are not affine behind it. The weights are good to about three
        digits, and are compared with the file's at that precision; a unit whose answers say nothing of its weights,
        and are those of the file's unit, has the file's.
    """
    width = suspect.own.kernel.shape[0]
    if width > FULL_BASIS_WIDTH:
        return None
    own = suspect.own.activation.name
    names = [name for name in (own, *INVERSES) if name in INVERSES]
    options = [
        option
        for step in STEPS
        for name in dict.fromkeys(names)
        if (option := _invert(suspect, name, width, step)) is not None
    ]
    if not options:
        return None
    kernel, bias = max(options, key=lambda option: _likeness(suspect, option[0]))
    recovered = _Recovered(
        suspect.step, suspect.block, suspect.position, suspect.layers, suspect.probes, 1.0, kernel, bias
    )
    return recovered, kernel, bias


def _invert(suspect: Suspect, name: str, width: int, step: float) -> tuple[Array, Array] | None:
    """Kernel and bias if the block ends in that activation; None where its outputs say that it does not."""
    rows = np.vstack([np.zeros(width), step * np.eye(width), -step * np.eye(width)])
    found = np.asarray(suspect.block.run(rows.astype(np.float32))).astype(np.float64).reshape(len(rows), -1)
    if found.shape[1] != suspect.own.kernel.shape[1]:
        return None
    with np.errstate(all="ignore"):
        z = INVERSES[name](found)
    if not np.isfinite(z).all():
        return None
    curvature = np.max(np.abs(z[1 : width + 1] + z[width + 1 :] - 2 * z[0]))
    if curvature > STRAIGHT * np.max(np.abs(z)):
        return None
    kernel, bias = (z[1 : width + 1] - z[width + 1 :]) / (2 * step), z[0]
    own = suspect.own
    mute = _mute_units(own, rows, found, kernel)
    kernel[:, mute], bias[mute] = own.kernel[:, mute], 0.0 if own.bias is None else own.bias[mute]
    return kernel, bias


def _mute_units(own: Stored, rows: Array, found: Array, kernel: Array) -> Array:
    """(units,) bool: which of them answer as the file's do, by arrays that cannot be read out of such answers.

    A relu that is off and a tanh at its limit answer every probe alike, whatever their weights are.
    """
    with np.errstate(all="ignore"):
        answers = own.activation(rows @ own.kernel + (0.0 if own.bias is None else own.bias))
    is_alike = np.isclose(found, answers, rtol=1e-6, atol=1e-30).all(axis=0)
    largest = np.abs(own.kernel).max(axis=0, initial=0.0)
    is_read = (np.abs(kernel - own.kernel) <= DIGITS * largest).all(axis=0)
    return np.asarray(is_alike & ~is_read)


def _likeness(suspect: Suspect, kernel: Array) -> float:
    """Share of the entries that are the file's, to the precision of probes."""
    wanted = suspect.own.kernel
    return float((np.abs(kernel - wanted) <= DIGITS * (np.abs(wanted) + np.max(np.abs(wanted)))).mean())
