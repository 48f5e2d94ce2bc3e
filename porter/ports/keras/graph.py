"""The port side: a Keras model as a graph of nodes, each callable on any input, evaluated as it was built."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import PortError
from porter.ports.blocks import Atom
from porter.ports.keras.atoms import cut_atoms, cut_pieces, in_batches
from porter.ports.keras.loading import Loading, load_port
from porter.ports.keras.nodes import Key, PortNode
from porter.ports.runtime import Runtime, current_runtime

Array = NDArray[Any]


PLAIN = Loading()
QUIET: Mapping[str, bool] = {"training": False}


@dataclass(frozen=True)
class PortGraph:
    """A Keras model, flattened: nested models are walked through, their nodes named ``sub/layer``.

    Attributes:
        model: the model under test; never changed.
        inputs: keys of the model's inputs.
        outputs: keys of the model's outputs.
        nodes: in an order of computation.
        input_dtypes: dtype of each input.
        input_shapes: shape of a row of each input; None where it is left open.
        batch: how many rows it is made for, or None for any number.
        structure: how the model wants its inputs packed (one tensor, a list, a dictionary).
    """

    model: Any
    inputs: tuple[Key, ...]
    outputs: tuple[Key, ...]
    nodes: tuple[PortNode, ...]
    input_dtypes: tuple[str, ...]
    structure: Any
    input_shapes: tuple[tuple[int | None, ...], ...] = ()
    batch: int | None = None

    @property
    def name(self) -> str:
        """For people."""
        return str(self.model.name)

    @cached_property
    def runtime(self) -> Runtime:
        """What runs the port."""
        return current_runtime()

    @cached_property
    def shapes(self) -> dict[Key, tuple[int | None, ...]]:
        """Of every tensor as Keras states it, None for the rows and for axes that are left open."""
        found = {key: (None, *shape) for key, shape in zip(self.inputs, self.input_shapes, strict=True)}
        for node in self.nodes:
            found.update(zip(node.outputs, (tuple(each.shape) for each in node.node.outputs), strict=True))
        return found

    def trace(self, feeds: Sequence[Array]) -> dict[Key, Array]:
        """Every tensor of the graph, as NumPy arrays in the port's dtypes.

        Args:
            feeds: (rows, ...) for each input.

        Raises:
            PortError: a layer raises.
        """
        try:
            return self._trace(feeds)
        except Exception as error:  # somebody's own layer may raise anything
            if self._takes(feeds):
                raise _uncallable(self.model, error) from error
        parts = [self._trace(part) for part in self._batches(feeds)]
        return {key: np.concatenate([part[key] for part in parts])[: len(feeds[0])] for key in parts[0]}

    def _takes(self, feeds: Sequence[Array]) -> bool:
        """Whether the rows are no more than the model is made for."""
        return self.batch is None or len(feeds[0]) <= self.batch

    def _batches(self, feeds: Sequence[Array]) -> Iterable[tuple[Array, ...]]:
        assert self.batch is not None
        return zip(*(in_batches(feed, self.batch) for feed in feeds), strict=True)

    def _trace(self, feeds: Sequence[Array]) -> dict[Key, Array]:
        from keras import ops

        values = {
            key: ops.convert_to_tensor(feed, dtype=dtype)
            for key, feed, dtype in zip(self.inputs, feeds, self.input_dtypes, strict=True)
        }
        return {key: ops.convert_to_numpy(value) for key, value in self.compute(values.values()).items()}

    def compute(self, tensors: Iterable[Any]) -> dict[Key, Any]:
        """Every tensor of the graph, as tensors: in eager mode, or inside a graph of the backend.

        Args:
            tensors: (rows, ...) for each input, in its dtype.
        """
        values = dict(zip(self.inputs, tensors, strict=True))
        for node in self.nodes:
            node.compute(values)
        return values

    def in_float32(self) -> PortGraph:
        """The same graph with every layer of Keras' own that computes in 16 bits computing in float32.

        The variables are the layers' own, and the layers themselves are left alone.
        """
        return replace(self, nodes=tuple(node.in_float32() for node in self.nodes))

    def __call__(self, *feeds: Array) -> tuple[Array, ...]:
        """The model's own outputs, called as a whole (not ``predict``, which rounds float64 inputs).

        Raises:
            PortError: the model raises.
        """
        try:
            return self._call(feeds)
        except Exception as error:  # somebody's own call may raise anything
            if self._takes(feeds):
                raise _uncallable(self.model, error) from error
        parts = [self._call(part) for part in self._batches(feeds)]
        return tuple(np.concatenate(outputs)[: len(feeds[0])] for outputs in zip(*parts, strict=True))

    def call_plainly(self, *feeds: Array) -> tuple[Array, ...]:
        """The same as a person calls it, without a word on training."""
        return self._call(feeds, {})

    def _call(self, feeds: Sequence[Array], mode: Mapping[str, bool] = QUIET) -> tuple[Array, ...]:
        from keras import ops

        inputs = [
            ops.convert_to_tensor(feed, dtype=dtype) for feed, dtype in zip(feeds, self.input_dtypes, strict=True)
        ]
        return tuple(ops.convert_to_numpy(result) for result in self.outputs_of(inputs, mode))

    def outputs_of(self, tensors: Sequence[Any], mode: Mapping[str, bool] = QUIET) -> list[Any]:
        """The model's own outputs, as tensors."""
        from keras import tree

        return list(tree.flatten(self.model(tree.pack_sequence_as(self.structure, list(tensors)), **mode)))

    @cached_property
    def atoms(self) -> tuple[Atom, ...]:
        """The graph cut wherever a single tensor crosses: each piece takes one tensor and gives one.

        Raises:
            PortError: more than one input or output.
        """
        if len(self.inputs) != 1 or len(self.outputs) != 1:
            raise PortError(
                "the port's graph",
                found=f"{len(self.inputs)} inputs and {len(self.outputs)} outputs",
                expected="one input and one output, as the legacy network has",
                remedy="verify a model that takes one (rows, features) tensor and gives one",
            )
        return tuple(cut_atoms(self.nodes, self.inputs[0], self.outputs[0]))

    @property
    def pieces(self) -> tuple[Atom, ...]:
        """The same, but layers that run beside each other stay one piece."""
        return tuple(cut_pieces(self.nodes, self.inputs[0], self.outputs[0]))


def read_port(path: str | Path, loading: Loading = PLAIN) -> Any:
    """Load a saved Keras model, without compiling it and without running code from the file that was not allowed.

    Args:
        path: of the model, or of its weights where ``loading`` names its architecture.
        loading: what was said beside it.

    Raises:
        PortError: no such file, or Keras cannot load it; the message says what to do for that kind of file.
    """
    return load_port(Path(path), loading)


def read_graph(model: Any) -> PortGraph:
    """The graph of a model that is in memory.

    Raises:
        PortError: not a Keras model, not built, or a subclass whose ``call`` cannot be traced.
    """
    import keras

    if not isinstance(model, keras.Model):
        raise PortError("the port", found=f"an object of type {type(model).__name__}", expected="a keras.Model")
    function = _function(model)
    keys = count()
    aliases = {id(tensor): next(keys) for tensor in function.inputs}
    inputs = tuple(aliases[id(tensor)] for tensor in function.inputs)
    walked = tuple(_walk(function, aliases, "", keys))
    outputs = tuple(aliases[id(tensor)] for tensor in function.outputs)
    nodes = _without_autocasts(walked, outputs)
    dtypes = tuple(tensor.dtype for tensor in function.inputs)
    shapes = tuple(tuple(tensor.shape[1:]) for tensor in function.inputs)
    batch = next((tensor.shape[0] for tensor in function.inputs), None)
    return PortGraph(model, inputs, outputs, nodes, dtypes, function._inputs_struct, shapes, batch)


def _function(model: Any) -> Any:
    """The model as a function graph; a subclass is traced symbolically through its own ``call``."""
    import keras

    if getattr(model, "_functional", None) is not None:
        return model._functional
    if hasattr(model, "_nodes_by_depth"):
        return model
    if isinstance(model, keras.Sequential) or not model.built:
        raise PortError(
            f"the port {model.name}", found="a model that is not built", remedy="call it once, or give it an Input"
        )
    try:
        shape = model.get_build_config()["input_shape"]
        symbol = keras.Input(shape[1:], dtype=model.input_dtype if hasattr(model, "input_dtype") else None)
        return keras.Function(symbol, model.call(symbol))
    except Exception as error:
        raise PortError(
            f"the port {model.name}",
            found=f"a subclassed model whose call cannot be traced: {_first_line(error)}",
            expected="a Sequential or functional model, or a call made of Keras layers and operations",
            remedy="rebuild it as a functional model: inputs = keras.Input(...); keras.Model(inputs, outputs)",
        ) from error


def _walk(
    function: Any, aliases: dict[int, Key], prefix: str, keys: Iterator[Key], training: bool | None = None
) -> Iterable[PortNode]:
    for depth in sorted(function._nodes_by_depth, reverse=True):
        for node in function._nodes_by_depth[depth]:
            if node.is_input or node.operation is None:
                continue
            sources = {id(tensor): aliases[id(tensor)] for tensor in node.arguments.keras_tensors}
            inner = _inner(node.operation)
            if inner is not None:
                scope = {id(own): aliases[id(fed)] for own, fed in zip(inner.inputs, node.input_tensors, strict=True)}
                own = node.arguments.kwargs.get("training")
                called = own if training is None else training
                yield from _walk(inner, scope, f"{prefix}{node.operation.name}/", keys, called)
                aliases.update((id(t), scope[id(own)]) for t, own in zip(node.outputs, inner.outputs, strict=True))
                continue
            aliases.update((id(tensor), next(keys)) for tensor in node.outputs)
            yield PortNode(
                prefix + node.operation.name,
                node.operation,
                node,
                tuple(dict.fromkeys(sources.values())),
                tuple(aliases[id(tensor)] for tensor in node.outputs),
                sources,
                training,
            )


def _without_autocasts(nodes: Sequence[PortNode], outputs: Sequence[Key]) -> tuple[PortNode, ...]:
    """The graph without casts that all who take their outcome would make themselves.

    Some Keras 3 write the cast of a layer's inputs into the graph, as an operation of its own.
    """
    takers: dict[Key, list[PortNode]] = {}
    for node in nodes:
        for key in node.inputs:
            takers.setdefault(key, []).append(node)
    sources = {
        node.outputs[0]: node.inputs[0]
        for node in nodes
        if node.casts_to is not None
        and node.outputs[0] not in outputs
        and all(taker.autocasts_to == node.casts_to for taker in takers.get(node.outputs[0], ()))
    }
    return tuple(node.fed_from(sources) for node in nodes if node.outputs[0] not in sources)


def _inner(operation: Any) -> Any:
    if getattr(operation, "_functional", None) is not None:
        return operation._functional
    return operation if hasattr(operation, "_nodes_by_depth") else None


def _uncallable(model: Any, error: Exception) -> PortError:
    return PortError(
        f"the port {model.name}",
        found=f"called with training=False it raises {type(error).__name__}: {_telling_line(error)}",
        expected="a model that can be called on rows of numbers",
        remedy="let every layer take what Keras calls it with: call(self, x, training=None)",
    )


def _telling_line(error: BaseException) -> str:
    """What was raised, without Keras' own line about where."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = [line for line in lines if not line.startswith("Exception encountered")]
    return re.sub(r"\x1b\[\d+m", "", (told or lines or [type(error).__name__])[0])[:200]


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
