"""A LiteRT (.tflite) file, read as data by its schema and run by ``ai-edge-litert``: whole, and any part of it."""

from __future__ import annotations

import copy
import functools
import re
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import PortError, first_line
from porter.ports.blocks import Kind
from porter.ports.file_graph import FileGraph, FileInput, FileNode, Key, Role
from porter.ports.packages import require

Array = NDArray[Any]

ACTIVATIONS = {
    "ELU", "EXP", "GELU", "HARD_SWISH", "LEAKY_RELU", "LOGISTIC", "LOG_SOFTMAX", "PRELU", "RELU", "RELU6",
    "RELU_0_TO_1", "RELU_N1_TO_1", "SOFTMAX", "TANH",
}  # fmt: skip
AFFINE = {"ADD", "SUB", "MUL", "DIV"}
IDENTITY = {"RESHAPE", "SQUEEZE", "EXPAND_DIMS", "CAST"}
ARRANGING = IDENTITY | {
    "AVERAGE_POOL_2D", "BROADCAST_TO", "CONCATENATION", "DEPTH_TO_SPACE", "DEQUANTIZE", "GATHER", "GATHER_ND",
    "MAX_POOL_2D", "MEAN", "MIRROR_PAD", "PACK", "PAD", "PADV2", "QUANTIZE", "REDUCE_MAX", "REDUCE_MIN",
    "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "REVERSE_V2", "SLICE", "SPACE_TO_DEPTH", "SPLIT", "SPLIT_V",
    "STRIDED_SLICE", "SUM", "TILE", "TRANSPOSE", "UNPACK",
}  # fmt: skip
SELECTING = {"GATHER", "SLICE", "SPLIT", "STRIDED_SLICE", "UNPACK"}
COUNTING = {"RANK", "SHAPE"}
RANDOM = {
    "ASSIGN_VARIABLE", "BERNOULLI", "CALL_ONCE", "MULTINOMIAL", "RANDOM_STANDARD_NORMAL", "RANDOM_UNIFORM",
    "READ_VARIABLE", "VAR_HANDLE",
}  # fmt: skip
SHAPES: Mapping[str, Sequence[int]] = {
    "BROADCAST_TO": (1,), "FILL": (0,), "RESHAPE": (1,), "RESIZE_BILINEAR": (1,), "RESIZE_NEAREST_NEIGHBOR": (1,),
    "SCATTER_ND": (2,), "TILE": (1,), "TRANSPOSE_CONV": (0,),
}  # fmt: skip
"""Inputs of operations that say a shape alone, by their numbers."""
CORES = {
    "BATCH_MATMUL", "CONV_2D", "CONV_3D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV",
    "UNIDIRECTIONAL_SEQUENCE_LSTM", "UNIDIRECTIONAL_SEQUENCE_RNN", "LSTM", "RNN", "SVDF",
}  # fmt: skip
CONDITIONS = {
    "EQUAL", "GREATER", "GREATER_EQUAL", "IF", "LESS", "LESS_EQUAL", "LOGICAL_AND", "LOGICAL_NOT", "LOGICAL_OR",
    "NOT_EQUAL", "SELECT", "SELECT_V2", "SIGN", "WHERE", "WHILE",
}  # fmt: skip
FUSED: Mapping[int, tuple[str, Callable[[Array], Array]]] = {
    1: ("relu", lambda z: np.maximum(z, 0)),
    2: ("relu between -1 and 1", lambda z: np.clip(z, -1, 1)),
    3: ("relu6", lambda z: np.clip(z, 0, 6)),
    4: ("tanh", np.tanh),
}
"""Activations inside an operation, by the schema's number."""
DTYPES: Mapping[int, str] = {
    0: "float32", 1: "float16", 2: "int32", 3: "uint8", 4: "int64", 6: "bool", 7: "int16", 9: "int8", 10: "float64",
}  # fmt: skip
NUMBERED = re.compile(r"output_(\d+)")
"""How Keras and TensorFlow name the outputs of a signature."""
DEFAULTS = "LiteRT's own kernels for this processor (XNNPACK)"
KEPT = 128


def runtime() -> tuple[Any, Any, str]:
    """The interpreter's module, the schema, and the runtime's name with its version.

    Raises:
        MissingPackageError: neither ``ai-edge-litert`` nor TensorFlow is there.
    """
    try:
        from importlib.metadata import version

        from ai_edge_litert import interpreter, schema_py_generated

        return interpreter, schema_py_generated, f"LiteRT {version('ai-edge-litert')}"
    except ImportError:
        pass
    try:
        import tensorflow
        from tensorflow.lite.python import interpreter, schema_py_generated

        return interpreter, schema_py_generated, f"tf.lite {tensorflow.__version__}"
    except ImportError:
        require("ai_edge_litert", "litert")
        raise


def open_litert(path: Path, *, trusted: bool = False) -> FileGraph:
    """Read a file.

    Args:
        path: of the file.
        trusted: without meaning here: nothing in such a file is code.

    Raises:
        MissingPackageError: no runtime.
        PortError: no such file, or none that is understood.
    """
    del trusted
    path = Path(path)
    if not path.is_file():
        raise PortError(f"the port {path}", found="no such file", remedy="give the path of a .tflite file")
    content = path.read_bytes()
    interpreter, schema, name = runtime()
    try:
        if content[4:8] != b"TFL3":
            raise ValueError("the file does not begin as one")
        model = schema.ModelT.InitFromPackedBuf(content, 0)
        return _Reader(model, content, path.name, interpreter, schema, name).graph()
    except PortError:
        raise
    except Exception as error:  # flatbuffers' and the interpreter's own kinds
        raise PortError(
            f"the port {path}", found=f"it cannot be read: {first_line(error)}", expected="a LiteRT model",
            remedy="check that the file is complete",
        ) from error  # fmt: skip


class _Reader:
    """A model, taken apart once."""

    def __init__(self, model: Any, content: bytes, name: str, interpreter: Any, schema: Any, runtime_name: str) -> None:
        self.model, self.content, self.name, self.runtime_name = model, content, name, runtime_name
        self.main = model.subgraphs[0]
        self.kinds = {number: kind for kind, number in vars(schema.BuiltinOperator).items() if not kind.startswith("_")}
        self.constants = {at for at, tensor in enumerate(self.main.tensors) if self._stored(tensor) is not None}
        for operator in self.main.operators:
            if all(int(at) in self.constants for at in operator.inputs if at >= 0):
                self.constants |= {int(at) for at in operator.outputs}
        self.runner = _Runner(model, content, interpreter, schema)

    def graph(self) -> FileGraph:
        tensors = self.main.tensors
        inputs = tuple(self._input(int(at)) for at in self.main.inputs)
        nodes = tuple(self._nodes())
        sides = {self._rows(tensors[int(at)]) for at in self.main.inputs}
        short = {DTYPES.get(tensors[key].type, "") for node in nodes for key in node.outputs} & {
            "int8",
            "int16",
            "uint8",
        }
        return FileGraph(
            name=self.name,
            runtime=self.runtime_name,
            inputs=inputs,
            outputs=_outputs(self.model),
            nodes=nodes,
            names={at: _text(tensor.name) for at, tensor in enumerate(tensors)},
            run=self.runner.run,
            whole=self.runner.whole,
            defaults=DEFAULTS,
            batch=None if None in sides or len(sides) != 1 else sides.pop(),
            approximates=f"quantized to {' and '.join(sorted(short))}" if short else "",
            metadata={_text(each.name): "" for each in self.model.metadata or []},
            called=_called(self.model),
            numbered=tuple(int(at) for at in self.main.outputs),
        )

    def _stored(self, tensor: Any) -> Any:
        data = self.model.buffers[tensor.buffer].data if tensor.buffer else None
        return None if data is None or len(data) == 0 else data

    @staticmethod
    def _rows(tensor: Any) -> int | None:
        """How many rows a tensor is made for; None for any, which a converter writes as one that may be resized."""
        signature = tensor.shapeSignature
        if signature is not None and len(signature) and signature[0] < 0:
            return None
        return int(tensor.shape[0]) if tensor.shape is not None and len(tensor.shape) and tensor.shape[0] > 1 else None

    def _input(self, at: int) -> FileInput:
        tensor = self.main.tensors[at]
        sizes = tensor.shapeSignature if tensor.shapeSignature is not None else tensor.shape
        shape = tuple(int(size) if size > 0 else None for size in sizes[1:])
        return FileInput(at, _text(tensor.name), DTYPES.get(tensor.type, "float32"), shape)

    def _kind(self, operator: Any) -> str:
        code = self.model.operatorCodes[operator.opcodeIndex]
        return str(self.kinds.get(max(code.builtinCode, code.deprecatedBuiltinCode), "CUSTOM"))

    def _nodes(self) -> Iterator[FileNode]:
        for number, operator in enumerate(self.main.operators):
            outputs = tuple(int(at) for at in operator.outputs)
            if set(outputs) <= self.constants:
                continue
            kind, taken = self._kind(operator), [int(at) for at in operator.inputs if at >= 0]
            fused = int(getattr(operator.builtinOptions, "fusedActivationFunction", 0) or 0)
            parameters = self._parameters(operator, kind)
            yield FileNode(
                name=self._named(outputs[0], kind, number),
                operation=f"{kind}({FUSED[fused][0]})" if fused in FUSED else kind,
                kind="dense" if parameters is not None else self._class(kind, taken, fused),
                inputs=tuple(dict.fromkeys(at for at in taken if at not in self.constants)),
                outputs=outputs,
                parameters=parameters,
                is_core=kind in CORES or kind == "CUSTOM",
                is_conditional=kind in CONDITIONS,
                activation=FUSED[fused][1] if fused in FUSED and parameters is not None else None,
                variables=self._kept_in(taken),
                role=_role(kind),
                shapes=self._shapes_of(operator, kind),
            )

    def _shapes_of(self, operator: Any, kind: str) -> tuple[Key, ...]:
        """Those of its inputs that say a shape alone."""
        taken = [int(operator.inputs[at]) for at in SHAPES.get(kind, ()) if at < len(operator.inputs)]
        return tuple(at for at in taken if at >= 0 and at not in self.constants)

    def _kept_in(self, taken: Sequence[int]) -> str | None:
        """The format of an operation's arrays where they are kept in float16, and made float32 as they are loaded."""
        makers = {int(each): operator for operator in self.main.operators for each in operator.outputs}
        stored = [makers[at].inputs[0] for at in taken if at in self.constants and at in makers]
        kinds = {DTYPES.get(self.main.tensors[int(at)].type) for at in stored}
        return "float16" if "float16" in kinds else None

    def _named(self, key: int, kind: str, number: int) -> str:
        """What the converter called an operation: the last part of the names that it joined."""
        told = _text(self.main.tensors[key].name).split(";")[-1].split(":")[0]
        return told or f"{kind}_{number}"

    def _class(self, kind: str, taken: Sequence[int], fused: int) -> Kind:
        if kind in IDENTITY:
            return "identity"
        if kind in ACTIVATIONS:
            return "activation"
        constants = sum(at in self.constants for at in taken)
        return "affine" if kind in AFFINE and constants and not fused else "other"

    def _parameters(self, operator: Any, kind: str) -> Any:
        """What reads kernel and bias of a product with a constant matrix of real numbers."""
        if kind != "FULLY_CONNECTED" or int(operator.inputs[1]) not in self.constants:
            return None
        matrix = int(operator.inputs[1])
        bias = int(operator.inputs[2]) if len(operator.inputs) > 2 else -1
        if not DTYPES.get(self.main.tensors[matrix].type, "").startswith("float"):
            return None
        if bias >= 0 and bias not in self.constants:
            return None

        def read() -> tuple[Array, Array | None]:
            return self._value(matrix).astype(np.float64).T, None if bias < 0 else self._value(bias).astype(np.float64)

        return read

    def _value(self, at: int) -> Array:
        tensor = self.main.tensors[at]
        data = self._stored(tensor)
        if data is None:
            return self.runner.run({}, [at])[at]
        return np.frombuffer(bytes(data), DTYPES[tensor.type]).reshape(tensor.shape)


def _role(kind: str) -> Role:
    if kind in RANDOM:
        return "random"
    if kind in COUNTING:
        return "counts"
    return "selects" if kind in SELECTING else "arranges" if kind in ARRANGING else ""


def _text(name: Any) -> str:
    return "" if name is None else name.decode(errors="replace") if isinstance(name, bytes) else str(name)


class _Runner:
    """Interpreters of parts of a model, each made once."""

    def __init__(self, model: Any, content: bytes, interpreter: Any, schema: Any) -> None:
        self._model, self._content, self._interpreter, self._schema = model, content, interpreter, schema
        self._maker: dict[int, int] = {
            int(key): at for at, operator in enumerate(model.subgraphs[0].operators) for key in operator.outputs
        }
        self._known: OrderedDict[tuple[tuple[int, ...], tuple[int, ...]], Any] = OrderedDict()

    def run(self, given: Mapping[Key, Array], wanted: Sequence[Key]) -> dict[Key, Array]:
        """Some tensors in, others out, the operations run as they stand, by the plain kernels."""
        ready = {key: given[key] for key in wanted if key in given}
        asked = tuple(key for key in dict.fromkeys(wanted) if key not in given)
        if not asked:
            return ready
        name = (tuple(given), asked)
        if name not in self._known:
            self._known[name] = self._part(tuple(given), asked)
            while len(self._known) > KEPT:
                self._known.popitem(last=False)
        self._known.move_to_end(name)
        part, taken = self._known[name]
        found = _invoke(part, {key: given[key] for key in taken}, dict(zip(asked, _ends(part), strict=True)))
        return {**ready, **found}

    def _part(self, given: tuple[int, ...], wanted: tuple[int, ...]) -> tuple[Any, list[int]]:
        import flatbuffers

        needed, taken = self._between(given, wanted)
        model = copy.copy(self._model)
        main = copy.copy(self._model.subgraphs[0])
        model.subgraphs = [main, *self._model.subgraphs[1:]]
        model.signatureDefs = None
        main.operators = [self._model.subgraphs[0].operators[at] for at in needed]
        main.inputs, main.outputs = np.array(taken, np.int32), np.array(wanted, np.int32)
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), b"TFL3")
        plain = self._interpreter.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        made = self._interpret(bytes(builder.Output()), experimental_op_resolver_type=plain, num_threads=1)
        return made, taken

    def _interpret(self, content: bytes, **how: Any) -> Any:
        with warnings.catch_warnings():  # tf.lite tells of its successor
            warnings.simplefilter("ignore")
            return self._interpreter.Interpreter(model_content=content, **how)

    def _between(self, given: tuple[int, ...], wanted: tuple[int, ...]) -> tuple[list[int], list[int]]:
        needed, taken, pending = set[int](), set[int](), list(wanted)
        while pending:
            key = pending.pop()
            if key in given:
                taken.add(key)
            elif key in self._maker and self._maker[key] not in needed:
                needed.add(self._maker[key])
                operator = self._model.subgraphs[0].operators[self._maker[key]]
                pending += [int(at) for at in operator.inputs if at >= 0]
        return sorted(needed), [key for key in given if key in taken]

    @functools.cached_property
    def _usual(self) -> Any:
        return self._interpret(self._content)

    def whole(self, fed: Sequence[Array]) -> list[Array]:
        """The outputs, as anybody gets them who loads the file."""
        main = self._model.subgraphs[0]
        given = {int(key): rows for key, rows in zip(main.inputs, fed, strict=True)}
        wanted = {int(key): end for key, end in zip(main.outputs, _ends(self._usual), strict=True)}
        found = _invoke(self._usual, given, wanted)
        return [found[key] for key in _outputs(self._model)]


def _outputs(model: Any) -> tuple[int, ...]:
    """Keys of the outputs: first those of the signature, as it numbers them; then what the graph has beside."""
    keys = tuple(int(at) for at in model.subgraphs[0].outputs)
    signatures = model.signatureDefs or ()
    if not signatures:
        return keys
    several = {
        (int(each.subgraphIndex or 0), *sorted(int(one.tensorIndex) for one in each.outputs or ()))
        for each in signatures
    }
    if len(several) > 1:
        raise PortError(
            "the LiteRT file",
            found=f"{len(signatures)} signatures with different outputs",
            expected="one, for it is not known which of them is called",
            remedy="write a file of one graph and one signature",
        )
    signature = signatures[0]
    named = {_text(each.name): int(each.tensorIndex) for each in signature.outputs or ()}
    if int(signature.subgraphIndex or 0) or not named or not set(named.values()) <= set(keys):
        raise PortError(
            f"the LiteRT file's signature {_text(signature.signatureKey)!r}",
            found="outputs that are not those of the file's first graph",
            expected="a signature that gives what the graph gives, for it is the graph that is judged",
            remedy="write a file of one graph and one signature",
        )
    if all(NUMBERED.fullmatch(name) for name in named):
        first = [named[name] for name in sorted(named, key=lambda name: int(name.rpartition("_")[2]))]
    else:
        first = [key for key in keys if key in named.values()]
    return tuple(dict.fromkeys((*first, *keys)))


def _called(model: Any) -> dict[Key, str]:
    """Names of inputs and outputs in the signature, where there is one."""
    signed = (model.signatureDefs or ())[:1]
    return {
        int(one.tensorIndex): _text(one.name)
        for each in signed
        for one in (*(each.inputs or ()), *(each.outputs or ()))
    }


def _ends(part: Any) -> list[int]:
    return [int(each["index"]) for each in part.get_output_details()]


def _invoke(part: Any, given: Mapping[Key, Array], wanted: Mapping[Key, int]) -> dict[Key, Array]:
    """Feed an interpreter, whose inputs are resized to the rows at hand."""
    details = part.get_input_details()
    for each, rows in zip(details, given.values(), strict=True):
        if tuple(each["shape"]) != rows.shape:
            part.resize_tensor_input(each["index"], rows.shape)
    part.allocate_tensors()
    for each, rows in zip(details, given.values(), strict=True):
        part.set_tensor(each["index"], np.ascontiguousarray(rows))
    part.invoke()
    return {key: np.array(part.get_tensor(end)) for key, end in wanted.items()}
