"""Damaged files of the other families: nothing but porter's own errors, whatever the damage, and no warning."""

from __future__ import annotations

import random
import warnings

import numpy as np
import pytest

import porter
from porter.errors import PorterError
from porter.formats.programs import build_program
from tests.formats.test_families import MADE

WORDS = (
    *(b" ", b"\n", b"-", b"1e400", b"nan", b"99999999999999999999", b"\xff\xfe"),
    *(b"\0", b"#", b"$", b"0", b"1D5", b";", b"("),
)
MUTATIONS = 150


def mutate(data: bytes, draw: random.Random) -> bytes:
    """A few bytes changed, cut out, put in or repeated; or the rest cut off."""
    found = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 5))):
        start = draw.randrange(len(found) + 1)
        stop = min(len(found), start + draw.choice((1, 2, 10, 100)))
        kind = draw.randrange(5)
        if kind == 0 and start < len(found):
            found[start] = draw.randrange(256)
        elif kind == 1:
            del found[start:stop]
        elif kind == 2:
            found[start:start] = draw.choice(WORDS)
        elif kind == 3:
            found[start:stop] = found[start:stop] * draw.choice((2, 3, 20))
        elif draw.random() < 0.3:
            del found[start:]
    return bytes(found) or b" "


@pytest.mark.parametrize("family", sorted(set(MADE) - {"rrtmgp-nn"}))  # HDF5's damage is tested with HDF5
def test_damage_is_refused_or_harmless(family, tmp_path):
    path, draw = MADE[family](tmp_path), random.Random(family)
    refused = 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(MUTATIONS):
            file = draw.choice(sorted(path.iterdir())) if path.is_dir() else path
            sound = file.read_bytes()
            file.write_bytes(mutate(sound, draw))
            try:
                network = porter.read(path)
                with np.errstate(all="ignore"):
                    build_program(network)(np.zeros((2, network.end_widths[0])))
            except PorterError:
                refused += 1
            file.write_bytes(sound)
    assert MUTATIONS / 4 < refused < MUTATIONS, "some are noticed, and some do not matter"
    porter.read(path)
