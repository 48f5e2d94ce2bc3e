"""A SavedModel folder as a function of arrays: TensorFlow shows none of its layers by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import PortError, UsageError, first_line
from porter.ports.keras.stored import natural

Array = NDArray[Any]

FILE = "saved_model.pb"
RUNS_CODE = {"EagerPyFunc", "MatchingFiles", "PyFunc", "PyFuncStateless", "ReadFile", "WriteFile"}
"""Operations that run Python, or read and write files of their own choice."""


def is_saved_model_folder(path: Path) -> bool:
    """Whether a path is such a folder."""
    return path.is_dir() and (path / FILE).is_file()


def open_saved_model(path: Path, *, trusted: bool = False) -> Callable[..., Any]:
    """Its serving function.

    Args:
        path: of the folder.
        trusted: whether operations of ``RUNS_CODE`` may be run.

    Returns:
        (rows, ...) for each input, in the order of their names, to an array or a list of them.

    Raises:
        UsageError: it holds operations that run code.
        PortError: it cannot be read, or serves nothing.
    """
    import tensorflow as tf

    found = _operations(path) & RUNS_CODE
    if found and not trusted:
        raise UsageError(
            f"the port {path}", found=f"operations that run code of its own: {', '.join(sorted(found))}",
            expected="a graph that computes", remedy="give --compile (compile=True), if you trust it",
        )  # fmt: skip
    try:
        loaded = tf.saved_model.load(str(path))
    except Exception as error:  # TensorFlow's own kinds
        raise _unreadable(path, first_line(error)) from error
    serve = loaded.signatures.get("serving_default")
    if serve is None:
        raise _unreadable(path, f"the signatures {', '.join(loaded.signatures) or 'none'}")
    inputs = sorted(serve.structured_input_signature[1].items(), key=lambda each: natural(each[0]))
    outputs = sorted(serve.structured_outputs, key=natural)

    def run(*rows: Array) -> Any:
        if len(rows) != len(inputs):
            raise ValueError(f"{len(inputs)} inputs: {', '.join(name for name, _ in inputs)}")
        given = {
            name: tf.constant(np.asarray(each), dtype=kind.dtype)
            for (name, kind), each in zip(inputs, rows, strict=True)
        }
        made = serve(**given)
        arrays = [np.asarray(made[name]) for name in outputs]
        return arrays[0] if len(arrays) == 1 else arrays

    run.__name__ = path.name
    run.model = loaded  # type: ignore[attr-defined]  # whose variables would go with it
    return run


def _operations(path: Path) -> set[str]:
    """The names of all operations in the graph, read as data."""
    from tensorflow.core.protobuf import saved_model_pb2

    model = saved_model_pb2.SavedModel()
    try:
        model.ParseFromString((path / FILE).read_bytes())
    except Exception as error:  # protobuf's own kinds
        raise _unreadable(path, first_line(error)) from error
    found = set[str]()
    for graph in model.meta_graphs:
        found |= {node.op for node in graph.graph_def.node}
        found |= {node.op for function in graph.graph_def.library.function for node in function.node_def}
    return found


def _unreadable(path: Path, found: str) -> PortError:
    return PortError(
        f"the port {path}", found=found, expected="a SavedModel that serves a function",
        remedy="export it again: model.export(folder)",
    )  # fmt: skip
