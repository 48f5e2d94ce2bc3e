"""Legacy Keras network to a saved port: build, judge, save, load again, judge what changed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import UsageError
from porter.formats.keras_legacy.graph import KerasNetwork
from porter.keras_legacy.feeds import draw_feeds
from porter.keras_legacy.model import build_legacy
from porter.keras_legacy.verify import verify_legacy
from porter.keras_legacy.whole import call_whole
from porter.port import Job, save
from porter.port_graph import read_graph
from porter.report.model import Report
from porter.samples import load_samples

Array = NDArray[Any]


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
    golden = load_samples(samples, network)
    report = verify_legacy(network, model, samples=golden, seed=seed)

    def compare(reloaded: Any) -> list[str]:
        like = None if golden is None else golden.inputs
        feeds = draw_feeds(network, read_graph(model), None, np.random.default_rng(seed + 1), like)
        return differences(model, reloaded, list(feeds.values()))

    job = Job(
        network,
        model,
        {"dtype": dtype, "seed": seed, **network.declarations, **_declared(network)},
        lambda reloaded: verify_legacy(network, reloaded, samples=golden, seed=seed),
        compare,
        "in the outputs",
    )
    return save(job, report, output, force=force)


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
