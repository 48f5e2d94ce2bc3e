"""porter.verify beside Polygraphy's ``run``, on the same network with the same mistakes.

    pip install polygraphy onnx onnxruntime tf2onnx
    python -m benchmarks.polygraphy_comparison        # writes its table into RESULTS.md

Polygraphy compares tensor by tensor what two runs give. Here the one run is recorded from a float64 port that is right
(the best reference that a person could have), the other is onnxruntime on the ONNX file of the port under test; every
tensor is marked as an output, both get the same 2,000 rows inside the documented range, and the tolerances are
Polygraphy's own. It is called as the script calls it that ``polygraphy run --gen-script`` writes, without the start of
a process. The first tensor that differs, in the order of the graph, is the place that it names; a tensor that only one
of the two runs has is not compared. Seconds are the process's own, of every core, without the export.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.networks import draw_legacy, trained
from benchmarks.planting import ANY
from benchmarks.plants import PLANTS, Planted
from benchmarks.ports import COMPOSED, Legacy, PortSpec, build, faithful

ROOT = Path(__file__).resolve().parent.parent
MISTAKES = (
    "bias_missing", "bias_negated", "bias_value", "kernel_reshaped", "kernel_flipped", "kernel_rounded", "port_rounded",
    "kernel_unset", "one_weight_1e-06", "one_weight_0.0001", "one_weight_sign", "units_permuted", "rows_permuted",
    "inputs_permuted", "activation_replaced", "activation_missing", "scaling_range", "scaling_swapped",
)  # fmt: skip
PAIRS = (
    ("kernel_reshaped", "bias_negated"),
    ("activation_replaced", "one_weight_sign"),
    ("units_permuted", "scaling_range"),
    ("bias_missing", "kernel_unset"),
)
FAITHFUL = 20
BEGIN, END = "<!-- polygraphy: begin -->", "<!-- polygraphy: end -->"


@dataclass
class Tally:
    """What one tool made of the ports of one kind."""

    ports: int = 0
    flagged: int = 0
    located: int = 0
    named: int = 0
    seconds: float = 0.0


def polygraphy_rows(right: PortSpec, planted: PortSpec, inputs: np.ndarray, folder: Path) -> tuple[list[str], float]:
    """The rows at which Polygraphy finds a difference, in the order of the graph, and its seconds; exports left out."""
    from polygraphy.comparator import Comparator, RunResults, SimpleCompareFunc

    reference, found = _exported(right, folder / "right.onnx"), _exported(planted, folder / "port.onnx")
    recorded = _inferred(reference, inputs.astype(np.float64))
    start = time.process_time()
    given = _inferred(found, inputs.astype(np.float32))
    runs = RunResults([*recorded, *given])
    compared = Comparator.compare_accuracy(runs, compare_func=SimpleCompareFunc(), fail_fast=False)
    seconds = time.process_time() - start
    ((results,),) = compared[0].values()
    rows = _rows(found)
    return [rows[name] for name in rows if name in results and not results[name]], seconds


def _exported(spec: PortSpec, path: Path) -> Path:
    import keras

    # Equal names for equal layers: Polygraphy pairs tensors by name.
    keras.utils.clear_session()
    model = build(spec)
    model(np.zeros((1, model.inputs[0].shape[1]), spec.ends))
    model.export(path, format="onnx", verbose=False)
    return path


def _inferred(path: Path, inputs: np.ndarray) -> Any:
    import onnx
    from polygraphy import constants
    from polygraphy.backend.onnx import BytesFromOnnx, ModifyOutputs, OnnxFromPath
    from polygraphy.backend.onnxrt import OnnxrtRunner, SessionFromOnnx
    from polygraphy.comparator import Comparator

    marked = ModifyOutputs(OnnxFromPath(str(path)), outputs=constants.MARK_ALL)
    runner = OnnxrtRunner(SessionFromOnnx(BytesFromOnnx(marked)), name=path.stem)
    name = onnx.load(path).graph.input[0].name
    return Comparator.run([runner], data_loader=[{name: inputs}])


def _rows(path: Path) -> dict[str, str]:
    """Tensor name to the row of the legacy network that it belongs to, in the order of the graph."""
    import onnx

    nodes = onnx.load(path).graph.node
    products = [index for index, node in enumerate(nodes) if node.op_type in ("MatMul", "Gemm")]
    rows: dict[str, str] = {}
    for index, node in enumerate(nodes):
        number = sum(product <= index for product in products)
        is_after = number == len(products) and index > products[-1] and node.op_type == "Mul"
        at_end = is_after or (bool(rows) and list(rows.values())[-1] == "Norm_out")
        rows[node.output[0]] = "Norm_in" if number == 0 else "Norm_out" if at_end else f"Layer{number}"
    return rows


def porter_rows(network: Any, planted: PortSpec, inputs: np.ndarray) -> tuple[list[tuple[str, str]], float]:
    """(code, row) of porter's findings, and its seconds."""
    import porter

    model = build(planted)
    start = time.process_time()
    report = porter.verify(network, model, rows=len(inputs), search=False)
    flagged = [(finding.code, finding.layer) for finding in report.findings]
    return flagged or ([("", "")] if report.verdict != "parity" else []), time.process_time() - start


def compare(legacy: Legacy, planted: Sequence[tuple[str, Planted]], right: PortSpec) -> dict[str, dict[str, Tally]]:
    """Both tools on every port, tallied by kind of port."""
    inputs = _inputs(legacy)
    network = _network(legacy)
    tallies: dict[str, dict[str, Tally]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for kind, one in planted:
            rows = [row for _, row in one.expected]
            found, seconds = polygraphy_rows(faithful(legacy, "float64"), one.port, inputs, Path(folder))
            first = found[:1] and (found[0] in rows or ANY in rows)
            # What follows the first difference differs as well, so that a second mistake is not told from the first.
            located = bool(first) and len(rows) == 1
            _add(tallies, kind, "Polygraphy", Tally(1, bool(found), located, 0, seconds))
            named, seconds = porter_rows(network, one.port, inputs)
            located = all(any(row in (ANY, at) for _, at in named) for row in rows)
            causes = all(any(code in codes and row in (ANY, at) for code, at in named) for codes, row in one.expected)
            _add(tallies, kind, "porter", Tally(1, bool(named), located, causes, seconds))
    return tallies


def _add(tallies: dict[str, dict[str, Tally]], kind: str, tool: str, more: Tally) -> None:
    own = tallies.setdefault(kind, {}).setdefault(tool, Tally())
    for name in vars(own):
        setattr(own, name, getattr(own, name) + getattr(more, name))


def _inputs(legacy: Legacy) -> np.ndarray:
    rng = np.random.default_rng(0)
    if legacy.norm_in is None:
        return 100 * rng.standard_normal((2000, legacy.widths[0]))
    low, high = legacy.norm_in.T
    return low + (high - low) * rng.random((2000, len(low)))


def _network(legacy: Legacy) -> Any:
    import porter

    with tempfile.TemporaryDirectory() as folder:
        return porter.read(legacy.write(Path(folder) / "legacy.h5"), **legacy.options)


def planted_ports(legacy: Legacy, right: PortSpec, each: int) -> list[tuple[str, Planted]]:
    """Every mistake, some times, then pairs of them."""
    ports = []
    for index, name in enumerate(MISTAKES):
        for seed in range(each):
            planted = PLANTS[name](legacy, right, np.random.default_rng([index, seed]))
            if planted is not None and is_exportable(planted.port):
                ports.append((name, planted))
    for index, pair in enumerate(PAIRS):
        for seed in range(each):
            rng = np.random.default_rng([100 + index, seed])
            first = PLANTS[pair[0]](legacy, right, rng)
            second = None if first is None else PLANTS[pair[1]](legacy, first.port, rng)
            if first is None or second is None or not is_exportable(second.port):
                continue
            if first.expected[0][1] != second.expected[0][1]:
                ports.append((" + ".join(pair), Planted(second.port, (*first.expected, *second.expected))))
    return ports


def is_exportable(spec: PortSpec) -> bool:
    """Whether tf2onnx and onnxruntime take it.

    tf2onnx writes gelu with an operator that onnxruntime lacks, and makes inputs of the constants of bare operations.
    """
    return all(layer.activation != "gelu" and layer.activation not in COMPOSED for layer in spec.layers)


def false_alarms() -> dict[str, dict[str, Tally]]:
    """Ports that are right: of relu networks that take raw numbers, and of scaled tanh networks."""
    tallies: dict[str, dict[str, Tally]] = {}
    for seed in range(FAITHFUL):
        for kind, activation in (("right: relu, raw inputs", "relu"), ("right: tanh, scaled inputs", "tanh")):
            rng = np.random.default_rng([200, seed])
            legacy = draw_legacy(rng, depth=4, width=64, activation=activation, last="linear", magnitude=1.0,
                                 scaling=activation == "tanh", kind=None)  # fmt: skip
            right = faithful(legacy)
            for tool, tally in compare(legacy, [(kind, Planted(right, ()))], right)[kind].items():
                _add(tallies, kind, tool, tally)
    return tallies


def markdown(tallies: dict[str, dict[str, Tally]]) -> str:
    """One row a kind of port; for ports that are right, what is flagged is a false alarm."""
    from benchmarks.tables import markdown_table

    columns = (
        "port",
        "number",
        *(
            f"{tool}: {what}"
            for tool in ("Polygraphy", "porter")
            for what in ("flagged", "all located", "all causes", "s each")
        ),
    )
    rows = []
    for kind, tools in tallies.items():
        right = kind.startswith("right")
        cells = [kind, str(tools["porter"].ports)]
        for tool in ("Polygraphy", "porter"):
            own = tools[tool]
            cells += [f"{own.flagged}{' false' if right and own.flagged else ''}"]
            cells += ["-", "-"] if right else [str(own.located), str(own.named)]
            cells += [f"{own.seconds / own.ports:.2f}"]
        rows.append(cells)
    names = ("polygraphy", "onnxruntime", "onnx", "tf2onnx")
    return f"{', '.join(f'{name} {version(name)}' for name in names)}.\n\n{markdown_table(columns, rows)}"


def main() -> None:
    """Compare, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--each", type=int, default=3, help="ports of each mistake")
    parser.add_argument("--no-write", action="store_true", help="leave RESULTS.md as it is")
    arguments = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from polygraphy.logger import G_LOGGER

    G_LOGGER.module_severity = G_LOGGER.CRITICAL
    legacy = trained()[0]
    right = faithful(legacy)
    text = markdown({**compare(legacy, planted_ports(legacy, right, arguments.each), right), **false_alarms()})
    print(text)
    if not arguments.no_write:
        from benchmarks.tables import replace_part

        replace_part(ROOT / "benchmarks" / "RESULTS.md", BEGIN, END, text)


if __name__ == "__main__":
    main()
