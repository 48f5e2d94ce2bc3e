"""A model's configuration, opened up: nested models become the calls of their layers, shared layers several calls."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

from porter.errors import PorterError
from porter.formats.keras_legacy.entries import MOST_AXES, RECURRENT, WRAPPERS, Entry, cell_of, input_of
from porter.formats.keras_legacy.errors import (
    ConfigError,
    ExecutableLayerError,
    GraphError,
    UnknownLayerError,
    UnknownModeError,
    WeightsError,
    several,
)
from porter.formats.keras_legacy.fields import Fields
from porter.formats.keras_legacy.later_layers import REFUSED
from porter.formats.keras_legacy.masks import with_mask
from porter.formats.keras_legacy.operations import OPERATIONS, CallArguments, Place, read_arguments, translate_operation
from porter.formats.keras_legacy.references import Take, numbered, taken, tensors
from porter.formats.keras_legacy.roles import Stored, roles_of
from porter.formats.keras_legacy.spec import Spec
from porter.formats.keras_legacy.table import TABLE, translate
from porter.network.graph import Era, KerasCall, KerasLayer, KerasNetwork, Ref
from porter.network.weight_file import WeightFile

CODE = {
    "Lambda": "Python bytecode, which is not run",
    "ClassMethod": "the name of a TensorFlow method, which is not called",
    "InstanceMethod": "the name of a TensorFlow method, which is not called",
    "InstanceProperty": "the name of a TensorFlow property, which is not looked up",
}
WITH_ARGUMENTS = (*OPERATIONS, "MultiHeadAttention")
"""Classes that take tensors and constants as arguments by name, too."""
DEEPEST = 32


@dataclass(frozen=True)
class Wire:
    """A tensor on its way, with its mask."""

    ref: Ref
    mask: Ref | None = None


@dataclass
class Opening:
    """A model being opened up.

    Attributes:
        source: the file.
        era: who saved it.
        replaced: layer paths for which the user gives a function.
        layers: found so far, by path.
        calls: found so far; named in the end, when it is known which layers are called more than once.
        by_order: places where arrays were told apart by order alone.
        refused: layers that are not read, by path.
    """

    source: WeightFile
    era: Era
    replaced: frozenset[str]
    layers: dict[str, KerasLayer] = field(default_factory=dict)
    calls: list[KerasCall] = field(default_factory=list)
    by_order: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    refused: dict[str, PorterError] = field(default_factory=dict)

    def where(self, path: str) -> str:
        """File and layer, for messages."""
        return f"{self.source.path}: layer {path!r}"

    def entries(self, config: Any, path: str) -> list[Entry]:
        """The layers that a configuration lists."""
        listed = config if isinstance(config, list) else Fields(self.where(path), config).get("layers")
        if not isinstance(listed, list) or not all(isinstance(each, Mapping) for each in listed):
            raise ConfigError(f"{self.where(path)}: layers", found=type(listed).__name__, expected="a list of layers")
        if path.count("/") > DEEPEST:
            raise ConfigError(f"{self.where(path)}: models nested more than {DEEPEST} deep")
        entries = [self.entry(each, path) for each in listed]
        repeated = [name for name, count in Counter(entry.name for entry in entries).items() if count > 1]
        if repeated:
            raise GraphError(f"{self.where(path)}: several layers are called {', '.join(map(repr, repeated))}")
        return entries

    def entry(self, value: Mapping[str, Any], path: str) -> Entry:
        """One listed layer."""
        fields = Fields(self.where(path), value)
        kind, config = fields.get("class_name"), fields.get("config", default={})
        inner = config.get("name") if isinstance(config, Mapping) else None
        name = inner if inner is not None else fields.get("name", default=kind)
        inbound = fields.get("inbound_nodes", default=[])
        if not isinstance(kind, str) or not isinstance(name, str) or not isinstance(inbound, list):
            raise ConfigError(f"{self.where(path)}: a layer without class or name", found=repr(value)[:120])
        # The name beside the configuration is the one that references use.
        listed = value.get("name")
        name = listed if isinstance(listed, str) else name
        return Entry(kind, name, config, inbound, f"{path}{name}")

    def model(
        self, kind: str, config: Any, path: str, wires: Sequence[Wire], group: Callable[[str], Any]
    ) -> list[Wire]:
        """All calls of a model, from its inputs to its outputs."""
        entries = self.entries(config, path)
        if kind == "Sequential" or isinstance(config, list):
            return self.sequence(entries, wires, group)
        return self.graph(config, entries, path, wires, group)

    def sequence(self, entries: Sequence[Entry], wires: Sequence[Wire], group: Callable[[str], Any]) -> list[Wire]:
        """One layer after the other."""
        if not entries:
            raise GraphError(f"{self.source.path}: a Sequential without layers")
        for entry in entries:
            if entry.kind == "Merge" and entry.config.get("layers"):
                wires = self.side_by_side(entry, wires, group)
            elif entry.kind != "InputLayer":
                wires = self.call(entry, wires, group(entry.name))
        return list(wires)

    def side_by_side(self, entry: Entry, wires: Sequence[Wire], group: Callable[[str], Any]) -> list[Wire]:
        """Keras 1's Merge of whole models at the head of a Sequential."""
        left, merged = list(wires), []
        for branch in self.entries(entry.config["layers"], entry.path.removesuffix(entry.name)):
            width = len(self.input_entries(branch.kind, branch.config, branch.path)) if branch.is_model else 1
            merged += self.call(branch, left[:width], group(branch.name))
            left = left[width:]
        return self.call(entry, merged, None)

    def graph(
        self, config: Any, entries: Sequence[Entry], path: str, wires: Sequence[Wire], group: Callable[[str], Any]
    ) -> list[Wire]:
        """Every call once what it takes is there."""
        fields = Fields(self.where(path), config)
        ends = tensors(fields.get("output_layers"), self.where(path))
        begins = tensors(fields.get("input_layers"), self.where(path))
        if len(begins) != len(wires):
            raise GraphError(f"{self.where(path)}: {len(wires)} inputs for {len(begins)}")
        there = {(name, at): [wire] for (name, at, _), wire in zip(begins, wires, strict=True)}
        arguments: dict[tuple[str, int], CallArguments] = {}
        waiting = self.calls_of(entries, ends, arguments)
        while waiting:
            known = len(there)
            for key, (entry, takes) in list(waiting.items()):
                if all((name, at) in there for name, at, _ in takes):
                    taken = [self.pick(there, take, path) for take in takes]
                    given = arguments.get(key)
                    there.setdefault(key, []).extend(self.call(entry, taken, group(entry.name), given))
                    del waiting[key]
            if len(there) == known:
                stuck = ", ".join(sorted({repr(name) for name, _ in waiting}))
                raise GraphError(f"{self.where(path)}: {stuck} take what no layer gives, or wait for each other")
        return [self.pick(there, end, path) for end in ends]

    def pick(self, there: Mapping[Any, list[Wire]], take: Take, path: str) -> Wire:
        """The tensor that a reference means."""
        name, at, tensor = take
        wires = there.get((name, at), [])
        if 0 <= tensor < MOST_AXES and f"{path}{name}" in self.refused:
            return wires[0]
        if not 0 <= tensor < len(wires):
            raise GraphError(f"{self.where(path)}: output {tensor} of call {at} of {name!r} does not exist")
        return wires[tensor]

    def calls_of(
        self,
        entries: Sequence[Entry],
        ends: Sequence[Take],
        arguments: dict[tuple[str, int], CallArguments],
    ) -> dict[tuple[str, int], tuple[Entry, list[Take]]]:
        """Calls by layer and number.

        From Keras 2 on a nested model's call 0 is its own construction, and its first call in the graph has number 1.
        The arguments of those that have any are put into ``arguments``.
        """
        takes = {}
        for entry in entries:
            given = [self.arguments(node, entry) for node in entry.inbound]
            arguments.update({(entry.name, at): one for at, one in enumerate(given) if one is not None})
            takes[entry.name] = [
                taken(node, self.where(entry.path)) if one is None else list(one.takes)
                for node, one in zip(entry.inbound, given, strict=True)
            ]
        return numbered(entries, takes, ends)

    def arguments(self, node: Any, entry: Entry) -> CallArguments | None:
        """What a call is given beside tensors alone, where its class takes such arguments."""
        if isinstance(node, Mapping) or (entry.kind not in WITH_ARGUMENTS and entry.path not in self.replaced):
            return None
        return read_arguments(node, self.where(entry.path))

    def call(
        self, entry: Entry, wires: Sequence[Wire], stored: Any, arguments: CallArguments | None = None
    ) -> list[Wire]:
        """One call of a layer; a nested model is opened up, and a layer that is not read is told in the end."""
        if entry.is_model:
            inner = self.inner_group(entry, stored)
            return self.model(entry.kind, entry.config, f"{entry.path}/", wires, inner)
        if entry.path not in self.layers:
            try:
                self.layers[entry.path] = self.layer(entry, stored, arguments)
            except (ExecutableLayerError, UnknownLayerError, UnknownModeError) as error:
                self.refused[entry.path] = error
                self.layers[entry.path] = KerasLayer(entry.path, entry.kind, "Replaced")
        layer = self.layers[entry.path]
        self.counts[entry.path] += 1
        name = f"{entry.path}@{self.counts[entry.path]}"
        masks = tuple(wire.mask for wire in wires)
        call = KerasCall(name, entry.path, tuple(wire.ref for wire in wires), masks, outputs_of(layer))
        call, mask = with_mask(entry, layer, call, self.era, self.where(entry.path))
        self.calls.append(call)
        return [Wire(Ref(name, index), mask if index == 0 else None) for index in range(call.outputs)]

    def inner_group(self, entry: Entry, stored: Any) -> Callable[[str], Any]:
        """The arrays of each layer of a nested model."""
        if stored is None or callable(stored):
            return stored if callable(stored) else lambda name: None
        counts = {inner.name: self.count(inner) for inner in self.entries(entry.config, f"{entry.path}/")}
        shares = stored.shared_out(counts)
        return lambda name: shares[name]

    def count(self, entry: Entry) -> tuple[int, int]:
        """How many arrays a layer has that are trained, and how many others."""
        if entry.is_model:
            inner = [self.count(each) for each in self.entries(entry.config, f"{entry.path}/")]
            counts = (sum(one for one, _ in inner), sum(other for _, other in inner))
        elif entry.kind in ("Bidirectional", "TimeDistributed"):
            once = self.count(self.entry(entry.config["layer"], f"{entry.path}/"))
            counts = (once[0] * 2, once[1] * 2) if entry.kind == "Bidirectional" else once
        elif entry.kind == "SpectralNormalization":
            once = self.count(self.entry(entry.config["layer"], f"{entry.path}/"))
            counts = (once[0], once[1] + 1)
        else:
            kind, fields = cell_of(entry, self.where(entry.path))
            roles = roles_of(kind, fields)
            fixed = sum(role.startswith(("moving_", "running_")) for role in roles)
            fixed = len(roles) if kind == "Normalization" else fixed
            counts = (len(roles) - fixed, fixed)
        frozen = isinstance(entry.config, Mapping) and entry.config.get("trainable") is False
        return (0, sum(counts)) if frozen else counts

    def layer(self, entry: Entry, stored: Any, arguments: CallArguments | None = None) -> KerasLayer:
        """A layer, translated."""
        if entry.path in self.replaced:
            return KerasLayer(entry.path, entry.kind, "Replaced")
        if entry.kind in OPERATIONS:
            return self.operation(entry, arguments)
        if entry.kind in CODE:
            raise ExecutableLayerError(
                f"{self.where(entry.path)} is a {entry.kind}: {CODE[entry.kind]}",
                remedy=f"give a function in its place: --replace {entry.path}=module:function",
            )
        if entry.kind not in TABLE and entry.kind not in WRAPPERS:
            self.refuse(entry)
        own = None if stored is None or callable(stored) else stored
        if callable(stored) and self.source.arrays and self.count(entry) != (0, 0):
            raise WeightsError(
                f"{self.where(entry.path)}: no arrays are stored for it",
                found=f"arrays of {', '.join(map(repr, list(self.source.attributes['weight_names'])[:12]))}",
                remedy="the weights are those of another model",
            )
        layer = self.wrapped(entry, own)
        return layer if entry.kind != "MultiHeadAttention" else self.attending(layer, arguments)

    def operation(self, entry: Entry, arguments: CallArguments | None) -> KerasLayer:
        """A TensorFlow function, where it is plain arithmetic."""
        if not isinstance(entry.config, Mapping):
            raise ConfigError(f"{self.where(entry.path)}: config", found=type(entry.config).__name__)
        given = CallArguments((), Place(0), {}) if arguments is None else arguments
        return translate_operation(entry.path, entry.kind, entry.config, given, self.where(entry.path))

    def attending(self, layer: KerasLayer, arguments: CallArguments | None) -> KerasLayer:
        """A MultiHeadAttention with the places of query, value and key in its calls."""
        given = {} if arguments is None else dict(arguments.named)
        places = [None if arguments is None else arguments.first, given.pop("value", None), given.pop("key", None)]
        causal = given.pop("use_causal_mask", False) is True
        silent = {key: value for key, value in given.items() if value not in (None, False)}
        if silent or not isinstance(places[0], Place) or not isinstance(places[1], Place):
            raise UnknownModeError(
                f"{self.where(layer.name)} is called with {', '.join(silent) or 'other things than tensors'}",
                expected="query, value and key alone",
                remedy=f"give a function in its place: --replace {layer.name}=module:function",
            )
        order = tuple(each.number for each in places if isinstance(each, Place))
        return replace(layer, parameters={**layer.parameters, "order": order, "causal": causal})

    def wrapped(self, entry: Entry, stored: Stored | None) -> KerasLayer:
        """A layer, or what is inside a wrapper."""
        if entry.kind == "SpectralNormalization":
            inner = self.entry(Fields(self.where(entry.path), entry.config).get("layer"), f"{entry.path}/")
            # At inference the kernel is used as it is stored, which training has divided already.
            names = (
                []
                if stored is None
                else [
                    name for name in stored.arrays if name.rpartition("/")[2].split(":")[0] not in ("sn_u", "vector_u")
                ]
            )
            part = None if stored is None else stored.part(stored.where, names)
            return replace(self.wrapped(inner, part), name=entry.path, kind=entry.kind)
        if entry.kind == "Bidirectional":
            return self.bidirectional(entry, stored)
        if entry.kind == "TimeDistributed":
            return self.time_distributed(entry, stored)
        kind, fields = cell_of(entry, self.where(entry.path))
        layer = translate(Spec(entry.path, kind, fields, stored, self.era))
        return replace(layer, kind=entry.kind)

    def bidirectional(self, entry: Entry, stored: Stored | None) -> KerasLayer:
        """Two recurrent layers; the second goes the other way."""
        fields = Fields(self.where(entry.path), entry.config)
        inner = self.entry(fields.get("layer"), f"{entry.path}/")
        other = fields.get("backward_layer", default=None)
        back = inner if other is None else self.entry(other, f"{entry.path}/")
        if inner.kind not in (*RECURRENT, "RNN") or back.kind not in (*RECURRENT, "RNN"):
            raise UnknownModeError(f"{self.where(entry.path)}: Bidirectional around a {inner.kind}")
        mode = fields.choice("merge_mode", options=("concat", "sum", "mul", "ave", None), default="concat")
        halves = (None, None) if stored is None else stored.halves()
        forward, backward = self.wrapped(inner, halves[0]), self.wrapped(back, halves[1])
        # From TensorFlow 1.14 on, by which time ``time_major`` was written, a masked step inside gives zeros.
        late = "time_major" in Fields(self.where(inner.path), inner.config)
        zeros = {"zero_output_for_mask": late and forward.parameters["return_sequences"]}
        forward = replace(forward, parameters={**forward.parameters, **zeros})
        turned = {**backward.parameters, **zeros, "go_backwards": not forward.parameters["go_backwards"]}
        return KerasLayer(
            entry.path, entry.kind, "Bidirectional", {"merge_mode": mode},
            inner=(forward, replace(backward, parameters=turned)),
        )  # fmt: skip

    def time_distributed(self, entry: Entry, stored: Stored | None) -> KerasLayer:
        """A layer, or a whole model, for every time step alone."""
        inner = self.entry(Fields(self.where(entry.path), entry.config).get("layer"), f"{entry.path}/")
        if not inner.is_model:
            return KerasLayer(entry.path, entry.kind, "TimeDistributed", inner=(self.layer(inner, stored),))
        part = Opening(self.source, self.era, self.replaced, by_order=self.by_order)
        network = part.network(inner.kind, inner.config, f"{entry.path}/", self.inner_group(inner, stored), inner.name)
        return KerasLayer(entry.path, entry.kind, "TimeDistributed", model=network)

    def refuse(self, entry: Entry) -> NoReturn:
        """A class that is not on the list."""
        if entry.kind in REFUSED:
            raise UnknownLayerError(
                f"{self.where(entry.path)} is a {entry.kind}: {REFUSED[entry.kind]}",
                remedy=f"or give a function in its place: --replace {entry.path}=module:function",
            )
        raise UnknownLayerError(
            f"{self.where(entry.path)} is a {entry.kind!r}, which is not on the list of layers that are read",
            expected=f"one of Keras' own: {', '.join(sorted({*TABLE, *WRAPPERS}))}",
            remedy=f"give a function in its place: --replace {entry.path}=module:function",
        )

    def check_refused(self) -> None:
        """Refuse all layers that are not read at once.

        Raises:
            UnreadableError: that of the only one, or one of them all.
        """
        if len(self.refused) == 1:
            raise next(iter(self.refused.values()))
        if self.refused:
            raise several(self.refused, str(self.source.path))

    def input_entries(self, kind: str, config: Any, path: str) -> list[tuple[str, Entry | None]]:
        """The inputs of a model: their names, and the layers that say their shapes."""
        entries = self.entries(config, path)
        if kind != "Sequential" and not isinstance(config, list):
            by_name = {entry.name: entry for entry in entries}
            listed = tensors(Fields(self.where(path), config).get("input_layers"), self.where(path))
            return [(name, by_name.get(name)) for name, _, _ in listed]
        if not entries:
            raise GraphError(f"{self.source.path}: a Sequential without layers")
        first = entries[0]
        if first.is_model:
            return self.input_entries(first.kind, first.config, f"{first.path}/")
        if first.kind == "Merge" and first.config.get("layers"):
            branches = self.entries(first.config["layers"], path)
            return [
                each for branch in branches
                for each in self.input_entries(branch.kind, branch.config, f"{branch.path}/")
            ]  # fmt: skip
        return [(first.name if first.kind == "InputLayer" else f"{first.name}_input", first)]

    def network(self, kind: str, config: Any, path: str, group: Callable[[str], Any], name: str) -> KerasNetwork:
        """The model, whole."""
        begins = self.input_entries(kind, config, path)
        inputs = tuple(input_of(label, entry, self.where(label)) for label, entry in begins)
        ends = self.model(kind, config, path, [Wire(Ref(each.name)) for each in inputs], group)
        self.check_refused()
        once = {f"{layer}@1": layer for layer, count in self.counts.items() if count == 1}

        def renamed(ref: Ref | None) -> Any:
            return None if ref is None else replace(ref, name=once.get(ref.name, ref.name))

        calls = tuple(
            replace(
                call, name=once.get(call.name, call.name), inputs=tuple(map(renamed, call.inputs)),
                masks=tuple(map(renamed, call.masks)),
            )
            for call in self.calls
        )  # fmt: skip
        return KerasNetwork(
            name, "keras-legacy", self.source, tuple(self.layers.values()),  # type: ignore[arg-type]
            era=self.era, inputs=inputs, calls=calls, outputs=tuple(renamed(wire.ref) for wire in ends),
            has_weights=bool(self.source.attributes["layer_names"]),
        )  # fmt: skip


def outputs_of(layer: KerasLayer) -> int:
    """How many tensors a call gives."""
    states = {"SimpleRNN": 1, "GRU": 1}
    if layer.operation in ("Recurrent", "ConvLSTM"):
        return 1 + layer.parameters["return_state"] * states.get(layer.parameters["kind"], 2)
    if layer.operation == "Bidirectional":
        inner = layer.inner[0].parameters
        both = 2 * states.get(inner["kind"], 2) if inner["return_state"] else 0
        return 1 + (layer.parameters["merge_mode"] is None) + both
    return 1
