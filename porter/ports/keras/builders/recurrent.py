"""Recurrent layers, and what wraps layers along time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import layers, ops

from porter.errors import UnbuildableError
from porter.network.graph import KerasLayer
from porter.ports.keras.builders.convolution import edge
from porter.ports.keras.builders.site import Apply, Site
from porter.ports.keras.names import legal_name
from porter.ports.keras.versions import activates_by_layers, lacks_layers_as_activations


def make_recurrent(layer: KerasLayer, site: Site, name: str) -> Any:
    """SimpleRNN, LSTM, GRU or ConvLSTM alone, with the channels last."""
    p = layer.parameters
    shape = (*(None,) * p.get("dims", 0), p["units"])
    arguments: dict[str, Any] = {
        "activation": site.activation(p["activation"], shape) or "linear", "use_bias": p["use_bias"], "name": name,
        "dtype": site.policy,
        **{key: p[key] for key in ("return_sequences", "return_state", "go_backwards")},
        "stateful": p["stateful"] and site.keeps_states,
    }  # fmt: skip
    if site.dtype == "bfloat16":
        arguments["recurrent_initializer"] = "zeros"  # TensorFlow makes no orthogonal matrix in it
    if p["zero_output_for_mask"]:
        arguments["zero_output_for_mask"] = True
    if p["kind"] != "SimpleRNN":
        arguments["recurrent_activation"] = site.activation(p["recurrent_activation"], shape) or "linear"
    if p["kind"] == "GRU":
        arguments["reset_after"] = p["reset_after"]
    if "dims" in p:
        rule, before = edge(layer, site)
        even = p["theano"] and any(size % 2 == 0 for size in p["size"])
        if before is not None or even:
            raise UnbuildableError(f"layer {layer.name!r}", found="a ConvLSTM padded as Theano pads an even window")
        arguments |= {
            "kernel_size": p["size"], "strides": p["strides"], "dilation_rate": p["dilation"], "padding": rule,
            "data_format": "channels_last",
        }  # fmt: skip
    return getattr(layers, p["kind"])(p["units"], **arguments)


def keep_recurrent(made: Any, layer: KerasLayer, site: Site) -> Any:
    """Remember the arrays of a recurrent layer."""
    # A stateful layer's own weights have its states among them.
    return site.keep(made.cell, layer.weights, "kernel", "recurrent_kernel", "bias") and made


def recurrent(layer: KerasLayer, site: Site) -> Apply:
    """A recurrent layer, with initial states and mask where it is given them."""
    made = keep_recurrent(make_recurrent(layer, site, legal_name(layer.name)), layer, site)

    def apply(tensors: Sequence[Any], masks: Sequence[Any]) -> list[Any]:
        return _as_list(made(tensors[0], **_recurrent_inputs(tensors, masks)))

    apply.layers = [made]  # type: ignore[attr-defined]
    return apply


def _recurrent_inputs(tensors: Sequence[Any], masks: Sequence[Any]) -> dict[str, Any]:
    states = {"initial_state": list(tensors[1:])} if len(tensors) > 1 else {}
    return states | ({"mask": masks[0]} if masks and masks[0] is not None else {})


def _as_list(outputs: Any) -> list[Any]:
    return list(outputs) if isinstance(outputs, list | tuple) else [outputs]


def conv_lstm(layer: KerasLayer, site: Site) -> Apply:
    """ConvLSTM1D to 3D; channels first, each step turned."""
    p, name = layer.parameters, legal_name(layer.name)
    if not p["channels_first"]:
        return recurrent(layer, site)
    made = keep_recurrent(make_recurrent(layer, site, f"{name}_channels_last"), layer, site)
    ahead = _frames_ahead(p, name, site)
    back = _frames_back(p, name, site)
    order = (p["dims"] + 1, *range(1, p["dims"] + 1))
    states = [layers.Permute(order, name=f"{name}_state{n}", dtype=site.policy) for n in (1, 2)]

    def apply(tensors: Sequence[Any], masks: Sequence[Any]) -> list[Any]:
        if len(tensors) > 1:
            raise UnbuildableError(f"layer {layer.name!r}", found="initial states with the channels first")
        outputs = _as_list(made(ahead(tensors[0]), **_recurrent_inputs(tensors[:1], masks)))
        return [back(outputs[0]), *(turn(state) for turn, state in zip(states, outputs[1:], strict=False))]

    return apply


def _frames_ahead(p: Mapping[str, Any], name: str, site: Site) -> Any:
    """(steps, channels, *space) to channels last."""
    order = (1, *range(3, p["dims"] + 3), 2)
    return layers.Permute(order, name=f"{name}_turned", dtype=site.policy)


def _frames_back(p: Mapping[str, Any], name: str, site: Site) -> Any:
    """(steps, *space, filters), or the last of them, to channels first."""
    dims = p["dims"]
    order = (1, dims + 2, *range(2, dims + 2)) if p["return_sequences"] else (dims + 1, *range(1, dims + 1))
    return layers.Permute(order, name=name, dtype=site.policy)


JOINS = {"concat": layers.Concatenate, "sum": layers.Add, "mul": layers.Multiply, "ave": layers.Average}


def bidirectional(layer: KerasLayer, site: Site) -> Apply:
    """Two recurrent layers, one against time."""
    p = layer.inner[0].parameters
    turned = "dims" in p and p["channels_first"]
    together: list[Any] = []

    def apply(tensors: Sequence[Any], masks: Sequence[Any]) -> list[Any]:
        masked = bool(masks) and masks[0] is not None
        if not together:
            # Keras 3's Bidirectional gives zeros at masked steps; that of Keras 1 and 2.0 to 2.3 did not.
            apart = masked and p["return_sequences"] and not p["zero_output_for_mask"]
            together.append((two_directions if apart else one_wrapper)(layer, site))
        outputs: list[Any] = together[0](tensors, masks)
        return outputs

    if not turned:
        return apply
    return directions_turned(layer, site)


def two_directions(layer: KerasLayer, site: Site) -> Apply:
    """The two layers side by side, the second's sequence turned back, and what merges them."""
    name, mode = legal_name(layer.name), layer.parameters["merge_mode"]
    if mode is None or layer.inner[0].parameters["return_state"]:
        raise UnbuildableError(f"layer {layer.name!r}", found="masked directions apart, or with their states")
    sides = [
        keep_recurrent(make_recurrent(one, site, f"{name}_{side}"), one, site)
        for one, side in zip(layer.inner, ("forward", "backward"), strict=True)
    ]
    join = JOINS[mode](name=name, dtype=site.policy)

    def apply(tensors: Sequence[Any], masks: Sequence[Any]) -> list[Any]:
        ahead, back = (side(tensors[0], **_recurrent_inputs(tensors[:1], masks)) for side in sides)
        return [join([ahead, ops.flip(back, axis=1)])]

    return apply


def one_wrapper(layer: KerasLayer, site: Site) -> Apply:
    """Keras' own Bidirectional."""
    made = make_bidirectional(layer, site, legal_name(layer.name), layer.parameters["merge_mode"])
    return lambda tensors, masks: _as_list(made(tensors[0], **_recurrent_inputs(tensors, masks)))


def make_bidirectional(layer: KerasLayer, site: Site, name: str, mode: str | None) -> Any:
    """Bidirectional around both, with their arrays remembered."""
    forward, backward = layer.inner
    _check_copied(layer)
    made = layers.Bidirectional(
        make_recurrent(forward, site, legal_name(forward.name)), merge_mode=mode,
        backward_layer=make_recurrent(backward, site, f"{legal_name(backward.name)}_back"), name=name,
        dtype=site.policy,
    )  # fmt: skip
    # Bidirectional makes layers of its own from those that it is given.
    keep_recurrent(made.forward_layer, forward, site)
    keep_recurrent(made.backward_layer, backward, site)
    return made


def _check_copied(layer: KerasLayer) -> None:
    """Bidirectional makes layers of its own from configurations, in which this Keras may take no layer."""
    spelt = [
        one.parameters[key]
        for one in layer.inner
        for key in ("activation", *(() if one.parameters["kind"] == "SimpleRNN" else ("recurrent_activation",)))
    ]
    names = [name for name in spelt if name == "hard_sigmoid_keras2" or "(" in name]
    if names and not activates_by_layers():
        raise lacks_layers_as_activations(f"layer {layer.name!r}", names)


def directions_turned(layer: KerasLayer, site: Site) -> Apply:
    """A ConvLSTM in both directions with the channels first: merged as the legacy layer merges, along its last axis."""
    p, name, mode = layer.inner[0].parameters, legal_name(layer.name), layer.parameters["merge_mode"]
    if mode is None or p["return_state"]:
        raise UnbuildableError(f"layer {layer.name!r}", found="both directions or states with the channels first")
    made = make_bidirectional(layer, site, f"{name}_directions", None)
    ahead = _frames_ahead(p, name, site)
    backs = [_frames_back(p, f"{name}_{side}", site) for side in ("forward", "backward")]
    join = JOINS[mode](name=name, dtype=site.policy)

    def apply(tensors: Sequence[Any], masks: Sequence[Any]) -> list[Any]:
        outputs = _as_list(made(ahead(tensors[0]), **_recurrent_inputs(tensors[:1], masks)))
        return [join([back(output) for back, output in zip(backs, outputs, strict=True)])]

    return apply


def time_distributed(layer: KerasLayer, site: Site) -> Apply:
    """TimeDistributed around one layer, or around a model of what is inside."""
    name = legal_name(layer.name)
    wrappers: list[Any] = []

    def apply(tensors: Sequence[Any], masks: Sequence[Any]) -> list[Any]:
        del masks
        if not wrappers:
            inner = _inside(layer, tensors[0].shape[2:], tensors[0].dtype, site)
            wrappers.append(layers.TimeDistributed(inner, name=name, dtype=site.policy))
        return [wrappers[0](tensors[0])]

    return apply


def _inside(wrapper: KerasLayer, shape: Sequence[int | None], dtype: str, site: Site) -> Any:
    if wrapper.model is not None:
        return site.connect(wrapper.model, site, shape=tuple(shape), dtype=dtype)
    (inner,) = wrapper.inner
    apply = site.operations[inner.operation](inner, site)
    alone: list[Any] = getattr(apply, "layers", [])
    if len(alone) == 1:
        return alone[0]
    begin = keras.Input(tuple(shape), dtype=dtype)
    return keras.Model(begin, apply([begin], [None])[0], name=f"{legal_name(inner.name)}_model")
