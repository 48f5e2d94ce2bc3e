"""A port in physical units judged against a network in its own, or the other way round: said, and nothing else."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from porter.diagnosis.diagnose import diagnose
from porter.errors import PorterError, UnknownKindError
from porter.examination.case import Case
from porter.examination.domain import network_inputs
from porter.examination.examine import examine
from porter.examination.pairing import has_transforms
from porter.formats import read
from porter.formats.programs import build_program
from porter.formats.scalings import KINDS
from porter.network import Network, Transform
from porter.report.model import Verdict
from porter.report.report import Report
from porter.verdict.build import build_report
from reference.operations.transforms import Transform as TransformStep

TELLING = ("unexplained", "transform.replaced", "graph.edge", "activation.added", "inputs.permuted", "scaling.")
"""Beginnings of the codes under which what stands in front of a network or behind it is told."""
ROWS = 64
"""On which functions of the columns are looked for first: everything else is judged only where all are there."""


def in_other_units(report: Report, case: Case, rows: int, source: str | Path | None) -> tuple[Report, Case] | None:
    """The report and the case of a port that is told better once the network is read in the other units, or None.

    A port that is right so is not at parity with the network as it was read: the verdict is open. Any other mistake of
    it is told as one. The first note says what to declare.

    Args:
        report: with findings.
        case: that it was made of.
        rows: random rows inside the documented range.
        source: path of the port, where it came from a file.
    """
    if not any(finding.code.startswith(TELLING) for finding in report.findings) or not _may_have_transforms(case):
        return None
    for network, said in _otherwise(case.network):
        if not _is_likely(network, case):
            continue
        try:
            other = examine(network, case.graph, seed=case.seed, placement=case.declared_placement, rows=rows)
            found = build_report(other, diagnose(other), golden=None, search=False, source=source)
        except PorterError:
            continue
        if found.verdict != "inconclusive" and not any(each.code.startswith(TELLING) for each in found.findings):
            return _open(found, said), other
    return None


def _may_have_transforms(case: Case) -> bool:
    """Whether the network has functions of its columns, or the port anything that might be one before a dense layer."""
    if any(isinstance(layer, Transform) for layer in case.network.layers):
        return True
    front = itertools.takewhile(lambda atom: atom.kind != "dense", case.graph.atoms)
    return any(atom.kind not in ("affine", "identity") for atom in front)


def _is_likely(network: Network, case: Case) -> bool:
    """Whether the port has the functions that a network in the other units has at its ends, and no more of them."""
    own = [one for one in case.judged if isinstance(one.step, TransformStep)]
    if own:
        return all(one.verdict != "parity" for one in own)
    rng = np.random.default_rng(case.seed)
    program = build_program(network)
    rows = network_inputs(program, ROWS, rng, case.declared_placement == "outside", None)
    return has_transforms(program, case.graph.atoms, rows, rng)


def _open(found: Report, said: str) -> Report:
    verdict: Verdict = "inconclusive" if found.verdict == "parity" else found.verdict
    return replace(found, verdict=verdict, links={**found.links, "build": verdict}, notes=(said, *found.notes))


def _otherwise(network: Network) -> Iterator[tuple[Network, str]]:
    """The same file read in the other units, and what a person has to say for it."""
    declared = {key: value for key, value in network.declarations.items() if key not in ("physical", "gains")}
    if any(isinstance(layer, Transform) for layer in network.layers):
        told = (
            "the port takes and gives the network's own units, and not physical ones: read the file without --physical "
            "(physical=True)"
        )
        yield from _same(network, told, declared)
        return
    told = "the port takes and gives physical units: say --physical{} (physical=True{})"
    try:
        yield from _same(network, told.format("", ""), {**declared, "physical": True})
    except UnknownKindError:  # the name of the file does not say it
        for kind in KINDS:
            more = told.format(f" --kind {kind}", f', kind="{kind}"')
            yield from _same(network, more, {**declared, "physical": True, "kind": kind})


def _same(network: Network, told: str, options: dict[str, Any]) -> Iterator[tuple[Network, str]]:
    try:
        other = read(network.source.path, **options)
    except UnknownKindError:
        if "kind" in options:
            return
        raise
    except (PorterError, OSError, TypeError):  # moved, or read with more than options
        return
    names = [[layer.name for layer in each.layers] for each in (other, network)]
    if other.source.sha256 == network.source.sha256 and names[0] != names[1]:
        yield other, told
