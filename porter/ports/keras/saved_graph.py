"""The operations of a SavedModel's signature, as a graph of data whose every tensor can be looked at."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import first_line
from porter.ports.blocks import Kind
from porter.ports.exercise import Exercise, Unexercised
from porter.ports.file_graph import FileGraph, FileInput, FileNode, Key, Role
from porter.ports.keras.stored import natural
from reference.trace import Program

Array = NDArray[Any]

CONSTANT = {"Const"}
NOTHING = {"NoOp", "Placeholder", "Assert"}
ARRANGING = {
    "AvgPool", "AvgPool3D", "BatchToSpaceND", "BroadcastTo", "Cast", "ConcatV2", "EnsureShape", "ExpandDims",
    "GatherNd", "GatherV2", "Identity", "IdentityN", "Max", "MaxPool", "MaxPool3D", "Mean", "Min", "MirrorPad", "Pack",
    "Pad", "PadV2", "PreventGradient", "Reshape", "ResizeBilinear", "ResizeNearestNeighbor", "ReverseV2", "Slice",
    "Snapshot", "SpaceToBatchND", "Split", "SplitV", "Squeeze", "StopGradient", "StridedSlice", "Sum",
    "TensorListFromTensor", "TensorListReserve", "TensorListStack", "Tile", "Transpose", "Unpack",
}  # fmt: skip
SELECTING = {"GatherV2", "Slice", "Split", "SplitV", "StridedSlice", "Unpack"}
COUNTING = {"Rank", "Shape", "ShapeN", "Size"}
CORES = {
    "BatchMatMulV2", "BatchMatMulV3", "Conv2D", "Conv2DBackpropInput", "Conv3D", "Conv3DBackpropInputV2",
    "DepthwiseConv2dNative", "Einsum", "MatMul", "StatelessWhile", "While",
}  # fmt: skip
NORMS = {"FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"}
SHAPES: Mapping[str, Sequence[int]] = {
    "BroadcastTo": (1,), "Conv2DBackpropInput": (0,), "Conv3DBackpropInputV2": (0,), "Fill": (0,), "Reshape": (1,),
    "ResizeBilinear": (1,), "ResizeNearestNeighbor": (1,), "TensorListFromTensor": (1,), "TensorListReserve": (0, 1),
    "TensorListStack": (1,), "Tile": (1,),
}  # fmt: skip
"""Inputs of operations that say a shape alone, by their numbers."""
SHOWN = ("bool", "float16", "bfloat16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8")
"""Dtypes of tensors that can be looked at."""


def draws(operation: str) -> bool:
    """Whether an operation draws random numbers, or keeps something between calls."""
    kept = operation.startswith(("Assign", "Stack", "Queue", "ResourceScatter", "ResourceGather"))
    return kept or "Random" in operation or operation in ("Multinomial", "TruncatedNormal", "Timestamp")


def operations_of(signature: Any) -> list[str]:
    """The operations of a signature, those of every function that it calls as well."""
    graph = signature.graph.as_graph_def()
    return [node.op for part in (graph.node, *(one.node_def for one in graph.library.function)) for node in part]


def read_signature(signature: Any, name: str, runtime: str) -> tuple[FileGraph, dict[str, Key], dict[Key, str]]:
    """A signature with its variables as constants, and with no functions.

    Args:
        signature: as TensorFlow loads it.
        name: of the folder.
        runtime: that runs it.

    Returns:
        The graph; its outputs by the signature's names for them; and what stands for how each tensor is computed: two
        tensors of which that is the same are the same, in whatever graph.

    Raises:
        Exception: TensorFlow's own kinds, where it cannot be taken apart.
    """
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    frozen = convert_variables_to_constants_v2(signature, lower_control_flow=False)
    return _Reader(frozen, signature).graph(name, runtime)


class _Reader:
    def __init__(self, frozen: Any, signature: Any) -> None:
        self.frozen, self.definition = frozen, frozen.graph.as_graph_def()
        self.outputs = sorted(signature.structured_outputs)
        self.keys: dict[str, Key] = {}
        self.constants: set[str] = set()
        for node in self.definition.node:
            taken = [each for each in node.input if not each.startswith("^")]
            folded = bool(taken) and all(_node(each) in self.constants for each in taken) and not draws(node.op)
            if node.op in CONSTANT or folded:
                self.constants.add(node.name)
        self._bodies = {
            one.signature.name: [each.op for each in one.node_def] for one in self.definition.library.function
        }

    def key(self, tensor: str) -> Key:
        """Of a tensor; the names of outputs are written in two ways."""
        whole = tensor if ":" in tensor else f"{tensor}:0"
        return self.keys.setdefault(whole, len(self.keys))

    def graph(self, name: str, runtime: str) -> tuple[FileGraph, dict[str, Key], dict[Key, str]]:
        inputs = tuple(self._input(each) for each in self.frozen.inputs if each.dtype.name in SHOWN)
        nodes = tuple(self._nodes())
        outputs = {one: self.key(each.name) for one, each in zip(self.outputs, self.frozen.outputs, strict=True)}
        named = {key: tensor for tensor, key in self.keys.items()}
        run = self._runner(inputs, named)

        def whole(fed: Sequence[Array]) -> list[Array]:
            given = dict(zip((each.key for each in inputs), fed, strict=True))
            return list(run(given, list(outputs.values())).values())

        found = FileGraph(
            name, runtime, inputs, tuple(outputs.values()), nodes, named, run,
            whole, "",
        )  # fmt: skip
        return found, outputs, self._marks()

    def _input(self, tensor: Any) -> FileInput:
        shape = tuple(tensor.shape[1:]) if tensor.shape.rank else ()
        return FileInput(self.key(tensor.name), _node(tensor.name), tensor.dtype.name, shape)

    def _nodes(self) -> Iterator[FileNode]:
        for node in self.definition.node:
            if node.op in NOTHING or node.name in self.constants:
                continue
            taken = [each for each in node.input if not each.startswith("^")]
            live = [each for each in taken if _node(each) not in self.constants]
            made = self.frozen.graph.get_operation_by_name(node.name).outputs
            yield FileNode(
                name=node.name.rpartition("/")[2],
                operation=node.op,
                kind=_kind(node.op, len(live)),
                inputs=tuple(dict.fromkeys(map(self.key, live))),
                outputs=tuple(self.key(each.name) for each in made),
                is_core=node.op in CORES,
                role=_role(node.op),
                shapes=tuple(
                    self.key(taken[at]) for at in SHAPES.get(node.op, ())
                    if at < len(taken) and _node(taken[at]) not in self.constants
                ),
                inside=tuple(self._inside(node)),
            )  # fmt: skip

    def _inside(self, node: Any) -> Iterator[str]:
        """The operations of the functions that an operation calls again and again."""
        for key, attribute in node.attr.items():
            if key == "body":
                yield from self._bodies.get(attribute.func.name, [])

    def _runner(self, inputs: Sequence[FileInput], named: Mapping[Key, str]) -> Callable[..., dict[Key, Array]]:
        made: dict[tuple[Key, ...], Any] = {}
        graph = self.frozen.graph
        dtypes = {key: graph.get_tensor_by_name(tensor).dtype.name for key, tensor in named.items()}

        def run(given: Mapping[Key, Array], wanted: Sequence[Key]) -> dict[Key, Array]:
            import tensorflow as tf

            shown = tuple(key for key in wanted if key not in given and dtypes[key] in SHOWN)
            if shown not in made:
                feeds = [graph.get_tensor_by_name(named[each.key]) for each in inputs]
                made[shown] = self.frozen.prune(feeds, [graph.get_tensor_by_name(named[key]) for key in shown])
            found = made[shown](*(tf.constant(given[each.key]) for each in inputs))
            return {key: np.asarray(each) for key, each in zip(shown, found, strict=True)}

        return run

    def _marks(self) -> dict[Key, str]:
        marks = _Marks(self.definition.library.function)
        known = marks.of_nodes(self.definition.node, {})
        return {key: known[_node(tensor)] + _place(tensor) for tensor, key in self.keys.items()}


class _Marks:
    """What stands for how tensors are computed, whatever the names of operations and functions."""

    def __init__(self, functions: Sequence[Any]) -> None:
        self._functions = {one.signature.name: one for one in functions}
        self._known: dict[str, str] = {}

    def of_nodes(self, nodes: Sequence[Any], given: Mapping[str, str]) -> dict[str, str]:
        """By name of each operation.

        Args:
            nodes: all of one graph, in any order.
            given: those of what comes from outside, by name.
        """
        by_name, known = {node.name: node for node in nodes}, dict(given)
        pending = list(by_name)
        while pending:
            node = by_name[pending[-1]]
            taken = [each for each in node.input if not each.startswith("^")]
            lacking = [_node(each) for each in taken if _node(each) not in known]
            if lacking:
                pending += lacking
                continue
            pending.pop()
            parts = [known[_node(each)] + _place(each) for each in taken]
            known.setdefault(node.name, parts[0] if node.op == "Identity" else self._of(node, parts))
        return known

    def _of(self, node: Any, parts: Sequence[str]) -> str:
        from tensorflow import make_ndarray

        told, functions = type(node)(), list[str]()
        told.CopyFrom(node)
        if node.op == "Const":  # which is written in several ways
            array = make_ndarray(node.attr["value"].tensor)
            return hashlib.sha256(f"{array.dtype}{array.shape}".encode() + array.tobytes()).hexdigest()
        for key in sorted(node.attr):
            if node.attr[key].HasField("func"):
                functions.append(self._of_function(node.attr[key].func.name))
            if key.startswith("_") or node.attr[key].HasField("func"):
                del told.attr[key]
        told.name, told.device = (node.name if node.op == "Placeholder" else ""), ""
        del told.input[:]
        content = told.SerializeToString(deterministic=True) + "|".join([*parts, *functions]).encode()
        return hashlib.sha256(content).hexdigest()

    def _of_function(self, name: str) -> str:
        if name not in self._known:
            one = self._functions[name]
            given = {each.name: f"input {at}" for at, each in enumerate(one.signature.input_arg)}
            found = self.of_nodes(one.node_def, given)
            ends = [one.ret[each.name] for each in one.signature.output_arg]
            self._known[name] = hashlib.sha256(
                "|".join(found[_node(end)] + end.partition(":")[2] for end in ends).encode()
            ).hexdigest()
        return self._known[name]


def _node(tensor: str) -> str:
    return tensor.partition(":")[0]


def _place(tensor: str) -> str:
    """Which of an operation's outputs a tensor is; the first is not told."""
    place = tensor.partition(":")[2]
    return "" if place == "0" else place


def _role(operation: str) -> Role:
    if draws(operation):
        return "random"
    if operation in COUNTING:
        return "counts"
    return "selects" if operation in SELECTING else "arranges" if operation in ARRANGING else ""


def _kind(operation: str, live: int) -> Kind:
    if operation == "Identity":
        return "identity"
    return "affine" if operation in NORMS and live == 1 else "other"


class Watched:
    """What the operations of a serving signature do, beside another that shows what layers give."""

    def __init__(self, serve: Any, shown: Any, name: str, runtime: str, outputs: Sequence[str]) -> None:
        """Take both apart; what cannot be is told later.

        Args:
            serve: what is called.
            shown: gives what the layers give.
            name: of the folder.
            runtime: that runs it.
            outputs: names of what ``serve`` gives, in order.
        """
        self._failed = self._state = ""
        kept = next((each for each in operations_of(serve) if draws(each) and "Random" not in each), "")
        if kept:
            self._state = f"{kept}: a state that is kept, or other numbers each time"
            return
        try:
            graph, ends, marks = read_signature(serve, name, runtime)
            _, steps, shown_marks = read_signature(shown, name, runtime)
        except Exception as error:  # TensorFlow's own kinds
            self._failed = f"the operations of {name} could not be looked at one by one: {first_line(error)}"
            return
        by_mark = {mark: key for key, mark in marks.items()}
        self._steps = {step: by_mark.get(shown_marks[key]) for step, key in steps.items()}
        self._outputs, self._ends = outputs, [ends[each] for each in outputs]
        order = sorted(range(len(graph.inputs)), key=lambda at: natural(graph.inputs[at].name))
        self._file = replace(graph, inputs=tuple(graph.inputs[at] for at in order))
        self._exercise = Exercise(self._file, self._ends)

    def see(self, rows: Sequence[Array]) -> dict[str, Array]:
        """The same rows that the signatures were given.

        Returns:
            What the layers and the outputs are on the way to what is served, by name; nothing of what is not on it.
        """
        if self._failed or self._state:
            return {}
        tensors = self._file.trace(rows)
        self._exercise.see(tensors)
        known = {**self._steps, **dict(zip(self._outputs, self._ends, strict=True))}
        return {name: tensors[key] for name, key in known.items() if key is not None}

    def left_open(self, program: Program) -> Unexercised:
        """What the rows so far could not show."""
        if self._failed or self._state:
            return Unexercised(random=self._state, elsewhere=(self._failed,) if self._failed else ())
        places = {name: key for name, key in self._steps.items() if key is not None}
        found = self._exercise.left_open(program, places | dict(zip(program.outputs, self._ends, strict=True)))
        gone = [name for name, key in self._steps.items() if key is None]
        told = f"{', '.join(gone)}: what the signature with the layers gives is nothing that the outputs are made of"
        return replace(found, elsewhere=(*found.elsewhere, told)) if gone else found
