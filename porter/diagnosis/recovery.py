"""The weights of a block that no single layer of the port shows: held by several, or read out through probes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.diagnosis.readout import ReadOut, alike, read_out
from porter.examination.parts import read_parts
from porter.examination.suspect import Suspect
from reference.activations import Activation

Array = NDArray[Any]


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
class Recovered(_Found):
    """Weights that were read out through probes, not off the port.

    Attributes:
        read: what was read out.
    """

    is_shown = False
    read: ReadOut | None = None

    @property
    def activation(self) -> Activation:
        """That the weights were read out under."""
        assert self.read is not None
        return self.read.activation

    def equal(self, found: Array, wanted: Array) -> Array:
        """Elementwise: are numbers that were read out these?"""
        return alike(found, wanted, self.block.precision.format.unit)


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


def _given(suspect: Suspect) -> tuple[Any, Any, Any, Any, Any]:
    return suspect.step, suspect.block, suspect.position, suspect.layers, suspect.probes


def assemble(suspect: Suspect) -> tuple[Suspect, Array, Array] | None:
    """As ``recover_affine``, of a block of several layers that show their weights, digit by digit."""
    found = read_parts(suspect.step, suspect.block)
    if found is None:
        return None
    kernel, bias, held_in = found
    return _Assembled(*_given(suspect), suspect.slack, kernel, bias, held_in), kernel, bias


def holding(suspect: Suspect, kernel: Array, bias: Array) -> Suspect:
    """The suspect with arrays that a layer of its block shows, (inputs, units) and (units,)."""
    return _Found(*_given(suspect), suspect.slack, kernel, bias)


def recover_affine(suspect: Suspect) -> tuple[Recovered, Array, Array] | None:
    """Kernel and bias of a block that hides them, read out of what it gives.

    Returns:
        The suspect with these weights, the kernel (inputs, units) and the bias (units,), float64; or None. The weights
        are good to about three digits, and are compared with the file's at that precision.
    """

    def ask(rows: Array) -> Array:
        return np.asarray(suspect.block.run(rows.astype(np.float32))).astype(np.float64).reshape(len(rows), -1)

    found = read_out(ask, suspect.own)
    if found is None:
        return None
    return Recovered(*_given(suspect), 1.0, found.kernel, found.bias, found), found.kernel, found.bias
