"""Data flows one way: the rooms of the package, in order, and what each of them may import."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter

import pytest

ORDER = (
    "errors", "codes", "progress", "named", "network", "formats", "ports", "examination", "diagnosis", "report",
    "reading", "identification", "verdict", "exports", "jobs", "learning", "strategies", "testing", "hypothesis_plugin",
    "pytest_plugin", "cli", "__main__",
)  # fmt: skip
"""Each may import those before it; the package itself imports ``errors`` alone, and looks the rest up by name."""

LEFT_OUT = ("errors", "codes", "progress", "named", "hypothesis_plugin", "pytest_plugin", "__main__")
"""Of the picture: what all use, and what is a door alone."""

KNOW_NO_LIBRARY = ("network", "examination", "diagnosis", "report", "verdict", "reading")
LOOK_INTO_KERAS = {
    f"porter.examination.graphs.{name}" for name in (
        "agreement", "alignment", "feeds", "idle", "inner", "judging", "kinds", "lengths", "otherwise", "pairing",
        "pieces", "predictable", "probes", "stateful", "strays", "surplus", "whole",
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


def rooms_of(graph):
    """Which room imports which."""
    found = {}
    for name, others in graph.items():
        if name.startswith("porter."):
            found.setdefault(room_of(name), set()).update(room_of(x) for x in others if x.startswith("porter."))
    return {room: others - {room} for room, others in found.items()}


def reduced(rooms):
    """The arrows of the picture: those between rooms that no way over another room replaces."""
    reach = {}
    for room in sorted(rooms, key=ORDER.index):
        reach[room] = set(rooms[room]).union(*(reach[other] for other in rooms[room]))
    drawn = {room for room in rooms if room not in LEFT_OUT}
    return sorted(
        (room, other) for room in drawn for other in rooms[room] & drawn
        if not any(other in reach[between] for between in rooms[room] & drawn)
    )  # fmt: skip


def picture(arrows):
    return "".join(["```mermaid\nflowchart LR\n", *(f"  {room} --> {other}\n" for room, other in arrows), "```\n"])


def test_the_picture_shows_the_rooms_as_they_are(graph, root):
    """``PORTER_UPDATE_GOLDEN=1`` draws it anew."""
    path = root / "CONTRIBUTING.md"
    begin, end = "<!-- rooms: begin -->\n", "<!-- rooms: end -->"
    before, _, rest = path.read_text().partition(begin)
    found, _, after = rest.partition(end)
    wanted = picture(reduced(rooms_of(graph)))
    if os.environ.get("PORTER_UPDATE_GOLDEN"):
        path.write_text(before + begin + wanted + end + after)
    assert found == wanted


def test_the_picture_leaves_out_what_follows():
    assert reduced({"network": set(), "formats": {"network"}, "ports": {"formats", "network"}}) == [
        ("formats", "network"), ("ports", "formats"),
    ]  # fmt: skip


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


def forks(source):
    """The lines that ask whether a network is a graph, which its own methods or a dispatch on its class have to say."""
    calls = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call) and len(node.args) == 2)
    asked = (node for node in calls if ast.unparse(node.func) in ("isinstance", "issubclass"))
    return [node.lineno for node in asked if "KerasNetwork" in ast.unparse(node.args[1])]


def test_no_module_outside_the_formats_asks_what_kind_of_network_it_has(root):
    paths = modules(root, "porter")
    assert [name for name, path in paths.items() if room_of(name) != "formats" and forks(path.read_text())] == []
    assert forks("x = 1\nif isinstance(x, (Network, graph.KerasNetwork)): pass") == [2]  # it can fail


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
