"""Legacy Keras network to a saved port: build, judge, save, load again, judge what changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from porter.examination.graphs.feeds import draw_feeds
from porter.formats.samples import load_samples
from porter.jobs.graphs.verify import verify_legacy
from porter.jobs.job import Job, compare_models, save
from porter.network.graph import KerasNetwork
from porter.network.placement import check_unplaced
from porter.ports.keras.graph import read_graph
from porter.ports.keras.graph_model import build_graph
from porter.report.report import Report


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
    check_unplaced(placement)
    model = build_graph(network, dtype=dtype)
    golden = load_samples(samples, network)
    report = verify_legacy(network, model, samples=golden, seed=seed)

    def compare(reloaded: Any) -> list[str]:
        like = None if golden is None else golden.inputs
        feeds = draw_feeds(network, read_graph(model), None, np.random.default_rng(seed + 1), like)
        return compare_models(model, reloaded, list(feeds.values()))

    job = Job(
        network,
        model,
        {"dtype": dtype, "seed": seed, **network.declarations, **_declared(network)},
        lambda reloaded: verify_legacy(network, reloaded, samples=golden, seed=seed),
        compare,
        "in the outputs",
    )
    return save(job, report, output, force=force)


def _declared(network: KerasNetwork) -> dict[str, Any]:
    return {"replaced": sorted(network.replacements)} if network.replacements else {}
