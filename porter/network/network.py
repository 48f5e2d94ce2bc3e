"""A network in canonical form: frozen layers, every convention with its evidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from porter.network.weight_file import WeightFile
from reference.activations import Activation

Array = NDArray[Any]
GAINS = "Gains"
"""Name of the scaling behind all transforms, which multiplies physical outputs."""
Evidence = Literal["shape", "samples", "declared", "assumed", "contradicted"]
Rows = tuple[tuple[int | None, ...] | None, ...]
"""The shape of a row of each input or output; None for a length, or for a whole shape, that is not known."""


@dataclass(frozen=True)
class Claim:
    """One convention of one layer, and what it rests on.

    Attributes:
        layer: row name of the layer (``"Layer1"``, ``"Norm_in"``).
        convention: ``"orientation"``, ``"activation"``, ``"scaling"``, ``"order"``, ``"transform"``, ...
        value: how the file is read.
        evidence: what that rests on.
        detail: one sentence for a person; how to prove it where it is assumed.
    """

    layer: str
    convention: str
    value: str
    evidence: Evidence
    detail: str = ""


@dataclass(frozen=True)
class Dense:
    """activation(x @ kernel + bias).

    Attributes:
        name: legacy name.
        kernel: (inputs, units), in the stored precision, native byte order.
        bias: (units,) or None.
        activation: applied to the preactivation.
    """

    name: str
    kernel: Array
    bias: Array | None
    activation: Activation

    @property
    def width(self) -> tuple[int, int]:
        """How many numbers of a row it takes, and how many it gives."""
        inputs, units = self.kernel.shape
        return inputs, units


@dataclass(frozen=True)
class Scaling:
    """y = scale * x + offset, column by column.

    Attributes:
        name: ``"Norm_in"`` or ``"Norm_out"``; or ``GAINS``.
        rule: ``"[-1,1]"``, ``"[0,1]"`` or ``"mean-std"``.
        stored: (n, 2) minimum and maximum, or mean and standard deviation, of each column.
        scale: (n,) float64.
        offset: (n,) float64.
    """

    name: str
    rule: str
    stored: Array
    scale: Array
    offset: Array

    @property
    def width(self) -> tuple[int, int]:
        """How many numbers of a row it takes, and how many it gives."""
        return len(self.scale), len(self.scale)


@dataclass(frozen=True)
class Transform:
    """One function a column, by the names of ``reference.operations.transforms.FUNCTIONS``."""

    name: str
    functions: tuple[str, ...]

    @property
    def width(self) -> tuple[int, int]:
        """How many numbers of a row it takes, and how many it gives."""
        return len(self.functions), len(self.functions)


@dataclass(frozen=True)
class Extremes:
    """Values within the tolerance of a bound become the bound, those further outside NaN.

    Attributes:
        name: ``"Extremes"``.
        least: (n,) lower bound of each column.
        greatest: (n,) upper bound.
        tolerance: (n,) how far outside is forgiven.
    """

    name: str
    least: Array
    greatest: Array
    tolerance: Array

    @property
    def width(self) -> tuple[int, int]:
        """How many numbers of a row it takes, and how many it gives."""
        return len(self.least), len(self.least)


@dataclass(frozen=True)
class Ensemble:
    """The members' outputs made one.

    Attributes:
        name: ``"Ensemble"``.
        members: how many.
        rule: of ``reference.composed.ensemble.Ensemble``.
    """

    name: str
    members: int
    rule: str

    @property
    def width(self) -> tuple[int, int]:
        """How many numbers of a row it takes, and how many it gives."""
        return self.members, 1


Layer = Dense | Scaling | Transform | Extremes | Ensemble


@dataclass(frozen=True)
class Network:
    """A legacy network, read.

    Attributes:
        form: how its layers stand to each other, for people.
        name: of the network, for people; the stem of the file.
        family: whose formula it follows; key of the registry of families.
        source: the arrays as stored.
        layers: in order of computation: (Transform_in,) (Norm_in,) Layer1 .. LayerN (, Norm_out) (, Transform_out)
            (, Gains).
        claims: one row a convention.
        declarations: what the user declared, as plain data, for the legacy program to interpret by itself.
        input_range: (n, 2) documented minimum and maximum of each input of the first layer of the list, or None.
    """

    form: ClassVar[str] = "a chain of dense layers"

    name: str
    family: str
    source: WeightFile
    layers: tuple[Layer, ...]
    claims: tuple[Claim, ...] = ()
    declarations: Mapping[str, Any] = field(default_factory=dict)
    input_range: Array | None = None

    def layer(self, name: str) -> Layer:
        """The layer of that name.

        Raises:
            KeyError: no such layer; the message lists those that exist.
        """
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise KeyError(f"no layer {name!r}; the network has {', '.join(layer.name for layer in self.layers)}")

    @property
    def end_widths(self) -> tuple[int, int]:
        """Number of inputs and of outputs, the transforms and scalings included."""
        return self.layers[0].width[0], self.layers[-1].width[1]

    @property
    def row_shapes(self) -> tuple[Rows, Rows]:
        """What a row of each input, and of each output, looks like."""
        inputs, outputs = self.end_widths
        return ((inputs,),), ((outputs,),)

    @property
    def dense_layers(self) -> tuple[Dense, ...]:
        """The dense layers alone, in order."""
        return tuple(layer for layer in self.layers if isinstance(layer, Dense))

    @property
    def widths(self) -> tuple[int, ...]:
        """Inputs, then the units of each dense layer."""
        layers = self.dense_layers
        return (layers[0].kernel.shape[0], *(layer.kernel.shape[1] for layer in layers))

    @property
    def stored_dtype(self) -> np.dtype[Any]:
        """The widest dtype among the stored kernels."""
        return np.result_type(*(layer.kernel.dtype for layer in self.dense_layers))
