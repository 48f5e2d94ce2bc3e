"""Ports that people make by hand, in every style: what is right passes, what is wrong is caught."""

from __future__ import annotations

import pytest

from tests.handmade import (
    assert_parity,
    bare_port,
    named,
    plain_port,
    rows,
)
from tests.handmade_ports.styles import STYLES

pytestmark = pytest.mark.usefixtures("keras")


def test_the_helper_that_judges_can_fail(square, judge):
    wrong = judge(plain_port(square.with_arrays(2, square.kernels[1].T)))
    undecided = judge(bare_port(square))
    for report in (wrong, undecided):
        with pytest.raises(AssertionError):
            assert_parity(report)


@pytest.mark.parametrize("style", STYLES, ids=lambda style: style.__name__)
def test_every_style_of_a_right_port_passes(square, judge, style):
    report = judge(style(square))
    assert_parity(report)
    assert set(rows(report).values()) == {"parity"}
    assert all(row.port_layer and row.elements > 0 for row in report.layers)


@pytest.mark.parametrize("style", STYLES, ids=lambda style: style.__name__)
def test_every_style_of_a_wrong_port_is_caught(square, judge, style):
    """The negative control of the test above: the same styles with two weights of Layer2 exchanged."""
    kernel = square.kernels[1].copy()
    kernel[0, 1], kernel[1, 0] = kernel[1, 0], kernel[0, 1]
    report = judge(style(square.with_arrays(2, kernel)))
    assert report.verdict == "mismatch"
    assert rows(report)["Layer2"] == "mismatch"
    assert {layer for _, layer in named(report)} == {"Layer2"}
