"""What `inspect` says of a file, in 80 columns and in JSON."""

import json
import subprocess
import sys
from io import StringIO

import pytest
from rich.console import Console

import porter
from porter.jobs.inspection import inspect, inspection_json, render_inspection
from tests.formats.files import write


def rendered(network, width=80):
    stream = StringIO()
    render_inspection(network, Console(file=stream, width=width, color_system=None))
    return stream.getvalue()


def test_the_real_network(real):
    found = inspect(real / "oc_smart" / "PACE_Lrc_aaNN.h5")
    assert (found.inputs, found.outputs, found.dtype) == (111, 107, "float64")
    assert found.parameters == 111 * 112 + 57 * 112 + 111 * 58 + 107 * 112
    assert [layer.name for layer in found.layers] == ["Norm_in", "Layer1", "Layer2", "Layer3", "Layer4", "Norm_out"]
    assert {(c.layer, c.convention) for c in found.assumed} == {
        ("Layer1", "orientation"),
        *((f"Layer{number}", "activation") for number in range(1, 5)),
        ("Norm_in", "scaling"),
        ("Norm_out", "scaling"),
    }
    text = rendered(found)
    assert "units-first (assumed)" in text
    assert "units-first (by shape)" in text
    assert "111 x 111 is square" in text
    assert "--samples" in text


def test_a_whole_small_file(tmp_path):
    path = write(tmp_path / "net.h5", (3, 5, 4))
    text = rendered(inspect(path), width=200)
    lines = [line.rstrip() for line in text.splitlines()]
    assert lines == [
        str(path),
        "oc-smart: 3 inputs, 4 outputs, 44 parameters in float64",
        f"SHA-256 {porter.read(path).source.sha256}",
        "",
        " layer     shape  dtype    orientation             computes",
        " ──────────────────────────────────────────────────────────────────",
        " Norm_in       3  float64                          [-1,1] (assumed)",
        " Layer1    3 → 5  float64  units-first (by shape)  tanh (assumed)",
        " Layer2    5 → 4  float64  units-first (by shape)  linear (assumed)",
        " Norm_out      4  float64                          [-1,1] (assumed)",
        "",
        "Norm_in: minima -1 to -1, maxima 3 to 3",
        "Norm_out: minima 2 to 2, maxima 4 to 4",
        "",
        "Assumed:",
        "  activation: Layer1 tanh, Layer2 linear (OC-SMART's; the file does not say)",
        "  scaling: Norm_in, Norm_out [-1,1] (OC-SMART's rule; the file does not say)",
        "Golden samples of the original software (--samples) would prove it.",
    ]


def test_nothing_assumed(tmp_path):
    path = write(tmp_path / "net.h5", (3, 5, 4))
    text = rendered(inspect(path, activation="relu", output_activation="linear", scaling="[0,1]"))
    assert "Nothing is assumed." in text
    assert "--samples" not in text


def test_a_name_is_not_read_as_markup(tmp_path):
    path = write(tmp_path / "[red]net[bold].h5")
    assert "[red]net[bold].h5" in rendered(inspect(path), width=300)


@pytest.mark.parametrize("options", [{}, {"physical": True, "kind": "aodNN"}, {"scaling": "mean-std"}])
def test_eighty_columns(tmp_path, options):
    text = rendered(porter.read(write(tmp_path / "net.h5", (5, *range(20, 4, -1))), **options))
    assert max(len(line) for line in text.splitlines()[3:]) <= 80


def test_many_layers_share_a_line(tmp_path):
    text = rendered(inspect(write(tmp_path / "net.h5", (3, *range(14, 2, -1)))), width=200)
    assert "activation: Layer1 to Layer11 tanh, Layer12 linear" in text


def test_json(tmp_path):
    network = porter.read(write(tmp_path / "net.h5"))
    data = json.loads(inspection_json(network))
    assert data["schema_version"] == 1
    assert data["layers"][1] == {
        "name": "Layer1",
        "kind": "dense",
        "inputs": 3,
        "units": 4,
        "dtype": "float64",
        "parameters": 16,
        "bias": True,
        "computes": "tanh",
        "ranges": None,
    }
    assert data["layers"][0]["ranges"] == [[-1.0, -1.0], [3.0, 3.0]]
    assert data["claims"][0] == {
        "layer": "Layer1",
        "convention": "orientation",
        "value": "units-first",
        "evidence": "shape",
        "detail": "4 x 3 chains with its bias and its neighbours only so",
    }


QUICK = """
import sys
from porter.cli.commands import app
app(["inspect", sys.argv[1]], standalone_mode=False)
heavy = {"tensorflow", "keras", "pydantic", "tomlkit", "hypothesis"} & set(sys.modules)
raise SystemExit(f"loaded {heavy}" if heavy else 0)
"""


@pytest.mark.subprocess
def test_nothing_slow_is_imported(tmp_path, root):
    path = write(tmp_path / "net.h5", (111, 111, 57, 111, 107))
    told = subprocess.run([sys.executable, "-c", QUICK, path], cwd=root, capture_output=True, text=True, check=False)
    assert not told.returncode, told.stderr
