"""Golden samples prove a reading, contradict it, or leave twins; without Keras."""

from __future__ import annotations

import ast
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import porter
from porter.examination.domain import port_limits
from porter.formats.programs import build_program
from porter.formats.samples import Samples, read_samples
from porter.network import Claim
from porter.reading.arithmetic import PLAIN
from porter.reading.check import check_reading
from porter.reading.misfit import misfit
from reference.composed.runs import ORDERS, as_dtype, run_as, with_affine_scalings
from reference.operations.dense import Dense
from reference.programs import oc_smart
from tests.conftest import FIXTURES

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
        program = build_program(network)
        return check_reading(program, network.claims, golden, port_limits(program, outside=False)), network

    return check


def in_memory(inputs, outputs, input_step=0.0, step=0.0):
    inputs, outputs = np.asarray(inputs, np.float64), np.asarray(outputs, np.float64)
    return Samples(
        Path("memory"),
        (inputs,),
        (outputs,),
        (np.full(inputs.shape, float(input_step)),),
        (np.full(outputs.shape, float(step)),),
    )


def claim(reading, layer, convention):
    return next(c for c in reading.claims if (c.layer, c.convention) == (layer, convention))


# --- proven ---------------------------------------------------------------------------------------------------------


OPEN = {"mixed_7-20-16-12-10-7", "bare_7-16-10-7", "float32_big_endian_7-16-12-7", "coast_Lrc_aaNN"}
"""Their last layer is linear; no sample, but some input of the range, takes it out of [-1, 1]."""


@pytest.mark.parametrize("name", NAMES)
def test_golden_samples_prove_every_fixture(read, name):
    reading, network = read(name)
    assert reading.verdict == ("consistent" if name in OPEN else "proven"), reading.note
    assert {(each.reading, each.other) for each in reading.telling} == (
        {("linear", "hard_tanh")} if name in OPEN else set()
    )
    assert reading.cause is None
    left = {(each.layer, each.convention) for each in reading.telling}
    assert {c.evidence for c in reading.claims if (c.layer, c.convention) not in left} <= {"shape", "samples"}
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
    outputs = golden.outputs[0].copy()
    outputs[-1, -1] += 1e-3
    reading = check_reading(build_program(network), network.claims, replace(golden, outputs=(outputs,)))
    assert reading.verdict == "contradicted"


def test_physical_samples_in_place_of_the_networks_own_contradict(read):
    reading, _ = read("coast_Lrc_aaNN", samples="coast_Lrc_aaNN_physical.npz")
    assert reading.verdict == "contradicted"
    assert reading.cause.code == "reading.contradicted"


# --- how exactly the samples are known ------------------------------------------------------------------------------


def test_printed_samples_prove_as_far_as_their_digits_go(read):
    reading, _ = read("ocean_7-100-75-50-25-7", samples="ocean_7-100-75-50-25-7.csv")
    assert reading.verdict == "proven", reading.note


@pytest.mark.parametrize(("digits", "verdict"), [(6, {"proven", "consistent"}), (0, {"consistent"})])
def test_too_few_digits_prove_nothing_and_contradict_nothing(read, fixtures, tmp_path, digits, verdict):
    _, network = read(SQUARE)
    golden = read_samples(fixtures / f"{SQUARE}.npz", network)
    lines = [
        ",".join([*(f"{x:.17g}" for x in a), *(f"{y:.{digits}f}" for y in b)])
        for a, b in zip(golden.inputs[0][:5], golden.outputs[0][:5], strict=True)
    ]
    (tmp_path / "golden.csv").write_text("\n".join(lines))
    printed = read_samples(tmp_path / "golden.csv", network)
    reading = check_reading(build_program(network), network.claims, printed)
    assert reading.verdict in verdict, reading.note
    assert reading.cause is None
    assert ("Layer1 activation tanh and softsign" in reading.note) == (digits == 0)
    assert reading.claims[-1].evidence in ("shape", "samples") or digits == 0


def test_samples_computed_in_float32_are_recognised(read, fixtures):
    _, network = read(SQUARE)
    golden = read_samples(fixtures / f"{SQUARE}.npz", network)
    short = build_program(network, dtype=np.float32)
    inputs = golden.inputs[0].astype(np.float32)
    (outputs,) = short(inputs)
    assert outputs.dtype == np.float32
    reading = check_reading(build_program(network), network.claims, in_memory(inputs, outputs))
    assert reading.verdict == "proven"
    assert "to float32 rounding" in reading.note


def test_the_bound_of_the_samples_just_inside_and_just_outside(read, fixtures):
    _, network = read(SQUARE)
    program = build_program(network)
    golden = read_samples(fixtures / f"{SQUARE}.npz", network)
    (exact,) = program(golden.inputs[0])
    place, step = (3, 2), 1e-3
    outputs = exact.copy()
    outputs[place] += step
    allowed = step / misfit(program, replace(golden, outputs=(outputs,)), "float32")
    assert 1e-9 < allowed < 1e-4
    for times, verdict in ((0.99, "consistent"), (1.01, "contradicted")):
        outputs = exact.copy()
        outputs[place] += times * allowed
        reading = check_reading(program, network.claims, replace(golden, outputs=(outputs,)))
        assert reading.verdict == verdict


def test_the_resolution_of_inputs_and_outputs_widens_the_bound(read, fixtures):
    _, network = read(SQUARE)
    program = build_program(network)
    golden = read_samples(fixtures / f"{SQUARE}.npz", network)
    wrong = golden.outputs[0] + 1e-3
    coarse = {
        "resolution": np.full(wrong.shape, 1.1e-3),
        "input_resolution": np.full(golden.inputs[0].shape, 0.1),
    }
    assert misfit(program, replace(golden, outputs=(wrong,)), "float64") > 1
    for name, value in coarse.items():
        assert misfit(program, replace(golden, outputs=(wrong,), **{name: (value,)}), "float64") <= 1


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
    for limits in (None, np.array([[-5.0, 5.0], [-5.0, 5.0]])):
        reading = check_reading(program, claims, in_memory(inputs, program(inputs)[0]), limits)
        assert reading.verdict == "consistent"
        assert "they cannot tell apart: Layer1 activation linear and hard_tanh" in reading.note
        assert "reproduced with hard_tanh as well" in reading.claims[0].detail
        assert reading.claims[0].evidence == "assumed"
        (found,) = reading.telling
        assert limits is None or (np.abs(found.row) <= 5).all()
        np.testing.assert_array_equal(program(found.row[None])[0][0], found.outputs)
        np.testing.assert_array_equal(np.clip(found.outputs, -1, 1), found.others)
        assert not np.array_equal(found.outputs, found.others)


def test_twins_that_no_input_of_the_range_tells_apart_are_proven_for_that_range():
    program, claims = tiny()
    inputs = np.array([[0.5, 1.0], [-1.0, 0.25], [0.1, 0.9]])
    reading = check_reading(program, claims, in_memory(inputs, program(inputs)[0]), np.array([[-2.0, 2.0]] * 2))
    assert reading.verdict == "proven"
    assert reading.telling == ()
    assert (
        "no input in the documented range was found that tells Layer1 activation linear from hard_tanh" in reading.note
    )
    assert reading.claims[0].evidence == "samples"


def test_the_input_that_tells_twins_apart_closes_the_case(read, fixtures):
    """Run through the original, whichever it is, and added to the samples."""
    name = "mixed_7-20-16-12-10-7"
    open_one, network = read(name)
    golden = read_samples(fixtures / f"{name}.npz", network)
    program = build_program(network)
    (found,) = open_one.telling
    for outputs, verdict in ((found.outputs, "proven"), (found.others, "contradicted")):
        more = in_memory(
            np.concatenate([golden.inputs[0], found.row[None]]), np.concatenate([golden.outputs[0], outputs[None]])
        )
        reading = check_reading(program, network.claims, more, port_limits(program, outside=False))
        assert reading.verdict == verdict, reading.note
    assert "hard_tanh" in reading.cause.message


def test_one_more_sample_tells_the_twins_apart():
    program, claims = tiny()
    inputs = np.array([[0.5, 1.0], [-1.0, 0.25], [5.0, -5.0]])
    reading = check_reading(program, claims, in_memory(inputs, program(inputs)[0]))
    assert reading.verdict == "proven"
    assert "cannot tell apart" not in reading.note


def test_rectifiers_that_never_see_a_negative_are_named_with_their_twins(read):
    reading, _ = read("rectified_7-24-16-3")
    assert "tells Layer3 activation relu from linear" in reading.note


def test_readings_that_fit_only_within_the_digits_are_not_proven():
    """Unlike a twin, another reading that fits by its coarseness leaves the convention open."""
    program, claims = tiny(bias=0.001)
    inputs = np.array([[0.01, 0.0], [0.0, 0.01]])
    golden = in_memory(inputs, np.round(program(inputs)[0], 2), step=0.005)
    reading = check_reading(program, claims, golden)
    assert reading.verdict == "consistent"
    assert reading.claims[0].evidence == "assumed"
    assert "tanh" in reading.note


# --- as close as the arithmetic of the samples comes ----------------------------------------------------------------


class Given:
    """An activation that no name stands for."""

    name, parameters = "given", {}

    def __init__(self, function):
        self.function = function

    def __call__(self, x):
        return self.function(x)


def _rational(x):
    """A quotient of polynomials for tanh, right to 1e-6 within 3 and to 1e-4 within 5."""
    square = x * x
    high = x * (135135 + square * (17325 + square * (378 + square)))
    return np.clip(high / (135135 + square * (62370 + square * (3150 + 28 * square))), -1, 1)


GRID = np.linspace(-10, 10, 100_000)


def _looked_up(x):
    """The nearest of 100,000 entries."""
    return np.tanh(GRID)[np.clip(((x + 10) / 20 * (len(GRID) - 1)).astype(int), 0, len(GRID) - 1)]


def _every_layer(program, change):
    steps = tuple(change(step) if isinstance(step, Dense) else step for step in program.steps)
    return replace(program, steps=steps)


def _with_hidden(program, function):
    last = [step for step in program.steps if isinstance(step, Dense)][-1]
    return _every_layer(program, lambda s: s if s is last else replace(s, activation=Given(function)))


def _one_weight_off(program, share, layer="Layer2"):
    def change(step):
        if step.name != layer:
            return step
        weights = step.weights.copy()
        place = np.unravel_index(np.argmax(np.abs(weights)), weights.shape)
        weights[place] *= 1 + share
        return replace(step, weights=weights)

    return _every_layer(program, change)


def _printed_weights(program, digits):
    return _every_layer(program, lambda step: replace(step, weights=np.round(step.weights, digits)))


ALTERED = {
    "rational tanh": lambda program: _with_hidden(program, _rational),
    "a table of tanh": lambda program: _with_hidden(program, _looked_up),
    "four decimals": lambda program: _printed_weights(program, 4),
    "six decimals": lambda program: _printed_weights(program, 6),
    "one weight by 1e-4": lambda program: _one_weight_off(program, 1e-4),
    "one weight by 1e-6": lambda program: _one_weight_off(program, 1e-6),
    "one weight of the first layer": lambda program: _one_weight_off(program, 1e-4, "Layer1"),
}


def judged(network, inputs, outputs, **resolution):
    program = build_program(network)
    return check_reading(
        program, network.claims, in_memory(inputs, outputs, **resolution), port_limits(program, outside=False)
    )


@pytest.fixture(scope="module")
def ocean():
    network = porter.read(FIXTURES / "ocean_7-100-75-50-25-7.h5")
    with np.load(FIXTURES / "ocean_7-100-75-50-25-7.npz") as samples:
        return network, samples["inputs"]


@pytest.mark.parametrize("altered", ALTERED)
def test_samples_of_something_slightly_else_prove_nothing(ocean, altered):
    network, inputs = ocean
    (outputs,) = ALTERED[altered](build_program(network))(inputs)
    reading = judged(network, inputs, outputs)
    assert reading.verdict in ("consistent", "contradicted"), reading.note
    assert reading.verdict == "contradicted" or "times as far from the reference as" in reading.note


@pytest.mark.parametrize("altered", ["a table of tanh", "four decimals", "six decimals", "one weight by 1e-4"])
def test_nor_where_they_were_made_in_float32(ocean, altered):
    network, inputs = ocean
    (outputs,) = as_dtype(ALTERED[altered](build_program(network)), np.float32, PLAIN)(inputs)
    assert judged(network, inputs, outputs.astype(np.float64)).verdict in ("consistent", "contradicted")


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("offset", [1e-5, -1e-3])
def test_nor_do_samples_with_an_offset(ocean, dtype, offset):
    network, inputs = ocean
    (outputs,) = as_dtype(build_program(network), dtype, PLAIN)(inputs)
    shifted = (outputs + dtype(offset)).astype(np.float64)
    assert judged(network, inputs, shifted).verdict in ("consistent", "contradicted")
    assert judged(network, inputs, outputs.astype(np.float64)).verdict == "proven"


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("affine", [False, True])
def test_right_samples_of_any_order_of_summation_prove(ocean, order, dtype, affine):
    network, inputs = ocean
    program = as_dtype(build_program(network), dtype, PLAIN)
    program = run_as(with_affine_scalings(program) if affine else program, order, None)
    shuffled = np.random.default_rng(1).permutation(len(inputs))
    (outputs,) = program(inputs[shuffled])
    reading = judged(network, inputs[shuffled], outputs.astype(np.float64))
    assert reading.verdict == "proven", reading.note


def test_float32_layers_between_scalings_in_float64_prove(ocean):
    network, inputs = ocean
    (outputs,) = as_dtype(build_program(network), np.float32, (Dense,))(inputs)
    assert outputs.dtype == np.float64
    reading = judged(network, inputs, outputs)
    assert reading.verdict == "proven", reading.note
    assert "to float32 between scalings in float64 rounding" in reading.note


@pytest.mark.parametrize("digits", [5, 6, 7, 8, 12])
def test_printed_samples_prove_to_their_last_digit_and_no_farther(ocean, digits):
    network, inputs = ocean
    (outputs,) = build_program(network)(inputs)
    step = 0.5 * 10.0 ** (1 - digits)
    printed = np.round(outputs, digits - 1)
    assert judged(network, inputs, printed, step=step).verdict == "proven"
    assert judged(network, inputs, printed + 4 * step, step=step).verdict != "proven"


def test_float64_samples_are_held_to_float64(ocean):
    """A float32 run's error in numbers that no float32 is."""
    network, inputs = ocean
    (outputs,) = build_program(network)(inputs)
    (short,) = as_dtype(build_program(network), np.float32, PLAIN)(inputs)
    assert judged(network, inputs, short.astype(np.float64)).verdict == "proven"
    reading = judged(network, inputs, outputs + 1.5 * (short - outputs))
    assert reading.verdict == "consistent"
    assert "float64 arithmetic" in reading.note


def test_inputs_printed_with_few_digits_are_taken_as_exact_first(ocean):
    network, _ = ocean
    low, high = np.sort(network.input_range, axis=1).T
    inputs = np.round(np.random.default_rng(3).uniform(low, high, (40, len(low))), 2)
    (outputs,) = build_program(network)(inputs)
    reading = judged(network, inputs, outputs, input_step=0.005)
    assert reading.verdict in ("proven", "consistent"), reading.note
    assert {(each.reading, each.other) for each in reading.telling} <= {("linear", "hard_tanh")}
    moved = inputs + np.random.default_rng(4).uniform(-0.005, 0.005, inputs.shape)
    reading = judged(network, inputs, build_program(network)(moved)[0], input_step=0.005)
    assert reading.verdict in ("proven", "consistent"), reading.note
    assert judged(network, inputs, build_program(network)(moved)[0]).verdict == "contradicted"


# --- samples that are wrong -----------------------------------------------------------------------------------------


def test_samples_that_contradict_themselves_are_said_to(ocean):
    network, inputs = ocean
    (outputs,) = build_program(network)(inputs)
    twice = np.concatenate([inputs, inputs[:3]])
    reading = judged(network, twice, np.concatenate([outputs, outputs[:3]]))
    assert reading.verdict == "proven"
    reading = judged(network, twice, np.concatenate([outputs, outputs[:3] + 0.1]))
    assert reading.verdict == "contradicted"
    assert "contradict themselves" in reading.cause.message
    assert f"rows 0 and {len(inputs)} have the same inputs" in reading.cause.detail


def test_rows_outside_the_documented_range_are_said(ocean):
    network, inputs = ocean
    beyond = inputs.copy()
    beyond[[2, 5], 0] = network.input_range.max() + 100
    reading = judged(network, beyond, build_program(network)(beyond)[0])
    assert reading.verdict == "proven"
    assert f"2 of {len(inputs)} rows lie outside the documented range" in reading.note
    assert "outside the documented range" not in judged(network, inputs, build_program(network)(inputs)[0]).note


def test_outputs_that_no_input_could_give_are_said(read):
    _, network = read("rectified_7-24-16-3")
    inputs = np.sort(network.input_range, axis=1).mean(axis=1)[None].repeat(4, axis=0) * (
        1 + 0.01 * np.arange(4)[:, None]
    )
    (outputs,) = build_program(network)(inputs)
    low = network.layer("Norm_out").stored.min(axis=1)
    reading = judged(network, inputs, np.where(np.arange(4)[:, None] == 2, low - 5, outputs))
    assert reading.verdict == "contradicted"
    assert "3 of 12 outputs are none that the last layer can give" in reading.note
