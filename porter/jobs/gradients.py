"""The gradients of a port, where they were asked for: compared, and named where they are not the legacy ones."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.examination.case import Case
from porter.examination.gradients import Gradients, Slope, compare_gradients
from porter.examination.judging import Refused, run_piece
from porter.formats.programs import build_program
from porter.formats.readers import family_named
from porter.network import Network
from porter.ports.blocks import Block
from porter.ports.keras.graph import PortGraph
from porter.ports.keras.jacobian import central_differences, has_gradients, jacobian
from porter.report.model import Finding
from porter.report.report import Report
from reference.derivatives.steps import jacobian as legacy_jacobian

Array = NDArray[Any]

OF_CHAINS = "gradients were asked for, and are compared of chains of dense layers alone: this network is a graph"
OF_KERAS = "gradients were asked for, and are compared of Keras models alone: what runs this port shows none"
UNASKED = "the original gives the derivatives of its outputs as well: --gradients (gradients=True) compares the port's"


def with_gradients(report: Report, case: Case) -> Report:
    """The report of a chain with both Jacobians compared, and a finding where the outputs agree and they do not."""
    graph = case.graph
    if not isinstance(graph, PortGraph):
        return without_gradients(report, OF_KERAS)
    by_tape = has_gradients()
    whole = partial(jacobian, graph) if by_tape else partial(central_differences, lambda rows: graph(rows)[0])

    def local(block: Block, rows: Array) -> Array:
        return run_piece(lambda fed: jacobian(graph, fed, block.entry, block.leaving), rows)

    try:
        found = compare_gradients(case, partial(run_piece, whole), local if by_tape else None)
    except (KeyError, Refused) as error:  # no derivative is known; or somebody's own layer raises in other batches
        return without_gradients(report, f"gradients were not compared: {error.args[0]}")
    found = replace(found, note=_note(case, found, by_tape))
    return _judged(replace(report, gradients=found), case, found)


def without_gradients(report: Report, why: str) -> Report:
    """The report of a port whose gradients were asked for and cannot be compared."""
    return replace(report, gradients=Gradients("not judged", why))


def unasked(report: Report, network: Network) -> Report:
    """The report, which says where the original's derivatives could be compared."""
    family = family_named(network.family)
    if family is None or not family.has_jacobian:
        return report
    return replace(report, notes=(*report.notes, UNASKED))


def _note(case: Case, found: Gradients, by_tape: bool) -> str:
    how = "TensorFlow's gradients of the port" if by_tape else "central differences of the port"
    told = [f"{found.rows} rows inside of the range: {how} beside the chain rule in float64"]
    if not by_tape:
        told.append("the gradients of this backend are not taken, and no bound is known of differences: figures alone")
    elif not case.is_parity:
        told.append("the port differs in what it computes, or was not compared: its derivatives are not judged")
    elif any(one.verdict == "not judged" for one in (*found.layers, *found.outputs)):
        told.append("not judged: no bound is derived, or it would hide a derivative of zero")
    return "; ".join([*told, *_departure(case, found.rows)])


def _departure(case: Case, rows: int) -> list[str]:
    """What it costs to leave the original's tables, whose entries its derivatives are made of."""
    network = case.network
    family = family_named(network.family)
    is_exact = network.declarations.get("exact_activations", False) and case.placement != "outside"
    if family is None or not family.has_tables or not is_exact:
        return []
    x = case.inputs[-rows:]
    exact, own = (legacy_jacobian(build_program(network, exact_activations=flag).steps, x) for flag in (True, False))
    share = np.max(np.abs(exact - own), axis=(0, 2)) / np.max(np.abs(own), axis=(0, 2))
    return [
        "the original's own, with its activations, differ from them by up to "
        f"{np.max(share):.1e} of an output's largest"
    ]


def _judged(report: Report, case: Case, found: Gradients) -> Report:
    """The verdict holds for the gradients as well, once the outputs agree."""
    if not case.is_parity or found.verdict != "mismatch" or report.verdict == "mismatch":
        return report
    return replace(
        report,
        verdict="mismatch",
        links={**report.links, "build": "mismatch"},
        link_notes={**report.link_notes, "build": f"{report.link_notes['build']}; the gradients differ"},
        findings=(*report.findings, _finding(case, found)),
    )


def _finding(case: Case, found: Gradients) -> Finding:
    """The first layer whose derivatives differ; the last one, where only those of the whole do."""
    wrong = next((one for one in found.layers if one.verdict == "mismatch"), None)
    worst = max(found.outputs, key=lambda one: one.exceeding)
    one = case[wrong.name if wrong is not None else found.layers[-1].name]
    block = one.pair.block
    names = () if block is None else block.names
    name = getattr(getattr(one.step, "activation", None), "name", "")
    if wrong is None:
        message = "the gradient of the port as a whole is not the product of its layers' gradients"
        remedy = "call the layers as they stand: a call of the model's own, or something between them, stops gradients"
        return Finding("gradient.replaced", one.name, names, f"{one.name}: {message}", _evidence(worst), remedy)
    code = "gradient.cut" if wrong.is_cut else "gradient.replaced"
    legacy = f"the legacy derivative{f' of {name}' if name else ''}"
    cause = f"its gradient is zero, where {legacy} is not" if wrong.is_cut else f"its gradient is not {legacy}"
    evidence = f"{_evidence(wrong)}; {_evidence(worst)}"
    return Finding(code, one.name, names, f"{one.name}: {cause}", evidence, _remedy(name, wrong))


def _remedy(activation: str, wrong: Slope) -> str:
    if activation == "logistic_table":
        return (
            "port it with functions in the place of the tables: --exact-activations (exact_activations=True); Keras' "
            "gradient of a lookup is zero, the original's is y (1 - y) of the entry"
        )
    if wrong.is_cut:
        return "leave out what has no gradient: a lookup, rounding, a cast to whole numbers, stop_gradient, NumPy"
    return "leave the gradient to the backend: no custom_gradient, no stop_gradient on a part, no rounding"


def _evidence(one: Slope) -> str:
    figures = f"up to {one.difference:.3g} apart, where the largest is {one.size:.3g}"
    return f"derivatives of {one.name}: {one.exceeding:,} of {one.elements:,} beyond rounding, {figures}"
