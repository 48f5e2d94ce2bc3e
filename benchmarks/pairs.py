"""Several mistakes at once in a dense network, and what can be told of them where arrays are hidden."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from benchmarks.hiding import can_be_read, differ_visibly
from benchmarks.planting import draw_several
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


def draw_together(
    legacy: Legacy, spec: PortSpec, rng: np.random.Generator, kind: str
) -> tuple[str, list[Planted]] | None:
    """Two or three mistakes, none of which covers or undoes another, by a kind of ``planting.KINDS``.

    Returns:
        their names, and each as planted into the port that has those before it; None where no try finds them.
    """
    names = IN_A_LAYER if kind == "same layer" else IN_A_LAYER + AT_THE_ENDS + STRUCTURE

    def plant(name: str, port: PortSpec) -> Planted | None:
        return PLANTS[name](legacy, port, rng)

    usable = [name for name in names if plant(name, spec) is not None]
    return draw_several(usable, kind, plant, spec, rng, partial(_are_apart, spec), LAST)


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


def _are_apart(right: PortSpec, names: Sequence[str], made: Sequence[Planted]) -> bool:
    """Whether every mistake can be seen beside each of the others."""
    ports = [right, *(one.port for one in made)]
    if any(len(port.layers) != len(right.layers) for port in ports[:-1]):
        return False  # rows of those behind would be counted otherwise
    is_structure = len(ports[-1].layers) != len(right.layers)
    if is_structure:
        if any(one.rows & made[-1].rows for one in made[:-1]):
            return False  # gone, or there twice, with the layer
        # With the numbers of a layer gone, no one can tell which of its neighbours is missing.
        if set(names) & (ORDERS | {"kernel_unset", "kernel_constant"}):
            return False
        ports, made = ports[:-1], made[:-1]
    parts = [touched(before, after) for before, after in itertools.pairwise(ports)]
    return all(
        _are_two((names[i], names[j]), parts[i] & parts[j], bool(made[i].rows & made[j].rows))
        for i, j in itertools.combinations(range(len(made)), 2)
    )


def _are_two(names: tuple[str, str], overlap: set[tuple[Any, str]], is_same_layer: bool) -> bool:
    if set(names) <= ORDERS:
        return False
    if "bias_missing" in names and set(names) & {"kernel_unset", "kernel_constant"} and is_same_layer:
        return False  # a bias of zero is what an initializer gives
    return not overlap or (names[0] in LAYOUTS and names[1] in LAST)


def may_be_read(final: PortSpec, before: PortSpec, after: PortSpec, row: str, codes: frozenset[str]) -> bool:
    """Whether arrays read out of a hidden layer tell a mistake: one that numbers of three digits show.

    Args:
        final: the port with all of its mistakes.
        before: the port before this one.
        after: the port behind it.
        row: of the mistake.
        codes: that name it where arrays are shown.
    """
    if not row.startswith("Layer") or len(before.layers) != len(final.layers):
        return False
    index = int(row[5:]) - 1
    layer, a, b = final.layers[index], before.layers[index], after.layers[index]
    zeros = np.zeros(layer.kernel.shape[1])
    if final.compute not in ("float32", "float64") or layer.training_dropout:
        return False
    own, other, held = (zeros if each.bias is None else each.bias for each in (a, b, layer))
    if not can_be_read(layer.kernel, held, layer.activation):
        return False
    if any(code.startswith("activation") for code in codes):
        return True
    # An order that was lost in one layer may stand in the next one's rows.
    return differ_visibly(a.kernel, b.kernel) or differ_visibly(own, other)
