"""The layers of a legacy Keras network made plain operations, each by its maker."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import UnbuildableError
from porter.exports.graph_ops import (
    Both,
    Chain,
    Combine,
    Grid,
    Line,
    Lookup,
    Memory,
    Moves,
    Op,
    Pointwise,
    Pool,
    Product,
    Reduce,
    Repeated,
    Shape,
    Sloped,
    Window,
)  # fmt: skip
from porter.network.graph import KerasLayer, KerasNetwork
from reference.activation_names import parse_activation
from reference.activations import Activation
from reference.windows import count_before

Array = NDArray[Any]

REMEMBER = {"SimpleRNN", "LSTM", "GRU"}
MERGED = {"concat", "sum", "mul", "ave"}
LINEAR = Activation("linear")


@dataclass(frozen=True)
class Call:
    """What an operation is made for.

    Attributes:
        layer: of the network.
        taken: shapes of a row of what it takes.
        given: the same of what it gives.
        name: of the call, for messages.
    """

    layer: KerasLayer
    taken: Sequence[Shape]
    given: Shape
    name: str = ""

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Of the layer."""
        return self.layer.parameters

    @property
    def weights(self) -> Mapping[str, Array]:
        """Of the layer."""
        return self.layer.weights


def make_op(call: Call) -> Op:
    """The operation of a call.

    Raises:
        UnbuildableError: a layer that has no form here.
    """
    maker = MAKERS.get(call.layer.operation)
    if maker is None:
        raise unheld(call, f"a layer of class {call.layer.kind}")
    return maker(call)


def unheld(call: Call, found: str) -> UnbuildableError:
    """The refusal of a layer."""
    return UnbuildableError(
        f"{call.name} cannot be written as a program", found=found,
        expected=f"layers made of {', '.join(sorted(MAKERS))}", remedy="export to onnx or saved_model",
    )  # fmt: skip


def _product(call: Call) -> Op:
    positions = prod(call.taken[0][:-1])
    activation = parse_activation(call.parameters["activation"])
    return Product(positions, call.weights["kernel"], call.weights.get("bias"), activation)


def _grid(call: Call, filters: int) -> Grid:
    p, first = call.parameters, call.parameters["channels_first"]
    shape = call.taken[0]
    space, channels = (shape[1:], shape[0]) if first else (shape[:-1], shape[-1])
    outputs = call.given[1:] if first else call.given[:-1]
    window, strides = tuple(p["size"]), tuple(p["strides"])
    dilation = tuple(p.get("dilation") or [1] * len(window))
    rule: Any = "theano-pool" if p["padding"] == "theano" else p["padding"]
    spans = [(size - 1) * spread + 1 for size, spread in zip(window, dilation, strict=True)]
    before = tuple(count_before(rule, n, span, step) for n, span, step in zip(space, spans, strides, strict=True))
    return Grid(
        tuple(space), tuple(outputs), window, strides, dilation, before, (channels, filters),
        (_steps(space, channels, first), _steps(outputs, filters, first)),
        (prod(space) if first else 1, prod(outputs) if first else 1),
    )  # fmt: skip


def _steps(space: Sequence[int], channels: int, first: bool) -> Shape:
    """From place to place of each dimension."""
    inner = 1 if first else channels
    return tuple(inner * prod(space[at + 1 :]) for at in range(len(space)))


def _window(call: Call) -> Op:
    kernel = call.weights["kernel"]
    activation = parse_activation(call.parameters["activation"])
    return _soft(call, Window(_grid(call, kernel.shape[-1]), kernel, call.weights.get("bias"), activation))


def _soft(call: Call, op: Window) -> Op:
    """A softmax runs over the channels of each place, once all of them are there."""
    if op.activation.name != "softmax":
        return op
    if call.parameters["channels_first"]:
        raise unheld(call, "a softmax behind a convolution whose channels come first")
    bare = Window(op.grid, op.kernel, op.bias, LINEAR)
    size = prod(call.given)
    return Chain((bare, Pointwise(op.activation, call.given[-1])), (size, size))


def _by_channel(kernel: Array) -> Array:
    """(*window, channels, multiplier) as (*window, 1, channels * multiplier): groups of one channel."""
    return kernel.reshape(*kernel.shape[:-2], 1, -1)


def _depthwise(call: Call) -> Op:
    kernel = _by_channel(call.weights["kernel"])
    activation = parse_activation(call.parameters["activation"])
    return _soft(call, Window(_grid(call, kernel.shape[-1]), kernel, call.weights.get("bias"), activation))


def _separable(call: Call) -> Op:
    if call.parameters["channels_first"]:
        raise unheld(call, "a separable convolution whose channels come first")
    kernel, points = _by_channel(call.weights["depthwise_kernel"]), call.weights["pointwise_kernel"]
    mixed = Window(_grid(call, kernel.shape[-1]), kernel, None, LINEAR)
    places, activation = prod(call.given[:-1]), parse_activation(call.parameters["activation"])
    last = Product(places, points.reshape(points.shape[-2:]), call.weights.get("bias"), activation)
    return Chain((mixed, last), (places * kernel.shape[-1], prod(call.given)))


def _pool(call: Call) -> Op:
    channels = call.taken[0][0] if call.parameters["channels_first"] else call.taken[0][-1]
    return Pool(_grid(call, channels), call.parameters["kind"])


def _global_pool(call: Call) -> Op:
    shape, first = call.taken[0], call.parameters["channels_first"]
    channels, places = (shape[0], prod(shape[1:])) if first else (shape[-1], prod(shape[:-1]))
    steps = (1, places) if first else (channels, 1)
    return Reduce(call.parameters["kind"], places, channels, *steps)


def _batch_norm(call: Call) -> Op:
    p, weights = call.parameters, {role: array.astype(np.float64) for role, array in call.weights.items()}
    variance = weights["moving_variance"]
    divisor = variance + p["epsilon"] if p["early"] else np.sqrt(variance + p["epsilon"])
    scale = weights.get("gamma", np.ones_like(divisor)) / divisor
    offset = weights.get("beta", np.zeros_like(divisor)) - weights["moving_mean"] * scale
    axis = p["axis"] % (len(call.taken[0]) + 1)
    return Line(scale, offset, prod(call.taken[0][axis:]))


def _rescaling(call: Call) -> Op:
    size = call.taken[0][-1]
    scale, offset = (np.asarray(call.parameters[key], np.float64) for key in ("scale", "offset"))
    if scale.ndim > 1 or offset.ndim > 1:
        raise unheld(call, "a rescaling of several axes")
    return Line(np.broadcast_to(scale, size).copy(), np.broadcast_to(offset, size).copy(), 1)


def _activation(call: Call) -> Op:
    activation = Activation(call.parameters["function"], call.parameters["arguments"])
    axis = activation.parameters.get("axis", -1)
    if axis not in (-1, len(call.taken[0])):
        raise unheld(call, f"{activation} over another axis than the last")
    plain = {key: value for key, value in activation.parameters.items() if key != "axis"}
    return Pointwise(Activation(activation.name, plain), call.taken[0][-1] if call.taken[0] else 1)


def _prelu(call: Call) -> Op:
    return Sloped(np.broadcast_to(call.weights["alpha"], call.taken[0]).ravel().astype(np.float64))


def _placed(call: Call, place: Callable[[Array], Array]) -> Op:
    """One source, whose numbers go where a function of an array puts them."""
    numbers = np.arange(1, prod(call.taken[0]) + 1).reshape(call.taken[0])
    return moves([place(numbers).ravel()], (prod(call.taken[0]),))


def moves(origins: Sequence[Array], sizes: Sequence[int]) -> Op:
    """Moves from what stands at each place of the result: the number of a source's element from 1 on, or 0.

    Args:
        origins: for each source, (outputs,) int.
        sizes: of the sources.
    """
    sources: list[int] = []
    targets: list[Array] = []
    for at, (origin, size) in enumerate(zip(origins, sizes, strict=True)):
        left = np.where(origin > 0)[0]
        while len(left) or not targets:
            firsts, index = np.unique(origin[left], return_index=True)
            target = np.full(size, -1)
            target[firsts - 1] = left[index]
            sources.append(at)
            targets.append(target)
            left = np.setdiff1d(left, left[index])
    return Moves(tuple(sources), tuple(targets), len(origins[0]))


def _flatten(call: Call) -> Op:
    first = call.parameters["channels_first"] and len(call.taken[0]) > 1
    return _placed(call, lambda x: np.moveaxis(x, 0, -1) if first else x)


def _permute(call: Call) -> Op:
    order = [int(axis) - 1 for axis in call.parameters["order"]]
    return _placed(call, lambda x: np.transpose(x, order))


def _repeat(call: Call) -> Op:
    return _placed(call, lambda x: np.repeat(x[np.newaxis], int(call.parameters["times"]), axis=0))


def _space(call: Call) -> list[int]:
    first, rank = call.parameters.get("channels_first", False), len(call.taken[0])
    return list(range(1, rank)) if first else list(range(rank - 1))


def _pad(call: Call) -> Op:
    widths = [(0, 0)] * len(call.taken[0])
    for axis, (first, last) in zip(_space(call), call.parameters["amounts"], strict=True):
        widths[axis] = (int(first), int(last))
    return _placed(call, lambda x: np.pad(x, widths))


def _crop(call: Call) -> Op:
    cuts = [slice(None)] * len(call.taken[0])
    for axis, (first, last) in zip(_space(call), call.parameters["amounts"], strict=True):
        cuts[axis] = slice(int(first), call.taken[0][axis] - int(last))
    return _placed(call, lambda x: x[tuple(cuts)])


def _upsample(call: Call) -> Op:
    sizes = call.parameters["sizes"]
    every = sizes if isinstance(sizes, list | tuple) else [sizes]

    def place(x: Array) -> Array:
        for axis, size in zip(_space(call), every, strict=True):
            x = np.repeat(x, int(size), axis=axis)
        return x

    return _placed(call, place)


def _identity(call: Call) -> Op:
    return _placed(call, lambda x: x)


def _merge(call: Call) -> Op:
    mode = call.parameters["mode"]
    if mode == "Concatenate":
        axis = int(call.parameters["axis"])
        axis = axis % (len(call.taken[0]) + 1) - 1
        numbers, start = [], 0
        for shape in call.taken:
            numbers.append(start + np.arange(1, prod(shape) + 1).reshape(shape))
            start += prod(shape)
        joined = np.concatenate(numbers, axis=axis).ravel()
        starts = np.cumsum([0, *(prod(shape) for shape in call.taken)])
        origins = [np.where((joined > a) & (joined <= b), joined - a, 0) for a, b in pairwise(starts)]
        return moves(origins, [prod(shape) for shape in call.taken])
    if any(shape != call.taken[0] for shape in call.taken):
        raise unheld(call, f"{mode} of rows of several shapes")
    return Combine(mode, len(call.taken))


def memory(call: Call, layer: KerasLayer, turned: bool = False) -> Memory:
    """A recurrent layer."""
    p, weights = layer.parameters, layer.weights
    if p["kind"] not in REMEMBER:
        raise unheld(call, f"a layer of class {p['kind']}")
    if p.get("stateful"):
        raise unheld(call, "a layer that keeps its state from call to call")
    if p.get("return_state") or len(call.taken) > 1:
        raise unheld(call, "a layer that takes or gives its states")
    gate = LINEAR if p["kind"] == "SimpleRNN" else parse_activation(p["recurrent_activation"])
    return Memory(
        p["kind"], call.taken[0][0], weights["kernel"], weights["recurrent_kernel"], weights.get("bias"),
        parse_activation(p["activation"]), gate, bool(p.get("reset_after")), bool(p["go_backwards"]),
        bool(p["return_sequences"]), turned,
    )  # fmt: skip


def _recurrent(call: Call) -> Op:
    return memory(call, call.layer)


def _bidirectional(call: Call) -> Op:
    mode = call.parameters["merge_mode"]
    if mode not in MERGED:
        raise unheld(call, f"two directions merged by {mode}")
    ahead, behind = call.layer.inner
    return Both(memory(call, ahead), memory(call, behind, turned=True), mode)


def _embedding(call: Call) -> Op:
    return Lookup(call.weights["embeddings"], prod(call.taken[0]))


def _time_distributed(call: Call) -> Op:
    if call.layer.model is not None:
        raise unheld(call, "a whole model at every time step")
    (inner,) = call.layer.inner
    part = make_op(Call(inner, [call.taken[0][1:]], call.given[1:], call.name))
    return Repeated(part, call.taken[0][0], prod(call.taken[0][1:]), prod(call.given[1:]))


MAKERS: Mapping[str, Callable[[Call], Op]] = {
    "Activation": _activation,
    "BatchNorm": _batch_norm,
    "Bidirectional": _bidirectional,
    "Conv": _window,
    "Crop": _crop,
    "Dense": _product,
    "DepthwiseConv": _depthwise,
    "Embedding": _embedding,
    "Flatten": _flatten,
    "GlobalPool": _global_pool,
    "Identity": _identity,
    "Merge": _merge,
    "PReLU": _prelu,
    "Pad": _pad,
    "Permute": _permute,
    "Pool": _pool,
    "Recurrent": _recurrent,
    "Repeat": _repeat,
    "Rescaling": _rescaling,
    "Reshape": _identity,
    "SeparableConv": _separable,
    "TimeDistributed": _time_distributed,
    "Upsample": _upsample,
}


@dataclass(frozen=True)
class Graph:
    """A network as operations.

    Attributes:
        inputs: shape of a row of each input, by name.
        calls: name, operation, the names of what it takes, and the shape of a row of what it gives.
        outputs: names, in order.
    """

    inputs: Mapping[str, Shape]
    calls: Sequence[tuple[str, Op, tuple[str, ...], Shape]]
    outputs: tuple[str, ...]


def make_graph(network: KerasNetwork, shapes: Mapping[str, Any]) -> Graph:
    """The operations of a network of fixed shapes.

    Args:
        network: as read, with weights.
        shapes: of a row of every input and step.

    Raises:
        UnbuildableError: an open length, a mask, or a layer that has no form here.
    """
    for each in network.inputs:
        if None in shapes[each.name]:
            raise UnbuildableError(
                f"{network.name} cannot be written as a program", found=f"the input {each.name} of an open length",
                expected="a fixed one", remedy="export to onnx or saved_model",
            )  # fmt: skip
    calls = []
    for call in network.calls:
        layer: Any = network.layer(call.layer)
        about = Call(layer, [shapes[ref.name] for ref in call.inputs], shapes[call.name], call.name)
        if call.gives_mask is not None or any(mask is not None for mask in call.masks):
            raise unheld(about, "a mask of time steps")
        if call.outputs > 1 or any(ref.index or ref.mask for ref in call.inputs):
            raise unheld(about, "several outputs of one layer")
        calls.append((call.name, make_op(about), tuple(ref.name for ref in call.inputs), tuple(shapes[call.name])))
    inputs = {each.name: tuple(shapes[each.name]) for each in network.inputs}
    return Graph(inputs, calls, tuple(ref.name for ref in network.outputs))
