"""A legacy Keras network in operations of ONNX: one call after the other, each tensor in the legacy layout and name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from porter.errors import UnbuildableError
from porter.exports.onnx_attention import ATTENTION
from porter.exports.onnx_layers import LAYERS
from porter.exports.onnx_operations import OPERATIONS
from porter.exports.onnx_recurrent import RECURRENT
from porter.exports.onnx_site import End, Ends, OnnxSite
from porter.exports.onnx_windows import WINDOWS
from porter.exports.unit import Make, Shape, Unit
from porter.formats.programs import build_program, follow
from porter.network.graph import KerasCall, KerasLayer, KerasNetwork, Ref
from reference.trace import Program

WHOLE = {"int8", "int16", "int32", "int64", "uint8", "uint16", "uint32"}
LENGTHS = ((8, 11), (32, 35), (96, 99), (256, 259))
"""Two lengths that an open axis is tried with, shortest first: what differs between them is open."""


def makers() -> dict[str, Make]:
    """What writes each operation of a legacy network, by its name."""
    return {**LAYERS, **WINDOWS, **RECURRENT, **ATTENTION, **OPERATIONS, "TimeDistributed": _time_distributed}


def add_graph(site: OnnxSite, network: KerasNetwork) -> Ends:
    """Every call of a network.

    Args:
        site: where the nodes are gathered.
        network: as read, with weights.

    Raises:
        UnbuildableError: layers that have no form here, all of them named.
    """
    _check(network)
    shapes = shapes_of(network)
    inputs, tensors = [], dict[Ref, str]()
    for each in network.inputs:
        dtype = each.dtype if each.dtype in WHOLE else site.dtype
        inputs.append((each.name, dtype, shapes[each.name]))
        tensors[Ref(each.name)] = each.name
    dtypes = {each.name: dtype for each, (_, dtype, _) in zip(network.inputs, inputs, strict=True)}
    steps = add_calls(site, network, tensors, shapes)
    outputs = []
    for ref in network.outputs:
        name = tensors[ref]
        if name in dtypes:  # an input that is an output as well
            site.enter("")
            name = site.add("Identity", name)
        outputs.append((name, dtypes.get(tensors[ref], site.dtype), _shape(shapes, ref)))
    return Ends(inputs, outputs, steps)


def _check(network: KerasNetwork) -> None:
    known = makers()
    missing = [f"{layer.name} ({layer.kind})" for layer in network.every_layer() if layer.operation not in known]
    if missing:
        raise UnbuildableError(
            f"{network.name} as ONNX", found=f"layers that are not written: {', '.join(missing)}",
            expected=f"layers made of {', '.join(sorted(known))}", remedy="export it to saved_model",
        )  # fmt: skip


def add_calls(
    site: OnnxSite, network: KerasNetwork, tensors: dict[Ref, str], shapes: Mapping[str, Shape], prefix: str = ""
) -> list[End]:
    """The calls of a network, whose inputs are among the tensors; those that they give are added.

    Args:
        site: where the nodes are gathered.
        network: whose calls they are.
        tensors: name of each tensor that is known.
        shapes: of a row of every input and step, and of what is inside wrappers.
        prefix: before the names of the steps, inside a wrapper.

    Returns:
        Name, dtype and shape of every step's tensor.
    """
    steps: list[End] = []
    for call in network.calls:
        layer: Any = network.layer(call.layer)
        site.enter(prefix + call.name)
        unit = Unit(
            prefix + call.name,
            layer,
            [tensors[ref] for ref in call.inputs],
            [_shape(shapes, ref) for ref in call.inputs],
            [None if ref is None else tensors[ref] for ref in call.masks],
            shapes.get(call.name, ()),
            call.outputs,
            shapes,
        )
        if call.gives_mask is not None:
            mask = site.rename(_mask(site, call, layer, unit), f"{unit.name}:mask")
            tensors[Ref(call.name, mask=True)] = mask
            steps.append((mask, "bool", shapes.get(mask)))
        for index, made in enumerate(makers()[layer.operation](site, unit)):
            name = unit.name if index == 0 else f"{unit.name}#{index}"
            tensors[Ref(call.name, index)] = site.rename(made, name)
            steps.append((name, site.dtype, shapes.get(name)))
    return steps


def _shape(shapes: Mapping[str, Shape], ref: Ref) -> Shape:
    return shapes[ref.name if ref.index == 0 else f"{ref.name}#{ref.index}"]


def _mask(site: OnnxSite, call: KerasCall, layer: KerasLayer, unit: Unit) -> str:
    """The mask that a call hands on."""
    given = [mask for mask in unit.masks if mask is not None]
    if call.gives_mask == "any":
        return counted(site, unit.inputs[0], layer)
    if call.gives_mask == "nonzero":
        words = site.cast(unit.inputs[0], "int64")
        return site.add("Not", site.add("Equal", words, site.whole(0)))
    if call.gives_mask == "concatenate":
        return site.add("Concat", *given, axis=1)
    mask = given[0]
    for other in given[1:]:
        mask = site.add("And", mask, other)
    return mask


def counted(site: OnnxSite, tensor: str, layer: KerasLayer) -> str:
    """Which time steps hold anything but what is masked; compared in float32, as the legacy layer did."""
    value = float(np.float32(layer.parameters["value"]))
    differs = site.add("Not", site.add("Equal", tensor, site.real(value)))
    most = site.add("ReduceMax", site.cast(differs), axes=[-1], keepdims=0)
    return site.add("Greater", most, site.real(0.5))


def shapes_of(network: KerasNetwork) -> dict[str, Shape]:
    """The shape of a row of every input and step, None where it is left open: by the reference, on zeros.

    Raises:
        UnbuildableError: no length fits an axis that is left open.
    """
    if not any(each.shape is None or None in each.shape for each in network.inputs):
        return dict(_try(network, 0))
    for first, second in LENGTHS:
        try:
            one, other = _try(network, first), _try(network, second)
        except Exception:  # of whatever kind a layer raises that such a length does not fit
            continue
        return {
            name: tuple(a if a == b else None for a, b in zip(shape, other[name], strict=True))
            for name, shape in one.items()
        }
    raise UnbuildableError(
        f"{network.name} as ONNX", found="an axis of its input that is left open, for which no length was found",
        expected="an input of a fixed shape",
    )  # fmt: skip


def _try(network: KerasNetwork, length: int) -> dict[str, tuple[int, ...]]:
    """Shapes of everything, for one length of the open axes."""
    program = build_program(network)
    feeds = {}
    for name, each in zip(program.inputs, network.inputs, strict=True):
        shape = each.shape if each.shape is not None else _guess(network)
        feeds[name] = np.zeros((1, *(length if size is None else size for size in shape)))
    found = {name: values.shape[1:] for name, values in feeds.items()}
    found |= {name: np.shape(trace.outputs)[1:] for name, trace in follow(network, program, feeds).items()}
    for step in program.steps:
        inner = getattr(step, "inner", None)
        if isinstance(inner, Program):
            found |= _inside(step.name.split("@")[0], inner, found[step.inputs[0]][1:])
    return found


def _inside(name: str, inner: Program, shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """The same of a model that is applied to every time step."""
    traces = inner.trace(np.zeros((1, *shape)))
    return {f"{name}/{each}": np.shape(trace.outputs)[1:] for each, trace in traces.items()}


def _guess(network: KerasNetwork) -> Shape:
    """The shape of the only input from the first layer's kernel, where the file does not say it."""
    layer: Any = network.layer(network.calls[0].layer)
    columns = layer.weights["kernel"].shape[0]
    return (None, columns) if layer.operation == "Recurrent" else (columns,)


def _time_distributed(site: OnnxSite, unit: Unit) -> list[str]:
    """Time steps as rows, what is inside, and back."""
    model, rest = unit.layer.model, unit.shapes[0][1:]
    rows = merge_rows(site, unit.inputs[0], len(rest))
    if model is not None:
        tensors = {Ref(model.inputs[0].name): rows}
        # What is inside bears the wrapper's name already; a second call of it needs another.
        known = {**unit.known, model.inputs[0].name: rest}
        add_calls(site, model, tensors, known, f"{unit.name}:" if "@" in unit.name else "")
        site.enter(unit.name)
        found = tensors[model.outputs[0]]
    else:
        (inner,) = unit.layer.inner
        part = Unit(unit.name, inner, [rows], [rest], [None], unit.outcome[1:])
        found = makers()[inner.operation](site, part)[0]
    return [split_rows(site, found, unit.inputs[0], len(unit.outcome) - 1)]


def merge_rows(site: OnnxSite, tensor: str, rank: int) -> str:
    """(rows, steps, ...) to (rows * steps, ...), of so many axes behind."""
    behind = site.slice(site.add("Shape", tensor), [2], [2 + rank], [0])
    return site.add("Reshape", tensor, site.add("Concat", site.whole([-1]), behind, axis=0))


def split_rows(site: OnnxSite, tensor: str, like: str, rank: int) -> str:
    """The way back: rows and steps of another tensor, of so many axes behind."""
    begin = site.slice(site.add("Shape", like), [0], [2], [0])
    behind = site.slice(site.add("Shape", tensor), [1], [1 + rank], [0])
    return site.add("Reshape", tensor, site.add("Concat", begin, behind, axis=0))
