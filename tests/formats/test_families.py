"""What every family owes: its port is proven, and its own mistakes are named."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

import porter
from porter.errors import UnknownFormatError
from porter.formats import Family, register
from porter.formats.readers import FAMILIES
from porter.network.planting import plant, sites
from tests.formats.families import (
    weights,
    write_canyon,
    write_connections,
    write_fann,
    write_ffbp,
    write_fkb,
    write_matlab,
    write_neural_fortran,
    write_r_neuralnet,
    write_r_nnet,
    write_rrtmgp,
    write_sl2p,
    write_snns,
)

RANGES = (np.array([[-1.0, 2], [0, 75], [-9, -2], [0.5, 1]]), np.array([[-4.0, 1], [0, 10], [-1, 1]]))


def write_npz(path):
    kernels, biases = weights((4, 6, 6, 3))
    arrays = {f"coefs_{n}": kernel.T for n, kernel in enumerate(kernels)}
    np.savez(path, **arrays, **{f"intercepts_{n}": bias for n, bias in enumerate(biases)})
    return path


MADE = {
    "matlab-function": lambda folder: write_matlab(
        folder / "net.m", weights((4, 6, 6, 3)), ("tansig", "logsig", "purelin")
    ),
    "fann": lambda folder: write_fann(folder / "net.net", weights((4, 6, 6, 3)), (3, 5, 0), (0.5, 0.25, 0.5)),
    "canyon-med": lambda folder: write_canyon(folder / "net"),
    "arrays": lambda folder: write_npz(folder / "mlp.npz"),
    "sl2p": lambda folder: write_sl2p(folder / "LAI"),
    "ffbp": lambda folder: write_ffbp(folder / "net.net", weights((4, 6, 6, 3)), RANGES),
    "snns": lambda folder: write_snns(
        folder / "net.net", weights((4, 6, 6, 3)), ("Act_TanH", "Act_Logistic", "Act_IdentityPlusBias"), shuffled=True
    ),
    "neural-fortran": lambda folder: write_neural_fortran(
        folder / "net.txt", weights((4, 6, 6, 3), dtype="float32"), ("tanh", "relu", "sigmoid")
    ),
    "r-nnet": lambda folder: write_r_nnet(folder / "coef.csv", weights((4, 4, 3))),
    "r-neuralnet": lambda folder: write_r_neuralnet(folder / "result.csv", weights((4, 6, 6, 3))),
    "connections": lambda folder: write_connections(folder / "net.csv", weights((4, 6, 6, 3)), shuffled=True),
    "fkb": lambda folder: write_fkb(
        folder / "fkb.txt", weights((5, 4, 4, 2), dtype="float32"), ("leakyrelu 0.3", "tanh 0", "linear 0")
    ),
    "rrtmgp-nn": lambda folder: write_rrtmgp(
        folder / "net.nc", weights((6, 8, 8, 5), dtype="float32"), ("softsign", "softsign", "linear")
    ),
}
READING = {"snns": "declared"}
"""Of the families whose files say everything."""
ORIENTATION, ACTIVATION = {"kernel.transposed", "kernel.reshaped"}, {"activation.missing", "activation.replaced"}
SCALING = {"scaling.missing", "scaling.range", "scaling.swapped"}


@pytest.fixture(params=MADE)
def network(request, tmp_path):
    return porter.read(MADE[request.param](tmp_path))


@pytest.mark.usefixtures("keras")
def test_its_port_is_proven(network, tmp_path):
    report = porter.port(network, tmp_path / "port.keras", search=False)
    assert report.verdict == "parity", str(report)
    assert {row.verdict for row in report.layers} == {"parity"}
    assert report.links["save"] == "parity" and report.links["reading"] == READING.get(network.family, "assumed")


@pytest.mark.slow
@pytest.mark.usefixtures("keras")
def test_its_own_mistakes_are_named(network):
    wanted = ORIENTATION | ACTIVATION | SCALING | {"bias.missing", "activation.added"}
    planted, places = set(), {}
    for code, (layer, *others) in sites(network):
        if code in wanted and not others:
            places.setdefault(code, []).append(layer)
    ends = ((code, layer) for code, found in places.items() for layer in dict.fromkeys((found[0], found[-1])))
    for code, layer in ends:
        fault = plant(network, code, (layer,), lambda count: 0)
        assert fault is not None, (code, layer)
        planted.add(code)
        report = porter.verify(network, porter.build(fault.network), search=False, rows=200)
        assert report.verdict == "mismatch"
        assert (code, layer) in [(finding.code, finding.layer) for finding in report.findings], str(report)
    assert planted & ORIENTATION and planted & ACTIVATION and "bias.missing" in planted


def test_every_family_is_listed_with_an_example(root):
    command = [sys.executable, "-m", "porter", "formats"]
    told = subprocess.run([*command, "--json"], cwd=root, capture_output=True, text=True, check=True)
    listed = {family["name"]: family for family in json.loads(told.stdout)["families"]}
    assert set(listed) >= {*MADE, "oc-smart", "keras-legacy"}
    assert all(family["example"].startswith("porter ") for family in listed.values())
    plain = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
    assert all(name in plain for name in listed)


# --- somebody else's family ------------------------------------------------------------------------------------------

PACKAGE = """
import numpy as np
from porter.network.activations import parse_activation
from porter.formats.registry import Family
from porter.network.weight_file import WeightFile
from porter.network import Claim, Dense, Network
from reference.activations import Activation
from reference.operations.dense import Dense as Step
from reference.trace import chain


def matches(opened):
    return opened.head.startswith(b"TENLINES")


def read(opened, options):
    lines = [[float(word) for word in line.split()] for line in opened.path.read_text().splitlines()[1:]]
    arrays = {str(number): np.array(line) for number, line in enumerate(lines)}
    layers = []
    for number in range(len(lines) // 2):
        bias = arrays[str(2 * number + 1)]
        kernel = arrays[str(2 * number)].reshape(-1, len(bias))
        layers.append(Dense(f"Layer{number + 1}", kernel, bias, parse_activation("relu")))
    source = WeightFile(opened.path, "ten-lines", opened.sha256, arrays)
    return Network(opened.path.stem, "ten-lines", source, tuple(layers), (), options.declarations())


def program(network, changes):
    arrays, steps, before = network.source.arrays, [], "inputs"
    for number in range(len(arrays) // 2):
        bias = arrays[str(2 * number + 1)]
        kernel = arrays[str(2 * number)].reshape(-1, len(bias))
        name = f"Layer{number + 1}"
        steps.append(Step(name, (before,), kernel, bias, Activation("relu"), "inputs-first", changes["dtype"]))
        before = name
    return chain(steps)


FAMILY = Family("ten-lines", "text that begins with TENLINES", matches, read, program, example="porter port a -o b")
"""
METADATA = "Metadata-Version: 2.1\nName: ten-lines\nVersion: 1.0\n"
ENTRY_POINTS = "[porter.families]\nten-lines = ten_lines:FAMILY\n"
SCRIPT = """
import json, sys, porter
from porter.jobs.inspection import inspect
from porter.network.planting import plant
path = sys.argv[1]
network = porter.read(path)
report = porter.port(path, sys.argv[2], search=False)
again = porter.verify(path, sys.argv[2], search=False)
fault = plant(network, "activation.replaced", ("Layer1",), lambda count: 0)
broken = porter.verify(network, porter.build(fault.network), search=False)
seen = inspect(path)
found = [(finding.code, finding.layer) for finding in broken.findings]
print(json.dumps([seen.format, seen.inputs, seen.outputs, report.verdict, again.verdict, broken.verdict, found]))
"""


@pytest.fixture
def package(tmp_path):
    """A folder in which a package with a family of its own is installed."""
    site = tmp_path / "site"
    (site / "ten_lines-1.0.dist-info").mkdir(parents=True)
    (site / "ten_lines.py").write_text(PACKAGE)
    (site / "ten_lines-1.0.dist-info" / "METADATA").write_text(METADATA)
    (site / "ten_lines-1.0.dist-info" / "entry_points.txt").write_text(ENTRY_POINTS)
    return site


@pytest.fixture
def ten_lines(tmp_path):
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=size) for size in (12, 4, 8, 2)]
    path = tmp_path / "net.ten"
    path.write_text("\n".join(["TENLINES", *(" ".join(map(repr, map(float, array))) for array in arrays)]))
    return path


@pytest.mark.subprocess
@pytest.mark.slow
def test_an_installed_package_brings_its_own_family(package, ten_lines, root, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", f"{root}:{package}")
    command = [sys.executable, "-c", SCRIPT, str(ten_lines), str(tmp_path / "net.keras")]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    parity, broken = ["ten-lines", 3, 2, "parity", "parity"], ["mismatch", [["activation.replaced", "Layer1"]]]
    assert json.loads(told.stdout.splitlines()[-1]) == [*parity, *broken]


@pytest.mark.subprocess
def test_a_package_that_fails_is_named_and_stops_nobody(package, ten_lines, root, monkeypatch):
    (package / "ten_lines.py").write_text("raise RuntimeError('out of order')")
    monkeypatch.setenv("PYTHONPATH", f"{root}:{package}")
    command = [sys.executable, "-m", "porter", "inspect", str(ten_lines)]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    assert told.returncode == 2 and "Traceback" not in told.stderr
    assert "'ten-lines' of an installed package fails: out of order" in " ".join(told.stderr.split())


def test_a_family_that_is_registered_in_the_process(ten_lines):
    scope: dict = {}
    exec(PACKAGE, scope)
    with pytest.raises(UnknownFormatError):
        porter.read(ten_lines)
    try:
        family = register(scope["FAMILY"])
        assert isinstance(family, Family)
        assert porter.read(ten_lines).family == "ten-lines"
        with pytest.raises(ValueError, match="registered already"):
            register(family)
    finally:
        FAMILIES.pop("ten-lines", None)
