"""Where the port has the scaling: inside, folded into the dense layers, or left to the caller."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from porter.errors import UnbuildableError, UsageError
from porter.network import Dense, Ensemble, Extremes, Layer, Network, Scaling, Transform
from porter.network.network import GAINS

Placement = Literal["inside", "folded", "outside"]

PLACEMENTS: tuple[str, ...] = get_args(Placement)


def placed(network: Network, placement: str) -> tuple[Layer, ...]:
    """The layers of the port, with the scaling kept, folded or left out.

    Raises:
        UsageError: an unknown placement, or scaling outside of physical transforms.
        UnbuildableError: scaling that cannot be folded.
    """
    check_choice("placement", placement, PLACEMENTS)
    if placement == "inside":
        return network.layers
    if placement == "folded":
        return folded(network.layers)
    if any(isinstance(layer, Transform | Extremes | Ensemble) for layer in network.layers):
        raise UsageError(
            "placement",
            found="scaling outside a model that has physical transforms, bounds or an ensemble inside",
            expected="the scaling between them and the dense layers",
            remedy="use placement 'inside' or 'folded', or leave the transforms out as well (no --physical)",
        )
    return tuple(layer for layer in network.layers if not isinstance(layer, Scaling))


def folded(layers: tuple[Layer, ...]) -> tuple[Layer, ...]:
    """The same function without scaling layers: each is multiplied into a neighbouring dense layer, in float64.

    Gains stay: between them and the layers stands a transform.

    Raises:
        UnbuildableError: no neighbour can take it up.
    """
    remaining = list(layers)
    for scaling in [layer for layer in layers if isinstance(layer, Scaling) and layer.name != GAINS]:
        at = remaining.index(scaling)
        before = remaining[at - 1] if at > 0 else None
        after = remaining[at + 1] if at + 1 < len(remaining) else None
        if isinstance(after, Dense):
            remaining[at : at + 2] = [_fold_before(scaling, after)]
        elif isinstance(before, Dense) and before.activation.name == "linear":
            remaining[at - 1 : at + 1] = [_fold_after(before, scaling)]
        else:
            raise _not_foldable(scaling, before)
    return tuple(remaining)


def check_choice(option: str, value: str, choices: tuple[str, ...]) -> None:
    """Refuse a value that is not among the choices.

    Raises:
        UsageError: the message lists the choices.
    """
    if value not in choices:
        raise UsageError(option, found=repr(value), expected=f"one of {', '.join(choices)}", remedy=f"correct {option}")


def _fold_before(scaling: Scaling, dense: Dense) -> Dense:
    kernel = dense.kernel.astype(np.float64)
    bias = np.zeros(kernel.shape[1]) if dense.bias is None else dense.bias.astype(np.float64)
    return Dense(dense.name, scaling.scale[:, None] * kernel, bias + scaling.offset @ kernel, dense.activation)


def _fold_after(dense: Dense, scaling: Scaling) -> Dense:
    kernel = dense.kernel.astype(np.float64)
    bias = np.zeros(kernel.shape[1]) if dense.bias is None else dense.bias.astype(np.float64)
    return Dense(dense.name, kernel * scaling.scale, bias * scaling.scale + scaling.offset, dense.activation)


def _not_foldable(scaling: Scaling, before: Layer | None) -> UnbuildableError:
    found = f"{before.name} ends in {before.activation}" if isinstance(before, Dense) else "no dense layer beside it"
    return UnbuildableError(
        f"{scaling.name} cannot be folded",
        found=found,
        expected="a dense layer after it, or one with linear activation before it",
        remedy="use placement 'inside' or 'outside'",
    )


def check_unplaced(placement: str | None) -> None:
    """Refuse to place a scaling that a Keras model does not have.

    Raises:
        UsageError: "folded" or "outside".
    """
    if placement not in (None, "inside"):
        raise UsageError(
            "placement", found=repr(placement), expected="none: a Keras model has its layers inside",
            remedy="leave the option out",
        )  # fmt: skip
