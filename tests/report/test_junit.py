from __future__ import annotations

from xml.etree import ElementTree

import pytest

from porter.report.junit import render_junit
from tests.report.examples import EXAMPLES, hostile, inconclusive, mismatch, parity


def _cases(report):
    root = ElementTree.fromstring(render_junit(report, "aa").encode())
    return {case.get("name"): [child.tag for child in case] for case in root.iter("testcase")}


@pytest.mark.parametrize("name", EXAMPLES)
def test_golden(name, assert_golden):
    assert_golden(f"{name}.xml", render_junit(EXAMPLES[name](), name))


def test_a_case_a_layer_and_a_link():
    assert _cases(mismatch()) == {
        "Layer1": ["failure"], "Layer2": ["failure"], "Layer3": [],
        "reading": [], "build": ["failure"], "save": ["skipped"], "export": ["skipped"],
    }  # fmt: skip


def test_parity_has_no_failure_and_anything_else_has_one():
    def failures(report):
        return int(ElementTree.fromstring(render_junit(report, "aa").encode()).get("failures"))

    assert failures(parity()) == 0
    assert failures(inconclusive()) == 2
    assert failures(mismatch()) == 3


def test_the_failure_holds_the_facts():
    assert "remedy: # Transpose the kernel" in render_junit(mismatch(), "aa")


def test_hostile_names_are_well_formed():
    suite = ElementTree.fromstring(render_junit(hostile(), "<&\x00>").encode())[0]
    assert suite.get("name") == "<&\\x00>"
