"""Samples in a table without a header, of which nothing says how many columns are inputs."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import porter
from porter.formats.programs import build_program
from porter.identification import infer as module
from porter.identification.pool import Pool


@pytest.fixture(scope="module")
def fapar(fixtures, tmp_path_factory):
    """The arrays of an SL2P folder under its names, and its samples as a table elsewhere."""
    return apart(fixtures / "families" / "FAPAR", tmp_path_factory.mktemp("sl2p"))


def apart(folder: Path, target: Path):
    (target / "net").mkdir()
    for each in folder.iterdir():
        is_table = each.name.endswith("_TestCases")
        shutil.copy(each, target / "samples.csv" if is_table else target / "net" / each.name)
    return target / "net", target / "samples.csv"


def test_the_split_is_found_by_the_widths_of_the_network(fapar):
    """A minimum and a maximum in one line, bounds and a tolerance in another, flags among the samples."""
    found = porter.infer(*fapar)
    assert found.status == "found", str(found)
    assert found.network.widths == (4, 5, 1)
    output = found.recipe["scaling"]["output"]
    assert output == {
        "rule": "[-1,1]",
        "minimum": "FAPAR_Denormalisation[0:1]",
        "maximum": "FAPAR_Denormalisation[1:2]",
    }
    bounds = ("FAPAR_ExtremeCases[1:2]", "FAPAR_ExtremeCases[2:3]", "FAPAR_ExtremeCases[0:1]")
    assert found.candidate.bounds.names == bounds


def test_as_the_family_reads_it(fapar, fixtures):
    by_family = build_program(porter.read(fixtures / "families" / "FAPAR"))
    low, high = np.loadtxt(fapar[0] / "FAPAR_Normalisation", delimiter=",").T
    rows = np.random.default_rng(0).uniform(low, high, (200, 4))
    found = build_program(porter.infer(*fapar).network)(rows)[0]
    expected = by_family(rows)[0]
    assert np.isnan(expected).any()
    assert np.allclose(found, expected, rtol=1e-12, equal_nan=True)


def test_where_none_does_it_is_said_what_would_help(fapar, tmp_path, monkeypatch):
    """Negative control: the outputs of other rows."""
    monkeypatch.setattr(module, "BRIEF", 0.5)
    monkeypatch.setattr(module, "LEAST_SHARE_OF_TIME", 0.5)
    table = np.genfromtxt(fapar[1], delimiter=",")
    table[:, -1] = np.roll(table[:, -1], 7)
    wrong = tmp_path / "wrong.csv"
    np.savetxt(wrong, table, delimiter=",")
    found = porter.infer(fapar[0], wrong, seconds=1)
    assert found.status == "none", str(found)
    assert "--inputs N" in str(found)
    assert "inputs: 4, 1, 3 were tried" in str(found), str(found)
    assert "outside FAPAR_Denormalisation" not in str(found)
    assert "--inputs N" not in str(porter.infer(fapar[0], wrong, seconds=1, inputs=4))


def test_numbers_of_a_line_are_vectors_of_one():
    pool = Pool.of({"ends": np.array([[2.0, 5.0]]), "many": np.arange(4.0)})
    assert pool.vectors["ends[1:2]"] == [5.0]
    assert not [name for name in pool.vectors if name.startswith("many[")]


@pytest.mark.parametrize(
    "folder", ["2_1/LAI", "3_0/S2A/LAI", "3_0/S2A/LAI_Cab", "3_0/S2A_10m/LAI", "3_0/S2B/FAPAR", "3_0/S2B/FCOVER"]
)
def test_sentinel_2(real, tmp_path, folder):
    net, samples = apart(real / "sl2p" / folder, tmp_path)
    found = porter.infer(net, samples)
    assert found.status in ("found", "open"), str(found)
    assert found.reading.verdict in ("proven", "consistent")
    inputs = len(samples.read_text().split("\n")[0].split(",")) - 1
    assert found.network.widths == (inputs, 5, 1)
