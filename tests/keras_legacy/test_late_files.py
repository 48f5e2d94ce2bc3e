"""What Keras 2.12 to 2.15 wrote: ``.keras`` archives, ``.weights.h5``, SavedModel folders; and weights of ports."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

import porter
from porter import errors
from porter.formats.keras_legacy.errors import ArchitectureMissingError, WeightsError
from porter.jobs.graphs.inspection import KerasContents
from porter.jobs.provenance import is_saved_model, read_provenance

tf_keras = pytest.importorskip("tf_keras", reason="the Keras 2 implementation (pip install tf-keras) is not installed")
tf = pytest.importorskip("tensorflow")
L = tf_keras.layers

pytestmark = pytest.mark.filterwarnings("ignore")


def twins() -> Any:
    """Two layers of one class and shape, the later one named before the first."""
    x = L.Input((8, 8, 3))
    y = L.Conv2D(3, 3, name="conv2d")(L.Conv2D(3, 3, name="conv2d_1")(x))
    return tf_keras.Model(x, L.Dense(2)(L.GlobalAveragePooling2D()(y)))


def everything() -> Any:
    """Wrappers, cells, nested models called twice, arithmetic, statistics."""
    x = L.Input((5, 6))
    y = L.Bidirectional(L.LSTM(3, return_sequences=True))(x)
    y = L.TimeDistributed(L.Dense(6))(y)
    y = L.MultiHeadAttention(2, 3)(y, y)
    block = tf_keras.Sequential([L.Input((5, 6)), L.Dense(6), L.BatchNormalization(), L.Dense(6, trainable=False)])
    y = block(block(y))
    inside = L.Input((5, 6))
    y = tf_keras.Model(inside, L.Conv1D(6, 1)(L.GroupNormalization(2)(inside)), name="inner")(y)
    y = L.RNN(L.GRUCell(4), return_sequences=True)(y)
    y = L.SpectralNormalization(L.Dense(4))(y)
    y = L.EinsumDense("abc,cd->abd", (None, 4), bias_axes="d")(L.Normalization()(y))
    y = L.PReLU()(L.SeparableConv1D(3, 2)(y)) * 2.0
    y = L.Dense(3, activation=L.LeakyReLU(0.1))(y)
    return tf_keras.Model(x, L.Flatten()(L.ConvLSTM1D(2, 2)(L.Reshape((2, 2, 3))(y))))


def chain() -> Any:
    return tf_keras.Sequential([L.Input((4,)), L.Dense(3, "tanh"), L.Dense(3), L.Dropout(0.5), L.Dense(2)])


MODELS = {"twins": twins, "everything": everything, "chain": chain}


@pytest.fixture(params=MODELS)
def original(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(tf.keras.layers, "InputSpec", L.InputSpec)
    tf_keras.backend.clear_session()
    model, rng = MODELS[request.param](), np.random.default_rng(1)
    drawn = [np.abs(rng.normal(0, 0.5, weight.shape)) + 0.1 for weight in model.weights]
    model.set_weights([w.numpy() if "count" in w.name else d for w, d in zip(model.weights, drawn, strict=True)])
    return model


def as_2_15(model: Any, path: Path, version: str = "2.15.0") -> Path:
    """The archive as Keras 2.15 wrote it: with its version, and the class under its own name there."""
    model.save(path.with_name("new.keras"))
    with zipfile.ZipFile(path.with_name("new.keras")) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name == "metadata.json":
                data = json.dumps({"keras_version": version, "date_saved": "2024-01-24@10:00:00"}).encode()
            if name == "config.json":
                data = data.replace(b'"module": "keras", ', b'"module": "keras.src.engine.functional", ', 1)
            new.writestr(name, data)
    return path


def same(one: Any, other: Any) -> bool:
    """Whether two networks have the same layers with the same arrays."""
    alike = [(each.name, each.kind) for each in one.layers] == [(each.name, each.kind) for each in other.layers]
    return alike and all(
        mine.weights.keys() == theirs.weights.keys()
        and all(np.array_equal(mine.weights[key], theirs.weights[key]) for key in mine.weights)
        and all(map(same_layer, mine.inner, theirs.inner))
        for mine, theirs in zip(one.layers, other.layers, strict=True)
    )


def same_layer(one: Any, other: Any) -> bool:
    return all(np.array_equal(one.weights[key], other.weights[key]) for key in one.weights)


def test_an_archive_holds_what_the_h5_file_holds(tmp_path: Path, original: Any) -> None:
    original.save(tmp_path / "m.h5")
    archive = as_2_15(original, tmp_path / "m.keras")
    assert same(porter.read(archive), porter.read(tmp_path / "m.h5"))
    x = np.random.default_rng(0).normal(size=(3, *original.input_shape[1:])).astype("f4")
    report = porter.port(archive, tmp_path / "p.keras", samples=(x, original(x, training=False).numpy()))
    assert (report.verdict, report.links["reading"], report.links["save"]) == ("parity", "proven", "parity"), report


def test_weights_beside_an_architecture(tmp_path: Path, original: Any) -> None:
    original.save(tmp_path / "m.h5")
    (tmp_path / "m.json").write_text(original.to_json())
    original.save_weights(tmp_path / "m.weights.h5")
    assert same(porter.read(tmp_path / "m.json", weights=tmp_path / "m.weights.h5"), porter.read(tmp_path / "m.h5"))


def test_layers_of_one_class_are_told_apart_by_their_order(tmp_path: Path) -> None:
    """By their names they would be exchanged, and every shape would fit."""
    tf_keras.backend.clear_session()
    model = twins()
    network = porter.read(as_2_15(model, tmp_path / "m.keras"))
    for name in ("conv2d", "conv2d_1"):
        assert np.array_equal(network.layer(name).weights["kernel"], model.get_layer(name).kernel.numpy())


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    tf_keras.backend.clear_session()
    twins().save_weights(tmp_path / "m.weights.h5")
    (tmp_path / "m.json").write_text(chain().to_json())
    with pytest.raises(WeightsError):
        porter.read(tmp_path / "m.json", weights=tmp_path / "m.weights.h5")


def test_weights_alone_want_an_architecture(tmp_path: Path) -> None:
    chain().save_weights(tmp_path / "m.weights.h5")
    with pytest.raises(ArchitectureMissingError, match="--weights"):
        porter.read(tmp_path / "m.weights.h5")


@pytest.mark.parametrize("version", ["3.3.3", "", "three"])
def test_an_archive_of_keras_3_is_a_port_and_no_legacy_file(tmp_path: Path, version: str) -> None:
    path = as_2_15(chain(), tmp_path / "m.keras", version)
    assert is_saved_model(path)
    with pytest.raises(errors.KerasFileError):
        porter.read(path)


def test_an_archive_of_keras_2_is_no_port(tmp_path: Path) -> None:
    path = as_2_15(chain(), tmp_path / "m.keras")
    assert not is_saved_model(path)
    from porter.cli.contents import read_contents

    contents = read_contents(path)
    assert isinstance(contents, KerasContents) and contents.refusal is None
    assert sum(one.parameters for one in contents.layers) == 3 * 5 + 3 * 4 + 2 * 4


def test_inspect_says_of_weights_alone_what_port_says(tmp_path: Path) -> None:
    from porter.cli.contents import read_contents

    tf_keras.backend.clear_session()
    model = chain()
    model.save_weights(tmp_path / "m.weights.h5")
    model.save_weights(tmp_path / "old.h5")
    for name in ("m.weights.h5", "old.h5"):
        contents = read_contents(tmp_path / name)
        assert isinstance(contents, KerasContents)
        assert sum(one.parameters for one in contents.layers) == model.count_params()
        with pytest.raises(ArchitectureMissingError) as caught:
            porter.read(tmp_path / name)
        assert contents.refusal == str(caught.value)


def test_inspect_takes_and_refuses_the_options_that_port_does(tmp_path: Path) -> None:
    from porter.cli.contents import Legacy, read_contents

    tf_keras.backend.clear_session()
    chain().save(tmp_path / "m.h5")
    for read in (read_contents, porter.read):
        with pytest.raises(errors.UsageError, match="activation="):
            read(tmp_path / "m.h5", activation="relu")
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file.attrs["layer_names"] = [b"d"]
        file.create_group("d").attrs["weight_names"] = [b"d/kernel"]
        file["d/d/kernel"] = np.ones((3, 2))
    (tmp_path / "net.toml").write_text('version = 1\n[[layers]]\nkernel = "d/d/kernel"\nactivation = "relu"\n')
    found = read_contents(tmp_path / "w.h5", recipe=tmp_path / "net.toml")
    assert isinstance(found, Legacy)
    assert found.network.widths == porter.read(tmp_path / "w.h5", recipe=tmp_path / "net.toml").widths


def test_inspect_lists_all_layers_that_are_refused(tmp_path: Path) -> None:
    from porter.cli.contents import read_contents

    tf_keras.backend.clear_session()
    x = L.Input((4,))
    tf_keras.Model(x, tf.math.sin(tf.math.log(x)) + tf.math.cos(x)).save(tmp_path / "m.h5")
    contents = read_contents(tmp_path / "m.h5")
    assert isinstance(contents, KerasContents) and contents.refusal is not None
    assert all(name in contents.refusal for name in ("math.sin", "math.log", "math.cos"))


def test_a_member_that_is_missing_or_damaged(tmp_path: Path) -> None:
    path = as_2_15(chain(), tmp_path / "m.keras")
    data = bytearray(path.read_bytes())
    at = data.find(b"\x89HDF")
    data[at + 600 : at + 700] = bytes(100)
    (tmp_path / "spoilt.keras").write_bytes(data)
    with pytest.raises(errors.UnreadableError):
        porter.read(tmp_path / "spoilt.keras")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(tmp_path / "less.keras", "w") as new:
        for name in ("metadata.json", "config.json"):
            new.writestr(name, old.read(name))
    with pytest.raises(errors.UnreadableError, match=r"model\.weights\.h5"):
        porter.read(tmp_path / "less.keras")


def test_a_member_that_declares_too_much_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "bomb.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("metadata.json", '{"keras_version": "2.15.0"}')
        archive.writestr("config.json", "{}")
        archive.writestr("model.weights.h5", bytes(100 << 20))
    with pytest.raises(errors.UnreadableError):
        porter.read(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("metadata.json", bytes(100 << 20))
        archive.writestr("config.json", "{}")
    with pytest.raises(errors.UnreadableError):
        porter.read(path)


@pytest.mark.parametrize("spoil", ["flip", "cut"])
def test_damaged_ports_end_in_one_error_of_porters_own(tmp_path: Path, spoil: str) -> None:
    network = porter.read(as_2_15(chain(), tmp_path / "m.keras"))
    porter.port(network, tmp_path / "p.keras")
    sound, rng = (tmp_path / "p.keras").read_bytes(), np.random.default_rng(0)
    assert read_provenance(tmp_path / "p.keras") is not None
    for _ in range(150):
        data = bytearray(sound)
        if spoil == "cut":
            data = data[: rng.integers(4, len(data))]
        else:
            for at in rng.integers(0, len(data), 12):
                data[at] = rng.integers(0, 256)
        (tmp_path / "q.keras").write_bytes(data)
        for read in (read_provenance, porter.read):
            try:
                read(tmp_path / "q.keras")
            except errors.PorterError:
                continue
        is_saved_model(tmp_path / "q.keras")


def test_a_saved_model_folder_is_said_to_be_one(tmp_path: Path) -> None:
    folder = tmp_path / "saved"
    folder.mkdir()
    (folder / "saved_model.pb").write_bytes(b"\x08\x01")
    (folder / "keras_metadata.pb").write_bytes(b"\n")
    with pytest.raises(errors.NotAFileError, match=r"SavedModel") as caught:
        porter.read(folder)
    assert "load_model('saved', compile=False).save('saved.h5')" in str(caught.value)


def keras_3_twins() -> Any:
    x = keras.Input((8, 8, 3))
    y = keras.layers.Conv2D(3, 3, name="conv2d")(keras.layers.Conv2D(3, 3, name="conv2d_1")(x))
    return keras.Model(x, keras.layers.Dense(2, name="dense")(keras.layers.GlobalAveragePooling2D()(y)))


@pytest.mark.parametrize("suffix", [".weights.h5", ".keras", ".h5"])
def test_load_weights_takes_them(tmp_path: Path, suffix: str) -> None:
    tf_keras.backend.clear_session()
    model = twins()
    path = tmp_path / f"m{suffix}"
    if suffix == ".keras":
        as_2_15(model, path)
    else:
        (model.save_weights if suffix == ".weights.h5" else model.save)(path)
    mine = keras_3_twins()
    porter.load_weights(mine, path)
    x = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype("f4")
    np.testing.assert_allclose(mine(x), model(x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_load_weights_takes_porters_own_ports(tmp_path: Path, suffix: str) -> None:
    tf_keras.backend.clear_session()
    model = twins()
    model.save(tmp_path / "m.h5")
    porter.port(tmp_path / "m.h5", tmp_path / f"p{suffix}")
    mine = keras_3_twins()
    claims = porter.load_weights(mine, tmp_path / f"p{suffix}")
    assert {claim.layer for claim in claims} == {"conv2d", "conv2d_1", "dense"}
    x = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype("f4")
    np.testing.assert_allclose(mine(x), model(x), rtol=1e-5, atol=1e-6)
    before = mine.get_weights()
    other = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="dense")])
    with pytest.raises(WeightsError):
        porter.load_weights(other, tmp_path / f"p{suffix}")
    assert all(np.array_equal(a, b) for a, b in zip(before, mine.get_weights(), strict=True))


def test_groups_are_matched_where_an_older_keras_put_them(tmp_path: Path) -> None:
    tf_keras.backend.clear_session()
    model = chain()
    model.save(tmp_path / "m.h5")
    (tmp_path / "m.json").write_text(model.to_json())
    model.save_weights(tmp_path / "m.weights.h5")
    with h5py.File(tmp_path / "m.weights.h5", "r+") as file:
        file.move("layers", "_layer_checkpoint_dependencies")
    network = porter.read(tmp_path / "m.json", weights=tmp_path / "m.weights.h5")
    assert same(network, porter.read(tmp_path / "m.h5"))
