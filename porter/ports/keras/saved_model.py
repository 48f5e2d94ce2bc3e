"""A SavedModel folder: a function of arrays, and what every layer gives where porter has written that beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import PortError, UsageError, first_line
from porter.ports.keras.saved_graph import Watched
from porter.ports.keras.stored import natural
from porter.ports.traced import TracedPort
from reference.precision import Precision

Array = NDArray[Any]

FILE, LAYERS = "saved_model.pb", "layers"
FUSED = 64
"""Roundings of the largest output by which the same operations differ, fused in another way."""
RUNS_CODE = {"EagerPyFunc", "MatchingFiles", "PyFunc", "PyFuncStateless", "ReadFile", "WriteFile"}
"""Operations that run Python, or read and write files of their own choice."""


def write_saved_model(model: Any, steps: Mapping[str, Any], path: Path) -> None:
    """Export a model for serving, with a second signature that gives what every layer gives.

    Args:
        model: keras.Model.
        steps: its tensors by the names of the legacy steps.
        path: of the folder.
    """
    import keras
    import tensorflow as tf

    archive = keras.export.ExportArchive()
    archive.track(model)
    alone = len(model.inputs) == 1
    kinds = [  # a signature forgets the order of its inputs, which their names are sorted by
        tf.TensorSpec((None, *each.shape[1:]), each.dtype, name=each.name if alone else f"input_{number}_{each.name}")
        for number, each in enumerate(model.inputs)
    ]

    def serve(*given: Any) -> dict[str, Any]:
        made = keras.tree.flatten(model(given[0] if alone else list(given), training=False))
        return {f"output_{number}": each for number, each in enumerate(made)}

    archive.add_endpoint("serve", serve, input_signature=kinds)
    if steps:
        inner = keras.Function(model.inputs, list(steps.values()))

        def layers(*given: Any) -> dict[str, Any]:
            made = keras.tree.flatten(inner(list(given)))
            return dict(zip(steps, made, strict=True))

        archive.add_endpoint(LAYERS, layers, input_signature=kinds)
    archive.write_out(path, verbose=False)


def open_saved_model(path: Path, *, trusted: bool = False) -> Callable[..., Any] | TracedPort:
    """Its serving function; a port that shows its layers, where they have a signature of their own.

    Args:
        path: of the folder.
        trusted: whether operations of ``RUNS_CODE`` may be run.

    Returns:
        (rows, ...) for each input, in the order of their names, to an array or a list of them; or the port.

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
        serve = loaded.signatures.get("serve")
    if serve is None:
        raise _unreadable(path, f"the signatures {', '.join(loaded.signatures) or 'none'}")
    run = _called(serve, loaded)
    shown = loaded.signatures.get(LAYERS)
    if shown is None:
        function: Any = _function(run)
        function.__name__, function.notes = path.name, _unjudged(loaded, serve)
        return function
    return _shown(path, loaded, serve, shown, f"TensorFlow {tf.__version__}")


def _shown(path: Path, loaded: Any, serve: Any, shown: Any, runtime: str) -> TracedPort:
    """A port that shows its layers by a signature of their own."""
    outputs = tuple(sorted(serve.structured_outputs, key=natural))
    dtype = next(iter(serve.structured_outputs.values())).dtype.name
    run, steps = _called(serve, loaded), _called(shown, loaded)
    watched = Watched(serve, shown, path.name, runtime, outputs)

    def trace(rows: Sequence[Array]) -> dict[str, Array]:
        own, served = watched.see(rows), run(rows)
        return {**steps(rows), **own, **{name: _nearly(served[name], own.get(name)) for name in outputs}}

    return TracedPort(
        path.name, runtime, trace, outputs, Precision(dtype, dtype), path=path, notes=_unjudged(loaded, serve),
        left_open=watched.left_open,
    )  # fmt: skip


def _nearly(served: Array, own: Array | None) -> Array:
    """What was served; what its operations gave one by one, where those differ by how TensorFlow fuses them alone."""
    if own is None or own.shape != served.shape or own.dtype.kind != "f":
        return served
    largest = np.max(np.abs(own), initial=0.0, where=np.isfinite(own))
    near = np.allclose(own, served, rtol=0.0, atol=float(FUSED * np.finfo(own.dtype).eps * largest), equal_nan=True)
    return own if near else served


def _unjudged(loaded: Any, serve: Any) -> tuple[str, ...]:
    """A sentence on the signatures that nothing was compared with."""
    judged = next(name for name, signature in loaded.signatures.items() if signature is serve)
    rest = [name for name, other in loaded.signatures.items() if name != LAYERS and _content(other) != _content(serve)]
    return (f"the signature {judged} was judged, and {', '.join(rest)} not at all",) if rest else ()


def _content(signature: Any) -> tuple[list[bytes], list[int]]:
    """Its operations, and the variables that it takes: two that have these alike are one."""
    nodes = signature.graph.as_graph_def().node
    for node in nodes:
        node.attr.pop("_user_specified_name", None)  # which numbers the variables anew
    taken = [id(each) for each in signature.captured_inputs]
    return [node.SerializeToString(deterministic=True) for node in nodes], taken


def _called(signature: Any, loaded: Any) -> Callable[[Sequence[Array]], dict[str, Array]]:
    """A signature as a function of arrays; the model that has its variables is kept with it."""
    import tensorflow as tf

    inputs = sorted(signature.structured_input_signature[1].items(), key=lambda each: natural(each[0]))
    kept = [loaded]

    def run(rows: Sequence[Array]) -> dict[str, Array]:
        if len(rows) != len(inputs) or not kept:
            raise ValueError(f"{len(inputs)} inputs: {', '.join(name for name, _ in inputs)}")
        given = {
            name: tf.constant(np.asarray(each), dtype=kind.dtype)
            for (name, kind), each in zip(inputs, rows, strict=True)
        }
        return {name: np.asarray(made) for name, made in signature(**given).items()}

    return run


def _function(run: Callable[[Sequence[Array]], dict[str, Array]]) -> Callable[..., Any]:
    def function(*rows: Array) -> Any:
        made = run(rows)
        arrays = [made[name] for name in sorted(made, key=natural)]
        return arrays[0] if len(arrays) == 1 else arrays

    return function


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
