"""The table of legacy Keras layers says what the readers do, and names every layer that there was."""

from __future__ import annotations

import re

import pytest

from porter.formats.keras_legacy.entries import WRAPPERS
from porter.formats.keras_legacy.later_layers import REFUSED
from porter.formats.keras_legacy.operations import OPERATIONS
from porter.formats.keras_legacy.table import TABLE
from porter.formats.keras_legacy.walk import CODE

CELLS = {"GRUCell", "LSTMCell", "SimpleRNNCell"}
BASES = {"AbstractRNNCell", "Layer", "Wrapper"}
INTERNAL = {"KerasTensor"}


@pytest.fixture(scope="module")
def rows(root):
    text = (root / "docs" / "keras-layers.md").read_text(encoding="utf-8")
    found = {}
    for names, read in re.findall(r"^\| (`[^|]+`) \| (yes|no|in part) \|", text, re.MULTILINE):
        for name in re.findall(r"`(\w+)`", names):
            assert name not in found, f"{name} stands twice"
            found[name] = read
    return found


def test_what_is_said_to_be_read_is_read(rows):
    said = {name for name, read in rows.items() if read == "yes"}
    assert said == {*TABLE, *WRAPPERS, *CELLS}


def test_what_is_said_to_be_refused_is_refused(rows):
    said = {name for name, read in rows.items() if read == "no"}
    assert said == {*REFUSED, *CODE, *BASES} - INTERNAL


def test_operations_are_read_in_part(rows):
    assert {name for name, read in rows.items() if read == "in part"} == set(OPERATIONS)


def test_every_layer_of_the_last_keras_2_is_in_it(rows):
    layers = pytest.importorskip("tf_keras").layers
    kinds = {value for value in vars(layers).values() if isinstance(value, type) and issubclass(value, layers.Layer)}
    names = {kind.__name__ for kind in kinds} - {"NoneType"}
    assert len(names) > 100
    assert names <= rows.keys(), sorted(names - rows.keys())


def test_functions_that_are_followed_are_named(root):
    from porter.formats.keras_legacy.operations import TABLE as FUNCTIONS

    text = (root / "docs" / "keras-layers.md").read_text(encoding="utf-8").split("\n## Arithmetic")[1]
    written = {
        "add": "`+`", "subtract": "`-`", "multiply": "`*`", "divide": "`/`", "truediv": "`/`", "matmul": "`@`",
        "pow": "powers", "getitem": "slices", "convert_to_tensor": "`identity`", "swish": "`silu`",
        "resize": "`image.resize`",
    }  # fmt: skip
    assert not [name for name in FUNCTIONS if written.get(name, f"`{name}`") not in text]
