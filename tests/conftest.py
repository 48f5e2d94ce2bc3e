"""What the tests share: one thread a worker, Hypothesis profiles, and where the data files lie."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

# Before NumPy or TensorFlow is imported: pytest-xdist already uses every core.
if "PYTEST_XDIST_WORKER" in os.environ:
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ.setdefault(variable, "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parent.parent
FIXTURES = ROOT / "fixtures"

# Building a Keras model takes as long as Hypothesis' default deadline allows for a whole example. The suite draws the
# same examples for everyone; new ones are looked for by tests/search.py.
settings.register_profile(
    "suite",
    deadline=None,
    max_examples=25,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=True,
    database=None,
)
settings.register_profile("search", settings.get_profile("suite"), max_examples=100, derandomize=False, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "suite"))


def real_folder() -> Path:
    """The folder of real legacy networks: PORTER_REAL, or ../shared/real beside the checkout."""
    return Path(os.environ.get("PORTER_REAL", ROOT.parent / "shared" / "real"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test that asks for ``real`` carries its marker."""
    for item in items:
        if "real" in getattr(item, "fixturenames", ()):
            item.add_marker("real")
    # Workers take a file at a time, in this order: the long ones first, so that none is left alone with one in the end.
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: ("quality" not in item.path.parts, item.path not in slow))


@pytest.fixture(scope="session")
def root() -> Path:
    """The root of the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def fixtures() -> Path:
    """The folder of data files that the project makes itself."""
    return FIXTURES


@pytest.fixture(scope="session")
def manifest() -> list[dict[str, Any]]:
    """One entry for each file in ``fixtures``: how it is to be read and what must come of it."""
    entries: list[dict[str, Any]] = json.loads((FIXTURES / "MANIFEST.json").read_text())["files"]
    return entries


@pytest.fixture(scope="session")
def real() -> Path:
    """The folder of real legacy networks; skips where it is absent."""
    folder = real_folder()
    if not folder.is_dir():
        pytest.skip(f"no folder of real networks at {folder}; PORTER_REAL names another place")
    return folder


@pytest.fixture(scope="session")
def keras() -> Any:
    """Keras with TensorFlow, imported once a worker."""
    import keras as module

    return module


@pytest.fixture(autouse=True)
def _keras_settings_stay() -> Any:
    """No test leaves Keras' global settings changed for the next."""
    import sys

    yield
    module = sys.modules.get("keras")
    if module is None or not hasattr(module, "config"):
        return
    found = (module.config.floatx(), module.config.dtype_policy().name, module.config.image_data_format())
    module.config.set_floatx("float32")
    module.config.set_dtype_policy("float32")
    module.config.set_image_data_format("channels_last")
    assert found == ("float32", "float32", "channels_last"), f"the test left Keras' global settings at {found}"
