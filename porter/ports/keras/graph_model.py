"""A legacy Keras network to a keras.Model of Keras 3's own layers, flat, with the legacy names."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray

from porter.errors import PortError, UnbuildableError, first_line
from porter.formats.keras_legacy.errors import WeightsMissingError
from porter.network.graph import KerasCall, KerasInput, KerasLayer, KerasNetwork, Ref
from porter.network.placement import check_choice
from porter.network.words import WHOLE, carriers, words_of
from porter.ports.keras.builders.site import Apply, Site, masked_value, named
from porter.ports.keras.builders.table import OPERATIONS
from porter.ports.keras.names import DTYPES, legal_name, name_operations
from porter.ports.keras.nodes import calls_of

Array = NDArray[Any]
LARGEST = 2**30
"""Numbers that all layers together may compute for one row."""


def build_graph(network: KerasNetwork, *, dtype: str = "float32") -> Any:
    """Build the port: nested models opened up, shared layers shared, the last layer of each legacy layer named as it.

    Args:
        network: as read, with weights.
        dtype: policy of every layer: "float32", "float64", "mixed_float16", ...

    Returns:
        keras.Model with the inputs and outputs of the legacy model, in its order.

    Raises:
        WeightsMissingError: an architecture alone.
        UnbuildableError: a layer that Keras' own layers cannot express.
    """
    check_choice("dtype", dtype, DTYPES)
    if not network.has_weights and any(layer.weights == {} and needs_weights(layer) for layer in network.every_layer()):
        raise WeightsMissingError(
            f"{network.source.path} is an architecture without weights",
            expected="the weights too",
            remedy="porter port architecture.json --weights weights.h5 (weights=)",
        )
    site = Site(dtype, keras.DTypePolicy(dtype).variable_dtype, OPERATIONS, connect, keeps_states=keeps_states(network))
    model = connect(network, site)
    for made, arrays in site.weights:
        set_weights(made, arrays, site)
    return model


def keeps_states(network: KerasNetwork) -> bool:
    """Whether a layer is stateful, and every input says how many rows a batch has."""
    wanted = any(layer.parameters.get("stateful") for layer in network.every_layer())
    return wanted and all(each.rows is not None for each in network.inputs)


def needs_weights(layer: KerasLayer) -> bool:
    """Whether a layer without arrays cannot compute anything."""
    kinds = ("Conv", "Dense", "Embedding", "Recurrent", "PReLU", "BatchNorm", "LayerNorm")
    return any(kind in layer.operation for kind in kinds) and layer.operation != "Replaced"


def set_weights(made: Any, arrays: Sequence[Array], site: Site) -> None:
    """Cast every array once, from the precision it is stored in, and set it.

    Raises:
        UnbuildableError: Keras gives the layer other variables than the file.
    """
    with np.errstate(over="ignore"):
        cast = [np.asarray(array).astype(np.dtype(site.dtype), copy=False) for array in arrays]
    wanted = [tuple(variable.shape) for variable in made.weights]
    if [array.shape for array in cast] != wanted:
        raise UnbuildableError(
            f"layer {made.name!r}", found=f"arrays of shape {', '.join(str(array.shape) for array in cast)}",
            expected=f"shape {', '.join(map(str, wanted))}, by what comes into the layer",
            remedy="the weights belong to another architecture",
        )  # fmt: skip
    made.set_weights(cast)


def connect(
    network: KerasNetwork, site: Site, *, shape: tuple[int | None, ...] | None = None, dtype: str | None = None
) -> Any:
    """The calls of a network, one after the other, as a functional model; its weights are set later.

    Args:
        network: whose layers are built.
        site: what the builders share.
        shape: of its only input, where the network is inside another.
        dtype: of that input.
    """
    begins = [make_input(each, network, site, shape, dtype) for each in network.inputs]
    tensors: dict[Ref, Any] = {Ref(each.name): begin for each, begin in zip(network.inputs, begins, strict=True)}
    applied: dict[str, Apply] = {}
    size = 0
    is_short = keras.DTypePolicy(site.policy).compute_dtype in ("float16", "bfloat16")
    carried = carriers(network) if is_short else frozenset()  # which have to hold each word
    for call in network.calls:
        layer, own = network.layer(call.layer), replace(site, policy="float32") if call.name in carried else site
        try:
            outputs = run(call, layer, tensors, applied, network, own)  # type: ignore[arg-type]
        except (ValueError, TypeError, ArithmeticError, RuntimeError, NotImplementedError, IndexError) as error:
            raise UnbuildableError(
                f"{network.source.path}: layer {call.name!r}, a {layer.kind}",  # type: ignore[union-attr]
                found=first_line(error), expected="a layer that Keras 3 can build here",
            ) from error  # fmt: skip
        for index, output in enumerate(outputs):
            size += check_size(call, output, size)
            tensors[Ref(call.name, index)] = output
    ends = [tensors[ref] for ref in network.outputs]
    alone = [each[0] if len(each) == 1 else each for each in (begins, ends)]
    # Keras refuses a name that stands twice, and may have counted an operation to a name that the file has.
    for number, operation in enumerate(bare_operations(ends)):
        operation.name = f"operation {number}"
    model = keras.Model(*alone, name=legal_name(network.name))
    name_operations(model)
    return model


def make_input(
    each: KerasInput, network: KerasNetwork, site: Site, shape: tuple[int | None, ...] | None, dtype: str | None
) -> Any:
    """An input in the port's dtype; of whole numbers where the legacy one is, and of float32 at least for words."""
    found = shape if shape is not None else each.shape
    if found is None:
        found = infer_shape(network)
    own = keras.DTypePolicy(site.policy).variable_dtype
    if each.dtype in WHOLE:
        own = each.dtype
    elif each.name in words_of(network) and own != "float64":
        own = "float32"
    rows = each.rows if site.keeps_states else None
    return keras.Input(batch_shape=(rows, *found), name=legal_name(each.name), dtype=dtype or own)


def infer_shape(network: KerasNetwork) -> tuple[int | None, ...]:
    """The shape of the only input from the first layer's kernel, where the file does not say it.

    Raises:
        UnbuildableError: the first layer has none.
    """
    first = network.layer(network.calls[0].layer)
    kernel = getattr(first, "weights", {}).get("kernel")
    if kernel is None or len(network.inputs) > 1 or first.operation not in ("Dense", "Recurrent"):  # type: ignore[union-attr]
        raise UnbuildableError(
            f"{network.source.path}: the shape of the input is stored nowhere", expected="batch_input_shape",
            remedy="save the model again after it was called once",
        )  # fmt: skip
    return (None, kernel.shape[0]) if first.operation == "Recurrent" else (kernel.shape[0],)  # type: ignore[union-attr]


def run(
    call: KerasCall, layer: KerasLayer, tensors: dict[Ref, Any], applied: dict[str, Apply], network: KerasNetwork,
    site: Site,
) -> list[Any]:  # fmt: skip
    """One call: the layer is built at its first one."""
    inputs = [tensors[ref] for ref in call.inputs]
    masks = [None if ref is None else tensors[ref] for ref in call.masks]
    if layer.name not in applied:
        if layer.operation == "Replaced":
            applied[layer.name] = named(legal_name(layer.name), network.replacements[layer.name], site)
        else:
            applied[layer.name] = OPERATIONS[layer.operation](layer, site)
    if call.gives_mask is not None:
        tensors[Ref(call.name, mask=True)] = make_mask(call, layer, inputs, masks)
    return applied[layer.name](inputs, masks)


def make_mask(call: KerasCall, layer: KerasLayer, inputs: Sequence[Any], masks: Sequence[Any]) -> Any:
    """The mask that a call hands on, as a tensor of its own."""
    given = [mask for mask in masks if mask is not None]
    if call.gives_mask == "any":
        mask = ops.any(ops.not_equal(inputs[0], masked_value(layer)), axis=-1)
    elif call.gives_mask == "nonzero":
        mask = ops.not_equal(inputs[0], 0)
    elif call.gives_mask == "concatenate":
        mask = ops.concatenate(given, axis=1)
    else:
        mask = given[0]
        for other in given[1:]:
            mask = ops.logical_and(mask, other)
    return layers.Identity(name=legal_name(f"{call.name}_mask"), dtype="bool")(mask)


def check_size(call: KerasCall, output: Any, before: int) -> int:
    """How many numbers a call gives for one row; refused, before anything is computed, where no machine holds them.

    Raises:
        UnbuildableError: with those ``before`` it more than ``LARGEST``.
    """
    size = math.prod(n for n in output.shape[1:] if n is not None)
    if before + size > LARGEST:
        raise UnbuildableError(
            f"layer {call.name!r}", found=f"outputs of shape {tuple(output.shape)}, after {before:,} numbers",
            expected=f"at most {LARGEST:,} numbers a row", remedy="the file is damaged or hostile",
        )  # fmt: skip
    return size


def bare_operations(tensors: Sequence[Any]) -> list[Any]:
    """What keras.ops made of all that some tensors are computed from."""
    waiting, seen = list(tensors), {}
    while waiting:
        operation, number, _ = waiting.pop()._keras_history
        nodes = getattr(operation, "_inbound_nodes", [])
        if (id(operation), number) not in seen:
            seen[id(operation), number] = operation
            waiting += nodes[number].input_tensors if number < len(nodes) else []
    return [operation for operation in seen.values() if not isinstance(operation, keras.layers.Layer)]


def pairs(network: KerasNetwork, model: Any) -> dict[str, Any]:
    """Which tensor of a port computes which step, by the names that both bear.

    Args:
        network: the legacy network.
        model: its port, as built here or loaded again.

    Returns:
        KerasTensors by step name, those of masks (``layer:mask``) and further outputs (``layer#1``) included.

    Raises:
        PortError: the port has no such layer, or it is not called as often.
    """
    operations = {operation.name: operation for operation in getattr(model, "operations", model.layers)}
    found: dict[str, Any] = {}
    numbers: Counter[str] = Counter()
    for call in network.calls:
        number = numbers[call.layer]
        numbers[call.layer] += 1
        outputs = _outputs(model, operations, legal_name(call.layer), number)
        for index, output in enumerate(outputs[: call.outputs]):
            found[call.name if index == 0 else f"{call.name}#{index}"] = output
        mask = legal_name(f"{call.name}_mask")
        if call.gives_mask is not None and mask in operations:  # a mask that no layer uses is not in the port
            found[f"{call.name}:mask"] = _outputs(model, operations, mask, 0)[0]
    return found


def _outputs(model: Any, operations: Mapping[str, Any], name: str, number: int) -> list[Any]:
    nodes = calls_of(model, operations.get(name))
    if number >= len(nodes):
        raise PortError(
            f"the port has no call {number + 1} of a layer {name!r}",
            found=f"the layers {', '.join(list(operations)[:12])}",
            expected="a port that bears the names of the legacy model",
        )
    return list(nodes[number].output_tensors)
