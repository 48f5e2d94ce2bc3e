"""A legacy Keras network as plain operations on rows of numbers, for programs in any language.

Every tensor is a row of numbers in the legacy layout, the last axis running fastest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.network import Dense, Extremes, Scaling
from reference.activations import Activation

Array = NDArray[Any]
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Product:
    """activation(x @ kernel + bias) at each of so many positions; the kernel is (inputs, units)."""

    positions: int
    kernel: Array
    bias: Array | None
    activation: Activation


@dataclass(frozen=True)
class Grid:
    """Where windows stand, one entry a dimension of space.

    Attributes:
        sizes: of the input.
        outputs: how many windows.
        window: its size.
        strides: from window to window.
        dilation: inside a window.
        before: how many places a window begins in front of the input.
        channels: of the input and of the output.
        steps: from place to place, in the row of the input and of the output.
        channel_steps: from channel to channel, in either.
    """

    sizes: Shape
    outputs: Shape
    window: Shape
    strides: Shape
    dilation: Shape
    before: Shape
    channels: tuple[int, int]
    steps: tuple[Shape, Shape]
    channel_steps: tuple[int, int]


@dataclass(frozen=True)
class Window:
    """A convolution; the kernel is (*window, channels of a group, filters)."""

    grid: Grid
    kernel: Array
    bias: Array | None
    activation: Activation


@dataclass(frozen=True)
class Pool:
    """The largest, or the mean, of what of a window lies inside."""

    grid: Grid
    kind: str


@dataclass(frozen=True)
class Line:
    """scale x + offset, by channel: that of the number at i is (i // inner) % channels."""

    scale: Array
    offset: Array
    inner: int


@dataclass(frozen=True)
class Pointwise:
    """An activation of each number; softmax over so many at a time."""

    activation: Activation
    length: int


@dataclass(frozen=True)
class Sloped:
    """alpha x below zero, a slope for each number."""

    alpha: Array


@dataclass(frozen=True)
class Moves:
    """Numbers put elsewhere: the one at i of source k goes to targets[k][i], unless that is negative; zeros elsewhere.

    Where a number goes to several places, the source is listed as often. ``size`` numbers come out.
    """

    sources: tuple[int, ...]
    targets: tuple[Array, ...]
    size: int


@dataclass(frozen=True)
class Combine:
    """Several rows made one, number by number: "Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum"."""

    mode: str
    count: int


@dataclass(frozen=True)
class Reduce:
    """The mean or the largest over positions, channel by channel."""

    kind: str
    positions: int
    channels: int
    position_step: int
    channel_step: int


@dataclass(frozen=True)
class Memory:
    """SimpleRNN, LSTM or GRU over time.

    Attributes:
        kind: which.
        steps: of time.
        kernel: (inputs, gates units).
        recurrent: (units, gates units).
        bias: (gates units,), or (2, gates units) of a GRU with the reset behind the product; or None.
        activation: of the candidate and the output.
        gate: of the gates.
        reset_after: whether a GRU resets behind the product.
        backwards: whether time runs from its end.
        sequences: whether the output of every step is given, in the order in which they are computed.
        turned: whether they are given in the order of time instead.
    """

    kind: str
    steps: int
    kernel: Array
    recurrent: Array
    bias: Array | None
    activation: Activation
    gate: Activation
    reset_after: bool
    backwards: bool
    sequences: bool
    turned: bool = False

    @property
    def units(self) -> int:
        """How many numbers a step gives."""
        return int(self.recurrent.shape[0])

    @property
    def outputs(self) -> int:
        """How many numbers come out."""
        return self.units * (self.steps if self.sequences else 1)


@dataclass(frozen=True)
class Both:
    """A recurrent layer in either direction, then "concat", "sum", "mul" or "ave"."""

    ahead: Memory
    behind: Memory
    mode: str


@dataclass(frozen=True)
class Lookup:
    """Rows of a table by their numbers."""

    table: Array
    length: int


@dataclass(frozen=True)
class Chain:
    """One operation after the other; ``sizes`` are the numbers that each gives."""

    parts: tuple[Any, ...]
    sizes: tuple[int, ...]


@dataclass(frozen=True)
class Repeated:
    """The same operation on each of so many parts of the row."""

    part: Any
    times: int
    taken: int
    given: int


Op = (
    Product
    | Window
    | Pool
    | Line
    | Pointwise
    | Sloped
    | Moves
    | Combine
    | Reduce
    | Memory
    | Both
    | Lookup
    | Chain
    | Repeated
)


def parts_of(op: Any, taken: int = 0) -> list[tuple[str, Any, int, int]]:
    """What an operation is made of: a name, the part, how many numbers it takes and gives.

    Args:
        op: the operation.
        taken: how many numbers it takes itself.
    """
    if isinstance(op, Chain):
        ways = (taken, *op.sizes)
        return [(str(at), part, ways[at], ways[at + 1]) for at, part in enumerate(op.parts)]
    if isinstance(op, Repeated):
        return [("part", op.part, op.taken, op.given)]
    if isinstance(op, Both):
        return [("ahead", op.ahead, taken, op.ahead.outputs), ("behind", op.behind, taken, op.behind.outputs)]
    return []


ROLES: Mapping[type, tuple[str, ...]] = {
    Product: ("kernel", "bias"),
    Window: ("kernel", "bias"),
    Line: ("scale", "offset"),
    Sloped: ("alpha",),
    Memory: ("kernel", "recurrent", "bias"),
    Lookup: ("table",),
    Dense: ("kernel", "bias"),
    Scaling: ("scale", "offset"),
    Extremes: ("least", "greatest", "tolerance"),
}
"""The arrays that an operation, or a layer of a chain, computes with."""


def arrays_of(op: Any) -> list[tuple[str, Array]]:
    """The arrays of an operation itself, or of a layer of a chain, by their roles, those that it lacks left out."""
    found = [(role, getattr(op, role)) for role in ROLES.get(type(op), ())]
    return [(role, values) for role, values in found if values is not None]


def is_plain(target: Array) -> bool:
    """Whether a source goes where it goes number by number."""
    return bool(np.array_equal(target, target[0] + np.arange(len(target))) and target[0] >= 0)


def activations_of(op: Any) -> list[str]:
    """Names of the activations that an operation needs."""
    inside = [name for _, part, _, _ in parts_of(op) for name in activations_of(part)]
    found = [getattr(op, name).name for name in ("activation", "gate") if hasattr(op, name)]
    return [*inside, *(name for name in found if name != "linear")]
