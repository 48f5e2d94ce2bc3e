"""A record as text, also one that somebody has tampered with."""

from __future__ import annotations

import pytest

from porter.report.record import render_record

RECORD = {
    "schema_version": 1,
    "source": {"name": "a.h5", "sha256": "ab"},
    "verdict": "mismatch",
    "claims": [{"layer": "Layer1", "convention": "activation", "value": "tanh", "evidence": "assumed"}],
    "findings": [{"code": "kernel.transposed", "layer": "Layer1", "message": "its kernel is transposed"}],
}


def test_facts_then_conventions_then_findings():
    assert render_record(RECORD, "aa.keras").splitlines() == [
        "aa.keras: saved by porter, with this record",
        "",
        "  source.name    a.h5",
        "  source.sha256  ab",
        "  verdict        mismatch",
        "",
        "Conventions",
        "  Layer1: activation tanh (assumed)",
        "",
        "Findings",
        "  Layer1: kernel.transposed: its kernel is transposed",
    ]


def test_no_record():
    assert render_record(None, "aa.keras").startswith("aa.keras: no provenance record")


@pytest.mark.parametrize("claims", [None, 1, "text", {}, [None], [[]], [{"layer": {}}], [{"layer": "{0.__class__}"}]])
def test_whatever_stands_in_it_is_shown_or_left_out(claims):
    text = render_record({"claims": claims, "findings": claims, "verdict": [claims]}, "aa.keras")
    assert "verdict" in text
    assert "class '" not in text


def test_nothing_in_it_reaches_the_terminal_as_a_command():
    text = render_record({"verdict": "\x1b[31mred", "claims": [{"layer": "\x1b]0;title\x07"}]}, "\x1b[2Jaa.keras")
    assert "\x1b" not in text
    assert "\x07" not in text
