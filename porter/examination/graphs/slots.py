"""Where a step of the reference keeps its arrays, and what Keras calls them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Path = tuple[str, ...]

VARIABLES = {
    "depthwise": "depthwise_kernel",
    "pointwise": "pointwise_kernel",
    "weights": "kernel",
    "kernel": "kernel",
    "recurrent": "recurrent_kernel",
    "bias": "bias",
    "gamma": "gamma",
    "beta": "beta",
    "mean": "moving_mean",
    "spread": "moving_variance",
    "alpha": "alpha",
    "table": "embeddings",
    "scale": "scale",
    "score_weight": "concat_score_weight",
}
"""Keras' names of the fields that hold arrays, in Keras' order."""
HOLDERS = {"cell": ".cell", "forward": ".forward_layer", "backward": ".backward_layer", "inner": ".layer"}
"""Fields that hold a step inside a step, and how Keras reaches the same."""
NEUTRAL = {"bias": 0.0, "beta": 0.0, "moving_mean": 0.0, "gamma": 1.0, "moving_variance": 1.0}
"""What a layer computes with where it has no such variable."""
ADDED = ("bias", "beta")
"""Variables that are added to the outputs."""


@dataclass(frozen=True)
class Slot:
    """One array of a step.

    Attributes:
        path: fields that lead to it, from the outermost step in.
        array: as the reference has it; None where the legacy layer has none.
    """

    path: Path
    array: Array | None

    @property
    def variable(self) -> str:
        """Keras' name of it."""
        return VARIABLES[self.path[-1]]

    @property
    def what(self) -> str:
        """The same, for people."""
        return self.variable.replace("_", " ")

    @property
    def is_added(self) -> bool:
        """Whether it is a bias, by whatever name."""
        return self.variable in ADDED

    @property
    def attribute(self) -> str:
        """How it is reached from the layer: ``.cell.kernel``."""
        return "".join(HOLDERS[field] for field in self.path[:-1]) + f".{self.variable}"


def slots(step: Any) -> Iterator[Slot]:
    """Every array of a step, those inside wrappers too, in Keras' order."""
    if getattr(step, "statistics", "moving") != "moving":
        return
    made = getattr(step, "divisor", "sqrt(variance+epsilon)") != "sqrt(variance+epsilon)"
    for field in VARIABLES:
        array = getattr(step, field, None)
        # A port has a variance that was made of the stored deviation.
        if (
            hasattr(step, field)
            and (array is None or isinstance(array, np.ndarray))
            and not (made and field == "spread")
        ):
            yield Slot((field,), array)
    for field in HOLDERS:
        inner = getattr(step, field, None)
        if inner is not None and not hasattr(inner, "steps"):
            for slot in slots(inner):
                yield Slot((field, *slot.path), slot.array)


def put(step: Any, path: Path, array: Array | None) -> Any:
    """The step with another array in one place."""
    first, *rest = path
    return replace(step, **{first: put(getattr(step, first), tuple(rest), array) if rest else array})


def take(step: Any, path: Path) -> Any:
    """What stands in one place."""
    for field in path:
        step = getattr(step, field)
    return step
