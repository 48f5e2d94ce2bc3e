"""Open axes are as long as the graph wants them, and what is held at a time is bounded."""

import os
import tracemalloc

import keras
import numpy as np
import pytest

import porter
from porter import errors
from porter.examination.graphs.feeds import HELD, count_rows, draw_feeds
from porter.examination.graphs.lengths import LENGTH, fill_shapes
from porter.examination.judging import LARGEST_PIECE, compare_step
from porter.ports.keras.graph import read_graph
from reference.activations import Activation
from reference.operations.elementwise import Elementwise
from reference.precision import Precision

os.environ.setdefault("TF_USE_LEGACY_KERAS", "0")
tf_keras = pytest.importorskip("tf_keras")
OLD = tf_keras.layers


def cropped():
    x = OLD.Input((None, 4))
    return tf_keras.Model(x, OLD.Cropping1D(6)(OLD.Conv1D(3, 3, padding="same")(x)))


def wide_kernel():
    x = OLD.Input((None, 4))
    return tf_keras.Model(x, OLD.Conv1D(3, 15)(x))


def far_context():
    """As SpliceAI: what is cropped away is longer than any length that is tried one by one."""
    x = OLD.Input((None, 4))
    y = OLD.Conv1D(2, 11, dilation_rate=25, padding="same")(x)
    return tf_keras.Model(x, OLD.Cropping1D(5000)(y))


def poolings():
    x = y = OLD.Input((None, None, 1))
    for _ in range(4):
        y = OLD.MaxPooling2D(2)(OLD.Conv2D(2, 3, padding="same")(y))
    return tf_keras.Model(x, OLD.GlobalAveragePooling2D()(y))


def unet(join):
    x = y = OLD.Input((None, None, 1))
    skips = []
    for _ in range(3):
        y = OLD.Conv2D(2, 3, padding="same")(y)
        skips.append(y)
        y = OLD.MaxPooling2D(2)(y)
    for skip in skips[::-1]:
        y = join()([OLD.UpSampling2D(2)(y), skip])
    return tf_keras.Model(x, OLD.Conv2D(1, 1)(y))


def shifted():
    """Two inputs whose open axes must differ by four."""
    a, b = OLD.Input((None, 2)), OLD.Input((None, 2))
    return tf_keras.Model([a, b], OLD.Add()([OLD.Conv1D(2, 5)(a), b]))


def set_length():
    """Exactly eight steps come out right."""
    x = OLD.Input((None, 3))
    return tf_keras.Model(x, OLD.Dense(2)(OLD.Reshape((24,))(x)))


MODELS = {
    "a crop": (cropped, [13]),
    "a wide kernel": (wide_kernel, [15]),
    "a far context": (far_context, [10001]),
    "poolings": (poolings, [16, 16]),
    "a U-Net that concatenates": (lambda: unet(OLD.Concatenate), [16, 16]),
    "a U-Net that adds": (lambda: unet(OLD.Add), [16, 16]),
    "two inputs of unlike lengths": (shifted, [5, 1]),
    "one length alone": (set_length, [8]),
}


def saved(model, path):
    model.save(path)
    return path


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", MODELS)
def test_open_axes_are_as_short_as_the_graph_takes(tmp_path, name):
    make, lengths = MODELS[name]
    network = porter.read(saved(make(), tmp_path / "m.h5"))
    report = porter.port(network, tmp_path / "m.keras")
    assert report.verdict == "parity", report
    feeds = draw_feeds(network, read_graph(porter.build(network)), None, np.random.default_rng(0))
    assert [n for values in feeds.values() for n in values.shape[1:-1]] == lengths


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_recorded_lengths_are_kept_in_the_saved_file_too(tmp_path, monkeypatch):
    model = cropped()
    saved(model, tmp_path / "m.h5")
    rows = np.random.default_rng(0).normal(size=(4, 30, 4)).astype("f4")
    lengths = []
    monkeypatch.setattr("porter.jobs.job.call_whole", _noting(lengths))
    report = porter.port(tmp_path / "m.h5", tmp_path / "m.keras", samples=(rows, model(rows).numpy()))
    assert report.verdict == "parity" and report.links["save"] == "parity", report
    assert lengths == [30, 30]


def _noting(lengths):
    from porter.examination.graphs.whole import call_whole

    def call(model, feeds):
        lengths.append(feeds[0].shape[1])
        return call_whole(model, feeds)

    return call


def test_the_file_decides_where_a_port_leaves_an_axis_open(tmp_path):
    from tests.keras_legacy import files

    rng = np.random.default_rng(0)
    config = files.model([
        files.layer("Flatten", "flat", batch_input_shape=[None, 5, 2]),
        files.layer("Dense", "d", units=3, activation="linear"),
    ])  # fmt: skip
    network = porter.read(files.write(tmp_path / "m.h5", config, {"d": files.dense(rng, "d", 10, 3)}))
    x = keras.Input((None, 2))
    port = keras.Model(x, keras.layers.Dense(3, name="d")(keras.layers.Reshape((10,), name="flat")(x)))
    port.get_layer("d").set_weights(list(files.dense(np.random.default_rng(0), "d", 10, 3).values()))
    assert porter.verify(network, port).verdict == "parity"


def test_where_no_length_fits_it_says_so_and_not_that_the_file_is_damaged():
    x = keras.Input((None, 3))
    y = keras.layers.Cropping1D(4)(x)
    both = keras.layers.Concatenate(axis=-1)([y, keras.layers.ZeroPadding1D(1)(x)])
    graph = read_graph(keras.Model(x, both))
    with pytest.raises(errors.UsageError) as caught:
        fill_shapes(graph, [None])
    assert "--samples" in str(caught.value) and "damaged" not in str(caught.value)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_samples_that_are_too_short_are_no_damage_of_the_file(tmp_path):
    saved(cropped(), tmp_path / "m.h5")
    with pytest.raises(errors.PorterError) as caught:
        porter.port(tmp_path / "m.h5", tmp_path / "m.keras", samples=(np.zeros((2, 5, 4)), np.zeros((2, 1, 3))))
    assert "(5, 4)" in str(caught.value) and "damaged" not in str(caught.value)


def test_a_join_that_agrees_takes_the_usual_length():
    x = keras.Input((None, 3))
    both = keras.layers.Concatenate(axis=-1)([x, keras.layers.Conv1D(2, 3, padding="same")(x)])
    assert fill_shapes(read_graph(keras.Model(x, both)), [None]) == [(LENGTH, 3)]


def wide_model(pixels):
    return keras.Sequential([
        keras.Input((pixels, pixels, 1)), keras.layers.Conv2D(64, 3), keras.layers.ReLU(),
        keras.layers.GlobalMaxPooling2D(),
    ])  # fmt: skip


@pytest.mark.parametrize(("pixels", "rows"), [(8, 16), (120, 2), (600, 1)])
def test_the_rows_are_as_many_as_fit(pixels, rows):
    assert count_rows(read_graph(wide_model(pixels)), [(pixels, pixels, 1)]) == rows


def test_many_narrow_layers_count_together():
    x = y = keras.Input((200, 200, 3))
    for _ in range(80):
        y = keras.layers.ReLU()(y)
    assert count_rows(read_graph(keras.Model(x, y)), [(200, 200, 3)]) == HELD // (81 * 120000)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_memory_is_a_few_times_the_widest_layer(tmp_path):
    pixels, filters = 200, 64
    model = tf_keras.Sequential([
        OLD.Input((pixels, pixels, 1)), OLD.Conv2D(filters, 3), OLD.Activation("relu"), OLD.GlobalMaxPooling2D(),
    ])  # fmt: skip
    network = porter.read(saved(model, tmp_path / "m.h5"))
    port = porter.build(network)
    tracemalloc.start()
    report = porter.verify(network, port)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert report.verdict == "parity"
    widest = 8 * (pixels - 2) ** 2 * filters
    assert peak < 12 * widest, f"{peak / widest:.1f} times the widest layer"
    assert any(note.startswith("1 row at a time") for note in report.notes)


def test_pieces_are_judged_as_the_whole_is():
    rng = np.random.default_rng(0)
    shape = (1, 300, LARGEST_PIECE // 100)
    x = rng.normal(size=shape).astype(np.float32).astype(np.float64)
    step, precision = Elementwise("r", ("x",), Activation("relu")), Precision("float32", "float32")
    actual = np.maximum(x, 0)
    assert compare_step(step, (x,), actual, precision, "rows").is_parity
    actual[0, 250, 7] += 1
    found = compare_step(step, (x,), actual, precision, "rows")
    assert (found.exceeding, found.index, found.elements) == (1, (0, 250, 7), x.size)
    assert found.where == "rows, row 0, unit 250, 7"
