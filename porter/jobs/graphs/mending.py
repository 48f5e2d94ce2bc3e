"""The remedies of a report on a legacy Keras port, applied: a port in which every named mistake is put right."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from porter.diagnosis.diagnose import Named
from porter.examination.graphs.judged import Judged
from porter.examination.graphs.view import operations_of, variables_of
from porter.jobs.graphs.verify import verify_legacy
from porter.jobs.mending import copy_model, with_remedy
from porter.network.graph import KerasNetwork
from porter.ports.keras.graph_model import build_graph
from porter.report.report import Report

ARRAYS = (
    "kernel.", "bias.", "biases.", "units.", "inputs.", "outputs.", "layers.swapped", "layers.repeated",
    "flatten.order", "batch_norm.order", "recurrent.gates", "recurrent.swapped", "precision.port",
)  # fmt: skip
"""Mistakes that are put right by giving the port's own layers the arrays of the file."""


def check_legacy_remedy(
    report: Report, network: KerasNetwork, model: Any, named: Sequence[Named], judged: Sequence[Judged], seed: int
) -> tuple[Report, Any]:
    """Verify the mended port again, and say so in the report.

    Returns:
        The report with ``after_remedy``, and the mended keras.Model, or None where none can be made.
    """
    alone = named if len(named) == len(report.findings) else ()

    def judge(mended: Any) -> str:
        return verify_legacy(network, mended, seed=seed, diagnosed=False).verdict

    return with_remedy(report, mends(network, model, alone, judged), judge)


def mends(network: KerasNetwork, model: Any, named: Sequence[Named], judged: Sequence[Judged]) -> Iterator[Any]:
    """Mended copies of the port, the one that changes least first; the port itself is left as it is.

    Wrong arrays are replaced in a copy. What is configured or connected wrongly is not: then the whole port is built
    anew from the file, in the port's dtype.

    Args:
        network: as read.
        model: the port.
        named: every mistake; none of them where there are others beside, of the graph itself.
        judged: every step.

    Raises:
        UnbuildableError: Keras' own layers cannot express the network.
    """
    if named and all(one.cause.code.startswith(ARRAYS) for one in named):
        copied = copy_model(model)
        if copied is not None and all(_assign(copied, one) for one in judged if one.verdict == "mismatch"):
            yield copied
    yield build_graph(network, dtype=_policy(judged))


def _assign(model: Any, one: Judged) -> bool:
    """Give the layers of one step the arrays of the file; False where they do not take them."""
    if one.suspect is None:
        return True
    operations = [operation for operation in operations_of(model) if operation.name in one.names]
    variables = variables_of(one.step, operations)
    slots = [slot for slot in one.suspect.slots if slot.array is not None]
    if any(slot.path not in variables or tuple(variables[slot.path].shape) != _shape(slot.array) for slot in slots):
        return False
    for slot in slots:
        variables[slot.path].assign(slot.array)
    return True


def _shape(array: Any) -> tuple[int, ...]:
    return tuple(np.shape(array))


def _policy(judged: Sequence[Judged]) -> str:
    """The dtype policy of most steps."""
    policies = [
        one.precision.compute if one.precision.compute == one.precision.variables else f"mixed_{one.precision.compute}"
        for one in judged
    ]
    return max(dict.fromkeys(policies), key=policies.count, default="float32")
