"""The arrays of a module of tests in a file, and the network that its recipe makes of them."""

import numpy as np
import pytest

from tests.recipes.reading import read


@pytest.fixture(scope="module")
def folder(request, tmp_path_factory):
    """With ``net.npz`` in it, of the module's ``ARRAYS``."""
    path = tmp_path_factory.mktemp("recipe")
    np.savez(path / "net.npz", **request.module.ARRAYS)
    return path


@pytest.fixture(scope="module")
def network(request, folder):
    """As the module's ``TEXT`` says."""
    return read(folder, request.module.TEXT)
