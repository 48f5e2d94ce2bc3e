"""How accurate the activations of onnxruntime, LiteRT, onnx' own evaluator and exported programs are.

    python -m benchmarks.runtime_accuracy [--only tanh gelu] [--runtimes litert] [--stride 1] [--jobs 2] [--results]

Every number (or one in so many: --stride) from 2^-14 to 2^7 on both sides (other ranges for some), and samples of the
rest as far as porter's probes go, through what porter writes for each runtime, the operators of ONNX that others write,
the same behind a product where onnxruntime optimizes, LiteRT's kernels with and without XNNPACK, C and Fortran programs
as two sets of flags make them and NumPy ones, in both precisions (float64: samples), and short odd lengths, which
vector code leaves to scalar code. Softmax on rows of many widths and spreads. The largest error of each function is
computed again with mpmath. Exit status 1 where a constant is not sound for what judges layers; XNNPACK judges none.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import mpmath
import numpy as np

from benchmarks.activation_accuracy import (
    CASES,
    CHUNK,
    ODD,
    WIDE,
    Case,
    Worst,
    activation,
    measure,
    processor,
    samples,
)
from benchmarks.programs_of_functions import program_paths
from benchmarks.softmax_accuracy import NUMBERS, worst_softmax
from porter.exports import c, fortran
from porter.exports.compiled import version_of
from porter.exports.litert import convert
from porter.exports.onnx_activations import activate
from porter.exports.onnx_chain import write_function
from porter.exports.onnx_site import OnnxSite
from porter.ports.litert_file import runtime as litert_runtime
from porter.ports.onnx_runner import evaluator_session, onnxruntime_session
from reference.activations import Activation
from reference.precision import Precision
from reference.rounding.bounds import allowed_error
from reference.trace import LayerTrace

Array = np.ndarray[Any, Any]
Run = Callable[[Array], Array]

FUNCTIONS = (
    "tanh", "sigmoid", "exponential", "softplus", "gelu", "gelu_tanh", "softsign", "elu", "selu", "silu", "mish",
    "hard_sigmoid", "hard_sigmoid_keras2", "scaled_tanh", "cos_degrees", "log10", "ln", "pow10", "softmax",
)  # fmt: skip
TRANSFORMS = ("cos_degrees", "log10", "ln", "pow10")
SOFTMAX = activation("softmax", keras.activations.softmax)
PROGRAMS: Mapping[str, Callable[[], str]] = {
    "c": lambda: version_of(c.COMPILER.find()),
    "fortran": lambda: version_of(fortran.COMPILER.find()),
    "numpy": lambda: f"NumPy {np.__version__}",
}
"""Languages of exported programs, and what makes them run."""
WRITTEN_OUT = (("litert", "softplus"), ("xnnpack", "softplus"))
"""What a runtime has no operator for: the converter writes log(exp(x) + 1), which porter judges as that."""
ITSELF = (("c, float64", "gelu"), ("numpy, float64", "gelu"))
"""Whose function is the one that the truth is computed with, so that no error could be seen."""
JUDGES_NONE = ("xnnpack",)
FARTHEST = 2.0**88
"""Largest number of porter's own probes, in float32."""
NATIVE: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "softplus": ("Softplus", {}),
    "gelu": ("Gelu", {}),
    "gelu_tanh": ("Gelu", {"approximate": "tanh"}),
    "softsign": ("Softsign", {}),
    "selu": ("Selu", {}),
    "mish": ("Mish", {}),
    "hard_sigmoid": ("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}),
    "hard_sigmoid_keras2": ("HardSigmoid", {"alpha": 0.2, "beta": 0.5}),
}
"""Operators of ONNX that porter does not write, and other exporters do."""
OPSET, IR = 20, 9
WIDEST_PROGRAM = 100
"""Beyond, the kernel of a program is long to compile, and the bound has more units than a function is off by."""
FEW = 4096
"""Numbers for the odd lengths."""
BEGIN, END = "<!-- runtime accuracy: begin -->", "<!-- runtime accuracy: end -->"
MARK = " UNSOUND"
HEADINGS = (
    "| function | constants: g, x, 1 | runtime | largest error / allowed | at | on | of |",
    "| --- | --- | --- | ---: | ---: | --- | --- |",
)
RESULTS = Path(__file__).parent / "RESULTS.md"


@dataclass(frozen=True)
class Found:
    """The worst that was seen of one function in one runtime.

    Attributes:
        function: name.
        runtime: name.
        ratio: error over allowed error, the error held against mpmath.
        at: argument.
        path: on which.
        seconds: that it took.
        of: which numbers.
    """

    function: str
    runtime: str
    ratio: float
    at: float
    path: str
    seconds: float
    of: str = ""

    @property
    def is_sound(self) -> bool:
        """Whether the constants allow for it."""
        return self.ratio <= 1


# --- the runtimes ---------------------------------------------------------------------------------------------------


def onnx_model(make: Callable[[OnnxSite, str], str], *, behind_product: bool = False, width: int = 0) -> bytes:
    """A model of one function, of rows of 16 numbers where it stands behind a product that changes nothing.

    Args:
        make: writes the function.
        behind_product: whether it stands there.
        width: of a row, where it is a function of rows.
    """
    from onnx import TensorProto, helper, numpy_helper

    site = OnnxSite("float32")
    site.enter("f")
    given = "x"
    if behind_product:
        given = site.add("Gemm", "x", site.real(np.eye(WIDE)), site.real(np.zeros(WIDE)))
    made = make(site, given)
    shape = [None, WIDE] if behind_product else [None, width] if width else [None]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("x", made)]
    constants = [numpy_helper.from_array(array, name) for name, array in site.arrays.items()]
    graph = helper.make_graph(site.nodes, "f", ends[:1], ends[1:], constants)
    opsets = [helper.make_opsetid("", OPSET)]
    return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=IR).SerializeToString())


def by_session(session: Any, *, width: int = 0) -> Run:
    """A session as a function of an array."""
    return lambda x: np.asarray(session.run(None, {"x": x.reshape(-1, width) if width else x})[0]).reshape(-1)


def own_form(label: str, site: OnnxSite, tensor: str) -> str:
    """A function as porter writes it."""
    if label in TRANSFORMS:
        return write_function(site, label, tensor)
    return activate(site, tensor, Activation(label))


def onnx_paths(label: str, make_session: Callable[..., Any], *, is_optimizing: bool) -> dict[str, Run]:
    """The ways in which ONNX files compute a function."""
    makes: dict[str, Callable[[OnnxSite, str], str]] = {"": partial(own_form, label)}
    if label in NATIVE:
        kind, options = NATIVE[label]
        makes[f", {kind}"] = lambda site, x: site.add(kind, x, **options)
    paths = {f"as it stands{name}": by_session(make_session(onnx_model(make), optimized=False))
             for name, make in makes.items()}  # fmt: skip
    if is_optimizing:
        for name, make in makes.items():
            session = make_session(onnx_model(make, behind_product=True), optimized=True)
            paths[f"behind a product, optimized{name}"] = by_session(session, width=WIDE)
    return paths


def litert_paths(case: Case, *, plain: bool, width: int = WIDE) -> dict[str, Run]:
    """LiteRT's plain kernels, by which layers are judged, or those for the processor."""
    inputs = keras.Input((width,))
    content = convert(keras.Model(inputs, keras.layers.Lambda(case.port)(inputs)), "float32", None)
    interpreter, _, _ = litert_runtime()
    without = {"experimental_op_resolver_type": interpreter.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES}
    made = interpreter.Interpreter(model_content=content, num_threads=1, **(without if plain else {}))
    return {"plain kernels" if plain else "XNNPACK": by_interpreter(made, width)}


def by_interpreter(made: Any, width: int = WIDE) -> Run:
    """An interpreter as a function of an array, whose rows are filled up."""

    def run(x: Array) -> Array:
        rows = np.resize(x, (-(-x.size // width), width))
        given, wanted = made.get_input_details()[0]["index"], made.get_output_details()[0]["index"]
        if tuple(made.get_input_details()[0]["shape"]) != rows.shape:
            made.resize_tensor_input(given, rows.shape)
        made.allocate_tensors()
        made.set_tensor(given, rows)
        made.invoke()
        return np.array(made.get_tensor(wanted)).reshape(-1)[: x.size]

    return run


RUNTIMES: Mapping[str, tuple[Callable[[Case], dict[str, Run]], Callable[[], str]]] = {
    "onnxruntime": (
        lambda case: onnx_paths(case.label, onnxruntime_session, is_optimizing=True),
        lambda: f"onnxruntime {version('onnxruntime')}",
    ),
    "onnx-reference": (
        lambda case: onnx_paths(case.label, evaluator_session, is_optimizing=False),
        lambda: f"onnx.reference {version('onnx')} with NumPy {version('numpy')}",
    ),
    "litert": (partial(litert_paths, plain=True), lambda: litert_runtime()[2]),
    "xnnpack": (partial(litert_paths, plain=False), lambda: "the same with XNNPACK"),
    **{
        f"{language}{'' if kind == 'float32' else ', float64'}": (
            lambda case, language=language, kind=kind: program_paths(case.label, language, kind, WIDE), told,
        )
        for language, told in PROGRAMS.items() for kind in ("float32", "float64")
    },
}  # fmt: skip


def kind_of(runtime: str) -> str:
    """The format in which a runtime is measured."""
    return "float64" if runtime.endswith("float64") else "float32"


def language_of(runtime: str) -> str:
    """That of a program; the runtime itself of any other."""
    return runtime.partition(",")[0]


def softmax_paths(runtime: str) -> Callable[[int], Mapping[str, Run]]:
    """The softmax of a runtime, by the width of a row."""
    if runtime in ("litert", "xnnpack"):
        return lambda width: litert_paths(SOFTMAX, plain=runtime == "litert", width=width)
    if runtime.startswith("onnx"):
        return lambda width: onnx_softmax(onnxruntime_session if runtime == "onnxruntime" else evaluator_session, width)
    return lambda width: (
        program_paths("softmax", language_of(runtime), kind_of(runtime), width) if width <= WIDEST_PROGRAM else {}
    )


def onnx_softmax(make_session: Callable[..., Any], width: int) -> dict[str, Run]:
    """Softmax of rows as porter writes it, as it stands and optimized."""
    model = onnx_model(partial(own_form, "softmax"), width=width)
    return {name: by_session(make_session(model, optimized=is_optimized), width=width)
            for name, is_optimized in (("as it stands", False), ("optimized", True))}  # fmt: skip


# --- what they are fed with -----------------------------------------------------------------------------------------


def numbers(case: Case, stride: int) -> Iterator[Array]:
    """Every so-many-th float32 of the case's binades, in arrays of whole rows."""
    for sign in case.signs:
        for exponent in range(*case.binades):
            first = int(np.array(sign * 2.0**exponent, np.float32).view(np.uint32))
            every = np.arange(first + (exponent % stride), first + 2**23, stride, dtype=np.uint32).view(np.float32)
            for start in range(0, len(every), CHUNK):
                part = every[start : start + CHUNK]
                yield np.resize(part, -(-len(part) // WIDE) * WIDE)


def odd_lengths(run: Run) -> Run:
    """On arrays so short that some of their elements miss the vector code."""
    size = 2 * ODD + 1
    return lambda x: np.concatenate([run(x[start : start + size]) for start in range(0, len(x), size)])


def on_tensors(run: Run) -> Callable[[Any], Array]:
    """As ``activation_accuracy.measure`` calls it."""
    return lambda tensor: run(np.asarray(tensor))


def examine(case: Case, name: str, stride: int) -> Found:
    """One function in one runtime."""
    kind = kind_of(name)
    if case.label == "softmax":
        ratio, at, path, seconds = worst_softmax(softmax_paths(name), kind, NUMBERS // stride)
        return Found(case.label, name, ratio, at, path, seconds, "rows")
    start = time.perf_counter()
    runs = RUNTIMES[name][0](case)
    paths = {path: on_tensors(run) for path, run in runs.items()}
    worst: dict[str, Worst] = {}
    drawn = (x[np.abs(x) <= FARTHEST] for x in samples(case, kind, np.random.default_rng(1)))
    joined = np.concatenate([np.resize(x, -(-len(x) // WIDE) * WIDE) for x in drawn if len(x)])
    rest = [joined[start : start + CHUNK] for start in range(0, len(joined), CHUNK)]
    for x in (*rest, *(numbers(case, stride) if kind == "float32" else ())):
        measure(case, kind, x, paths, worst)
    few = joined[:: max(len(joined) // FEW, 1)]
    if language_of(name) in PROGRAMS:
        runs |= {
            f"rows of {ODD}, {path}": run
            for path, run in program_paths(case.label, language_of(name), kind, ODD).items()
        }
        short = {path: on_tensors(run) for path, run in runs.items() if path.startswith("rows of")}
    else:
        short = {
            f"odd lengths, {path}": on_tensors(odd_lengths(run)) for path, run in runs.items() if "product" not in path
        }
    measure(case, kind, few, short, worst)
    path, seen = max(worst.items(), key=lambda item: item[1].ratio)
    run = runs[path.removeprefix("odd lengths, ")]
    ratio = exact_ratio(case, seen.at, run, kind) if "odd" not in path else seen.ratio
    of = f"1 in {stride}" if kind == "float32" else "samples"
    return Found(case.label, name, ratio, seen.at, path, time.perf_counter() - start, of)


# --- the truth ------------------------------------------------------------------------------------------------------


def _logistic(x: Any) -> Any:
    return 1 / (1 + mpmath.exp(-x))


def _line(slope: Any) -> Callable[[Any], Any]:
    return lambda x: min(max(slope * x + mpmath.mpf(1) / 2, mpmath.mpf(0)), mpmath.mpf(1))


def _elu(x: Any) -> Any:
    return x if x > 0 else mpmath.expm1(x)


SELU = (mpmath.mpf("1.0507009873554804934193349852946"), mpmath.mpf("1.6732632423543772848170429916717"))
EXACT: Mapping[str, Callable[[Any], Any]] = {
    "tanh": mpmath.tanh,
    "sigmoid": _logistic,
    "exponential": mpmath.exp,
    "softplus": lambda x: mpmath.log1p(mpmath.exp(x)),
    "gelu": lambda x: x * mpmath.erfc(-x / mpmath.sqrt(2)) / 2,
    "gelu_tanh": lambda x: x / 2 * (1 + mpmath.tanh(mpmath.sqrt(2 / mpmath.pi) * (x + mpmath.mpf("0.044715") * x**3))),
    "softsign": lambda x: x / (1 + abs(x)),
    "elu": _elu,
    "selu": lambda x: SELU[0] * (x if x > 0 else SELU[1] * mpmath.expm1(x)),
    "silu": lambda x: x * _logistic(x),
    "mish": lambda x: x * mpmath.tanh(mpmath.log1p(mpmath.exp(x))),
    "hard_sigmoid": _line(mpmath.mpf(1) / 6),
    "hard_sigmoid_keras2": _line(mpmath.mpf(1) / 5),
    "scaled_tanh": lambda x: mpmath.mpf("1.7159") * mpmath.tanh(2 * x / 3),
    "cos_degrees": lambda x: mpmath.cos(x * mpmath.pi / 180),
    "log10": mpmath.log10,
    "ln": mpmath.log,
    "pow10": lambda x: mpmath.mpf(10) ** x,
}


def exact_ratio(case: Case, at: float, run: Run, kind: str = "float32") -> float:
    """The error over the allowed error at one place, the truth computed with 60 digits."""
    x = np.full(CHUNK // 64, at, kind)
    with mpmath.workdps(60):
        truth = EXACT[case.label](mpmath.mpf(float(x[0])))
        error = float(abs(mpmath.mpf(float(run(x)[0])) - truth))
    wide, step = np.array([[float(x[0])]]), case.step(np.float64)
    with np.errstate(all="ignore"):
        trace = step(wide)
        single = LayerTrace(trace.name, trace.outputs, None if trace.preactivation is None else wide)
        allowed = allowed_error(step, (wide,), single, Precision(kind, kind))
    return error / float(allowed[0, 0]) if error else 0.0


# --- what is printed ------------------------------------------------------------------------------------------------


def rows_of(found: Sequence[Found]) -> Iterator[str]:
    """A table in Markdown: one row a function and runtime."""
    yield from HEADINGS
    for one in found:
        constants = ", ".join(
            f"{value:g}" for value in vars(case_of(one.function).constants(kind_of(one.runtime))).values()
        )
        mark = "" if one.is_sound else " beyond" if one.runtime in JUDGES_NONE else MARK
        figures = f"{one.ratio:.3f}{mark} | {one.at:.9g} | {one.path} | {one.of}"
        yield f"| {one.function} | {constants} | {one.runtime} | {figures} |"


def case_of(label: str) -> Case:
    """The case of that name."""
    return next(case for case in (*CASES, SOFTMAX) if case.label == label)


def told(rows: Sequence[str]) -> str:
    """What is written into RESULTS.md, of rows as ``rows_of`` gives them."""
    names = [name for name in RUNTIMES if any(_pair(row)[1] == name for row in rows)]
    wrong = [f"{function} ({name})" for function, name in map(_pair, (row for row in rows if MARK in row))]
    head = (
        "Numbers of the dense ranges, one in so many of every float32 (of float64: samples), and samples up to 2^88. "
        f"{', '.join(dict.fromkeys(RUNTIMES[name][1]() for name in names))}; {processor()}. Of softmax, rows of many "
        "widths and spreads were drawn, and the place is the largest distance between two logits of the row. The error "
        "at the worst place of each row was computed with mpmath. The constants are sound for all"
        f"{' but ' + ', '.join(wrong) if wrong else ''}. LiteRT has no softplus: its converter writes log(exp(x) + 1), "
        "which porter judges as that form, and which is wrong beyond 88."
    )
    return "\n".join([head, "", *HEADINGS, *rows])


def merged(rows: Sequence[str], page: str) -> list[str]:
    """Rows in the order of functions and runtimes, with those of the page that were not measured now."""
    old = page.split(BEGIN)[1].split(END, maxsplit=1)[0].splitlines()
    known = {_pair(row): row for row in (*old, *rows) if row.startswith("| ") and _pair(row)[0] in FUNCTIONS}
    order = [(function, name) for function in FUNCTIONS for name in RUNTIMES]
    return [known[pair] for pair in order if pair in known]


def _pair(row: str) -> tuple[str, str]:
    cells = [cell.strip() for cell in row.split("|")]
    return cells[1], cells[3]


def write_results(rows: Sequence[str]) -> None:
    """Between the marks of RESULTS.md."""
    page = RESULTS.read_text(encoding="utf-8")
    before, rest = page.split(BEGIN)
    text = told(merged(rows, page))
    RESULTS.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{rest.split(END)[1]}", encoding="utf-8")


def main() -> int:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=list(FUNCTIONS), choices=FUNCTIONS, metavar="FUNCTION")
    parser.add_argument("--runtimes", nargs="*", default=list(RUNTIMES), choices=list(RUNTIMES))
    parser.add_argument("--stride", type=int, default=1, help="every so-many-th number")
    parser.add_argument("--results", action="store_true", help="write the rows into RESULTS.md, beside those of others")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    options = parser.parse_args()
    asked = [
        (label, name)
        for label in options.only
        for name in options.runtimes
        if (name, label) not in (*WRITTEN_OUT, *ITSELF)
    ]
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        found = list(pool.map(_timed, asked, [options.stride] * len(asked)))
    rows = list(rows_of(found))[len(HEADINGS) :]
    print(told(rows))
    if options.results:
        write_results(rows)
    return int(any(not one.is_sound and one.runtime not in JUDGES_NONE for one in found))


def _timed(asked: tuple[str, str], stride: int) -> Found:
    """One row, told as soon as it is there."""
    label, name = asked
    one = examine(case_of(label), name, stride)
    print(
        f"{label} {name}: {one.ratio:.3f} at {one.at:.9g}, {one.path}, {one.seconds:.0f} s", file=sys.stderr, flush=True
    )
    return one


if __name__ == "__main__":
    sys.exit(main())
