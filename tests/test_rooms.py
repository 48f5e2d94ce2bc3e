"""Data flows one way: the rooms of the package, in order, and what each of them may import."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter

import pytest

ORDER = (
    "errors", "codes", "progress", "network", "formats", "ports", "examination", "diagnosis", "report", "reading",
    "verdict", "exports", "jobs", "learning", "strategies", "testing", "hypothesis_plugin", "pytest_plugin", "cli",
    "__main__",
)  # fmt: skip
"""Each may import those before it; the package itself imports ``errors`` alone, and looks the rest up by name."""

KNOW_NO_LIBRARY = ("network", "examination", "diagnosis", "report", "verdict", "reading")
LOOK_INTO_KERAS = {
    f"porter.examination.graphs.{name}" for name in (
        "agreement", "alignment", "feeds", "idle", "inner", "judging", "kinds", "lengths", "pairing", "pieces",
        "predictable", "probes", "stateful", "strays", "surplus", "whole",
    )
} | {"porter.reading.graphs"}  # fmt: skip
"""They take a Keras model apart, or run a part of one."""
LIBRARIES = ("keras", "tensorflow", "h5py", "onnx", "matplotlib")


def modules(root, package):
    """Path of each module, by name."""
    names = {path: ".".join(path.relative_to(root).with_suffix("").parts) for path in (root / package).rglob("*.py")}
    return {name.removesuffix(".__init__"): path for path, name in names.items()}


def imports_of(source, known):
    """The modules among the known that a source imports, anywhere in it, also where only types are checked."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "a relative import"
            below = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in known else node.module for name in below}
    return found & known


def room_of(name):
    return name.split(".")[1] if "." in name else name


def upward(graph):
    """The imports of a room from one behind it."""
    places = {room: place for place, room in enumerate(ORDER)}
    return sorted(
        (name, other) for name, others in graph.items() for other in others
        if name.startswith("porter.") and other.startswith("porter.")
        and places[room_of(name)] < places[room_of(other)]
    )  # fmt: skip


@pytest.fixture(scope="module")
def graph(root):
    paths = modules(root, "porter") | modules(root, "reference")
    return {name: imports_of(path.read_text(), paths.keys()) - {name} for name, path in paths.items()}


def test_every_module_stands_in_a_room(graph):
    rooms = {room_of(name) for name in graph if name.startswith("porter.")}
    assert rooms == set(ORDER)


def test_no_room_imports_one_behind_it(graph):
    assert upward(graph) == []
    wrong = graph | {"porter.network.placement": {"porter.jobs.verify"}}  # it can fail
    assert upward(wrong) == [("porter.network.placement", "porter.jobs.verify")]


def test_no_modules_import_each_other_in_a_circle(graph):
    inside = {name: {other for other in others if other != "porter"} for name, others in graph.items()}
    order = list(TopologicalSorter(inside).static_order())
    assert len(order) >= len(graph) - 1
    with pytest.raises(CycleError):
        list(TopologicalSorter(inside | {"porter.errors": {"porter.jobs.verify"}}).static_order())


def test_the_oracle_knows_nothing_of_the_package(graph):
    assert not {other for name, others in graph.items() if name.startswith("reference") for other in others
                if other.startswith("porter")}  # fmt: skip


@pytest.mark.subprocess
@pytest.mark.parametrize("room", KNOW_NO_LIBRARY)
def test_a_room_that_knows_no_library_loads_none(graph, room):
    """Each module by name, in one fresh interpreter; what any of them loads would be there at the end."""
    names = sorted(name for name in graph if room_of(name) == room and name not in LOOK_INTO_KERAS)
    assert len(names) > 3
    assert loaded_by(names) == []


@pytest.mark.subprocess
def test_that_a_library_was_loaded_is_seen():
    assert loaded_by(["porter.network", "porter.formats.hdf5"]) == ["h5py"]


def loaded_by(names):
    code = (
        f"import sys\nfrom importlib import import_module\nfor name in {names!r}: import_module(name)\n"
        f"print([name for name in {LIBRARIES!r} if name in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return ast.literal_eval(told.stdout)
