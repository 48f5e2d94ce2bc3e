"""Code of anybody's own is called otherwise too: in batches of other sizes, again and again, and as predict does."""

from __future__ import annotations

from itertools import count, pairwise
from typing import Any

import numpy as np
import pytest

import porter
from tests.test_soundness import around, judge

pytestmark = pytest.mark.usefixtures("keras")


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    """A network without ranges, and a right port of it."""
    import h5py
    import keras

    rng, widths = np.random.default_rng(3), [5, 8, 3]
    kernels = [rng.normal(0, 0.5, pair) for pair in pairwise(widths)]
    biases = [rng.normal(0, 0.3, width) for width in widths[1:]]
    path = tmp_path_factory.mktemp("conduct") / "bare.h5"
    with h5py.File(path, "w") as file:
        for number, (kernel, bias) in enumerate(zip(kernels, biases, strict=True), start=1):
            file[f"Weights/Layer{number}"], file[f"Bias/Layer{number}"] = kernel.T, bias.reshape(-1, 1)
        file["Layers"] = np.array(widths, np.int16)
    port = keras.Sequential([keras.Input((5,)), keras.layers.Dense(8, "tanh"), keras.layers.Dense(3)])
    for layer, kernel, bias in zip(port.layers, kernels, biases, strict=True):
        layer.set_weights([kernel, bias])
    return porter.read(path, activation="tanh"), port


def scaled(where: Any) -> Any:
    """1.01 times the rows for which a function of their number and how many there are says so."""
    import keras
    import tensorflow as tf

    def call(x: Any) -> Any:
        rows = tf.shape(x)[0]
        wrong = tf.cast(where(tf.range(rows), rows), x.dtype)
        return x * (1 + 0.01 * tf.reshape(wrong, [-1] + [1] * (len(x.shape) - 1)))

    return keras.layers.Lambda(call)


def counting(limit: int) -> Any:
    """Another number once it was called so often; the count in an attribute."""
    import keras

    class Counting(keras.layers.Layer):
        seen = 0

        def call(self, x: Any) -> Any:
            self.seen += 1
            return x * 1.01 if self.seen > limit else x

    return Counting()


def closed_over(limit: int) -> Any:
    import keras

    seen = 0

    def call(x: Any) -> Any:
        nonlocal seen
        seen += 1
        return x * 1.01 if seen > limit else x

    return keras.layers.Lambda(call)


def in_a_variable(limit: int) -> Any:
    import keras

    class Moving(keras.layers.Layer):
        def build(self, shape: Any) -> None:
            self.seen = self.add_weight(shape=(), initializer="zeros", trainable=False)

        def call(self, x: Any) -> Any:
            self.seen.assign_add(1.0)
            return x * keras.ops.where(self.seen > limit, 1.01, 1.0)

    return Moving()


def in_graphs() -> Any:
    import keras
    import tensorflow as tf

    return keras.layers.Lambda(lambda x: x if tf.executing_eagerly() else x * 1.01)


def rarely() -> Any:
    import keras
    import tensorflow as tf

    return keras.layers.Lambda(lambda x: x + tf.cast(tf.random.uniform(tf.shape(x)) < 1e-3, x.dtype))


WRONG = {
    "rows behind the hundredth": lambda: scaled(lambda row, rows: row > 100),
    "rows behind the five thousandth": lambda: scaled(lambda row, rows: row > 5000),
    "batches of more than 40": lambda: scaled(lambda row, rows: (rows > 40) & (row >= 0)),
    "batches of 32": lambda: scaled(lambda row, rows: (rows == 32) & (row >= 0)),
    "batches of 7": lambda: scaled(lambda row, rows: (rows == 7) & (row >= 0)),
    "calls behind the fortieth": lambda: counting(40),
    "calls behind the ten thousandth": lambda: counting(10_000),
    "closures": lambda: closed_over(10_000),
    "variables": lambda: in_a_variable(10_000),
    "graphs": in_graphs,
    "random numbers": rarely,
}
RIGHT = {
    "a lambda": lambda: scaled(lambda row, rows: row < 0),
    "a counter that counts": lambda: counting(2**40),
}


@pytest.mark.parametrize("place", ["front", "end"])
@pytest.mark.parametrize("what", [*WRONG, *RIGHT])
def test_a_port_wrong_in_other_calls_is_no_parity(bare: tuple[Any, Any], what: str, place: str) -> None:
    network, port = bare
    report = judge(network, around(port, **{place: (WRONG | RIGHT)[what]()}))
    assert report.verdict == ("mismatch" if what in WRONG else "parity"), str(report)
    assert ("call.unsteady" in [finding.code for finding in report.findings]) <= (what in WRONG)


def test_what_keras_own_operations_do_over_all_rows_is_asked_too(bare: tuple[Any, Any]) -> None:
    import keras

    def late(x: Any) -> Any:
        place = keras.ops.cumsum(keras.ops.ones_like(x[:, :1]), axis=0)
        return keras.ops.where(place > 3000, x * 1.01, x)

    network, port = bare
    assert judge(network, around(port, end=late)).verdict == "mismatch"


def test_what_moves_on_where_nobody_can_look_leaves_the_verdict_open(bare: tuple[Any, Any]) -> None:
    import keras

    def listed(calls: Any) -> Any:
        return keras.layers.Lambda(lambda x: x if next(calls) >= 0 else x + 1)

    network, port = bare
    report = judge(network, around(port, end=listed(count())))
    assert report.verdict == "inconclusive"
    assert any("changes from call to call" in note for note in report.notes)


def test_nothing_is_left_behind(bare: tuple[Any, Any]) -> None:
    network, port = bare
    layer = in_a_variable(2**20)
    model = around(port, end=layer)
    before = layer.seen.numpy()
    judge(network, model)
    assert layer.seen.numpy() == before


@pytest.mark.parametrize("what", [SystemExit, GeneratorExit])
def test_a_port_that_ends_the_program_is_refused(bare: tuple[Any, Any], what: type[BaseException]) -> None:
    import keras

    def leave(x: Any) -> Any:
        if hasattr(x, "numpy"):
            raise what("enough")
        return x

    network, port = bare
    with pytest.raises(porter.PorterError, match=what.__name__):
        judge(network, around(port, end=keras.layers.Lambda(leave)))
    with pytest.raises(porter.PorterError, match=what.__name__):
        judge(network, lambda rows: leave(np.asarray(port(rows)) if len(rows) < 0 else _Numpy()))


class _Numpy:
    numpy = True


def test_ctrl_c_goes_through(bare: tuple[Any, Any]) -> None:
    def stopped(rows: Any) -> Any:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        judge(bare[0], stopped)


def nearly(kind: str) -> Any:
    import keras
    import tensorflow as tf

    forms = {
        "1e-7 more": lambda x: x + 1e-7,
        "1e-9 more": lambda x: x + 1e-9,
        "small ones left out": lambda x: tf.where(abs(x) < 1e-4, tf.zeros_like(x), x),
        "zeros filled": lambda x: tf.where(x == 0, 1e-3 * tf.ones_like(x), x),
        "times one": lambda x: x * 1.0,
        "a slice of all": lambda x: x[:],
    }
    return keras.layers.Lambda(forms[kind])


@pytest.mark.parametrize("place", ["front", "end"])
@pytest.mark.parametrize(
    "kind", ["1e-7 more", "1e-9 more", "small ones left out", "zeros filled", "times one", "a slice of all"]
)
def test_what_nearly_hands_on_is_held_against_nothing(bare: tuple[Any, Any], kind: str, place: str) -> None:
    network, port = bare
    report = judge(network, around(port, **{place: nearly(kind)}))
    assert report.verdict == ("parity" if kind in ("times one", "a slice of all") else "mismatch"), str(report)
