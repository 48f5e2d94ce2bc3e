"""Where the nodes and arrays of an ONNX graph are gathered; the rest of the writer never touches protobuf."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
End = tuple[str, str, tuple[int | None, ...] | None]


@dataclass
class OnnxSite:
    """A graph in the making.

    Attributes:
        dtype: of every tensor of real numbers, "float32" or "float64".
        nodes: in order of computation.
        arrays: constants by name.
    """

    dtype: str
    nodes: list[Any] = field(default_factory=list)
    arrays: dict[str, Array] = field(default_factory=dict)
    _known: dict[tuple[str, tuple[int, ...], bytes], str] = field(default_factory=dict)
    _scope: str = ""
    _names: set[str] = field(default_factory=set)
    _kept: set[str] = field(default_factory=set)

    @property
    def scope(self) -> str:
        """The legacy step that is being written."""
        return self._scope

    def enter(self, scope: str) -> None:
        """What is made from now on stands for this legacy step, whose name every node and tensor bears."""
        self._scope = scope

    def real(self, values: Any) -> str:
        """A constant in the graph's dtype, cast once."""
        with np.errstate(over="ignore"):
            return self.constant(np.asarray(values).astype(self.dtype))

    def whole(self, values: Any) -> str:
        """A constant of whole numbers, as shapes and axes are."""
        return self.constant(np.asarray(values, np.int64))

    def constant(self, array: Array) -> str:
        """A constant as it is; the same one again where the same bits are asked for."""
        array = np.asarray(array, order="C")
        key = (str(array.dtype), array.shape, hashlib.blake2b(array.tobytes()).digest())
        if key not in self._known:
            self._known[key] = self._keep(array)
        return self._known[key]

    def _keep(self, array: Array) -> str:
        name = self._fresh("constant")
        self.arrays[name] = array
        return name

    def _fresh(self, stem: str) -> str:
        base = f"{self._scope}/{stem}" if self._scope else stem
        names = (base if count == 0 else f"{base}_{count}" for count in range(len(self._names) + 1))
        name = next(name for name in names if name not in self._names)
        self._names.add(name)
        return name

    def add(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """One operation of one output; the name of the tensor that it gives."""
        return self.add_many(kind, inputs, 1, **attributes)[0]

    def add_many(self, kind: str, inputs: Sequence[str], count: int, **attributes: Any) -> list[str]:
        """One operation of several outputs; their names. An input "" is one that is left out."""
        from onnx import helper

        name = self._fresh(kind)
        outputs = [name if number == 0 else self._fresh(f"{kind}.{number}") for number in range(count)]
        given = {key: value for key, value in attributes.items() if value is not None}
        self.nodes.append(helper.make_node(kind, list(inputs), outputs, name=name, **given))
        return outputs

    def rename(self, tensor: str, name: str) -> str:
        """Give what the last node made the legacy name; a tensor that is older, or has one, is handed on under it."""
        last = self.nodes[-1] if self.nodes else None
        if last is not None and tensor in last.output and tensor not in self._kept:
            last.output[list(last.output).index(tensor)] = name
        else:
            from onnx import helper

            self.nodes.append(helper.make_node("Identity", [tensor], [name], name=self._fresh("Identity")))
        self._kept.add(name)
        return name

    # The operations that most layers are made of.

    def affine(self, tensor: str, scale: Any, offset: Any) -> str:
        """scale * x + offset."""
        return self.add("Add", self.add("Mul", tensor, self.real(scale)), self.real(offset))

    def clip(self, tensor: str, least: float | None, greatest: float | None) -> str:
        """Held between two numbers."""
        ends = ["" if end is None else self.real(end) for end in (least, greatest)]
        return self.add("Clip", tensor, *(ends if ends[1] else ends[:1]))

    def reshape(self, tensor: str, shape: Sequence[int]) -> str:
        """0 keeps an axis as it is, -1 takes what is left."""
        return self.add("Reshape", tensor, self.whole(list(shape)))

    def transpose(self, tensor: str, order: Sequence[int]) -> str:
        """Axes in another order; nothing where it is the same."""
        return tensor if list(order) == sorted(order) else self.add("Transpose", tensor, perm=list(order))

    def slice(self, tensor: str, begin: Sequence[int], end: Sequence[int], axes: Sequence[int]) -> str:
        """Part of some axes."""
        return self.add("Slice", tensor, self.whole(list(begin)), self.whole(list(end)), self.whole(list(axes)))

    def cast(self, tensor: str, dtype: str | None = None) -> str:
        """Numbers of another dtype; the graph's own where none is named."""
        return self.add("Cast", tensor, to=element_type(self.dtype if dtype is None else dtype))


@dataclass(frozen=True)
class Ends:
    """What a graph takes and gives.

    Attributes:
        inputs: name, dtype and shape of a row (None where it is open) of each input.
        outputs: the same of each output; None for the shape where it is to be found.
        steps: the same of every legacy step, in order.
    """

    inputs: Sequence[End]
    outputs: Sequence[End]
    steps: Sequence[End]


def element_type(dtype: str) -> int:
    """ONNX's number for a dtype."""
    from onnx import helper

    return int(helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))


def as_tensors(arrays: Mapping[str, Array]) -> list[Any]:
    """Constants as ONNX keeps them."""
    from onnx import numpy_helper

    return [numpy_helper.from_array(array, name) for name, array in arrays.items()]
