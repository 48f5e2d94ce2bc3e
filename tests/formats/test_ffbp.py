"""ffbp's networks, with the logistic function as the table that C2RCC builds."""

from __future__ import annotations

import math

import numpy as np
import pytest

import porter
from porter.errors import DamagedFileError, LayersError, OptionContradictionError, TruncatedFileError, UsageError
from porter.formats.programs import build_program
from reference.activations import Activation
from reference.logistic_table import ENTRIES, STEP, entries, logistic_table
from reference.precision import FORMATS
from reference.rounding.functions import activation_error
from tests.formats.families import forward, weights, write_ffbp, write_fkb

WIDTHS = (4, 6, 6, 3)
RANGES = (np.array([[-1.0, 2], [0, 75], [-9, -2], [0.5, 1]]), np.array([[-4.0, 1], [0, 10], [-1, 1]]))


def by_hand():
    """The table built entry by entry, as the original's loop does."""
    table, argument = [], -10 + STEP / 2
    for _ in range(ENTRIES):
        table.append(1 / (1 + math.exp(-argument)))
        argument += STEP
    return np.array(table)


TABLE = by_hand()


def looked_up(z):
    return TABLE[np.clip(((z + 10) / STEP).astype(np.int64), 0, ENTRIES - 1)]


@pytest.fixture
def drawn():
    kernels, biases = weights(WIDTHS)
    return [np.round(3 * kernel, 6) for kernel in kernels], [np.round(bias, 6) for bias in biases]


@pytest.fixture
def path(tmp_path, drawn):
    return write_ffbp(tmp_path / "4x6x6.net", drawn, RANGES)


def expected(drawn, x, function=looked_up):
    (low, high), (least, most) = (pairs.T for pairs in RANGES)
    return forward(drawn, (function,) * 3, (x - low) / (high - low)) * (most - least) + least


def rows(count=200):
    low, high = RANGES[0].T
    return np.random.default_rng(1).uniform(low - 0.2 * (high - low), high + 0.2 * (high - low), (count, 4))


# --- the table -------------------------------------------------------------------------------------------------------


def test_the_table_is_that_of_the_loop():
    np.testing.assert_allclose(entries(), TABLE, rtol=4e-16)  # one unit of the exponential function
    arguments = -10 + STEP / 2 + STEP * np.arange(ENTRIES)
    assert np.max(np.abs(entries() - 1 / (1 + np.exp(-arguments)))) > 1e-13, "repeated addition rounds, and it shows"


def test_what_lies_beyond_the_table_is_held_to_its_ends():
    found = logistic_table(np.array([-1e300, -10.0, 10.1, np.inf, -np.inf, np.nan]))
    np.testing.assert_array_equal(found, entries()[[0, 0, -1, -1, 0, 0]])


def bound(z, error, kind="float64"):
    z, error = np.array([z]), np.array([error])
    table = Activation("logistic_table")
    return float(activation_error(table, z, table(z), error, FORMATS[kind], FORMATS["float64"])[0])


def test_the_bound_is_a_step_where_one_may_be_crossed_and_nothing_where_not():
    inside = -10 + 50_000.5 * STEP
    jump = entries()[50_001] - entries()[50_000]
    assert bound(inside, 1e-6) < 1e-15
    assert bound(inside, 0.6 * STEP) >= jump
    edge = -10 + 50_001 * STEP
    assert bound(edge, 1e-12) >= jump, "either side of an edge"
    assert bound(edge, 1e-12) < 1.01 * jump
    assert bound(inside, 0.0) < 0.01 * jump, "so that the exact function, half a step away, is seen"
    assert bound(inside, 0.0, "float32") < 0.01 * jump


# --- files -----------------------------------------------------------------------------------------------------------


def test_it_computes_what_the_original_computes(path, drawn):
    network = porter.read(path)
    found = build_program(network)(rows())[0]
    width = np.ptp(RANGES[1], axis=1)
    assert np.max(np.abs(found - expected(drawn, rows())) / width) < 1e-12
    exact = expected(drawn, rows(), lambda z: 1 / (1 + np.exp(-z)))
    assert np.max(np.abs(found - exact) / width) > 1e-6, "the table is no sigmoid"
    assert network.source.attributes["input_names"] == ["x0", "x1", "x2", "x3"]


@pytest.mark.parametrize("end", [b"\r", b"\r\n"])
def test_lines_end_as_they_do_anywhere(path, end):
    wanted = porter.read(path).source.arrays
    path.write_bytes(path.read_bytes().replace(b"\n", end))
    found = porter.read(path).source
    assert found.format == "ffbp" and all(np.array_equal(found.arrays[name], wanted[name]) for name in wanted)


@pytest.mark.usefixtures("keras")
def test_a_float64_port_keeps_the_table(path, drawn, tmp_path):
    samples = rows(), expected(drawn, rows())
    report = porter.port(path, tmp_path / "port.keras", dtype="float64", samples=samples, search=False)
    assert report.verdict == "parity" and report.links["reading"] == "proven", str(report)
    import keras

    model = keras.models.load_model(tmp_path / "port.keras")
    width = np.ptp(RANGES[1], axis=1)
    assert np.max(np.abs(np.asarray(model(rows())) - samples[1]) / width) < 1e-12
    lookups = [layer for layer in model.layers if layer.name == "logistic_table"]
    assert len(lookups) == 1 and not lookups[0].trainable
    assert np.isfinite(np.asarray(model(np.full((1, 4), np.nan)))).all(), "as the original: NaN is looked up as zero"


@pytest.mark.usefixtures("keras")
@pytest.mark.parametrize("dtype", ["float32", "mixed_float16", "bfloat16"])
def test_other_policies_pass(path, dtype):
    network = porter.read(path)
    report = porter.verify(network, porter.build(network, dtype=dtype), search=False, rows=200)
    assert report.verdict == "parity", str(report)


@pytest.mark.usefixtures("keras")
def test_the_exact_function_is_a_mistake_unless_it_is_asked_for(path, drawn):
    table, exact = porter.read(path), porter.read(path, exact_activations=True)
    report = porter.verify(table, porter.build(exact, dtype="float64"), search=False, rows=200)
    assert [(finding.code, finding.layer) for finding in report.findings] == [
        ("activation.replaced", f"Layer{n}") for n in (1, 2, 3)
    ]
    samples = rows(), expected(drawn, rows())
    asked = porter.verify(exact, porter.build(exact, dtype="float64"), samples=samples, search=False, rows=200)
    assert asked.links["reading"] != "proven"
    (note,) = [note for note in asked.notes if "of their range" in note]
    share = float(note.partition("up to ")[2].partition(" of")[0])
    assert 1e-6 < share < 1e-3


def test_exact_activations_are_refused_where_there_is_no_table(tmp_path, path):
    fkb = write_fkb(tmp_path / "fkb.txt", weights((2, 2, 1)), ("relu 0", "linear 0"))
    with pytest.raises(UsageError, match="exact already"):
        porter.read(fkb, exact_activations=True)
    with pytest.raises(OptionContradictionError, match="beside activation"):
        porter.read(path, exact_activations=True, activation="tanh")


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        (lambda text: text.replace("#planes=4 4 6 6 3", "#planes=4 4 6 6 2"), LayersError, "planes contradict"),
        (lambda text: text.replace("#planes=4 4 6 6 3", "#planes=4 4 999999999 6 3"), DamagedFileError, "count"),
        (lambda text: text.replace("#planes=4 4 6 6 3", "#planes=4 4 99999 99999 3"), DamagedFileError, "bias 1 6"),
        (lambda text: text.replace("bias 2 6", "bias 2 7"), DamagedFileError, "bias 2 6"),
        (lambda text: text.replace("wgt 1 6 6", "wgt 1 6 6\n1.0"), DamagedFileError, "wgt 2 6 3"),
        (lambda text: text.replace("\n$\n", "\n"), DamagedFileError, r"'\$'"),
        (lambda text: text[: len(text) // 2], TruncatedFileError, "as many|ends before"),
        (lambda text: text + "wgt 3 3 1\n", DamagedFileError, "goes on"),
        (lambda text: text.replace("bias 1 6\n", "bias 1 6\nhello"), DamagedFileError, "no number"),
    ],
)
def test_what_is_wrong_is_named(path, change, error, says):
    path.write_text(change(path.read_text()))
    with pytest.raises(error, match=says):
        porter.read(path)
