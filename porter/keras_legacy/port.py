"""Legacy Keras network to a saved port: build, judge, save, load again, judge what changed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import PortError, UsageError
from porter.formats.keras_legacy.graph import KerasNetwork
from porter.keras_legacy.feeds import draw_feeds
from porter.keras_legacy.judging import call_whole
from porter.keras_legacy.model import build_legacy
from porter.keras_legacy.verify import verify_legacy
from porter.port_graph import read_graph
from porter.provenance import describe, write_provenance
from porter.report.model import Report
from porter.saving import Discard, load_model, staged, write_model

Array = NDArray[Any]

ORDER = ("parity", "inconclusive", "mismatch")


def port_legacy(
    network: KerasNetwork,
    output: Path,
    *,
    force: bool,
    dtype: str,
    seed: int,
    placement: str = "inside",
    samples: Any = None,
) -> Report:
    """Port a network, as ``porter.port`` does.

    Raises:
        PorterError: a network that cannot be built, or a file that cannot be written or loaded again.
    """
    check_placement(placement)
    model = build_legacy(network, dtype=dtype)
    report = verify_legacy(network, model, samples=samples, seed=seed)
    if report.verdict == "mismatch" and not force:
        return _unsaved(report)
    with staged(output, force=force) as draft:
        write_model(model, draft)
        report = _with_save_link(network, model, report, _load(draft), seed)
        if report.verdict == "mismatch" and not force:
            report = _unsaved(report)
            raise Discard
        options = {"dtype": dtype, "seed": seed, **network.declarations, **_declared(network)}
        write_provenance(draft, describe(network, report, options))
        place = {"port": str(output), "port_sha256": hashlib.sha256(draft.read_bytes()).hexdigest()}
        report = replace(report, provenance={**report.provenance, **place})
    return report


def check_placement(placement: str | None) -> None:
    """Refuse to place a scaling that a Keras model does not have.

    Raises:
        UsageError: "folded" or "outside".
    """
    if placement not in (None, "inside"):
        raise UsageError(
            "placement", found=repr(placement), expected="none: a Keras model has its layers inside",
            remedy="leave the option out",
        )  # fmt: skip


def _declared(network: KerasNetwork) -> dict[str, Any]:
    return {"replaced": sorted(network.replacements)} if network.replacements else {}


def _load(draft: Path) -> Any:
    try:
        return load_model(draft)
    except Exception as error:
        raise PortError(
            "the saved port cannot be loaded again",
            found=f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}",
            expected=f"a {draft.suffix} file that Keras loads",
            remedy="nothing was written; try the other format (.keras or .h5)",
        ) from error


def _unsaved(report: Report) -> Report:
    note = "nothing was written, because the port does not match; --force (force=True) writes it all the same"
    return replace(
        report, links={**report.links, "save": report.links.get("save", "not checked")},
        link_notes={**report.link_notes, "save": note},
    )  # fmt: skip


def _with_save_link(network: KerasNetwork, model: Any, report: Report, reloaded: Any, seed: int) -> Report:
    feeds = list(draw_feeds(network, read_graph(model), None, np.random.default_rng(seed + 1)).values())
    told = differences(model, reloaded, feeds)
    if not told:
        count = sum(int(np.prod(weight.shape)) for weight in model.weights)
        note, verdict = f"loaded again: the same bits in {count:,} weights and in the outputs", "parity"
    else:
        again = verify_legacy(network, reloaded, seed=seed)
        report = max(report, again, key=lambda one: ORDER.index(one.verdict))
        note, verdict = f"loaded again and verified again, because {'; '.join(told)}", again.verdict
    links: Mapping[str, str] = {**report.links, "save": verdict}
    return replace(report, links=links, link_notes={**report.link_notes, "save": note})


def differences(expected: Any, actual: Any, feeds: Sequence[Array]) -> list[str]:
    """What differs, bit by bit, between two models of the same structure; empty where nothing does."""
    names = [[weight.path for weight in each.weights] for each in (expected, actual)]
    if names[0] != names[1]:
        return [f"its weights are {', '.join(names[1][:4])}, ... where {', '.join(names[0][:4])}, ... were saved"]
    changed = [
        mine.path for mine, theirs in zip(expected.weights, actual.weights, strict=True)
        if np.asarray(mine).tobytes() != np.asarray(theirs).tobytes()
    ]  # fmt: skip
    outputs = [call_whole(each, list(feeds)) for each in (expected, actual)]
    same = all(np.asarray(a).tobytes() == np.asarray(b).tobytes() for a, b in zip(*outputs, strict=True))
    told = [f"the weights of {', '.join(changed[:4])} differ"] if changed else []
    return told if same else [*told, "its outputs differ"]
