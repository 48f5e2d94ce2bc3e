"""A port of a legacy Keras network as golden files keep it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.examination.graphs.feeds import draw_feeds
from porter.examination.graphs.pairing import KerasPairing, check_ends, pair_port
from porter.formats.programs import build_program, follow
from porter.network.graph import KerasNetwork
from porter.ports.keras.graph import read_graph
from porter.ports.keras.nodes import Key
from porter.testing.recorded import INPUT, RecordedLayer, View
from reference.operations.embedding import Embedding
from reference.operations.masking import Mask
from reference.operations.replacement import Replacement
from reference.rounding.bounds import has_bound

Array = NDArray[Any]


def view_legacy(network: KerasNetwork, model: Any) -> View:
    """Look at a port on drawn rows; steps that it has no tensor for, or whose rounding is not known, are left out.

    Args:
        network: as read.
        model: keras.Model.
    """
    graph, program = read_graph(model), build_program(network)
    feeds = draw_feeds(network, graph, None, np.random.default_rng(0))
    check_ends(network, graph)
    follow(network, program, {name: feeds[name].astype(np.float64) for name in program.inputs})
    pairing = pair_port(network, program, graph, feeds)
    roots = pairing.port.root
    known = {roots[key]: f"{INPUT}{number}" for number, key in enumerate(graph.inputs)}
    layers = []
    for name, pair in pairing.pairs.items():
        if pair.key is None or isinstance(pair.step, Replacement) or not has_bound(pair.step):
            continue
        if not pairing.port.between(pair.fed, pair.key)[1]:
            continue
        layers.append(_layer(pairing, name, known))
        known.setdefault(roots[pair.key], name)
    return View(tuple(layers), tuple(feeds.values()), tuple(np.asarray(each) for each in graph(*feeds.values())))


def _layer(pairing: KerasPairing, name: str, known: Mapping[Key, str]) -> RecordedLayer:
    pair, port = pairing[name], pairing.port
    assert pair.key is not None
    target, fed = pair.key, pair.fed
    sources = tuple(known.get(port.root[key], f"{name}/{number}") for number, key in enumerate(fed))
    feeds = {source: port.values[key] for source, key in zip(sources, fed, strict=True) if source not in known.values()}

    def run(given: tuple[Array, ...]) -> Array:
        return port.run(dict(zip(fed, given, strict=True)), target)

    casts = not isinstance(pair.step, Embedding | Mask)
    return RecordedLayer(name, pair.step, pairing.precision(name), sources, port.values[target], run, feeds, casts)
