"""What the shapes of a chain of kernels prove, and what they leave open."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from porter.errors import WidthError

# How many steps the search for another order may take before it is called unproven.
LARGEST_SEARCH = 20_000


@dataclass(frozen=True)
class LayerShape:
    """One layer as stored.

    Attributes:
        name: row name.
        kernel: shape of the stored kernel.
        bias: number of biases, or None.
    """

    name: str
    kernel: tuple[int, int]
    bias: int | None = None

    def readings(self) -> tuple[tuple[int, int], ...]:
        """The (inputs, units) that it can have, the family's units-first before inputs-first."""
        first, second = self.kernel
        both = dict.fromkeys(((second, first), (first, second)))
        return tuple(pair for pair in both if self.bias in (None, pair[1]))

    def orientation(self, inputs: int, units: int) -> str | None:
        """Which axis comes first when it is read as (inputs, units); None for a square kernel."""
        if inputs == units:
            return None
        return "units-first" if self.kernel == (units, inputs) else "inputs-first"

    def __str__(self) -> str:
        bias = "" if self.bias is None else f", {self.bias} biases"
        return f"{self.name} (kernel {self.kernel[0]} x {self.kernel[1]}{bias})"


def chains(where: str, layers: Sequence[LayerShape]) -> tuple[tuple[int, ...], ...]:
    """Every sequence of widths (inputs, then units of each layer) that the shapes allow: one or two.

    Args:
        where: the file, for the message.
        layers: in order of computation.

    Raises:
        WidthError: none; the message names the first layer that cannot follow.
    """
    found: list[tuple[int, ...]] = []
    stuck: list[tuple[int, ...]] = []
    for start in dict.fromkeys(inputs for inputs, _ in layers[0].readings()):
        widths = [start]
        for layer in layers:
            after = [units for inputs, units in layer.readings() if inputs == widths[-1]]
            if not after:
                stuck.append(tuple(widths))
                break
            widths.append(after[0])
        else:
            found.append(tuple(widths))
    if not found:
        raise _width_error(where, layers, max(stuck, key=len))
    return tuple(found)


def _width_error(where: str, layers: Sequence[LayerShape], widths: tuple[int, ...]) -> WidthError:
    place = len(widths) - 1
    wanted = " or ".join(dict.fromkeys(str(inputs) for inputs, _ in layers[place].readings()))
    remedy = "check the order of the layers and that they belong to one network; a recipe can name them one by one"
    if _has_bias_inside(layers):
        remedy = (
            "they chain if each kernel has a row or column more than inputs: the bias stands in it, as R writes it; a "
            'recipe says so: bias_in = "first row" (porter recipe --explain)'
        )
    return WidthError(
        f"{where}: {layers[place]} cannot follow {layers[place - 1]}",
        found=f"{layers[place].name} takes {wanted} inputs",
        expected=f"{widths[-1]}, the units of {layers[place - 1].name}",
        remedy=remedy,
    )


def _has_bias_inside(layers: Sequence[LayerShape]) -> bool:
    """Whether kernels without biases chain once each takes one input less, one way round or the other."""
    if any(layer.bias is not None for layer in layers):
        return False
    shapes = [layer.kernel for layer in layers]
    return any(
        all(after[1 - units] - 1 == before[units] for before, after in itertools.pairwise(shapes)) for units in (0, 1)
    )


def order_is_proven(layers: Sequence[LayerShape], known: Mapping[int, int]) -> bool:
    """Whether these layers chain in the given order only.

    Args:
        layers: in the order that was read.
        known: widths by position (0 the inputs) that the file states.
    """
    if len({(layer.kernel, layer.bias) for layer in layers}) < len(layers):
        return False
    orders: set[tuple[int, ...]] = set()
    for steps, order in enumerate(_orders(layers, known), start=1):
        if order is not None:
            orders.add(order)
        if len(orders) > 1 or steps > LARGEST_SEARCH:
            return False
    return len(orders) == 1


def _orders(layers: Sequence[LayerShape], known: Mapping[int, int]) -> Iterator[tuple[int, ...] | None]:
    """Every order that chains, and a None for every step of the search that has not got there."""
    starts = {inputs for layer in layers for inputs, _ in layer.readings()}
    pending: list[tuple[tuple[int, ...], int]] = [((), start) for start in starts if known.get(0, start) == start]
    while pending:
        order, width = pending.pop()
        if len(order) == len(layers):
            yield order
            continue
        yield None
        for index, layer in enumerate(layers):
            for inputs, units in layer.readings():
                fits = inputs == width and known.get(len(order) + 1, units) == units
                if fits and index not in order:
                    pending.append(((*order, index), units))
