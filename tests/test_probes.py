"""Inputs that break ports: what each set of probes reaches."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from porter.examination import probes
from porter.examination.probes import basis_rows, blocks, draw_rows, far_rows, layer_rows, steered_rows, wide_rows

LIMITS = np.array([[-1.0, 1.0], [0.0, 10.0], [100.0, 101.0]])


def rng(seed=0):
    return np.random.default_rng(seed)


def holds(rows, row):
    return bool((rows == np.asarray(row)).all(axis=1).any())


def test_rows_inside_the_range_with_its_corners_its_centre_its_axes_and_zero():
    rows = draw_rows(LIMITS, 3, 500, rng())
    assert rows.dtype == np.float64 and rows.shape[1] == 3 and len(rows) >= 500
    for row in ([-1, 0, 100], [1, 10, 101], [0, 5, 100.5], [0, 0, 0], [1, 5, 100.5], [0, 10, 100.5], [0, 5, 101]):
        assert holds(rows, row), row
    assert not holds(rows, [2, 2, 2])
    corners = np.isin(rows, LIMITS).all(axis=1) & (rows[:, 2] > 99)
    assert len(np.unique(rows[corners], axis=0)) == 8
    inside = rows[(rows[:, 2] > 99)]
    assert (inside >= LIMITS[:, 0]).all() and (inside <= LIMITS[:, 1]).all()
    drawn = rows[-500:]
    assert (drawn.min(0) < LIMITS[:, 0] + 0.05 * np.ptp(LIMITS, axis=1)).all()
    assert (drawn.max(0) > LIMITS[:, 1] - 0.05 * np.ptp(LIMITS, axis=1)).all()


def test_without_a_range_rows_are_normal_at_three_scales_with_axes_and_zero():
    rows = draw_rows(None, 3, 3000, rng())
    for row in ([0, 0, 0], [0, 1, 0], [0, -1, 0]):
        assert holds(rows, row)
    assert np.isfinite(rows).all()
    assert np.percentile(np.abs(rows), 99) > 10
    assert np.percentile(np.abs(rows), 10) < 0.1


@pytest.mark.parametrize("limits", [None, LIMITS])
def test_rows_are_the_same_for_the_same_seed(limits):
    assert np.array_equal(draw_rows(limits, 3, 50, rng(1)), draw_rows(limits, 3, 50, rng(1)))
    assert not np.array_equal(draw_rows(limits, 3, 50, rng(1)), draw_rows(limits, 3, 50, rng(2)))


@pytest.mark.parametrize("limits", [None, np.tile([0.0, 1.0], (3000, 1))])
def test_a_very_wide_network_gets_a_bounded_number_of_rows(limits):
    assert len(draw_rows(limits, 3000, 100, rng())) < 1000


@given(st.integers(1, 200))
def test_basis_rows_are_zero_and_both_signs_of_every_input(width):
    rows = basis_rows(width, rng())
    assert rows.shape == (2 * width + 1, width)
    assert not rows[0].any()
    assert np.array_equal(rows[1 : width + 1], np.eye(width))
    assert np.array_equal(rows[width + 1 :], -np.eye(width))


def test_basis_rows_of_a_wide_layer_hold_every_input_once_in_small_groups(monkeypatch):
    monkeypatch.setattr(probes, "FULL_BASIS_WIDTH", 8)
    monkeypatch.setattr(probes, "BASIS_GROUPS", 5)
    assert basis_rows(8, rng()).shape == (17, 8)
    rows = basis_rows(9, rng())
    assert rows.shape == (11, 9)
    assert np.array_equal(np.count_nonzero(rows[1:6], axis=0), np.ones(9))
    assert np.count_nonzero(rows, axis=1).max() == 2
    assert np.array_equal(rows[6:], -rows[1:6])
    assert len(np.unique(np.abs(rows[1:6][rows[1:6] != 0]))) == 9  # two inputs exchanged would show


def test_fewer_basis_rows_are_enough_where_the_weights_were_read(monkeypatch):
    monkeypatch.setattr(probes, "READ_FULL_BASIS_WIDTH", 8)
    monkeypatch.setattr(probes, "READ_BASIS_GROUPS", 3)
    assert basis_rows(8, rng(), read=True).shape == (17, 8)
    assert basis_rows(9, rng(), read=True).shape == (7, 9)
    assert basis_rows(9, rng()).shape == (19, 9)


@pytest.mark.parametrize("most", [2, 100])
def test_every_single_weight_shows_in_the_basis_rows(most, monkeypatch):
    monkeypatch.setattr(probes, "FULL_BASIS_WIDTH", most)
    monkeypatch.setattr(probes, "BASIS_GROUPS", 2)
    kernel = rng().standard_normal((5, 4))
    rows = basis_rows(5, rng())
    for place in np.ndindex(kernel.shape):
        other = kernel.copy()
        other[place] += 1e-9
        assert not np.array_equal(rows @ kernel, rows @ other)


@given(st.integers(1, 40), st.sampled_from([65504.0, 3.4e38]), st.sampled_from([1e-3, 1.0, 1e3]))
def test_far_rows_have_every_magnitude_that_fits_both_signs_and_fill_values(width, largest, size):
    rows = far_rows(width, largest, rng(), size)
    reach = np.abs(rows).max(axis=1) * size
    assert (reach < largest).all()
    for magnitude in (100.0, 1e6, 1e30):
        shown = (np.abs(rows) > magnitude / 2).all(axis=1)
        assert shown.any() or magnitude * size >= largest
    assert all((-row == rows).all(axis=1).any() for row in rows[: len(rows) - len(probes.FILL_VALUES)])
    assert (rows == -999.0).all(axis=1).any() or 999.0 * size >= largest


def test_wide_rows_are_far_wider_than_an_activation_gives_and_of_both_signs():
    rows = wide_rows(6, rng())
    assert rows.shape == (probes.WIDE_ROWS + 8, 6)
    assert 8 < rows[: probes.WIDE_ROWS].std() < 12
    assert (rows > 0).all(axis=1).any() and (rows < 0).all(axis=1).any()


@given(st.integers(1, 20), st.integers(1, 20), st.integers(0, 100), st.sampled_from([1e-2, 1.0, 1e2]))
def test_steered_rows_bring_every_unit_to_both_sides_and_into_saturation(inputs, units, seed, magnitude):
    kernel = magnitude * rng(seed).standard_normal((inputs, units))
    bias = rng(seed + 1).standard_normal(units)
    rows = steered_rows(kernel, bias, rng())
    z = rows @ kernel + bias
    norms = np.linalg.norm(kernel, axis=0)
    for unit in np.flatnonzero(norms > 1e-2 * magnitude):
        for target in (-8.0, -3.0, -0.7, 0.7, 3.0, 8.0):
            assert np.min(np.abs(z[:, unit] - target)) < 1e-6 * (1 + np.abs(bias[unit]))


def test_steered_rows_without_a_bias_and_with_dead_units():
    kernel = np.array([[1.0, 0.0], [0.0, 0.0]])
    rows = steered_rows(kernel, None, rng())
    assert sorted((rows @ kernel)[:, 0]) == [-8.0, -3.0, -0.7, 0.7, 3.0, 8.0]
    assert steered_rows(np.zeros((3, 2)), np.ones(2), rng()).shape[0] == 0


def test_steered_rows_stay_within_what_float32_can_hold():
    rows = steered_rows(np.full((3, 1), 1e-30), np.zeros(1), rng())
    assert rows.shape[0] == 0


def test_steered_rows_of_many_units_are_a_sample():
    rows = steered_rows(rng().standard_normal((4, 1000)), None, rng())
    assert len(rows) == 6 * probes.STEERED_UNITS


def test_the_probe_sets_of_a_layer_have_names_and_none_is_empty():
    sets = layer_rows(rng().standard_normal((4, 3)), np.zeros(3), rng())
    assert list(sets) == ["basis probes", "wide hidden vectors", "steered vectors"]
    assert all(rows.ndim == 2 and rows.shape[1] == 4 and len(rows) for rows in sets.values())
    sets = layer_rows(np.zeros((4, 3)), np.zeros(3), rng())
    assert list(sets) == ["basis probes", "wide hidden vectors"]


@given(st.integers(0, 30), st.integers(1, 12))
def test_blocks_are_all_of_it_in_order(rows, size):
    array = np.arange(rows)
    parts = list(blocks(array, size))
    assert np.array_equal(np.concatenate([part for _, part in parts] or [array]), array)
    assert all(len(part) <= size and part[0] == start for start, part in parts)
