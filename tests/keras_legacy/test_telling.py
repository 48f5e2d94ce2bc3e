"""Which mistakes would have shown: all of them in an ordinary layer, none in a dead one, which is not called right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import porter
from porter.diagnosis.graphs import telling
from porter.jobs.graphs import verify
from tests.keras_legacy.files import dense, layer, model, write


def network(path: Path, bias: float) -> Any:
    """Two dense layers, the first with relu and square; far below zero it gives nothing but zeros."""
    rng = np.random.default_rng(2)
    config = model([
        layer("Dense", "front", units=4, activation="relu", use_bias=True, batch_input_shape=[None, 4]),
        layer("Dense", "end", units=2, activation="linear", use_bias=True),
    ])  # fmt: skip
    front = dense(rng, "front", 4, 4)
    front["front/bias:0"] = front["front/bias:0"] + np.float32(bias)
    return porter.read(write(path / "m.h5", config, {"front": front, "end": dense(rng, "end", 4, 2)}))


def test_every_usual_mistake_shows_in_an_ordinary_layer(tmp_path: Path) -> None:
    legacy = network(tmp_path, 0.0)
    report = porter.verify(legacy, porter.build(legacy))
    assert report.verdict == "parity"
    front, end = report.layers
    assert set(front.would_show) == {"kernel.transposed", "bias.missing", "activation.missing"}
    assert set(end.would_show) == {"units.permuted", "bias.missing", "activation.added"}
    assert front.power is not None and front.power < 1e-5


def test_a_dead_layer_hides_its_kernel(tmp_path: Path) -> None:
    """The bias that kills it would show if it were left out; the kernel, by itself, would not."""
    legacy = network(tmp_path, -1e4)
    report = porter.verify(legacy, porter.build(legacy))
    assert set(report.layers[0].would_show) == {"bias.missing", "activation.missing"}


def test_a_layer_in_which_nothing_would_show_is_uncompared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    legacy = network(tmp_path, 0.0)
    monkeypatch.setattr(verify, "telling_mistakes", lambda suspect: (("kernel.transposed",), ()))
    report = porter.verify(legacy, porter.build(legacy))
    assert report.verdict == "inconclusive"
    assert "kernel.transposed would not show" in report.layers[0].where


def test_arrays_that_stay_the_same_are_changed_in_another_way() -> None:
    """Of one entry, or symmetric: there is no order to get wrong."""
    assert telling._changed(np.ones(1), False)[0] == "kernel.values"
    assert telling._changed(np.eye(3), False)[0] == "kernel.values"
    assert telling._changed(np.arange(6.0).reshape(2, 3), False)[0] == "units.permuted"
    assert telling._changed(np.arange(4.0).reshape(2, 2), False)[0] == "kernel.transposed"
    assert telling._changed(np.zeros(3), True) is None
