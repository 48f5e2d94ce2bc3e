"""TensorFlow functions called between the layers of tf.keras 2.2 to 2.15: a closed table of plain arithmetic.

Such a call is a layer of its class TFOpLambda or SlicingOpLambda (the function's name in the configuration, the
arguments in the graph), or TensorFlowOpLayer (an operation of a graph, with constants). Nothing is looked up by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.activations import Activation
from reference.operations.arithmetic import Arithmetic, Reduction, Stack
from reference.operations.elementwise import Elementwise
from reference.operations.merging import Merge
from reference.operations.resizing import Resized
from reference.operations.shaping import Rearrangement, identity, reshape
from reference.operations.unit_normalization import UnitNormalization

Array = NDArray[Any]

CLASSES = ("TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer")
PREFIXES = ("", "math.", "nn.", "linalg.", "image.", "__operators__.", "compat.v1.", "compat.v1.math.",
            "compat.v1.nn.", "compat.v1.image.")  # fmt: skip


class UnknownOperationError(ValueError):
    """A function, or an argument of it, that is not in the table."""


@dataclass(frozen=True)
class Given:
    """The place of a tensor among a call's arguments: its number among those that the call takes."""

    index: int


@dataclass(frozen=True)
class Arguments:
    """What a function is called with.

    Attributes:
        takes: the tensors, as references of the graph.
        first: its first argument: a Given, a constant, or a list of them.
        others: further arguments by name, with Given in the places of tensors.
    """

    takes: tuple[tuple[str, int, int], ...]
    first: Any
    others: Mapping[str, Any]


def arguments_of(node: Sequence[Any]) -> Arguments:
    """The arguments of one call, as the graph has them. Source: tf.keras 2.15, engine/node.py, serialize."""
    alone = bool(node) and isinstance(node[0], str)
    takes: list[tuple[str, int, int]] = []

    def placed(value: Any) -> Any:
        if isinstance(value, list) and len(value) == 3 and isinstance(value[0], str):
            takes.append((str(value[0]), int(value[1]), int(value[2])))
            return Given(len(takes) - 1)
        return [placed(each) for each in value] if isinstance(value, list) else value

    entries = [node] if alone else list(node)
    firsts = [entry[2] if entry[0] == "_CONSTANT_VALUE" else placed(list(entry[:3])) for entry in entries]
    keywords = entries[0][3] if len(entries[0]) > 3 else {}
    others = {key: placed(value) for key, value in keywords.items()}
    return Arguments(tuple(takes), firsts[0] if len(firsts) == 1 else firsts, others)


def build_operation(kind: str, name: str, inputs: tuple[str, ...], config: Any, call: Arguments, dtype: Any) -> Any:
    """The step, or the steps of several outputs.

    Raises:
        UnknownOperationError: not in the table.
    """
    if kind == "TensorFlowOpLayer":
        function, call = from_graph_operation(config, call)
    else:
        full = str(config["function"])
        function = full.rpartition(".")[2]
        if full.removesuffix(function) not in PREFIXES:
            raise UnknownOperationError(f"{full} is not plain arithmetic")
    if function not in TABLE:
        raise UnknownOperationError(f"{function} is not plain arithmetic")
    return TABLE[function](_Site(name, inputs, call, dtype))


@dataclass(frozen=True)
class _Site:
    """One call, while its step is made."""

    name: str
    inputs: tuple[str, ...]
    call: Arguments
    dtype: Any

    def get(self, *keys: str, default: Any = None) -> Any:
        """A further argument; those that are never looked at must say nothing."""
        for key in keys:
            if self.call.others.get(key) is not None:
                return self.call.others[key]
        return default

    def check(self, *known: str) -> None:
        """Refuse arguments that the table does not follow."""
        for key, value in self.call.others.items():
            if key not in (*known, "name") and value not in (None, False):
                raise UnknownOperationError(f"{self.name} is called with {key}={value!r}")

    def operand(self, value: Any) -> int | Array:
        """A tensor's number, or a constant."""
        return value.index if isinstance(value, Given) else np.asarray(value, np.float64)

    def single(self) -> None:
        """The first argument is the only tensor."""
        if self.call.first != Given(0) or len(self.inputs) != 1:
            raise UnknownOperationError(f"{self.name} takes other things than one tensor")


def _arithmetic(function: str, *keys: str) -> Callable[[_Site], Any]:
    """A function of the first argument and of those named."""

    def build(site: _Site) -> Any:
        site.check(*keys)
        others = [site.get(key) for key in keys]
        if any(other is None for other in others):
            raise UnknownOperationError(f"{site.name} lacks {', '.join(keys)}")
        operands = tuple(site.operand(value) for value in (site.call.first, *others))
        return Arithmetic(site.name, site.inputs, function, operands, site.dtype)

    return build


def _power(site: _Site) -> Any:
    site.check("y")
    site.single()
    function = {2: "square", 3: "cube", 0.5: "sqrt", -1: "reciprocal", -0.5: "rsqrt"}.get(site.get("y"))
    if function is None:
        raise UnknownOperationError(f"{site.name}: the power {site.get('y')!r}")
    return Arithmetic(site.name, site.inputs, function, (0,), site.dtype)


def _add_all(site: _Site) -> Any:
    site.check()
    values = site.call.first if isinstance(site.call.first, list) else [site.call.first]
    return Arithmetic(site.name, site.inputs, "add", tuple(map(site.operand, values)), site.dtype)


def _scaled(site: _Site) -> Any:
    site.check("x")
    operands = (site.operand(site.call.first), site.operand(site.get("x")))
    return Arithmetic(site.name, site.inputs, "multiply", operands, site.dtype)


def _matmul(site: _Site) -> Any:
    site.check("b")
    operands = (site.operand(site.call.first), site.operand(site.get("b")))
    return Arithmetic(site.name, site.inputs, "matmul", operands, site.dtype)


def _bias(site: _Site) -> Any:
    site.check("bias", "data_format")
    if site.get("data_format", default="NHWC") not in ("NHWC", "N..C"):
        raise UnknownOperationError(f"{site.name}: channels first")
    operands = (site.operand(site.call.first), site.operand(site.get("bias")))
    return Arithmetic(site.name, site.inputs, "add", operands, site.dtype)


def _reduced(function: str) -> Callable[[_Site], Any]:
    def build(site: _Site) -> Any:
        site.check("axis", "keepdims", "keep_dims", "reduction_indices")
        site.single()
        axis = site.get("axis", "reduction_indices")
        axes = tuple(axis) if isinstance(axis, list) else (axis,)
        if axis is None or 0 in axes:
            raise UnknownOperationError(f"{site.name}: over the rows of a batch")
        keeps = bool(site.get("keepdims", "keep_dims", default=False))
        return Reduction(site.name, site.inputs, function, axes, keeps, site.dtype)

    return build


def _activated(function: str, **parameters: str) -> Callable[[_Site], Any]:
    """An activation; parameters by the reference's name, with the argument that gives each."""

    def build(site: _Site) -> Any:
        site.check(*parameters.values())
        site.single()
        given = {own: site.get(key) for own, key in parameters.items() if site.get(key) is not None}
        return Elementwise(site.name, site.inputs, Activation(function, given), site.dtype)

    return build


def _leaky(site: _Site) -> Any:
    site.check("alpha")
    site.single()
    slope = float(site.get("alpha", default=0.2))
    return Elementwise(site.name, site.inputs, Activation("leaky_relu", {"negative_slope": slope}), site.dtype)


def _silu(site: _Site) -> Any:
    site.check("beta")
    site.single()
    if site.get("beta", default=1.0) != 1.0:
        raise UnknownOperationError(f"{site.name}: beta {site.get('beta')!r}")
    return Elementwise(site.name, site.inputs, Activation("silu"), site.dtype)


def _gelu(site: _Site) -> Any:
    site.check("approximate")
    site.single()
    function = "gelu_tanh" if site.get("approximate", default=False) else "gelu"
    return Elementwise(site.name, site.inputs, Activation(function), site.dtype)


def _moved(function: Callable[..., Array], *known: str) -> Callable[[_Site], Any]:
    """A function of the array and of the arguments, all of them read by it."""

    def build(site: _Site) -> Any:
        site.check(*known)
        site.single()
        return Rearrangement(site.name, site.inputs, function_of(site), site.dtype)

    def function_of(site: _Site) -> Callable[[Array], Array]:
        return partial(function, site=site)

    return build


def _reshape(site: _Site) -> Any:
    site.check("shape")
    site.single()
    shape = site.get("shape")
    whole = isinstance(shape, list) and all(isinstance(n, int) for n in shape)
    if not whole or shape[0] != -1 or shape.count(-1) != 1:
        raise UnknownOperationError(f"{site.name}: the shape {shape!r}, which is not one of rows")
    return Rearrangement(site.name, site.inputs, partial(reshape, shape=tuple(shape[1:])), site.dtype)


def _transposed(x: Array, site: _Site) -> Array:
    return np.transpose(x, _rows_first(site, site.get("perm")))


def _rows_first(site: _Site, order: Any) -> Any:
    if not isinstance(order, list) or order[0] != 0:
        raise UnknownOperationError(f"{site.name}: the rows are moved")
    return order


def _expanded(x: Array, site: _Site) -> Array:
    return np.expand_dims(x, _not_rows(site, site.get("axis")))


def _squeezed(x: Array, site: _Site) -> Array:
    axis = site.get("axis", "squeeze_dims")
    axes = tuple(axis) if isinstance(axis, list) else (axis,)
    return np.squeeze(x, tuple(_not_rows(site, each) for each in axes))


def _not_rows(site: _Site, axis: Any) -> int:
    if not isinstance(axis, int) or axis == 0:
        raise UnknownOperationError(f"{site.name}: axis {axis!r}")
    return axis


def _tiled(x: Array, site: _Site) -> Array:
    times = site.get("multiples")
    if not isinstance(times, list) or times[0] != 1:
        raise UnknownOperationError(f"{site.name}: the rows are repeated")
    return np.tile(x, times)


def _padded(x: Array, site: _Site) -> Array:
    amounts, mode = site.get("paddings"), str(site.get("mode", default="CONSTANT")).upper()
    if not isinstance(amounts, list) or amounts[0] != [0, 0] or mode not in ("CONSTANT", "REFLECT", "SYMMETRIC"):
        raise UnknownOperationError(f"{site.name}: padding {amounts!r}, {mode}")
    if mode != "CONSTANT":
        return np.pad(x, amounts, mode="reflect" if mode == "REFLECT" else "symmetric")
    return np.pad(x, amounts, constant_values=site.get("constant_values", default=0))


def slices_of(site: _Site) -> tuple[Any, ...]:
    """What is taken along each axis, the rows all of them."""
    spec = site.get("slice_spec")
    parts: list[Any] = []
    for each in spec if isinstance(spec, list) else [spec]:
        if isinstance(each, Mapping) and set(each) == {"start", "stop", "step"}:
            parts.append(slice(each["start"], each["stop"], each["step"]))
        elif isinstance(each, Mapping) and each.get("class_name") == "__ellipsis__":
            parts.append(Ellipsis)
        elif each is None or isinstance(each, int):
            parts.append(each)
        else:
            raise UnknownOperationError(f"{site.name}: the slice {each!r}")
    if not (parts and (parts[0] is Ellipsis or parts[0] == slice(None))):
        raise UnknownOperationError(f"{site.name}: some of the rows are taken")
    return tuple(parts)


def _taken(site: _Site) -> Any:
    site.check("slice_spec")
    site.single()
    parts = slices_of(site)
    return Rearrangement(site.name, site.inputs, lambda x: x[parts], site.dtype)


def _joined(site: _Site) -> Any:
    site.check("axis", "concat_dim")
    values = site.call.first if isinstance(site.call.first, list) else [site.call.first]
    if not all(isinstance(value, Given) for value in values):
        raise UnknownOperationError(f"{site.name} joins constants")
    inputs = tuple(site.inputs[value.index] for value in values)
    return Merge(site.name, inputs, "concatenate", _not_rows(site, site.get("axis", "concat_dim")), site.dtype)


def _stacked(site: _Site) -> Any:
    site.check("axis")
    values = site.call.first if isinstance(site.call.first, list) else [site.call.first]
    if not all(isinstance(value, Given) for value in values):
        raise UnknownOperationError(f"{site.name} stacks constants")
    inputs = tuple(site.inputs[value.index] for value in values)
    return Stack(site.name, inputs, _not_rows(site, site.get("axis", default=0)), site.dtype)


def _resized(site: _Site) -> Any:
    site.check("size", "method")
    site.single()
    size, method = site.get("size"), site.get("method", default="bilinear")
    if method not in ("bilinear", "nearest") or not (isinstance(size, list) and len(size) == 2):
        raise UnknownOperationError(f"{site.name}: resized to {size!r} by {method!r}")
    return Resized(site.name, site.inputs, int(size[0]), int(size[1]), method, False, site.dtype)


def _unit(site: _Site) -> Any:
    site.check("axis", "dim", "epsilon")
    site.single()
    axis = site.get("axis", "dim")
    axes = tuple(axis) if isinstance(axis, list) else (axis,)
    if axis is None or 0 in axes:
        raise UnknownOperationError(f"{site.name}: over the rows of a batch")
    return UnitNormalization(site.name, site.inputs, axes, float(site.get("epsilon", default=1e-12)), site.dtype)


def _kept(site: _Site) -> Any:
    site.check("dtype", "dtype_hint")
    site.single()
    kind = site.get("dtype", default="float32")
    if kind not in ("float32", "float64"):
        raise UnknownOperationError(f"{site.name}: a cast to {kind!r}")
    return Rearrangement(site.name, site.inputs, identity, site.dtype)


TABLE: Mapping[str, Callable[[_Site], Any]] = {
    "abs": _arithmetic("abs"), "add": _arithmetic("add", "y"), "add_n": _add_all, "bias_add": _bias, "cast": _kept,
    "clip_by_value": _arithmetic("clip", "clip_value_min", "clip_value_max"), "concat": _joined,
    "convert_to_tensor": _kept, "divide": _arithmetic("divide", "y"), "elu": _activated("elu"),
    "exp": _activated("exponential"), "expand_dims": _moved(_expanded, "axis"), "gelu": _gelu, "getitem": _taken,
    "identity": _kept, "l2_normalize": _unit, "leaky_relu": _leaky, "matmul": _matmul,
    "maximum": _arithmetic("maximum", "y"), "minimum": _arithmetic("minimum", "y"),
    "multiply": _arithmetic("multiply", "y"), "negative": _arithmetic("negative"),
    "pad": _moved(_padded, "paddings", "mode", "constant_values"), "pow": _power,
    "reciprocal": _arithmetic("reciprocal"), "reduce_max": _reduced("max"), "reduce_mean": _reduced("mean"),
    "reduce_min": _reduced("min"), "reduce_sum": _reduced("sum"), "relu": _activated("relu"),
    "relu6": _activated("relu6"), "reshape": _reshape, "resize": _resized, "rsqrt": _arithmetic("rsqrt"),
    "scalar_mul": _scaled, "selu": _activated("selu"), "sigmoid": _activated("sigmoid"), "silu": _silu,
    "softmax": _activated("softmax", axis="axis"), "softplus": _activated("softplus"),
    "softsign": _activated("softsign"), "sqrt": _arithmetic("sqrt"), "square": _arithmetic("square"),
    "squared_difference": _arithmetic("squared_difference", "y"), "squeeze": _moved(_squeezed, "axis", "squeeze_dims"),
    "stack": _stacked, "stop_gradient": _kept, "subtract": _arithmetic("subtract", "y"), "swish": _silu,
    "tanh": _activated("tanh"), "tile": _moved(_tiled, "multiples"),
    "transpose": _moved(_transposed, "perm"), "truediv": _arithmetic("divide", "y"),
}  # fmt: skip

GRAPH_OPERATIONS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "Abs": ("abs", ()), "Add": ("add", ("y",)), "AddV2": ("add", ("y",)), "BiasAdd": ("bias_add", ("bias",)),
    "Elu": ("elu", ()), "Exp": ("exp", ()), "Identity": ("identity", ()), "MatMul": ("matmul", ("b",)),
    "BatchMatMulV2": ("matmul", ("b",)), "Max": ("reduce_max", ("axis",)), "Maximum": ("maximum", ("y",)),
    "Mean": ("reduce_mean", ("axis",)), "Min": ("reduce_min", ("axis",)), "Minimum": ("minimum", ("y",)),
    "Mul": ("multiply", ("y",)), "Neg": ("negative", ()), "Pow": ("pow", ("y",)), "RealDiv": ("truediv", ("y",)),
    "Reciprocal": ("reciprocal", ()), "Relu": ("relu", ()), "Relu6": ("relu6", ()), "Reshape": ("reshape", ("shape",)),
    "Rsqrt": ("rsqrt", ()), "Selu": ("selu", ()), "Sigmoid": ("sigmoid", ()), "Softmax": ("softmax", ()),
    "Softplus": ("softplus", ()), "Softsign": ("softsign", ()), "Sqrt": ("sqrt", ()), "Square": ("square", ()),
    "SquaredDifference": ("squared_difference", ("y",)), "Sub": ("subtract", ("y",)), "Sum": ("reduce_sum", ("axis",)),
    "Tanh": ("tanh", ()), "Tile": ("tile", ("multiples",)), "Transpose": ("transpose", ("perm",)),
    "ExpandDims": ("expand_dims", ("axis",)),
}  # fmt: skip
"""Operations of a graph, by the function of the table that computes them, and the names of their further inputs."""
HARMLESS = ("T", "Tidx", "Tperm", "Tdim", "Tmultiples", "Tshape", "_cloned", "_output_shapes", "Tpaddings", "SrcT")


def from_graph_operation(config: Any, call: Arguments) -> tuple[str, Arguments]:
    """The function of the table that a TensorFlowOpLayer amounts to, and its arguments.

    Source: tf.keras 2.3, engine/base_layer.py, TensorFlowOpLayer: constants stand at their places among the inputs.
    """
    node = config["node_def"]
    if not isinstance(node, Mapping):
        raise UnknownOperationError("an operation that is stored as a protocol buffer")
    if node.get("op") not in GRAPH_OPERATIONS:
        raise UnknownOperationError(f"{node.get('op')} is not plain arithmetic")
    function, names = GRAPH_OPERATIONS[node["op"]]
    values: list[Any] = list(call.first) if isinstance(call.first, list) else [call.first]
    for index, constant in sorted((int(key), value) for key, value in (config.get("constants") or {}).items()):
        values.insert(index, constant)
    if len(values) != 1 + len(names):
        raise UnknownOperationError(f"{node['op']} with {len(values)} inputs")
    others = {**dict(zip(names, values[1:], strict=True)), **_attributes(node)}
    return function, replace(call, first=values[0], others=others)


def _attributes(node: Mapping[str, Any]) -> dict[str, Any]:
    """What the attributes of an operation say beyond types.

    Raises:
        UnknownOperationError: something that the table does not follow.
    """
    found: dict[str, Any] = {}
    for key, value in (node.get("attr") or {}).items():
        says = next(iter(value.values()), None) if isinstance(value, Mapping) else value
        if key in ("keep_dims",):
            found["keepdims"] = bool(says)
        elif key == "data_format":
            if says not in ("NHWC", "TkhXQw=="):  # as bytes are written in JSON
                raise UnknownOperationError(f"{node['op']} with channels first")
        elif key not in HARMLESS and says not in (None, False):
            raise UnknownOperationError(f"{node['op']} with {key}={says!r}")
    return found
