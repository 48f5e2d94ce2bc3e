"""Random small legacy graphs, and ports of them as a hand would make them: other names, another order, other grain."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tests.keras_legacy.files import dense, layer, model, node, write

WIDTH = 4
ACTIVATIONS = ("linear", "relu", "tanh", "sigmoid")


@dataclass
class RandomGraph:
    """A graph of dense layers of one width, merges, normalization, dropout and activations of their own.

    Attributes:
        calls: (name, kind, what it takes, what else it is) in order of computation.
        weights: arrays by layer and stored name.
    """

    calls: list[tuple[str, str, tuple[str, ...], Any]] = field(default_factory=list)
    weights: dict[str, dict[str, Any]] = field(default_factory=dict)

    def write(self, path: Path) -> Path:
        """As a legacy file of Keras 2.2.4."""
        entries = [node(layer("InputLayer", "input_1", batch_input_shape=[None, WIDTH], dtype="float32"))]
        for name, kind, takes, extra in self.calls:
            entries.append(node(layer(kind, name, **extra), list(takes)))
        config = model(entries, ["input_1"], [self.calls[-1][0]])
        return write(path, config, {"input_1": {}, **{name: self.weights.get(name, {}) for name, *_ in self.calls}})


def draw_graph(rng: np.random.Generator, size: int) -> RandomGraph:
    """A graph of about so many layers, every one of which the output depends on."""
    graph, loose = RandomGraph(), ["input_1"]
    while len(graph.calls) < size:
        _grow(graph, loose, rng)
    while len(loose) > 1:
        taken = [loose.pop(0) for _ in range(2)]
        loose.append(_call(graph, "Add", tuple(taken)))
    _dense(graph, loose[0], rng)
    return graph


def _grow(graph: RandomGraph, loose: list[str], rng: np.random.Generator) -> None:
    """One more layer: behind a loose end, joining two of them, or beginning a branch."""
    choice = rng.choice(["dense", "dense", "dense", "branch", "skip", "merge", "norm", "drop", "act"])
    at = int(rng.integers(len(loose)))
    if choice == "branch":
        loose.append(_dense(graph, loose[at], rng))
        loose[at] = _dense(graph, loose[at], rng)
    elif choice == "merge" and len(loose) > 1:
        other = loose.pop((at + 1) % len(loose))
        at = at % len(loose)
        kind = str(rng.choice(["Add", "Multiply", "Maximum", "Average", "Subtract"]))
        loose[at] = _call(graph, kind, (loose[at], other)) if loose[at] != other else loose[at]
    elif choice == "skip":
        loose[at] = _call(graph, "Add", (loose[at], _dense(graph, loose[at], rng)))
    elif choice == "norm":
        loose[at] = _norm(graph, loose[at], rng)
    elif choice == "drop":
        loose[at] = _call(graph, "Dropout", (loose[at],), rate=0.5)
    elif choice == "act":
        loose[at] = _call(graph, "Activation", (loose[at],), activation=str(rng.choice(["relu", "tanh", "sigmoid"])))
    else:
        loose[at] = _dense(graph, loose[at], rng)


def _call(graph: RandomGraph, kind: str, takes: tuple[str, ...], **extra: Any) -> str:
    name = f"{kind.lower()}_{len(graph.calls) + 1}"
    graph.calls.append((name, kind, takes, extra))
    return name


def _dense(graph: RandomGraph, takes: str, rng: np.random.Generator) -> str:
    activation = str(rng.choice(ACTIVATIONS))
    name = _call(graph, "Dense", (takes,), units=WIDTH, activation=activation, use_bias=True)
    graph.weights[name] = dense(rng, name, WIDTH, WIDTH)
    return name


def _norm(graph: RandomGraph, takes: str, rng: np.random.Generator) -> str:
    name = _call(graph, "BatchNormalization", (takes,), axis=-1, epsilon=1e-3, center=True, scale=True)
    arrays = [rng.uniform(0.5, 2, WIDTH).astype(np.float32) for _ in range(4)]
    roles = ("gamma", "beta", "moving_mean", "moving_variance")
    graph.weights[name] = {f"{name}/{role}:0": array for role, array in zip(roles, arrays, strict=True)}
    return name


def build_by_hand(graph: RandomGraph, rng: np.random.Generator, wrong: str = "") -> tuple[Any, dict[str, Any]]:
    """The graph in Keras 3 with names of its own, and the layers that hold the arrays by legacy name.

    Layers are created in a random order; activations stand apart now and then, dropout is left out now and then.

    Args:
        graph: the legacy graph.
        rng: decides all that.
        wrong: a layer that is made wrong: a dense one or an activation applies another function, one that joins two
            branches takes the first alone, a normalization has another epsilon.
    """
    begin = keras.Input((WIDTH,))
    known, made, pending = {"input_1": begin}, {}, list(graph.calls)
    while pending:
        ready = [call for call in pending if all(name in known for name in call[2])]
        call = ready[int(rng.integers(len(ready)))]
        pending.remove(call)
        known[call[0]] = _apply(call, known, made, rng, call[0] == wrong)
    port = keras.Model(begin, known[graph.calls[-1][0]])
    for name, one in made.items():
        one.set_weights(list(graph.weights[name].values()))
    return port, made


def _apply(call: Any, known: dict[str, Any], made: dict[str, Any], rng: np.random.Generator, wrong: bool) -> Any:
    name, kind, takes, extra = call
    taken = [known[each] for each in takes]
    activation = extra.get("activation")
    if wrong:
        activation = {"linear": "tanh", "tanh": "sigmoid", "sigmoid": "tanh", "relu": "tanh"}.get(activation)
    if kind == "Dense":
        apart = rng.random() < 0.4
        made[name] = keras.layers.Dense(WIDTH, activation=None if apart else activation)
        x = made[name](taken[0])
        return keras.layers.Activation(activation)(x) if apart and activation != "linear" else x
    if kind == "BatchNormalization":
        made[name] = keras.layers.BatchNormalization(epsilon=0.1 if wrong else extra["epsilon"])
        return made[name](taken[0])
    if kind == "Dropout":
        return taken[0] if rng.random() < 0.5 else keras.layers.Dropout(0.5)(taken[0])
    if kind == "Activation":
        return keras.layers.Activation(activation)(taken[0])
    return taken[0] if wrong else getattr(keras.layers, kind)()(taken)
