"""A port on its way into a file: saved, loaded again, and what changed judged."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import PortError
from porter.examination.graphs.whole import call_whole
from porter.jobs.provenance import describe, write_provenance
from porter.jobs.saving import Discard, load_model, staged, write_model
from porter.network import Network
from porter.progress import tell
from porter.report.model import ORDER
from porter.report.report import Report

Array = NDArray[Any]


@dataclass(frozen=True)
class Job:
    """One port on its way.

    Attributes:
        network: what is ported.
        model: the keras.Model built from it.
        options: what the provenance record says about how.
        verify: verification of a model against the network.
        compare: what differs, bit by bit, in a model that was loaded again; a sentence each.
        compared: what that looks at beside the weights.
    """

    network: Network
    model: Any
    options: Mapping[str, Any]
    verify: Callable[[Any], Report]
    compare: Callable[[Any], list[str]]
    compared: str


def save(job: Job, report: Report, output: Path, *, force: bool) -> Report:
    """Write a port that was judged, load it again, and judge what changed.

    Returns:
        The report with the link "save" and where the port is; on a mismatch nothing is written unless forced.

    Raises:
        PorterError: a file that cannot be written, or loaded again.
    """
    if report.verdict == "mismatch" and not force:
        return _unsaved(report)
    with staged(output, force=force) as draft:
        tell("saving")
        write_model(job.model, draft)
        tell("loading the saved file and comparing")
        report = _with_save_link(job, report, _load(draft))
        if report.verdict == "mismatch" and not force:
            report = _unsaved(report)
            raise Discard
        write_provenance(draft, describe(job.network, report, job.options))
        place = {"port": str(output), "port_sha256": hashlib.sha256(draft.read_bytes()).hexdigest()}
        report = replace(report, provenance={**report.provenance, **place})
    return report


def _unsaved(report: Report) -> Report:
    save = report.links.get("save", "not checked")
    note = "nothing was written, because the port does not match; --force (force=True) writes it all the same"
    told = f"{report.link_notes['save']}; {note}" if save == "mismatch" else note
    return replace(report, links={**report.links, "save": save}, link_notes={**report.link_notes, "save": told})


def _load(draft: Path) -> Any:
    try:
        return load_model(draft)
    except Exception as error:
        raise PortError(
            "the saved port cannot be loaded again",
            found=f"{type(error).__name__}: {error}",
            expected=f"a {draft.suffix} file that Keras loads",
            remedy="nothing was written; try the other format (.keras or .h5)",
        ) from error


def _with_save_link(job: Job, report: Report, reloaded: Any) -> Report:
    """The report with the verdict on the link "save": the same bits, or a second verification that explains."""
    differences = job.compare(reloaded)
    if not differences:
        weights = sum(int(np.prod(weight.shape)) for weight in job.model.weights)
        return _linked(report, "parity", f"loaded again: the same bits in {weights:,} weights and {job.compared}")
    tell("verifying the saved file")
    again = job.verify(reloaded)
    worse = max(report, again, key=lambda one: ORDER.index(one.verdict))
    return _linked(worse, again.verdict, f"loaded again and verified again, because {'; '.join(differences)}")


def _linked(report: Report, verdict: str, note: str) -> Report:
    return replace(
        report,
        links={**report.links, "save": verdict},
        link_notes={**report.link_notes, "save": note},
    )


def compare_models(expected: Any, actual: Any, feeds: Sequence[Array]) -> list[str]:
    """What differs, bit by bit, between two models of the same structure; empty where nothing does.

    Args:
        expected: keras.Model as it was built.
        actual: keras.Model as it was loaded.
        feeds: (rows, ...) an input each, on which the outputs are compared.

    Returns:
        One sentence a difference: weights first, then outputs.
    """
    names = [[weight.path for weight in each.weights] for each in (expected, actual)]
    if names[0] != names[1]:
        lost, new = ([name for name in side if name not in other] for side, other in (names, names[::-1]))
        told = [f"it lacks the weights {_some(lost)}"] if lost else []
        told += [f"it has the weights {_some(new)}, which were not saved"] if new else []
        return [
            "; ".join(told) or f"its weights are {_some(names[1])}, in this order, where {_some(names[0])} were saved"
        ]
    changed = [
        mine.path
        for mine, theirs in zip(expected.weights, actual.weights, strict=True)
        if not same_bits(_numpy(mine), _numpy(theirs))
    ]
    told = [f"the weights of {_some(changed)} differ"] if changed else []
    outputs = [[_numpy(each) for each in call_whole(model, list(feeds))] for model in (expected, actual)]
    if len(outputs[0]) != len(outputs[1]):
        return [*told, f"it has {len(outputs[1])} outputs where {len(outputs[0])} were saved"]
    pairs = zip(*outputs, strict=True)
    return told + [_largest_difference(mine, theirs) for mine, theirs in pairs if not same_bits(mine, theirs)]


def _some(names: Sequence[str]) -> str:
    """The first few."""
    return ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")


def same_bits(expected: Array, actual: Array) -> bool:
    """Whether two arrays agree in dtype, shape and every bit, NaN included."""
    alike = expected.dtype == actual.dtype and expected.shape == actual.shape
    return alike and expected.tobytes() == actual.tobytes()


def _largest_difference(expected: Array, actual: Array) -> str:
    if expected.dtype != actual.dtype:
        return f"it computes in {actual.dtype} where {expected.dtype} was saved"
    if expected.shape != actual.shape:
        return f"its outputs are {actual.shape} where {expected.shape} were saved"
    with np.errstate(all="ignore"):
        difference = np.abs(actual.astype(np.float64) - expected.astype(np.float64))
    return f"its outputs differ by up to {np.nanmax(difference, initial=0.0):.2e}"


def _numpy(tensor: Any) -> Array:
    from keras import ops

    return np.asarray(ops.convert_to_numpy(tensor))
