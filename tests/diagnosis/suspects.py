"""Layers under suspicion, made of NumPy alone: the port's block shows its weights, or hides them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from porter.examination.compare import Comparison
from porter.examination.probes import layer_rows
from porter.examination.suspect import Stored, Suspect
from porter.ports.blocks import Atom, Block
from reference.activations import Activation
from reference.operations.dense import Dense
from reference.precision import Precision

Array = np.ndarray


def steps(shapes: Sequence[tuple[int, int]], activation: str | Activation = "tanh", seed: int = 0) -> list[Dense]:
    """Dense steps of random (inputs, units), stored units first."""
    rng = np.random.default_rng(seed)
    own = activation if isinstance(activation, Activation) else Activation(activation)
    return [
        Dense(f"Layer{number}", (), rng.standard_normal((units, inputs)) / np.sqrt(inputs), rng.normal(size=units), own)
        for number, (inputs, units) in enumerate(shapes, start=1)
    ]


def block(
    kernel: Array,
    bias: Array | None,
    activation: Callable[[Array], Array],
    *,
    hidden: bool = False,
    dtype: str = "float64",
    behind: Sequence[Atom] = (),
) -> Block:
    """What a port computes with these weights; ``behind`` are pieces after its dense layer."""
    precision = Precision(dtype, dtype)
    held, added = kernel.astype(dtype), np.zeros(kernel.shape[1], dtype) if bias is None else bias.astype(dtype)

    def run(x: Array) -> Array:
        with np.errstate(all="ignore"):
            return np.asarray(activation((x.astype(dtype) @ held + added).astype(dtype)), dtype)

    common = partial(Atom, ("dense",), "other" if hidden else "dense", run, 0, 1, precision, is_core=True)
    shown: dict[str, Any] = {}
    if not hidden:
        wide = held.astype(np.float64), None if bias is None else added.astype(np.float64)
        shown = {"weights": lambda: wide, "activation": activation}
    return Block((common(width=kernel.shape, **shown), *behind), precision)


def suspect(
    file: Sequence[Dense],
    position: int,
    *,
    kernel: Array | None = None,
    bias: Array | str | None = "own",
    activation: str | Callable[[Array], Array] | None = None,
    **options: Any,
) -> Suspect:
    """The port of one step of the file, with something else in it where that is given."""
    own = Stored.of(file[position])
    held = own.bias if isinstance(bias, str) else bias
    function = activation if activation is not None else own.activation
    function = Activation(function) if isinstance(function, str) else function
    probes = layer_rows(own.kernel, own.bias, np.random.default_rng(0))
    made = block(own.kernel if kernel is None else kernel, held, function, **options)
    return Suspect(file[position], made, position, [Stored.of(step) for step in file], probes)


def before(one: Suspect) -> Comparison:
    """The block against the layer of the file."""
    return one.judge(one.step)


def codes(causes: Sequence[Any]) -> list[str]:
    """Codes in the order in which they are given."""
    return [cause.code for cause in causes]
