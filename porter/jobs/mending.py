"""The remedies of a report, tried on a copy of the port as they are printed."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from porter.errors import PorterError, first_line
from porter.examination.case import Case
from porter.examination.examine import examine
from porter.examination.pasting import as_python, built, commented, has_code, literal
from porter.network.placement import PLACEMENTS
from porter.ports.keras.graph import read_graph
from porter.report.model import Finding
from porter.report.report import Report
from reference.precision import Precision

CHECKED_ROWS = 256


@dataclass(frozen=True)
class Anew:
    """How the whole port is built from the file, for what cannot be put right in its own layers.

    Attributes:
        code: as it is printed.
        build: the same, done; raises PorterError where Keras' own layers cannot express the network.
    """

    code: str
    build: Callable[[], Any]


def check_remedy(report: Report, case: Case) -> tuple[Report, Any]:
    """Verify the mended port again, and say so in the report.

    Returns:
        The report with ``after_remedy`` and remedies that can be pasted, and the mended keras.Model, or None where
        none can be made.
    """
    return with_remedies(report, case.network, case.graph.model, _anew(case), lambda model: _verdict_on(case, model))


def with_remedies(
    report: Report, network: Any, model: Any, anew: Anew, judge: Callable[[Any], str]
) -> tuple[Report, Any]:
    """The report whose remedies are Python that was run, and what came of it.

    What is printed is run on a copy of the port. Where that does not restore parity, or the port cannot be copied, the
    whole port is built anew from the file, and the remedies say so.

    Args:
        report: with findings.
        network: the legacy network.
        model: the port; it stays as it is.
        anew: how it is built from the file.
        judge: verdict on a mended port.
    """
    if not any(map(_is_of_build, report.findings)):
        return replace(report, findings=tuple(map(_as_python, report.findings))), None
    drawn = random.getstate()  # Keras seeds the initializers of new layers from it
    try:
        mended = _paste(report, network, model)
        verdict = _verdict_of(mended, judge)
        if verdict == "parity":
            return replace(report, after_remedy=verdict, findings=tuple(map(_as_python, report.findings))), mended
        mended = anew.build()
        verdict = judge(mended)
    except PorterError as error:
        told = f"the port cannot be built anew from the file: {first_line(error)}"
        return replace(report, findings=tuple(_explained(each, told) for each in report.findings)), None
    finally:
        random.setstate(drawn)
    findings = tuple(_built_anew(each, anew.code) for each in report.findings)
    return replace(report, after_remedy=verdict, findings=findings), mended


def _verdict_of(pasted: Any | None, judge: Callable[[Any], str]) -> str | None:
    """The verdict on what came of pasting; None where nothing did, or nothing that can be judged."""
    try:
        return None if pasted is None else judge(pasted)
    except PorterError:
        return None


def for_file(report: Report, path: Path) -> Report:
    """The report on a port that is no Keras model: what to change, told, and the file written anew.

    Args:
        report: with findings.
        path: of the port.
    """
    mended = path.with_name(f"{path.stem}.mended{path.suffix}")
    code = f"model = {literal(str(mended))}\nporter.export(network, model, force=True)"
    return replace(report, findings=tuple(_built_anew(each, code) for each in report.findings))


def _paste(report: Report, network: Any, model: Any) -> Any | None:
    """A copy of the port on which every remedy was run as printed; None where there is nothing to run or it raises.

    The Python is all written by porter, and names in it are literals.
    """
    remedies = dict.fromkeys(as_python(each.remedy) for each in report.findings if _is_of_build(each))
    if not any(map(has_code, remedies)):
        return None
    copied = copy_model(model)
    if copied is None:
        return None
    import keras

    import porter

    space = {"model": copied, "network": network, "keras": keras, "porter": porter}
    try:
        for remedy in remedies:
            exec(compile(remedy, "<remedy>", "exec"), space)
    except Exception:  # a layer that takes no such arrays or arguments, or none of that name
        return None
    return space["model"]


def _is_of_build(finding: Finding) -> bool:
    """Whether a remedy changes the port, and not how the file is read."""
    return not finding.code.startswith("reading.")


def _as_python(finding: Finding) -> Finding:
    return replace(finding, remedy=as_python(finding.remedy))


def _built_anew(finding: Finding, code: str) -> Finding:
    """What to change, told, and the port built anew."""
    if not _is_of_build(finding):
        return _as_python(finding)
    return replace(finding, remedy="\n".join((commented(finding.remedy), code)))


def _explained(finding: Finding, told: str) -> Finding:
    """What to change, told, and why there is no line to paste."""
    return replace(finding, remedy=commented(f"{finding.remedy}\n{told}"))


def _verdict_on(case: Case, model: Any) -> str:
    graph = read_graph(model)
    again = examine(case.network, graph, seed=case.seed, placement=_placement(case), rows=CHECKED_ROWS)
    if again.unaccounted or any(one.verdict == "mismatch" for one in again.judged):
        return "mismatch"
    return "parity" if again.is_parity else "inconclusive"


def copy_model(model: Any) -> Any | None:
    """A copy of a model; None where its own classes do not allow one."""
    import keras

    from porter.ports.keras.versions import with_arrays

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            copied = with_arrays(keras.models.clone_model(model))
            copied.set_weights(model.get_weights())
        except Exception:  # cloning runs the classes of whoever made the model
            return None
    return copied


def _anew(case: Case) -> Anew:
    from porter.ports.keras.build import build

    placement, dtype = _placement(case), _policy(case)
    return Anew(built(placement, dtype), lambda: build(case.network, placement=placement, dtype=dtype))


def _placement(case: Case) -> str:
    return case.placement if case.placement in PLACEMENTS else "inside"


def _policy(case: Case) -> str:
    precisions = (pair.block.precision for pair in case.pairing.dense if pair.block is not None)
    precision = next(precisions, Precision("float32", "float32"))
    compute, variables = precision.compute, precision.variables
    return compute if compute == variables else f"mixed_{compute}"
