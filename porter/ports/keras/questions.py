"""What a traced piece of a port asks of its numbers: its comparisons, limits and bends, and how they are answered."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.ports.keras.reach import Reach, are_equal, is_larger, reaches

Array = NDArray[Any]
Answers = NDArray[np.bool_]
Tensor = Any

TURNED = {"Greater": False, "LessEqual": False, "Less": True, "GreaterEqual": True}
"""Comparisons, and whether they ask if the second side is the larger one; those with equality ask if it is not so."""
EQUALS = {"Equal", "NotEqual"}
LIMITS = {"Maximum", "Minimum"}
BENDS: Mapping[str, tuple[float, ...]] = {
    "Abs": (0.0,), "Elu": (0.0,), "LeakyRelu": (0.0,), "Relu": (0.0,), "Relu6": (0.0, 6.0), "Selu": (0.0,),
    "Sign": (0.0,),
}  # fmt: skip
"""Functions of one number, and where they bend."""
ASKING = {"IsFinite", "IsInf", "IsNan"}
"""Answered otherwise by nothing that can be compared."""
STEPS = {"Ceil", "Floor", "Rint", "Round"}
ALIKE = {"OnesLike", "ZerosLike"}
"""Operations that give the same numbers whatever they take."""
SMALLEST = 1e-30
"""By which a number has to be the larger one, at least; beside a millionth of the other."""


@dataclass(frozen=True)
class Question:
    """One that is asked of every element.

    Attributes:
        name: of the operation.
        kind: what the operation is.
        left, right: names of the tensors that are compared, or a number; ``right`` is None for a tensor that is itself
            the answer.
        is_equality: whether it is asked if they are equal; if the first is larger otherwise.
    """

    name: str
    kind: str
    left: str
    right: str | float | None = None
    is_equality: bool = False

    @property
    def tensors(self) -> tuple[str, ...]:
        """Names of those that answer it."""
        return tuple(each for each in (self.left, self.right) if isinstance(each, str))

    def answers(self, values: Mapping[str, Array]) -> Answers:
        """(rows, ...) where it holds."""
        left = values[self.left]
        if self.right is None:
            return np.asarray(left, bool)
        right = values[self.right] if isinstance(self.right, str) else self.right
        return np.asarray(left == right if self.is_equality else left > right)

    def can_be(self, wanted: bool, reach: Mapping[str, Reach]) -> bool:
        """Whether any numbers within reach have it answered so."""
        left = reach[self.left]
        if self.right is None:
            return left[int(wanted)] == float(wanted)
        right = reach[self.right] if isinstance(self.right, str) else (self.right, self.right)
        least, most = (are_equal if self.is_equality else is_larger)(left, right)
        return bool(most if wanted else not least)

    def distance(self, wanted: bool, values: Mapping[str, Tensor]) -> Tensor | None:
        """(rows, ...) how far the numbers are from an answer, zero where it is given; None where no slope tells."""
        import tensorflow as tf

        left, right = values[self.left], self.right
        if not left.dtype.is_floating or right is None:
            return None
        side = values[right] if isinstance(right, str) else tf.constant(right, left.dtype)
        apart = left - side
        if self.is_equality:
            return tf.abs(apart) if wanted else tf.cast(tf.equal(left, side), left.dtype)
        margin = tf.abs(side) * 1e-6 + tf.constant(SMALLEST, left.dtype)
        return tf.nn.relu(margin - apart) if wanted else tf.nn.relu(apart)


class Questions:
    """Those of a graph of which the answer depends on what it is fed with, on the way to its outputs.

    Attributes:
        every: in order of computation.
    """

    def __init__(self, frozen: Any, given: Sequence[Reach]) -> None:
        """Read a graph.

        Args:
            frozen: a function of TensorFlow's, its variables constants.
            given: between which numbers each of its inputs lies.
        """
        self._graph = frozen.graph
        self._constants: set[str] = set()
        inputs, operations = {each.op.name for each in frozen.inputs}, self._graph.get_operations()
        for operation in operations:
            taken = [each.op.name for each in operation.inputs]
            is_constant = operation.type in ALIKE or all(name in self._constants for name in taken)
            self._constants |= {operation.name} if is_constant and operation.name not in inputs else set()
        needed = _leading_to([each.op for each in frozen.outputs])
        asked = (each for each in operations if each.name in needed and each.name not in self._constants)
        self.every = tuple(dict.fromkeys(self._with_its_kind(one) for each in asked for one in _asked_by(each)))
        self._by_name = {each.name: each for each in self.every}
        self._reach = reaches(operations, {each.name: reach for each, reach in zip(frozen.inputs, given, strict=True)})

    def can_be(self, question: Question, wanted: bool) -> bool:
        """Whether anything that the graph is fed with may have it answered so."""
        return question.can_be(wanted, self._reach)

    def are_independent(self, one: Question, other: Question) -> bool:
        """Whether neither is answered by the answer to the other."""
        return one.name not in self._answered_by(other.name) and other.name not in self._answered_by(one.name)

    def _with_its_kind(self, question: Question) -> Question:
        """An answer that is made of whether a number is one is of that kind."""
        kinds = {self._graph.get_operation_by_name(name).type for name in self._answered_by(question.name)}
        return replace(question, kind=min(kinds & ASKING)) if kinds & ASKING else question

    def _answered_by(self, name: str) -> set[str]:
        operation = self._graph.get_operation_by_name(name)
        if operation.outputs[0].dtype.name != "bool":
            return set()
        taken = {each.op.name for each in operation.inputs if each.dtype.name == "bool"}
        return taken.union(*map(self._answered_by, taken))

    def constants(self, most: int) -> set[float]:
        """The numbers that something is compared with, of tensors with no more than so many."""
        found = set[float]()
        for question in self.every:
            for side in (question.left, question.right):
                value = self._constant(side) if isinstance(side, str) else side
                if value is not None and np.size(value) <= most:
                    found |= {float(each) for each in np.unique(value) if np.isfinite(each)}
        return found

    def _constant(self, tensor: str) -> Array | None:
        import tensorflow as tf

        operation = self._graph.get_tensor_by_name(tensor).op
        if operation.type != "Const" or operation.get_attr("dtype").name in ("string", "resource", "variant"):
            return None
        return np.asarray(tf.make_ndarray(operation.get_attr("value")))

    def distance(self, question: Question, wanted: bool, values: Mapping[str, Tensor]) -> Tensor | None:
        """As ``Question.distance``, of answers that are made of others as well."""
        if question.right is not None:
            return question.distance(wanted, values)
        return self._distance(self._graph.get_operation_by_name(question.name), wanted, values)

    def _distance(self, operation: Any, wanted: bool, values: Mapping[str, Tensor]) -> Tensor | None:
        kind = operation.type
        compared = self._by_name.get(operation.name)
        if compared is not None and compared.right is not None:
            # With equality the question is asked the other way round.
            turned = kind in ("GreaterEqual", "LessEqual", "NotEqual")
            return compared.distance(wanted != turned, values)
        combine = COMBINED.get(kind)
        if combine is None:
            return None
        sides = [each.op for each in operation.inputs if each.dtype.name == "bool"]
        parts = [self._distance(each, wanted != (kind == "LogicalNot"), values) for each in sides]
        return None if any(part is None for part in parts) else combine(self, operation, wanted, parts)

    def _over_axes(self, operation: Any, wanted: bool, parts: Sequence[Tensor]) -> Tensor | None:
        import tensorflow as tf

        axes = self._constant(operation.inputs[1].name)
        reduce = tf.reduce_min if (operation.type == "Any") == wanted else tf.reduce_sum
        return None if axes is None else reduce(parts[0], axis=axes, keepdims=operation.get_attr("keep_dims"))

    def _of_two(self, operation: Any, wanted: bool, parts: Sequence[Tensor]) -> Tensor:
        import tensorflow as tf

        return parts[0] + parts[1] if (operation.type == "LogicalAnd") == wanted else tf.minimum(*parts)

    def _handed_on(self, _operation: Any, _wanted: bool, parts: Sequence[Tensor]) -> Tensor:
        return parts[0]


COMBINED: Mapping[str, Callable[[Questions, Any, bool, Sequence[Tensor]], Tensor | None]] = {
    "All": Questions._over_axes, "Any": Questions._over_axes, "Identity": Questions._handed_on,
    "LogicalAnd": Questions._of_two, "LogicalNot": Questions._handed_on, "LogicalOr": Questions._of_two,
}  # fmt: skip
"""How the distances of answers make that of an answer made of them."""


def _leading_to(ends: list[Any]) -> set[str]:
    """The names of the operations on the way to some."""
    pending, found = ends, set[str]()
    while pending:
        operation = pending.pop()
        if operation.name not in found:
            found.add(operation.name)
            pending += [each.op for each in operation.inputs]
    return found


def _asked_by(operation: Any) -> Iterator[Question]:
    name, kind = operation.name, operation.type
    sides = [each.name for each in operation.inputs]
    if kind in TURNED:
        yield Question(name, kind, *(sides[::-1] if TURNED[kind] else sides))
    elif kind in EQUALS:
        yield Question(name, kind, sides[0], sides[1], is_equality=True)
    elif kind in LIMITS:
        yield Question(name, kind, sides[0], sides[1])
    elif kind in BENDS:
        yield from (Question(name, kind, sides[0], at) for at in BENDS[kind])
    elif kind == "ClipByValue":
        yield from (Question(name, kind, sides[0], side) for side in sides[1:])
    elif kind in STEPS or (kind == "Cast" and _makes_whole(operation)):
        yield Question(name, kind, sides[0], 1.0)
    elif operation.outputs and operation.outputs[0].dtype.name == "bool" and kind not in ("Identity", "Reshape"):
        yield Question(name, kind, operation.outputs[0].name)


def _makes_whole(cast: Any) -> bool:
    """Whether a cast makes whole numbers of real ones."""
    return bool(cast.inputs[0].dtype.is_floating and cast.outputs[0].dtype.is_integer)
