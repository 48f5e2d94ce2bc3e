"""Between which numbers the tensors of a traced piece of a port can lie, whatever it is fed with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

Reach = tuple[float, float]
"""The smallest and the largest number; of a condition 0 for false and 1 for true."""
ANY: Reach = (-np.inf, np.inf)
BOOL: Reach = (0.0, 1.0)

RISING: Mapping[str, Callable[[Any], Any]] = {
    "Exp": np.exp, "Relu": lambda x: max(x, 0.0), "Relu6": lambda x: min(max(x, 0.0), 6.0),
    "Sigmoid": lambda x: 1 / (1 + np.exp(-x)), "Softplus": lambda x: np.logaddexp(x, 0.0),
    "Sqrt": lambda x: np.sqrt(max(x, 0.0)), "Tanh": np.tanh,
}  # fmt: skip
"""Functions that grow with what they take."""
MOVING = {
    "BroadcastTo", "Cast", "ConcatV2", "EnsureShape", "ExpandDims", "GatherNd", "GatherV2", "Identity", "Max", "Min",
    "Pack", "PreventGradient", "Reshape", "Slice", "Squeeze", "StopGradient", "StridedSlice", "Tile", "Transpose",
}  # fmt: skip
"""Operations whose numbers are some that they take."""
COUNTS = {"Rank", "Shape", "ShapeN", "Size"}


def reaches(operations: Sequence[Any], inputs: Mapping[str, Reach]) -> dict[str, Reach]:
    """By tensor.

    Args:
        operations: of a graph of TensorFlow's, in an order of computation.
        inputs: what is known of what it is fed with, by tensor.
    """
    found = dict(inputs)
    for operation in operations:
        given = [found.get(each.name, ANY) for each in operation.inputs]
        with np.errstate(all="ignore"):
            reach = _of(operation, given)
        for each in operation.outputs:
            found.setdefault(each.name, BOOL if each.dtype.name == "bool" and reach == ANY else reach)
    return found


def _of(operation: Any, given: Sequence[Reach]) -> Reach:
    kind = operation.type
    if kind == "Const":
        return _of_constant(operation)
    if kind in RISING:
        ends = [float(RISING[kind](end)) for end in given[0]]
        return ANY if any(np.isnan(end) for end in ends) else (ends[0], ends[1])
    if kind in MOVING:
        kept = given[:-1] if kind in ("ConcatV2",) else given if kind == "Pack" else given[:1]
        return min(low for low, _ in kept), max(high for _, high in kept)
    if kind in COUNTS or kind == "Range":
        is_counting = kind != "Range" or (given[0][0] >= 0 and given[2][0] > 0)
        return (0.0, np.inf) if is_counting else ANY
    rule = RULES.get(kind)
    reach = ANY if rule is None else rule(*given)
    return ANY if any(np.isnan(end) for end in reach) else reach


def _of_constant(operation: Any) -> Reach:
    import tensorflow as tf

    if operation.get_attr("dtype").name in ("string", "resource", "variant"):
        return ANY
    value = np.asarray(tf.make_ndarray(operation.get_attr("value"))).astype(np.float64)
    return (float(value.min()), float(value.max())) if value.size and not np.isnan(value).any() else ANY


def _absolute(x: Reach) -> Reach:
    return (0.0 if x[0] <= 0 <= x[1] else min(abs(x[0]), abs(x[1]))), max(abs(x[0]), abs(x[1]))


def _product(x: Reach, y: Reach) -> Reach:
    ends = [0.0 if 0 in (a, b) else a * b for a in x for b in y]
    return min(ends), max(ends)


def _square(x: Reach) -> Reach:
    low, high = _absolute(x)
    return low * low, high * high


def _sum_of(x: Reach, _axes: Reach) -> Reach:
    return (0.0 if x[0] >= 0 else -np.inf), (0.0 if x[1] <= 0 else np.inf)


def is_larger(x: Reach, y: Reach) -> Reach:
    """Of the question whether the first is the larger one."""
    return float(x[0] > y[1]), float(x[1] > y[0])


def _not(x: Reach) -> Reach:
    return 1 - x[1], 1 - x[0]


def are_equal(x: Reach, y: Reach) -> Reach:
    """Of the question whether both are the same."""
    return float(x[0] == x[1] == y[0] == y[1]), float(x[0] <= y[1] and y[0] <= x[1])


def _lower(x: Reach, y: Reach) -> Reach:
    return min(x[0], y[0]), min(x[1], y[1])


def _upper(x: Reach, y: Reach) -> Reach:
    return max(x[0], y[0]), max(x[1], y[1])


def _added(x: Reach, y: Reach) -> Reach:
    return x[0] + y[0], x[1] + y[1]


def _chosen(condition: Reach, x: Reach, y: Reach) -> Reach:
    known = {(0.0, 0.0): y, (1.0, 1.0): x}
    return known.get(condition, (min(x[0], y[0]), max(x[1], y[1])))


RULES: Mapping[str, Callable[..., Reach]] = {
    "Abs": _absolute,
    "AddV2": _added,
    "All": lambda x, _axes: x,
    "Any": lambda x, _axes: x,
    "BiasAdd": _added,
    "Equal": are_equal,
    "Greater": is_larger,
    "GreaterEqual": lambda x, y: _not(is_larger(y, x)),
    "Less": lambda x, y: is_larger(y, x),
    "LessEqual": lambda x, y: _not(is_larger(x, y)),
    "IsInf": lambda x: (0.0, float(bool(np.isinf(x).any()))),
    "LogicalAnd": _lower,
    "LogicalNot": _not,
    "LogicalOr": _upper,
    "Maximum": _upper,
    "Mean": lambda x, _axes: x,
    "Minimum": _lower,
    "Mul": _product,
    "Neg": lambda x: (-x[1], -x[0]),
    "NotEqual": lambda x, y: _not(are_equal(x, y)),
    "OnesLike": lambda _: (1.0, 1.0),
    "SelectV2": _chosen,
    "Softmax": lambda _: (0.0, 1.0),
    "Square": _square,
    "Sub": lambda x, y: (x[0] - y[1], x[1] - y[0]),
    "Sum": _sum_of,
    "ZerosLike": lambda _: (0.0, 0.0),
}
"""How the reaches of what an operation takes make that of what it gives."""
