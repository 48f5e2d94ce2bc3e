"""The port side: a Keras model as a graph of nodes, each callable on any input, evaluated as it was built."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.blocks import Atom, Kind
from porter.errors import PortError
from reference.precision import Precision

Array = NDArray[Any]
Key = int

INACTIVE = {
    "InputLayer",
    "Identity",
    "Dropout",
    "AlphaDropout",
    "GaussianDropout",
    "GaussianNoise",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "SpatialDropout3D",
    "ActivityRegularization",
    "Cast",
}
"""Keras classes that hand their input on unchanged at inference."""

ACTIVATIONS = {
    "Activation",
    "ReLU",
    "LeakyReLU",
    "PReLU",
    "ELU",
    "Softmax",
    "Relu",
    "Relu6",
    "Sigmoid",
    "Tanh",
    "Softplus",
    "Softsign",
    "Silu",
    "LeakyRelu",
    "HardSigmoid",
    "HardTanh",
    "Elu",
    "Selu",
    "Gelu",
    "Exp",
    "Clip",
}
AFFINE = {"Rescaling", "Normalization", "BatchNormalization", "Add", "Subtract", "Multiply", "TrueDivide", "Divide"}


@dataclass(frozen=True)
class PortNode:
    """One call of one Keras operation, with the arguments it was built with.

    Attributes:
        name: the operation's name, with the enclosing models' names before it.
        operation: the Keras layer or operation.
        node: Keras' own record of the call.
        inputs: keys of the tensors it takes.
        outputs: keys of the tensors it gives.
        sources: identity of each symbolic argument to the key of its value.
    """

    name: str
    operation: Any
    node: Any
    inputs: tuple[Key, ...]
    outputs: tuple[Key, ...]
    sources: Mapping[int, Key]

    def compute(self, values: dict[Key, Any]) -> None:
        """Add the values of the outputs to ``values``, which holds those of the inputs."""
        from keras import tree

        arguments, keywords = self.node.arguments.fill_in({s: values[key] for s, key in self.sources.items()})
        results = tree.flatten(self.operation(*arguments, **keywords))
        values.update(zip(self.outputs, results, strict=True))

    @property
    def kind(self) -> Kind:
        """What the operation is, as far as its class says; pairing does not rest on it alone."""
        name = type(self.operation).__name__
        if name == "Dense":
            return "dense"
        if name in INACTIVE:
            return "other" if self.is_training else "identity"
        if name == "Activation" and getattr(self.operation.activation, "__name__", "") == "linear":
            return "identity"
        if name in ACTIVATIONS:
            return "activation"
        return "affine" if name in AFFINE else "other"

    @property
    def is_training(self) -> bool:
        """Whether the call was built in training mode."""
        return bool(self.node.arguments.kwargs.get("training", False))

    @property
    def compute_dtype(self) -> str | None:
        """In which dtype the operation computes; None for operations that follow their input."""
        return getattr(self.operation, "compute_dtype", None)


@dataclass(frozen=True)
class PortGraph:
    """A Keras model, flattened: nested models are walked through, their nodes named ``sub/layer``.

    Attributes:
        model: the model under test; never changed.
        inputs: keys of the model's inputs.
        outputs: keys of the model's outputs.
        nodes: in an order of computation.
        input_dtypes: dtype of each input.
        structure: how the model wants its inputs packed (one tensor, a list, a dictionary).
    """

    model: Any
    inputs: tuple[Key, ...]
    outputs: tuple[Key, ...]
    nodes: tuple[PortNode, ...]
    input_dtypes: tuple[str, ...]
    structure: Any

    @cached_property
    def platform(self) -> tuple[str, str]:
        """What runs the port: TensorFlow's version ("" for another backend of Keras), and "cpu" or "gpu"."""
        import keras

        if keras.backend.backend() != "tensorflow":
            return "", keras.backend.backend()
        import tensorflow as tf

        return tf.__version__, "gpu" if tf.config.list_logical_devices("GPU") else "cpu"

    def trace(self, feeds: Sequence[Array]) -> dict[Key, Array]:
        """Every tensor of the graph, as NumPy arrays in the port's dtypes.

        Args:
            feeds: (rows, ...) for each input.
        """
        from keras import ops

        values = {
            key: ops.convert_to_tensor(feed, dtype=dtype)
            for key, feed, dtype in zip(self.inputs, feeds, self.input_dtypes, strict=True)
        }
        for node in self.nodes:
            node.compute(values)
        return {key: ops.convert_to_numpy(value) for key, value in values.items()}

    def __call__(self, *feeds: Array) -> tuple[Array, ...]:
        """The model's own outputs, called as a whole (not ``predict``, which rounds float64 inputs)."""
        from keras import ops, tree

        inputs = [
            ops.convert_to_tensor(feed, dtype=dtype) for feed, dtype in zip(feeds, self.input_dtypes, strict=True)
        ]
        results = tree.flatten(self.model(tree.pack_sequence_as(self.structure, inputs), training=False))
        return tuple(ops.convert_to_numpy(result) for result in results)

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
        return tuple(_atoms(self))


def read_port(path: str | Path) -> Any:
    """Load a saved Keras model, without compiling it and without running code from the file.

    Raises:
        PortError: no such file, or Keras cannot load it.
    """
    import keras

    path = Path(path)
    if not path.exists():
        raise PortError(f"the port {path}", found="no such file", remedy="give the path of a .keras or .h5 model")
    try:
        return keras.models.load_model(path, compile=False)
    except Exception as error:
        raise PortError(
            f"the port {path}",
            found=f"Keras {keras.__version__} cannot load it: {_first_line(error)}",
            expected="a whole model saved by Keras 3 (.keras or .h5)",
            remedy="save it with model.save('port.keras'); a model with custom classes has to be passed as an object",
        ) from error


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
    nodes = tuple(_walk(function, aliases, "", keys))
    outputs = tuple(aliases[id(tensor)] for tensor in function.outputs)
    dtypes = tuple(tensor.dtype for tensor in function.inputs)
    return PortGraph(model, inputs, outputs, nodes, dtypes, function._inputs_struct)


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


def _walk(function: Any, aliases: dict[int, Key], prefix: str, keys: Iterator[Key]) -> Iterable[PortNode]:
    for depth in sorted(function._nodes_by_depth, reverse=True):
        for node in function._nodes_by_depth[depth]:
            if node.is_input or node.operation is None:
                continue
            sources = {id(tensor): aliases[id(tensor)] for tensor in node.arguments.keras_tensors}
            inner = _inner(node.operation)
            if inner is not None:
                scope = {id(own): aliases[id(fed)] for own, fed in zip(inner.inputs, node.input_tensors, strict=True)}
                yield from _walk(inner, scope, f"{prefix}{node.operation.name}/", keys)
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
            )


def _inner(operation: Any) -> Any:
    if getattr(operation, "_functional", None) is not None:
        return operation._functional
    return operation if hasattr(operation, "_nodes_by_depth") else None


def _atoms(graph: PortGraph) -> Iterable[Atom]:
    nodes = _ancestors(graph)
    last_use = {key: index for index, node in enumerate(nodes) for key in node.inputs}
    live, entry = {graph.inputs[0]}, graph.inputs[0]
    pending: list[PortNode] = []
    for index, node in enumerate(nodes):
        pending.append(node)
        live |= set(node.outputs)
        live = {key for key in live if last_use.get(key, -1) > index or key in graph.outputs}
        if len(live) == 1:
            (leaving,) = live
            yield from _pieces(tuple(pending), entry, leaving)
            entry, pending = leaving, []


def _pieces(nodes: tuple[PortNode, ...], entry: Key, leaving: Key) -> Iterable[Atom]:
    """One atom; or one a node, where layers run beside each other or past each other."""
    if sum(_is_core(node) for node in nodes) < 2:
        yield _atom(nodes, entry, leaving)
        return
    for node in nodes:
        atom = _atom((node,), node.inputs[0], node.outputs[0])
        yield atom if len(node.inputs) == 1 else replace(atom, kind="merge")


def _ancestors(graph: PortGraph) -> list[PortNode]:
    wanted, kept = set(graph.outputs), []
    for node in reversed(graph.nodes):
        if wanted & set(node.outputs):
            kept.append(node)
            wanted |= set(node.inputs)
    return kept[::-1]


def _atom(nodes: tuple[PortNode, ...], entry: Key, leaving: Key) -> Atom:
    single = nodes[0] if len(nodes) == 1 else None
    kind: Kind = single.kind if single is not None else "other"
    opaque = single is not None and kind == "other" and _is_opaque(single)
    kernel, bias, activation = _weights(single) if kind == "dense" else (None, None, None)
    dtypes = [node.compute_dtype for node in nodes if node.compute_dtype is not None]
    return Atom(
        names=tuple(dict.fromkeys(node.name for node in nodes)),
        kind=kind,
        run=_runner(nodes, entry, leaving),
        entry=entry,
        key=leaving,
        precision=_precision(single, dtypes[-1] if dtypes else None),
        kernel=kernel,
        bias=bias,
        activation=activation,
        is_training=any(node.is_training for node in nodes),
        is_core=any(_is_core(node) for node in nodes) or (opaque and _mixes(nodes, entry, leaving)),
        width=_width(nodes, entry, leaving),
        description=_describe(single) if single is not None else "",
    )


MATRIX_PRODUCTS = {"Matmul", "Dot", "Einsum", "Tensordot", "EinsumDense"}


def _is_core(node: PortNode) -> bool:
    weights = getattr(node.operation, "weights", ())
    name = type(node.operation).__name__
    return name in MATRIX_PRODUCTS or any(len(weight.shape) >= 2 for weight in weights)


def _is_opaque(node: PortNode) -> bool:
    """Whether only running it tells what the operation does: a Lambda, or a class that is not Keras' own."""
    kind = type(node.operation)
    return kind.__name__ == "Lambda" or not kind.__module__.startswith("keras.")


def _mixes(nodes: tuple[PortNode, ...], entry: Key, leaving: Key) -> bool:
    """Whether an output depends on other inputs than its own, as behind a matrix."""
    inputs, outputs = _width(nodes, entry, leaving)
    if inputs is None or inputs != outputs:
        return inputs is not None
    rows = np.repeat(np.linspace(0.1, 0.9, inputs)[None], 2, axis=0).astype(np.float32)
    rows[1, 0] += 0.5
    found = _runner(nodes, entry, leaving)(rows)
    return not np.array_equal(found[0, 1:], found[1, 1:])


def _width(nodes: tuple[PortNode, ...], entry: Key, leaving: Key) -> tuple[int | None, int | None]:
    shapes = _shapes(nodes)
    return shapes[entry][-1], shapes[leaving][-1]


def _shapes(nodes: tuple[PortNode, ...]) -> dict[Key, tuple[int | None, ...]]:
    """Shape of every tensor that the nodes take or give, the rows' axis included."""
    shapes: dict[Key, Any] = {}
    for node in nodes:
        shapes.update({node.sources[id(tensor)]: tensor.shape for tensor in node.node.arguments.keras_tensors})
        shapes.update(zip(node.outputs, (tensor.shape for tensor in node.node.outputs), strict=True))
    return shapes


def _describe(node: PortNode) -> str:
    name = type(node.operation).__name__
    activation = getattr(node.operation, "activation", None)
    inner = getattr(activation, "__name__", None)
    return f"{name}({inner})" if inner is not None else name


def _runner(nodes: tuple[PortNode, ...], entry: Key, leaving: Key) -> Callable[[Array], Array]:
    shape = _shapes(nodes)[entry][1:]

    def run(x: Array) -> Array:
        from keras import ops

        fits = len(shape) > 1 and x.ndim != len(shape) + 1 and None not in shape
        values = {entry: ops.convert_to_tensor(x.reshape(-1, *shape) if fits else x)}
        for node in nodes:
            node.compute(values)
        return np.asarray(ops.convert_to_numpy(values[leaving]))

    return run


def _weights(node: PortNode | None) -> tuple[Array | None, Array | None, Callable[[Array], Array] | None]:
    from keras import ops

    assert node is not None
    layer = node.operation
    kernel = np.asarray(ops.convert_to_numpy(layer.kernel)).astype(np.float64)
    bias = None if layer.bias is None else np.asarray(ops.convert_to_numpy(layer.bias)).astype(np.float64)
    if layer.activation is None:
        return kernel, bias, None

    def activate(z: Array) -> Array:
        return ops.convert_to_numpy(layer.activation(ops.convert_to_tensor(z, dtype=layer.compute_dtype)))

    return kernel, bias, activate


def _precision(node: PortNode | None, dtype: str | None) -> Precision | None:
    if dtype is None:
        return None
    variables = getattr(node.operation, "variable_dtype", dtype) if node is not None else dtype
    return Precision(compute=dtype, variables=variables)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
