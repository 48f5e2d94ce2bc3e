"""Back into the legacy file: byte for byte where nothing changed, values alone where something did."""

from __future__ import annotations

from dataclasses import replace

import h5py
import numpy as np
import pytest

import porter
from porter.errors import OutputExistsError, UnbuildableError, UsageError
from porter.exports.like import aligned, changes, put
from porter.formats.programs import build_program
from reference.activations import Activation
from tests.exports.networks import ACTIVATIONS, write_hdf5


def plain_forward(path, rows):
    """The original software's own loop, on whatever the file holds now."""
    with h5py.File(path) as file:
        low, high = file["Norm_in"][()].astype(float).T
        x = (2 * (rows - low) / (high - low) - 1).T
        names = sorted(file["Weights"], key=lambda name: int(name.removeprefix("Layer")))
        for name in names:
            x = file[f"Weights/{name}"][()].astype(float) @ x + file[f"Bias/{name}"][()].astype(float).reshape(-1, 1)
            x = np.tanh(x) if name != names[-1] else x
        low, high = file["Norm_out"][()].astype(float).T
        return ((x.T + 1) / 2) * (high - low) + low


def tuned(network, factor=1.25):
    """The network after some training."""
    layers = [
        replace(layer, kernel=layer.kernel * factor) if layer.name in ("Layer2", "Layer6") else layer
        for layer in network.layers
    ]
    return replace(network, layers=tuple(layers))


def as_float32(network):
    """The network as an unchanged port in float32 holds it."""
    layers = [
        replace(layer, kernel=layer.kernel.astype(np.float32), bias=layer.bias.astype(np.float32))
        if hasattr(layer, "kernel") else layer
        for layer in network.layers
    ]  # fmt: skip
    return replace(network, layers=tuple(layers))


@pytest.fixture(params=["<f8", ">f8", "<f4", ">f4"])
def file(request, tmp_path):
    """A legacy file with attributes, chunks and compression of its own."""
    path = write_hdf5(tmp_path / "small_Lrc_aaNN.h5", dtype=request.param)
    with h5py.File(path, "r+") as opened:
        opened.attrs["author"] = "somebody"
        values = opened["Weights/Layer2"][()]
        del opened["Weights/Layer2"]
        opened.create_dataset("Weights/Layer2", data=values, chunks=(2, 3), compression="gzip", shuffle=True)
        opened["Weights/Layer2"].attrs["unit"] = "none"
    return path


def raw(path):
    """Bytes of every dataset as h5py gives them in the stored dtype, with how they are stored."""
    found = {}
    with h5py.File(path) as opened:

        def look(name, each):
            if isinstance(each, h5py.Dataset):
                told = (each.dtype.str, each.shape, each.chunks, each.compression, each.shuffle, dict(each.attrs))
                found[name] = each[()].tobytes(), told

        opened.visititems(look)
        return found, dict(opened.attrs)


def test_nothing_changed(file, tmp_path):
    network = porter.read(file)
    report = porter.export(as_float32(network), tmp_path / "back.h5", like=file)
    assert report.verdict == "parity", str(report)
    assert "0 of" in report.link_notes["export"]
    assert (tmp_path / "back.h5").read_bytes() == file.read_bytes()


def test_values_alone_change(file, tmp_path):
    network = tuned(porter.read(file))
    report = porter.export(network, tmp_path / "back.h5", like=file)
    assert report.verdict == "parity" and report.links["export"] == "parity"
    before, after = raw(file), raw(tmp_path / "back.h5")
    assert before[1] == after[1] and before[0].keys() == after[0].keys()
    changed = {name for name in before[0] if before[0][name][0] != after[0][name][0]}
    assert changed == {"Weights/Layer2", "Weights/Layer6"}
    assert all(before[0][name][1] == after[0][name][1] for name in before[0])
    rows = np.random.default_rng(0).normal(size=(64, 5))
    tolerance = 1e-12 if "f8" in str(before[0]["Weights/Layer1"][1][0]) else 1e-5
    wanted = build_program(porter.read(tmp_path / "back.h5"))(rows)[0]
    assert np.allclose(plain_forward(tmp_path / "back.h5", rows), wanted, rtol=0, atol=1e-10)
    assert not np.allclose(plain_forward(tmp_path / "back.h5", rows), plain_forward(file, rows), atol=tolerance)


def test_a_file_that_was_written_back_is_a_port(file, tmp_path):
    """Read by its own reader, and judged layer by layer and number by number."""
    legacy, back = porter.read(file), tmp_path / "back.h5"
    porter.export(legacy, back, like=file)
    report = porter.verify(file, back)
    assert report.verdict == report.links["export"] == "parity" and report.links["reading"] != "proven"
    assert any("is a legacy file itself" in note for note in report.notes)
    porter.export(tuned(legacy), back, like=file, force=True)
    report = porter.verify(file, back)
    assert report.verdict == "mismatch" and {each.layer for each in report.findings} == {"Layer2", "Layer6"}


def test_a_legacy_file_of_another_network_is_no_port(fixtures):
    with pytest.raises(porter.PortError, match="of that network"):
        porter.verify(fixtures / "square_7-7-7-7-7.h5", fixtures / "ocean_7-100-75-50-25-7.h5")


def test_a_tuned_port_of_keras_comes_back(tmp_path):
    import keras

    file = write_hdf5(tmp_path / "small_Lrc_aaNN.h5")
    for placement in ("inside", "outside"):
        path = tmp_path / f"{placement}.keras"
        porter.port(file, path, placement=placement, search=False)
        back = tmp_path / f"{placement}.h5"
        assert porter.export(path, back, like=file).verdict == "parity"
        assert back.read_bytes() == file.read_bytes()  # an unchanged port, through float32
    model = keras.models.load_model(tmp_path / "inside.keras")
    layer = model.get_layer("Layer2")
    layer.kernel.assign(layer.kernel * 1.5)
    model.save(tmp_path / "tuned.keras")
    report = porter.export(tmp_path / "tuned.keras", tmp_path / "tuned.h5", like=file)
    assert report.verdict == "parity" and "1 of" in report.link_notes["export"]
    rows = np.random.default_rng(0).normal(size=(64, 5))
    assert np.allclose(plain_forward(tmp_path / "tuned.h5", rows), model(rows.astype(np.float32)), atol=1e-4)
    assert not np.allclose(plain_forward(file, rows), model(rows.astype(np.float32)), atol=1e-2)


def test_a_scaling_that_is_folded_in_is_refused(tmp_path):
    file = write_hdf5(tmp_path / "small_Lrc_aaNN.h5")
    porter.port(file, tmp_path / "folded.keras", placement="folded", search=False)
    with pytest.raises(UsageError, match="folded"):
        porter.export(tmp_path / "folded.keras", tmp_path / "back.h5", like=file)


def test_a_model_without_scaling_needs_a_word_on_it(tmp_path):
    file = write_hdf5(tmp_path / "small_Lrc_aaNN.h5")
    network = porter.read(file)
    bare = replace(network, layers=network.dense_layers)
    with pytest.raises(UnbuildableError, match="--placement outside"):
        porter.export(bare, tmp_path / "back.h5", like=file)
    assert porter.export(bare, tmp_path / "back.h5", like=file, placement="outside").verdict == "parity"


def test_another_scaling_changes_its_ranges(tmp_path):
    file = write_hdf5(tmp_path / "small_Lrc_aaNN.h5")
    network = porter.read(file)
    first = network.layers[0]
    wider = replace(
        network, layers=(replace(first, scale=first.scale / 2, offset=first.offset / 2), *network.layers[1:])
    )
    report = porter.export(wider, tmp_path / "back.h5", like=file)
    assert report.verdict == "parity" and "1 of" in report.link_notes["export"]
    assert list(changes(aligned(wider, network), network)) == ["Norm_in"]


def structure(network, name, **change):
    return replace(network, layers=tuple(replace(x, **change) if x.name == name else x for x in network.layers))


@pytest.mark.parametrize("what", ["units", "layers", "activation", "bias"])
def test_what_does_not_fit_is_an_error_that_names_the_first_difference(tmp_path, what):
    file = write_hdf5(tmp_path / "small_Lrc_aaNN.h5")
    network = porter.read(file)
    layer = network.layer("Layer3")
    wrong, told = {
        "units": (
            structure(network, "Layer3", kernel=np.zeros((6, 5)), bias=np.zeros(5)),
            "Layer3: 6 inputs to 5 units",
        ),
        "layers": (replace(network, layers=tuple(x for x in network.layers if x.name != "Layer3")), "5 dense layers"),
        "activation": (structure(network, "Layer3", activation=Activation("relu")), "Layer3: the activation relu"),
        "bias": (structure(network, "Layer3", bias=None), "Layer3: no bias"),
    }[what]
    assert layer.bias is not None
    with pytest.raises(UnbuildableError, match=told):
        porter.export(wrong, tmp_path / "back.h5", like=file)
    assert not (tmp_path / "back.h5").exists()


def test_families_that_are_written_and_one_that_is_not(fixtures, tmp_path):
    for name in ("named_4-6-6-3.h5", "rrtmgp_5-8-8-3.nc"):
        file = fixtures / "families" / name
        network = porter.read(file)
        back = tmp_path / name
        assert porter.export(network, back, like=file).verdict == "parity"
        assert back.read_bytes() == file.read_bytes()
        first = network.dense_layers[0]
        other = structure(network, first.name, kernel=first.kernel * 2)
        assert porter.export(other, back, like=file, force=True).verdict == "parity"
        assert np.array_equal(porter.read(back).dense_layers[0].kernel, first.kernel * 2)
    file = fixtures / "families" / "fkb_4-5-5-2.txt"
    with pytest.raises(UnbuildableError, match="oc-smart"):
        porter.export(file, tmp_path / "back.txt", like=file)


def test_an_archive_of_arrays(tmp_path):
    rng = np.random.default_rng(0)
    arrays = {
        "W1": rng.normal(size=(3, 4)),
        "b1": rng.normal(size=4),
        "W2": rng.normal(size=(4, 2)),
        "b2": rng.normal(size=2),
    }
    np.savez_compressed(tmp_path / "net.npz", **arrays)
    network = porter.read(tmp_path / "net.npz", activation="tanh")
    report = porter.export(network, tmp_path / "same.npz", like=tmp_path / "net.npz", activation="tanh")
    assert report.verdict == "parity"
    assert (tmp_path / "same.npz").read_bytes() == (tmp_path / "net.npz").read_bytes()
    first = network.dense_layers[0]
    porter.export(structure(network, first.name, kernel=first.kernel + 1), tmp_path / "other.npz",
                  like=tmp_path / "net.npz", activation="tanh")  # fmt: skip
    found = np.load(tmp_path / "other.npz")
    assert np.array_equal(found["W1"], arrays["W1"] + 1) and np.array_equal(found["b2"], arrays["b2"])


def test_a_written_file_with_a_mistake_is_a_mismatch(tmp_path, monkeypatch):
    """Negative control: the writer itself gets a layer wrong."""
    import porter.jobs.export as job

    file = write_hdf5(tmp_path / "small_Lrc_aaNN.h5")
    true = job.put

    def wrong(changed, legacy, draft):
        count = true(changed, legacy, draft)
        with h5py.File(draft, "r+") as opened:
            opened["Weights/Layer2"][...] = opened["Weights/Layer2"][()].T
        return count

    monkeypatch.setattr(job, "put", wrong)
    report = porter.export(porter.read(file), tmp_path / "back.h5", like=file)
    assert report.verdict == "mismatch" and not (tmp_path / "back.h5").exists()
    assert [(each.code, each.layer) for each in report.findings] == [("kernel.transposed", "Layer2")]


def test_refusals_of_the_output(tmp_path):
    file = write_hdf5(tmp_path / "small_Lrc_aaNN.h5")
    with pytest.raises(UsageError, match="ending"):
        porter.export(file, tmp_path / "back.txt", like=file)
    for told in ({"to": "c"}, {"precision": "float32"}, {"project": True}, {"samples": "golden.npz"}):
        with pytest.raises(UsageError, match="beside like"):
            porter.export(file, tmp_path / "back.h5", like=file, **told)
    with pytest.raises(UsageError, match="placement"):
        porter.export(file, tmp_path / "back.py", placement="outside")
    with pytest.raises(OutputExistsError):
        porter.export(file, file, like=file)


def test_all_sensor_networks_come_back_byte_for_byte(real, tmp_path):
    files = sorted((real / "oc_smart" / "sensors").rglob("*.h5"))
    assert len(files) == 72
    for file in files:
        network = porter.read(file)
        moved = tuned_everywhere(network)
        assert changes(aligned(as_float32(network), network), network) == {}
        # There and back again through every array: each is written, and written as it was.
        put(changes(aligned(moved, network), network), network, tmp_path / file.name)
        assert raw(tmp_path / file.name) != raw(file)
        there = porter.read(tmp_path / file.name)
        put(changes(aligned(network, there), there), there, tmp_path / f"again_{file.name}")
        assert raw(tmp_path / f"again_{file.name}") == raw(file)
        samples = np.load(file.with_name(file.stem + "_samples.npz"))
        assert np.allclose(
            plain_forward(tmp_path / f"again_{file.name}", samples["inputs"]), samples["outputs"], atol=1e-12
        )


def tuned_everywhere(network):
    layers = [
        replace(layer, kernel=layer.kernel * 1.5, bias=layer.bias - 1) if hasattr(layer, "kernel") else layer
        for layer in network.layers
    ]
    return replace(network, layers=tuple(layers))


def test_the_sides_are_not_the_same(tmp_path):
    """The activations that OC-SMART assumes are those of the loop above, not those of the other tests."""
    assert ACTIVATIONS[2] != "tanh"
    file = write_hdf5(tmp_path / "small_Lrc_aaNN.h5")
    rows = np.random.default_rng(0).normal(size=(8, 5))
    assert np.allclose(plain_forward(file, rows), build_program(porter.read(file))(rows)[0], atol=1e-12)


@pytest.mark.parametrize("name", ["cnn", "lstm", "both ways"])
def test_a_legacy_keras_file_and_back(tmp_path, name):
    from tests.exports import graphs

    file = {"cnn": graphs.cnn, "lstm": graphs.recurrent, "both ways": graphs.both_ways}[name](tmp_path / "old.h5")
    network = porter.read(file)
    report = porter.export(network, tmp_path / "same.h5", like=file)
    assert report.verdict == "parity" and (tmp_path / "same.h5").read_bytes() == file.read_bytes()
    port = tmp_path / "port.keras"
    porter.port(file, port)
    report = porter.export(port, tmp_path / "again.h5", like=file)
    assert report.verdict == report.links["export"] == "parity", str(report)
    assert (tmp_path / "again.h5").read_bytes() == file.read_bytes()


def test_a_tuned_legacy_keras_network_comes_back(tmp_path):
    import keras

    from tests.exports import graphs

    file = graphs.cnn(tmp_path / "old.h5")
    porter.port(file, tmp_path / "port.keras")
    model = keras.models.load_model(tmp_path / "port.keras")
    layer = model.get_layer("conv_2")
    layer.kernel.assign(layer.kernel * 1.5)
    model.save(tmp_path / "tuned.keras")
    report = porter.export(tmp_path / "tuned.keras", tmp_path / "tuned.h5", like=file)
    assert report.verdict == "parity" and report.link_notes["export"].startswith("1 of")
    before, after = raw(file)[0], raw(tmp_path / "tuned.h5")[0]
    assert [name for name in before if before[name] != after[name]] == ["model_weights/conv_2/conv_2/kernel:0"]
    assert np.allclose(porter.read(tmp_path / "tuned.h5").layer("conv_2").weights["kernel"], layer.kernel)
    other = graphs.recurrent(tmp_path / "other.h5")
    with pytest.raises(UnbuildableError, match="no layer first"):
        porter.export(tmp_path / "tuned.keras", tmp_path / "wrong.h5", like=other)
