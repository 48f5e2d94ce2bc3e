"""The real OC-SMART network: its port, the samples of the original software, and mistakes made in the saved file."""

from __future__ import annotations

import json
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

import porter
from porter.cli import commands as cli
from porter.examination.domain import port_limits
from porter.examination.judging import cast
from porter.formats.programs import build_program
from porter.formats.samples import make_samples, read_samples
from porter.reading.check import check_reading
from reference.precision import Precision
from reference.rounding.bounds import allowed_error
from tests.conftest import real_folder
from tests.handmade import bare_port, named, plain_port, read_legacy, rows

pytestmark = [pytest.mark.usefixtures("keras"), pytest.mark.slow]

LAYERS = ["Norm_in", "Layer1", "Layer2", "Layer3", "Layer4", "Norm_out"]


@pytest.fixture(scope="module")
def pace(real):
    """The file, the network as it is read, and the samples of the original code."""
    folder = real / "oc_smart"
    path = folder / "PACE_Lrc_aaNN.h5"
    if not path.exists():
        pytest.skip(f"no PACE_Lrc_aaNN.h5 in {folder}")
    with np.load(folder / "expected_network.npz") as arrays:
        inputs, outputs = arrays["inputs"], arrays["outputs"]
    samples = folder / "expected_network.npz"
    physical = folder / "expected_physical.npz"
    return SimpleNamespace(
        path=path, network=porter.read(path), inputs=inputs, outputs=outputs, samples=samples, physical=physical
    )


@pytest.fixture(scope="module")
def ports(pace, keras):
    """The port in float32 and in float64."""
    return {dtype: porter.build(pace.network, dtype=dtype) for dtype in ("float32", "float64")}


@pytest.fixture(scope="module")
def report(pace, ports):
    """With the samples and the search."""
    return porter.verify(pace.network, ports["float32"], samples=pace.samples)


def test_parity(report):
    assert report.verdict == report.links["build"] == "parity", str(report)
    assert [row.layer for row in report.layers] == LAYERS
    assert set(rows(report).values()) == {"parity"}
    assert report.findings == ()
    report.raise_for_mismatch()


def test_the_512_samples_prove_all_but_what_the_last_layer_does_beyond_its_range(report):
    """No sample leaves the documented range of the outputs, but inputs within their own range do."""
    assert report.links["reading"] == "consistent"
    assert "512 golden samples" in report.link_notes["reading"]
    assert "the port differs from the original by at most" in report.link_notes["build"]
    (found,) = report.telling_inputs
    assert (found["layer"], found["reading"], found["other"]) == ("Layer4", "linear", "hard_tanh")
    evidence = {(claim.layer, claim.convention): claim.evidence for claim in report.claims}
    assert evidence.pop(("Layer4", "activation")) == "assumed"
    assert evidence["Layer1", "orientation"] == "samples"
    assert {evidence[f"Layer{n}", "activation"] for n in (1, 2, 3)} == {"samples"}
    assert set(evidence.values()) <= {"samples", "shape"}


def test_with_the_input_that_tells_it_is_proven(pace, report):
    row = np.array([report.telling_inputs[0]["input"]])
    (outputs,) = build_program(pace.network)(row)  # the original is this very formula
    more = np.concatenate([pace.inputs, row]), np.concatenate([pace.outputs, outputs])
    reading = check_reading(
        build_program(pace.network),
        pace.network.claims,
        make_samples(*more, pace.network),
        port_limits(build_program(pace.network), outside=False),
    )
    assert reading.verdict == "proven", reading.note


SENSORS = sorted((real_folder() / "oc_smart" / "sensors").glob("**/*.h5"))


@pytest.mark.parametrize("path", SENSORS, ids=lambda path: path.stem)
def test_the_samples_of_every_sensor_are_explained(path):
    """By float64 arithmetic, and what they leave open is the last layer alone."""
    network = porter.read(path)
    program = build_program(network)
    golden = read_samples(path.with_name(f"{path.stem}_samples.npz"), network)
    reading = check_reading(program, network.claims, golden, port_limits(program, outside=False))
    assert reading.verdict in ("proven", "consistent"), reading.note
    assert "to float64 rounding" in reading.note
    last = [layer.name for layer in network.dense_layers][-1]
    assert {(each.layer, each.other) for each in reading.telling} <= {(last, "hard_tanh")}
    assert (reading.verdict == "proven") == (reading.telling == ())


def test_without_samples_what_no_shape_tells_is_assumed(pace, ports):
    found = porter.verify(pace.network, ports["float32"], search=False, rows=100)
    assert found.verdict == "parity"
    assert found.links["reading"] == "assumed"


def test_the_float64_port_is_within_1e12_of_the_samples(pace, ports):
    found = ports["float64"](pace.inputs).numpy()
    assert found.dtype == np.float64
    assert np.max(np.abs(found - pace.outputs)) <= 1e-12


def test_the_float32_port_is_within_its_bound_of_the_samples(pace, ports):
    """End to end, propagated from layer to layer; and in truth far closer."""
    program = build_program(pace.network)
    precision = Precision("float32", "float32")
    fed = cast(pace.inputs, "float32")
    values, error = pace.inputs, np.abs(fed.astype(np.float64) - pace.inputs)
    for step in program.steps:
        trace = step(values)
        error = allowed_error(step, (values,), trace, precision, input_error=(error,))
        values = trace.outputs
    found = ports["float32"](fed).numpy().astype(np.float64)
    difference = np.abs(found - pace.outputs)
    assert (difference <= error).all()
    assert 1e-9 < difference.max() < 1e-4
    assert (1e-5 * error < difference).any(), "a bound this loose would show nothing"


def test_a_port_made_by_hand_passes(pace):
    legacy = read_legacy(pace.path)
    assert porter.verify(pace.network, plain_port(legacy), search=False, rows=200).verdict == "parity"
    outside = porter.verify(pace.network, bare_port(legacy), placement="outside", search=False, rows=200)
    assert outside.verdict == "parity"


@pytest.mark.parametrize("placement", ["folded", "outside"])
def test_the_other_placements_pass(pace, placement):
    model = porter.build(pace.network, placement=placement)
    report = porter.verify(pace.network, model, placement=placement, search=False, rows=200)
    assert report.verdict == "parity", str(report)


@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16"])
def test_the_mixed_policies_pass(pace, dtype):
    report = porter.verify(pace.network, porter.build(pace.network, dtype=dtype), search=False, rows=200)
    assert report.verdict == "parity", str(report)


def test_a_misread_square_kernel_is_contradicted_by_the_samples(pace):
    network = porter.read(pace.path, orientation=["inputs-first", "units-first", "units-first", "units-first"])
    report = porter.verify(network, porter.build(network), samples=pace.samples, search=False, rows=100)
    assert report.verdict == "mismatch"
    assert (report.findings[0].code, report.findings[0].layer) == ("reading.contradicted", "Layer1")
    without = porter.verify(network, porter.build(network), search=False, rows=100)
    assert without.verdict == "parity", "both sides follow the declaration; only the samples could tell"


# --- mistakes in the saved file, judged through the command line ----------------------------------------------------


def in_a_process_of_its_own(root, *arguments):
    """(exit status, report, what went to stderr) of ``python -m porter verify``."""
    command = [sys.executable, "-m", "porter", "verify", *map(str, arguments), "--no-search", "--json"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=300, check=False)
    return done.returncode, json.loads(done.stdout), done.stderr


def in_this_process(monkeypatch, capsys, *arguments):
    """(exit status, report) of the same command."""
    monkeypatch.setattr(sys, "argv", ["porter", "verify", *map(str, arguments), "--no-search", "--json"])
    with pytest.raises(SystemExit) as left:
        cli.main()
    return left.value.code or 0, json.loads(capsys.readouterr().out)


def transposed(model, keras):
    layer = model.get_layer("Layer1")
    kernel, bias = layer.get_weights()
    layer.set_weights([kernel.T, bias])


def rectified(model, keras):
    model.get_layer("Layer3").activation = keras.activations.relu


@pytest.fixture
def saved(ports, tmp_path, keras):
    """Save the port as ``aa.keras``, load it, change it, and save it again, as a user would."""

    def save(change=None):
        ports["float32"].save(tmp_path / "aa.keras")
        if change is not None:
            model = keras.models.load_model(tmp_path / "aa.keras")
            change(model, keras)
            model.save(tmp_path / "aa.keras")
        return tmp_path / "aa.keras"

    return save


def findings(record):
    return [(finding["code"], finding["layer"]) for finding in record["findings"]]


@pytest.mark.subprocess
def test_layer1_transposed_by_hand_in_the_saved_model_ends_in_1_and_is_named(pace, saved, root):
    status, record, complaints = in_a_process_of_its_own(root, pace.path, saved(transposed))
    assert status == 1, complaints
    assert record["verdict"] == "mismatch"
    assert findings(record) == [("kernel.transposed", "Layer1")]
    assert "Traceback" not in complaints


def test_one_tanh_changed_to_relu_in_the_saved_model_ends_in_1_and_is_named(pace, saved, monkeypatch, capsys):
    status, record = in_this_process(monkeypatch, capsys, pace.path, saved(rectified))
    assert status == 1
    assert findings(record) == [("activation.replaced", "Layer3")]


def test_the_saved_model_as_it_is_ends_in_0(pace, saved, monkeypatch, capsys):
    status, record = in_this_process(monkeypatch, capsys, pace.path, saved())
    assert status == 0
    assert record["verdict"] == "parity" and findings(record) == []


# --- physical units -------------------------------------------------------------------------------------------------


def physical_inputs(arrays):
    """(rows, 111): three angles in degrees, 107 radiances, relative humidity."""
    angles = np.stack([arrays["solz"], arrays["senz"], arrays["relaz"]], axis=1)
    return np.concatenate([angles, arrays["lrc"], arrays["rh"][:, None]], axis=1)


@pytest.fixture(scope="module")
def physical(pace):
    """Inputs and outputs of the original code in degrees, radiances and per cent.

    All 512 rows are out of scope by the original's own rule, because the inputs are random: what it computes holds.
    """
    with np.load(pace.physical) as arrays:
        return SimpleNamespace(
            inputs=physical_inputs(arrays), outputs=arrays["aann_output"], out_of_scope=arrays["out_of_scope"]
        )


def test_the_physical_model_gives_the_original_outputs(pace, physical):
    network = porter.read(pace.path, physical=True)
    assert [layer.name for layer in network.layers][:: len(network.layers) - 1] == ["Transform_in", "Transform_out"]
    wide = porter.build(network, dtype="float64")(physical.inputs).numpy()
    assert np.max(np.abs(wide / physical.outputs - 1)) < 1e-11
    narrow = porter.build(network)(physical.inputs.astype(np.float32)).numpy()
    assert 1e-9 < np.max(np.abs(narrow / physical.outputs - 1)) < 1e-4


def test_rows_in_scope_made_by_feeding_the_network_its_own_outputs(pace, physical):
    """Out of scope is where mean(abs(out / lrc - 1)) > 0.07; none of the recorded rows is in it."""
    assert physical.out_of_scope.all()
    model = porter.build(porter.read(pace.path, physical=True), dtype="float64")
    program = build_program(porter.read(pace.path, physical=True))
    inputs = physical.inputs.copy()
    for _ in range(3):
        inputs[:, 3:-1] = program(inputs)[0]
    found, wanted = model(inputs).numpy(), program(inputs)[0]
    in_scope = np.mean(np.abs(wanted / inputs[:, 3:-1] - 1), axis=1) <= 0.07
    assert in_scope.sum() > 50
    assert np.max(np.abs(found / wanted - 1)) < 1e-11


def test_the_physical_port_is_verified_with_samples_in_physical_units(pace, physical):
    network = porter.read(pace.path, physical=True)
    samples = physical.inputs, physical.outputs
    report = porter.verify(network, porter.build(network), samples=samples, search=False, rows=300)
    assert report.verdict == "parity", str(report)
    assert [row.layer for row in report.layers] == ["Transform_in", *LAYERS, "Transform_out"]
    assert report.links["reading"] == "consistent"
    assert [each["other"] for each in report.telling_inputs] == ["hard_tanh"]


def test_radians_for_degrees_in_the_physical_port_are_named(pace, keras):
    network = porter.read(pace.path, physical=True)
    inputs = keras.Input((111,))
    angles = keras.ops.cos(inputs[:, :3])
    columns = keras.layers.Concatenate()([angles, keras.ops.log10(inputs[:, 3:])])
    legacy = read_legacy(pace.path)
    model = keras.Model(inputs, keras.ops.power(10.0, plain_port(legacy)(columns)))
    report = porter.verify(network, model, search=False, rows=300)
    assert report.verdict == "mismatch"
    assert named(report) == {("transform.replaced", "Transform_in")}
    assert "keras.ops.cos(x), for keras.ops.cos(keras.ops.deg2rad(x))" in report.findings[0].message
