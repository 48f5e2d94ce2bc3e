"""Parts of an ONNX model, run: which operations lie between some tensors and others, and a session for each part."""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from porter.errors import PortError

Array = NDArray[Any]

KEPT_SESSIONS = 128


class MakeSession(Protocol):
    """Makes what runs a model."""

    def __call__(self, model: bytes, *, optimized: bool) -> Any:
        """Something that is run with names of outputs (None: all) and arrays by the names of inputs."""
        ...


def inside(node: Any) -> Iterator[Any]:
    """The operations of the graphs inside an operation, at any depth."""
    for attribute in node.attribute:
        for graph in [*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])]:
            for inner in graph.node:
                yield inner
                yield from inside(inner)


def taken_by(node: Any) -> Iterator[str]:
    """The tensors that an operation takes, those that graphs inside it take from outside too."""
    yield from (name for name in node.input if name)
    for attribute in node.attribute:
        for graph in [*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])]:
            own = {each.name for each in (*graph.input, *graph.initializer)}
            own |= {name for inner in graph.node for name in inner.output}
            yield from (name for inner in graph.node for name in taken_by(inner) if name not in own)


class Runner:
    """Sessions of parts of a model, each made once.

    Args:
        model: onnx.ModelProto.
        maker: which of its operations gives each tensor.
        constants: its arrays, by name.
        session: makes what runs a part.
    """

    def __init__(
        self, model: Any, maker: Mapping[str, int], constants: Mapping[str, Any], session: MakeSession
    ) -> None:
        self._model, self._maker, self._constants, self._make = model, maker, constants, session
        self._sessions: OrderedDict[tuple[tuple[tuple[str, str], ...], tuple[str, ...]], Any] = OrderedDict()

    @functools.cached_property
    def dtype(self) -> str:
        """Of the model's real numbers: that of its first array of them."""
        from onnx import helper

        kinds = (helper.tensor_dtype_to_np_dtype(each.data_type) for each in self._constants.values())
        return next((kind.name for kind in kinds if kind.kind == "f"), "float32")

    def __call__(self, given: Mapping[str, Array], wanted: Sequence[str]) -> dict[str, Array]:
        """The same as ``run``."""
        return self.run(given, wanted)

    def run(self, given: Mapping[str, Array], wanted: Sequence[str]) -> dict[str, Array]:
        """Some tensors in, others out, the operations run as they stand."""
        ready = {name: given[name] for name in wanted if name in given}
        asked = [name for name in wanted if name not in given]
        if not asked:
            return ready
        key = tuple((name, rows.dtype.name) for name, rows in given.items()), tuple(asked)
        if key not in self._sessions:
            self._sessions[key] = self._session(dict(key[0]), asked)
            while len(self._sessions) > KEPT_SESSIONS:
                self._sessions.popitem(last=False)
        self._sessions.move_to_end(key)
        session, needed = self._sessions[key]
        found = session.run(asked, {name: np.ascontiguousarray(given[name]) for name in needed})
        return {**ready, **dict(zip(asked, map(np.asarray, found), strict=True))}

    def _session(self, given: Mapping[str, str], wanted: Sequence[str]) -> tuple[Any, list[str]]:
        from onnx import helper

        nodes, constants, taken = self._between(given, wanted)
        graph = helper.make_graph(
            nodes,
            "part",
            [_typed(name, given[name]) for name in taken],
            [helper.make_empty_tensor_value_info(name) for name in wanted],
            constants,
        )
        graph.sparse_initializer.extend(self._model.graph.sparse_initializer)
        part = helper.make_model(graph, opset_imports=self._model.opset_import, ir_version=self._model.ir_version)
        return self.plain(part.SerializeToString()), taken

    def plain(self, model: bytes) -> Any:
        """A session of a model that is optimized nowhere."""
        return self._make(model, optimized=False)

    def _between(self, given: Mapping[str, str], wanted: Sequence[str]) -> tuple[list[Any], list[Any], list[str]]:
        """The operations between some tensors and others, the constants that they take, and which are needed.

        Raises:
            PortError: they need an input of the model that is not given.
        """
        needed: set[int] = set()
        constants: set[str] = set()
        taken: set[str] = set()
        pending = list(wanted)
        while pending:
            name = pending.pop()
            if name in given:
                taken.add(name)
            elif name in self._constants:
                constants.add(name)
            elif name in self._maker:
                at = self._maker[name]
                if at not in needed:
                    needed.add(at)
                    pending += taken_by(self._model.graph.node[at])
            elif name not in {each.values.name for each in self._model.graph.sparse_initializer}:
                raise PortError("a part of an ONNX graph", found=f"it takes {name!r}, which nothing gives")
        nodes = [self._model.graph.node[at] for at in sorted(needed)]
        return nodes, [self._constants[name] for name in sorted(constants)], [name for name in given if name in taken]

    @functools.cached_property
    def _usual(self) -> Any:
        return self._make(self._model.SerializeToString(), optimized=True)

    def whole(self, given: Mapping[str, Array]) -> list[Array]:
        """The outputs, as anybody gets them who loads the file."""
        return [np.asarray(each) for each in self._usual.run(None, dict(given))]


def _typed(name: str, dtype: str) -> Any:
    import ml_dtypes  # noqa: F401  (gives NumPy the name "bfloat16")
    from onnx import helper

    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), None)


def onnxruntime_session(model: bytes, *, optimized: bool) -> Any:
    """What onnxruntime runs a model with."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    if not optimized:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.intra_op_num_threads = 1
    # Without its fallback, which prints to standard output before it tries the same again.
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"], enable_fallback=0)


class _Evaluator:
    """onnx' own evaluator, without what NumPy says of numbers that overflow where that is as it should be."""

    def __init__(self, model: bytes) -> None:
        from onnx.reference import ReferenceEvaluator

        self._evaluator = ReferenceEvaluator(model)

    def run(self, names: Sequence[str] | None, given: Mapping[str, Array]) -> Any:
        """Outputs by name, all of them for None."""
        with np.errstate(all="ignore"):
            return self._evaluator.run(names, dict(given))


def evaluator_session(model: bytes, *, optimized: bool) -> Any:
    """What onnx' own evaluator runs a model with, which has one way alone."""
    del optimized
    return _Evaluator(model)
