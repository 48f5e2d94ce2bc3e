"""In which units a model takes and gives its numbers, their documented range, and data brought there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import UsageError
from porter.learning.data import Data
from porter.learning.errors import DataError
from porter.network import Network, Scaling, Transform
from porter.network.network import GAINS
from reference.operations.transforms import FUNCTIONS

Array = NDArray[Any]
Limits = tuple[Array | None, Array | None]

STAGES = ("physical", "network", "scaled")
"""Degrees and radiances; what the network's scaling takes and gives; what its first layer takes and its last gives."""

SCALED = {"[-1,1]": (-1.0, 1.0), "[0,1]": (0.0, 1.0), "mean-std": (-3.0, 3.0)}
"""The ends of the documented range after the scaling, by its rule."""

INVERSE: Mapping[str, Callable[[Array], Array]] = {
    "identity": lambda x: x,
    "cos_degrees": lambda x: np.rad2deg(np.arccos(x)),
    "log10": lambda x: np.power(10.0, x),
    "ln": np.exp,
    "pow10": np.log10,
    "exp": np.log,
    "root4": lambda x: x**4,
    "pow8": lambda x: np.power(x, 1 / 8),
    "relu_square": np.sqrt,
}
"""What undoes each transform, where its argument lies in the branch that the transforms are used in."""


@dataclass(frozen=True)
class Ends:
    """What stands before and after the layers that learn.

    Attributes:
        stage: of ``STAGES``, which the model takes and gives; None where nothing says so.
        scalings: (Norm_in, Norm_out), each None where the network has none.
        transforms: (Transform_in, Transform_out), likewise.
    """

    stage: str | None
    scalings: tuple[Scaling | None, Scaling | None] = (None, None)
    transforms: tuple[Transform | None, Transform | None] = (None, None)


def ends_of(network: Network | None, layer_names: set[str], placement: str | None) -> Ends:
    """The ends of a model.

    Args:
        network: the legacy network, where it is known.
        layer_names: of the model.
        placement: where the model has the scaling, where that is known.
    """
    stage = _stage(layer_names, placement)
    if network is None or not network.layers:
        return Ends(stage)
    scalings = [layer for layer in network.layers if isinstance(layer, Scaling)]
    transforms = [layer for layer in network.layers if isinstance(layer, Transform)]
    first = next((one for one in scalings if network.layers.index(one) < 2), None)
    # Behind gains neither the range nor the way back is that of the scaling.
    ending = [one for one in scalings if network.layers.index(one) >= len(network.layers) - 2 and one.name != GAINS]
    last = next(iter(ending), None)
    before = transforms[0] if transforms and network.layers[0] is transforms[0] else None
    after = transforms[-1] if transforms and network.layers[-1] is transforms[-1] else None
    return Ends(stage, (first, last), (before, after))


def _stage(layer_names: set[str], placement: str | None) -> str | None:
    if "Transform_in" in layer_names or "Transform_out" in layer_names:
        return "physical"
    if "Norm_in" in layer_names or "Norm_out" in layer_names:
        return "network"
    return {"folded": "network", "outside": "scaled", "inside": "network"}.get(str(placement))


def documented(ends: Ends) -> Limits:
    """(n, 2) documented range of what the model takes, and of what it gives; None where none is documented."""
    if ends.stage is None:
        return None, None
    return _limits(ends, 0), _limits(ends, 1)


def _limits(ends: Ends, side: int) -> Array | None:
    scaling = ends.scalings[side]
    if scaling is None:
        return None
    low, high = SCALED[scaling.rule]
    scaled = np.tile([low, high], (len(scaling.scale), 1))
    if ends.stage == "scaled":
        return scaled
    # Norm_in maps to the scaled range, Norm_out from it.
    scale, offset = scaling.scale[:, None], scaling.offset[:, None]
    limits: Array = (scaled - offset) / scale if side == 0 else scaled * scale + offset
    transform = ends.transforms[side]
    if ends.stage == "physical" and transform is not None:
        table = INVERSE if side == 0 else FUNCTIONS
        with np.errstate(all="ignore"):
            limits = np.stack([table[name](limits[k]) for k, name in enumerate(transform.functions)])
    return np.sort(limits, axis=1)


def convert(data: Data, units: str, ends: Ends) -> Data:
    """Data brought to the units that the model takes and gives.

    Args:
        data: in ``units``.
        units: "model" where they need nothing, or one of ``STAGES``.
        ends: of the model.

    Raises:
        UsageError: unknown units, or a way there that nothing documents.
        DataError: values that have no counterpart (the logarithm of zero).
    """
    if units in ("model", ends.stage):
        return data
    if units not in STAGES:
        raise UsageError("units", found=repr(units), expected=f"one of model, {', '.join(STAGES)}")
    if ends.stage is None:
        raise UsageError(
            f"units {units!r}", found="a model that does not say which units it takes",
            expected="a port, or the legacy file beside it", remedy="give legacy= (--legacy FILE) and placement=",
        )  # fmt: skip
    inputs, targets = data.inputs, data.targets
    for here, there, forward in _steps(units, ends.stage):
        inputs = _input_step(inputs, (here, there), forward, ends)
        targets = _target_step(targets, (here, there), forward, ends)
    for name, before, after in (("inputs", data.inputs, inputs), ("targets", data.targets, targets)):
        lost = np.isfinite(before) & ~np.isfinite(after)
        if lost.any():
            row = int(np.argwhere(lost)[0][0])
            raise DataError(
                f"data {data.source}: {name} in {units} units",
                found=f"{int(lost.sum())} values that have no counterpart in {ends.stage} units, first in row {row}",
                expected="values in the domain of the network's own transforms", remedy="leave these rows out",
            )  # fmt: skip
    return replace(data, inputs=inputs, targets=targets)


def _steps(units: str, stage: str) -> list[tuple[str, str, bool]]:
    first, last = STAGES.index(units), STAGES.index(stage)
    if first <= last:
        return [(STAGES[k], STAGES[k + 1], True) for k in range(first, last)]
    return [(STAGES[k], STAGES[k - 1], False) for k in range(first, last, -1)]


def _input_step(x: Array, way: tuple[str, str], forward: bool, ends: Ends) -> Array:
    if "physical" in way:
        transform = _known(ends.transforms[0], way)
        return _apply(transform, x, FUNCTIONS if forward else INVERSE)
    scaling = _known(ends.scalings[0], way)
    return scaling.scale * x + scaling.offset if forward else (x - scaling.offset) / scaling.scale


def _target_step(y: Array, way: tuple[str, str], forward: bool, ends: Ends) -> Array:
    """The other way round: Norm_out and Transform_out lead from scaled to physical."""
    if "physical" in way:
        transform = _known(ends.transforms[1], way)
        return _apply(transform, y, INVERSE if forward else FUNCTIONS)
    scaling = _known(ends.scalings[1], way)
    return (y - scaling.offset) / scaling.scale if forward else scaling.scale * y + scaling.offset


def _known(layer: Any, way: tuple[str, str]) -> Any:
    if layer is None:
        raise UsageError(
            f"data in {way[0]} units for a model in {way[1]} units",
            found="a network whose step between them is not known",
            expected="the legacy file, read with its scaling and, for physical units, with its kind",
            remedy="give legacy= (--legacy FILE) with kind= and physical=True (--kind KIND --physical)",
        )
    return layer


def _apply(transform: Transform, values: Array, table: Mapping[str, Callable[[Array], Array]]) -> Array:
    with np.errstate(all="ignore"):
        columns = [table[name](values[:, place]) for place, name in enumerate(transform.functions)]
    return np.stack(columns, axis=1)
