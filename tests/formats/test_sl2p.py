"""SL2P's folders: the network, and what becomes of values outside their bounds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import porter
from porter.errors import DamagedFileError, MissingMemberError, NotAFileError, SamplesValueError, UsageError
from porter.formats.programs import build_program
from porter.jobs.inspection import inspect
from porter.network import Extremes
from reference.composed.extremes import Extremes as Step
from reference.precision import Precision
from reference.rounding.bounds import allowed_error
from tests.formats.families import weights, write_sl2p

WIDE = Precision("float64", "float64")


@pytest.fixture
def folder(tmp_path):
    return write_sl2p(tmp_path / "LAI")


def rows(count=400):
    return np.random.default_rng(0).uniform([-3, -3, -4, -3], [3, 3, 4, 3], (count, 4))


def expected(x):
    """Value by value, as the original's code has it."""
    (first, second), (hidden, last) = weights((4, 5, 1))
    first, second, hidden, last = (
        np.array([[float(f"{value:.12g}") for value in row] for row in np.atleast_2d(part)])
        for part in (first, second, hidden, last)
    )
    low, high = np.array([[0, 0.25], [0.01, 0.6], [-1, 1], [0.3, 0.9]]).T
    found = []
    for row in x:
        scaled = 2 * (row - low) / (high - low) - 1
        y = second[0] @ np.tanh(first @ scaled + hidden[0]) + last[0, 0]
        y = 0.5 * (y + 1) * (14.4 - 0.0003) + 0.0003
        if y < 0:
            y = 0.0 if y >= -0.2 else np.nan
        elif y > 8:
            y = 8.0 if y <= 8.2 else np.nan
        found.append(y)
    return np.array(found)[:, None]


def test_it_computes_what_the_original_computes(folder):
    found, wanted = build_program(porter.read(folder))(rows())[0], expected(rows())
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-13)
    assert np.isnan(wanted).any() and (wanted == 0).any() and (wanted == 8).any(), "every case occurs"


def test_what_it_is_called_and_what_is_assumed(folder):
    network = porter.read(folder)
    assert (network.name, network.family) == ("LAI", "sl2p")
    assert network.declarations == {}
    seen = inspect(network)
    assert [layer.kind for layer in seen.layers] == ["scaling", "dense", "dense", "scaling", "extremes"]
    assert ("Extremes", "assumed") in {(claim.layer, claim.evidence) for claim in network.claims}
    assert network.source.sha256 != porter.read(write_sl2p(folder, seed=1)).source.sha256


def test_without_bounds_there_is_no_such_step(tmp_path):
    network = porter.read(write_sl2p(tmp_path / "LAI", extremes=None))
    assert [layer.name for layer in network.layers] == ["Norm_in", "Layer1", "Layer2", "Norm_out"]


# --- the step ---------------------------------------------------------------------------------------------------------


def test_the_bound_is_open_only_where_a_flag_hangs_on_rounding():
    step = Step("E", ("inputs",), np.array([0.0]), np.array([8.0]), np.array([0.2]))
    x = np.array([[-0.3], [-0.2], [-0.1], [4.0], [8.1], [8.2], [8.3]])
    allowed = allowed_error(step, (x,), step(x), WIDE)
    np.testing.assert_array_equal(np.isinf(allowed)[:, 0], [False, True, False, False, False, True, False])
    assert np.nanmax(allowed[np.isfinite(allowed)]) < 1e-13
    moved = allowed_error(step, (x,), step(x), WIDE, input_error=(np.full(x.shape, 0.15),))
    np.testing.assert_array_equal(np.isinf(moved)[:, 0], [True, True, True, False, True, True, True])


@pytest.mark.usefixtures("keras")
@pytest.mark.parametrize("dtype", ["float32", "float64", "mixed_float16", "float16"])
def test_a_right_port_passes(folder, dtype, tmp_path):
    network = porter.read(folder)
    report = porter.verify(network, porter.build(network, dtype=dtype), search=False, rows=200)
    assert report.verdict == "parity", str(report)


def wrong_ports(network):
    own = network.layers[-1]
    assert isinstance(own, Extremes)
    before = network.layers[:-1]
    return {
        "the port has no such step": before,
        "values within the tolerance are flagged": (*before, replace(own, tolerance=0 * own.tolerance)),
        "everything is clamped and nothing is flagged": (*before, replace(own, tolerance=own.tolerance + 1e30)),
        "beyond the tolerance are not flagged": (*before, replace(own, greatest=own.greatest + 1)),
    }


@pytest.mark.usefixtures("keras")
def test_what_a_port_does_otherwise_is_named(folder):
    network = porter.read(folder)
    for says, layers in wrong_ports(network).items():
        report = porter.verify(network, porter.build(replace(network, layers=layers)), search=False, rows=100)
        assert report.verdict == "mismatch", says
        (finding,) = report.findings
        assert (finding.code, finding.layer) == ("transform.replaced", "Extremes") and says in finding.message
        assert report.after_remedy == "parity"


@pytest.mark.usefixtures("keras")
def test_samples_may_hold_flags_and_contradict_where_one_is_missing(folder):
    network = porter.read(folder)
    port, x, y = porter.build(network, dtype="float64"), rows(), expected(rows())
    report = porter.verify(network, port, samples=(x, y), search=False, rows=50)
    assert report.links["reading"] != "contradicted", str(report)
    flag = int(np.flatnonzero(np.isnan(y[:, 0]))[0])
    wrong = y.copy()
    wrong[flag] = 8.0
    assert porter.verify(network, port, samples=(x, wrong), search=False, rows=50).links["reading"] == "contradicted"
    bare = replace(network, layers=network.layers[:-1])
    with pytest.raises(SamplesValueError):
        porter.verify(bare, porter.build(bare), samples=(x, y), search=False, rows=50)


def test_scaling_cannot_be_left_to_the_caller(folder):
    with pytest.raises(UsageError, match="bounds or an ensemble inside"):
        porter.build(porter.read(folder), placement="outside")


# --- what is wrong ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "error", "says"),
    [
        ("Normalisation", None, MissingMemberError, "LAI_Normalisation"),
        ("Weights_Layer1_Bias", "1,2,3", MissingMemberError, "3 biases"),
        ("Weights_Layer1_Neurons", "1,2\n3\n", DamagedFileError, "no matrix"),
        ("Weights_Layer1_Neurons", "1,x,3,4\n", DamagedFileError, "no number"),
        ("Denormalisation", "1,2,3", DamagedFileError, r"\(1, 2\)"),
        ("ExtremeCases", "0.2,8,0", DamagedFileError, "ExtremeCases"),
    ],
)
def test_what_is_wrong_is_named(folder, name, text, error, says):
    path = folder / f"LAI_{name}"
    path.unlink() if text is None else path.write_text(text)
    with pytest.raises(error, match=says):
        porter.read(folder)


def test_no_link_is_followed(folder, tmp_path):
    path = folder / "LAI_Normalisation"
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(MissingMemberError, match="LAI_Normalisation"):
        porter.read(folder)


def test_several_networks_in_one_folder_are_refused(folder):
    for path in list(folder.iterdir()):
        (folder / path.name.replace("LAI", "CAB")).write_text(path.read_text())
    with pytest.raises(UsageError, match="several networks"):
        porter.read(folder)


def test_a_folder_of_nothing_known(tmp_path):
    with pytest.raises(NotAFileError, match="is a directory"):
        porter.read(tmp_path)
