"""Keras 1 and 2 models, from their stored configuration and arrays to a program of steps.

The configuration is walked as it lies in the file; nothing in it is executed. What each layer computed in its own
version and on its own backend is in ``keras_layers``, which arrays are whose in ``keras_weights``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

import reference.rounding.layers  # noqa: F401 - registers the bounds of these steps
from reference.operations.bidirectional import Bidirectional
from reference.operations.masking import Mask
from reference.operations.part import Part
from reference.operations.recurrent import Recurrent
from reference.operations.replacement import Replacement
from reference.operations.time_distributed import TimeDistributed
from reference.programs.keras_call import Call, Era, UnsupportedError
from reference.programs.keras_layers import build
from reference.programs.keras_operations import CLASSES, Arguments, arguments_of, build_operation
from reference.programs.keras_weights import BATCH_NORMALIZATIONS, CONV_LSTMS, MODELS, layers_of, name_of, share_out
from reference.trace import Program

Array = NDArray[Any]
Weights = Callable[[str], Any]

MASK_PASSES = (
    "InputLayer", "Activation", "ActivityRegularization", "Dropout", "SpatialDropout1D", "GaussianNoise",
    "GaussianDropout", "AlphaDropout", *BATCH_NORMALIZATIONS, "LayerNormalization", "Dense", "TimeDistributed",
    "TimeDistributedDense", "LeakyReLU", "PReLU", "ELU", "ThresholdedReLU", "ReLU", "Masking", "Attention",
    "AdditiveAttention", "GroupNormalization", "Identity", "UnitNormalization",
)  # fmt: skip
MASK_IS_USED_UP = ("GlobalAveragePooling1D", "Dot")
RECURRENT = ("SimpleRNN", "LSTM", "GRU", "CuDNNLSTM", "CuDNNGRU", *CONV_LSTMS, "RNN", "Bidirectional")
MERGES = ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate", "Merge")
KNOWS_MASKS = (*MASK_PASSES, *RECURRENT, *MERGES, "Softmax")
WITH_ARGUMENTS = (*CLASSES, "MultiHeadAttention")
OLD_KEYS = {"nb_filter", "border_mode", "W_regularizer", "inner_activation", "dim_ordering", "W_constraint", "p"}


@dataclass(frozen=True)
class Value:
    """What a layer hands on: the name of the step that computes it, and of its mask's."""

    name: str
    mask: str | None = None


@dataclass
class Walk:
    """The state of one walk through a configuration.

    Attributes:
        era: who saved the file.
        dtype: in which the arithmetic is done.
        replacements: what the user put in the place of layers that are not run, by layer name.
        totals: how often each layer is called, known in the second walk.
        steps: found so far.
        calls: how often each layer was called so far.
    """

    era: Era
    dtype: Any
    replacements: Mapping[str, Callable[..., Array]]
    totals: Mapping[str, int]
    steps: list[Any] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)

    def label(self, path: str) -> str:
        """A layer's step name: with the number of the call where there are several."""
        self.calls[path] += 1
        return path if self.totals.get(path, 1) == 1 else f"{path}@{self.calls[path]}"

    def model(self, kind: str, config: Any, path: str, values: Sequence[Value], weights: Weights) -> list[Value]:
        """All the calls of a model's layers, in order; its outputs."""
        if kind == "Sequential" or isinstance(config, list):
            return self.sequence(layers_of(config), path, values, weights)
        return self.graph(config, path, values, weights)

    def sequence(
        self, layers: Sequence[Mapping[str, Any]], path: str, values: Sequence[Value], weights: Weights
    ) -> list[Value]:
        """One layer after the other."""
        for entry in layers:
            kind = entry["class_name"]
            if kind == "InputLayer":
                continue
            if kind == "Merge" and entry["config"].get("layers"):
                values = self.branches(entry, path, values, weights)
            else:
                values = self.layer(kind, entry["config"], path + name_of(entry), values, weights(name_of(entry)))
        return list(values)

    def branches(self, entry: Mapping[str, Any], path: str, values: Sequence[Value], weights: Weights) -> list[Value]:
        """Keras 1's Merge at the head of a Sequential: several models side by side, then merged."""
        given, outputs = list(values), []
        for branch in entry["config"]["layers"]:
            count = len(input_names(branch["class_name"], branch["config"]))
            inner = weights(name_of(branch))
            outputs += self.layer(branch["class_name"], branch["config"], path + name_of(branch), given[:count], inner)
            given = given[count:]
        return self.layer("Merge", entry["config"], path + name_of(entry), outputs, ())

    def graph(self, config: Mapping[str, Any], path: str, values: Sequence[Value], weights: Weights) -> list[Value]:
        """Each node of a graph as soon as what it takes is known."""
        known: dict[tuple[str, int], list[Value]] = {}
        for (name, _, _), value in zip(references(config["input_layers"]), values, strict=True):
            known[name, 0] = [value]
        todo = list(nodes_of(config))
        while todo:
            ready = [node for node in todo if all((name, at) in known for name, at, _ in node.takes)]
            if not ready:
                raise UnsupportedError(f"the layers {sorted({node.name for node in todo})} wait for each other")
            for node in ready:
                if (node.name, node.index) not in known:
                    taken = [known[name, at][tensor] for name, at, tensor in node.takes]
                    known[node.name, node.index] = self.layer(
                        node.kind, node.config, path + node.name, taken, weights(node.name), node.arguments
                    )
            todo = [node for node in todo if (node.name, node.index) not in known]
        return [known[name, at][tensor] for name, at, tensor in references(config["output_layers"])]

    def layer(
        self, kind: str, config: Any, path: str, values: Sequence[Value], weights: Any,
        arguments: Arguments | None = None,
    ) -> list[Value]:  # fmt: skip
        """One call of one layer, or of a nested model, which is opened up."""
        if kind in MODELS:
            shares = weights if callable(weights) else share_out(config, weights).__getitem__
            return self.model(kind, config, path + "/", values, shares)
        name = self.label(path)
        inputs, masks = tuple(v.name for v in values), tuple(v.mask for v in values)
        if path in self.replacements:
            self.steps.append(Replacement(name, inputs, self.replacements[path]))
            return [Value(name)]
        arrays = () if callable(weights) else tuple(weights)
        call = Call(name, inputs, masks, config, arrays, self.era, self.dtype, arguments)
        step = self.step(kind, call)
        self.steps.append(step)
        mask = self.mask_after(kind, call)
        return [Value(name, mask), *(Value(part) for part in self.further_outputs(kind, step, config))]

    def step(self, kind: str, call: Call) -> Any:
        """The step of a call, wrappers included."""
        if kind == "Bidirectional":
            return self.bidirectional(call)
        if kind in CLASSES:
            return build_operation(kind, call.name, call.inputs, call.config, call.arguments, call.dtype)
        if kind == "SpectralNormalization":
            # At inference the kernel is as stored. The vector of the power iteration comes last, or after the kernel
            # where nothing is trained: the wrapper counts the kernel among its own then.
            inner, frozen = call.config["layer"], call.config.get("trainable", True) is False
            weights = (*call.weights[:1], *call.weights[2:]) if frozen else call.weights[:-1]
            return build(inner["class_name"], replace(call, config=inner["config"], weights=weights))
        if kind != "TimeDistributed":
            return build(kind, call)
        inner = call.config["layer"]
        if inner["class_name"] in MODELS:
            shares = share_out(inner["config"], call.weights).__getitem__
            part = Walk(self.era, self.dtype, self.replacements, {})
            begin = [Value(name) for name in input_names(inner["class_name"], inner["config"])]
            ends = part.model(inner["class_name"], inner["config"], "", begin, shares)
            program = Program(tuple(v.name for v in begin), without_idle_masks(part.steps), tuple(v.name for v in ends))
            return TimeDistributed(call.name, call.inputs, program)
        innermost = replace(call, name=name_of(inner), config=inner["config"], masks=(None,))
        return TimeDistributed(call.name, call.inputs, self.step(inner["class_name"], innermost))

    def bidirectional(self, call: Call) -> Any:
        """The two layers of a Bidirectional, each with half of the arrays."""
        inner, half = call.config["layer"], len(call.weights) // 2
        other = call.config.get("backward_layer") or inner
        reverse = bool(inner["config"].get("go_backwards", False))
        # tf.keras from TensorFlow 1.14 on, whose layers have ``time_major``, gives zeros at masked steps in here.
        zeros = "time_major" in inner["config"] and bool(inner["config"].get("return_sequences"))
        ahead = replace(call, config={**inner["config"], "zero_output_for_mask": zeros}, weights=call.weights[:half])
        turned = {**other["config"], "go_backwards": not reverse, "zero_output_for_mask": zeros}
        back = replace(call, config=turned, weights=call.weights[half:])
        forward, backward = build(inner["class_name"], ahead), build(other["class_name"], back)
        if not (isinstance(forward, Recurrent) and isinstance(backward, Recurrent)):
            raise UnsupportedError(f"Bidirectional around {inner['class_name']}")
        mode = call.config.get("merge_mode", "concat")
        return Bidirectional(call.name, forward.inputs, forward, backward, mode)

    def further_outputs(self, kind: str, step: Any, config: Mapping[str, Any]) -> list[str]:
        """Steps for the outputs after the first: states, or the second direction."""
        inner = config["layer"]["config"] if kind == "Bidirectional" else config
        count = 0
        if isinstance(step, Recurrent) and config.get("return_state"):
            count = {"SimpleCell": 1, "GRUCell": 1}.get(type(step.cell).__name__, 2)
        elif isinstance(step, Bidirectional):
            states = {"SimpleCell": 2, "GRUCell": 2}.get(type(step.forward.cell).__name__, 4)
            count = (states if inner.get("return_state") else 0) + (step.merge_mode is None)
        names = [f"{step.name}#{number}" for number in range(1, count + 1)]
        self.steps += [Part(name, step.inputs, step, index) for index, name in enumerate(names)]
        return names

    def mask_after(self, kind: str, call: Call) -> str | None:
        """The mask of what a layer hands on, by the rules of Keras 2; its step, where there is a new one.

        Raises:
            UnsupportedError: a mask comes to a layer that Keras itself would not have given one.
        """
        name, masks = f"{call.name}:mask", [mask for mask in call.masks if mask is not None]
        if kind == "Masking":
            value = float(call.get("mask_value", default=0.0))
            self.steps.append(Mask(name, call.inputs, "any", value))
            return name
        if kind == "Embedding" and call.get("mask_zero"):
            self.steps.append(Mask(name, call.inputs, "nonzero"))
            return name
        if not masks or kind in MASK_IS_USED_UP or (self.era.drops_masks and kind not in KNOWS_MASKS):
            return None
        if kind in MASK_PASSES or (kind == "Softmax" and self.era.version < (2, 4)):
            return call.masks[0]
        if kind in RECURRENT:
            inner = call.config["layer"]["config"] if kind == "Bidirectional" else call.config
            return masks[0] if inner.get("return_sequences") else None
        if kind in MERGES:
            return self.merged_mask(name, call, masks)
        raise UnsupportedError(f"a mask comes to layer {call.name!r}, a {kind}, which takes none in Keras 2")

    def merged_mask(self, name: str, call: Call, masks: list[str]) -> str | None:
        """Time steps that count in every mask; along time, one mask after the other."""
        concatenates = call.get("mode") == "concat" or "axis" in call.config
        along_time = concatenates and call.get("concat_axis", "axis", default=-1) == 1
        if along_time and len(masks) != len(call.inputs):
            raise UnsupportedError(f"layer {call.name!r} concatenates along time with and without a mask")
        if len(set(masks)) == 1 and not along_time:
            return masks[0]
        self.steps.append(Mask(name, tuple(masks), "concatenate" if along_time else "all"))
        return name


@dataclass(frozen=True)
class Node:
    """One call in a graph: which layer, the number of the call, what it takes, and further arguments."""

    name: str
    kind: str
    config: Any
    index: int
    takes: tuple[tuple[str, int, int], ...]
    arguments: Arguments | None = None


def references(entries: Any) -> list[tuple[str, int, int]]:
    """[[layer, call, tensor], ...], or one of them alone."""
    if entries and isinstance(entries[0], str):
        entries = [entries]
    return [(str(entry[0]), int(entry[1]), int(entry[2])) for entry in entries]


def nodes_of(config: Mapping[str, Any]) -> list[Node]:
    """The calls of a graph, in the order written, numbered as its references number them.

    Keras 2 counts a nested model's own construction as call 0, so that the first call is 1; Keras 1 does not.
    Source: Keras 2.3.1 engine/network.py, get_config ("Networks start with a pre-existing node").
    """
    asked: dict[str, set[int]] = {}
    for entry in config["layers"]:
        for inbound in entry.get("inbound_nodes", ()):
            for name, at, _ in _taken(inbound, entry)[0]:
                asked.setdefault(name, set()).add(at)
    for name, at, _ in references(config["output_layers"]):
        asked.setdefault(name, set()).add(at)
    nodes = []
    for entry in config["layers"]:
        name, inbound = str(entry.get("name", name_of(entry))), entry.get("inbound_nodes", ())
        begin = 1 if entry["class_name"] in MODELS and 0 not in asked.get(name, {0}) else 0
        for index, node in enumerate(inbound, start=begin):
            takes, arguments = _taken(node, entry)
            nodes.append(Node(name, entry["class_name"], entry["config"], index, tuple(takes), arguments))
    return nodes


def _taken(inbound: Any, entry: Mapping[str, Any]) -> tuple[list[tuple[str, int, int]], Arguments | None]:
    """What a call takes, and its arguments where its class has any; one that says something else is not followed.

    Raises:
        UnsupportedError: an argument other than an absent mask, or ``training`` left alone.
    """
    layer = name_of(entry)
    if isinstance(inbound, Mapping):
        raise UnsupportedError(f"layer {layer!r} has the inbound nodes of Keras 3")
    if entry["class_name"] in WITH_ARGUMENTS:
        arguments = arguments_of(inbound)
        return list(arguments.takes), arguments
    for one in [inbound] if inbound and isinstance(inbound[0], str) else inbound:
        for key, value in (one[3] if len(one) > 3 else {}).items():
            empty = value is None or (isinstance(value, list) and all(each is None for each in value))
            if not empty and not (key == "training" and value is False):
                raise UnsupportedError(f"layer {layer!r} is called with {key}={value!r}")
    return references(inbound), None


def input_names(kind: str, config: Any) -> list[str]:
    """The names of a model's inputs."""
    if kind != "Sequential" and not isinstance(config, list):
        return [name for name, _, _ in references(config["input_layers"])]
    first = layers_of(config)[0]
    if first["class_name"] in MODELS:
        return input_names(first["class_name"], first["config"])
    if first["class_name"] == "Merge" and first["config"].get("layers"):
        branches = first["config"]["layers"]
        return [name for branch in branches for name in input_names(branch["class_name"], branch["config"])]
    name = name_of(first)
    return [name if first["class_name"] == "InputLayer" else f"{name}_input"]


def version_of(attributes: Mapping[str, Any], config: Any) -> tuple[int, ...]:
    """Keras' version as numbers; where the file has none, 1 if any layer has an argument that only Keras 1 knew."""
    text = attributes.get("keras_version")
    if text is not None:
        return tuple(int(part) for part in str(text).split("-")[0].split(".") if part.isdigit())
    return (1,) if _has_old_key(config) else (2,)


def _has_old_key(value: Any) -> bool:
    if isinstance(value, Mapping):
        return bool(OLD_KEYS & set(value)) or any(map(_has_old_key, value.values()))
    return isinstance(value, list) and any(map(_has_old_key, value))


def era_of(attributes: Mapping[str, Any], config: Any, backend: str | None) -> Era:
    """Who saved the file: what it says, what its weight names show, what the user says."""
    stored = attributes.get("backend")
    names = [name for each in attributes.get("weight_names", {}).values() for name in each]
    if stored is None and backend is None and any(name.endswith(":0") for name in names):
        stored = "tensorflow"
    version = version_of(attributes, config)
    is_tf = "-tf" in str(attributes.get("keras_version")) or version >= (2, 4)
    return Era(version, backend if stored is None else str(stored), _centred(attributes, version, config), is_tf)


def _centred(attributes: Mapping[str, Any], version: tuple[int, ...], config: Any) -> bool | None:
    """Whether bilinear upsampling takes pixel centres.

    Multi-backend Keras called the old resize to the end; tf.keras the new one from TensorFlow 1.15 on, whose input
    layers have ``ragged``. Source: Keras 2.3.1 backend/tensorflow_backend.py, resize_images; TensorFlow 1.15 notes.
    """
    if version >= (2, 4):
        return True
    if "-tf" not in str(attributes.get("keras_version")):
        return False
    inputs = [entry["config"] for entry in layers_of(config) if entry["class_name"] == "InputLayer"]
    return None if not inputs else any("ragged" in each for each in inputs)


def program(
    arrays: Mapping[str, Array],
    attributes: Mapping[str, Any],
    *,
    backend: str | None = None,
    replacements: Mapping[str, Callable[..., Array]] | None = None,
    dtype: Any = np.float64,
) -> Program:
    """The forward pass of a legacy Keras file, at inference.

    Args:
        arrays: by ``"layer/weight name"``, as stored.
        attributes: ``model_config`` (parsed), ``keras_version``, ``backend``, ``weight_names`` by layer.
        backend: "tensorflow", "theano" or "cntk", where the file does not say.
        replacements: functions of arrays to put in the place of layers, by layer name.
        dtype: in which the arithmetic is done.

    Returns:
        Steps named by layer; those of nested models ``model/layer``, of layers called several times ``layer@call``,
        masks ``layer:mask``, outputs after the first ``layer#number``.

    Raises:
        UnsupportedError: a layer, mode or call that is not followed; the message names it.
    """
    kind, config = attributes["model_config"]["class_name"], attributes["model_config"]["config"]
    era = era_of(attributes, config, backend)
    stored = {
        layer: [np.asarray(arrays[f"{layer}/{name}"]) for name in names]
        for layer, names in attributes.get("weight_names", {}).items()
    }

    def weights(name: str) -> Any:
        # Keras 1 stored the layers of nested Sequentials beside each other, without a group of the model's own.
        return stored.get(name, weights if any(stored.values()) and name not in stored else [])

    begin = [Value(name) for name in input_names(kind, config)]
    totals: Mapping[str, int] = {}
    for _ in range(2):
        walk = Walk(era, np.dtype(dtype), replacements or {}, totals)
        ends = walk.model(kind, config, "", begin, weights)
        totals = dict(walk.calls)
    return Program(tuple(v.name for v in begin), without_idle_masks(walk.steps), tuple(v.name for v in ends))


def without_idle_masks(steps: Sequence[Any]) -> tuple[Any, ...]:
    """The steps without the masks that none of them takes."""
    kept: list[Any] = []
    taken: set[str] = set()
    for step in reversed(steps):
        if not isinstance(step, Mask) or step.name in taken:
            kept.append(step)
            taken.update(step.inputs)
    return tuple(reversed(kept))
