"""Inputs chosen to break a port: for the network as a whole, and for each layer alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

MOST_FILL = 1e5
"""The largest number with which a function of single columns is asked: a cosine of more has no digits left."""
LEAST_AXES, AXES_NUMBERS = 64, 2**20
"""Rows that move one input alone: one for each of up to 256, fewer where a row is long."""
FULL_BASIS_WIDTH, BASIS_GROUPS = 2048, 1024
"""Up to how many inputs each has a basis probe of its own; in how many groups those of a wider layer are probed."""
READ_FULL_BASIS_WIDTH, READ_BASIS_GROUPS = 1024, 256
"""The same where the weights were read and compared as well, and the probes have only to show that they are used."""
LEAST_GROUPS, READ_NUMBERS = 64, 2**21
"""Of these the fewest, and how many numbers they may be in a very wide layer otherwise."""
STEERED_UNITS, STEERED_NUMBERS = 128, 2**17
"""For how many units the preactivation is steered to both sides of zero, and with how many weights in all."""
WIDE_ROWS = 64
MAGNIFIED = (8.0, 64.0)
"""Sizes of the basis probes that show small weights beside a bias, where the weights cannot be read."""
ABOVE_BIAS = 4.0
"""How many times the largest bias an input's smallest weight comes to in the largest of them."""
MAGNIFIED_PRODUCT = 2.0**20
"""The most that a product may come to in them, where the format holds as much."""
REACHING_ROWS = 2048
"""Most rows of ``reaching_rows`` near zero, and most above it."""
FAR = "far vectors"
"""Probes far outside of a network's range, where the port's way to write a step may overflow."""
FAR_MAGNITUDES = tuple(10.0**power for power in (2, 3, 4, 6, 9, 13, 18, 24, 30))
"""Where caps, clips and thresholds show that no input of a network ever reaches."""
FILL_VALUES = (
    -1.0,
    255.0,
    9999.0,
    32767.0,
    65535.0,
    -99.0,
    -999.0,
    -9999.0,
    -99999.0,
    -32767.0,
    -32768.0,
    1e20,
    15 * 2.0**119,
)
"""What files put where there is no number, and a reader may replace; the last is netCDF's own, 9.97e36."""


def draw_rows(limits: Array | None, width: int, rows: int, rng: np.random.Generator) -> Array:
    """Inputs for the whole network: inside the documented range, its corners, centre and axes.

    Args:
        limits: (width, 2) documented minimum and maximum, or None: then standard normal rows, at three scales.
        width: how many inputs.
        rows: how many rows at least.
        rng: the source of randomness.

    Returns:
        (rows or more, width) float64.
    """
    if limits is None:
        scale = rng.choice([0.1, 1.0, 10.0], size=(rows, 1))
        axes = np.eye(width)[: min(width, 256)]
        return np.concatenate([np.zeros((1, width)), axes, -axes, scale * rng.standard_normal((rows, width))])
    low, high = limits[:, 0].astype(np.float64), limits[:, 1].astype(np.float64)
    inside = low + (high - low) * rng.random((rows, width))
    corners = np.where(_corner_choices(width, rng), low, high)
    centre = ((low + high) / 2)[None, :]
    most = min(256, max(LEAST_AXES, AXES_NUMBERS // width))
    picked = np.arange(width) if width <= most else rng.choice(width, most, replace=False)
    axes = np.repeat(centre, len(picked), axis=0)
    axes[np.arange(len(picked)), picked] = high[picked]
    zeros = np.zeros((1, width))
    return np.concatenate([low[None], high[None], centre, zeros, corners, axes, inside])


def _corner_choices(width: int, rng: np.random.Generator) -> Array:
    """(corners, width) bool: all of them for a few inputs, 64 at random for more."""
    if width > 6:
        return rng.random((64, width)) < 0.5
    return (np.arange(2**width)[:, None] >> np.arange(width)) & 1 == 0


def basis_rows(width: int, rng: np.random.Generator, read: bool = False) -> Array:
    """0 and +-e_j for every input j; in a wide layer a few inputs at a time, each with a size of its own.

    The fewer products a sum has, the less rounding allows, and the smaller the wrong weight that shows.

    Args:
        width: how many inputs.
        rng: shares the inputs of a wide layer out, and draws their signs and sizes within a factor of two.
        read: whether the weights were read and compared as well.

    Returns:
        (2 n + 1, width) float64; every input is in one of the n.
    """
    most, groups = (READ_FULL_BASIS_WIDTH, READ_BASIS_GROUPS) if read else (FULL_BASIS_WIDTH, BASIS_GROUPS)
    groups = min(groups, max(LEAST_GROUPS, READ_NUMBERS // width)) if read else groups
    is_whole = width <= most
    count = width if is_whole else groups
    rows = np.zeros((2 * count + 1, width))  # filled in place: these are the most numbers that a wide layer is fed with
    if is_whole:
        np.fill_diagonal(rows[1 : count + 1], 1.0)
    else:
        sizes = rng.uniform(0.5, 1.0, width) * rng.choice([-1.0, 1.0], width)
        rows[1 + rng.permutation(width) % groups, np.arange(width)] = sizes
    np.negative(rows[1 : count + 1], out=rows[count + 1 :])
    return rows


def wide_rows(width: int, rng: np.random.Generator) -> Array:
    """Hidden vectors far wider than an activation hands on: N(0, 10), and large ones of one sign."""
    normal = 10 * rng.standard_normal((WIDE_ROWS, width))
    large = 30 * np.abs(rng.standard_normal((4, width)))
    return np.concatenate([normal, large, -large])


def steered_rows(kernel: Array, bias: Array | None, rng: np.random.Generator) -> Array:
    """Inputs that bring chosen units' preactivations to both sides of zero and into saturation.

    Args:
        kernel: (inputs, units) as the reference has it.
        bias: (units,) or None.
        rng: picks the units where there are many.

    Returns:
        (6 n, inputs) with w x + b = -8, -3, -0.7, 0.7, 3, 8 for each picked unit in turn.
    """
    inputs, units = kernel.shape
    most = max(1, min(STEERED_UNITS, STEERED_NUMBERS // inputs))
    picked = np.arange(units) if units <= most else rng.choice(units, most, replace=False)
    columns = kernel[:, picked].T.astype(np.float64)
    norms = np.einsum("ui,ui->u", columns, columns)
    offsets = np.zeros(len(picked)) if bias is None else bias[picked].astype(np.float64)
    usable = norms > 1e-200
    columns, norms, offsets = columns[usable], norms[usable], offsets[usable]
    targets = np.array([-8.0, -3.0, -0.7, 0.7, 3.0, 8.0])
    lengths = (targets[:, None] - offsets[None, :]) / norms[None, :]
    rows = (lengths[:, :, None] * columns[None, :, :]).reshape(-1, kernel.shape[0])
    # A unit whose weights vanish beside its bias would need inputs that no float32 product can hold.
    return rows[np.max(np.abs(rows), axis=1, initial=0) < 1e6] if len(rows) else rows


def reaching_rows(kernel: Array, bias: Array | None, rng: np.random.Generator) -> Array:
    """Inputs that show each weight of a unit where its activation is steep, which its bias keeps it from.

    One input, that of the unit's largest weight, brings its preactivation there; a few others move it by about as
    much each. Most activations are steep near zero. A relu is so above it, where the moves may be as large as the bias
    that hides the unit's weights.

    Args:
        kernel: (inputs, units) as the reference has it.
        bias: (units,) or None; units with a bias of zero need none of this.
        rng: shares the inputs out and draws signs.

    Returns:
        (rows, inputs) float64.
    """
    units = kernel.shape[1]
    offsets = np.zeros(units) if bias is None else bias.astype(np.float64)
    sizes = np.abs(kernel)
    largest = sizes.max(axis=0, initial=0.0)
    smallest = np.min(sizes, axis=0, initial=np.inf, where=sizes > 1e-6 * largest)
    is_reachable = largest > 1e-6 * np.abs(offsets)
    saturated = np.flatnonzero(is_reachable & (np.abs(offsets) > 2))
    off = np.flatnonzero(is_reachable & (offsets < 0) & (MAGNIFIED[-1] * smallest <= -offsets))
    near_zero = _reaching(kernel, offsets, saturated, np.full(units, 0.3), rng)
    above_zero = _reaching(kernel, offsets, off, np.maximum(0.3, -offsets), rng)
    return np.concatenate([near_zero, above_zero])


def _reaching(kernel: Array, offsets: Array, picked: Array, targets: Array, rng: np.random.Generator) -> Array:
    """(rows, inputs) that bring each picked unit to its target; biases and targets of all units are given."""
    inputs = kernel.shape[0]
    if not len(picked):
        return np.zeros((0, inputs))
    groups = max(1, min(-(-inputs // 4), REACHING_ROWS // len(picked)))
    picked = picked if len(picked) <= REACHING_ROWS else rng.choice(picked, REACHING_ROWS, replace=False)
    rows = np.zeros((len(picked), groups, inputs))
    shares = rng.permutation(inputs) % groups
    for row, unit in zip(rows, picked, strict=True):
        column = np.abs(kernel[:, unit].astype(np.float64))
        steering = int(np.argmax(column))
        usable = column > 1e-6 * column[steering]
        size = targets[unit] / 0.3 * groups / (2 * inputs)
        moves = np.divide(size, column, out=np.zeros(inputs), where=usable)
        row[shares, np.arange(inputs)] = moves * rng.choice([-1.0, 1.0], inputs) * rng.uniform(0.5, 1.0, inputs)
        row[:, steering] += (targets[unit] - offsets[unit]) / kernel[steering, unit]
    return rows.reshape(-1, inputs)


def far_rows(width: int, largest: float, rng: np.random.Generator, size: float = 1.0) -> Array:
    """Rows of every magnitude that a format holds, each with its mirror image, and rows of one fill value alone.

    Args:
        width: how many inputs.
        largest: that a sum of a row's products may come to.
        rng: draws signs and sizes within a factor of two.
        size: what one input of size 1 may come to in such a sum, the weights counted.

    Returns:
        (rows, width) float64.
    """
    most = largest / max(size, 1e-300)
    magnitudes = np.array([each for each in FAR_MAGNITUDES if each < most])
    drawn = rng.uniform(0.5, 1.0, (len(magnitudes), width)) * rng.choice([-1.0, 1.0], (len(magnitudes), width))
    drawn *= magnitudes[:, np.newaxis]
    fills = np.array([each for each in FILL_VALUES if abs(each) < most])
    return np.concatenate([drawn, -drawn, np.repeat(fills[:, np.newaxis], width, axis=1)])


def outside_rows(width: int) -> Array:
    """(rows, width): rows of one number that a logarithm or a root has no number for, or that files fill in."""
    fills = [each for each in FILL_VALUES if abs(each) <= MOST_FILL]
    return np.repeat(np.array([0.0, -0.0, -1e-3, *fills])[:, np.newaxis], width, axis=1)


def _magnifying(kernel: Array, bias: Array | None, largest: float) -> Array:
    """(inputs, 1) sizes with which each input's smallest weight outweighs the biases, as far as numbers reach."""
    sizes = np.abs(kernel).astype(np.float64)
    least = np.min(sizes, axis=1, initial=np.inf, where=sizes > 0)
    wanted = ABOVE_BIAS * np.max(np.abs(bias), initial=1.0) if bias is not None else 1.0
    most = min(MAGNIFIED_PRODUCT, largest) / np.max(sizes, axis=1, initial=1.0)
    return np.minimum(wanted / np.maximum(least, 1e-300), most)[:, np.newaxis]


def layer_rows(
    kernel: Array,
    bias: Array | None,
    rng: np.random.Generator,
    read: bool | None = False,
    largest: float = np.inf,
) -> dict[str, Array]:
    """Every probe set for a dense layer alone, by name.

    Args:
        kernel: (inputs, units) as the reference has it.
        bias: (units,) or None.
        rng: the source of randomness.
        read: whether the port's own weights were read and are right; None where they cannot be read, so that probes
            alone have to show each of them.
        largest: what a product may come to in the port's format.
    """
    width = kernel.shape[0]
    basis = basis_rows(width, rng, bool(read))
    sets = {
        "basis probes": basis,
        "wide hidden vectors": wide_rows(width, rng),
        "steered vectors": steered_rows(kernel, bias, rng),
    }
    if read is None:
        sets["magnified basis probes"] = np.concatenate(
            [*(size * basis[1:] for size in MAGNIFIED), _magnifying(kernel, bias, largest).T * basis[1:]]
        )
        sets["reaching vectors"] = reaching_rows(kernel, bias, rng)
    return {name: rows for name, rows in sets.items() if len(rows)}


def blocks(rows: Array, size: int) -> Iterator[tuple[int, Array]]:
    """Consecutive blocks of at most ``size`` rows, with the index of the first row of each."""
    for start in range(0, len(rows), size):
        yield start, rows[start : start + size]
