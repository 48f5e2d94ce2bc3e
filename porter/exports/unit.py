"""One call of one legacy layer, as a writer of another format takes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from porter.network.graph import KerasLayer

Array = NDArray[Any]
Shape = tuple[int | None, ...]


@dataclass(frozen=True)
class Unit:
    """One call.

    Attributes:
        name: of the step.
        layer: which is called.
        inputs: names of the tensors that it takes.
        shapes: of a row of each; None where an axis is open.
        masks: names of the masks that it is given, or None.
        outcome: shape of a row of what it gives.
        outputs: how many tensors it gives.
        known: shapes of a row of every input and step of the network, and of what is inside wrappers.
    """

    name: str
    layer: KerasLayer
    inputs: Sequence[str]
    shapes: Sequence[Shape]
    masks: Sequence[str | None]
    outcome: Shape
    outputs: int = 1
    known: Mapping[str, Shape] = field(default_factory=dict)

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Arguments of the layer under Keras 3 names."""
        return self.layer.parameters

    @property
    def weights(self) -> Mapping[str, Array]:
        """Its arrays in Keras 3 layout."""
        return self.layer.weights

    @property
    def mask(self) -> str | None:
        """The mask of the first input."""
        return self.masks[0] if self.masks else None


Make = Callable[[Any, Unit], list[str]]
