"""What is loaded, and when; each in an interpreter of its own."""

from __future__ import annotations

import inspect
import os
import resource
import subprocess
import sys
import zipfile

import pytest

import porter

pytestmark = pytest.mark.subprocess

HEAVY = ("tensorflow", "keras")


def run(code, *arguments, cwd=None):
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, check=False, cwd=cwd
    )


def loaded_by(code, names=HEAVY):
    told = run(f"import sys\n{code}\nprint('loaded:', [name for name in {names!r} if name in sys.modules])")
    assert told.returncode == 0, told.stderr
    return told.stdout.rsplit("loaded: ", 1)[1].strip()


def cli(*arguments):
    words = ["porter", *map(str, arguments)]
    return f"sys.argv = {words!r}\nfrom porter.cli import main\ntry: main()\nexcept SystemExit: pass"


def test_the_check_sees_what_is_loaded():
    """Negative control."""
    assert loaded_by("sys.modules['keras'] = sys") == "['keras']"


def test_import_porter():
    assert loaded_by("import porter; porter.Network; porter.read; porter.Report; porter.read_provenance") == "[]"


@pytest.mark.parametrize("arguments", [["--help"], ["port", "--help"], ["--version"], ["verify", "--bad"]])
def test_help_and_usage(arguments):
    assert loaded_by(cli(*arguments), (*HEAVY, "numpy", "h5py")) == "[]"


def test_inspect(fixtures):
    assert loaded_by(cli("inspect", fixtures / "ocean_7-100-75-50-25-7.h5")) == "[]"


def test_inspect_a_port(tmp_path):
    with zipfile.ZipFile(tmp_path / "aa.keras", "w") as archive:
        archive.writestr("config.json", "{}")
    assert loaded_by(cli("inspect", tmp_path / "aa.keras"), (*HEAVY, "h5py")) == "[]"


def test_an_unreadable_file_is_refused_before_keras_is_loaded(tmp_path):
    (tmp_path / "a.h5").write_text("nothing")
    code = cli("port", tmp_path / "a.h5", "-o", tmp_path / "a.keras")
    assert loaded_by(code) == "[]"


LIBRARIES = (*HEAVY, "h5py", "onnx", "matplotlib")


def test_the_oracle_knows_numpy_alone(root):
    names = sorted(path.relative_to(root).with_suffix("") for path in (root / "reference").rglob("*.py"))
    modules = [".".join(name.parts).removesuffix(".__init__") for name in names]
    assert len(modules) > 40
    code = f"from importlib import import_module\nfor name in {modules!r}: import_module(name)"
    assert loaded_by(code, (*LIBRARIES, "porter", "rich", "ml_dtypes", "scipy")) == "[]"


def test_no_module_bears_the_name_of_a_public_function(root):
    """Importing it would bind the module where the function belongs."""
    names = {path.stem for path in (root / "porter").iterdir() if path.suffix in ("", ".py")}
    public = {name for name in porter.__all__ if inspect.isfunction(getattr(porter, name))}
    assert {"port", "verify", "read", "build"} <= public and not names & public, names & public


def test_everything_offered_is_there():
    code = "import porter; missing = [n for n in porter.__all__ if not hasattr(porter, n)]; assert not missing, missing"
    loaded_by(code)


@pytest.mark.parametrize("module", ["porter.strategies", "porter.hypothesis_plugin", "porter.pytest_plugin"])
def test_what_hypothesis_and_pytest_call_can_be_imported_first(module):
    """Hypothesis loads its plugins, ours among them, as it is imported."""
    loaded_by(f"import {module}")


def test_an_unknown_name():
    told = run("import porter; porter.nothing")
    assert "module 'porter' has no attribute 'nothing'" in told.stderr


def test_python_m_porter():
    told = subprocess.run([sys.executable, "-m", "porter", "--version"], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "0.1.0"


def test_inspect_takes_under_twice_the_time_of_importing_what_it_reads_and_prints_with(real):
    """Processor time, the best of five, for other processes share the machine; a ratio, for machines differ."""
    command = [sys.executable, "-m", "porter", "inspect", str(real / "oc_smart" / "PACE_Lrc_aaNN.h5")]
    libraries = [sys.executable, "-c", "import h5py, rich.table, typer"]
    assert min(processor_time(command) for _ in range(5)) < 2 * min(processor_time(libraries) for _ in range(5))


@pytest.mark.slow
def test_port_takes_under_twice_the_time_of_importing_keras(real, tmp_path):
    """Processor time again, which counts the threads of the port's products too."""
    file = real / "oc_smart" / "PACE_Lrc_aaNN.h5"
    samples = file.with_name("expected_network.npz")
    command = [
        sys.executable,
        "-m",
        "porter",
        "port",
        file,
        "-o",
        tmp_path / "aa.keras",
        "--samples",
        samples,
        "--force",
    ]
    port = min(processor_time(command) for _ in range(2))
    assert port < 2 * min(processor_time([sys.executable, "-c", "import keras"]) for _ in range(2))


def processor_time(command):
    compiled = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, capture_output=True, env=compiled)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_the_clock_runs():
    """Negative control of the limits above."""
    code = "import time\nend = time.process_time() + 0.6\nwhile time.process_time() < end: pass"
    assert processor_time([sys.executable, "-c", code]) > 0.5
