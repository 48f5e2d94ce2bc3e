"""What a format fixes, laid out: no layers at all, and activations that nobody knows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from porter.errors import MissingMemberError, OptionContradictionError, StoredTypeError
from porter.formats.fixed import Formula, Stored, assemble
from porter.formats.options import ReadOptions
from porter.network.weight_file import WeightFile

SOURCE = WeightFile(Path("net.ten"), "ten-lines", "", {})


def layer(**changes):
    given = {"kernel": np.ones((3, 2)), "bias": None, "inputs": 2, "units": 3, "orientation": "units-first"}
    return Stored(**{**given, "activation": "tanh", **changes})


def test_no_layers_are_refused():
    with pytest.raises(MissingMemberError, match=r"net\.ten has no layers"):
        assemble(SOURCE, [], ReadOptions(), Formula("nobody's"))


def test_an_activation_that_the_file_says_and_nobody_knows():
    said = [layer(activation="foo", is_said=True)]
    with pytest.raises(StoredTypeError, match=r"net\.ten: the file says the activation of Layer1 is 'foo'"):
        assemble(SOURCE, said, ReadOptions(), Formula("nobody's"))
    network = assemble(SOURCE, said, ReadOptions(output_activation="relu"), Formula("nobody's"))
    claim = next(claim for claim in network.claims if claim.convention == "activation")
    assert (claim.value, claim.evidence, claim.detail) == ("relu", "declared", "the file says foo")


def test_connections_say_order_and_orientation():
    wired = Formula("nobody's", "as they are connected", is_wired=True)
    square = [layer(kernel=np.ones((2, 2)), units=2, is_said=True)]
    assert {claim.evidence for claim in assemble(SOURCE, square, ReadOptions(), wired).claims} == {"declared"}
    assemble(SOURCE, square, ReadOptions(orientation="units-first"), wired)
    with pytest.raises(OptionContradictionError, match="names both ends of every connection"):
        assemble(SOURCE, square, ReadOptions(orientation="inputs-first"), wired)
