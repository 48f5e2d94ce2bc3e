"""What Keras 3 has for each canonical legacy layer: one layer where it can be, else several of Keras' own in a row.

Of the layers that stand for one legacy layer the last bears its name, so that what it gives is found by that name.
Arrays with the channels first are turned and turned back, because TensorFlow's convolutions on a CPU want them last.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray

from porter.errors import UnbuildableError
from porter.network.graph import KerasLayer
from porter.ports.keras.names import FUSED, legal_name
from reference.activation_names import parse_activation

Array = NDArray[Any]
Apply = Callable[[Sequence[Any], Sequence[Any]], list[Any]]
Maker = Callable[[str], Any]


@dataclass
class Site:
    """What the builders share.

    Attributes:
        policy: dtype policy of every layer.
        dtype: of the weights.
        operations: the builder of each canonical layer, by the name of its operation.
        connect: what makes a model of a network inside another.
        weights: layers and the arrays to set in the end.
        keeps_states: whether every input says how many rows a batch has, without which nothing can be stateful.
    """

    policy: str
    dtype: str
    operations: Mapping[str, Callable[[KerasLayer, Site], Apply]]
    connect: Callable[..., Any]
    weights: list[tuple[Any, list[Array]]] = field(default_factory=list)
    keeps_states: bool = False

    def keep(self, made: Any, arrays: Mapping[str, Array], *order: str) -> Any:
        """Remember the arrays of a layer, in Keras' order of its variables."""
        self.weights.append((made, [arrays[role] for role in order if role in arrays]))
        return made

    def activation(self, name: str, shape: tuple[int | None, ...] | None = None) -> Any:
        """What a layer's ``activation`` argument takes for it: a name, or layers where Keras 3 has no such name.

        Args:
            name: as the reference has it.
            shape: of one row that it is applied to, where that is known.
        """
        if name == "hard_sigmoid_keras2" and (shape is not None or self.policy == "float32"):
            return hard_sigmoid_keras2(self, name, shape)
        if name in FUSED:
            return None if name == "linear" else name
        if "(" in name:
            return self.parametric(name)
        raise UnbuildableError("activation", found=repr(name), expected=f"one of {', '.join(FUSED)}")

    def parametric(self, spelt: str) -> Any:
        """Keras' layer for an activation with parameters, which other layers take as their activation too."""
        activation = parse_activation(spelt)
        parameters = dict(activation.parameters)
        if activation.name == "thresholded_relu":
            kind, parameters = layers.ReLU, {"threshold": parameters["theta"]}
        else:
            kind = {"relu": layers.ReLU, "leaky_relu": layers.LeakyReLU, "elu": layers.ELU}[activation.name]
        return kind(**parameters, name=activation.name, dtype=self.policy)


def hard_sigmoid_keras2(site: Site, name: str, shape: tuple[int | None, ...] | None = None) -> Any:
    """clip(0.2 x + 0.5, 0, 1) of Keras' own layers, which a saved file holds like any other activation.

    A Sequential casts what it is given to float32, unless an Input of its own says otherwise.
    """
    parts = [make(suffix) for suffix, make in hard_sigmoid_layers(site)]
    if site.policy != "float32" and shape is not None:
        parts.insert(0, keras.Input(shape, dtype=keras.DTypePolicy(site.policy).compute_dtype))
    return keras.Sequential(parts, name=name)


def hard_sigmoid_layers(site: Site) -> tuple[tuple[str, Maker], tuple[str, Maker]]:
    """The line and the clip."""
    scale, offset = np.array([0.2]), np.array([0.5])
    return (
        ("line", lambda name: layers.Rescaling(scale, offset, name=name, dtype=site.policy)),
        ("clip", lambda name: layers.ReLU(max_value=1.0, name=name, dtype=site.policy)),
    )


def is_apart(layer: KerasLayer, site: Site) -> bool:
    """Whether the activation cannot be fused: the old hard sigmoid in another dtype than float32."""
    return layer.parameters.get("activation") == "hard_sigmoid_keras2" and site.policy != "float32"


def in_a_row(name: str, *makers: tuple[str, Maker] | None) -> Apply:
    """One input through several layers, each named after its part, the last after the legacy layer alone."""
    parts = [part for part in makers if part is not None]
    made = [make(name if part is parts[-1] else f"{name}_{suffix}") for part in parts for suffix, make in [part]]

    def apply(tensors: Sequence[Any], masks: Sequence[Any]) -> list[Any]:
        del masks
        tensor = tensors[0]
        for one in made:
            tensor = one(tensor)
        return [tensor]

    apply.layers = made  # type: ignore[attr-defined]
    return apply


def named(name: str, function: Callable[..., Any], site: Site) -> Apply:
    """Keras' operations on the inputs, and a layer that does nothing to bear the name."""
    end = layers.Identity(name=name, dtype=site.policy)
    return lambda tensors, masks: [end(function(*tensors))]


def turn(dims: int, to: str, site: Site) -> tuple[str, Maker]:
    """Channels from first to last, or back."""
    space = range(2, dims + 2)
    order = (*space, 1) if to == "channels_last" else (dims + 1, *range(1, dims + 1))
    return to, lambda name: layers.Permute(order, name=name, dtype=site.policy)


def around(layer: KerasLayer, site: Site, *makers: tuple[str, Maker] | None) -> Apply:
    """Layers that want the channels last, turned to and back where the legacy layer has them first."""
    p = layer.parameters
    makers = (*makers, *(hard_sigmoid_layers(site) if is_apart(layer, site) else ()))
    if not p["channels_first"]:
        return in_a_row(legal_name(layer.name), *makers)
    softmax = p.get("activation") == "softmax"  # along the last axis of the legacy layout, which is no channel there
    return in_a_row(
        legal_name(layer.name), turn(p["dims"], "channels_last", site), *makers,
        turn(p["dims"], "channels_first", site),
        ("softmax", lambda name: layers.Softmax(name=name, dtype=site.policy)) if softmax else None,
    )  # fmt: skip


def convolution_arguments(layer: KerasLayer, site: Site) -> dict[str, Any]:
    """What all convolutions take."""
    p = layer.parameters
    later = (p["channels_first"] and p["activation"] == "softmax") or is_apart(layer, site)
    return {
        "kernel_size": p["size"], "strides": p["strides"], "dilation_rate": p["dilation"], "use_bias": p["use_bias"],
        "activation": None if later else site.activation(p["activation"]), "dtype": site.policy,
        "data_format": "channels_last",
    }  # fmt: skip


def spans(p: Mapping[str, Any]) -> list[int]:
    """How far a dilated kernel reaches."""
    return [(size - 1) * spread + 1 for size, spread in zip(p["size"], p["dilation"], strict=True)]


def edge(layer: KerasLayer, site: Site) -> tuple[str, tuple[str, Maker] | None]:
    """Keras' padding argument, and the layer of zeros that goes before it where Keras has no such rule."""
    p = layer.parameters
    rule, reach = p["padding"], spans(p)
    if rule == "half" and all(span % 2 and stride == 1 for span, stride in zip(reach, p["strides"], strict=True)):
        return "same", None
    if rule not in ("half", "full"):
        return rule, None
    amounts = [(span // 2, span - 1 - span // 2) if rule == "half" else (span - 1, span - 1) for span in reach]
    return "valid", ("edge", lambda name: at_edges("ZeroPadding", amounts, name, site, "channels_last"))


def at_edges(kind: str, amounts: Sequence[tuple[int, int]], name: str, site: Site, layout: str) -> Any:
    """ZeroPadding or Cropping before and behind each dimension of space."""
    dims = len(amounts)
    extra = {} if dims == 1 else {"data_format": layout}
    made = getattr(layers, f"{kind}{dims}D")
    return made(amounts[0] if dims == 1 else tuple(amounts), name=name, dtype=site.policy, **extra)


def convolution(layer: KerasLayer, site: Site) -> Apply:
    """Conv1D to Conv3D."""
    p = layer.parameters
    rule, before = edge(layer, site)
    arguments = convolution_arguments(layer, site) | {"padding": rule, "groups": p["groups"]}
    kind = getattr(layers, f"Conv{p['dims']}D")
    main = (
        "kernel",
        lambda name: site.keep(kind(p["filters"], name=name, **arguments), layer.weights, "kernel", "bias"),
    )
    return around(layer, site, before, main)


def depthwise(layer: KerasLayer, site: Site) -> Apply:
    """DepthwiseConv1D and 2D."""
    p = layer.parameters
    rule, before = edge(layer, site)
    if rule == "causal":
        rule, before = "valid", ("edge", lambda name: layers.ZeroPadding1D((spans(p)[0] - 1, 0), name=name,
                                                                           dtype=site.policy))  # fmt: skip
    arguments = convolution_arguments(layer, site) | {"padding": rule, "depth_multiplier": p["multiplier"]}
    kind = getattr(layers, f"DepthwiseConv{p['dims']}D")
    main = ("kernel", lambda name: site.keep(
        kind(name=name, **arguments), layer.weights, "kernel", "bias"
    ))  # fmt: skip
    return around(layer, site, before, main)


def separable(layer: KerasLayer, site: Site) -> Apply:
    """SeparableConv1D and 2D."""
    p = layer.parameters
    rule, before = edge(layer, site)
    arguments = convolution_arguments(layer, site) | {
        "padding": rule, "depth_multiplier": p["multiplier"], "filters": p["filters"],
    }  # fmt: skip
    kind = getattr(layers, f"SeparableConv{p['dims']}D")
    roles = ("depthwise_kernel", "pointwise_kernel", "bias")
    main = ("kernel", lambda name: site.keep(kind(name=name, **arguments), layer.weights, *roles))
    return around(layer, site, before, main)


def transposed(layer: KerasLayer, site: Site) -> Apply:
    """Conv1DTranspose to Conv3DTranspose; Theano's "same" is the whole output, cut."""
    p = layer.parameters
    rule, after = p["padding"], None
    if rule == "half":
        reach = spans(p)
        surplus = [max(span - stride, 0) for span, stride in zip(reach, p["strides"], strict=True)]
        cuts = [(span // 2, extra - span // 2) for span, extra in zip(reach, surplus, strict=True)]
        rule = "same"
        if any(first != extra // 2 for (first, _), extra in zip(cuts, surplus, strict=True)):
            if p["output_padding"] is not None or any(min(cut) < 0 for cut in cuts):
                raise UnbuildableError(
                    f"layer {layer.name!r}", found="a transposed convolution whose 'same' was Theano's",
                    expected="one that Keras' own layers can express",
                )  # fmt: skip
            rule, after = "valid", ("cut", lambda name: at_edges("Cropping", cuts, name, site, "channels_last"))
    arguments = convolution_arguments(layer, site) | {"padding": rule, "output_padding": p["output_padding"]}
    kind = getattr(layers, f"Conv{p['dims']}DTranspose")
    main = (
        "kernel",
        lambda name: site.keep(kind(p["filters"], name=name, **arguments), layer.weights, "kernel", "bias"),
    )
    return around(layer, site, main, after)


def local(layer: KerasLayer, site: Site) -> Apply:
    """LocallyConnected1D and 2D: patches, then a dense layer with a kernel of its own for each position."""
    p, name = layer.parameters, legal_name(layer.name)
    size, strides = (tuple(p[key]) + (1,) * (2 - p["dims"]) for key in ("size", "strides"))
    positions = len(layer.weights["kernel"])
    own = layers.EinsumDense(
        "bpk,pkf->bpf", output_shape=(positions, p["filters"]), bias_axes="pf" if p["use_bias"] else None,
        activation=None if p["channels_first"] else site.activation(p["activation"]), name=f"{name}_kernel",
        dtype=site.policy,
    )  # fmt: skip
    site.keep(own, layer.weights, "kernel", "bias")
    first = turn(p["dims"], "channels_last", site)[1](f"{name}_channels_last") if p["channels_first"] else None

    ends: list[Any] = []

    def apply(tensors: Sequence[Any], masks: Sequence[Any]) -> list[Any]:
        del masks
        x = tensors[0] if first is None else first(tensors[0])
        space = [(n - k) // s + 1 for n, k, s in zip(x.shape[1:-1], p["size"], p["strides"], strict=True)]
        if p["dims"] == 1:
            x = ops.expand_dims(x, 2)
        places = ops.image.extract_patches(x, size, strides=strides, padding="valid", data_format="channels_last")
        if not ends:
            ends.extend(_local_ends(layer, site, name, space))
        x = own(ops.reshape(places, (-1, positions, places.shape[-1])))
        for end in ends:
            x = end(x)
        return [x]

    return apply


def _local_ends(layer: KerasLayer, site: Site, name: str, space: Sequence[int]) -> list[Any]:
    """Positions back to space, channels back to the front, and the activation where it comes after that."""
    p = layer.parameters
    shape = (*space, p["filters"])
    if not p["channels_first"]:
        return [layers.Reshape(shape, name=name, dtype=site.policy)]
    back = turn(p["dims"], "channels_first", site)[1]
    return [
        layers.Reshape(shape, name=f"{name}_space", dtype=site.policy),
        back(f"{name}_channels_first"),
        layers.Activation(site.activation(p["activation"]), name=name, dtype=site.policy),
    ]


def pooling(layer: KerasLayer, site: Site) -> Apply:
    """Max and average pooling."""
    p = layer.parameters
    if p["padding"] == "theano":
        return theano_pooling(layer, site)
    kind = getattr(layers, f"{p['kind'].capitalize()}Pooling{p['dims']}D")
    arguments = {"strides": p["strides"], "padding": p["padding"], "data_format": "channels_last"}
    return around(layer, site, ("pool", lambda name: kind(p["size"], name=name, dtype=site.policy, **arguments)))


def theano_pooling(layer: KerasLayer, site: Site) -> Apply:
    """Theano's "same" pooling, which lets its windows begin further out than TensorFlow's."""
    p, name = layer.parameters, legal_name(layer.name)
    kind = getattr(layers, f"{p['kind'].capitalize()}Pooling{p['dims']}D")
    pool = kind(p["size"], strides=p["strides"], padding="valid", name=f"{name}_pool", dtype=site.policy)
    axes = range(2, 2 + p["dims"]) if p["channels_first"] else range(1, 1 + p["dims"])
    last, first = turn(p["dims"], "channels_last", site)[1], turn(p["dims"], "channels_first", site)[1]

    def compute(x: Any) -> Any:
        if p["channels_first"]:
            x = last(f"{name}_channels_last")(x)
        space = x.shape[1:-1]
        if None in space:
            raise UnbuildableError(
                f"layer {layer.name!r}", found=f"space {space}", expected="a fixed size of the input"
            )
        before = [k - 2 if k > 2 and k % 2 else k - 1 for k in p["size"]]
        wanted = [(-(-n // s) - 1) * s + k for n, s, k in zip(space, p["strides"], p["size"], strict=True)]
        after = [max(w - b - n, 0) for w, b, n in zip(wanted, before, space, strict=True)]
        edges = [(0, 0), *zip(before, after, strict=True), (0, 0)]
        keep = (slice(None), *(slice(0, w) for w in wanted), slice(None))
        if p["kind"] == "max":
            x = pool(ops.pad(x, edges, constant_values=-np.inf)[keep])
        else:
            inside = np.pad(np.ones((1, *space, 1)), edges)[keep].astype(site.dtype)
            share = np.asarray(_window_means(inside, p["size"], p["strides"]))
            x = pool(ops.pad(x, edges)[keep]) / share.astype(site.dtype)
        return first(f"{name}_channels_first")(x) if p["channels_first"] else x

    del axes
    return named(name, compute, site)


def _window_means(x: Array, size: Sequence[int], strides: Sequence[int]) -> Array:
    """The share of each window that lies inside."""
    axes = tuple(range(1, 1 + len(size)))
    views = np.lib.stride_tricks.sliding_window_view(x, tuple(size), axes)
    steps = (slice(None), *(slice(None, None, step) for step in strides))
    return np.asarray(views[steps].mean(axis=tuple(range(-len(size), 0))))


def global_pooling(layer: KerasLayer, site: Site) -> Apply:
    """Global max and average pooling, with the mask where there is one."""
    p = layer.parameters
    kind = getattr(layers, f"Global{p['kind'].capitalize()}Pooling{p['dims']}D")
    layout = "channels_first" if p["channels_first"] else "channels_last"
    made = kind(data_format=layout, keepdims=p["keepdims"], name=legal_name(layer.name), dtype=site.policy)

    def apply(tensors: Sequence[Any], masks: Sequence[Any]) -> list[Any]:
        masked = p["kind"] == "average" and masks and masks[0] is not None
        return [made(tensors[0], mask=masks[0]) if masked else made(tensors[0])]

    apply.layers = [made]  # type: ignore[attr-defined]
    return apply


def batch_norm(layer: KerasLayer, site: Site) -> Apply:
    """BatchNormalization; of an early Keras 1 deviation the variance is made that comes to the same."""
    p, weights = layer.parameters, dict(layer.weights)
    epsilon = p["epsilon"]
    if p["early"]:
        weights["moving_variance"] = (weights["moving_variance"].astype(np.float64) + epsilon) ** 2
        epsilon = 0.0
    roles = ("gamma", "beta", "moving_mean", "moving_variance")
    arguments = {"axis": p["axis"], "epsilon": epsilon, "center": p["center"], "scale": p["scale"]}
    return in_a_row(legal_name(layer.name), ("norm", lambda name: site.keep(
        layers.BatchNormalization(name=name, dtype=site.policy, **arguments), weights, *roles
    )))  # fmt: skip


def own_statistics(layer: KerasLayer, site: Site) -> Apply:
    """Modes 1 and 2 of Keras 1: the data's own mean and spread, then gamma and beta."""
    p, name = layer.parameters, legal_name(layer.name)
    axis = -1 if layer.operation == "SampleNorm" else p["axis"]
    units = len(layer.weights["gamma"])
    weights = dict(layer.weights) | {"moving_mean": np.zeros(units), "moving_variance": np.ones(units)}
    affine = layers.BatchNormalization(axis=axis, epsilon=0.0, name=name, dtype=site.policy)
    site.keep(affine, weights, "gamma", "beta", "moving_mean", "moving_variance")
    twice = not p["first"] if layer.operation == "SampleNorm" else p["early"]

    def apply(tensors: Sequence[Any], masks: Sequence[Any]) -> list[Any]:
        del masks
        x = tensors[0]
        rank = len(x.shape)
        axes = (
            [rank - 1]
            if axis == -1 and layer.operation == "SampleNorm"
            else [a for a in range(rank) if a != axis % rank]
        )
        variance = ops.var(x, axis=axes, keepdims=True)
        inside = 0.0 if layer.operation == "SampleNorm" and p["first"] else p["epsilon"]
        divisor = ops.sqrt(variance + inside)
        divisor = divisor + p["epsilon"] if twice or inside == 0.0 else divisor
        return [affine((x - ops.mean(x, axis=axes, keepdims=True)) / divisor)]

    return apply


def layer_norm(layer: KerasLayer, site: Site) -> Apply:
    """LayerNormalization."""
    p = layer.parameters
    arguments = {key: p[key] for key in ("axis", "epsilon", "center", "scale")}
    return in_a_row(legal_name(layer.name), ("norm", lambda name: site.keep(
        layers.LayerNormalization(name=name, dtype=site.policy, **arguments), layer.weights, "gamma", "beta"
    )))  # fmt: skip


def dense(layer: KerasLayer, site: Site) -> Apply:
    """Dense, the activation fused."""
    p, apart = layer.parameters, is_apart(layer, site)
    fused = None if apart else site.activation(p["activation"])
    main = ("kernel", lambda name: site.keep(
        layers.Dense(p["units"], fused, p["use_bias"], name=name, dtype=site.policy), layer.weights, "kernel", "bias"
    ))  # fmt: skip
    return in_a_row(legal_name(layer.name), main, *(hard_sigmoid_layers(site) if apart else ()))


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
    made = layers.Bidirectional(
        make_recurrent(forward, site, legal_name(forward.name)), merge_mode=mode,
        backward_layer=make_recurrent(backward, site, f"{legal_name(backward.name)}_back"), name=name,
        dtype=site.policy,
    )  # fmt: skip
    # Bidirectional makes layers of its own from those that it is given.
    keep_recurrent(made.forward_layer, forward, site)
    keep_recurrent(made.backward_layer, backward, site)
    return made


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
            inner = _inside(layer.inner[0], tensors[0].shape[2:], tensors[0].dtype, site)
            wrappers.append(layers.TimeDistributed(inner, name=name, dtype=site.policy))
        return [wrappers[0](tensors[0])]

    return apply


def _inside(inner: Any, shape: Sequence[int | None], dtype: str, site: Site) -> Any:
    if not isinstance(inner, KerasLayer):
        return site.connect(inner, site, shape=tuple(shape), dtype=dtype)
    apply = site.operations[inner.operation](inner, site)
    alone: list[Any] = getattr(apply, "layers", [])
    if len(alone) == 1:
        return alone[0]
    begin = keras.Input(tuple(shape), dtype=dtype)
    return keras.Model(begin, apply([begin], [None])[0], name=f"{legal_name(inner.name)}_model")


def activation_layer(layer: KerasLayer, site: Site) -> Apply:
    """An activation as a layer of its own."""
    function, arguments = layer.parameters["function"], layer.parameters["arguments"]
    name = legal_name(layer.name)
    if function == "hard_sigmoid_keras2":
        return in_a_row(name, *hard_sigmoid_layers(site))
    kinds = {"relu": layers.ReLU, "leaky_relu": layers.LeakyReLU, "elu": layers.ELU, "softmax": layers.Softmax}
    if function == "thresholded_relu":
        kinds[function], arguments = layers.ReLU, {"threshold": arguments["theta"]}
    if arguments:
        return in_a_row(name, ("it", lambda name: kinds[function](**arguments, name=name, dtype=site.policy)))
    plain = "linear" if function == "linear" else site.activation(function)
    return in_a_row(name, ("it", lambda name: layers.Activation(plain, name=name, dtype=site.policy)))


def prelu(layer: KerasLayer, site: Site) -> Apply:
    """PReLU."""
    shared = layer.parameters["shared_axes"]
    return in_a_row(legal_name(layer.name), ("it", lambda name: site.keep(
        layers.PReLU(shared_axes=shared, name=name, dtype=site.policy), layer.weights, "alpha"
    )))  # fmt: skip


def one(kind: str, *arguments: str) -> Callable[[KerasLayer, Site], Apply]:
    """A Keras layer that takes these parameters by position."""

    def build(layer: KerasLayer, site: Site) -> Apply:
        values = [layer.parameters[key] for key in arguments]
        made = getattr(layers, kind)
        return in_a_row(legal_name(layer.name), ("it", lambda name: made(*values, name=name, dtype=site.policy)))

    return build


def flatten(layer: KerasLayer, site: Site) -> Apply:
    """Flatten, which turns the channels last itself where asked."""
    layout = "channels_first" if layer.parameters["channels_first"] else "channels_last"
    return in_a_row(legal_name(layer.name), ("it", lambda name: layers.Flatten(layout, name=name, dtype=site.policy)))


def on_edges(kind: str) -> Callable[[KerasLayer, Site], Apply]:
    """ZeroPadding and Cropping."""

    def build(layer: KerasLayer, site: Site) -> Apply:
        p = layer.parameters
        layout = "channels_first" if p["channels_first"] else "channels_last"
        return in_a_row(legal_name(layer.name), ("it", lambda name: at_edges(kind, p["amounts"], name, site, layout)))

    return build


def upsampling(layer: KerasLayer, site: Site) -> Apply:
    """UpSampling by repetition."""
    p = layer.parameters
    size = p["sizes"][0] if p["dims"] == 1 else p["sizes"]
    layout = {} if p["dims"] == 1 else {"data_format": "channels_first" if p["channels_first"] else "channels_last"}
    kind = getattr(layers, f"UpSampling{p['dims']}D")
    return in_a_row(legal_name(layer.name), ("it", lambda name: kind(size, name=name, dtype=site.policy, **layout)))


def bilinear(layer: KerasLayer, site: Site) -> Apply:
    """Bilinear UpSampling2D; TensorFlow's old way as two products with constant matrices."""
    p = layer.parameters
    if p["centres"]:
        return around(layer, site, ("it", lambda name: layers.UpSampling2D(
            p["sizes"], interpolation="bilinear", data_format="channels_last", name=name, dtype=site.policy
        )))  # fmt: skip
    axes = (2, 3) if p["channels_first"] else (1, 2)

    def compute(x: Any) -> Any:
        height, width = (x.shape[axis] for axis in axes)
        if height is None or width is None:
            raise UnbuildableError(f"layer {layer.name!r}", found=f"an input of {x.shape}", expected="a fixed size")
        down, across = (_from_corners(n, s, site.dtype) for n, s in zip((height, width), p["sizes"], strict=True))
        if p["channels_first"]:
            return ops.einsum("pw,nchw->nchp", across, ops.einsum("oh,nchw->ncow", down, x))
        return ops.einsum("pw,nhwc->nhpc", across, ops.einsum("oh,nhwc->nowc", down, x))

    return named(legal_name(layer.name), compute, site)


def _from_corners(length: int, size: int, dtype: str) -> Array:
    """(outputs, inputs): output i at i / size, between the inputs on either side, the last one held."""
    matrix = np.zeros((length * size, length), dtype)
    for place in range(length * size):
        low, share = place // size, place % size / size
        matrix[place, low] += 1 - share
        matrix[place, min(low + 1, length - 1)] += share
    return matrix


def merge(layer: KerasLayer, site: Site) -> Apply:
    """The merge layers."""
    p, name = layer.parameters, legal_name(layer.name)
    if p["mode"] == "Concatenate":
        made = layers.Concatenate(axis=p["axis"], name=name, dtype=site.policy)
    else:
        made = getattr(layers, p["mode"])(name=name, dtype=site.policy)
    return lambda tensors, masks: [made(list(tensors))]


def dot(layer: KerasLayer, site: Site) -> Apply:
    """Dot, and the mode "cos" of Keras 1."""
    p, name = layer.parameters, legal_name(layer.name)
    if not (p["cosine"] or p["normalize"]):
        made = layers.Dot(p["axes"], name=name, dtype=site.policy)
        return lambda tensors, masks: [made(list(tensors))]
    first, second = p["axes"]

    def times(part: str, x: Any, y: Any, *axes: int) -> Any:
        return layers.Dot(axes, name=f"{name}_{part}", dtype=site.policy)([x, y])

    def cosine(x: Any, y: Any) -> Any:
        square = times("first", x, x, first, first) * times("second", y, y, second, second)
        return ops.expand_dims(times("both", x, y, first, second) / ops.maximum(ops.sqrt(square), 1e-7), 1)

    def proximity(x: Any, y: Any) -> Any:
        # Keras 3's own normalize= divides by at least 1e-7, Keras 2's by at least 1e-6.
        return times("both", _length_1(x, first), _length_1(y, second), first, second)

    return named(name, cosine if p["cosine"] else proximity, site)


def _length_1(x: Any, axis: int) -> Any:
    return x / ops.maximum(ops.sqrt(ops.sum(ops.square(x), axis=axis, keepdims=True)), 1e-6)


def embedding(layer: KerasLayer, site: Site) -> Apply:
    """Embedding; its mask is computed beside it."""
    p = layer.parameters
    return in_a_row(legal_name(layer.name), ("it", lambda name: site.keep(
        layers.Embedding(p["rows"], p["width"], name=name, dtype=site.policy), layer.weights, "embeddings"
    )))  # fmt: skip


def masked_value(layer: KerasLayer) -> float:
    """What a Masking masks: the legacy layer compared in float32."""
    return float(np.float32(layer.parameters["value"]))


def masking(layer: KerasLayer, site: Site) -> Apply:
    """Masking as a product with its mask, which is handed on as a tensor of its own."""
    made = layers.Multiply(name=legal_name(layer.name), dtype=site.policy)

    def apply(tensors: Sequence[Any], masks: Sequence[Any]) -> list[Any]:
        del masks
        counts = ops.any(ops.not_equal(tensors[0], masked_value(layer)), axis=-1, keepdims=True)
        return [made([tensors[0], ops.cast(counts, tensors[0].dtype)])]

    return apply


def attention(layer: KerasLayer, site: Site) -> Apply:
    """Attention and AdditiveAttention."""
    p, name = layer.parameters, legal_name(layer.name)
    if p["score"] == "additive":
        made = layers.AdditiveAttention(use_scale=p["use_scale"], name=name, dtype=site.policy)
    else:
        made = layers.Attention(use_scale=p["use_scale"], score_mode=p["score"], name=name, dtype=site.policy)
    site.keep(made, layer.weights, "scale", "concat_score_weight")

    def apply(tensors: Sequence[Any], masks: Sequence[Any]) -> list[Any]:
        given = [*masks, None, None][:2]
        extra = {"mask": given} if any(mask is not None for mask in given) else {}
        return [made(list(tensors), use_causal_mask=p["causal"], **extra)]

    return apply


OPERATIONS: Mapping[str, Callable[[KerasLayer, Site], Apply]] = {
    "Activation": activation_layer,
    "Attention": attention,
    "BatchNorm": batch_norm,
    "Bidirectional": bidirectional,
    "Bilinear": bilinear,
    "Conv": convolution,
    "ConvLSTM": conv_lstm,
    "ConvTranspose": transposed,
    "Crop": on_edges("Cropping"),
    "Dense": dense,
    "DepthwiseConv": depthwise,
    "Dot": dot,
    "Embedding": embedding,
    "Flatten": flatten,
    "GlobalPool": global_pooling,
    "Identity": one("Identity"),
    "LayerNorm": layer_norm,
    "LocalConv": local,
    "Masking": masking,
    "Merge": merge,
    "PReLU": prelu,
    "Pad": on_edges("ZeroPadding"),
    "Permute": one("Permute", "order"),
    "Pool": pooling,
    "Recurrent": recurrent,
    "Repeat": one("RepeatVector", "times"),
    "Reshape": one("Reshape", "shape"),
    "RowsNorm": own_statistics,
    "SampleNorm": own_statistics,
    "SeparableConv": separable,
    "TimeDistributed": time_distributed,
    "Upsample": upsampling,
}
