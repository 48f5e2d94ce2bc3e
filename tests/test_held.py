"""Golden samples held against the port itself: the figure is always told, and what rounding cannot explain is found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import porter
from benchmarks.rewritings import FORMS, plain, rewritten, write
from porter.formats.programs import build_program
from porter.formats.samples import make_samples
from porter.reading.held import hold
from porter.verdict import build as verdict
from reference.precision import Precision
from tests.rewriting.test_right_ports import HIDDEN, network

pytestmark = pytest.mark.usefixtures("keras")

NAME = "ocean_7-100-75-50-25-7"
TOLD = "golden samples the port differs from the original by at most"


@pytest.fixture(scope="module")
def ocean(fixtures):
    read = porter.read(fixtures / f"{NAME}.h5")
    with np.load(fixtures / f"{NAME}.npz") as samples:
        return read, samples["inputs"], samples["outputs"]


@pytest.mark.parametrize("form", FORMS)
def test_right_ports_in_every_form_are_held_and_pass(tmp_path, form):
    legacy = network(HIDDEN.get(form, "tanh"))
    read = porter.read(legacy.write(tmp_path / "legacy.h5"), **legacy.options)
    port = rewritten(plain(legacy, "float32"), (form,), np.random.default_rng(1))
    inputs = np.random.default_rng(2).uniform(*np.sort(read.input_range, axis=1).T, (40, read.widths[0]))
    samples = (inputs, build_program(read)(inputs)[0])
    report = porter.verify(read, write(port), samples=samples, search=False, rows=100)
    assert report.verdict == "parity", str(report)
    assert f"on 40 {TOLD}" in report.link_notes["build"]


@pytest.mark.parametrize("placement", ["inside", "folded", "outside"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "mixed_float16"])
def test_right_ports_wherever_their_scaling_is(ocean, placement, dtype):
    read, inputs, outputs = ocean
    port = porter.build(read, placement=placement, dtype=dtype)
    declared = "outside" if placement == "outside" else None
    report = porter.verify(read, port, samples=(inputs, outputs), search=False, rows=50, placement=declared)
    assert report.verdict == "parity", str(report)
    assert TOLD in report.link_notes["build"]


def test_a_wrong_port_is_told_with_its_figure(ocean):
    read, inputs, outputs = ocean
    port = porter.build(read)
    kernel, bias = port.get_layer("Layer5").get_weights()
    port.get_layer("Layer5").set_weights([kernel * 1.5, bias])
    report = porter.verify(read, port, samples=(inputs, outputs), search=False, rows=50)
    assert report.verdict == "mismatch"
    assert TOLD in report.link_notes["build"]


def test_what_rounding_cannot_explain_is_counted_just_beyond_the_bound(ocean):
    read, _, outputs = ocean
    program, golden = build_program(read), make_samples(*ocean[1:], read)
    precisions = {step.name: Precision("float32", "float32") for step in program.steps}
    right = hold(program, golden, [outputs], precisions)
    assert (right.exceeding, right.largest, right.telling) == (0, 0, True)
    off = outputs.copy()
    off[5, 2] += 1.0
    found = hold(program, golden, [off], precisions)
    assert (found.exceeding, found.largest) == (1, pytest.approx(1.0))
    assert found.share == pytest.approx(1.0 / np.ptp(outputs[:, 2]), rel=0.5)
    assert "more than rounding explains in 1 of" in found.note


def test_other_shapes_and_numbers_that_are_none_exceed(ocean):
    read, _, outputs = ocean
    program, golden = build_program(read), make_samples(*ocean[1:], read)
    precisions = {step.name: Precision("float32", "float32") for step in program.steps}
    assert hold(program, golden, [outputs[:, :3]], precisions).exceeding == outputs.size
    assert hold(program, golden, [np.where(np.eye(*outputs.shape) == 1, np.nan, outputs)], precisions).exceeding == 7
    wide = replace(golden, resolution=tuple(np.full(each.shape, 1e6) for each in golden.outputs))
    found = hold(program, wide, [outputs], precisions)
    assert not found.telling
    assert "judges nothing" in found.note


def test_a_port_that_is_not_all_there_is_said_not_to_be_held(ocean):
    read, inputs, outputs = ocean
    bare = porter.build(read, placement="outside")
    report = porter.verify(read, bare, samples=(inputs, outputs), search=False, rows=50)
    assert "was not held against the golden samples" in report.link_notes["build"]


def test_a_port_that_only_the_samples_show_to_be_wrong(ocean, monkeypatch):
    """Every layer right, and yet not the original's numbers: whatever the examination missed."""
    read, inputs, outputs = ocean
    port = porter.build(read)

    hold_port = verdict.hold_port
    monkeypatch.setattr(verdict, "hold_port", lambda *given: replace(hold_port(*given), exceeding=3, largest=1.0))
    report = porter.verify(read, port, samples=(inputs, outputs), search=False, rows=50)
    assert (report.verdict, report.links["build"]) == ("mismatch", "mismatch")
    assert (report.findings[0].code, report.findings[0].layer) == ("unexplained", "Norm_out")
