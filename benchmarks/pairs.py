"""Two mistakes at once, in different layers or in the same one."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.plants import PLANTS, Planted
from benchmarks.ports import Legacy, PortSpec

IN_A_LAYER = (
    "kernel_transposed", "kernel_reshaped", "kernel_flipped", "kernel_rounded", "kernel_unset", "kernel_constant",
    "augmented_matrix", "one_weight_0.0001", "one_weight_0.001", "one_weight_sign", "bias_missing", "bias_negated",
    "bias_value", "activation_replaced", "activation_missing", "activation_slope", "output_activation_added",
    "output_relu_missing",
    "training_mode", "units_permuted", "rows_permuted", "inputs_permuted", "outputs_permuted",
)  # fmt: skip
AT_THE_ENDS = (
    "scaling_range", "scaling_inverted", "scaling_swapped", "scaling_nothing", "transform_ln", "transform_degrees",
    "transform_exp",
)  # fmt: skip
LAST = ("one_weight_0.001", "one_weight_sign", "layer_missing", "layer_repeated")
"""What a mistake in the layout would otherwise overwrite, and what changes the count that rows are named in."""
STRUCTURE = ("biases_swapped", "layers_swapped", "layer_missing", "layer_repeated")
LAYOUTS = {"kernel_transposed", "kernel_reshaped", "kernel_flipped"}
ORDERS = {"units_permuted", "rows_permuted", "inputs_permuted", "outputs_permuted"}


def draw_pair(
    legacy: Legacy, spec: PortSpec, rng: np.random.Generator, same_layer: bool
) -> tuple[str, Planted, Planted] | None:
    """Two mistakes, neither of which covers or undoes the other; None where forty tries find none.

    Returns:
        their names, the port with the first, and the port with both, whose expectation is the second's alone.
    """
    names = IN_A_LAYER if same_layer else IN_A_LAYER + AT_THE_ENDS + STRUCTURE
    for _ in range(40):
        pair = sorted(rng.choice(names, 2, replace=False).tolist(), key=lambda name: name in LAST)
        first = PLANTS[pair[0]](legacy, spec, rng)
        second = None if first is None else PLANTS[pair[1]](legacy, first.spec, rng)
        if first is not None and second is not None and _are_apart(spec, first, second, pair, same_layer):
            return " + ".join(pair), first, second
    return None


def touched(right: PortSpec, spec: PortSpec) -> set[tuple[Any, str]]:
    """Which parts of which layers a mistake has changed."""
    parts: set[tuple[Any, str]] = set()
    for index, (a, b) in enumerate(zip(right.layers, spec.layers, strict=True)):
        if a.kernel is not b.kernel:
            parts.add((index, "kernel"))
        if a.bias is not b.bias:
            parts.add((index, "bias"))
        if a.activation != b.activation or a.training_dropout != b.training_dropout:
            parts.add((index, "activation"))
    return parts | {
        ("ends", name)
        for name in ("before", "after", "first", "last")
        if getattr(right, name) is not getattr(spec, name)
    }


def _are_apart(right: PortSpec, first: Planted, second: Planted, names: list[str], same_layer: bool) -> bool:
    """Whether both mistakes can be seen, and stand where they are wanted."""
    rows = [{row for _, row in planted.expected} for planted in (first, second)]
    if bool(rows[0] & rows[1]) != same_layer or set(names) <= ORDERS:
        return False
    if len(first.spec.layers) != len(right.layers):
        return False  # rows of the second would be counted otherwise
    if len(second.spec.layers) != len(right.layers):
        # With the numbers of a layer gone, no one can tell which of its neighbours is missing.
        return not set(names) & (ORDERS | {"kernel_unset", "kernel_constant"})
    if "bias_missing" in names and set(names) & {"kernel_unset", "kernel_constant"} and same_layer:
        return False  # a bias of zero is what an initializer gives
    both = touched(right, first.spec) & touched(first.spec, second.spec)
    return not both or (names[0] in LAYOUTS and names[1] in LAST)
