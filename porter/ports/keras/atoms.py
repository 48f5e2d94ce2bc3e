"""A port's graph cut into the smallest pieces that can be run alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.ports.blocks import Asked, Atom, Kind
from porter.ports.keras.conditions import conditions_of
from porter.ports.keras.nodes import Key, PortNode
from porter.ports.runtime import current_runtime
from reference.precision import FORMATS, Precision

Array = NDArray[Any]


def cut_atoms(every: Sequence[PortNode], start: Key, end: Key) -> Iterable[Atom]:
    """The graph cut wherever a single tensor crosses: each piece takes one tensor and gives one.

    Args:
        every: the nodes of the graph in an order of computation.
        start: key of the graph's input.
        end: key of its output; nodes that do not lead to it are left out.
    """
    for part in _cut(every, start, end):
        yield from _pieces(*part)


def cut_pieces(every: Sequence[PortNode], start: Key, end: Key) -> Iterable[Atom]:
    """The same as ``cut_atoms``, but layers that run beside each other stay one piece."""
    for part in _cut(every, start, end):
        yield _atom(*part)


def _cut(every: Sequence[PortNode], start: Key, end: Key) -> Iterable[tuple[tuple[PortNode, ...], Key, Key]]:
    """Nodes between one tensor through which everything passes and the next, with both tensors."""
    nodes = _ancestors(every, end)
    last_use = {key: index for index, node in enumerate(nodes) for key in node.inputs}
    live, entry = {start}, start
    pending: list[PortNode] = []
    for index, node in enumerate(nodes):
        pending.append(node)
        live |= set(node.outputs)
        live = {key for key in live if last_use.get(key, -1) > index or key == end}
        if len(live) == 1:
            (leaving,) = live
            yield tuple(pending), entry, leaving
            entry, pending = leaving, []


def _pieces(nodes: tuple[PortNode, ...], entry: Key, leaving: Key) -> Iterable[Atom]:
    """One atom; or one a node, where layers run beside each other or past each other."""
    if sum(_is_core(node) for node in nodes) < 2:
        yield _atom(nodes, entry, leaving)
        return
    for node in nodes:
        atom = _atom((node,), node.inputs[0], node.outputs[0])
        yield atom if len(node.inputs) == 1 else replace(atom, kind="merge")


def _ancestors(nodes: Sequence[PortNode], end: Key) -> list[PortNode]:
    wanted, kept = {end}, []
    for node in reversed(nodes):
        if wanted & set(node.outputs):
            kept.append(node)
            wanted |= set(node.inputs)
    return kept[::-1]


def _atom(nodes: tuple[PortNode, ...], entry: Key, leaving: Key) -> Atom:
    single = nodes[0] if len(nodes) == 1 else None
    kind: Kind = single.kind if single is not None else "other"
    opaque = single is not None and kind == "other" and _is_opaque(single)
    dense = [node for node in nodes if node.kind == "dense"]
    weights, activation = _weights(dense[0]) if len(dense) == 1 else (None, None)
    return Atom(
        names=tuple(dict.fromkeys(node.name for node in nodes)),
        kind=kind,
        run=_runner(nodes, entry, leaving),
        entry=entry,
        key=leaving,
        precision=_precision(nodes),
        weights=weights,
        activation=activation if kind == "dense" else None,
        is_training=any(node.is_training for node in nodes),
        is_core=any(_is_core(node) for node in nodes) or (opaque and _mixes(nodes, entry, leaving)),
        is_conditional=any(type(node.operation).__name__ in CONDITIONS for node in nodes),
        width=_width(nodes, entry, leaving),
        description=_describe(single) if single is not None else "",
        arrays=partial(_arrays, nodes),
        calls=nodes,
        look=_conditions,
    )


CONDITIONS = {
    "Where", "Select", "Cond", "Equal", "NotEqual", "Greater", "GreaterEqual", "Less", "LessEqual", "Isnan", "IsNan",
    "Isfinite", "Isinf", "Isclose", "LogicalAnd", "LogicalOr", "LogicalNot", "NanToNum", "Switch", "Sign",
}  # fmt: skip
"""Keras' operations that ask something of their input."""
MATRIX_PRODUCTS = {"Matmul", "Dot", "Einsum", "Tensordot", "EinsumDense"}


def _is_core(node: PortNode) -> bool:
    weights = getattr(node.operation, "weights", ())
    name = type(node.operation).__name__
    if name == "Embedding" and len(node.operation.weights) == 1 and node.operation.output_dim == 1:
        return False  # one number for one number: an activation looked up in a table
    return name in MATRIX_PRODUCTS or any(len(weight.shape) >= 2 for weight in weights)


def _is_opaque(node: PortNode) -> bool:
    """Whether only running it tells what the operation does: a Lambda, or a class that is not Keras' own."""
    kind = type(node.operation)
    return kind.__name__ == "Lambda" or not kind.__module__.startswith("keras.")


MIXING_SCALES = tuple(2.0**power for power in range(-4, 13, 2))
"""Sizes of the inputs on which a piece may show that it mixes them: a layer may be dead or saturated on most."""


def _mixes(nodes: tuple[PortNode, ...], entry: Key, leaving: Key) -> bool:
    """Whether an output depends on other inputs than its own, as behind a matrix, or on none, as behind one of zeros.

    Where no input on any scale shows it (a diagonal kernel, a single unit), it is taken not to.
    """
    inputs, outputs = _width(nodes, entry, leaving)
    if inputs is None or inputs != outputs:
        return inputs is not None
    rng = np.random.default_rng(0)
    run = _runner(nodes, entry, leaving)
    return any(_mixes_at(run, scale, inputs, rng) for scale in MIXING_SCALES) or _is_constant(run, inputs, rng)


def _is_constant(run: Callable[[Array], Array], width: int, rng: np.random.Generator) -> bool:
    """Whether every row gives the same, of any size."""
    rows = np.concatenate([scale * rng.standard_normal((4, width)) for scale in MIXING_SCALES]).astype(np.float32)
    try:
        given = run(rows)
    except Exception:  # somebody's own layer may refuse anything
        return False
    return len(given) == len(rows) and bool((given == given[:1]).all())


def _mixes_at(run: Callable[[Array], Array], scale: float, width: int, rng: np.random.Generator) -> bool:
    """Whether inputs of one size show it; they do not where the piece refuses them."""
    rows = scale * rng.standard_normal((8, width))
    rows = np.concatenate([rows, np.abs(rows), -np.abs(rows)]).astype(np.float32)
    moved = rng.random(rows.shape) < 0.5
    try:
        # Each of the same shape, for what a vector unit computes depends on where in an array it stands.
        before = run(rows).reshape(rows.shape)
        after = run(np.where(moved, np.roll(rows, 1, axis=1), rows)).reshape(rows.shape)
        same = (before == after) | (np.isnan(before) & np.isnan(after))
    except Exception:  # somebody's own layer may refuse anything
        return False
    return not bool(same[~moved].all())


def _width(nodes: tuple[PortNode, ...], entry: Key, leaving: Key) -> tuple[int | None, int | None]:
    shapes = _shapes(nodes)
    return shapes[entry][-1], shapes[leaving][-1]


def _shapes(nodes: tuple[PortNode, ...]) -> dict[Key, tuple[int | None, ...]]:
    """Shape of every tensor that the nodes take or give, the rows' axis included."""
    shapes: dict[Key, Any] = {}
    for node in nodes:
        shapes.update({node.sources[id(tensor)]: tensor.shape for tensor in node.node.arguments.keras_tensors})
        shapes.update(zip(node.outputs, (tensor.shape for tensor in node.node.outputs), strict=True))
    return shapes


def _describe(node: PortNode) -> str:
    name = type(node.operation).__name__
    activation = getattr(node.operation, "activation", None)
    inner = getattr(activation, "__name__", None)
    return f"{name}({inner})" if inner is not None else name


def _runner(nodes: tuple[PortNode, ...], entry: Key, leaving: Key) -> Callable[[Array], Array]:
    batch, *shape = _shapes(nodes)[entry]

    def run(x: Array) -> Array:
        return run_in_batches(once, x, batch)

    def once(x: Array) -> Array:
        from keras import ops

        fits = len(shape) > 1 and x.ndim != len(shape) + 1 and None not in shape
        values = {entry: ops.convert_to_tensor(x.reshape(-1, *shape) if fits else x)}
        for node in nodes:
            node.compute(values)
        return np.asarray(ops.convert_to_numpy(values[leaving]))

    return run


def _conditions(nodes: Sequence[PortNode], entry: Key, leaving: Key) -> Asked | None:
    """Those of somebody's own code between two tensors."""
    taken = [(tensor, node.sources[id(tensor)]) for node in nodes for tensor in node.node.arguments.keras_tensors]
    given = next(tensor for tensor, key in taken if key == entry)

    def call(x: Any) -> Any:
        values = {entry: x}
        for node in nodes:
            node.compute(values)
        return values[leaving]

    return conditions_of(call, [node.operation for node in nodes], [given.shape[1:]], [given.dtype])


def run_in_batches(run: Callable[[Array], Array], rows: Array, size: int | None) -> Array:
    """A piece on any number of rows, where it may be made for just so many.

    Args:
        run: (size, ...) to (size, ...).
        rows: (rows, ...).
        size: None for any.
    """
    if size is None or len(rows) <= size:
        return run(rows)
    try:
        return run(rows)
    except Exception:  # whatever somebody's own layer, or the backend, says of another size
        return np.concatenate([run(part) for part in in_batches(rows, size)])[: len(rows)]


def in_batches(rows: Array, size: int) -> list[Array]:
    """Batches of just so many rows; the last is filled up with zeros."""
    count = -(-len(rows) // size)
    filled = np.concatenate([rows, np.zeros((count * size - len(rows), *rows.shape[1:]), rows.dtype)])
    return [filled[start : start + size] for start in range(0, len(filled), size)]


def _weights(
    node: PortNode,
) -> tuple[Callable[[], tuple[Array, Array | None]] | None, Callable[[Array], Array] | None]:
    """What reads a dense layer's weights, and its activation."""
    from keras import ops

    layer = node.operation
    if "float" not in str(layer.kernel.dtype):
        return None, None  # quantized: the numbers stored are not the kernel

    def array(variable: Any) -> Array:
        return np.asarray(ops.convert_to_numpy(variable)).astype(np.float64)

    def read() -> tuple[Array, Array | None]:
        return array(layer.kernel), None if layer.bias is None else array(layer.bias)

    def activate(z: Array) -> Array:
        return ops.convert_to_numpy(layer.activation(ops.convert_to_tensor(z, dtype=layer.compute_dtype)))

    return read, None if layer.activation is None else activate


def _arrays(nodes: tuple[PortNode, ...]) -> list[tuple[Array, Array | None, str]]:
    """Every kernel as a matrix to its units, with the bias of the same layer and their dtype, where it has no more."""
    from keras import ops

    found: list[tuple[Array, Array | None, str]] = []
    for node in nodes:
        weights = [np.asarray(ops.convert_to_numpy(each)) for each in getattr(node.operation, "weights", ())]
        if not weights or len(weights) > 2 or weights[0].ndim < 2 or "int" in str(weights[0].dtype):
            continue
        kernel = weights[0].astype(np.float64)
        bias = weights[1].astype(np.float64).reshape(-1) if len(weights) > 1 else None
        found.append((kernel.reshape(-1, kernel.shape[-1]), bias, str(weights[0].dtype)))
    return found


def _precision(nodes: tuple[PortNode, ...]) -> Precision | None:
    """The coarsest format in which one of the nodes computes; None where none of them computes in floats.

    Where dense layers are among them it is the finest of theirs: what else is coarser rounds, and is no reason to allow
    more.
    """
    dense = [node for node in nodes if node.kind == "dense" and node.compute_dtype in FORMATS]
    formats = [FORMATS[node.compute_dtype] for node in dense or nodes if node.compute_dtype in FORMATS]
    if not formats:
        return None
    compute = (min if dense else max)(formats, key=lambda kind: kind.unit).name
    alone = dense or nodes
    variables = getattr(alone[0].operation, "variable_dtype", compute) if len(alone) == 1 else compute
    return current_runtime().precision(compute, str(variables))
