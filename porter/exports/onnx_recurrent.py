"""Recurrent layers in operations of ONNX: its own LSTM and GRU where they compute the same, else a Scan."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import UnbuildableError
from porter.exports.onnx_layers import named_activation
from porter.exports.onnx_site import OnnxSite, element_type
from porter.exports.onnx_windows import padded, spans
from porter.exports.unit import Make, Shape, Unit
from porter.network.graph import KerasLayer

Array = NDArray[Any]

STATES = {"LSTM": 2, "GRU": 1, "SimpleRNN": 1}
KNOWN: Mapping[str, tuple[str, float, float]] = {
    "tanh": ("Tanh", 0.0, 0.0),
    "sigmoid": ("Sigmoid", 0.0, 0.0),
    "relu": ("Relu", 0.0, 0.0),
    "hard_sigmoid_keras2": ("HardSigmoid", 0.2, 0.5),
}
"""ONNX' name of an activation of its recurrent operations, alpha and beta."""


def recurrent(site: OnnxSite, unit: Unit) -> list[str]:
    """SimpleRNN, LSTM and GRU: what is asked for of outputs and states."""
    sequence, last, states = run(site, unit.layer, unit.inputs[0], unit.inputs[1:], unit.mask, unit.shapes[0])
    first = sequence if unit.parameters["return_sequences"] else last
    return [first, *states][: max(unit.outputs, 1)]


def bidirectional(site: OnnxSite, unit: Unit) -> list[str]:
    """Two recurrent layers, one against time, its sequence turned back; then merged."""
    mode, sides = unit.parameters["merge_mode"], []
    half = (len(unit.inputs) - 1) // 2
    for at, layer in enumerate(unit.layer.inner):
        given = unit.inputs[1 + at * half : 1 + (at + 1) * half]
        sequence, last, states = run(site, layer, unit.inputs[0], given, unit.mask, unit.shapes[0])
        if at and layer.parameters["return_sequences"]:
            sequence = turn_back(site, sequence)
        sides.append((sequence if layer.parameters["return_sequences"] else last, states))
    (ahead, first), (behind, second) = sides
    if mode is None:
        return [ahead, behind, *first, *second][: max(unit.outputs, 1)]
    if mode == "concat":
        made = site.add("Concat", ahead, behind, axis=-1)
    else:
        made = site.add("Mul" if mode == "mul" else "Add", ahead, behind)
        made = site.add("Div", made, site.real(2)) if mode == "ave" else made
    return [made, *first, *second][: max(unit.outputs, 1)]


def turn_back(site: OnnxSite, tensor: str) -> str:
    """The second axis from its end."""
    least = np.iinfo(np.int64).min + 1
    ends = site.whole([-1]), site.whole([least]), site.whole([1]), site.whole([-1])
    return site.add("Slice", tensor, *ends)


def run(
    site: OnnxSite, layer: KerasLayer, x: str, given: Sequence[str], mask: str | None, shape: Shape
) -> tuple[str, str, list[str]]:
    """Every output in the order in which they are computed, the last of them, and the states after it.

    Args:
        site: where the nodes are gathered.
        layer: the recurrent layer.
        x: (rows, steps, inputs).
        given: the states to begin with; none for zeros.
        mask: (rows, steps), or None.
        shape: of a row of x.
    """
    p = layer.parameters
    if p.get("stateful"):
        raise UnbuildableError(
            f"{layer.name} as ONNX", found="a layer that keeps its state from call to call",
            expected="one that begins each call anew", remedy="hand the states in and out as inputs and outputs",
        )  # fmt: skip
    if "dims" in p:
        return _convolving(site, layer, x, given, mask, shape)
    gates = () if p["kind"] == "SimpleRNN" else (p["recurrent_activation"],)
    # Its RNN computes tanh to a unit of 1 alone, as onnxruntime 1.32 has it.
    plain = mask is None and site.dtype == "float32" and p["kind"] != "SimpleRNN"
    plain = plain and all(name in KNOWN for name in (p["activation"], *gates))
    return (_by_own_operation if plain else _by_scan)(site, layer, x, given, mask)


def _order(kind: str) -> list[int]:
    """Which gate of Keras' stands where in ONNX' arrays: i, o, f, c there and i, f, c, o here."""
    return [0, 3, 1, 2] if kind == "LSTM" else [0, 1, 2]


def _by_own_operation(
    site: OnnxSite, layer: KerasLayer, x: str, given: Sequence[str], mask: str | None
) -> tuple[str, str, list[str]]:
    del mask
    p, kind = layer.parameters, layer.parameters["kind"]
    order = _order(kind)

    def rows(array: Array) -> Array:
        """(n, gates * units) to (gates * units, n), the gates in ONNX' order."""
        parts = np.split(array, len(order), axis=-1)
        return np.concatenate([parts[at].T for at in order])

    kernel, inner = (rows(layer.weights[role])[np.newaxis] for role in ("kernel", "recurrent_kernel"))
    arrays = [site.real(kernel), site.real(inner)]
    bias = layer.weights.get("bias")
    arrays.append("" if bias is None else site.real(_biases(bias, order)))
    begin = [site.add("Unsqueeze", state, site.whole([0])) for state in given]
    names = [p["recurrent_activation"], p["activation"]] + ([p["activation"]] if kind == "LSTM" else [])
    told = [KNOWN[name] for name in names]
    options: dict[str, Any] = {
        "hidden_size": int(p["units"]), "direction": "reverse" if p["go_backwards"] else "forward",
        "activations": [name for name, _, _ in told],
    }  # fmt: skip
    bent = [(alpha, beta) for _, alpha, beta in told if alpha or beta]  # those that take any take theirs in turn
    if bent:
        options |= {"activation_alpha": [alpha for alpha, _ in bent], "activation_beta": [beta for _, beta in bent]}
    if kind == "GRU":
        options["linear_before_reset"] = int(p["reset_after"])
    turned = site.transpose(x, [1, 0, 2])
    inputs = [turned, *arrays, *([""] if begin else []), *begin]
    made = site.add_many(kind, inputs, 1 + STATES[kind], **options)
    sequence = site.transpose(site.add("Squeeze", made[0], site.whole([1])), [1, 0, 2])
    if p["go_backwards"]:
        sequence = turn_back(site, sequence)  # ONNX leaves each output at its own time
    states = [site.add("Squeeze", state, site.whole([0])) for state in made[1:]]
    return sequence, states[0], states


def _biases(bias: Array, order: Sequence[int]) -> Array:
    """(1, 2 gates units): of the input's product, then of the state's."""
    both = bias if bias.ndim == 2 else np.stack([bias, np.zeros_like(bias)])
    parts = [np.split(one, len(order)) for one in both]
    return np.concatenate([one[at] for one in parts for at in order])[np.newaxis]


def _by_scan(
    site: OnnxSite, layer: KerasLayer, x: str, given: Sequence[str], mask: str | None
) -> tuple[str, str, list[str]]:
    """One time step after the other, in the layer's own formula."""
    count, sides = STATES[layer.parameters["kind"]], [int(layer.parameters["units"])]
    # A tensor of its own for each state, so that each can be given other numbers.
    begin = [*(given or (_zeros(site, x, sides) for _ in range(count))), _zeros(site, x, sides)]
    return _scanned(site, layer, x, begin, mask, lambda part, olds: _cell(site, layer, part, olds))


def _scanned(
    site: OnnxSite,
    layer: KerasLayer,
    x: str,
    begin: Sequence[str],
    mask: str | None,
    cell: Callable[[str, Sequence[str]], list[str]],
    dims: int = 0,
) -> tuple[str, str, list[str]]:
    """A cell carried along the second axis.

    Args:
        site: where the nodes are gathered.
        layer: the recurrent layer.
        x: (rows, steps, ...).
        begin: the states before the first step, and the output before it.
        mask: (rows, steps), or None.
        cell: of a time step's input and states, to the states after it; the first is the output.
        dims: of space.
    """
    from onnx import helper

    p, count = layer.parameters, len(begin) - 1
    outer, site.nodes = site.nodes, []
    scope = site.scope
    olds = [f"{scope}/state{at}" for at in range(count)]
    last, part, counts = f"{scope}/before", f"{scope}/step", f"{scope}/counts"
    news = cell(part, olds)
    output = news[0]
    if mask is not None:
        column = site.add("Unsqueeze", counts, site.whole(list(range(1, 2 + dims))))
        nothing = site.real(0) if p["zero_output_for_mask"] else last
        output = site.add("Where", column, news[0], nothing)
        news = [site.add("Where", column, new, old) for new, old in zip(news, olds, strict=True)]
    ends = [site.add("Identity", tensor) for tensor in (*news, output, output)]
    body_nodes, site.nodes = site.nodes, outer
    kind_of, open_sides = element_type(site.dtype), [None] * (2 + dims)
    taken = [helper.make_tensor_value_info(name, kind_of, open_sides) for name in (*olds, last, part)]
    if mask is not None:
        taken.append(helper.make_tensor_value_info(counts, element_type("bool"), [None]))
    given_back = [helper.make_tensor_value_info(name, kind_of, open_sides) for name in ends]
    body = helper.make_graph(body_nodes, f"{scope}/body", taken, given_back)
    along = [x] if mask is None else [x, mask]
    made = site.add_many(
        "Scan", [*begin, *along], count + 2, body=body, num_scan_inputs=len(along), scan_input_axes=[1] * len(along),
        scan_input_directions=[int(p["go_backwards"])] * len(along), scan_output_axes=[1],
    )  # fmt: skip
    return made[-1], made[count], made[:count]


def _convolving(
    site: OnnxSite, layer: KerasLayer, x: str, given: Sequence[str], mask: str | None, shape: Shape
) -> tuple[str, str, list[str]]:
    """ConvLSTM: the channels before space, a Scan, and the layer's own layout again."""
    p, dims = layer.parameters, int(layer.parameters["dims"])
    first, filters = p["channels_first"], int(p["units"])
    space = list(shape[2:] if first else shape[1:-1])
    if None in space or (p["theano"] and any(size % 2 == 0 for size in p["size"])):
        raise UnbuildableError(f"{layer.name} as ONNX", found="a ConvLSTM of an open size, or padded as Theano pads",
                               expected="a fixed size", remedy="export it to saved_model")  # fmt: skip
    own = padded(p["padding"], space, spans(p), p["strides"])
    inner = padded("same", own.outputs, list(p["size"]), [1] * dims)
    ahead = [0, 1, dims + 2, *range(2, dims + 2)]
    x = x if first else site.transpose(x, ahead)
    given = given if first else [site.transpose(state, [0, dims + 1, *range(1, dims + 1)]) for state in given]
    sides = [filters, *own.outputs]
    begin = [*(given or (_zeros(site, x, sides) for _ in range(2))), _zeros(site, x, sides)]

    def cell(part: str, olds: Sequence[str]) -> list[str]:
        w = layer.weights
        bias = [site.real(w["bias"])] if "bias" in w else []
        window = {"strides": list(p["strides"]), "dilations": list(p["dilation"]), "pads": own.pads}
        kernel, recurrent = (np.moveaxis(w[role], (-1, -2), (0, 1)) for role in ("kernel", "recurrent_kernel"))
        z = site.add(
            "Add", site.add("Conv", part, site.real(kernel), *bias, **window),
            site.add("Conv", olds[0], site.real(recurrent), pads=inner.pads),
        )  # fmt: skip
        return _gated(site, p, site.add_many("Split", [z, site.whole([filters] * 4)], 4, axis=1), olds[1])

    sequence, last, states = _scanned(site, layer, x, begin, mask, cell, dims)
    if first:
        return sequence, last, states
    back = [0, *range(2, dims + 2), 1]
    sequence = site.transpose(sequence, [0, 1, *range(3, dims + 3), 2])
    return sequence, site.transpose(last, back), [site.transpose(state, back) for state in states]


def _zeros(site: OnnxSite, x: str, sides: Sequence[int]) -> str:
    """(rows, *sides)."""
    from onnx import numpy_helper

    rows = site.slice(site.add("Shape", x), [0], [1], [0])
    value = numpy_helper.from_array(np.zeros(1, site.dtype))
    return site.add("ConstantOfShape", site.add("Concat", rows, site.whole(list(sides)), axis=0), value=value)


def _cell(site: OnnxSite, layer: KerasLayer, x: str, states: Sequence[str]) -> list[str]:
    """The states after one time step; the first is the output."""
    kind = layer.parameters["kind"]
    return {"SimpleRNN": _simple, "LSTM": _lstm, "GRU": _gru}[kind](site, layer, x, states)


def _product(site: OnnxSite, x: str, matrix: Array, bias: Array | None = None) -> str:
    made = site.add("MatMul", x, site.real(matrix))
    return made if bias is None else site.add("Add", made, site.real(bias))


def _simple(site: OnnxSite, layer: KerasLayer, x: str, states: Sequence[str]) -> list[str]:
    w = layer.weights
    z = site.add("Add", _product(site, x, w["kernel"], w.get("bias")), _product(site, states[0], w["recurrent_kernel"]))
    return [named_activation(site, z, layer.parameters["activation"])]


def _lstm(site: OnnxSite, layer: KerasLayer, x: str, states: Sequence[str]) -> list[str]:
    p, w = layer.parameters, layer.weights
    h, c = states
    z = site.add("Add", _product(site, x, w["kernel"], w.get("bias")), _product(site, h, w["recurrent_kernel"]))
    return _gated(site, p, _parts(site, z, 4, int(p["units"])), c)


def _gated(site: OnnxSite, p: Mapping[str, Any], parts: Sequence[str], c: str) -> list[str]:
    """Output and memory from the preactivations of input, forget gate, candidate and output gate."""
    i, f, o = (named_activation(site, parts[at], p["recurrent_activation"]) for at in (0, 1, 3))
    candidate = named_activation(site, parts[2], p["activation"])
    fresh = site.add("Add", site.add("Mul", f, c), site.add("Mul", i, candidate))
    return [site.add("Mul", o, named_activation(site, fresh, p["activation"])), fresh]


def _gru(site: OnnxSite, layer: KerasLayer, x: str, states: Sequence[str]) -> list[str]:
    p, w, units = layer.parameters, layer.weights, int(layer.parameters["units"])
    h, bias = states[0], layer.weights.get("bias")
    own, inner = (bias, None) if bias is None or bias.ndim == 1 else (bias[0], bias[1])
    matrix = w["recurrent_kernel"]
    first = _parts(site, _product(site, x, w["kernel"], own), 3, units)
    both = _product(site, h, matrix[:, : 2 * units], None if inner is None else inner[: 2 * units])
    update, reset = (
        named_activation(site, site.add("Add", mine, other), p["recurrent_activation"])
        for mine, other in zip(first[:2], _parts(site, both, 2, units), strict=True)
    )
    last = matrix[:, 2 * units :]
    if p["reset_after"]:
        candidate = site.add("Mul", reset, _product(site, h, last, None if inner is None else inner[2 * units :]))
    else:
        candidate = _product(site, site.add("Mul", reset, h), last)
    fresh = named_activation(site, site.add("Add", first[2], candidate), p["activation"])
    rest = site.add("Sub", site.real(1), update)
    return [site.add("Add", site.add("Mul", update, h), site.add("Mul", rest, fresh))]


def _parts(site: OnnxSite, tensor: str, count: int, units: int) -> list[str]:
    return site.add_many("Split", [tensor, site.whole([units] * count)], count, axis=-1)


RECURRENT: Mapping[str, Make] = {"Bidirectional": bidirectional, "ConvLSTM": recurrent, "Recurrent": recurrent}
