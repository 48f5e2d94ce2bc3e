"""What only unusual rows show: other lengths, the first and last words, time steps that are nearly masked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

import porter
from porter.errors import PortError, ShapesError
from tests.keras_legacy.files import dense, layer, model, node, write
from tests.versions import needs_keras

UNITS, FEATURES, WORDS = 4, 3, 1000


def array(rng: np.random.Generator, *shape: int) -> Any:
    return (0.5 * rng.standard_normal(shape)).astype(np.float32)


def convolved(tmp_path: Path) -> tuple[Any, Callable[..., Any]]:
    """A convolution over a sequence of any length, and ports of it."""
    rng = np.random.default_rng(2)
    kernel, bias = array(rng, 3, FEATURES, UNITS), array(rng, UNITS)
    told = {"filters": UNITS, "kernel_size": [3], "strides": [3], "padding": "valid", "activation": "tanh"}
    config = model([layer("Conv1D", "conv", batch_input_shape=[None, None, FEATURES], **told)])
    network = porter.read(write(tmp_path / "m.h5", config, {"conv": {"conv/kernel:0": kernel, "conv/bias:0": bias}}))

    def port(padding: str = "valid", before: Callable[[Any], Any] = lambda x: x) -> Any:
        x = keras.Input((None, FEATURES))
        own = layers.Conv1D(UNITS, 3, 3, padding, activation="tanh")
        made = keras.Model(x, own(before(x)))
        own.set_weights([kernel, bias])
        return made

    return network, port


def test_open_axes_are_tried_at_several_lengths(tmp_path: Path) -> None:
    network, port = convolved(tmp_path)
    assert porter.verify(network, port()).verdict == "parity"
    padded = porter.verify(network, port("same"))
    assert [(finding.code, finding.layer) for finding in padded.findings] == [("padding", "conv")]
    assert any("open axes of 13" in note for note in padded.notes)
    rows = np.random.default_rng(0).standard_normal((3, 12, FEATURES)).astype(np.float32)
    samples = ([rows], [np.asarray(port()(rows))])  # of a length at which the two agree
    assert porter.verify(network, port(), samples=samples).verdict == "parity"
    assert porter.verify(network, port("same"), samples=samples).verdict == "mismatch"
    assert porter.verify(network, port(before=lambda x: x[:, -99:])).verdict == "mismatch"


@pytest.mark.parametrize("change", ["none", "mask", "clip", "remainder", "one word"])
def test_the_first_and_the_last_words_are_tried_and_operations_on_words_asked(tmp_path: Path, change: str) -> None:
    rng, words = np.random.default_rng(4), 500
    table, last = array(rng, words, UNITS), dense(rng, "last", UNITS, 2)
    config = model([
        layer("Embedding", "table", input_dim=words, output_dim=UNITS, batch_input_shape=[None, 6]),
        layer("GlobalAveragePooling1D", "mean"),
        layer("Dense", "last", units=2, activation="linear"),
    ])  # fmt: skip
    stored = {"table": {"table/embeddings:0": table}, "mean": {}, "last": last}
    network = porter.read(write(tmp_path / "m.h5", config, stored))
    ways: dict[str, Callable[[Any], Any]] = {
        "clip": lambda x: ops.clip(x, 0, words - 2),
        "remainder": lambda x: ops.mod(x, words - 1),
        "one word": lambda x: ops.where(ops.equal(x, 7), ops.ones_like(x), x),
    }
    x = keras.Input((6,), dtype="int32")
    looked_up, end = layers.Embedding(words, UNITS, mask_zero=change == "mask"), layers.Dense(2)
    own = keras.Model(x, end(layers.GlobalAveragePooling1D()(looked_up(ways.get(change, lambda x: x)(x)))))
    looked_up.set_weights([table])
    end.set_weights(list(last.values()))
    assert porter.verify(network, own).verdict == ("parity" if change == "none" else "mismatch")


class OwnMask(layers.Layer):
    """Masks the time steps for which a rule holds, and sets them to zero."""

    def __init__(self, rule: Callable[[Any], Any]) -> None:
        super().__init__()
        self.supports_masking, self.rule = True, rule

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        del previous_mask
        return ops.logical_not(self.rule(inputs))

    def call(self, inputs: Any) -> Any:
        return ops.where(self.rule(inputs)[..., None], ops.zeros_like(inputs), inputs)


RULES: dict[str, Callable[[Any], Any]] = {
    "all are 0": lambda x: ops.all(ops.equal(x, 0), -1),
    "the first is 0": lambda x: ops.equal(x[..., 0], 0),
    "any is 0": lambda x: ops.any(ops.equal(x, 0), -1),
    "all are small": lambda x: ops.all(ops.less_equal(ops.abs(x), 0.01), -1),
}


def masked(tmp_path: Path, *, has_mask: bool) -> tuple[Any, Any]:
    rng = np.random.default_rng(6)
    shapes = {"kernel": (FEATURES, UNITS), "recurrent_kernel": (UNITS, UNITS), "bias": (UNITS,)}
    arrays = {f"rnn/{name}:0": array(rng, *shape) for name, shape in shapes.items()}
    shape = {"batch_input_shape": [None, 6, FEATURES]}
    rnn = layer("SimpleRNN", "rnn", units=UNITS, activation="tanh", **({} if has_mask else shape))
    config = model([layer("Masking", "mask", mask_value=0.0, **shape), rnn] if has_mask else [rnn])
    stored: Any = {"mask": {}, "rnn": arrays} if has_mask else {"rnn": arrays}
    network = porter.read(write(tmp_path / "m.h5", config, stored))

    def port(mask: Any) -> Any:
        x, own = keras.Input((6, FEATURES)), layers.SimpleRNN(UNITS)
        made = keras.Model(x, own(mask(x)))
        own.set_weights(list(arrays.values()))
        return made

    return network, port


@pytest.mark.parametrize("rule", RULES)
def test_a_mask_of_another_rule_is_seen(tmp_path: Path, rule: str) -> None:
    network, port = masked(tmp_path, has_mask=True)
    assert (porter.verify(network, port(OwnMask(RULES[rule]))).verdict == "mismatch") == (rule != "all are 0")


@pytest.mark.parametrize("value", [-10.0, 1.0, -99.9])
def test_a_masking_layer_of_the_ports_own_is_told(tmp_path: Path, value: float) -> None:
    network, port = masked(tmp_path, has_mask=False)
    assert porter.verify(network, port(lambda x: x)).verdict == "parity"
    report = porter.verify(network, port(layers.Masking(value)))
    assert [(finding.code, finding.layer) for finding in report.findings] == [("mask.value", "rnn")]


def plain(tmp_path: Path) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    rng = np.random.default_rng(8)
    first, second = dense(rng, "first", FEATURES, UNITS), dense(rng, "second", UNITS, 2)
    config = model([
        layer("Dense", "first", units=UNITS, activation="relu", batch_input_shape=[None, FEATURES]),
        layer("Dense", "second", units=2, activation="linear"),
    ])  # fmt: skip
    return porter.read(write(tmp_path / "m.h5", config, {"first": first, "second": second})), first, second


@pytest.mark.parametrize("dtype", ["int32", "float16", "bfloat16"])
def test_an_input_that_cuts_or_rounds_is_refused(tmp_path: Path, dtype: str) -> None:
    network, *_ = plain(tmp_path)
    inner = porter.build(network)
    x = keras.Input((FEATURES,), dtype=dtype)
    with pytest.raises(PortError, match=r"(cuts|rounds) every number"):
        porter.verify(network, keras.Model(x, inner(ops.cast(x, "float32"))))


@needs_keras("3.10", "an Embedding is handed words that were rounded to 16 bits")
def test_words_are_not_rounded_in_16_bits(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    arrays = {"table": {"table/embeddings:0": array(rng, WORDS, UNITS)}, "last": dense(rng, "last", UNITS, 2)}
    config = model([
        layer("Embedding", "table", input_dim=WORDS, output_dim=UNITS, batch_input_shape=[None, 4]),
        layer("GlobalAveragePooling1D", "mean"),
        layer("Dense", "last", units=2, activation="linear"),
    ])  # fmt: skip
    network = porter.read(write(tmp_path / "m.h5", config, arrays))
    port = porter.build(network, dtype="bfloat16")
    words = np.full((1, 4), WORDS - 1)
    assert porter.verify(network, port).verdict == "parity"
    last = arrays["table"]["table/embeddings:0"][-1] @ arrays["last"]["last/kernel:0"] + arrays["last"]["last/bias:0"]
    np.testing.assert_allclose(np.asarray(port(words)).astype(np.float64)[0], last, atol=0.05)
    x = keras.Input((4,))
    with pytest.raises(PortError, match="words to 999 through a Flatten in bfloat16"):
        porter.verify(network, keras.Model(x, port(layers.Flatten(dtype="bfloat16")(x))))
    x = keras.Input((4,), dtype="uint8")
    with pytest.raises(PortError, match="does not hold every whole number to 999"):
        porter.verify(network, keras.Model(x, port(ops.cast(x, "float32"))))
    x = keras.Input((4,), dtype="bfloat16")
    with pytest.raises(PortError, match="does not hold every whole number to 999"):
        porter.verify(network, keras.Model(x, port(ops.cast(x, "float32"))))


def _looked_up(tmp_path: Path, join: str) -> Any:
    """Two inputs of words that one table looks up together, joined, moved about and padded."""
    rng = np.random.default_rng(8)
    arrays = {"table": {"table/embeddings:0": array(rng, WORDS, 3)}, "last": dense(rng, "last", 3, 2)}
    config = model([
        *(node(layer("InputLayer", name, batch_input_shape=[None, 2])) for name in ("one", "two")),
        node(layer(join, "joined", **({"axis": -1} if join == "Concatenate" else {})), ["one", "two"]),
        node(layer("Reshape", "column", target_shape=[-1, 1]), ["joined"]),
        node(layer("ZeroPadding1D", "padded", padding=[1, 0]), ["column"]),
        node(layer("Flatten", "flat"), ["padded"]),
        node(layer("Embedding", "table", input_dim=WORDS, output_dim=3), ["flat"]),
        node(layer("GlobalMaxPooling1D", "most"), ["table"]),
        node(layer("Dense", "last", units=2, activation="linear"), ["most"]),
    ], ["one", "two"], ["last"])  # fmt: skip
    return porter.read(write(tmp_path / "m.h5", config, arrays))


@pytest.mark.parametrize("dtype", ["float32", "mixed_float16", "bfloat16"])
def test_words_that_layers_hand_on_are_fed_and_held(tmp_path: Path, dtype: str) -> None:
    network = _looked_up(tmp_path, "Concatenate")
    port = porter.build(network, dtype=dtype)
    assert porter.verify(network, port).verdict == "parity"
    table = port.get_layer("table")
    values = table.get_weights()[0]
    values[WORDS - 1] += 1
    table.set_weights([values])
    report = porter.verify(network, port)
    assert (report.verdict, report.findings[0].layer) == ("mismatch", "table")


def test_words_that_layers_compute_are_not_called_damage(tmp_path: Path) -> None:
    network = _looked_up(tmp_path, "Subtract")
    with pytest.raises(ShapesError, match="a table is asked for words that it does not have") as refused:
        porter.verify(network, porter.build(network))
    assert "damaged" not in str(refused.value) and "samples" in str(refused.value)


@pytest.mark.parametrize("factor", [1.0, 1.02])
def test_a_convolution_over_three_axes_in_float16_is_held_to_its_own_sums(tmp_path: Path, factor: float) -> None:
    rng = np.random.default_rng(9)
    own = {"own/kernel:0": array(rng, 2, 2, 2, 2, 3), "own/bias:0": array(rng, 3)}
    told = {"filters": 3, "kernel_size": [2, 2, 2], "activation": "linear"}
    config = model([layer("Conv3D", "own", batch_input_shape=[None, 4, 4, 4, 2], **told)])
    network = porter.read(write(tmp_path / "m.h5", config, {"own": own}))
    port = porter.build(network, dtype="float16")
    kernel, bias = port.get_layer("own").get_weights()
    port.get_layer("own").set_weights([kernel * np.float16(factor), bias])
    assert porter.verify(network, port).verdict == ("parity" if factor == 1 else "mismatch")


@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16"])
def test_a_mean_over_many_places_is_held_to_the_sums_that_keras_keeps(tmp_path: Path, dtype: str) -> None:
    rng = np.random.default_rng(10)
    weights = {"last": dense(rng, "last", 3, 2)}
    config = model([
        layer("GlobalAveragePooling2D", "mean", batch_input_shape=[None, 16, 16, 3]),
        layer("Dense", "last", units=2, activation="linear"),
    ])  # fmt: skip
    network = porter.read(write(tmp_path / "m.h5", config, weights))

    def by_hand(mean: Callable[[Any], Any]) -> str:
        last, x = (
            layers.Dense(2, name="last", dtype=dtype),
            keras.Input((16, 16, 3), dtype=dtype.removeprefix("mixed_")),
        )
        made = keras.Model(x, last(mean(x)))
        last.set_weights(list(weights["last"].values()))
        return str(porter.verify(network, made).verdict)

    assert porter.verify(network, porter.build(network, dtype=dtype)).verdict == "parity"
    assert by_hand(lambda x: ops.mean(x, axis=(1, 2))) == "parity"
    assert by_hand(lambda x: 1.03 * ops.mean(x, axis=(1, 2))) != "parity"
    # Added up in 16 bits, it is allowed more than such a factor: nothing is said for it.
    assert by_hand(lambda x: 1.03 * ops.sum(x, axis=(1, 2)) / 256) != "parity"


@pytest.mark.parametrize("factor", [1.0, 1.1])
def test_a_class_of_ones_own_is_judged_from_end_to_end(tmp_path: Path, factor: float) -> None:
    network, first, second = plain(tmp_path)

    class Own(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.other = layers.Dense(UNITS, activation="relu"), layers.Dense(2)

        def call(self, x: Any) -> Any:
            return factor * self.other(self.one(x))

    own = Own()
    own(np.zeros((1, FEATURES), np.float32))
    own.one.set_weights(list(first.values()))
    own.other.set_weights(list(second.values()))
    report = porter.verify(network, own)
    assert report.verdict == ("inconclusive" if factor == 1 else "mismatch")
    assert {row.verdict for row in report.layers} <= {"uncompared"}
