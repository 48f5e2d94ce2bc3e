"""Mistakes that no code names: random edits of arrays, activations and edges; detected, placed, nothing false.

python -m benchmarks.uncatalogued --mistakes 500

A mistake counts where the outputs of the layer that it stands in change by more than a thousandth of their range. A
finding is false where it is certain and says something that no such edit does (transposed, negated, swapped, permuted,
rounded, unset, a scaling); where findings name a remedy, porter carries it out and verifies again.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from benchmarks.networks import draw_legacy
from benchmarks.ports import Legacy, affine
from benchmarks.tables import markdown_table, rate

Array = np.ndarray
Edit = Callable[[Array, np.random.Generator], Array]

ARRAYS: dict[str, Edit] = {
    "squared, signs kept": lambda k, _: k * np.abs(k) / np.abs(k).max(),
    "sine": lambda k, _: np.sin(3 * k),
    "columns summed up": lambda k, _: np.cumsum(k, axis=0),
    "smoothed along the units": lambda k, _: (k + np.roll(k, 1, axis=-1)) / 2,
    "a product added": lambda k, rng: k + 0.3 * np.outer(rng.standard_normal(len(k)), rng.standard_normal(k.shape[1])),
    "clipped": lambda k, _: np.clip(k, -np.std(k), np.std(k)),
    "few levels": lambda k, _: np.round(3 * k / np.abs(k).max()) / 3 * np.abs(k).max(),
    "noise in half the columns": lambda k, rng: (
        k * (1 + 0.2 * rng.standard_normal(k.shape) * (np.arange(k.shape[1]) % 2))
    ),
    "a block doubled": lambda k, _: np.where(np.add.outer(np.arange(len(k)), np.arange(k.shape[1])) % 3 == 0, 2 * k, k),
    "mixed with its mean": lambda k, _: 0.7 * k + 0.3 * k.mean(),
}
"""Of a kernel, (inputs, units)."""
BIASES: dict[str, Edit] = {
    "summed up": lambda b, _: np.cumsum(b) + 0.1,
    "squared": lambda b, _: b * b + 0.05,
    "noise": lambda b, rng: b + 0.1 * rng.standard_normal(b.shape),
}


def activations() -> dict[str, Callable[[Any], Callable[[Any], Any]]]:
    """Of an activation, given as a function."""
    from keras import ops

    return {
        "twice": lambda g: lambda z: g(g(z)),
        "times its argument": lambda g: lambda z: z * g(z) * 0.5,
        "of a shifted argument": lambda g: lambda z: g(z + 0.3),
        "averaged with sine": lambda g: lambda z: 0.5 * (g(z) + ops.sin(z)),
        "left out for every third unit": lambda g: lambda z: ops.where(ops.arange(z.shape[-1]) % 3 == 0, z, g(z)),
        "squared beside": lambda g: lambda z: g(z) + 0.1 * ops.square(ops.tanh(z)),
    }


EDGES = ("the layer's input added", "outputs mixed among the units", "outputs of the first layer added")


def port(legacy: Legacy, edits: list[tuple[str, str, int]], rng: np.random.Generator) -> Any:
    """A functional port with the edits in it: (kind, name, layer counted from 0) each."""
    import keras

    functions, x = activations(), keras.Input((legacy.kernels[0].shape[1],))
    h = x if legacy.norm_in is None else keras.layers.Rescaling(*affine(legacy.norm_in, False, legacy.rule))(x)
    first, todo = None, []
    for at, (stored, bias, name) in enumerate(zip(legacy.kernels, legacy.biases, legacy.activations, strict=True)):
        kernel, own, fed = stored.T.copy(), bias.copy(), h
        function: Any = keras.activations.get(name)
        for kind, edit, where in edits:
            if where != at:
                continue
            if kind == "kernel":
                kernel = ARRAYS[edit](kernel, rng)
            elif kind == "bias":
                own = BIASES[edit](own, rng)
            elif kind == "activation":
                function = functions[edit](function)
        dense = keras.layers.Dense(kernel.shape[1], activation=function)
        h = dense(h)
        todo.append((dense, kernel, own))
        for kind, edit, where in edits:
            if kind == "edge" and where == at:
                h = _edge(edit, fed, first, h)
        first = h if first is None else first
    h = h if legacy.norm_out is None else keras.layers.Rescaling(*affine(legacy.norm_out, True, legacy.rule))(h)
    model = keras.Model(x, h)
    for dense, kernel, own in todo:
        dense.set_weights([kernel, own])
    return model


def _edge(edit: str, fed: Any, first: Any, h: Any) -> Any:
    from keras import ops

    if edit == "outputs mixed among the units":
        return h + 0.2 * ops.flip(h, axis=-1)
    source = fed if edit == "the layer's input added" or first is None else first
    width = min(source.shape[-1], h.shape[-1])
    return ops.concatenate([h[:, :width] + 0.2 * source[:, :width], h[:, width:]], axis=-1)


FALSE = (
    "kernel.transposed", "kernel.reshaped", "kernel.flipped", "kernel.augmented", "kernel.unset", "bias.missing",
    "bias.negated", "units.permuted", "inputs.permuted", "outputs.permuted", "biases.swapped", "layers.swapped",
    "layers.repeated", "scaling.range", "scaling.inverted", "scaling.swapped", "scaling.missing", "scaling.repeated",
    "mode.training", "call.overridden", "call.unsteady",
)  # fmt: skip
"""What no edit here does."""


def draw_edits(legacy: Legacy, rng: np.random.Generator) -> list[tuple[str, str, int]]:
    """One to three edits, in layers of their own."""
    kinds = {"kernel": list(ARRAYS), "bias": list(BIASES), "activation": list(activations()), "edge": list(EDGES)}
    depth = len(legacy.kernels)
    layers = rng.permutation(depth)[: min(depth, int(rng.choice([1, 2, 3], p=[0.6, 0.25, 0.15])))]
    edits = []
    for layer in layers:
        kind = str(rng.choice(list(kinds), p=[0.45, 0.15, 0.25, 0.15]))
        if kind == "edge" and layer == 0:
            kind = "kernel"
        edits.append((kind, str(rng.choice(kinds[kind])), int(layer)))
    return edits


def changes(legacy: Legacy, edits: list[tuple[str, str, int]], seed: list[int]) -> bool:
    """Whether each edit by itself changes the port's outputs visibly."""
    rows = np.random.default_rng(0).standard_normal((64, legacy.kernels[0].shape[1])).astype("float32")
    if legacy.norm_in is not None:
        low, high = legacy.norm_in.T
        rows = (low + (high - low) * np.random.default_rng(0).random(rows.shape)).astype("float32")
    right = np.asarray(port(legacy, [], np.random.default_rng(seed))(rows))
    for one in edits:
        found = np.asarray(port(legacy, [one], np.random.default_rng(seed))(rows))
        if np.max(np.abs(found - right)) < 1e-3 * max(np.ptp(right), 1e-6):
            return False
    return True


def judge(number: int, seed: int) -> dict[str, Any] | None:
    """One network with its edits; None where an edit changes next to nothing."""
    import keras

    import porter

    rng = np.random.default_rng([seed, 7, number])
    hidden = str(rng.choice(["tanh", "relu", "sigmoid", "softsign", "elu"]))
    legacy = draw_legacy(rng, activation=hidden, depth=int(rng.integers(2, 6)), width=int(rng.choice([8, 16, 32])),
                         last="linear", kind=None, magnitude=1.0, rule="[-1,1]")  # fmt: skip
    edits = draw_edits(legacy, rng)
    if not changes(legacy, edits, [seed, 8, number]):
        return None
    with tempfile.TemporaryDirectory() as folder:
        network = porter.read(legacy.write(Path(folder) / "legacy.h5"), **legacy.options)
    wanted = {f"Layer{layer + 1}" for _, _, layer in edits}
    try:
        report = porter.verify(network, port(legacy, edits, np.random.default_rng([seed, 8, number])), search=False)
    except Exception as error:
        return {"edits": edits, "error": f"{type(error).__name__}: {error}"[:200], "wanted": wanted}
    keras.backend.clear_session()
    named = {finding.layer for finding in report.findings}
    false = [f.code for f in report.findings if f.certain and f.code in FALSE]
    return {
        "edits": edits, "wanted": wanted, "verdict": report.verdict, "named": named, "false": false, "error": "",
        "first": report.findings[0].layer if report.findings else "", "after": report.after_remedy,
        "codes": [f.code for f in report.findings],
    }  # fmt: skip


def main() -> None:
    """Print the table, and every mistake that was missed, misplaced or told falsely."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mistakes", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    found: list[dict[str, Any]] = []
    number = 0
    while len(found) < options.mistakes:
        one = judge(number, options.seed)
        number += 1
        if one is None:
            continue
        found.append(one)
        if one["error"] or one["verdict"] != "mismatch" or one["false"] or not one["wanted"] <= one["named"]:
            print(number - 1, {key: value for key, value in one.items() if value}, flush=True)
    counts = Counter()
    for one in found:
        size = f"{len(one['edits'])} edits" if len(one["edits"]) > 1 else "1 edit"
        counts[size, "all"] += 1
        counts[size, "detected"] += one.get("verdict") == "mismatch"
        counts[size, "first layer right"] += one.get("first") in one["wanted"]
        counts[size, "all layers named"] += one["wanted"] <= one.get("named", set())
        counts[size, "nothing false"] += not one.get("false") and not one["error"]
        counts[size, "remedies restore parity"] += one.get("after") == "parity"
    head = ("detected", "first layer right", "all layers named", "nothing false", "remedies restore parity")
    sizes = sorted({size for size, _ in counts})
    rows = [(s, str(counts[s, "all"]), *(rate(counts[s, column], counts[s, "all"]) for column in head)) for s in sizes]
    print(markdown_table(("mistakes", "number", *head), rows))


if __name__ == "__main__":
    main()
