"""Rows in which masks have something to say: masked time steps behind, in front, in between, throughout."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.network.graph import KerasNetwork
from reference.operations.masking import Mask, Masking

Array = NDArray[Any]

KINDS = 5
"""Of patterns; the first one masks nothing."""
NEAR = 0.005
"""How far from what is masked a time step lies that nearly is."""
WIDE = 4.0
"""Deviation of numbers that go beyond what a network hands on."""


def draw_counts(rows: int, steps: int) -> Array:
    """(rows, steps) of bool, False where a time step is masked: every kind of pattern, if there are rows for it."""
    counts = np.ones((rows, steps), bool)
    for row in range(rows):
        kind = (row + (1 if rows < 2 else 0)) % KINDS
        third = max(steps // 3, 1)
        if kind == 1:
            counts[row, -third:] = False
        elif kind == 2:
            counts[row, :third] = False
        elif kind == 3:
            counts[row, third : 2 * third] = False
        elif kind == 4:
            counts[row] = False
    return counts


def put_value(values: Array, value: Any, counts: Array, kept: int = 0) -> Array:
    """Rows with every feature of the masked time steps at one value.

    In rows without any, three time steps come near: one feature has the value, or all nearly have it.

    Args:
        values: (rows, steps, ...).
        value: what is masked.
        counts: (rows, steps), False where it is put.
        kept: how many rows in front stay as they are.
    """
    places = counts.reshape((*counts.shape, *(1,) * (values.ndim - 2)))
    found = np.where(places, values, np.asarray(value, values.dtype))
    if values.ndim > 2 and values.shape[-1] > 1 and values.shape[1] > 3 and values.dtype.kind == "f":
        whole = counts.all(axis=1) & (np.arange(len(values)) >= kept)
        found[whole, 0, ..., 0] = value
        found[whole, 1, ..., -1] = value
        found[whole, 2] = value + NEAR
    return found


def draw_numbers(step: Any, shape: tuple[int, ...], dtype: Any, rng: np.random.Generator) -> Array:
    """Wide random numbers for what a step takes, some of them masked where it masks; masks of every kind of pattern.

    Args:
        step: of a legacy program.
        shape: with the rows.
        dtype: of the tensor.
        rng: draws them.
    """
    if str(dtype) == "bool":
        counts = draw_counts(*shape[:2]) if len(shape) > 1 else np.ones(shape, bool)
        return np.array(np.broadcast_to(counts.reshape((*counts.shape, *(1,) * (len(shape) - 2))), shape))
    values = rng.normal(0, WIDE, shape).astype(dtype)
    if not isinstance(step, Mask | Masking) or len(shape) < 3:
        return values
    return put_value(values, np.float32(step.value), draw_counts(*shape[:2]))


def with_masks(rows: Mapping[str, Array], masked: Mapping[str, float], recorded: bool) -> dict[str, Array]:
    """Rows in which every kind of time step is masked; behind rows that were recorded, which stay as they are."""
    if not masked:
        return dict(rows)
    kept = len(next(iter(rows.values()))) if recorded else 0
    found = {}
    for name, own in rows.items():
        values = np.concatenate([own, own[:KINDS]]) if recorded else own
        if name in masked and values.ndim > 1:
            counts = draw_counts(*values.shape[:2])
            counts[:kept] = True
            found[name] = put_value(values, masked[name], counts, kept)
        else:
            found[name] = values
    return found


def masked_inputs(network: KerasNetwork) -> dict[str, float]:
    """What masks a time step, for the inputs that go straight to a layer that masks."""
    calls = {call.name: call for call in network.calls}
    found: dict[str, float] = {}
    for call in network.calls:
        if call.gives_mask not in ("any", "nonzero"):
            continue
        layer, name = network.layer(call.layer), call.inputs[0].name
        while name in calls and network.layer(calls[name].layer).operation == "Identity":  # type: ignore[union-attr]
            name = calls[name].inputs[0].name
        if name not in calls:
            found[name] = float(np.float32(layer.parameters["value"])) if call.gives_mask == "any" else 0.0  # type: ignore[union-attr]
    return found
