"""Golden samples prove a reading, contradict it, or leave twins; without Keras."""

from __future__ import annotations

import ast
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import porter
from porter.network import Claim
from porter.programs import build_program
from porter.reading import check_reading, misfit
from porter.samples import Samples, read_samples
from reference.programs import oc_smart

SQUARE = "square_7-7-7-7-7"
OPTIONS = {
    "rectified_7-24-16-3": {"activation": "relu", "output_activation": "relu", "scaling": "[0,1]"},
    "mixed_7-20-16-12-10-7": {"activation": ["tanh", "relu", "sigmoid", "softsign", "linear"]},
    "mean_std_7-16-7": {"scaling": "mean-std"},
}
NAMES = [
    "ocean_7-100-75-50-25-7", "deep_12_layers", SQUARE, "rectified_7-24-16-3", "mixed_7-20-16-12-10-7",
    "mean_std_7-16-7", "bare_7-16-10-7", "float32_big_endian_7-16-12-7", "inputs_first_7-16-12-7", "coast_Lrc_aaNN",
]  # fmt: skip


@pytest.fixture
def read(fixtures):
    """(reading, network) of a fixture beside its golden samples."""

    def check(name, samples=None, **options):
        network = porter.read(fixtures / f"{name}.h5", **(OPTIONS.get(name, {}) | options))
        golden = read_samples(fixtures / (samples or f"{name}.npz"), network)
        return check_reading(build_program(network), network.claims, golden), network

    return check


def in_memory(inputs, outputs, input_step=0.0, step=0.0):
    inputs, outputs = np.asarray(inputs, np.float64), np.asarray(outputs, np.float64)
    return Samples(
        Path("memory"), inputs, outputs, np.full(inputs.shape, float(input_step)), np.full(outputs.shape, float(step))
    )


def claim(reading, layer, convention):
    return next(c for c in reading.claims if (c.layer, c.convention) == (layer, convention))


# --- proven ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_golden_samples_prove_every_fixture(read, name):
    reading, network = read(name)
    assert reading.verdict == "proven", reading.note
    assert reading.cause is None
    assert {c.evidence for c in reading.claims} <= {"shape", "samples"}
    assert [(c.layer, c.convention, c.value) for c in reading.claims] == [
        (c.layer, c.convention, c.value) for c in network.claims
    ]
    assert "to float64 rounding" in reading.note


def test_what_was_proven_by_shape_stays_so(read):
    reading, network = read("ocean_7-100-75-50-25-7")
    before = {(c.layer, c.convention) for c in network.claims if c.evidence == "shape"}
    assert before
    assert all(claim(reading, *key).evidence == "shape" for key in before)


def test_the_detail_says_how_much_was_refuted(read):
    reading, _ = read(SQUARE)
    found = claim(reading, "Layer2", "orientation")
    assert found.evidence == "samples"
    assert re.search(r"\d+ golden samples are reproduced with it and with none of 1 other readings", found.detail)


def test_without_samples_nothing_is_proven(read, fixtures):
    _, network = read(SQUARE)
    reading = check_reading(build_program(network), network.claims, None)
    assert reading.verdict == "assumed"
    assert reading.claims == network.claims
    assert "no golden samples" in reading.note


@pytest.mark.parametrize(
    ("evidence", "verdict"),
    [
        (("shape", "samples"), "proven"),
        (("shape", "declared"), "declared"),
        (("declared", "assumed", "shape"), "assumed"),
        (("assumed", "contradicted"), "contradicted"),
        ((), "proven"),
    ],
)
def test_the_verdict_is_the_weakest_of_the_claims(read, evidence, verdict):
    _, network = read(SQUARE)
    claims = [Claim("Layer1", "orientation", "units-first", kind) for kind in evidence]
    assert check_reading(build_program(network), claims, None).verdict == verdict


# --- contradicted ---------------------------------------------------------------------------------------------------

MISREADINGS = [
    (SQUARE, {"orientation": ["units-first", "inputs-first", "units-first", "units-first"]}, "Layer2", "orientation"),
    (SQUARE, {"orientation": ["units-first"] * 3 + ["inputs-first"]}, "Layer4", "orientation"),
    (SQUARE, {"orientation": "inputs-first"}, "Layer1", "orientation"),
    (SQUARE, {"activation": ["tanh", "relu", "tanh", "linear"]}, "Layer2", "activation"),
    (SQUARE, {"activation": "softsign"}, "Layer1", "activation"),
    (SQUARE, {"output_activation": "tanh"}, "Layer4", "activation"),
    (SQUARE, {"scaling": "[0,1]"}, "Norm_in", "scaling"),
    ("mean_std_7-16-7", {"activation": "sigmoid"}, "Layer1", "activation"),
]


@pytest.mark.parametrize(("name", "options", "layer", "convention"), MISREADINGS)
def test_a_misreading_is_contradicted_and_named_with_a_remedy_that_works(read, name, options, layer, convention):
    reading, network = read(name, **options)
    assert reading.verdict == "contradicted"
    cause = reading.cause
    assert (cause.code, cause.layer) == ("reading.contradicted", layer)
    assert layer in {step.name for step in network.layers}
    assert convention in cause.message
    assert claim(reading, layer, convention).evidence == "contradicted"
    option, value = re.search(r": (\w+)=(.*)$", cause.remedy).groups()
    value = ast.literal_eval(value)
    kept = {key: given for key, given in options.items() if not key.endswith(option)}
    again, _ = read(name, **kept, **{option: value})
    assert again.verdict == "proven", again.note


def test_claims_that_are_not_concerned_stay_as_they_were(read):
    reading, network = read(SQUARE, output_activation="tanh")
    marked = [c for c in reading.claims if c.evidence == "contradicted"]
    assert [(c.layer, c.convention) for c in marked] == [("Layer4", "activation")]
    assert len(reading.claims) == len(network.claims)


def test_samples_of_something_else_contradict_without_naming_a_convention(read):
    _, network = read(SQUARE)
    rng = np.random.default_rng(0)
    golden = in_memory(rng.normal(size=(20, 7)), rng.normal(size=(20, 7)))
    reading = check_reading(build_program(network), network.claims, golden)
    assert reading.verdict == "contradicted"
    assert reading.cause.code == "reading.contradicted"
    assert reading.cause.layer in {layer.name for layer in network.layers}
    assert "not reproduced" in reading.cause.message
    assert "network's own units" in reading.cause.remedy
    assert not any(c.evidence == "assumed" for c in reading.claims)


def test_one_wrong_value_among_many_contradicts(read, fixtures):
    _, network = read(SQUARE)
    golden = read_samples(fixtures / f"{SQUARE}.npz", network)
    outputs = golden.outputs.copy()
    outputs[-1, -1] += 1e-3
    reading = check_reading(build_program(network), network.claims, replace(golden, outputs=outputs))
    assert reading.verdict == "contradicted"


def test_physical_samples_in_place_of_the_networks_own_contradict(read):
    reading, _ = read("coast_Lrc_aaNN", samples="coast_Lrc_aaNN_physical.npz")
    assert reading.verdict == "contradicted"
    assert reading.cause.code == "reading.contradicted"


# --- how exactly the samples are known ------------------------------------------------------------------------------


def test_printed_samples_prove_as_far_as_their_digits_go(read):
    reading, _ = read("ocean_7-100-75-50-25-7", samples="ocean_7-100-75-50-25-7.csv")
    assert reading.verdict == "proven", reading.note


@pytest.mark.parametrize(("digits", "verdict"), [(6, {"proven"}), (0, {"assumed"})])
def test_too_few_digits_prove_nothing_and_contradict_nothing(read, fixtures, tmp_path, digits, verdict):
    _, network = read(SQUARE)
    golden = read_samples(fixtures / f"{SQUARE}.npz", network)
    lines = [
        ",".join([*(f"{x:.17g}" for x in a), *(f"{y:.{digits}f}" for y in b)])
        for a, b in zip(golden.inputs[:5], golden.outputs[:5], strict=True)
    ]
    (tmp_path / "golden.csv").write_text("\n".join(lines))
    printed = read_samples(tmp_path / "golden.csv", network)
    reading = check_reading(build_program(network), network.claims, printed)
    assert reading.verdict in verdict, reading.note
    assert reading.cause is None
    assert ("Layer4 activation linear and hard_tanh, elu" in reading.note) == (digits == 0)


def test_samples_computed_in_float32_are_recognised(read, fixtures):
    _, network = read(SQUARE)
    golden = read_samples(fixtures / f"{SQUARE}.npz", network)
    short = build_program(network, dtype=np.float32)
    inputs = golden.inputs.astype(np.float32)
    (outputs,) = short(inputs)
    assert outputs.dtype == np.float32
    reading = check_reading(build_program(network), network.claims, in_memory(inputs, outputs))
    assert reading.verdict == "proven"
    assert "to float32 rounding" in reading.note


def test_the_bound_of_the_samples_just_inside_and_just_outside(read, fixtures):
    _, network = read(SQUARE)
    program = build_program(network)
    golden = read_samples(fixtures / f"{SQUARE}.npz", network)
    (exact,) = program(golden.inputs)
    place, step = (3, 2), 1e-3
    outputs = exact.copy()
    outputs[place] += step
    allowed = step / misfit(program, replace(golden, outputs=outputs), "float32")
    assert 1e-9 < allowed < 1e-4
    for times, verdict in ((0.99, "proven"), (1.01, "contradicted")):
        outputs = exact.copy()
        outputs[place] += times * allowed
        reading = check_reading(program, network.claims, replace(golden, outputs=outputs))
        assert reading.verdict == verdict


def test_the_resolution_of_inputs_and_outputs_widens_the_bound(read, fixtures):
    _, network = read(SQUARE)
    program = build_program(network)
    golden = read_samples(fixtures / f"{SQUARE}.npz", network)
    wrong = golden.outputs + 1e-3
    coarse = {
        "resolution": np.full(wrong.shape, 1.1e-3),
        "input_resolution": np.full(golden.inputs.shape, 0.1),
    }
    assert misfit(program, replace(golden, outputs=wrong), "float64") > 1
    for name, value in coarse.items():
        assert misfit(program, replace(golden, outputs=wrong, **{name: value}), "float64") <= 1


# --- what never fits ------------------------------------------------------------------------------------------------


def test_the_measure_of_misfit_can_fail(read):
    """Its negative controls: what is no number, another width, and a bound that allows anything."""
    _, network = read(SQUARE)
    program = build_program(network)
    inputs = np.zeros((3, 7))
    (outputs,) = program(inputs)
    assert misfit(program, in_memory(inputs, outputs), "float64") <= 1
    assert misfit(program, in_memory(inputs, outputs * np.nan), "float64") == np.inf
    assert misfit(program, in_memory(inputs, outputs * np.inf), "float64") == np.inf
    assert misfit(program, in_memory(inputs, outputs[:, :3]), "float64") == np.inf
    assert misfit(program, in_memory(inputs, outputs, step=np.inf), "float64") == np.inf


# --- twins ----------------------------------------------------------------------------------------------------------


def tiny(bias=0.0):
    arrays = {"Weights/Layer1": np.array([[0.3, -0.2]]), "Bias/Layer1": np.array([bias])}
    claims = (Claim("Layer1", "activation", "linear", "assumed"),)
    return oc_smart.program(arrays, {}), claims


def test_readings_that_give_the_same_numbers_are_twins_and_named():
    """Outputs within [-1, 1]: the hard tanh is the identity there."""
    program, claims = tiny()
    inputs = np.array([[0.5, 1.0], [-1.0, 0.25], [0.1, 0.9]])
    reading = check_reading(program, claims, in_memory(inputs, program(inputs)[0]))
    assert reading.verdict == "proven"
    assert "they cannot tell apart: Layer1 activation linear and hard_tanh" in reading.note
    assert "hard_tanh gives the same numbers on every one of them" in reading.claims[0].detail


def test_one_more_sample_tells_the_twins_apart():
    program, claims = tiny()
    inputs = np.array([[0.5, 1.0], [-1.0, 0.25], [5.0, -5.0]])
    reading = check_reading(program, claims, in_memory(inputs, program(inputs)[0]))
    assert reading.verdict == "proven"
    assert "cannot tell apart" not in reading.note


def test_rectifiers_that_never_see_a_negative_are_named_with_their_twins(read):
    reading, _ = read("rectified_7-24-16-3")
    assert "Layer3 activation relu and linear" in reading.note


def test_readings_that_fit_only_within_the_digits_are_not_proven():
    """Unlike a twin, another reading that fits by its coarseness leaves the convention open."""
    program, claims = tiny(bias=0.001)
    inputs = np.array([[0.01, 0.0], [0.0, 0.01]])
    golden = in_memory(inputs, np.round(program(inputs)[0], 2), step=0.005)
    reading = check_reading(program, claims, golden)
    assert reading.verdict == "assumed"
    assert reading.claims == claims
    assert "tanh" in reading.note
