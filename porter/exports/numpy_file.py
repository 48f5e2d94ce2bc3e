"""One Python file that imports NumPy alone."""

from __future__ import annotations

import ast
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import UsageError
from porter.exports.edited import Source
from porter.exports.graph_ops import arrays_of
from porter.exports.numpy_graph import write_arrays, write_functions
from porter.exports.numpy_text import ARGUMENTS, FUNCTIONS, NEEDED, array, called
from porter.exports.plan import UNTESTED, Piece, Plan, as_identifier, make_plan
from porter.exports.program import SelfTest, ask, run_selftest
from porter.exports.registry import Format, WriteOptions, register
from porter.network import Dense, Ensemble, Extremes, Network, Scaling, Transform
from porter.ports.traced import TracedPort
from reference.composed.ensemble import PLAIN
from reference.precision import Precision

Array = NDArray[Any]

CHAIN = (Dense, Scaling, Transform, Extremes, Ensemble)


TRANSFORMS: Mapping[str, str] = {
    "identity": "{0}",
    "cos_degrees": "np.cos(np.deg2rad({0}))",
    "log10": "np.log10({0})",
    "ln": "np.log({0})",
    "pow10": "np.power(REAL(10), {0})",
    "exp": "np.exp({0})",
    "sqrt": "np.sqrt({0})",
    "root4": "np.sqrt(np.sqrt({0}))",
    "root8": "np.sqrt(np.sqrt(np.sqrt({0})))",
    "square": "np.square({0})",
    "pow4": "np.square(np.square({0}))",
    "pow8": "np.square(np.square(np.square({0})))",
    "relu_square": "np.square(np.maximum({0}, 0))",
    "relu": "np.maximum({0}, 0)",
    "cos": "np.cos({0})",
}


def write(network: Network, path: Path, options: WriteOptions) -> None:
    """One Python file.

    Raises:
        UnbuildableError: a layer that cannot be held.
        UsageError: a file name that Python, or NumPy, has for a module of its own.
    """
    if path.stem == "numpy" or path.stem in sys.stdlib_module_names:
        raise UsageError(
            f"output {path.name}", found=f"the name of a module, {path.stem}, which the file itself would import",
            expected="a name that neither Python nor NumPy has", remedy=f"write to {path.stem}_network.py",
        )  # fmt: skip
    plan = make_plan(network, options, "Python")
    path.write_text("\n".join(_lines(plan)) + "\n", encoding="utf-8")


def _lines(plan: Plan) -> Iterator[str]:
    yield f'"""{plan.title}: inputs (rows, {plan.inputs}) to outputs (rows, {plan.outputs}), by NumPy alone.'
    yield ""
    yield from plan.about
    yield ""
    yield "predict(x) gives the outputs, layers(x) what every layer gives. As a program: rows of numbers on standard"
    yield "input, outputs on standard output; --selftest, --layers and --trace as porter verify asks for them."
    yield '"""'
    yield ""
    if "gelu" in plan.activations:
        yield "import math"
    yield from (
        "import sys",
        "import time",
        "",
        "import numpy as np",
        "",
        f"REAL = np.{plan.precision}",
        "one = REAL(1)",
        "",
    )
    for piece in plan.pieces:
        yield from (_arrays if isinstance(piece.layer, CHAIN) else write_arrays)(piece, plan.dtype)
    for name in _functions(plan):
        yield from ("", "", f"def {name}(x{ARGUMENTS.get(name, '')}):", f"    {FUNCTIONS[name]}")
    for piece in plan.pieces:
        if isinstance(piece.layer, CHAIN):
            yield from ("", "", f"def compute_{piece.identifier}(x):", *_body(piece))
        else:
            yield from write_functions(piece)
    yield from _ends(plan)


def _functions(plan: Plan) -> list[str]:
    needed = [each for name in plan.activations for each in (*NEEDED.get(name, ()), name)]
    return list(dict.fromkeys(needed))


def _arrays(piece: Piece, dtype: np.dtype[Any]) -> Iterator[str]:
    for role, values in arrays_of(piece.layer):
        yield from array(f"{piece.identifier}_{role}", values, dtype)


def _body(piece: Piece) -> Iterator[str]:
    layer, name = piece.layer, piece.identifier
    if isinstance(layer, Dense):
        bias = "" if layer.bias is None else f" + {name}_bias"
        yield f"    return {called(layer.activation, f'x @ {name}_kernel{bias}')}"
    elif isinstance(layer, Scaling):
        yield f"    return {name}_scale * x + {name}_offset"
    elif isinstance(layer, Transform):
        yield "    return np.stack(["
        for j, function in enumerate(layer.functions):
            yield f"        {TRANSFORMS[function].format(f'x[:, {j}]')},"
        yield "    ], axis=1)"
    elif isinstance(layer, Extremes):
        yield f"    below, above = x < {name}_least - {name}_tolerance, x > {name}_greatest + {name}_tolerance"
        yield f"    held = np.clip(x, {name}_least, {name}_greatest)"
        yield "    return np.where(below | above | np.isnan(x), REAL(np.nan), held)"
    elif isinstance(layer, Ensemble):
        yield "    mean = x.mean(axis=1, keepdims=True)"
        if layer.rule == PLAIN:
            yield "    return mean"
        else:
            yield "    inside = np.abs(x - mean) < x.std(axis=1, ddof=1, keepdims=True)"
            yield "    return np.where(inside, x, 0).sum(axis=1, keepdims=True) / inside.sum(axis=1)[:, None]"


def _ends(plan: Plan) -> Iterator[str]:
    yield from ("", "", "def layers(x):", '    """What every layer gives, by its name, for (rows, numbers)."""')
    yield f"    x = np.asarray(x, REAL).reshape(-1, {plan.inputs})"
    yield "    values = {}"
    yield '    with np.errstate(all="ignore"):'
    for piece in plan.pieces:
        taken = ", ".join(_taken(plan, source) for source in piece.sources)
        yield f"        values[{piece.name!r}] = compute_{piece.identifier}({taken})"
    yield "    return values"
    yield from ("", "", "def predict(x):", f'    """(rows, {plan.inputs}) to (rows, {plan.outputs})."""')
    names = ", ".join(f"values[{plan.pieces[at].name!r}]" for at in plan.results)
    yield "    values = layers(x)"
    yield f"    return np.concatenate([{names}], axis=1)" if len(plan.results) > 1 else f"    return {names}"
    yield from ("", "")
    for name in ("inputs", "outputs", "allowed"):
        yield from array(f"golden_{name}", getattr(plan.golden, name), np.dtype(np.float64))
    yield from ("", "", "def selftest(shift=0.0):")
    yield '    """Whether rows of the reference come out within what rounding allows; shifted ones must not."""'
    yield "    return bool(np.all(np.abs(predict(golden_inputs) - (golden_outputs + shift)) <= golden_allowed))"
    yield from ("", "", "def main(option=None, shift=0.0):", '    if option == "--layers":')
    yield from (f"        print({line!r})" for line in plan.sides)
    yield '    elif option == "--trace":'
    yield f'        rows = np.frombuffer(sys.stdin.buffer.read(), "<f8").reshape(-1, {plan.inputs})'
    yield "        given = np.concatenate(list(layers(rows).values()), axis=1)"
    yield '        sys.stdout.buffer.write(given.astype("<f8").tobytes())'
    yield '    elif option == "--outputs":'
    yield f'        rows = np.frombuffer(sys.stdin.buffer.read(), "<f8").reshape(-1, {plan.inputs})'
    yield '        sys.stdout.buffer.write(predict(rows).astype("<f8").tobytes())'
    yield '    elif option == "--rate":'
    yield f'        rows = np.frombuffer(sys.stdin.buffer.read(), "<f8").reshape(-1, {plan.inputs})'
    yield "        start, done = time.perf_counter(), 0"
    yield "        while time.perf_counter() - start < 0.2:"
    yield "            predict(rows)"
    yield "            done += len(rows)"
    yield "        print(done / (time.perf_counter() - start))"
    yield '    elif option == "--golden":'
    yield "        rows = np.concatenate([golden_inputs, golden_outputs, golden_allowed], axis=1)"
    yield '        sys.stdout.buffer.write(rows.astype("<f8").tobytes())'
    yield '    elif option == "--selftest":'
    if not len(plan.golden.inputs):
        yield f'        sys.exit("{UNTESTED}")'
    yield "        is_right = selftest(float(shift))"
    yield '        print("selftest passed" if is_right else "selftest FAILED")'
    yield "        return 0 if is_right else 1"
    yield "    else:"
    yield "        for row in predict(np.loadtxt(sys.stdin, ndmin=2)):"
    yield "            print(*(repr(float(value)) for value in row))"
    yield "    return 0"
    yield from ("", "", 'if __name__ == "__main__":', "    sys.exit(main(*sys.argv[1:3]))")


def _taken(plan: Plan, at: int) -> str:
    """What a piece or an input gives, in the body of ``layers``."""
    if at >= 0:
        return f"values[{plan.pieces[at].name!r}]"
    if len(plan.entries) == 1:
        return "x"
    size = list(map(prod, plan.entries.values()))[-1 - at]
    return f"x[:, {plan.place(at)} : {plan.place(at) + size}]"


def open_file(path: Path, *, trusted: bool) -> TracedPort:
    """The file run as a program by this Python.

    Raises:
        UsageError: its code may not be run.
        PortError: it is no such program.
    """
    if not trusted:
        raise UsageError(
            f"{path} is a program",
            found="no word that its code may be run",
            remedy="say --compile (compile=True) if you trust it: it is compiled where it has to be, and run",
        )
    program = ask((sys.executable, "-I", str(path)), path.name)
    precision = Precision(program.precision, program.precision)
    source = Source("numpy", path.read_text(encoding="utf-8"), program.precision, write, _selftest)
    return TracedPort(
        path.name, f"NumPy {np.__version__}", program.run, program.outputs, precision, path=path,
        weights=cache(lambda: by_names(read_arrays(path), program.layers)), portable="porter export --to numpy",
        call=program.call, rate=program.rate, program=program, source=source,
    )  # fmt: skip


def _selftest(text: str) -> SelfTest:
    with tempfile.TemporaryDirectory(prefix="porter-") as folder:
        path = Path(folder) / "source.py"
        path.write_text(text, encoding="utf-8")
        return run_selftest((sys.executable, "-I", str(path), "--selftest"), path.name)


def read_arrays(path: Path) -> dict[str, tuple[Array, Array | None]]:
    """Kernels and biases of the dense layers as the file has them, read as text; what is no array is left out."""
    known: dict[str, Array] = {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            values = _read_array(node.value)
            if values is not None:
                known[node.targets[0].id] = values
    names = [name.removesuffix("_kernel") for name in known if name.endswith("_kernel")]
    return {name: (known[f"{name}_kernel"], known.get(f"{name}_bias")) for name in names}


def by_names(arrays: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Arrays by the legacy names of their layers, where they are known by those that the language takes."""
    return {name: arrays[as_identifier(name)] for name in names if as_identifier(name) in arrays}


def _read_array(node: Any) -> Array | None:
    """``np.array([...], REAL).reshape(...)`` as it is written; None for anything else."""
    try:
        shape = [int(ast.literal_eval(each)) for each in node.args]
        values = ast.literal_eval(node.func.value.args[0])
        if node.func.attr != "reshape":
            return None
        return np.array(values, np.float64).reshape(shape)
    except (AttributeError, ValueError, IndexError, TypeError, SyntaxError):
        return None


FORMAT = register(
    Format(
        "numpy",
        ".py",
        "one Python file that imports NumPy alone",
        write,
        opens=open_file,
        holds_code=True,
    )
)
