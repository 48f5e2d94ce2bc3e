"""An ONNX file, read as data by ``onnx`` and run by ``onnxruntime``: as it stands, in parts, and optimized.

Or by the evaluator that ``onnx`` has itself, in NumPy, which is another program for the same operations.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import PortError, first_line
from porter.ports.blocks import Kind
from porter.ports.file_graph import FileGraph, FileInput, FileNode, Key, Role
from porter.ports.onnx_cells import Advance, cell_of
from porter.ports.onnx_runner import MakeSession, Runner, evaluator_session, inside, onnxruntime_session, taken_by
from porter.ports.packages import require

Array = NDArray[Any]

ACTIVATIONS = {
    "Celu", "Clip", "Elu", "Erf", "Exp", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu", "LogSoftmax", "Mish", "PRelu",
    "Relu", "Selu", "Sigmoid", "Softmax", "Softplus", "Softsign", "Tanh", "ThresholdedRelu",
}  # fmt: skip
AFFINE = {"Add", "Sub", "Mul", "Div", "BatchNormalization"}
IDENTITY = {"Identity", "Dropout", "Cast", "Reshape", "Flatten", "Squeeze", "Unsqueeze"}
"""Operations that hand the numbers of a row on, in their order."""
ARRANGING = IDENTITY | {
    "AveragePool", "Concat", "DepthToSpace", "Expand", "Gather", "GatherElements", "GatherND", "GlobalAveragePool",
    "GlobalMaxPool", "MaxPool", "Pad", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum", "Resize", "ReverseSequence",
    "Slice", "SpaceToDepth", "Split", "Tile", "Transpose", "Upsample",
}  # fmt: skip
"""Operations that put numbers elsewhere, or take some together."""
SELECTING = {"Gather", "Slice", "Split"}
COUNTING = {"Shape", "Size"}
SHAPES: Mapping[str, Sequence[int]] = {
    "ConstantOfShape": (0,), "Expand": (1,), "Reshape": (1,), "Resize": (2, 3), "Tile": (1,), "Upsample": (1,),
}  # fmt: skip
"""Inputs of operations that say a shape alone, by their numbers."""
CORES = {
    "Attention", "Conv", "ConvTranspose", "DeformConv", "Einsum", "GRU", "Gemm", "LSTM", "MatMul", "MatMulInteger",
    "QLinearConv", "QLinearMatMul", "RNN",
}  # fmt: skip
CONDITIONS = {
    "And", "Equal", "Greater", "GreaterOrEqual", "If", "IsInf", "IsNaN", "Less", "LessOrEqual", "Loop", "Not", "Or",
    "Sign", "Where", "Xor",
}  # fmt: skip
QUANTIZED = {
    "ConvInteger", "DynamicQuantizeLinear", "MatMulInteger", "QLinearConv", "QLinearMatMul", "QuantizeLinear",
}  # fmt: skip
RANDOM = {"RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Bernoulli", "Multinomial"}
EVALUATED: Mapping[str, tuple[str, ...]] = {"LSTM": ("Sigmoid", "Tanh", "Tanh"), "GRU": ("Sigmoid", "Tanh")}
"""Activations of recurrent operations for which onnx' own evaluator has no others."""


@dataclass(frozen=True)
class Engine:
    """What runs the operations of a file.

    Attributes:
        name: with its version.
        defaults: what is on by itself where a whole file is run, in words.
        session: makes a session.
    """

    name: str
    defaults: str
    session: MakeSession


def open_onnx(path: Path, *, trusted: bool = False) -> FileGraph:
    """Read a file, to be run by onnxruntime.

    Args:
        path: of the file; arrays that lie beside it are read where their names say nothing but a name.
        trusted: without meaning here: nothing in such a file is code.

    Raises:
        MissingPackageError: no ``onnx``, or no ``onnxruntime``.
        PortError: no such file, or none that is understood.
    """
    del trusted
    require("onnx", "onnx")
    runtime = require("onnxruntime", "onnx")
    defaults = "onnxruntime's own optimizations (ORT_ENABLE_ALL)"
    return _read(_load(Path(path)), path, Engine(f"onnxruntime {runtime.__version__}", defaults, onnxruntime_session))


def open_by_reference(path: Path, *, trusted: bool = False) -> FileGraph:
    """Read a file, to be run by the evaluator that ``onnx`` has itself.

    Args:
        path: as in ``open_onnx``.
        trusted: likewise.

    Raises:
        MissingPackageError: no ``onnx``.
        PortError: no such file, or none that is understood.
    """
    del trusted
    version = require("onnx", "onnx").__version__
    model = _load(Path(path))
    _check_evaluated(model, path)
    return _read(model, path, Engine(f"onnx.reference {version}", "the whole file in one run", evaluator_session))


def _check_evaluated(model: Any, path: Path) -> None:
    """Refuse what onnx' evaluator passes over without a word.

    Raises:
        PortError: a recurrent operation with other activations than the usual ones, or a limit.
    """
    for node in model.graph.node:
        usual = EVALUATED.get(node.op_type)
        if usual is None:
            continue
        options = {each.name: each for each in node.attribute}
        named = [each.decode() for each in options["activations"].strings] if "activations" in options else []
        others = sorted({*named} - {*usual}) if named[: len(usual)] != [*usual] else []
        if others or "clip" in options:
            raise PortError(
                f"the port {path}", found=f"{node.name}: {node.op_type} with {', '.join(others) or 'a limit (clip)'}, "
                "which onnx' own evaluator passes over",
                expected=f"{' and '.join(dict.fromkeys(usual))}", remedy="leave --runtime onnx-reference out",
            )  # fmt: skip


def _read(model: Any, path: Path, engine: Engine) -> FileGraph:
    try:
        return _Reader(model, Path(path).name, engine).graph()
    except PortError:
        raise
    except Exception as error:  # what is damaged inside
        raise _unreadable(Path(path), error) from error


def _load(path: Path) -> Any:
    import onnx
    from onnx import external_data_helper, inliner, numpy_helper

    if not path.is_file():
        raise PortError(f"the port {path}", found="no such file", remedy="give the path of an .onnx file")
    try:
        model = onnx.load(path, load_external_data=False)
        if not model.graph.node or not model.graph.output:
            raise ValueError("a graph without operations or outputs")
        _check_places(model, path)
        external_data_helper.load_external_data_for_model(model, str(path.parent))
        for each in model.graph.initializer:
            numpy_helper.to_array(each)  # which refuses what is no array
        return inliner.inline_local_functions(model) if model.functions else model
    except PortError:
        raise
    except Exception as error:  # protobuf's, onnx' and the system's own kinds
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: BaseException) -> PortError:
    return PortError(
        f"the port {path}", found=f"onnx cannot read it: {first_line(error)}", expected="a whole ONNX model",
        remedy="check that the file is complete",
    )  # fmt: skip


def _check_places(model: Any, path: Path) -> None:
    """Arrays may lie in files beside the model, and nowhere else."""
    from onnx import external_data_helper

    for tensor in external_data_helper._get_all_tensors(model):
        if not external_data_helper.uses_external_data(tensor):
            continue
        place = next((each.value for each in tensor.external_data if each.key == "location"), "")
        beside = path.parent / place
        if Path(place).name != place or beside.is_symlink() or not beside.is_file():
            raise PortError(
                f"the port {path}", found=f"an array {tensor.name!r} in {place!r}",
                expected="arrays inside the file, or in files beside it",
                remedy="save it as one file: onnx.save(model, path, save_as_external_data=False)",
            )  # fmt: skip


class _Reader:
    """A model, taken apart once: which tensors are constant, and who makes which."""

    def __init__(self, model: Any, name: str, engine: Engine) -> None:
        self.model, self.name, self.engine = model, name, engine
        graph = model.graph
        self.constants = {each.name: each for each in graph.initializer}
        self.constant_names = set(self.constants) | {each.values.name for each in graph.sparse_initializer}
        self.maker: dict[str, int] = {}
        for at, node in enumerate(graph.node):
            self.maker.update((name, at) for name in node.output if name)
            if all(name in self.constant_names for name in taken_by(node)) and node.op_type not in RANDOM:
                self.constant_names |= set(node.output)
        self.given = [each for each in graph.input if each.name not in self.constants]
        self.runner = Runner(model, self.maker, self.constants, engine.session)
        self.keys: dict[str, Key] = {}

    def key(self, name: str) -> Key:
        return self.keys.setdefault(name, len(self.keys))

    def graph(self) -> FileGraph:
        inputs = tuple(self._input(each) for each in self.given)
        nodes = tuple(self._nodes())
        outputs = tuple(self.key(each.name) for each in self.model.graph.output)
        named = {key: name for name, key in self.keys.items()}
        batches = {
            shape.dim[0].dim_value for each in self.given for shape in [each.type.tensor_type.shape] if shape.dim
        }
        kinds = {node.op_type for node in self.model.graph.node}

        def run(given: Mapping[Key, Array], wanted: Sequence[Key]) -> dict[Key, Array]:
            found = self.runner.run({named[key]: rows for key, rows in given.items()}, [named[key] for key in wanted])
            return {self.keys[name]: values for name, values in found.items()}

        def whole(fed: Sequence[Array]) -> list[Array]:
            return self.runner.whole({each.name: rows for each, rows in zip(inputs, fed, strict=True)})

        return FileGraph(
            name=self.name,
            runtime=self.engine.name,
            inputs=inputs,
            outputs=outputs,
            nodes=nodes,
            names=named,
            run=run,
            whole=whole,
            defaults=self.engine.defaults,
            batch=batches.pop() if len(batches) == 1 and max(batches) > 0 else None,
            approximates="quantized" if kinds & QUANTIZED else "",
            metadata={each.key: each.value for each in self.model.metadata_props},
            cells=self._cells(),
        )

    def _cells(self) -> dict[Key, Advance]:
        """What advances each recurrent operation by one time step, by the tensors that it gives."""
        found: dict[Key, Advance] = {}
        for node in self.model.graph.node:
            advance = cell_of(node, self.model, self.constants, self.runner.plain, self.runner)
            if advance is not None:
                found.update((self.key(name), advance) for name in node.output if name)
        return found

    def _input(self, each: Any) -> FileInput:
        from onnx import helper

        kind = each.type.tensor_type
        if not kind.elem_type:
            raise PortError(f"the port {self.name}", found=f"an input {each.name!r} that is no tensor")
        shape = tuple(dim.dim_value or None for dim in kind.shape.dim[1:])
        return FileInput(self.key(each.name), each.name, helper.tensor_dtype_to_np_dtype(kind.elem_type).name, shape)

    def _nodes(self) -> Iterator[FileNode]:
        graph = self.model.graph
        uses: dict[str, int] = {each.name: 2 for each in graph.output}  # an output is never merged away
        for node in graph.node:
            for name in taken_by(node):
                uses[name] = uses.get(name, 0) + 1
        merged: set[int] = set()
        for at, node in enumerate(graph.node):
            if at in merged or set(node.output) <= self.constant_names:
                continue
            behind = self._bias_behind(at, uses)
            if behind is not None:
                merged.add(behind)
            yield self._node(at, behind)

    def _bias_behind(self, at: int, uses: Mapping[str, int]) -> int | None:
        """The Add of a constant row right behind a product with a constant, which nothing else takes."""
        node = self.model.graph.node[at]
        if node.op_type != "MatMul" or not self._is_matrix(node) or uses.get(node.output[0], 0) != 1:
            return None
        for later in range(at + 1, len(self.model.graph.node)):
            other = self.model.graph.node[later]
            if node.output[0] in other.input:
                rest = [name for name in other.input if name != node.output[0]]
                is_bias = other.op_type == "Add" and len(rest) == 1 and rest[0] in self.constant_names
                return later if is_bias and self._value(rest[0]).size == self._value(node.input[1]).shape[1] else None
        return None

    def _is_matrix(self, node: Any) -> bool:
        name = node.input[1] if len(node.input) > 1 else ""
        return name in self.constant_names and self._value(name).ndim == 2

    def _node(self, at: int, behind: int | None) -> FileNode:
        node = self.model.graph.node[at]
        ends = node if behind is None else self.model.graph.node[behind]
        taken = tuple(dict.fromkeys(self.key(name) for name in taken_by(node) if name not in self.constant_names))
        parameters = self._parameters(node, ends if behind is not None else None)
        own = node.domain in ("", "ai.onnx")
        kind: Kind = "dense" if parameters is not None else self._kind(node) if own else "other"
        return FileNode(
            name=node.name or f"{node.op_type}_{at}",
            operation=node.op_type,
            kind=kind,
            inputs=taken,
            outputs=tuple(self.key(name) for name in ends.output if name),
            parameters=parameters,
            is_core=node.op_type in CORES or not own,
            is_conditional=node.op_type in CONDITIONS,
            role=self._role(node) if own else "",
            shapes=tuple(
                self.key(node.input[at])
                for at in SHAPES.get(node.op_type, ())
                if at < len(node.input) and node.input[at] and node.input[at] not in self.constant_names
            ),
            inside=tuple(inner.op_type for inner in inside(node)),
        )

    def _role(self, node: Any) -> Role:
        kind = node.op_type
        if kind in RANDOM or (kind == "Dropout" and self._trains(node)):
            return "random"
        if kind in COUNTING:
            return "counts"
        return "selects" if kind in SELECTING else "arranges" if kind in ARRANGING else ""

    def _trains(self, node: Any) -> bool:
        """Whether a Dropout drops, or may."""
        given = node.input[2] if len(node.input) > 2 else ""
        return bool(given) and (given not in self.constant_names or bool(self._value(given).any()))

    def _kind(self, node: Any) -> Kind:
        if node.op_type in IDENTITY:
            return "identity"
        if node.op_type in ACTIVATIONS:
            return "activation"
        constants = sum(name in self.constant_names for name in node.input)
        return "affine" if node.op_type in AFFINE and constants else "other"

    def _parameters(self, node: Any, bias: Any | None) -> Any:
        """What reads kernel and bias of a product with a constant matrix on its right; None for anything else."""
        if node.op_type == "MatMul" and self._is_matrix(node):
            constant = None if bias is None else next(name for name in bias.input if name in self.constant_names)
            return lambda: (self._wide(node.input[1]), None if constant is None else self._wide(constant).ravel())
        if node.op_type != "Gemm" or not self._is_matrix(node):
            return None
        options = {each.name: each.i if each.name.startswith("trans") else each.f for each in node.attribute}
        plain = not options.get("transA") and options.get("alpha", 1.0) == 1 == options.get("beta", 1.0)
        row = node.input[2] if len(node.input) > 2 else ""
        if not plain or (row and row not in self.constant_names):
            return None
        turned = bool(options.get("transB"))

        def read() -> tuple[Array, Array | None]:
            kernel = self._wide(node.input[1])
            kernel = kernel.T if turned else kernel
            return kernel, np.broadcast_to(self._wide(row), (1, kernel.shape[1]))[0] if row else None

        return read

    def _wide(self, name: str) -> Array:
        return self._value(name).astype(np.float64)

    def _value(self, name: str) -> Array:
        from onnx import numpy_helper

        if name in self.constants:
            return np.asarray(numpy_helper.to_array(self.constants[name]))
        return self.runner.run({}, [name])[name]
