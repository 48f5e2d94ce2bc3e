"""What is built and what is said about it: the wheel, the pinned versions, the commands of the README."""

from __future__ import annotations

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


@pytest.fixture(scope="module")
def project(root):
    return tomllib.loads((root / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def pins(root):
    lines = [line for line in (root / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    return dict(line.split("==") for line in lines)


@pytest.fixture(scope="module")
def wheel(root, tmp_path_factory):
    """The wheel's members and its metadata; hatchling makes it where it stands, without the index."""
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
        return names, Parser().parsestr(archive.read(metadata).decode())


def python_files(root, package: str) -> set[str]:
    return {path.relative_to(root).as_posix() for path in (root / package).rglob("*.py")}


@pytest.mark.parametrize("package", ["porter", "reference"])
def test_the_wheel_holds_both_packages_whole_and_typed(wheel, root, package):
    names, _ = wheel
    assert f"{package}/py.typed" in names
    assert len(python_files(root, package)) > 8
    assert python_files(root, package) <= names


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
        "reference",
        f"keras_porter-{porter.__version__}.dist-info",
    }


def test_the_wheel_says_what_it_is(wheel):
    _, metadata = wheel
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
