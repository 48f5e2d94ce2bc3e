"""Operations of a legacy Keras network in NumPy: arrays, and a function of rows each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from porter.exports.graph_ops import (
    Both,
    Chain,
    Combine,
    Grid,
    Line,
    Lookup,
    Memory,
    Moves,
    Pointwise,
    Pool,
    Product,
    Reduce,
    Repeated,
    Sloped,
    Window,
    arrays_of,
    parts_of,
)
from porter.exports.numpy_text import array, called
from porter.exports.plan import Piece

Lines = Iterator[str]

COMBINED: Mapping[str, str] = {
    "Add": "{0} + {1}", "Average": "{0} + {1}", "Subtract": "{0} - {1}", "Multiply": "{0} * {1}",
    "Maximum": "np.maximum({0}, {1})", "Minimum": "np.minimum({0}, {1})",
}  # fmt: skip
BOTH: Mapping[str, str] = {"sum": "first + second", "mul": "first * second", "ave": "(first + second) / 2"}


def write_arrays(piece: Piece, dtype: np.dtype[Any]) -> Lines:
    """The arrays of a piece."""
    yield from _arrays(piece.layer, piece.identifier, dtype)


def write_functions(piece: Piece) -> Lines:
    """Its functions."""
    yield from _functions(piece.layer, piece.identifier, len(piece.sources))


def _arrays(op: Any, name: str, dtype: np.dtype[Any]) -> Lines:
    for role, values in arrays_of(op):
        yield from array(f"{name}_{role}", values, dtype)
    if isinstance(op, Moves):
        for at, target in enumerate(op.targets):
            yield from array(f"{name}_to{at}", target, np.dtype(np.int64), "int")
    for suffix, part, _, _ in parts_of(op):
        yield from _arrays(part, f"{name}_{suffix}", dtype)


def _functions(op: Any, name: str, sources: int = 1) -> Lines:
    for suffix, part, _, _ in parts_of(op):
        yield from _functions(part, f"{name}_{suffix}")
    taken = ", ".join(f"x{at}" for at in range(sources)) if sources > 1 else "x"
    yield from ("", "", f"def compute_{name}({taken}):")
    yield from (f"    {line}" for line in BODIES[type(op)](op, name))


def _product(op: Product, name: str) -> Lines:
    inputs, _ = op.kernel.shape
    bias = f" + {name}_bias" if op.bias is not None else ""
    z = (
        f"x.reshape(-1, {op.positions}, {inputs}) @ {name}_kernel{bias}"
        if op.positions > 1
        else f"x @ {name}_kernel{bias}"
    )
    yield f"y = {called(op.activation, z)}"
    yield "return y.reshape(len(x), -1)"


def _spread(grid: Grid, fill: str) -> Lines:
    """``x`` as (rows, *space, channels), with what windows reach beyond it."""
    d, channels = len(grid.sizes), grid.channels[0]
    if grid.channel_steps[0] != 1:
        order = (0, *range(2, d + 2), 1)
        sides, turned = (", ".join(map(str, each)) for each in (grid.sizes, order))
        yield f"x = x.reshape(-1, {channels}, {sides}).transpose({turned})"
    else:
        yield f"x = x.reshape(-1, {', '.join(map(str, grid.sizes))}, {channels})"
    ends = []
    for n, out, size, stride, spread, before in zip(
        grid.sizes, grid.outputs, grid.window, grid.strides, grid.dilation, grid.before, strict=True
    ):
        ends.append((before, max((out - 1) * stride + (size - 1) * spread + 1 - before - n, 0)))
    if any(a or b for a, b in ends):
        yield f"x = np.pad(x, [(0, 0), {', '.join(f'({a}, {b})' for a, b in ends)}, (0, 0)], constant_values={fill})"


def _views(grid: Grid) -> Lines:
    """Each place of the window, and what stands there in every window."""
    window = ", ".join(map(str, grid.window))
    yield f"for k in np.ndindex({window}):"
    slices = ", ".join(
        f"k[{i}] * {grid.dilation[i]} : k[{i}] * {grid.dilation[i]} + {(grid.outputs[i] - 1) * grid.strides[i] + 1} : "
        f"{grid.strides[i]}"
        for i in range(len(grid.sizes))
    )
    yield f"    part = x[:, {slices}]"


def _given(grid: Grid) -> str:
    """``y`` of (rows, *space, channels) as rows of numbers."""
    if grid.channel_steps[1] == 1:
        return "y.reshape(len(x), -1)"
    return "np.moveaxis(y, -1, 1).reshape(len(x), -1)"


def _window(op: Window, name: str) -> Lines:
    group, filters = op.kernel.shape[-2], op.kernel.shape[-1]
    groups = op.grid.channels[0] // group
    yield from _spread(op.grid, "0")
    yield "y = 0"
    yield from _views(op.grid)
    if groups == 1:
        yield f"    y = y + part @ {name}_kernel[k]"
    else:
        places = ", ".join(map(str, op.grid.outputs))
        yield f"    part = part.reshape(len(x), {places}, {groups}, 1, {group})"
        yield f"    taps = {name}_kernel[k].reshape({group}, {groups}, {filters // groups}).transpose(1, 0, 2)"
        yield f"    y = y + (part @ taps).reshape(len(x), {places}, {filters})"
    if op.bias is not None:
        yield f"y = y + {name}_bias"
    if op.activation.name != "linear":
        yield f"y = {called(op.activation, 'y')}"
    yield f"return {_given(op.grid)}"


def _pool(op: Pool, name: str) -> Lines:
    del name
    if op.kind == "max":
        yield from _spread(op.grid, "-np.inf")
        yield "y = REAL(-np.inf)"
        yield from (*_views(op.grid), "    y = np.maximum(y, part)")
    else:
        yield from _spread(op.grid, "0")
        yield "inside = np.zeros(x.shape[1:-1] + (1,), REAL)"
        at = ", ".join(f"{b} : {b + n}" for b, n in zip(op.grid.before, op.grid.sizes, strict=True))
        yield f"inside[{at}] = 1"
        yield "y, count = 0, 0"
        yield from (*_views(op.grid), "    y = y + part")
        slices = _slices_of(op.grid)
        yield f"    count = count + inside[{slices}]"
        yield "y = y / count"
    yield f"return {_given(op.grid)}"


def _slices_of(grid: Grid) -> str:
    return ", ".join(
        f"k[{i}] : k[{i}] + {(grid.outputs[i] - 1) * grid.strides[i] + 1} : {grid.strides[i]}"
        for i in range(len(grid.sizes))
    )


def _line(op: Line, name: str) -> Lines:
    channels = len(op.scale)
    if op.inner == 1:
        yield f"parts = x.reshape(len(x), -1, {channels})"
        yield f"return ({name}_scale * parts + {name}_offset).reshape(len(x), -1)"
    else:
        yield f"parts = x.reshape(len(x), -1, {channels}, {op.inner})"
        yield f"return ({name}_scale[:, None] * parts + {name}_offset[:, None]).reshape(len(x), -1)"


def _pointwise(op: Pointwise, name: str) -> Lines:
    del name
    if op.activation.name == "softmax":
        yield f"y = {called(op.activation, f'x.reshape(len(x), -1, {op.length})')}"
        yield "return y.reshape(len(x), -1)"
    else:
        yield f"return {called(op.activation, 'x')}"


def _sloped(op: Sloped, name: str) -> Lines:
    del op
    yield f"return np.where(x < 0, {name}_alpha * x, x)"


def _moves(op: Moves, name: str) -> Lines:
    several = len(set(op.sources)) > 1
    yield f"y = np.zeros((len({'x0' if several else 'x'}), {op.size}), REAL)"
    for at, (source, target) in enumerate(zip(op.sources, op.targets, strict=True)):
        x = f"x{source}" if several else "x"
        if np.any(target < 0):
            yield f"kept = {name}_to{at} >= 0"
            yield f"y[:, {name}_to{at}[kept]] = {x}[:, kept]"
        else:
            yield f"y[:, {name}_to{at}] = {x}"
    yield "return y"


def _combine(op: Combine, name: str) -> Lines:
    del name
    yield "y = x0"
    yield from (f"y = {COMBINED[op.mode].format('y', f'x{at}')}" for at in range(1, op.count))
    yield f"return y / {op.count}" if op.mode == "Average" else "return y"


def _reduce(op: Reduce, name: str) -> Lines:
    del name
    axis = 1 if op.channel_step == 1 else 2
    shape = f"{op.positions}, {op.channels}" if axis == 1 else f"{op.channels}, {op.positions}"
    yield f"return x.reshape(-1, {shape}).{'max' if op.kind == 'max' else 'mean'}(axis={axis})"


def _lookup(op: Lookup, name: str) -> Lines:
    del op
    yield f"return {name}_table[x.astype(int)].reshape(len(x), -1)"


def _chain(op: Chain, name: str) -> Lines:
    for at in range(len(op.parts)):
        yield f"x = compute_{name}_{at}(x)"
    yield "return x"


def _repeated(op: Repeated, name: str) -> Lines:
    yield f"return compute_{name}_part(x.reshape(-1, {op.taken})).reshape(len(x), -1)"


def _both(op: Both, name: str) -> Lines:
    yield f"first, second = compute_{name}_ahead(x), compute_{name}_behind(x)"
    if op.mode == "concat":
        parts = ", ".join(f"{each}.reshape(len(x), -1, {op.ahead.units})" for each in ("first", "second"))
        yield f"return np.concatenate([{parts}], axis=2).reshape(len(x), -1)"
    else:
        yield f"return {BOTH[op.mode]}"


def _memory(op: Memory, name: str) -> Lines:
    n, inputs = op.units, op.kernel.shape[0]
    yield f"x = x.reshape(-1, {op.steps}, {inputs})"
    yield f"h = np.zeros((len(x), {n}), REAL)"
    if op.kind == "LSTM":
        yield "c = h"
    yield "given = []"
    yield f"for t in range({op.steps}{' - 1, -1, -1' if op.backwards else ''}):"
    bias = "" if op.bias is None else f" + {name}_bias" + ("[0]" if op.bias.ndim == 2 else "")
    yield f"    z = x[:, t] @ {name}_kernel{bias}"
    yield from (f"    {line}" for line in CELLS[op.kind](op, name))
    yield "    given.append(h)"
    if not op.sequences:
        yield "return h"
    else:
        yield f"return np.concatenate(given{'[::-1]' if op.turned else ''}, axis=1)"


def _simple(op: Memory, name: str) -> Lines:
    yield f"h = {called(op.activation, f'z + h @ {name}_recurrent')}"


def _lstm(op: Memory, name: str) -> Lines:
    n = op.units
    yield f"z = z + h @ {name}_recurrent"
    yield f"enter, keep = {called(op.gate, f'z[:, :{n}]')}, {called(op.gate, f'z[:, {n} : {2 * n}]')}"
    yield f"leave = {called(op.gate, f'z[:, {3 * n} :]')}"
    yield f"c = keep * c + enter * {called(op.activation, f'z[:, {2 * n} : {3 * n}]')}"
    yield f"h = leave * {called(op.activation, 'c')}"


def _gru(op: Memory, name: str) -> Lines:
    n = op.units
    inner = f" + {name}_bias[1]" if op.bias is not None and op.bias.ndim == 2 else ""
    if op.reset_after:
        yield f"r = h @ {name}_recurrent{inner}"
        yield f"gates = {called(op.gate, f'z[:, : {2 * n}] + r[:, : {2 * n}]')}"
        yield f"candidate = z[:, {2 * n} :] + gates[:, {n} :] * r[:, {2 * n} :]"
    else:
        yield f"gates = {called(op.gate, f'z[:, : {2 * n}] + h @ {name}_recurrent[:, : {2 * n}]')}"
        yield f"candidate = z[:, {2 * n} :] + (gates[:, {n} :] * h) @ {name}_recurrent[:, {2 * n} :]"
    yield f"h = gates[:, :{n}] * h + (1 - gates[:, :{n}]) * {called(op.activation, 'candidate')}"


CELLS: Mapping[str, Callable[[Memory, str], Lines]] = {"SimpleRNN": _simple, "LSTM": _lstm, "GRU": _gru}
BODIES: Mapping[type, Callable[[Any, str], Lines]] = {
    Product: _product,
    Window: _window,
    Pool: _pool,
    Line: _line,
    Pointwise: _pointwise,
    Sloped: _sloped,
    Moves: _moves,
    Combine: _combine,
    Reduce: _reduce,
    Memory: _memory,
    Both: _both,
    Lookup: _lookup,
    Chain: _chain,
    Repeated: _repeated,
}
