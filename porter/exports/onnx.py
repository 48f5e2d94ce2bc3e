"""A network as an ONNX file, written from the network itself: Keras has no part in it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import singledispatch
from pathlib import Path
from typing import Any

from porter.errors import UnbuildableError
from porter.exports.onnx_chain import add_layer
from porter.exports.onnx_site import End, Ends, OnnxSite, as_tensors, element_type
from porter.network import Network, Scaling, Transform
from porter.network.graph import KerasNetwork
from porter.network.placement import check_choice, check_unplaced, placed
from porter.ports.packages import require

DTYPES = ("float32", "float64")
OPSET, IR_VERSION = 17, 8
"""What onnxruntime 1.12 and later runs."""
ONLY_FLOAT32 = ("AveragePool", "Conv", "ConvTranspose", "Erf", "Resize")
"""Of what is written here; measured with onnxruntime 1.32."""
RECORD = "porter_provenance"
"""Key of the provenance record among the metadata."""


def build_onnx(network: Network, *, dtype: str = "float32", layers: bool = False, placement: str = "inside") -> Any:
    """The graph of a network, each legacy step a tensor that bears its name.

    Args:
        network: as read.
        dtype: of every tensor of real numbers.
        layers: whether every step is an output, behind those of the network.
        placement: where the scaling goes: "inside", "folded" into the dense layers, or "outside".

    Returns:
        onnx.ModelProto, checked.

    Raises:
        UsageError: an unknown dtype or placement.
        UnbuildableError: layers that ONNX has no operation for, all of them named.
        MissingPackageError: no ``onnx``.
    """
    require("onnx", "onnx")
    check_choice("dtype", dtype, DTYPES)
    site = OnnxSite(dtype)
    ends = _add(network, site, placement)
    _check_wide(site, network)
    return _model(site, network, ends, layers)


def _check_wide(site: OnnxSite, network: Network) -> None:
    """Refuse float64 where onnxruntime could not run it."""
    if site.dtype != "float64":
        return
    lacking = [f"{node.name} ({node.op_type})" for node in site.nodes if node.op_type in ONLY_FLOAT32]
    if lacking:
        raise UnbuildableError(
            f"{network.name} as ONNX in float64", found=f"what onnxruntime has in float32 alone: {', '.join(lacking)}",
            expected="operations that it has in float64", remedy="write it in float32",
        )  # fmt: skip


@singledispatch
def _add(network: Network, site: OnnxSite, placement: str) -> Ends:
    """Every layer of a network."""
    layers = placed(network, placement)
    tensor, steps = "inputs", list[End]()
    for layer in layers:
        tensor = add_layer(site, layer, tensor)
        steps.append((tensor, site.dtype, None))
    return Ends([("inputs", site.dtype, (layers[0].width[0],))], steps[-1:], steps)


@_add.register(KerasNetwork)
def _(network: KerasNetwork, site: OnnxSite, placement: str) -> Ends:
    from porter.exports.onnx_graph import add_graph

    check_unplaced(placement)
    return add_graph(site, network)


def _model(site: OnnxSite, network: Network, ends: Ends, layers: bool) -> Any:
    import onnx
    from onnx import helper

    given = [*ends.outputs, *(step for step in ends.steps if step not in ends.outputs)] if layers else ends.outputs
    graph = helper.make_graph(
        site.nodes,
        network.name,
        [_info(end) for end in ends.inputs],
        [_info(end) for end in {end[0]: end for end in given}.values()],
        as_tensors(site.arrays),
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="porter"
    )
    helper.set_model_props(model, describe_ends(network))
    try:
        model = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True)
        del model.graph.value_info[:]
        onnx.checker.check_model(model)
    except Exception as error:  # of onnx' own kinds, which have no common base
        raise UnbuildableError(
            f"{network.name} as ONNX", found=f"a graph that onnx refuses: {str(error).strip().splitlines()[0]}"
        ) from error
    return model


def _info(end: End) -> Any:
    """What ONNX says of an input or output; the number of rows is left open, as every open axis is."""
    from onnx import helper

    name, dtype, shape = end
    sides = None if shape is None else ["rows", *(side or f"{name}_{axis}" for axis, side in enumerate(shape, 1))]
    return helper.make_tensor_value_info(name, element_type(dtype), sides)


def describe_ends(network: Network) -> dict[str, str]:
    """What a file says of the network's inputs and outputs, beside its graph.

    Returns:
        Texts by key: the network's name and family, the SHA-256 of the legacy file, and of each column the documented
        range and the function that it goes through, as JSON.
    """
    inputs, outputs = _ends(network)
    return {
        "porter_network": network.name,
        "porter_family": network.family,
        "porter_legacy": network.source.path.name,
        "porter_legacy_sha256": network.source.sha256,
        "porter_inputs": json.dumps(inputs),
        "porter_outputs": json.dumps(outputs),
    }


@singledispatch
def _ends(network: Network) -> tuple[list[Any], list[Any]]:
    """What is known of the inputs, and of the outputs."""
    return _columns_of(network, first=True), _columns_of(network, first=False)


@_ends.register(KerasNetwork)
def _(network: KerasNetwork) -> tuple[list[Any], list[Any]]:
    return [each.name for each in network.inputs], [ref.name for ref in network.outputs]


def _columns_of(network: Network, *, first: bool) -> list[dict[str, Any]]:
    """What is known of each column: its range where it is scaled, and the function between it and physical units."""
    ends = network.layers if first else network.layers[::-1]
    scaling = next((layer for layer in ends[:2] if isinstance(layer, Scaling)), None)
    transform = next((layer for layer in ends[:1] if isinstance(layer, Transform)), None)
    names = ("mean", "standard_deviation") if scaling is not None and scaling.rule == "mean-std" else (
        "minimum", "maximum")  # fmt: skip
    count = network.end_widths[0 if first else 1]
    told: list[dict[str, Any]] = [{"column": number} for number in range(count)]
    for number, column in enumerate(told):
        if scaling is not None:
            column |= {name: float(value) for name, value in zip(names, scaling.stored[number], strict=True)}
        if transform is not None:
            column["function"] = transform.functions[number]
    return told


def save_onnx(model: Any, path: Path, record: Mapping[str, Any] | None = None) -> None:
    """Write the file, with the provenance record where there is one.

    Args:
        model: onnx.ModelProto; its metadata is added to.
        path: written over.
        record: plain data, ready for JSON.
    """
    if record is not None:
        kept = [each for each in model.metadata_props if each.key != RECORD]
        del model.metadata_props[:]
        model.metadata_props.extend(kept)
        model.metadata_props.add(key=RECORD, value=json.dumps(record, ensure_ascii=False, allow_nan=False))
    path.write_bytes(model.SerializeToString(deterministic=True))
