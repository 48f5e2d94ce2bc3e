from __future__ import annotations

import re
from dataclasses import replace

import pytest

from porter.report.terminal import render_text
from porter.report.wording import printable, remedy_blocks, setting
from tests.report.examples import EXAMPLES, hostile, inconclusive, mismatch, parity

ANSI = re.compile(r"\x1b\[[0-9;]*m")


@pytest.mark.parametrize("name", EXAMPLES)
def test_golden(name, assert_golden):
    assert_golden(f"{name}.txt", render_text(EXAMPLES[name]()))


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize("width", [60, 80, 120])
def test_fits_the_width(name, width):
    report = EXAMPLES[name]()
    blocks = [block for finding in report.findings for block in remedy_blocks(finding)]
    code = [printable(line) for is_code, text in blocks if is_code for line in text.splitlines()]
    code += (setting(report) or "\0").splitlines()
    lines = [line for line in render_text(report, width).splitlines() if not line.endswith(tuple(code))]
    assert max(map(len, lines)) <= width


def test_code_to_paste_is_never_broken():
    assert 'model.get_layer("dense_1").kernel.assign(network.layer("Layer2").kernel)\n' in render_text(
        mismatch(), width=40
    )


@pytest.mark.parametrize(
    ("make", "verdict"), [(parity, "PARITY"), (mismatch, "MISMATCH"), (inconclusive, "INCONCLUSIVE")]
)
def test_the_verdict_comes_first(make, verdict):
    assert render_text(make()).splitlines()[0] == verdict


def test_facts_of_a_finding_come_in_their_order():
    first = render_text(mismatch()).split("Finding 2")[0]
    facts = ("layer ", "elements ", "worst ", "would pass ", "cause ", "evidence ", "remedy ")
    places = [first.index(f"\n  {fact}") for fact in facts]
    assert places == sorted(places)


def test_colour_only_when_asked(monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    plain = render_text(mismatch())
    assert "\x1b" not in plain
    monkeypatch.setenv("NO_COLOR", "1")
    coloured = render_text(mismatch(), color=True)
    assert "\x1b[1;31mMISMATCH" in coloured
    assert [line.rstrip() for line in ANSI.sub("", coloured).splitlines()] == plain.splitlines()


def test_no_control_character_of_a_file_reaches_the_terminal():
    text = render_text(hostile())
    assert "\x1b[31m" in hostile().layers[0].layer  # the example does attack
    assert all(character.isprintable() for character in text.replace("\n", ""))
    assert "[red]" in text


def test_an_assumption_is_said_beside_parity():
    assert "2 assumed conventions" in render_text(parity())
    proven = replace(parity(), claims=())
    assert "assumed convention" not in render_text(proven)


def test_a_mismatch_without_a_finding_names_its_layers():
    text = render_text(replace(mismatch(), findings=()))
    assert text.splitlines()[1] == "Layer1 and Layer2: the port differs by more than rounding explains."


def test_str_of_a_report_is_its_text():
    assert str(mismatch()) == render_text(mismatch())
