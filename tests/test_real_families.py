"""Real networks of other families: ported, judged layer by layer, and held against their original software."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import h5py
import numpy as np
import pytest

import porter
from porter.errors import MissingMemberError, StoredSymlinkError
from porter.examination.domain import port_limits
from porter.formats.programs import build_program
from porter.formats.samples import read_samples
from porter.reading.check import check_reading

pytestmark = [pytest.mark.usefixtures("keras"), pytest.mark.slow]


def ported(network, folder, **options):
    """The report of the whole job; every layer in parity."""
    report = porter.port(network, folder / "port.keras", search=False, **options)
    assert report.verdict == "parity", str(report)
    assert {row.verdict for row in report.layers} == {"parity"}
    return report


# --- the Fortran-Keras Bridge ----------------------------------------------------------------------------------------


def test_fkb(real, tmp_path):
    network = porter.read(real / "fkb" / "simple_model_with_weights.txt")
    samples = np.array([[1.0, 2, 3, 4, 5]]), np.array([[1.0575492382049561, 0.21888098120689392]], np.float32)
    report = ported(network, tmp_path, samples=samples)
    assert report.links["reading"] in ("proven", "consistent"), "one sample alone"
    import keras

    found = keras.models.load_model(tmp_path / "port.keras")(samples[0].astype("float32")).numpy()
    assert np.all(np.abs(found - samples[1]) <= np.spacing(samples[1])), "single precision on both sides"
    wide = porter.build(network, dtype="float64")(samples[0]).numpy()
    np.testing.assert_allclose(wide, samples[1], rtol=0, atol=1e-7)


def test_fkb_without_weights(real):
    with pytest.raises(MissingMemberError, match="holds no weights"):
        porter.read(real / "fkb" / "simple_model.txt")


# --- OC-SMART's other sensors ----------------------------------------------------------------------------------------


def original(path, x):
    """OC-SMART's own loop, on (rows, inputs) between the scalings that the file has."""
    with h5py.File(path) as file:
        count = len(file["Weights"])
        lowest, highest = file["Norm_in"][:].T
        x = 2 * (x - lowest) / (highest - lowest) - 1
        for number in range(1, count + 1):
            z = np.matmul(file[f"Weights/Layer{number}"][:], x.T) + file[f"Bias/Layer{number}"][:]
            x = (np.tanh(z) if number < count else z).T
        lowest, highest = file["Norm_out"][:].T
    return (x + 1) / 2 * (highest - lowest) + lowest


@pytest.mark.subprocess
def test_72_networks_of_nine_sensors_are_proven_in_one_table(real, root, tmp_path):
    """By one command: eight kinds of network, each with its samples and what they alone leave open.

    Where the samples stay inside [-1, 1] they cannot tell a linear output from one that is clipped there: the reading
    is consistent, and the input that it asks for, run through the original, proves it.
    """
    paths, open_ones = sorted((real / "oc_smart" / "sensors").rglob("*.h5")), 0
    for path in paths:
        network, recorded = porter.read(path), path.with_name(f"{path.stem}_samples.npz")
        program, golden = build_program(network), read_samples(recorded, network)
        reading = check_reading(program, network.claims, golden, port_limits(program, outside=False))
        assert reading.verdict == ("consistent" if reading.telling else "proven")
        asked = [each.row[np.newaxis] for each in reading.telling]
        open_ones += bool(asked)
        inputs = np.concatenate([golden.inputs[0], *asked])
        outputs = np.concatenate([golden.outputs[0], *(original(path, row) for row in asked)])
        np.savez(tmp_path / f"{path.stem}.npz", inputs=inputs, outputs=outputs)
    assert 0 < open_ones <= 22

    command = [sys.executable, "-m", "porter", "port", real / "oc_smart" / "sensors", "-o", tmp_path, "--no-search"]
    command += ["--samples", f"{tmp_path}/{{name}}.npz"]
    told = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    rows = [line.split() for line in told.stdout.splitlines() if ".h5" in line]
    assert len(rows) == len(paths) == 72
    assert {tuple(row[1:]) for row in rows} == {("parity", "proven", "parity", "parity")}
    assert len(list(tmp_path.glob("*.keras"))) == 72


# --- C2RCC: ffbp -----------------------------------------------------------------------------------------------------


FFBP = (
    "inv_meris_kd__77x97x47x7_235.9",
    "norma_net_20150307__37x57x17_76.8",
    "rtosa_aann__31x7x31_1159.4",
    "rtosa_rpath__31x37x37_17175.9",
    "rtosa_trans__57x57x57_369970.5",
    "rw_iop__37x37x37_596495.4",
    "rw_kd__97x77x77_4669.6",
    "uncertain_log_abs_tot_kd__17x77x37_9113.1",
)


@pytest.mark.parametrize("stem", FFBP)
def test_c2rcc_with_its_table(real, stem, tmp_path):
    """Within 1e-12 of the outputs' range; and the exact function is not proven, and is seen as what it is."""
    folder = real / "c2rcc_ffbp"
    network, vectors = porter.read(folder / f"{stem}.net"), folder / f"{stem}_vectors.csv"
    report = ported(network, tmp_path, dtype="float64", samples=vectors)
    assert report.links["reading"] == "proven", str(report)
    import keras

    golden = read_samples(vectors, network)
    found = np.asarray(keras.models.load_model(tmp_path / "port.keras")(golden.inputs[0]))
    width = np.ptp(network.source.arrays["outputs"], axis=1)
    assert np.max(np.abs(found - golden.outputs[0]) / width) <= 1e-12
    exact = porter.read(folder / f"{stem}.net", exact_activations=True)
    port = porter.build(exact, dtype="float64")
    assert porter.verify(network, port, search=False, rows=100).verdict == "mismatch"
    asked = porter.verify(exact, port, samples=vectors, search=False, rows=100)
    assert asked.links["reading"] != "proven"
    assert any("of their range" in note for note in asked.notes)


def test_the_authors_own_test(real):
    network = porter.read(real / "c2rcc_ffbp" / "nn_test.net")
    x = np.array([[1.0, 3.4, 6.988, 4.4, 7.0, 16.21]])
    found = np.asarray(porter.build(network, dtype="float64")(x))
    assert abs(found[0, 0] - 0.9999546066706964) <= 1e-15


# --- CANYON-MED --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "value"), [("nit", 5.9115), ("sil", 6.6340), ("ph", 8.0965)])
def test_canyon_med_to_the_printed_digit(real, kind, value, tmp_path):
    """Ten members in one model, and the mean of those within one deviation; the plain one is 5.774 for nitrate."""
    network = porter.read(real / "canyon_med" / "v2" / "MATLAB" / "CANYON-MED_weights", kind=kind)
    pressure = 500 / 2e4 + 1 / (1 + np.exp(-500 / 300)) ** 3
    x = np.array([[35, 18, 2014 + 98 / 365, 13.5, 38.6, 160, pressure]])
    ported(network, tmp_path, dtype="float64")
    import keras

    found = np.asarray(keras.models.load_model(tmp_path / "port.keras")(x))
    assert round(float(found[0, 0]), 4) == value


@pytest.mark.parametrize("kind", ["nit", "sil", "ph", "ph_7"])
def test_canyon_med_of_the_paper(real, kind, tmp_path):
    network = porter.read(real / "canyon_med" / "v1_paper" / "MATLAB" / "CANYON-MED_weights", kind=kind)
    ported(network, tmp_path)


# --- SL2P ------------------------------------------------------------------------------------------------------------


SL2P = ("2_1/LAI", "3_0/S2A/LAI", "3_0/S2A/LAI_Cab", "3_0/S2A_10m/LAI", "3_0/S2B/FAPAR", "3_0/S2B/FCOVER")


@pytest.mark.parametrize("place", SL2P)
def test_sl2p_with_its_bounds(real, place, tmp_path):
    """Within the printed digits; and a row is flagged where, and only where, the authors flag it."""
    folder = real / "sl2p" / place
    network = porter.read(folder)
    cases = folder / f"{folder.name}_TestCases"
    report = ported(network, tmp_path, dtype="float64", samples=cases)
    assert report.links["reading"] != "contradicted" and "golden samples" in report.link_notes["reading"], str(report)
    import keras

    golden = read_samples(cases, network)
    found = np.asarray(keras.models.load_model(tmp_path / "port.keras")(golden.inputs[0]))
    np.testing.assert_array_equal(np.isnan(found), np.isnan(golden.outputs[0]))
    if folder.name == "LAI":
        assert np.nanmax(np.abs(found - golden.outputs[0])) <= 3.5e-4


def test_sl2p_flags_one_of_its_cases(real):
    folder = real / "sl2p" / "3_0" / "S2A" / "LAI"
    assert np.isnan(read_samples(folder / "LAI_TestCases", porter.read(folder)).outputs[0]).sum() == 1


# --- RTE-RRTMGP-NN ---------------------------------------------------------------------------------------------------


RRTMGP = {
    "lw-g128-210809_absorption_72_72_HR_1.14e+00_FRC_5.19e-01": "tau",
    "lw-g128-210809_planck_frac_24_24_HR_1.15e+00_FRC_7.06e-01": "pfrac",
    "sw-g112-210809_absorption_32_32_HR_9.48e-01_FRC_6.07e-01": "tau",
    "sw-g112-210809_rayleigh_32_32_HR_1.08e+00_FRC_6.67e-01": "tau",
}


def to_physical(network, scaled):
    """What the original scales, from its scaled inputs, in float64."""
    arrays, names = network.source.arrays, network.source.attributes["nn_inputs"]
    low, high = (arrays[f"nn_input_coeffs_{end}"].astype(np.float64) for end in ("min", "max"))
    values = scaled.astype(np.float64) * (high - low) + low
    for column, name in enumerate(names):
        if name == "play":
            values[:, column] = np.exp(values[:, column])
        if name in ("h2o", "o3"):
            values[:, column] **= 4
    return values


@pytest.mark.parametrize("stem", RRTMGP)
def test_rrtmgp_through_the_power(real, stem, tmp_path):
    folder = real / "rrtmgp_nn"
    network = porter.read(folder / f"{stem}.nc", physical=True)
    with np.load(folder / "expected" / f"{stem}_{RRTMGP[stem]}.npz") as arrays:
        expected = SimpleNamespace(x=arrays["x"], y=arrays["y"], coldry=arrays["coldry"])
    depth = expected.y if RRTMGP[stem] == "pfrac" else expected.y / expected.coldry[:, None]
    report = ported(network, tmp_path, samples=(to_physical(network, expected.x), depth.astype(np.float32)))
    assert report.links["reading"] in ("proven", "declared"), str(report)
    assert "256 golden samples to float32" in report.link_notes["reading"]


def test_rrtmgp_both(real, tmp_path):
    """The outputs of the network alone are recorded; the file holds no coefficients for half of them."""
    folder, stem = real / "rrtmgp_nn", "lw-g128-210809_both_64_64_HR_1.10e+00_FRC_8.79e-01"
    with np.load(folder / "expected" / f"{stem}_lw.npz") as arrays:
        samples = arrays["x"], arrays["y"]
    network = porter.read(folder / f"{stem}.nc", scaling="none")
    assert "256 golden samples" in ported(network, tmp_path, samples=samples).link_notes["reading"]
    physical = porter.read(folder / f"{stem}.nc", physical=True)
    assert physical.layers[-1].functions == ("pow8",) * 128 + ("relu_square",) * 128


def test_every_rrtmgp_network_is_read_or_refused_by_name(real):
    read = 0
    for path in sorted((real / "rrtmgp_nn").glob("*.nc")):
        if path.stat().st_size < 100:
            with pytest.raises(StoredSymlinkError, match="symbolic link stored as text"):
                porter.read(path)
        else:
            read += porter.read(path, physical=True).family == "rrtmgp-nn"
    assert read == 25
