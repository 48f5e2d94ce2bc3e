"""Recurrent operations of an ONNX file, run one time step at a time from whatever states they are given."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
States = tuple[Array, ...]
Advance = Callable[[Array, States, Array | None], States]
"""(rows, inputs) of one time step, the states before it, and which rows count, to the states after it."""
Session = Callable[[bytes], Any]

OWN_SCAN = re.compile(r"/Scan(_\d+)?$")
"""Names of the loops that porter writes, whose states stand in the order of the cell's."""
STATES: Mapping[str, int] = {"LSTM": 2, "GRU": 1, "RNN": 1}


def cell_of(node: Any, model: Any, constants: Mapping[str, Any], session: Session, run: Any) -> Advance | None:
    """What advances a recurrent operation by one time step; None where the operation is none, or goes both ways.

    Args:
        node: the operation.
        model: it stands in.
        constants: arrays of the model, by name.
        session: makes a session of a model that is optimized nowhere.
        run: runs a part of the model: tensors by name in, others out.
    """
    if node.op_type in STATES:
        return _of_operation(node, model, constants, session)
    if node.op_type == "Scan" and OWN_SCAN.search(node.name):
        return _of_scan(node, run)
    return None


def _of_operation(node: Any, model: Any, constants: Mapping[str, Any], session: Session) -> Advance | None:
    from onnx import helper

    options = {each.name: each for each in node.attribute}
    direction = options["direction"].s.decode() if "direction" in options else "forward"
    held = [name for name in (*node.input[1:4], *node.input[7:8]) if name]
    if (
        direction == "bidirectional"
        or not all(name in constants for name in held)
        or ("layout" in options and options["layout"].i)
    ):
        return None
    count = STATES[node.op_type]
    before, after = [f"before {at}" for at in range(count)], [f"after {at}" for at in range(count)]
    inputs = ["x", *(node.input[at] if at < len(node.input) else "" for at in (1, 2, 3)), "", *before]
    inputs += [node.input[7]] if len(node.input) > 7 and node.input[7] else []
    alone = helper.make_node(node.op_type, inputs, ["", *after])
    alone.attribute.extend(each for each in node.attribute if each.name != "direction")
    kind = constants[node.input[1]].data_type
    graph = helper.make_graph(
        [alone], "cell", [helper.make_tensor_value_info(name, kind, None) for name in ("x", *before)],
        [helper.make_empty_tensor_value_info(name) for name in after], [constants[name] for name in held],
    )  # fmt: skip
    made = helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
    running = functools.cache(lambda: session(made.SerializeToString()))
    dtype = helper.tensor_dtype_to_np_dtype(kind)

    def advance(x: Array, states: States, counts: Array | None) -> States:
        given = dict(zip(before, (state[np.newaxis].astype(dtype) for state in states), strict=True))
        found = running().run(after, {"x": x[np.newaxis].astype(dtype), **given})
        return _kept(tuple(each[0] for each in found), states, counts)

    return advance


def _of_scan(node: Any, run: Any) -> Advance | None:
    scanned = next((each.i for each in node.attribute if each.name == "num_scan_inputs"), 0)
    count = len(node.input) - scanned - 1  # the last of its states is the output before
    if count < 1 or scanned not in (1, 2) or len(set(node.input)) < len(node.input):
        return None
    names, sequence = list(node.input[: count + 1]), node.input[count + 1]
    masks = list(node.input[count + 2 :])

    def advance(x: Array, states: States, counts: Array | None) -> States:
        rows = np.ones(len(x), bool) if counts is None else counts.astype(bool)
        given = dict(zip(names, (*states, states[0]), strict=True))
        given |= {sequence: x[:, np.newaxis], **{name: rows[:, np.newaxis] for name in masks}}
        cast = {name: each if each.dtype == bool else each.astype(run.dtype) for name, each in given.items()}
        found = run(cast, list(node.output[:count]))
        return tuple(found[name] for name in node.output[:count])

    return advance


def _kept(new: States, old: States, counts: Array | None) -> States:
    if counts is None:
        return new
    return tuple(np.where(counts.astype(bool)[:, np.newaxis], a, b) for a, b in zip(new, old, strict=True))


def walk(advance: Advance, x: Array, begin: States, mask: Array | None) -> States:
    """The states after every time step, in the order in which they are computed.

    Args:
        advance: of one time step.
        x: (rows, steps, inputs) in that order.
        begin: before the first.
        mask: (rows, steps) in that order, or None.

    Returns:
        Each (rows, steps, units) in float64.
    """
    states, found = tuple(begin), list[States]()
    for time in range(x.shape[1]):
        states = advance(x[:, time], states, None if mask is None else mask[:, time])
        found.append(states)
    return tuple(np.stack([np.asarray(each, np.float64) for each in parts], axis=1) for parts in _by_state(found))


def _by_state(found: Sequence[States]) -> list[tuple[Array, ...]]:
    return list(zip(*found, strict=True))
