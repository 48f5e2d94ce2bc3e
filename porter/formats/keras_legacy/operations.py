"""TensorFlow functions that stand in a model as layers: which of them are plain arithmetic, and with what arguments.

The table is closed: a name that is not in it is never looked up anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from porter.formats.keras_legacy.errors import ConfigError, ExecutableLayerError
from porter.network.graph import KerasLayer

OPERATIONS = ("TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer")
MODULES = frozenset((
    "", "math", "nn", "linalg", "image", "__operators__", "compat.v1", "compat.v1.math", "compat.v1.nn",
    "compat.v1.image",
))  # fmt: skip
NUMBERS = int | float


@dataclass(frozen=True)
class Place:
    """Where a tensor stands among the arguments of a call: its number among those that the call takes."""

    number: int


@dataclass(frozen=True)
class CallArguments:
    """What a layer is called with in a graph.

    Attributes:
        takes: references of the tensors, in the order in which they stand.
        first: the first argument: a Place, a constant, or a list of both.
        named: the others, with a Place for each tensor.
    """

    takes: tuple[tuple[str, int, int], ...]
    first: Any
    named: Mapping[str, Any]


def read_arguments(node: Any, where: str) -> CallArguments:
    """The arguments of one call, as the graph lists them.

    Raises:
        ConfigError: something else than a call.
    """
    entries = [node] if isinstance(node, list) and node and isinstance(node[0], str) else node
    if (
        not isinstance(entries, list)
        or not entries
        or not all(isinstance(one, list) and len(one) > 2 for one in entries)
    ):
        raise ConfigError(f"{where}: a call", found=repr(node)[:120], expected="[[layer, 0, 0, {}], ...]")
    takes: list[tuple[str, int, int]] = []
    firsts = [one[2] if one[0] == "_CONSTANT_VALUE" else _placed(one[:3], takes) for one in entries]
    named = entries[0][3] if len(entries[0]) > 3 else {}
    if not isinstance(named, Mapping):
        raise ConfigError(f"{where}: the arguments of a call", found=repr(named)[:120], expected="names and values")
    others = {key: _placed(value, takes) for key, value in named.items()}
    return CallArguments(tuple(takes), firsts[0] if len(firsts) == 1 else firsts, others)


def _placed(value: Any, takes: list[tuple[str, int, int]]) -> Any:
    """A value with a Place wherever a tensor is meant."""
    if not isinstance(value, list):
        return value
    if len(value) == 3 and isinstance(value[0], str) and all(type(n) is int for n in value[1:]):
        takes.append((value[0], value[1], value[2]))
        return Place(len(takes) - 1)
    return [_placed(each, takes) for each in value]


def translate_operation(path: str, kind: str, config: Mapping[str, Any], call: CallArguments, where: str) -> KerasLayer:
    """The layer, if it is plain arithmetic.

    Raises:
        ExecutableLayerError: it is not in the table, or called in a way that is not.
    """
    try:
        function, call = _graph_operation(config, call) if kind == "TensorFlowOpLayer" else (_function(config), call)
        parameters = TABLE[function](call.first, _said(call.named))
    except _NotArithmetic as error:
        raise ExecutableLayerError(
            f"{where} is a {kind}: {error}, which is not run",
            remedy=f"give a function in its place: --replace {path}=module:function",
        ) from error
    return KerasLayer(path, kind, "Operation", {"function": FUNCTIONS.get(function, function), **parameters})


class _NotArithmetic(Exception):
    """What is not in the table."""


def _function(config: Mapping[str, Any]) -> str:
    full = config.get("function")
    if not isinstance(full, str):
        raise _NotArithmetic("a function without a name")
    module, _, name = full.rpartition(".")
    if module not in MODULES or name not in TABLE:
        raise _NotArithmetic(f"the TensorFlow function {full!r}")
    return name


def _said(named: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that say something."""
    return {key: value for key, value in named.items() if key != "name" and value is not None and value is not False}


def _only(named: Mapping[str, Any], *known: str) -> None:
    for key, value in named.items():
        if key not in known:
            raise _NotArithmetic(f"a call with {key}={str(value)[:40]}")


def _constant(value: Any) -> bool:
    """Whether a value is a tensor's place, a number, or numbers in lists."""
    if isinstance(value, list):
        return all(map(_constant, value)) and not any(isinstance(each, Place) for each in value)
    return isinstance(value, Place) or (isinstance(value, NUMBERS) and not isinstance(value, bool))


def _is_one_tensor(first: Any) -> None:
    if not isinstance(first, Place):
        raise _NotArithmetic("a call on other things than one tensor")


def _with(*names: str) -> Callable[[Any, dict[str, Any]], dict[str, Any]]:
    """A function of its first argument and of those named, tensors or numbers."""

    def read(first: Any, named: dict[str, Any]) -> dict[str, Any]:
        _only(named, *names)
        operands = [first, *(named.get(name) for name in names)]
        if not all(map(_constant, operands)) or not any(isinstance(each, Place) for each in operands):
            raise _NotArithmetic(f"a call on {str(operands)[:60]}")
        return {"operands": operands}

    return read


POWERS = {2: "square", 3: "cube", 0.5: "sqrt", -1: "reciprocal", -0.5: "rsqrt"}


def _power(first: Any, named: dict[str, Any]) -> dict[str, Any]:
    _only(named, "y")
    _is_one_tensor(first)
    exponent = named.get("y", 0)
    if not isinstance(exponent, NUMBERS) or exponent not in POWERS:
        raise _NotArithmetic(f"the power {exponent!r}")
    return {"operands": [first], "function": POWERS[exponent]}


def _several(first: Any, named: dict[str, Any]) -> dict[str, Any]:
    _only(named)
    return {"operands": _listed(first, constants=True)}


def _listed(first: Any, constants: bool = False) -> list[Any]:
    values = first if isinstance(first, list) else [first]
    if not all(isinstance(each, Place) or (constants and _constant(each)) for each in values):
        raise _NotArithmetic("constants among the tensors that are joined")
    return values


def _bias(first: Any, named: dict[str, Any]) -> dict[str, Any]:
    _only(named, "bias", "data_format")
    if named.get("data_format", "NHWC") not in ("NHWC", "N..C"):
        raise _NotArithmetic("a bias with the channels first")
    return _with("bias")(first, {"bias": named.get("bias")})


def _reduction(first: Any, named: dict[str, Any]) -> dict[str, Any]:
    _only(named, "axis", "keepdims", "keep_dims", "reduction_indices")
    _is_one_tensor(first)
    axes = named.get("axis", named.get("reduction_indices"))
    axes = axes if isinstance(axes, list) else [axes]
    if not axes or any(type(axis) is not int or axis == 0 for axis in axes):
        raise _NotArithmetic("a reduction over the rows of a batch")
    return {"operands": [first], "axis": tuple(axes), "keepdims": bool(named.get("keepdims", named.get("keep_dims")))}


def _axis_of(*names: str, default: int | None = None) -> Callable[[Any, dict[str, Any]], dict[str, Any]]:
    """One tensor and axes, none of them that of the rows."""

    def read(first: Any, named: dict[str, Any]) -> dict[str, Any]:
        _only(named, *names)
        _is_one_tensor(first)
        given = next((named[name] for name in names if name in named), default)
        axes = given if isinstance(given, list) else [given]
        if any(type(axis) is not int or axis == 0 for axis in axes):
            raise _NotArithmetic(f"axis {given!r}")
        return {"operands": [first], "axis": tuple(axes)}

    return read


def _joined(*names: str) -> Callable[[Any, dict[str, Any]], dict[str, Any]]:
    def read(first: Any, named: dict[str, Any]) -> dict[str, Any]:
        _only(named, *names)
        axis = next((named[name] for name in names if name in named), 0)
        if type(axis) is not int or axis == 0:
            raise _NotArithmetic(f"rows joined along axis {axis!r}")
        return {"operands": _listed(first), "axis": axis}

    return read


def _plain(first: Any, named: dict[str, Any]) -> dict[str, Any]:
    _only(named)
    _is_one_tensor(first)
    return {"operands": [first]}


def _number(name: str, default: float, *allowed: float) -> Callable[[Any, dict[str, Any]], dict[str, Any]]:
    """One tensor and one number; only these values of it, where any are listed."""

    def read(first: Any, named: dict[str, Any]) -> dict[str, Any]:
        _only(named, name)
        _is_one_tensor(first)
        value = named.get(name, default)
        if not isinstance(value, NUMBERS) or (allowed and value not in allowed):
            raise _NotArithmetic(f"a call with {name}={value!r}")
        return {"operands": [first], name: value}

    return read


def _unit(first: Any, named: dict[str, Any]) -> dict[str, Any]:
    epsilon = named.pop("epsilon", 1e-12)
    if not isinstance(epsilon, NUMBERS):
        raise _NotArithmetic(f"epsilon {epsilon!r}")
    return {**_axis_of("axis", "dim")(first, named), "epsilon": float(epsilon)}


def _reshaped(first: Any, named: dict[str, Any]) -> dict[str, Any]:
    _only(named, "shape")
    _is_one_tensor(first)
    shape = named.get("shape")
    whole = isinstance(shape, list) and bool(shape) and all(type(n) is int for n in shape)
    if not whole or shape[0] != -1 or shape.count(-1) > 1:  # type: ignore[index, union-attr]
        raise _NotArithmetic(f"the shape {str(shape)[:60]}, which does not keep the rows")
    return {"operands": [first], "shape": tuple(shape[1:])}  # type: ignore[index]


def _row_list(name: str, first_entry: Any) -> Callable[[Any, dict[str, Any]], dict[str, Any]]:
    """One tensor and a list whose entry for the rows must be this one."""

    def read(first: Any, named: dict[str, Any]) -> dict[str, Any]:
        _only(named, name)
        _is_one_tensor(first)
        values = named.get(name)
        if not isinstance(values, list) or values[:1] != [first_entry] or not all(type(n) is int for n in values):
            raise _NotArithmetic(f"{name} {str(values)[:60]}, which does not keep the rows")
        return {"operands": [first], name: tuple(values)}

    return read


def _padded(first: Any, named: dict[str, Any]) -> dict[str, Any]:
    _only(named, "paddings", "mode", "constant_values")
    _is_one_tensor(first)
    amounts, mode = named.get("paddings"), str(named.get("mode", "CONSTANT")).lower()
    fits = isinstance(amounts, list) and amounts[:1] == [[0, 0]] and all(
        isinstance(pair, list) and len(pair) == 2 and all(type(n) is int and n >= 0 for n in pair) for pair in amounts
    )  # fmt: skip
    if not fits or mode not in ("constant", "reflect", "symmetric"):
        raise _NotArithmetic(f"padding {str(amounts)[:60]}, {mode}")
    value = named.get("constant_values", 0)
    if not isinstance(value, NUMBERS):
        raise _NotArithmetic(f"padding with {value!r}")
    return {"operands": [first], "amounts": tuple(map(tuple, amounts)), "mode": mode, "value": value}  # type: ignore[arg-type]


def _sliced(first: Any, named: dict[str, Any]) -> dict[str, Any]:
    _only(named, "slice_spec")
    _is_one_tensor(first)
    spec = named.get("slice_spec", 0)
    parts = [_part(each) for each in (spec if isinstance(spec, list) else [spec])]
    if not parts or parts[0] not in (("slice", None, None, None), ("ellipsis",)):
        raise _NotArithmetic("a slice of the rows")
    return {"operands": [first], "parts": tuple(parts)}


def _part(each: Any) -> Any:
    """What is taken along one axis, as plain data."""
    if isinstance(each, Mapping) and each.get("class_name") == "__ellipsis__":
        return ("ellipsis",)
    if isinstance(each, Mapping) and each.keys() == {"start", "stop", "step"}:
        ends = tuple(each[key] for key in ("start", "stop", "step"))
        if all(end is None or type(end) is int for end in ends):
            return ("slice", *ends)
    if each is None or type(each) is int:
        return ("index", each)
    raise _NotArithmetic(f"the slice {str(each)[:60]}")


def _resized(first: Any, named: dict[str, Any]) -> dict[str, Any]:
    _only(named, "size", "method")
    _is_one_tensor(first)
    size, method = named.get("size"), named.get("method", "bilinear")
    fits = isinstance(size, list) and len(size) == 2 and all(type(n) is int and n > 0 for n in size)
    if not fits or method not in ("bilinear", "nearest"):
        raise _NotArithmetic(f"images resized to {str(size)[:40]} by {method!r}")
    return {"operands": [first], "size": tuple(size), "method": method}  # type: ignore[arg-type]


def _kept(first: Any, named: dict[str, Any]) -> dict[str, Any]:
    _only(named, "dtype", "dtype_hint")
    _is_one_tensor(first)
    if named.get("dtype", "float32") not in ("float32", "float64"):
        raise _NotArithmetic(f"a cast to {named['dtype']!r}")
    return {"operands": [first]}


Y, X = _with("y"), _with()
TABLE: Mapping[str, Callable[[Any, dict[str, Any]], dict[str, Any]]] = {
    **{name: Y for name in (
        "add", "divide", "maximum", "minimum", "multiply", "squared_difference", "subtract", "truediv",
    )},
    **{name: X for name in ("abs", "negative", "reciprocal", "rsqrt", "sqrt", "square")},
    **{name: _plain for name in ("elu", "exp", "relu", "relu6", "selu", "sigmoid", "softplus", "softsign", "tanh")},
    **{name: _reduction for name in ("reduce_max", "reduce_mean", "reduce_min", "reduce_sum")},
    **{name: _kept for name in ("cast", "convert_to_tensor", "identity", "stop_gradient")},
    **{name: _number("beta", 1.0, 1.0) for name in ("silu", "swish")},
    "add_n": _several,
    "bias_add": _bias,
    "clip_by_value": _with("clip_value_min", "clip_value_max"),
    "concat": _joined("axis", "concat_dim"),
    "expand_dims": _axis_of("axis"),
    "gelu": _number("approximate", False),
    "getitem": _sliced,
    "l2_normalize": _unit,
    "leaky_relu": _number("alpha", 0.2),
    "matmul": _with("b"),
    "pad": _padded,
    "pow": _power,
    "reshape": _reshaped,
    "resize": _resized,
    "scalar_mul": _with("x"),
    "softmax": _axis_of("axis", "dim", default=-1),
    "squeeze": _axis_of("axis", "squeeze_dims"),
    "stack": _joined("axis"),
    "tile": _row_list("multiples", 1),
    "transpose": _row_list("perm", 0),
}  # fmt: skip
FUNCTIONS = {
    "add_n": "add", "bias_add": "add", "cast": "identity", "clip_by_value": "clip", "convert_to_tensor": "identity",
    "getitem": "slice", "scalar_mul": "multiply", "stop_gradient": "identity", "swish": "silu", "truediv": "divide",
}  # fmt: skip
"""Names of one function, where it has several."""

INPUTS_AFTER_THE_FIRST: Mapping[str, tuple[str, tuple[str, ...]]] = {
    **{name: (name.lower(), ()) for name in (
        "Abs", "Elu", "Exp", "Identity", "Reciprocal", "Relu", "Relu6", "Rsqrt", "Selu", "Sigmoid", "Softmax",
        "Softplus", "Softsign", "Sqrt", "Square", "Tanh",
    )},
    **{name: (name.lower(), ("y",)) for name in ("Add", "Maximum", "Minimum", "Pow")},
    **{name: (f"reduce_{name.lower()}", ("axis",)) for name in ("Max", "Mean", "Min", "Sum")},
    "AddV2": ("add", ("y",)), "BatchMatMulV2": ("matmul", ("b",)), "BiasAdd": ("bias_add", ("bias",)),
    "ExpandDims": ("expand_dims", ("axis",)), "MatMul": ("matmul", ("b",)), "Mul": ("multiply", ("y",)),
    "Neg": ("negative", ()), "RealDiv": ("divide", ("y",)), "Reshape": ("reshape", ("shape",)),
    "SquaredDifference": ("squared_difference", ("y",)), "Sub": ("subtract", ("y",)),
    "Tile": ("tile", ("multiples",)), "Transpose": ("transpose", ("perm",)),
}  # fmt: skip
TYPES = ("T", "Tidx", "Tperm", "Tdim", "Tmultiples", "Tshape", "SrcT", "_cloned", "_output_shapes")
CHANNELS_LAST = ("NHWC", "TkhXQw==")
"""As text, and as JSON writes the bytes."""


def _graph_operation(config: Mapping[str, Any], call: CallArguments) -> tuple[str, CallArguments]:
    """The function that a TensorFlowOpLayer amounts to; its constants stand at their places among the inputs."""
    node, constants = config.get("node_def"), config.get("constants") or {}
    if not isinstance(node, Mapping) or not isinstance(constants, Mapping):
        raise _NotArithmetic("an operation stored as a protocol buffer")
    if node.get("op") not in INPUTS_AFTER_THE_FIRST:
        raise _NotArithmetic(f"the TensorFlow operation {node.get('op')!r}")
    function, names = INPUTS_AFTER_THE_FIRST[node["op"]]
    values: list[Any] = list(call.first) if isinstance(call.first, Sequence) else [call.first]
    for key, value in sorted(constants.items(), key=lambda item: int(item[0])):
        values.insert(int(key), value)
    if len(values) != 1 + len(names):
        raise _NotArithmetic(f"the operation {node['op']} with {len(values)} inputs")
    named = dict(zip(names, values[1:], strict=True)) | _attributes(node)
    return function, CallArguments(call.takes, values[0], named)


def _attributes(node: Mapping[str, Any]) -> dict[str, Any]:
    """What its attributes say beside the types of its inputs."""
    found: dict[str, Any] = {}
    for key, value in (node.get("attr") or {}).items():
        says = next(iter(value.values()), None) if isinstance(value, Mapping) else value
        if key == "keep_dims":
            found["keepdims"] = bool(says)
        elif key == "data_format" and says in CHANNELS_LAST:
            continue
        elif key not in TYPES and says is not None and says is not False:
            raise _NotArithmetic(f"the operation {node['op']} with {key}={str(says)[:40]}")
    return found
