"""What a comparison could have shown: the bound beside the range, just inside and just outside of what is small."""

from __future__ import annotations

import numpy as np
import pytest

from porter.examination.compare import compare_outputs, merge_comparisons
from porter.examination.power import LARGEST_SHARE, UNITS, has_power, measure_coarseness, word_power
from reference.precision import FORMATS, Precision

OUTPUTS = np.array([[0.0, 1.0], [0.5, -1.0], [1.0, 0.25]])


def allowing(error):
    return np.full(OUTPUTS.shape, error)


@pytest.mark.parametrize(
    ("dtype", "limit"),
    [
        ("float64", LARGEST_SHARE),
        ("float32", LARGEST_SHARE),
        ("float16", UNITS * 2.0**-11),
        ("bfloat16", UNITS * 2.0**-8),
    ],
)
def test_just_inside_and_just_outside(dtype, limit):
    for times, small in ((0.999, True), (1.001, False)):
        coarseness = measure_coarseness(OUTPUTS, allowing(2.0 * limit * times))  # the outputs range over 2
        assert has_power(coarseness, Precision(dtype, dtype)) is small


def test_the_coarsest_unit_counts_and_not_the_average_of_all():
    allowed = allowing(1e-9)
    allowed[:, 1] = 1.0
    assert measure_coarseness(OUTPUTS, allowed) == pytest.approx(0.5)


def test_nothing_compared_is_nothing_shown():
    assert measure_coarseness(OUTPUTS, allowing(np.inf)) == np.inf
    assert measure_coarseness(OUTPUTS, allowing(1e-9), np.ones(OUTPUTS.shape, bool)) == np.inf
    assert not has_power(np.inf, Precision("bfloat16", "bfloat16"))


def test_exact_steps_have_all_the_power_there_is():
    assert measure_coarseness(OUTPUTS, allowing(0.0)) == 0.0


def test_a_constant_is_held_against_its_own_size():
    assert measure_coarseness(np.full((4, 1), 8.0), np.full((4, 1), 0.5)) == pytest.approx(0.0625)


def test_tensorfloat32_resolves_less_than_float32():
    share = 2 * LARGEST_SHARE
    assert has_power(share, Precision("float32", "float32", tensorfloat32=True))
    assert not has_power(share, Precision("float32", "float32"))


def test_the_most_telling_probes_count():
    coarse, fine = (compare_outputs(OUTPUTS, OUTPUTS, allowing(error)) for error in (2.0, 2e-6))
    assert coarse.coarseness == pytest.approx(1.0)
    assert merge_comparisons([coarse, fine]).coarseness == pytest.approx(1e-6)


def test_units_is_wide_enough_for_a_few_roundings_of_every_format():
    assert all(UNITS * FORMATS[name].unit < 0.15 for name in FORMATS)


def test_the_widest_bound_is_told():
    assert word_power([2e-7, None, 3e-5, np.inf]) == "the widest bound is 3e-05 of what its layer ranges over"
    assert word_power([None, np.inf]) == "no bound says anything"
