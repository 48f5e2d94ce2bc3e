"""What counts as the same output, and that the rest does not."""

from __future__ import annotations

import pytest

from tests.docs.likeness import FACTOR, differences

HASH = "8efe3f249b424b580c80ec1503b19d0c32291fe352c5d223001aadae32aa87de"


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        ("Layer1   3.30e-09   3.52e-09   parity", "Layer1   4.10e-09   3.52e-09   parity"),
        ("a paragraph that\n  breaks here", "a paragraph\n  that breaks here"),
        (f"port_sha256  {HASH}", f"port_sha256  {HASH[::-1]}"),
        ("  versions.keras   3.15.1", "  versions.keras   3.16.0"),
        ("  platform   Linux-6.1", "  platform   Linux-5.4"),
        ("1 passed in 2.31s", "1 passed in 12.05s"),
        ("no other explanation of 238\n  tried", "no other explanation of 32 tried"),
        ("report: /tmp/pytest-of-me/pytest-3/page.html", "report: /var/pytest-of-you/pytest-0/page.html"),
    ],
)
def test_what_depends_on_the_machine_is_alike(expected, actual):
    assert expected != actual
    assert differences(expected, actual) == ""


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        ("Layer1   3.30e-09   parity", "Layer1   3.30e-09   mismatch"),
        ("worst 1.88e-01 at row 11", "worst 1.98e-01 at row 11"),
        ("worst 1.88e-01 at row 11", "worst 1.88e-01 at row 12"),
        ("1 passed in 2.31s", "2 passed in 2.31s"),
        ("275,973 of 276,200", "275,974 of 276,200"),
        ("PARITY\nand more", "PARITY"),
        ("0", "0.00e+00"),
    ],
)
def test_what_a_reader_would_notice_is_not(expected, actual):
    told = differences(expected, actual)
    assert "\n-" in told and told.startswith("--- as the page has it\n+++ as it is now\n")


@pytest.mark.parametrize(("factor", "alike"), [(FACTOR * 0.99, True), (FACTOR * 1.01, False)])
def test_an_error_of_rounding_may_be_off_by_its_order_of_magnitude(factor, alike):
    for scale in (factor, 1 / factor):
        assert (differences("1.000e-07", f"{1e-7 * scale:.3e}") == "") is alike
