"""The reference needs NumPy and the standard library, and nothing else."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

pytestmark = pytest.mark.subprocess

BLOCK = """
import sys

class Block:
    def find_spec(self, name, path=None, target=None):
        first = name.partition(".")[0]
        if first not in sys.stdlib_module_names and first not in ("numpy", "reference"):
            raise ImportError(f"blocked: {name}")

sys.meta_path.insert(0, Block())
"""

USE = """
import importlib, pkgutil
import numpy as np
import reference
for module in pkgutil.walk_packages(reference.__path__, "reference."):
    importlib.import_module(module.name)
from reference.precision import Precision
from reference.programs.oc_smart import program
from reference.rounding import end_to_end
net = program({"Weights/a": np.eye(3), "Bias/a": np.ones(3)}, {}, activation="gelu")
bounds = end_to_end(net, np.eye(3), Precision("bfloat16", "float32"))
assert bounds["Layer1"].shape == (3, 3)
print("done")
"""


def run(root, code):
    source = BLOCK + textwrap.dedent(code)
    return subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=False, cwd=root)


def test_numpy_is_enough(root):
    told = run(root, USE)
    assert told.stdout.strip() == "done", told.stderr


@pytest.mark.parametrize("other", ["porter", "h5py", "keras", "mpmath"])
def test_the_block_holds(root, other):
    """Negative control."""
    assert f"blocked: {other}" in run(root, f"import {other}").stderr
