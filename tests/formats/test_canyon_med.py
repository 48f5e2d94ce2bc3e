"""CANYON-MED: members side by side in one network, and the mean that they are made."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import porter
from porter.errors import (
    DamagedFileError,
    KernelShapeError,
    MissingMemberError,
    OptionContradictionError,
    UsageError,
    WidthError,
)
from porter.formats.programs import build_program
from porter.network import Ensemble
from reference.composed.ensemble import WITHIN
from reference.composed.ensemble import Ensemble as Step
from reference.precision import Precision
from reference.rounding.bounds import allowed_error
from tests.formats.families import write_canyon

SETS = ("F", "G")


def member(folder, ending, moments, x):
    """One network, as its authors' code has it."""
    load = {part: np.loadtxt(folder / f"poids_nit_{part}_{ending}.txt", ndmin=2) for part in
            ("IW", "LW1", "LW2", "b1", "b2", "b3")}  # fmt: skip
    mean, deviation = (np.loadtxt(folder / f"{kind}_{moments}.txt") for kind in ("moy", "std"))
    h = (2 / 3) * (x - mean[:-1]) / deviation[:-1]
    for kernel, bias in (("IW", "b1"), ("LW1", "b2")):
        h = 1.7159 * np.tanh(2 / 3 * (h @ load[kernel].T + load[bias].T))
    return 1.5 * (h @ load["LW2"].T + load["b3"].T)[:, 0] * deviation[-1] + mean[-1]


def rows():
    return np.random.default_rng(3).normal(size=(60, 3))


def test_the_plain_mean_of_one_set(tmp_path):
    folder = write_canyon(tmp_path / "v1")
    wanted = np.mean([member(folder, f"{n}", "nit", rows()) for n in (1, 2, 3, 4)], axis=0)
    network = porter.read(folder)
    np.testing.assert_allclose(build_program(network)(rows())[0][:, 0], wanted, rtol=0, atol=1e-12)
    assert (network.name, network.family, network.layers[-1]) == ("nit", "canyon-med", Ensemble("Ensemble", 4, "mean"))


def test_the_mean_of_those_within_one_deviation_of_two_sets(tmp_path):
    folder = write_canyon(tmp_path / "v2", sets=SETS)
    each = np.array([member(folder, f"{s}_{n}", f"nit_{s}", rows()) for s in SETS for n in (1, 2, 3, 4)])
    wanted = []
    for column in each.T:
        inside = np.abs(column - column.mean()) < column.std(ddof=1)
        wanted.append(column[inside].mean())
    network = porter.read(folder)
    np.testing.assert_allclose(build_program(network)(rows())[0][:, 0], wanted, rtol=0, atol=1e-12)
    assert np.max(np.abs(np.array(wanted) - each.mean(axis=0))) > 1e-3, "no plain mean"
    assert network.layers[-1] == Ensemble("Ensemble", 8, WITHIN)


def test_a_member_alone(tmp_path):
    folder = write_canyon(tmp_path / "v2", sets=SETS)
    network = porter.read(folder, kind="nit_G_2")
    wanted = member(folder, "G_2", "nit_G", rows())
    np.testing.assert_allclose(build_program(network)(rows())[0][:, 0], wanted, rtol=0, atol=1e-12)
    assert (network.name, network.widths) == ("nit_G_2", (3, 5, 5, 1))


def test_one_of_several_variables_has_to_be_named(tmp_path):
    folder = write_canyon(tmp_path / "v1", variables=("nit", "ph"))
    with pytest.raises(UsageError, match=r"several variables(.*\n)*.*--kind nit"):
        porter.read(folder)
    assert porter.read(folder, kind="ph").name == "ph"
    with pytest.raises(UsageError, match="kind 'sil'"):
        porter.read(folder, kind="sil")


@pytest.mark.usefixtures("keras")
@pytest.mark.parametrize("sets", [(), SETS], ids=["one set", "two sets"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_right_port_passes(tmp_path, sets, dtype):
    network = porter.read(write_canyon(tmp_path / "net", sets=sets))
    samples = rows(), build_program(network)(rows())[0]
    report = porter.port(network, tmp_path / "port.keras", dtype=dtype, samples=samples, search=False)
    assert report.verdict == "parity" and {row.verdict for row in report.layers} == {"parity"}, str(report)
    assert report.links["reading"] != "contradicted"


@pytest.mark.usefixtures("keras")
def test_what_a_port_does_otherwise_is_named(tmp_path):
    network = porter.read(write_canyon(tmp_path / "net", sets=SETS))
    own, before = network.layers[-1], network.layers[:-1]
    others = {"it is the plain mean": (*before, replace(own, rule="mean")), "does not make its members one": before}
    for says, layers in others.items():
        report = porter.verify(network, porter.build(replace(network, layers=layers)), search=False, rows=100)
        (finding,) = report.findings
        assert (finding.code, finding.layer) == ("merge.replaced", "Ensemble") and says in finding.message
        assert report.after_remedy == "parity"


@pytest.mark.usefixtures("keras")
def test_a_member_without_its_layer_is_seen(tmp_path):
    network = porter.read(write_canyon(tmp_path / "net"))
    kernel = network.layer("Layer2").kernel.copy()
    kernel[5:10, 5:10] = 0
    wrong = [replace(layer, kernel=kernel) if layer.name == "Layer2" else layer for layer in network.layers]
    report = porter.verify(network, porter.build(replace(network, layers=tuple(wrong))), search=False, rows=100)
    assert [(finding.code, finding.layer) for finding in report.findings] == [("kernel.values", "Layer2")]


def test_the_bound_is_open_only_where_rounding_decides_who_counts():
    step, wide = Step("E", ("inputs",), 3, WITHIN), Precision("float64", "float64")
    x = np.array([[0.0, 1.0, 5.0], [-1.0, 0.0, 1.0]])  # the second has two members at exactly one deviation
    allowed = allowed_error(step, (x,), step(x), wide)
    assert allowed[0, 0] < 1e-13 and np.isinf(allowed[1, 0])
    near = np.array([[-1.0, 0.0, 1.0 + 1e-6]])
    assert np.isfinite(allowed_error(step, (near,), step(near), wide)).all()
    assert np.isinf(allowed_error(step, (near,), step(near), wide, input_error=(np.full((1, 3), 1e-5),))).all()
    rng = np.random.default_rng(0)
    for _ in range(200):
        y, e = rng.normal(size=(1, 7)), 10.0 ** rng.uniform(-12, -2)
        s = Step("E", ("inputs",), 7, WITHIN)
        moved = y + rng.uniform(-e, e, y.shape)
        difference = np.abs(s(moved).outputs - s(y).outputs)
        assert difference <= allowed_error(s, (y,), s(y), wide, input_error=(np.full(y.shape, e),))


@pytest.mark.parametrize(
    ("name", "text", "error", "says"),
    [
        ("poids_nit_LW1_2", None, MissingMemberError, "poids_nit_LW1_2.txt"),
        ("moy_nit", None, MissingMemberError, "moy_nit.txt"),
        ("moy_nit", "1 2 3", KernelShapeError, "moy_nit"),
        ("std_nit", "1 0 1 1", porter.errors.ScalingRangeError, "Norm_in"),
        ("poids_nit_LW1_2", "1 2\n3\n", DamagedFileError, "no matrix"),
        ("poids_nit_LW1_2", "1 2\n3 4\n", WidthError, "LW1 of member 2"),
        ("poids_nit_LW2_1", "1 2 3 4 nan\n", porter.errors.NonFiniteError, "nan"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, name, text, error, says):
    folder = write_canyon(tmp_path / "net")
    path = folder / f"{name}.txt"
    path.unlink() if text is None else path.write_text(text)
    with pytest.raises(error, match=says):
        porter.read(folder)


def test_what_the_files_fix_cannot_be_declared(tmp_path):
    with pytest.raises(OptionContradictionError, match="one orientation"):
        porter.read(write_canyon(tmp_path / "net"), orientation="units-first")
