"""What is built and what is said about it: the wheel, the pinned versions, the commands of the README."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from email.parser import Parser

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import porter
from benchmarks.matrix import COLUMNS, COMBINATIONS, OTHERS, merged
from benchmarks.tables import markdown_table


@pytest.fixture(scope="module")
def project(root):
    return tomllib.loads((root / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def pins(root):
    lines = [line for line in (root / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    return dict(line.split("==") for line in lines)


@pytest.fixture(scope="module")
def wheel(root, tmp_path_factory):
    """The wheel's members, its metadata and its path; hatchling makes it where it stands, without the index."""
    pytest.importorskip("hatchling", reason="hatchling, the build backend, is not installed here")
    folder = tmp_path_factory.mktemp("wheel")
    copy = folder / "source"
    shutil.copytree(root, copy, ignore=shutil.ignore_patterns(".venv", ".git", "tests", "fixtures", "demo"))
    build = f"from hatchling.build import build_wheel; build_wheel({str(folder)!r})"
    subprocess.run([sys.executable, "-c", build], cwd=copy, check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
        (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        return names, Parser().parsestr(archive.read(metadata).decode()), path


def python_files(root, package: str) -> set[str]:
    return {path.relative_to(root / package).as_posix() for path in (root / package).rglob("*.py")}


@pytest.mark.parametrize(("package", "place"), [("porter", "porter"), ("reference", "porter/reference")])
def test_the_wheel_holds_both_packages_whole_and_typed(wheel, root, package, place):
    names = wheel[0]
    assert f"{place}/py.typed" in names
    assert len(python_files(root, package)) > 8
    assert {f"{place}/{name}" for name in python_files(root, package)} <= names


def test_no_import_in_the_wheel_is_of_a_package_that_it_does_not_hold(wheel):
    with zipfile.ZipFile(wheel[2]) as archive:
        for name in (name for name in archive.namelist() if name.endswith(".py")):
            tree = ast.parse(archive.read(name))
            imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
            imported |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
            assert not any(str(each).partition(".")[0] == "reference" for each in imported), name


THEIRS = {
    "a module": {"reference.py": "MINE = 'theirs'"},
    "a package": {"reference/__init__.py": "MINE = 'theirs'", "reference/trace.py": "MINE = 'theirs'"},
    "nothing": {},
}
PORTED = """
import numpy as np, pathlib, sys
{first}
import porter
network = porter.read({path!r})
from porter.formats.programs import build_program
program = build_program(network)
assert np.isfinite(program(np.zeros((2, network.widths[0])))[0]).all()
assert "porter.reference.trace" in sys.modules
assert not any("reference" in name and name.startswith("reference") for name in sys.modules) or {own}
{last}
"""


@pytest.mark.subprocess
@pytest.mark.parametrize("theirs", THEIRS)
@pytest.mark.parametrize("when", ["before", "behind"])
def test_installed_neither_reference_takes_the_others_place(wheel, fixtures, tmp_path, theirs, when):
    """The wheel unpacked as pip does, beside somebody's own module or package of that name."""
    site, work = tmp_path / "site", tmp_path / "work"
    with zipfile.ZipFile(wheel[2]) as archive:
        archive.extractall(site)
    for name, text in THEIRS[theirs].items():
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).write_text(text)
    work.mkdir(exist_ok=True)
    own = "import reference; assert reference.MINE == 'theirs'" if THEIRS[theirs] else ""
    code = PORTED.format(
        first=own if when == "before" else "", last=own, path=str(fixtures / "bare_7-16-10-7.h5"), own=bool(own)
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(work), str(site)]), "PYTHONSAFEPATH": "1"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.subprocess
def test_in_the_repository_reference_stands_by_itself(root, tmp_path):
    code = "import reference.trace, sys; assert not any(name.startswith('porter') for name in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": str(root)}, cwd=tmp_path)


def test_imports_alone_are_rewritten(root):
    spec = importlib.util.spec_from_file_location("hatch_build", root / "hatch_build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    lines = [
        "from reference.trace import a",
        "    import reference.x",
        "from reference import y",
        "x = 1  # from reference",
    ]
    text = module.installed("\n".join(lines))
    assert text.splitlines() == [line.replace(" reference", " porter.reference") for line in lines[:3]] + lines[3:]
    assert module.installed("from references import z") == "from references import z"


def test_the_wheel_holds_data_that_the_code_reads(wheel, root):
    data = {
        path.relative_to(root).as_posix()
        for path in (root / "porter").rglob("*")
        if path.is_file() and path.suffix not in {".py", ".pyc"}
    }
    assert data >= {"porter/py.typed", "porter/report/schema.json"}
    assert data <= wheel[0]


def test_the_wheel_holds_nothing_else(wheel):
    assert {name.partition("/")[0] for name in wheel[0]} == {
        "porter",
        f"keras_porter-{porter.__version__}.dist-info",
    }


def test_the_wheel_says_what_it_is(wheel):
    metadata = wheel[1]
    assert metadata["Name"] == "keras-porter"
    assert metadata["Version"] == porter.__version__
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata.get_payload().startswith("# porter")


def test_the_version_is_the_changelogs(root, project):
    released = re.findall(r"^## \[(\d\S*)\]", (root / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert project["version"] == porter.__version__ == released[0]


def test_every_requirement_has_a_lower_bound_that_the_pinned_version_keeps(project, pins):
    requirements = [*project["dependencies"], *project["optional-dependencies"]["test"]]
    assert len(requirements) > 10
    for requirement in map(Requirement, requirements):
        pinned = Version(pins[canonicalize_name(requirement.name)])
        assert pinned in requirement.specifier, requirement
        assert any(part.operator == ">=" for part in requirement.specifier), requirement


def test_what_makes_the_numbers_has_an_upper_bound_too(project):
    bounded = {
        requirement.name
        for requirement in map(Requirement, project["dependencies"])
        if any(part.operator == "<" for part in requirement.specifier)
    }
    assert bounded >= {"tensorflow", "keras", "numpy", "h5py", "hypothesis"}


def test_the_pins_name_versions_and_no_places(root, pins):
    text = (root / "constraints.txt").read_text()
    assert "://" not in text and "@" not in text and "--" not in text
    assert all(Version(version) for version in pins.values())
    assert list(pins) == sorted(pins)


def test_both_scripts_end_at_the_first_error(root):
    script = root / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert "set -euo pipefail" in script.read_text()
    assert ".DELETE_ON_ERROR:" in (root / "Makefile").read_text()


def test_the_makefile_has_the_targets_that_the_readme_names(root):
    targets = set(re.findall(r"^([a-z]+):", (root / "Makefile").read_text(), re.MULTILINE))
    documents = [(root / name).read_text() for name in ("README.md", "CONTRIBUTING.md")]
    named = {name for text in documents for name in re.findall(r"\bmake ([a-z]+)\b(?=[`\s])", text)}
    assert {"demo", "test"} <= named
    assert named <= targets


def test_the_readme_names_what_the_package_offers(root):
    named = set(re.findall(r"\bporter\.([a-z_]+)\(", (root / "README.md").read_text()))
    assert named >= {"read", "build", "verify", "port"}
    assert named <= set(porter.__all__)


def test_the_lower_bounds_are_the_oldest_versions_that_are_tried(project):
    oldest, newest = COMBINATIONS[0], COMBINATIONS[-1]
    assert (oldest.name, newest.name) == ("oldest", "newest") and len(COMBINATIONS) >= 5
    for requirement in map(Requirement, project["dependencies"]):
        if requirement.name in oldest.pins:
            (least,) = (Version(part.version) for part in requirement.specifier if part.operator == ">=")
            assert least.release == Version(oldest.pins[requirement.name]).release[: len(least.release)], requirement
    others = {Requirement(each).name: Requirement(each).specifier for each in OTHERS}
    wanted = {each.name: each.specifier for each in map(Requirement, project["dependencies"])}
    assert {name: others[name] for name in wanted if name in others} == {
        name: wanted[name] for name in wanted if name not in oldest.pins
    }


def test_the_table_of_versions_keeps_what_was_not_run_again():
    row = ["oldest", *"abcdefgh"]
    other = ["2.18", *"ijklmnop"]
    text = markdown_table(COLUMNS, [row, other])
    assert merged(text, [["2.18", *"qrstuvwx"]]) == [row, ["2.18", *"qrstuvwx"]]
    assert merged("", [row]) == [row]
