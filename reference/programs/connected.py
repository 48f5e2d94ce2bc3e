"""The forward pass of dense layers that take more than the layer before them: skip connections, and branches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

import reference.rounding.layers  # noqa: F401 - registers the bounds of these steps
from reference.activation_names import parse_activation
from reference.activations import BY_COEFFICIENTS
from reference.operations.elementwise import Elementwise
from reference.operations.merging import Merge, Mode
from reference.operations.scaling import Rule, Scaling
from reference.operations.timewise import TimewiseDense
from reference.trace import Program

Array = NDArray[Any]

RULES = ("[-1,1]", "[0,1]", "mean-std", "none")


def program(
    arrays: Mapping[str, Array],
    *,
    takes: Sequence[Sequence[int]],
    merge: Sequence[str | None],
    factors: Sequence[Sequence[Any] | None],
    activation: Sequence[str | None],
    orientation: Sequence[str | None],
    scaling: str | Sequence[str | None] | None = None,
    dtype: Any = np.float64,
) -> Program:
    """The legacy forward pass, as a program of one input (rows, features) called ``"inputs"``.

    Args:
        arrays: ``Weights/Layer1`` (units, inputs) or (inputs, units) and so on, for each layer that has one;
            ``Bias/Layer1`` of as many values as units; ``Norm_in`` and ``Norm_out`` of (n, 2).
        takes: what each layer is computed from, in order: 0 the inputs, scaled where there is ``Norm_in``; else a
            layer, counted from 1.
        merge: how several of these are made one: "concatenate", "add" or "multiply".
        factors: (f, whether it divides) what the argument of a layer's activation is multiplied or divided by; or None.
        activation: one spelling a layer; linear where None.
        orientation: ``"units-first"`` or ``"inputs-first"``, one a kernel.
        scaling: "[-1,1]" where None, "[0,1]", "mean-std", or "none" to leave the scaling steps out; a list of two where
            the ends differ.
        dtype: in which the arithmetic is done.

    Raises:
        ValueError: a word that is none of these.
    """
    rules = [scaling] * 2 if scaling is None or isinstance(scaling, str) else list(scaling)
    steps: list[Any] = [*_scaling("Norm_in", "inputs", arrays, rules[0], dtype)]
    names, widths = [steps[-1].name if steps else "inputs"], [_width(arrays, 1, orientation)[0]]
    for number, (own, how) in enumerate(zip(takes, merge, strict=True), start=1):
        inputs = tuple(names[place] for place in own)
        layer, spelt = f"Layer{number}", activation[number - 1] or "linear"
        kernel, factor = arrays.get(f"Weights/{layer}"), factors[number - 1]
        wide = [widths[place] for place in own]
        widths.append(sum(wide) if how == "concatenate" else wide[0])
        own_activation = parse_activation(spelt)
        is_bare = kernel is None and own_activation.name == "linear"
        is_apart = factor is not None or own_activation.name in BY_COEFFICIENTS
        if how is not None:
            name = layer if is_bare else f"Merge{number}"
            steps.append(Merge(name, inputs, cast("Mode", how), -1, dtype))
            inputs = (name,)
        if kernel is not None:
            widths[number] = _width(arrays, number, orientation)[1]
            fused = "linear" if is_apart else spelt
            steps.append(_dense(layer, inputs, kernel, arrays.get(f"Bias/{layer}"), fused, orientation, dtype))
            inputs = (layer,)
        if factor is not None:
            by, divides = factor
            steps.append(_gain(f"Gain{number}", inputs, widths[number], by, divides, dtype))
            inputs = (f"Gain{number}",)
        if not is_bare and (kernel is None or is_apart):
            name = layer if kernel is None else f"Activation{number}"
            steps.append(Elementwise(name, inputs, own_activation, dtype))
        names.append(steps[-1].name)
    steps += _scaling("Norm_out", names[-1], arrays, rules[1], dtype)
    return Program(("inputs",), tuple(steps), (steps[-1].name,))


def _dense(
    layer: str, inputs: tuple[str, ...], kernel: Array, bias: Array | None, spelt: str,
    orientation: Sequence[str | None], dtype: Any,
) -> TimewiseDense:  # fmt: skip
    """The layer, its kernel turned where it is stored units-first."""
    way = orientation[int(layer.removeprefix("Layer")) - 1]
    if way not in ("units-first", "inputs-first"):
        raise ValueError(f"{layer}: orientation {way!r}; expected 'units-first' or 'inputs-first'")
    stored = _native(kernel)
    weights = np.ascontiguousarray(stored.T) if way == "units-first" else stored
    own = None if bias is None else _native(bias).reshape(-1)
    return TimewiseDense(layer, inputs, weights, own, parse_activation(spelt), "inputs-first", dtype)


def _width(arrays: Mapping[str, Array], number: int, orientation: Sequence[str | None]) -> tuple[int, int]:
    """(inputs, units) of a layer with a kernel."""
    first, second = np.shape(arrays[f"Weights/Layer{number}"])
    return (second, first) if orientation[number - 1] == "units-first" else (first, second)


def _gain(name: str, inputs: tuple[str, ...], width: int, factor: float, divides: bool, dtype: Any) -> Scaling:
    return Scaling(name, inputs, np.zeros(width), np.full(width, factor), "mean-std", not divides, dtype)


def _scaling(name: str, before: str, arrays: Mapping[str, Array], rule: str | None, dtype: Any) -> list[Scaling]:
    rule = "[-1,1]" if rule is None else rule
    if rule not in RULES:
        raise ValueError(f"scaling {rule!r}; expected one of {', '.join(RULES)}")
    if name not in arrays or rule == "none":
        return []
    stored = _native(arrays[name])
    pairs = stored if stored.shape[1] == 2 else stored.T
    return [Scaling(name, (before,), pairs[:, 0], pairs[:, 1], cast("Rule", rule), name == "Norm_out", dtype)]


def _native(array: Array) -> Array:
    stored = np.asarray(array)
    return stored.astype(stored.dtype.newbyteorder("="), copy=False)
