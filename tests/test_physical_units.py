"""A port in physical units judged against a network in its own units, and the other way round."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

import porter

pytestmark = pytest.mark.usefixtures("keras")


@pytest.fixture(params=["PACE_x_aaNN.h5", "unnamed.h5"])
def path(request, fixtures, tmp_path):
    """The kind of the one stands in its name."""
    return shutil.copy(fixtures / "square_7-7-7-7-7.h5", tmp_path / request.param)


def physical(path):
    return porter.build(porter.read(path, physical=True, kind="aaNN"))


def test_a_right_port_is_told_to_say_physical(path):
    report = porter.verify(path, physical(path), search=False)
    assert (report.verdict, report.findings) == ("inconclusive", ())
    assert report.notes[0].startswith("the port takes and gives physical units: say --physical")
    assert ("--kind aaNN" in report.notes[0]) == (path.name == "unnamed.h5")
    assert {row.verdict for row in report.layers} == {"parity"}
    assert report.links["build"] == "inconclusive"
    assert porter.verify(path, physical(path), search=False, physical=True, kind="aaNN").verdict == "parity"


def test_and_the_other_way_round(path):
    report = porter.verify(path, porter.build(porter.read(path)), search=False, physical=True, kind="aaNN")
    assert (report.verdict, report.findings) == ("inconclusive", ())
    assert "read the file without --physical" in report.notes[0]


def test_a_mistake_in_such_a_port_is_told_as_one(path):
    model = physical(path)
    kernel = model.get_layer("Layer2").kernel
    kernel.assign(np.asarray(kernel).T)
    report = porter.verify(path, model, search=False)
    assert report.verdict == "mismatch"
    assert [(finding.code, finding.layer) for finding in report.findings] == [("kernel.transposed", "Layer2")]
    assert "say --physical" in report.notes[0] and report.after_remedy == "parity"


def test_a_function_that_belongs_to_no_units_is_still_a_mistake(path, keras):
    inputs = keras.Input((7,))
    right = porter.build(porter.read(path))
    report = porter.verify(path, keras.Model(inputs, right(keras.ops.cos(inputs))), search=False)
    assert report.verdict == "mismatch" and report.findings
    assert not any("--physical" in note for note in report.notes)


@pytest.mark.parametrize("guard", ["none", "abs", "least"])
def test_a_guard_that_makes_numbers_of_what_is_no_measurement(path, keras, guard):
    """Inside the documented range it does nothing; a fill value comes out as a result."""
    ops = keras.ops
    function = {"none": lambda x: x, "abs": ops.abs, "least": lambda x: ops.maximum(x, 1e-6)}[guard]
    inputs = keras.Input((7,))
    front = ops.concatenate([ops.cos(ops.deg2rad(inputs[:, :3])), ops.log10(function(inputs[:, 3:]))], axis=1)
    port = keras.Model(inputs, 10 ** porter.build(porter.read(path))(front))
    report = porter.verify(path, port, search=False, physical=True, kind="aaNN")
    if guard == "none":
        assert (report.verdict, report.findings) == ("parity", ())
        return
    assert report.verdict == "mismatch"
    assert [(finding.code, finding.layer) for finding in report.findings] == [("transform.replaced", "Transform_in")]
    assert "has no number" in report.findings[0].message
