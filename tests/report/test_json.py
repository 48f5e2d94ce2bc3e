from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from porter.report.json import plain, render_json, schema
from porter.report.report import Report
from tests.report.examples import EXAMPLES, hostile, mismatch


def _strict(text):
    def refuse(constant):
        raise ValueError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse)


@pytest.mark.parametrize("name", EXAMPLES)
def test_golden(name, assert_golden):
    assert_golden(f"{name}.json", render_json(EXAMPLES[name]()))


@pytest.mark.parametrize("name", EXAMPLES)
def test_validates(name):
    jsonschema.validate(_strict(render_json(EXAMPLES[name]())), schema())


def test_the_schema_is_one_and_can_refuse():
    jsonschema.Draft202012Validator.check_schema(schema())
    for spoil in (
        {"verdict": "fine"},
        {"schema_version": 2},
        {"layers": [{"layer": "Layer1"}]},
        {"links": {"build": "ok"}},
    ):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(_strict(mismatch().to_json()) | spoil, schema())


def test_keys_are_the_attributes():
    content = _strict(mismatch().to_json())
    assert set(content) == {item.name for item in fields(Report)} - {"pictures", "when"} | {"schema_version"}
    assert content["findings"][0]["code"] == "kernel.transposed"
    assert content["layers"][1]["port_layer"] == ["dense_1"]
    assert set(schema()["required"]) == set(content)


def test_numbers_that_json_lacks_are_strings():
    row = _strict(hostile().to_json())["layers"][0]
    assert (row["isolated"], row["cumulative"], row["rtol"]) == ("Infinity", "NaN", "-Infinity")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.float32(0.5), 0.5),
        (np.array([[1, 2]]), [[1, 2]]),
        (np.array([np.nan]), ["NaN"]),
        (np.bool_(True), True),
        (Path("a") / "b", str(Path("a") / "b")),
        ({1: (None, True)}, {"1": [None, True]}),
    ],
)
def test_plain(value, expected):
    assert plain(value) == expected
