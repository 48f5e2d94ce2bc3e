"""Operations of a legacy Keras network in C: arrays, and a function each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.exports.c_text import activated, array, called
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
    is_plain,
    parts_of,
)
from porter.exports.plan import Piece

Array = NDArray[Any]
Lines = Iterator[str]

COMBINED: Mapping[str, str] = {
    "Add": "y[j] += x{0}[j]", "Average": "y[j] += x{0}[j]", "Subtract": "y[j] -= x{0}[j]",
    "Multiply": "y[j] *= x{0}[j]", "Maximum": "if (x{0}[j] > y[j] || x{0}[j] != x{0}[j]) y[j] = x{0}[j]",
    "Minimum": "if (x{0}[j] < y[j] || x{0}[j] != x{0}[j]) y[j] = x{0}[j]",
}  # fmt: skip
BOTH: Mapping[str, str] = {"sum": "a + b", "mul": "a * b", "ave": "(a + b) / 2"}


def write_op(piece: Piece, dtype: np.dtype[Any]) -> Lines:
    """The arrays and the function of a piece."""
    yield from _op(piece.layer, piece.identifier, piece.outputs, dtype, len(piece.sources))


def _op(op: Any, name: str, size: int, dtype: np.dtype[Any], sources: int = 1) -> Lines:
    yield from _arrays(op, name, dtype)
    for suffix, part, _, given in parts_of(op):
        yield from _op(part, f"{name}_{suffix}", given, dtype)
    taken = ", ".join(f"const real *x{at}" for at in range(sources)) if sources > 1 else "const real *x"
    yield from (f"static void compute_{name}({taken}, real *y)", "{")
    yield from BODIES[type(op)](op, name, size, dtype)
    yield from ("}", "")


# --- arrays ---------------------------------------------------------------------------------------------------------


def _arrays(op: Any, name: str, dtype: np.dtype[Any]) -> Lines:
    for role, values in arrays_of(op):
        yield from array(f"{name}_{role}", values.reshape(-1, values.shape[-1]), dtype)
    for at, target in enumerate(op.targets if isinstance(op, Moves) else ()):
        if not is_plain(target):
            yield f"static const int {name}_to{at}[{len(target)}] = {{"
            for start in range(0, len(target), 12):
                yield f"    {', '.join(str(int(each)) for each in target[start : start + 12])},"
            yield from ("};", "")


# --- bodies ---------------------------------------------------------------------------------------------------------


def _product(op: Product, name: str, size: int, dtype: np.dtype[Any]) -> Lines:
    inputs, units = op.kernel.shape
    start = f"{name}_bias[j]" if op.bias is not None else "0"
    yield "    int i, j, p;"
    yield f"    for (p = 0; p < {op.positions}; p++, x += {inputs}, y += {units}) {{"
    yield f"        for (j = 0; j < {units}; j++) y[j] = {start};"
    yield f"        for (i = 0; i < {inputs}; i++) {{"
    yield "            const real a = x[i];"
    yield f"            const real *row = {name}_kernel + i * {units};"
    yield f"            for (j = 0; j < {units}; j++) y[j] += a * row[j];"
    yield "        }"
    yield from _indented(activated(op.activation, units, dtype == np.float64))
    yield "    }"


def _indented(lines: Lines, by: str = "    ") -> Lines:
    return (by + line for line in lines)


def _places(grid: Grid) -> tuple[list[str], str]:
    """What opens the loops over the windows, and where the output of one begins."""
    d = range(len(grid.sizes))
    opening = [f"for (o{i} = 0; o{i} < {grid.outputs[i]}; o{i}++)" for i in d]
    return opening, " + ".join(f"o{i} * {grid.steps[1][i]}" for i in d)


def _taps(grid: Grid, inner: list[str]) -> Lines:
    """The loops over one window, around lines that read ``x[at]``."""
    indent = "            "
    for i in range(len(grid.sizes)):
        yield f"{indent}for (k{i} = 0; k{i} < {grid.window[i]}; k{i}++) {{"
        indent += "    "
        yield f"{indent}const int i{i} = o{i} * {grid.strides[i]} + k{i} * {grid.dilation[i]} - {grid.before[i]};"
        yield f"{indent}if (i{i} < 0 || i{i} >= {grid.sizes[i]}) continue;"
    at = " + ".join(f"i{i} * {grid.steps[0][i]}" for i in range(len(grid.sizes)))
    yield f"{indent}at = {at};"
    yield from (indent + line for line in inner)
    for _ in grid.sizes:
        indent = indent[:-4]
        yield f"{indent}}}"


def _loop_names(grid: Grid) -> str:
    return ", ".join(f"o{i}, k{i}" for i in range(len(grid.sizes)))


def _window(op: Window, name: str, size: int, dtype: np.dtype[Any]) -> Lines:
    grid = op.grid
    opening, out = _places(grid)
    group, filters = op.kernel.shape[-2], op.kernel.shape[-1]
    per = filters // (grid.channels[0] // group)
    tap = "k0"
    for i in range(1, len(grid.sizes)):
        tap = f"({tap}) * {grid.window[i]} + k{i}"
    yield f"    int {_loop_names(grid)}, f, c, at;"
    yield from (f"    {line}" for line in opening)
    yield f"        for (f = 0; f < {filters}; f++) {{"
    yield f"            real z = {f'{name}_bias[f]' if op.bias is not None else '0'};"
    inner = [
        f"for (c = 0; c < {group}; c++)",
        f"    z += x[at + (f / {per} * {group} + c) * {grid.channel_steps[0]}]"
        f" * {name}_kernel[(({tap}) * {group} + c) * {filters} + f];",
    ]
    yield from _taps(grid, inner)
    yield f"            y[{out} + f * {grid.channel_steps[1]}] = z;"
    yield "        }"
    yield from _flat(activated(op.activation, size, dtype == np.float64))


def _flat(lines: Lines) -> Lines:
    """An activation of every number of ``y``."""
    made = list(lines)
    if made:
        yield from ("    {", "        int j;", *_indented(iter(made)), "    }")


def _pool(op: Pool, name: str, size: int, dtype: np.dtype[Any]) -> Lines:
    grid = op.grid
    opening, out = _places(grid)
    yield f"    int {_loop_names(grid)}, f, at;"
    yield from (f"    {line}" for line in opening)
    yield f"        for (f = 0; f < {grid.channels[0]}; f++) {{"
    value = f"x[at + f * {grid.channel_steps[0]}]"
    if op.kind == "max":
        yield "            real z = -INFINITY;"
        yield from _taps(grid, [f"if ({value} > z || {value} != {value}) z = {value};"])
    else:
        yield from ("            real z = 0;", "            int count = 0;")
        yield from _taps(grid, [f"z += {value};", "count++;"])
        yield "            z /= count;"
    yield f"            y[{out} + f * {grid.channel_steps[1]}] = z;"
    yield "        }"


def _line(op: Line, name: str, size: int, dtype: np.dtype[Any]) -> Lines:
    channel = f"j / {op.inner} % {len(op.scale)}" if op.inner > 1 else f"j % {len(op.scale)}"
    yield "    int j;"
    yield f"    for (j = 0; j < {size}; j++) y[j] = {name}_scale[{channel}] * x[j] + {name}_offset[{channel}];"


def _pointwise(op: Pointwise, name: str, size: int, dtype: np.dtype[Any]) -> Lines:
    length = op.length if op.activation.name == "softmax" else size
    yield "    int j, p;"
    yield f"    for (p = 0; p < {size // length}; p++, x += {length}, y += {length}) {{"
    yield f"        for (j = 0; j < {length}; j++) y[j] = x[j];"
    yield from _indented(activated(op.activation, length, dtype == np.float64))
    yield "    }"


def _sloped(op: Sloped, name: str, size: int, dtype: np.dtype[Any]) -> Lines:
    yield "    int j;"
    yield f"    for (j = 0; j < {size}; j++) y[j] = x[j] < 0 ? {name}_alpha[j] * x[j] : x[j];"


def _moves(op: Moves, name: str, size: int, dtype: np.dtype[Any]) -> Lines:
    yield "    int j;"
    if sum(int(np.count_nonzero(target >= 0)) for target in op.targets) < size:
        yield f"    for (j = 0; j < {size}; j++) y[j] = 0;"
    several = len(set(op.sources)) > 1
    for at, (source, target) in enumerate(zip(op.sources, op.targets, strict=True)):
        x = f"x{source}" if several else "x"
        if is_plain(target):
            yield f"    for (j = 0; j < {len(target)}; j++) y[{int(target[0])} + j] = {x}[j];"
        else:
            check = f"if ({name}_to{at}[j] >= 0) " if np.any(target < 0) else ""
            yield f"    for (j = 0; j < {len(target)}; j++) {check}y[{name}_to{at}[j]] = {x}[j];"


def _combine(op: Combine, name: str, size: int, dtype: np.dtype[Any]) -> Lines:
    yield from ("    int j;", f"    for (j = 0; j < {size}; j++) {{", "        y[j] = x0[j];")
    yield from (f"        {COMBINED[op.mode].format(at)};" for at in range(1, op.count))
    if op.mode == "Average":
        yield f"        y[j] /= {op.count};"
    yield "    }"


def _reduce(op: Reduce, name: str, size: int, dtype: np.dtype[Any]) -> Lines:
    yield from ("    int p, c;", f"    for (c = 0; c < {op.channels}; c++) {{")
    value = f"x[p * {op.position_step} + c * {op.channel_step}]"
    yield f"        real z = {'-INFINITY' if op.kind == 'max' else '0'};"
    each = f"if ({value} > z || {value} != {value}) z = {value};" if op.kind == "max" else f"z += {value};"
    yield f"        for (p = 0; p < {op.positions}; p++) {each}"
    yield f"        y[c] = {'z' if op.kind == 'max' else f'z / {op.positions}'};"
    yield "    }"


def _lookup(op: Lookup, name: str, size: int, dtype: np.dtype[Any]) -> Lines:
    words, width = op.table.shape
    yield "    int j, p;"
    yield f"    for (p = 0; p < {op.length}; p++, y += {width}) {{"
    yield "        const int word = (int)x[p];"
    yield f"        for (j = 0; j < {width}; j++) y[j] = word >= 0 && word < {words} ?"
    yield f"            {name}_table[word * {width} + j] : NAN;"
    yield "    }"


def _chain(op: Chain, name: str, size: int, dtype: np.dtype[Any]) -> Lines:
    buffers = [f"t{at}" for at in range(len(op.parts) - 1)]
    yield from (f"    real {buffer}[{given}];" for buffer, given in zip(buffers, op.sizes, strict=False))
    ways = ["x", *buffers, "y"]
    yield from (f"    compute_{name}_{at}({ways[at]}, {ways[at + 1]});" for at in range(len(op.parts)))


def _repeated(op: Repeated, name: str, size: int, dtype: np.dtype[Any]) -> Lines:
    yield "    int t;"
    yield f"    for (t = 0; t < {op.times}; t++) compute_{name}_part(x + t * {op.taken}, y + t * {op.given});"


def _both(op: Both, name: str, size: int, dtype: np.dtype[Any]) -> Lines:
    n, units = op.ahead.outputs, op.ahead.units
    yield f"    real first[{n}], second[{n}];"
    yield "    int j;"
    yield from (f"    compute_{name}_ahead(x, first);", f"    compute_{name}_behind(x, second);")
    if op.mode == "concat":
        yield f"    for (j = 0; j < {n}; j++) {{"
        yield f"        y[j / {units} * {2 * units} + j % {units}] = first[j];"
        yield f"        y[j / {units} * {2 * units} + {units} + j % {units}] = second[j];"
        yield "    }"
        return
    yield f"    for (j = 0; j < {n}; j++) {{"
    yield "        const real a = first[j], b = second[j];"
    yield f"        y[j] = {BOTH[op.mode]};"
    yield "    }"


def _memory(op: Memory, name: str, size: int, dtype: np.dtype[Any]) -> Lines:
    inputs, width, units = op.kernel.shape[0], op.kernel.shape[1], op.units
    more = {"LSTM": f", c[{units}]", "GRU": f", r[{width}]"}.get(op.kind, "")
    yield f"    real h[{units}], z[{width}]{more};"
    yield "    int i, j, t;"
    yield f"    for (j = 0; j < {units}; j++) h[j] = {'c[j] = ' if op.kind == 'LSTM' else ''}0;"
    yield f"    for (t = 0; t < {op.steps}; t++) {{"
    yield f"        const real *step = x + {f'({op.steps - 1} - t)' if op.backwards else 't'} * {inputs};"
    yield f"        for (j = 0; j < {width}; j++) z[j] = {f'{name}_bias[j]' if op.bias is not None else '0'};"
    yield f"        for (i = 0; i < {inputs}; i++)"
    yield f"            for (j = 0; j < {width}; j++) z[j] += step[i] * {name}_kernel[i * {width} + j];"
    yield from CELLS[op.kind](op, name, dtype)
    if op.sequences:
        place = f"({op.steps - 1} - t)" if op.turned else "t"
        yield f"        for (j = 0; j < {units}; j++) y[{place} * {units} + j] = h[j];"
    yield "    }"
    if not op.sequences:
        yield f"    for (j = 0; j < {units}; j++) y[j] = h[j];"


def _call(activation: Any, argument: str, dtype: np.dtype[Any]) -> str:
    """An activation of one number."""
    return called(activation, argument, dtype == np.float64)


def _from_state(target: str, name: str, width: int, columns: tuple[int, int], units: int, state: str = "h[i]") -> Lines:
    first, last = columns
    yield f"        for (i = 0; i < {units}; i++)"
    yield f"            for (j = {first}; j < {last}; j++) {target}[j] += {state} * {name}_recurrent[i * {width} + j];"


def _simple(op: Memory, name: str, dtype: np.dtype[Any]) -> Lines:
    yield from _from_state("z", name, op.units, (0, op.units), op.units)
    yield f"        for (j = 0; j < {op.units}; j++) h[j] = {_call(op.activation, 'z[j]', dtype)};"


def _lstm(op: Memory, name: str, dtype: np.dtype[Any]) -> Lines:
    n = op.units
    yield from _from_state("z", name, 4 * n, (0, 4 * n), n)
    yield f"        for (j = 0; j < {n}; j++) {{"
    yield f"            const real in = {_call(op.gate, 'z[j]', dtype)}, keep = {_call(op.gate, f'z[{n} + j]', dtype)};"
    yield f"            const real out = {_call(op.gate, f'z[{3 * n} + j]', dtype)};"
    yield f"            c[j] = keep * c[j] + in * {_call(op.activation, f'z[{2 * n} + j]', dtype)};"
    yield f"            h[j] = out * {_call(op.activation, 'c[j]', dtype)};"
    yield "        }"


def _gru(op: Memory, name: str, dtype: np.dtype[Any]) -> Lines:
    n = op.units
    inner = f"{name}_bias[{3 * n} + j]" if op.bias is not None and op.bias.ndim == 2 else "0"
    yield f"        for (j = 0; j < {3 * n}; j++) r[j] = {inner};"
    yield from _from_state("r", name, 3 * n, (0, 3 * n if op.reset_after else 2 * n), n)
    yield f"        for (j = 0; j < {2 * n}; j++) r[j] = {_call(op.gate, 'z[j] + r[j]', dtype)};"
    if op.reset_after:
        yield f"        for (j = 0; j < {n}; j++) r[{2 * n} + j] *= r[{n} + j];"
    else:
        yield from _from_state("r", name, 3 * n, (2 * n, 3 * n), n, f"r[{n} + i] * h[i]")
    yield f"        for (j = 0; j < {n}; j++) {{"
    argument = f"z[{2 * n} + j] + r[{2 * n} + j]"
    yield f"            h[j] = r[j] * h[j] + (1 - r[j]) * {_call(op.activation, argument, dtype)};"
    yield "        }"


CELLS: Mapping[str, Callable[[Memory, str, np.dtype[Any]], Lines]] = {"SimpleRNN": _simple, "LSTM": _lstm, "GRU": _gru}
BODIES: Mapping[type, Callable[[Any, str, int, np.dtype[Any]], Lines]] = {
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
