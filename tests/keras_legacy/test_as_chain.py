"""A port that computes a chain of dense layers by another program, where the chain lies in a Keras file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import porter
from benchmarks.networks import draw_legacy
from benchmarks.rewritings import FORMS, plain, rewritten, spoilt
from benchmarks.rewritings import write as write_port
from tests.keras_legacy.files import layer, model, write

pytestmark = pytest.mark.usefixtures("keras")

OWN = tuple(form for form in FORMS if form not in ("folded in", "folded out", "several inputs", "extra outputs"))
"""Forms of a network without scaling, with the inputs and outputs of the file."""
HIDDEN = {"balanced": "relu", "merged": "linear"}


def network(hidden: str, seed: int = 0) -> Any:
    """Layers of at least four units, without scaling."""
    rng = np.random.default_rng(seed)
    while True:
        legacy = draw_legacy(
            rng, activation=hidden, depth=4, width=12, last="linear", kind=None, magnitude=1.0, scaling=False,
            rule="[-1,1]",
        )  # fmt: skip
        if min(legacy.widths) >= 4:
            return legacy


def as_keras(legacy: Any, path: Path, *, apart: bool = False) -> Path:
    """The network as Keras 2 wrote it; its activations as layers of their own where they stand ``apart``."""
    entries, weights = [], {}
    for number, (one, units) in enumerate(zip(plain(legacy).spec.layers, legacy.widths[1:], strict=True), 1):
        name = f"dense_{number}"
        first = {"batch_input_shape": [None, legacy.widths[0]]} if number == 1 else {}
        own = "linear" if apart else one.activation
        entries.append(layer("Dense", name, units=int(units), activation=own, **first))
        if apart:
            entries.append(layer("Activation", f"activation_{number}", activation=one.activation))
        weights[name] = {f"{name}/kernel:0": one.kernel.astype(np.float32), f"{name}/bias:0": one.bias.astype("f4")}
    return write(path, model(entries), weights)


def as_float32(legacy: Any) -> Any:
    """The same network, of the numbers that the Keras file holds."""
    return replace(
        legacy,
        kernels=tuple(np.asarray(each, np.float32).astype(np.float64) for each in legacy.kernels),
        biases=tuple(np.asarray(each, np.float32).astype(np.float64) for each in legacy.biases),
    )


@pytest.mark.parametrize("form", OWN)
def test_each_form_passes_and_with_a_weight_off_it_does_not(tmp_path, form):
    legacy = as_float32(network(HIDDEN.get(form, "tanh")))
    file = as_keras(legacy, tmp_path / "legacy.h5")
    port = rewritten(plain(legacy), (form,), np.random.default_rng(1))
    assert port.names == (form,)
    report = porter.verify(file, write_port(port))
    assert report.verdict == "parity", str(report)
    wrong = porter.verify(file, write_port(spoilt(port, np.random.default_rng(2))))
    assert wrong.verdict == "mismatch", str(wrong)


@pytest.mark.parametrize("seed", range(4))
def test_forms_at_once(tmp_path, seed):
    rng = np.random.default_rng(seed)
    legacy = as_float32(network(str(rng.choice(["tanh", "relu", "sigmoid"])), seed))
    file = as_keras(legacy, tmp_path / "legacy.h5", apart=bool(seed % 2))
    port = rewritten(plain(legacy), tuple(rng.choice(OWN, size=3, replace=False)), rng)
    report = porter.verify(file, write_port(port))
    assert report.verdict == "parity", str(report)
    assert porter.verify(file, write_port(spoilt(port, rng))).verdict == "mismatch"


def test_the_row_of_an_activation_says_where_it_is_judged(tmp_path):
    legacy = as_float32(network("relu"))
    file = as_keras(legacy, tmp_path / "legacy.h5", apart=True)
    report = porter.verify(file, write_port(rewritten(plain(legacy), ("balanced",), np.random.default_rng(1))))
    rows = {row.layer: row.verdict for row in report.layers}
    assert report.verdict == "parity", str(report)
    assert rows["activation_1"] == "folded into dense_1"
    assert any("dense_1" in note and note.endswith("equivalent") for note in report.notes)
