"""Hypothesis strategies for tests of one's own: legacy networks, their inputs, and planted mistakes.

@given(st.data())
def test_my_port(data):
    network = data.draw(porter.strategies.networks())
    rows = data.draw(porter.strategies.inputs(network))
    ...
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence
from functools import singledispatch
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from numpy.typing import NDArray

from porter.network import Network
from porter.network.graph import KerasNetwork
from porter.network.planting import Fault, plant, sites

Array = NDArray[Any]

HIDDEN = ("tanh", "relu", "sigmoid", "softsign", "elu", "leaky_relu(negative_slope=0.1)")
RULES = ("[-1,1]", "[0,1]", "mean-std")
SPECIAL = (0.0, -0.0, 1.1754943508222875e-38, 1e-45, 5e-324, 1e-3, 1e3)
"""Zeros, the least float32 that is normal, the least subnormal of either precision, and two scales."""
LONG = 256
"""Numbers of a row beyond which they come out of a seed."""
FINEST = 2**32
"""Into how many steps the range of an input is cut."""


@st.composite
def networks(
    draw: st.DrawFn,
    *,
    max_layers: int = 4,
    max_width: int = 8,
    activations: Sequence[str] = HIDDEN,
    scaling: bool | None = None,
    dtypes: Sequence[str] = ("float64", "float32"),
) -> Network:
    """Legacy networks of the OC-SMART family, read from arrays in memory; no file is written.

    They shrink towards one layer of one unit without scaling. Weights are drawn from a seed, so that small networks
    are ordinary ones, not zeros.

    Args:
        draw: given by Hypothesis.
        max_layers: the most dense layers.
        max_width: the most inputs or units of a layer.
        activations: of hidden layers; the output layer is linear or has one of these.
        scaling: whether there are Norm_in and Norm_out; None for either.
        dtypes: of the stored arrays.
    """
    count = draw(st.integers(1, max_layers))
    widths = draw(st.lists(st.integers(1, max_width), min_size=count + 1, max_size=count + 1))
    names = [draw(st.sampled_from(activations)) for _ in widths[1:-1]]
    names.append(draw(st.sampled_from(("linear", *activations))))
    dtype = draw(st.sampled_from(dtypes))
    scaled = draw(st.booleans()) if scaling is None else scaling
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    gain = draw(st.sampled_from((1.0, 0.1, 10.0)))
    arrays = _dense_arrays(widths, gain, rng)
    rule = draw(st.sampled_from(RULES)) if scaled else None
    if rule is not None:
        arrays |= _scaling_arrays(widths, rule, rng)
    return _read({name: array.astype(dtype) for name, array in arrays.items()}, names, rule)


def _dense_arrays(widths: Sequence[int], gain: float, rng: np.random.Generator) -> dict[str, Array]:
    arrays = {}
    for number, (inputs, units) in enumerate(itertools.pairwise(widths), start=1):
        arrays[f"Weights/Layer{number}"] = gain * rng.standard_normal((units, inputs)) / np.sqrt(inputs)
        arrays[f"Bias/Layer{number}"] = 0.5 * gain * rng.standard_normal((units, 1))
    return arrays


def _scaling_arrays(widths: Sequence[int], rule: str, rng: np.random.Generator) -> dict[str, Array]:
    arrays = {}
    for name, width in (("Norm_in", widths[0]), ("Norm_out", widths[-1])):
        first, spread = rng.standard_normal(width), rng.uniform(0.5, 3.0, width)
        arrays[name] = np.stack([first, spread if rule == "mean-std" else first + spread], axis=1)
    return arrays


def _read(arrays: dict[str, Array], activations: Sequence[str], rule: str | None) -> Network:
    from porter.formats.members import locate
    from porter.formats.oc_smart import FAMILY, interpret
    from porter.formats.options import ReadOptions
    from porter.network.weight_file import WeightFile

    digest = hashlib.sha256(b"".join(name.encode() + array.tobytes() for name, array in arrays.items()))
    source = WeightFile(Path("drawn.h5"), FAMILY, digest.hexdigest(), arrays)
    layout = locate("drawn.h5", arrays, sorted({name.partition("/")[0] for name in arrays if "/" in name}))
    options = ReadOptions(activation=tuple(activations), orientation="units-first", scaling=rule)
    return interpret(source, layout, options)


@st.composite
def inputs(draw: st.DrawFn, network: Network, *, max_rows: int = 4) -> Any:
    """Rows of inputs: inside the documented range, its corners, and special values; always finite.

    They shrink towards one row at the centre of the range (at zero, where none is documented) with a single input at
    its end: a basis vector of the scaled network.

    Args:
        draw: given by Hypothesis.
        network: whose inputs.
        max_rows: the most rows.

    Returns:
        (rows, inputs) float64; for a legacy Keras network (rows, ...), or a tuple of those where it has several inputs,
        whole numbers where an Embedding looks them up.
    """
    return draw(_rows(network, max_rows))


@singledispatch
@st.composite
def _rows(draw: st.DrawFn, network: Network, max_rows: int) -> Any:
    low, high = _box(network)
    # Hypothesis takes rows out of a counted sequence; of a list it takes out short ones only.
    return np.stack([draw(_row(low, high)) for _ in range(draw(st.integers(1, max_rows)))])


def _box(network: Network) -> tuple[Array, Array]:
    if network.input_range is None:
        width = network.widths[0]
        return -np.ones(width), np.ones(width)
    limits = network.input_range.astype(np.float64)
    return limits.min(axis=1), limits.max(axis=1)


@st.composite
def _row(draw: st.DrawFn, low: Array, high: Array) -> Array:
    """One number an input: 0 the centre, 1 the upper end, 2 the lower one, special values, then shares of the range.

    A corner has the same numbers as any other row, so that it shrinks entry by entry to the centre.
    """
    first, last = draw(st.sampled_from(((0, FINEST), (0, 2 + len(SPECIAL)), (1, 2))))
    codes = np.array([draw(st.integers(first, last)) for _ in low])
    shares = np.maximum(codes - 3 - len(SPECIAL), 0) / (FINEST - 3 - len(SPECIAL))
    row: Array = low + (high - low) * shares
    values: list[Any] = [(low + high) / 2, high, low, *SPECIAL]
    for code, value in enumerate(values):
        row = np.where(codes == code, value, row)
    return np.clip(row, low, high)


@st.composite
def _rows_of_graph(draw: st.DrawFn, network: KerasNetwork, max_rows: int) -> Any:
    """Rows for each input of a legacy Keras network, between -1 and 1 or words; a long row comes out of a seed."""
    from porter.examination.graphs.lengths import LENGTH
    from porter.network.words import words_of

    count, words = draw(st.integers(1, max_rows)), words_of(network)
    drawn = []
    for each in network.inputs:
        shape = tuple(LENGTH if n is None else n for n in each.shape or (None,))
        size, known = int(np.prod(shape)), words.get(each.name)
        if size > LONG:
            rows = _seeded(draw(st.integers(0, 2**32 - 1)), (count, size), known)
        elif known is not None:
            rows = np.array([[draw(st.integers(0, known - 1)) for _ in range(size)] for _ in range(count)], np.float64)
        else:
            rows = np.stack([draw(_row(-np.ones(size), np.ones(size))) for _ in range(count)])
        drawn.append(rows.reshape(count, *shape))
    return drawn[0] if len(drawn) == 1 else tuple(drawn)


_rows.register(KerasNetwork, _rows_of_graph)


def _seeded(seed: int, shape: tuple[int, int], words: int | None) -> Array:
    """Zeros for the seed 0, to which rows shrink."""
    rng = np.random.default_rng(seed)
    if seed == 0:
        return np.zeros(shape)
    return rng.uniform(-1, 1, shape) if words is None else rng.integers(0, words, shape).astype(np.float64)


@st.composite
def faults(draw: st.DrawFn, network: Network, *, codes: Sequence[str] | None = None) -> Fault:
    """Ports of the network with one mistake planted; every one of them computes something else than the network.

    ``porter.build(fault.network)`` is the wrong port; ``fault.code`` and ``fault.layers`` are what should be found.

    Args:
        draw: given by Hypothesis.
        network: the network to spoil.
        codes: which kinds of mistakes; all that the network allows where None.

    Raises:
        ValueError: the network allows none of these; no mistakes are planted into legacy Keras networks.
    """
    possible = [site for site in sites(network) if codes is None or site[0] in codes]
    if not possible:
        wanted = "these mistakes" if codes is None else ", ".join(codes)
        raise ValueError(f"none of {wanted} can be made here, and none at all in legacy Keras networks")
    code, layers = draw(st.sampled_from(possible))
    fault = plant(network, code, layers, lambda count: draw(st.integers(0, count - 1)))
    assume(fault is not None)
    assert fault is not None
    return fault
