"""Masks that a port leaves out, or takes from another value: exercised by every probe, and named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import porter
from porter.examination.graphs import masked_rows
from porter.examination.graphs.feeds import draw_feeds
from porter.examination.graphs.mask_mistakes import altered_masks
from porter.examination.graphs.masked_rows import draw_counts, draw_numbers, put_value
from porter.formats.programs import build_program
from porter.ports.keras.graph import read_graph
from reference.operations.masking import Mask
from tests.keras_legacy.files import dense, layer, model, write

STEPS, FEATURES, VALUE = 9, 4, -1.5


def gru(rng: np.random.Generator, inputs: int) -> dict[str, Any]:
    shapes = {"kernel": (inputs, 15), "recurrent_kernel": (5, 15), "bias": (15,)}
    return {f"gru/{each}:0": rng.normal(0, 0.5, shape).astype(np.float32) for each, shape in shapes.items()}


def gru_config() -> Any:
    return layer("GRU", "gru", units=5, activation="tanh", recurrent_activation="sigmoid", use_bias=True)


def masking(path: Path, *, behind: bool = False, heeded: bool = True) -> Any:
    """A mask of the input, or of what a dense layer gives; heeded by a GRU, or by nothing."""
    rng, shape = np.random.default_rng(4), {"batch_input_shape": [None, STEPS, FEATURES]}
    first = [layer("Dense", "front", units=FEATURES, activation="tanh", use_bias=True, **shape)] if behind else []
    entries = [
        *first, layer("Masking", "masking", mask_value=VALUE, **({} if behind else shape)),
        *([gru_config()] if heeded else []), layer("Dense", "end", units=2, activation="linear", use_bias=True),
    ]  # fmt: skip
    weights = {"gru": gru(rng, FEATURES)} if heeded else {}
    weights |= {"end": dense(rng, "end", 5 if heeded else FEATURES, 2)}
    weights |= {"front": dense(rng, "front", FEATURES, FEATURES)} if behind else {}
    return porter.read(write(path / "m.h5", model(entries), weights))


def words(path: Path) -> Any:
    """An Embedding that masks the word 0, before a GRU."""
    rng = np.random.default_rng(4)
    entries = [
        layer("Embedding", "words", input_dim=12, output_dim=3, mask_zero=True, batch_input_shape=[None, STEPS]),
        gru_config(), layer("Dense", "end", units=2, activation="linear", use_bias=True),
    ]  # fmt: skip
    table = {"words/embeddings:0": rng.normal(size=(12, 3)).astype(np.float32)}
    weights = {"words": table, "gru": gru(rng, 3), "end": dense(rng, "end", 5, 2)}
    return porter.read(write(path / "m.h5", model(entries), weights))


def by_hand(network: Any, shape: tuple[int, ...], *made: Any) -> Any:
    """A port of these layers, with the file's arrays."""
    port = keras.Sequential([keras.Input(shape), *made])
    arrays = iter([list(each.weights.values()) for each in network.layers if each.weights])
    for each in port.layers:
        if each.weights:
            each.set_weights(next(arrays))
    return port


def behind(mask: bool = True, value: float = VALUE, front: bool = False, heeded: bool = True) -> list[Any]:
    made = [keras.layers.Dense(FEATURES, "tanh")] if front else []
    made += [keras.layers.Masking(value)] if mask else []
    return [*made, *([keras.layers.GRU(5, reset_after=False)] if heeded else []), keras.layers.Dense(2)]


def named(report: Any) -> list[tuple[str, str]]:
    return [(finding.code, finding.layer) for finding in report.findings]


@pytest.mark.parametrize("front", [False, True], ids=["of the input", "in the middle"])
def test_a_mask_left_out_or_of_another_value_is_named(tmp_path: Path, front: bool) -> None:
    network, shape = masking(tmp_path, behind=front), (STEPS, FEATURES)
    assert porter.verify(network, by_hand(network, shape, *behind(front=front))).verdict == "parity"
    missing = porter.verify(network, by_hand(network, shape, *behind(mask=False, front=front)))
    assert named(missing) == [("mask.missing", "masking")]
    other = porter.verify(network, by_hand(network, shape, *behind(value=0.5, front=front)))
    assert named(other) == [("mask.value", "masking")]
    assert "0.5" in other.findings[0].message
    assert missing.verdict == other.verdict == "mismatch"
    assert [row.verdict for row in missing.layers if row.layer == "masking"] == ["mismatch"]


def test_a_mask_that_nothing_heeds_still_sets_to_zero(tmp_path: Path) -> None:
    network, shape = masking(tmp_path, heeded=False), (STEPS, FEATURES)
    assert porter.verify(network, by_hand(network, shape, *behind(heeded=False))).verdict == "parity"
    missing = porter.verify(network, by_hand(network, shape, *behind(mask=False, heeded=False)))
    assert named(missing) == [("mask.missing", "masking")]


class Zeroed(keras.layers.Layer):
    """What masked time steps hold is set to zero, and no mask is handed on."""

    def call(self, x: Any) -> Any:
        counts = keras.ops.any(keras.ops.not_equal(x, VALUE), axis=-1, keepdims=True)
        return x * keras.ops.cast(counts, x.dtype)


def test_a_mask_that_is_not_handed_on_is_named(tmp_path: Path) -> None:
    network = masking(tmp_path)
    report = porter.verify(network, by_hand(network, (STEPS, FEATURES), Zeroed(), *behind(mask=False)))
    assert named(report) == [("mask.missing", "masking")]
    assert "only set to zero" in report.findings[0].message


def test_words_that_should_be_masked_are_named(tmp_path: Path) -> None:
    network = words(tmp_path)
    for zeros, wanted in ((True, []), (False, [("mask.missing", "words")])):
        table = keras.layers.Embedding(12, 3, mask_zero=zeros)
        report = porter.verify(network, by_hand(network, (STEPS,), table, *behind(mask=False)))
        assert named(report) == wanted
        assert report.verdict == ("mismatch" if wanted else "parity")


def test_a_mask_and_another_mistake_are_both_named(tmp_path: Path) -> None:
    network = masking(tmp_path)
    port = by_hand(network, (STEPS, FEATURES), *behind(mask=False))
    kernel, bias = port.layers[-1].get_weights()
    port.layers[-1].set_weights([kernel, -bias])
    assert set(named(porter.verify(network, port))) == {("mask.missing", "masking"), ("bias.negated", "end")}


def test_a_mask_that_never_masked_was_not_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control: without masked rows the wrong port would agree, and the right one is not called right."""
    network, shape = masking(tmp_path), (STEPS, FEATURES)
    monkeypatch.setattr(masked_rows, "put_value", lambda values, value, counts, kept=0: values)
    report = porter.verify(network, by_hand(network, shape, *behind()))
    assert report.verdict == "inconclusive"
    assert any("no probe holds what is masked" in row.where for row in report.layers)
    assert porter.verify(network, by_hand(network, shape, *behind(mask=False))).verdict == "inconclusive"


def test_every_pattern_of_masks_is_drawn() -> None:
    counts = draw_counts(5, 9)
    assert counts[0].all()
    assert not counts[4].any()
    assert [list(np.flatnonzero(~row)) for row in counts[1:4]] == [[6, 7, 8], [0, 1, 2], [3, 4, 5]]
    assert not draw_counts(1, 1).all()
    rows = draw_numbers(Mask("m", ("x",), "any", 0.25), (5, 9, 2), "float32", np.random.default_rng(0))
    assert np.array_equal((rows != 0.25).any(-1), counts)
    assert put_value(np.ones((1, 2, 3)), 7, np.array([[True, False]])).tolist() == [[[1] * 3, [7] * 3]]


def test_recorded_rows_stay_and_masked_copies_follow(tmp_path: Path) -> None:
    network = masking(tmp_path)
    graph = read_graph(by_hand(network, (STEPS, FEATURES), *behind()))
    given = np.random.default_rng(1).normal(size=(7, STEPS, FEATURES)).astype(np.float32)
    drawn = draw_feeds(network, graph, [given], np.random.default_rng(0))["masking_input"]
    assert np.array_equal(drawn[:7], given)
    assert (drawn[7:] == VALUE).any()


def test_every_altered_program_can_be_run(tmp_path: Path) -> None:
    network = masking(tmp_path, behind=True)
    program = build_program(network)
    graph = read_graph(by_hand(network, (STEPS, FEATURES), *behind(front=True, value=0.5)))
    found = list(altered_masks(program, graph))
    assert [one.causes[0].code for one in found] == ["mask.value", "mask.missing", "mask.missing"]
    x = np.random.default_rng(0).normal(size=(3, STEPS, FEATURES))
    assert all(one.program(x)[0].shape == (3, 2) for one in found)


@pytest.mark.parametrize("more", [None, 7])
def test_a_table_of_somebodys_own_masks_as_the_files_does(tmp_path: Path, more: int | None) -> None:
    """Called in batches of many sizes, where what a masked step repeats was computed in a call of another size."""
    network = words(tmp_path)

    class Own(keras.layers.Embedding):  # type: ignore[misc]
        def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
            del mask
            counts = keras.ops.not_equal(inputs, 0)
            return counts if more is None else keras.ops.logical_and(counts, keras.ops.not_equal(inputs, more))

    port = by_hand(network, (STEPS,), Own(12, 3, mask_zero=True), *behind(mask=False))
    assert (porter.verify(network, port).verdict == "parity") == (more is None)
