"""The remedies of a report, applied: a port in which every named mistake is put right."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from porter.diagnosis.diagnose import Named
from porter.errors import PorterError
from porter.examination.case import Case
from porter.examination.examine import examine
from porter.network import Dense
from porter.network.placement import PLACEMENTS
from porter.ports.keras.graph import read_graph
from porter.report.report import Report
from reference.precision import Precision

IN_PLACE = ("kernel.", "bias.", "biases.", "units.", "inputs.", "outputs.", "layers.swapped", "precision.port")
"""Mistakes that are put right by giving the port's own layers the arrays of the file."""
CHECKED_ROWS = 256


def mends(case: Case, named: Sequence[Named]) -> Iterator[Any]:
    """Mended copies of the port, the one that changes least first; the port itself is left as it is.

    Wrong arrays are replaced in a copy. A wrong activation, scaling or structure cannot be: then the whole port is
    built anew from the file, with the port's placement and dtype.

    Yields:
        keras.Model

    Raises:
        UnbuildableError: Keras' own layers cannot express the network as asked.
    """
    if named and all(_in_place(case, one) for one in named):
        copied = copy_model(case.graph.model)
        mended = None if copied is None else _assigned(copied, case, named)
        if mended is not None:
            yield mended
    yield _rebuilt(case)


def check_remedy(report: Report, case: Case, named: Sequence[Named]) -> tuple[Report, Any]:
    """Verify the mended port again, and say so in the report.

    Returns:
        The report with ``after_remedy``, and the mended keras.Model, or None where none can be made.
    """
    return with_remedy(report, mends(case, named), lambda model: _verdict_on(case, model))


def with_remedy(report: Report, mended: Iterator[Any], judge: Callable[[Any], str]) -> tuple[Report, Any]:
    """The report with the verdict on the first mended port at parity, else on the last, and that port."""
    model, verdict = None, None
    drawn = random.getstate()  # Keras seeds the initializers of new layers from it
    try:
        for model in mended:
            verdict = judge(model)
            if verdict == "parity":
                break
    except PorterError:
        return report, None
    finally:
        random.setstate(drawn)
    return replace(report, after_remedy=verdict), model


def _verdict_on(case: Case, model: Any) -> str:
    graph = read_graph(model)
    again = examine(case.network, graph, seed=case.seed, placement=_placement(case), rows=CHECKED_ROWS)
    if again.unaccounted or any(one.verdict == "mismatch" for one in again.judged):
        return "mismatch"
    return "parity" if again.is_parity else "inconclusive"


def _in_place(case: Case, one: Named) -> bool:
    block = case[one.cause.layer].pair.block
    folded = case[one.cause.layer].step is not case[one.cause.layer].pair.step
    shown = block is not None and block.dense is not None and block.dense.weights is not None and not folded
    lacks_bias = shown and block.dense.bias is None and one.cause.code.startswith(("bias", "layers"))  # type: ignore[union-attr]
    return shown and not lacks_bias and one.cause.code.startswith(IN_PLACE)


def copy_model(model: Any) -> Any | None:
    """A copy of a model; None where its own classes do not allow one."""
    import keras

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            copied = keras.models.clone_model(model)
            copied.set_weights(model.get_weights())
        except Exception:  # cloning runs the classes of whoever made the model
            return None
    return copied


def _assigned(model: Any, case: Case, named: Sequence[Named]) -> Any | None:
    """The copy, its suspect layers holding the arrays of the file; None where one of them takes no arrays."""
    wanted = {one.cause.layer for one in named} | {one.judged.name for one in named}
    for layer in case.network.layers:
        block = case[layer.name].pair.block
        if isinstance(layer, Dense) and layer.name in wanted and block is not None and block.dense is not None:
            try:
                _assign(model, block.dense.names[0], layer)
            except Exception:  # an adapter may stand in for the kernel, and takes none
                return None
    return model


def _assign(model: Any, path: str, layer: Dense) -> None:
    target = model
    for name in path.split("/"):
        target = target.get_layer(name)
    target.kernel.assign(layer.kernel)
    if target.bias is not None:
        target.bias.assign(np.zeros(layer.kernel.shape[1]) if layer.bias is None else layer.bias)


def _rebuilt(case: Case) -> Any:
    from porter.ports.keras.build import build

    return build(case.network, placement=_placement(case), dtype=_policy(case))


def _placement(case: Case) -> str:
    return case.placement if case.placement in PLACEMENTS else "inside"


def _policy(case: Case) -> str:
    precisions = (pair.block.precision for pair in case.pairing.dense if pair.block is not None)
    precision = next(precisions, Precision("float32", "float32"))
    compute, variables = precision.compute, precision.variables
    return compute if compute == variables else f"mixed_{compute}"
