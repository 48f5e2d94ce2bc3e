"""The versions that people have: an environment for each combination, a slice of the tests in it, and measurements.

    python -m benchmarks.matrix                                # all, some minutes each, into RESULTS.md
    python -m benchmarks.matrix --only oldest newest --no-write

Each environment is a folder below build/matrix, made once. In it run the tests of ``SLICE``, the measurement of every
activation in float16 and bfloat16 (every number there is), and that of matrix products; the constants of
reference/rounding/constants.py are those of the newest versions, and have to be sound for the others, too.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- matrix: begin -->", "<!-- matrix: end -->"
LEGACY = ("reading", "late_files", "later_layers", "bounds", "layer_bounds", "verifying", "diagnosing", "masks",
          "recorded", "older_keras")  # fmt: skip
SLICE = ("tests/test_verify.py", "tests/test_port.py", "tests/test_keras_model.py", "tests/test_port_graph.py",
         "tests/test_loading.py", "tests/test_saving.py", "tests/diagnosis",
         *(f"tests/keras_legacy/test_{name}.py" for name in LEGACY))  # fmt: skip
"""Reading, building, judging, saving and loading: of dense networks, in every dtype and placement, and of graphs."""
OTHERS = ("hypothesis>=6.150,<7", "jinja2>=3.1", "pydantic>=2.10,<3", "rich>=13.9", "threadpoolctl>=3.5,<4",
          "tomlkit>=0.13,<1", "typer>=0.15,<0.29", "pytest>=8.3", "matplotlib>=3.9", "mpmath>=1.3")  # fmt: skip
SECTION = """## Versions

A slice of the tests (dense networks, graphs of legacy Keras) and the measurements of activations (float16, bfloat16)
and products, in an environment for each combination: `make matrix`. The constants are those that were measured with the
newest. What is skipped needs tf_keras, or a newer Keras than that; each test says which."""
COLUMNS = ("combination", "Python", "TensorFlow", "Keras", "NumPy", "h5py", "tests", "activations", "products")


@dataclass(frozen=True)
class Combination:
    """Versions that go together.

    Attributes:
        name: for ``--only``.
        python: minor version.
        pins: of the packages that make the numbers.
    """

    name: str
    python: str
    pins: Mapping[str, str]


COMBINATIONS = (
    Combination("oldest", "3.11", {"tensorflow": "2.16.2", "keras": "3.3.3", "numpy": "1.26.4", "h5py": "3.10.0"}),
    Combination("2.17", "3.11", {"tensorflow": "2.17.1", "keras": "3.4.1", "numpy": "1.26.4", "h5py": "3.11.0"}),
    Combination("2.18", "3.12", {"tensorflow": "2.18.1", "keras": "3.8.0", "numpy": "2.0.2", "h5py": "3.12.1"}),
    Combination("2.20", "3.13", {"tensorflow": "2.20.0", "keras": "3.11.3", "numpy": "2.2.6", "h5py": "3.14.0"}),
    Combination("newest", "3.13", {"tensorflow": "2.21.*", "keras": "3.15.*", "numpy": "2.*", "h5py": "3.*"}),
)


def prepare(combination: Combination, folder: Path) -> Path:
    """The Python of a combination's environment, which is made where there is none."""
    python = folder / "bin" / "python"
    if not (folder / "whole").exists():
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([_base(combination.python), "-m", "venv", str(folder)], check=True)
        pins = [f"{name}=={version}" for name, version in combination.pins.items()]
        # The package itself brings its pytest plugin, and must not bring other versions.
        for wanted in ([*pins, *OTHERS], ["--no-deps", "--editable", str(ROOT)]):
            install = [str(python), "-m", "pip", "install", "--quiet", *wanted]
            done = subprocess.run(install, check=False, capture_output=True, text=True)
            if done.returncode:
                raise SystemExit(f"{combination.name}: {done.stderr[-2000:]}")
        (folder / "whole").touch()
    return python


def _base(version: str) -> str:
    """A Python of that version, or this one where there is none that runs."""
    found = shutil.which(f"python{version}")
    if found is None or subprocess.run([found, "-c", ""], check=False, capture_output=True).returncode:
        return sys.executable
    return found


def run(python: Path, *arguments: str) -> tuple[int, str]:
    """Exit status and output of a command in an environment."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [str(python), *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def judge(combination: Combination, folder: Path) -> tuple[list[str], bool]:
    """The row of a combination, and whether everything held."""
    python = prepare(combination, folder / combination.name)
    _, told = run(python, "-c", VERSIONS)
    versions = json.loads(next(line for line in told.splitlines() if line.startswith("[")))
    start = time.monotonic()
    tests = run(python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *SLICE)
    state = str(folder / f"{combination.name}.json")
    activations = run(python, "benchmarks/activation_accuracy.py", "--formats", "float16", "bfloat16", "--state", state)
    products = run(python, "-m", "benchmarks.product_accuracy")
    for what, (status, output) in (("tests", tests), ("activations", activations), ("products", products)):
        if status:
            print(f"{combination.name}: {what}\n{output[-4000:]}", file=sys.stderr)
    print(f"{combination.name}: {time.monotonic() - start:.0f} s", file=sys.stderr)
    held = [tests[0] == 0, activations[0] == 0, products[0] == 0]
    counts = re.search(r"(?:\d+ \w+, )*\d+ passed[^\n]*?(?= in )|\d+ failed[^\n]*?(?= in )", tests[1])
    said = [counts[0] if counts else "did not run", *("sound" if each else "NOT SOUND" for each in held[1:])]
    return [combination.name, *versions, *said], all(held)


VERSIONS = (
    "import json, platform, tensorflow, keras, numpy, h5py; print(json.dumps([platform.python_version(), "
    "*(module.__version__ for module in (tensorflow, keras, numpy, h5py))]))"
)


def merged(text: str, rows: Sequence[Sequence[str]]) -> list[Sequence[str]]:
    """The rows, with those of the table for combinations that were not run again."""
    found = re.findall(r"^\| (.+) \|$", text, re.MULTILINE)
    kept = {cells[0]: cells for cells in (line.split(" | ") for line in found) if len(cells) == len(COLUMNS)}
    table = kept | {row[0]: row for row in rows}
    return [table[each.name] for each in COMBINATIONS if each.name in table]


def main() -> None:
    """Run, print, write."""
    from benchmarks.tables import markdown_table, replace_part

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=[each.name for each in COMBINATIONS])
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "matrix")
    parser.add_argument("--no-write", action="store_true", help="leave RESULTS.md as it is")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    wanted = [each for each in COMBINATIONS if arguments.only is None or each.name in arguments.only]
    judged = [judge(each, arguments.folder) for each in wanted]
    rows = [row for row, _ in judged]
    print(markdown_table(COLUMNS, rows))
    if not arguments.no_write:
        results = ROOT / "benchmarks" / "RESULTS.md"
        if BEGIN not in results.read_text(encoding="utf-8"):
            results.write_text(f"{results.read_text(encoding='utf-8').rstrip()}\n\n{SECTION}\n{BEGIN}\n{END}\n")
        part = results.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]
        replace_part(results, BEGIN, END, markdown_table(COLUMNS, merged(part, rows)))
    sys.exit(0 if all(held for _, held in judged) else 1)


if __name__ == "__main__":
    main()
