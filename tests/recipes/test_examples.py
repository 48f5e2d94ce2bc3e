"""The recipes shipped with the package read what the families' own readers read."""

import numpy as np
import pytest

import porter
from porter import errors
from porter.formats.programs import build_program
from porter.formats.recipe_explained import EXAMPLES, example_of

FILES = {
    "arrays": "families/named_4-6-6-3.h5", "canyon-med": "families/canyon", "ffbp": "families/ffbp_7x7.net",
    "fkb": "families/fkb_4-5-5-2.txt", "oc-smart": "coast_Lrc_aaNN.h5", "rrtmgp-nn": "families/rrtmgp_5-8-8-3.nc",
    "sl2p": "families/FAPAR",
}  # fmt: skip
IN_SINGLE = {"fkb"}
"""Families whose readers take the numbers of a text for single precision, as their software does."""


def outputs(*networks):
    """Of each network, on rows of twice the range that the first documents: bounds flag some of them."""
    limits = networks[0].input_range
    limits = np.tile([-2.0, 2.0], (networks[0].widths[0], 1)) if limits is None else limits
    rows = limits[:, 0] + np.random.default_rng(0).uniform(-0.5, 1.5, (200, len(limits))) * np.diff(limits).T
    return [build_program(network)(rows)[0] for network in networks]


def test_every_example_is_tried():
    assert {path.stem for path in EXAMPLES.iterdir()} == set(FILES)


@pytest.mark.parametrize("family", FILES)
def test_an_example_reads_what_the_reader_reads(fixtures, family):
    path = fixtures / FILES[family]
    own, found = porter.read(path), porter.read(path, recipe=EXAMPLES / f"{family}.toml")
    assert own.family == family
    assert [layer.name for layer in found.layers] == [layer.name for layer in own.layers]
    wanted, given = outputs(own, found)
    np.testing.assert_allclose(given, wanted, rtol=0, atol=1e-6 * np.nanmax(np.abs(wanted)) * (family in IN_SINGLE))
    assert not any(claim.evidence == "assumed" for claim in found.claims if claim.convention != "range orientation")


def test_another_recipe_does_not(fixtures, tmp_path):
    (tmp_path / "net.toml").write_text(example_of("canyon-med").replace("0.6666666666666666", "0.7", 1))
    path = fixtures / FILES["canyon-med"]
    wanted, given = outputs(porter.read(path), porter.read(path, recipe=tmp_path / "net.toml"))
    assert not np.allclose(given, wanted, equal_nan=True)


def test_a_family_without_one_is_named():
    with pytest.raises(errors.UsageError, match="one of arrays, canyon-med, ffbp"):
        example_of("snns")
