"""Operations of a legacy Keras network in Fortran: arrays, and a subroutine each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.exports.fortran_text import activated, array, called, whole
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
    "Add": "y = y + x{0}", "Average": "y = y + x{0}", "Subtract": "y = y - x{0}", "Multiply": "y = y * x{0}",
    "Maximum": "where (x{0} > y .or. ieee_is_nan(x{0})) y = x{0}",
    "Minimum": "where (x{0} < y .or. ieee_is_nan(x{0})) y = x{0}",
}  # fmt: skip
BOTH: Mapping[str, str] = {"sum": "first + second", "mul": "first * second", "ave": "(first + second) / 2"}


def write_arrays(piece: Piece, dtype: np.dtype[Any]) -> Lines:
    """The arrays of a piece."""
    yield from _arrays(piece.layer, piece.identifier, dtype)


def write_subroutines(piece: Piece, sizes: tuple[int, ...], is_double: bool) -> Lines:
    """Its subroutines; ``sizes`` are of what it takes."""
    yield from _subroutines(piece.layer, piece.identifier, sizes, piece.outputs, is_double)


def _arrays(op: Any, name: str, dtype: np.dtype[Any]) -> Lines:
    for role, values in arrays_of(op):
        flat = values if values.ndim < 3 else values.reshape(-1, values.shape[-1])
        yield from array(f"{name}_{role}", flat, dtype)
    if isinstance(op, Moves):
        for at, target in enumerate(op.targets):
            if not is_plain(target):
                yield from whole(f"{name}_to{at}", target)
    for suffix, part, _, _ in parts_of(op):
        yield from _arrays(part, f"{name}_{suffix}", dtype)


def _subroutines(op: Any, name: str, sizes: tuple[int, ...], given: int, is_double: bool) -> Lines:
    for suffix, part, taken, out in parts_of(op, sizes[0]):
        yield from _subroutines(part, f"{name}_{suffix}", (taken,), out, is_double)
    names = [f"x{at}" for at in range(len(sizes))] if len(sizes) > 1 else ["x"]
    yield f"  pure recursive subroutine step_{name}({', '.join(names)}, y)"
    yield from (f"    real(wp), intent(in) :: {each}({size})" for each, size in zip(names, sizes, strict=True))
    yield f"    real(wp), intent(out) :: y({given})"
    yield from (f"    {line}" for line in BODIES[type(op)](op, name, given, is_double))
    yield from (f"  end subroutine step_{name}", "")


def _product(op: Product, name: str, given: int, is_double: bool) -> Lines:
    inputs, units = op.kernel.shape
    yield from (f"real(wp) :: z({units})", "integer :: i, p", f"do p = 0, {op.positions - 1}")
    yield f"  z = {f'{name}_bias' if op.bias is not None else '0'}"
    yield f"  do i = 1, {inputs}"
    yield from (f"    z = z + x(p * {inputs} + i) * {name}_kernel(:, i)", "  end do")
    yield from (f"  {line}" for line in activated(op.activation, "z", is_double))
    yield from (f"  y(p * {units} + 1:(p + 1) * {units}) = z", "end do")


def _loops(grid: Grid, inner: str) -> tuple[list[str], list[str], str]:
    """What opens and closes the loops over windows and channels, and the place of an output."""
    opening = [f"do o{i} = 0, {count - 1}" for i, count in enumerate(grid.outputs)]
    opening.append(f"do f = 1, {inner}")
    out = " + ".join(f"o{i} * {step}" for i, step in enumerate(grid.steps[1]))
    return opening, ["end do"] * len(opening), f"{out} + (f - 1) * {grid.channel_steps[1]} + 1"


def _taps(grid: Grid, body: list[str]) -> Lines:
    """The loops over one window, around lines that read at ``at``."""
    for i in range(len(grid.sizes)):
        yield f"do k{i} = 0, {grid.window[i] - 1}"
        yield f"  i{i} = o{i} * {grid.strides[i]} + k{i} * {grid.dilation[i]} - {grid.before[i]}"
        yield f"  if (i{i} < 0 .or. i{i} >= {grid.sizes[i]}) cycle"
    yield f"  at = {' + '.join(f'i{i} * {step}' for i, step in enumerate(grid.steps[0]))}"
    yield from (f"  {line}" for line in body)
    yield from ("end do" for _ in grid.sizes)


def _indices(grid: Grid) -> str:
    return ", ".join(f"o{i}, k{i}, i{i}" for i in range(len(grid.sizes)))


def _window(op: Window, name: str, given: int, is_double: bool) -> Lines:
    grid, (group, filters) = op.grid, op.kernel.shape[-2:]
    per = filters // (grid.channels[0] // group)
    tap = "k0"
    for i in range(1, len(grid.sizes)):
        tap = f"({tap}) * {grid.window[i]} + k{i}"
    yield from ("real(wp) :: z", f"integer :: {_indices(grid)}, f, c, at")
    opening, closing, out = _loops(grid, str(filters))
    yield from opening
    yield f"z = {f'{name}_bias(f)' if op.bias is not None else '0'}"
    yield from _taps(grid, [
        f"do c = 0, {group - 1}",
        f"  z = z + x(at + ((f - 1) / {per} * {group} + c) * {grid.channel_steps[0]} + 1) &",
        f"    * {name}_kernel(f, ({tap}) * {group} + c + 1)",
        "end do",
    ])  # fmt: skip
    yield from (f"y({out}) = z", *closing)
    yield from activated(op.activation, "y", is_double)


def _pool(op: Pool, name: str, given: int, is_double: bool) -> Lines:
    grid = op.grid
    value = f"x(at + (f - 1) * {grid.channel_steps[0]} + 1)"
    yield from ("real(wp) :: z", f"integer :: {_indices(grid)}, f, at, inside")
    opening, closing, out = _loops(grid, str(grid.channels[0]))
    yield from opening
    yield f"z = {'ieee_value(z, ieee_negative_inf)' if op.kind == 'max' else '0'}"
    yield "inside = 0"
    step = f"if ({value} > z .or. ieee_is_nan({value})) z = {value}" if op.kind == "max" else f"z = z + {value}"
    yield from _taps(grid, [step, "inside = inside + 1"])
    yield from (f"y({out}) = z" if op.kind == "max" else f"y({out}) = z / inside", *closing)


def _line(op: Line, name: str, given: int, is_double: bool) -> Lines:
    yield from ("integer :: c, j", f"do j = 0, {given - 1}")
    yield f"  c = mod(j / {op.inner}, {len(op.scale)}) + 1"
    yield from (f"  y(j + 1) = {name}_scale(c) * x(j + 1) + {name}_offset(c)", "end do")


def _pointwise(op: Pointwise, name: str, given: int, is_double: bool) -> Lines:
    if op.activation.name != "softmax":
        yield "y = x"
        yield from activated(op.activation, "y", is_double)
        return
    yield from (f"real(wp) :: z({op.length})", "integer :: p", f"do p = 0, {given // op.length - 1}")
    yield f"  z = x(p * {op.length} + 1:(p + 1) * {op.length})"
    yield from (f"  {line}" for line in activated(op.activation, "z", is_double))
    yield from (f"  y(p * {op.length} + 1:(p + 1) * {op.length}) = z", "end do")


def _sloped(op: Sloped, name: str, given: int, is_double: bool) -> Lines:
    yield f"y = merge({name}_alpha * x, x, x < 0)"


def _moves(op: Moves, name: str, given: int, is_double: bool) -> Lines:
    several = len(set(op.sources)) > 1
    if not all(is_plain(target) for target in op.targets):
        yield "integer :: j"
    yield "y = 0"
    for at, (source, target) in enumerate(zip(op.sources, op.targets, strict=True)):
        x = f"x{source}" if several else "x"
        if is_plain(target):
            yield f"y({int(target[0]) + 1}:{int(target[0]) + len(target)}) = {x}"
        else:
            yield f"do j = 1, {len(target)}"
            yield f"  if ({name}_to{at}(j) >= 0) y({name}_to{at}(j) + 1) = {x}(j)"
            yield "end do"


def _combine(op: Combine, name: str, given: int, is_double: bool) -> Lines:
    yield "y = x0"
    yield from (COMBINED[op.mode].format(at) for at in range(1, op.count))
    if op.mode == "Average":
        yield f"y = y / {op.count}"


def _reduce(op: Reduce, name: str, given: int, is_double: bool) -> Lines:
    value = f"x(p * {op.position_step} + c * {op.channel_step} + 1)"
    yield from ("real(wp) :: z", "integer :: p, c", f"do c = 0, {op.channels - 1}")
    yield f"  z = {'ieee_value(z, ieee_negative_inf)' if op.kind == 'max' else '0'}"
    yield f"  do p = 0, {op.positions - 1}"
    yield f"    {f'if ({value} > z .or. ieee_is_nan({value})) z = {value}' if op.kind == 'max' else f'z = z + {value}'}"
    yield "  end do"
    yield from (f"  y(c + 1) = {'z' if op.kind == 'max' else f'z / {op.positions}'}", "end do")


def _lookup(op: Lookup, name: str, given: int, is_double: bool) -> Lines:
    words, width = op.table.shape
    yield from ("integer :: p, word", f"do p = 0, {op.length - 1}", "  word = int(x(p + 1))")
    place = f"y(p * {width} + 1:(p + 1) * {width})"
    yield f"  {place} = ieee_value(y(1), ieee_quiet_nan)"
    yield f"  if (word >= 0 .and. word < {words}) {place} = {name}_table(:, word + 1)"
    yield "end do"


def _chain(op: Chain, name: str, given: int, is_double: bool) -> Lines:
    buffers = [f"t{at}" for at in range(len(op.parts) - 1)]
    yield from (f"real(wp) :: {buffer}({size})" for buffer, size in zip(buffers, op.sizes, strict=False))
    ways = ["x", *buffers, "y"]
    yield from (f"call step_{name}_{at}({ways[at]}, {ways[at + 1]})" for at in range(len(op.parts)))


def _repeated(op: Repeated, name: str, given: int, is_double: bool) -> Lines:
    yield from ("integer :: t", f"do t = 0, {op.times - 1}")
    taken = f"x(t * {op.taken} + 1:(t + 1) * {op.taken})"
    yield f"  call step_{name}_part({taken}, y(t * {op.given} + 1:(t + 1) * {op.given}))"
    yield "end do"


def _both(op: Both, name: str, given: int, is_double: bool) -> Lines:
    n, units = op.ahead.outputs, op.ahead.units
    yield f"real(wp) :: first({n}), second({n})"
    if op.mode == "concat":
        yield "integer :: t"
    yield from (f"call step_{name}_ahead(x, first)", f"call step_{name}_behind(x, second)")
    if op.mode != "concat":
        yield f"y = {BOTH[op.mode]}"
        return
    yield f"do t = 0, {n // units - 1}"
    for at, side in enumerate(("first", "second")):
        start = f"t * {2 * units} + {at * units}"
        yield f"  y({start} + 1:{start} + {units}) = {side}(t * {units} + 1:(t + 1) * {units})"
    yield "end do"


def _memory(op: Memory, name: str, given: int, is_double: bool) -> Lines:
    (inputs, width), n = op.kernel.shape, op.units
    more = {"LSTM": f", c({n})", "GRU": f", r({width})"}.get(op.kind, "")
    yield from (f"real(wp) :: h({n}), z({width}){more}", "integer :: i, t, at")
    yield from ("h = 0", *(["c = 0"] if op.kind == "LSTM" else []), f"do t = 0, {op.steps - 1}")
    yield f"  at = {f'({op.steps - 1} - t)' if op.backwards else 't'} * {inputs}"
    column = "(:, 1)" if op.bias is not None and op.bias.ndim == 2 else ""
    yield f"  z = {f'{name}_bias{column}' if op.bias is not None else '0'}"
    yield from (f"  do i = 1, {inputs}", f"    z = z + x(at + i) * {name}_kernel(:, i)", "  end do")
    yield from (f"  {line}" for line in CELLS[op.kind](op, name, is_double))
    if op.sequences:
        yield f"  at = {f'({op.steps - 1} - t)' if op.turned else 't'} * {n}"
        yield f"  y(at + 1:at + {n}) = h"
    yield "end do"
    if not op.sequences:
        yield "y = h"


def _simple(op: Memory, name: str, is_double: bool) -> Lines:
    yield from (f"do i = 1, {op.units}", f"  z = z + h(i) * {name}_recurrent(:, i)", "end do")
    yield f"h = {called(op.activation, 'z', is_double)}"


def _lstm(op: Memory, name: str, is_double: bool) -> Lines:
    n = op.units
    yield from (f"do i = 1, {n}", f"  z = z + h(i) * {name}_recurrent(:, i)", "end do")
    yield f"z(1:{2 * n}) = {called(op.gate, f'z(1:{2 * n})', is_double)}"
    yield f"z({3 * n + 1}:) = {called(op.gate, f'z({3 * n + 1}:)', is_double)}"
    yield f"c = z({n + 1}:{2 * n}) * c + z(1:{n}) * {called(op.activation, f'z({2 * n + 1}:{3 * n})', is_double)}"
    yield f"h = z({3 * n + 1}:) * {called(op.activation, 'c', is_double)}"


def _gru(op: Memory, name: str, is_double: bool) -> Lines:
    n = op.units
    yield f"r = {f'{name}_bias(:, 2)' if op.bias is not None and op.bias.ndim == 2 else '0'}"
    last = 3 * n if op.reset_after else 2 * n
    yield from (f"do i = 1, {n}", f"  r(1:{last}) = r(1:{last}) + h(i) * {name}_recurrent(1:{last}, i)", "end do")
    yield f"r(1:{2 * n}) = {called(op.gate, f'z(1:{2 * n}) + r(1:{2 * n})', is_double)}"
    if op.reset_after:
        yield f"r({2 * n + 1}:) = r({2 * n + 1}:) * r({n + 1}:{2 * n})"
    else:
        yield f"do i = 1, {n}"
        yield f"  r({2 * n + 1}:) = r({2 * n + 1}:) + r({n} + i) * h(i) * {name}_recurrent({2 * n + 1}:, i)"
        yield "end do"
    fresh = called(op.activation, f"z({2 * n + 1}:) + r({2 * n + 1}:)", is_double)
    yield f"h = r(1:{n}) * h + (1 - r(1:{n})) * {fresh}"


CELLS: Mapping[str, Callable[[Memory, str, bool], Lines]] = {"SimpleRNN": _simple, "LSTM": _lstm, "GRU": _gru}
BODIES: Mapping[type, Callable[[Any, str, int, bool], Lines]] = {
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
