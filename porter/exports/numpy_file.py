"""One Python file that imports NumPy alone."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator, Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import UsageError
from porter.exports.plan import Dense, Ensemble, Extremes, Piece, Plan, Scaling, Transform, as_identifier, make_plan
from porter.exports.program import ask
from porter.exports.registry import Format, WriteOptions, register
from porter.network import Network
from porter.ports.traced import TracedPort
from reference.activations import GELU_TANH_SCALE, SELU_ALPHA, SELU_SCALE, Activation
from reference.composed.ensemble import PLAIN
from reference.precision import Precision

Array = NDArray[Any]

PER_LINE = 4

FUNCTIONS: Mapping[str, str] = {
    "linear": "return x",
    "tanh": "return np.tanh(x)",
    "relu6": "return np.clip(x, 0, 6)",
    "sigmoid": "small = np.exp(-np.abs(x))\n    return np.where(x >= 0, one, small) / (one + small)",
    "softsign": "return x / (one + np.abs(x))",
    "softplus": "return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))",
    "selu": f"return REAL({SELU_SCALE!r}) * np.where(x > 0, x, REAL({SELU_ALPHA!r}) * np.expm1(np.minimum(x, 0)))",
    "exponential": "return np.exp(x)",
    "gelu": "return x / 2 * np.vectorize(math.erfc, otypes=[REAL])(-x / REAL(math.sqrt(2)))",
    "gelu_tanh": f"inner = REAL({GELU_TANH_SCALE!r}) * (x + REAL(0.044715) * x * x * x)\n"
    "    return x * sigmoid(2 * inner)",
    "silu": "return x * sigmoid(x)",
    "mish": "return x * np.tanh(np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))))",
    "hard_sigmoid": "return np.clip(x / 6 + REAL(0.5), 0, 1)",
    "hard_sigmoid_keras2": "return np.clip(REAL(0.2) * x + REAL(0.5), 0, 1)",
    "hard_tanh": "return np.clip(x, -1, 1)",
    "softmax": "shifted = np.exp(x - x.max(axis=-1, keepdims=True))\n"
    "    return shifted / shifted.sum(axis=-1, keepdims=True)",
    "relu": "bent = np.where(x >= threshold, x, 0 * one if slope == 0 else REAL(slope) * (x - REAL(threshold)))\n"
    "    bent = np.where(np.isnan(x), x, bent)\n"
    "    return bent if largest is None else np.minimum(bent, REAL(largest))",
    "leaky_relu": "return np.where(x >= 0, x, REAL(negative_slope) * x)",
    "elu": "return np.where(x > 0, x, REAL(alpha) * np.expm1(np.minimum(x, 0)))",
    "thresholded_relu": "return np.where(np.isnan(x) | (x > REAL(theta)), x, 0 * one)",
    "scaled_tanh": "return REAL(amplitude) * np.tanh(REAL(slope) * x)",
}
"""The body of each activation; ``one`` is 1 in the file's precision."""
ARGUMENTS: Mapping[str, str] = {
    "relu": ", largest=None, slope=0.0, threshold=0.0",
    "leaky_relu": ", negative_slope=0.2",
    "elu": ", alpha=1.0",
    "thresholded_relu": ", theta=1.0",
    "scaled_tanh": ", amplitude=1.7159, slope=2.0 / 3.0",
}
RENAMED = {"relu": {"max_value": "largest", "negative_slope": "slope", "threshold": "threshold"}}
NEEDED = {"silu": ("sigmoid",), "gelu_tanh": ("sigmoid",)}
TRANSFORMS: Mapping[str, str] = {
    "identity": "{0}",
    "cos_degrees": "np.cos(np.deg2rad({0}))",
    "log10": "np.log10({0})",
    "ln": "np.log({0})",
    "pow10": "np.power(REAL(10), {0})",
    "exp": "np.exp({0})",
    "root4": "np.sqrt(np.sqrt({0}))",
    "pow8": "np.square(np.square(np.square({0})))",
    "relu_square": "np.square(np.maximum({0}, 0))",
}


def write(network: Network, path: Path, options: WriteOptions) -> None:
    """One Python file.

    Raises:
        UnbuildableError: a layer that cannot be held.
    """
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
        yield from _arrays(piece, plan.dtype)
    for name in _functions(plan):
        yield from ("", "", f"def {name}(x{ARGUMENTS.get(name, '')}):", f"    {FUNCTIONS[name]}")
    for piece in plan.pieces:
        yield from ("", "", f"def compute_{piece.identifier}(x):", *_body(piece))
    yield from _ends(plan)


def _functions(plan: Plan) -> list[str]:
    needed = [each for name in plan.activations for each in (*NEEDED.get(name, ()), name)]
    return list(dict.fromkeys(name for name in needed if name != "linear"))


def _arrays(piece: Piece, dtype: np.dtype[Any]) -> Iterator[str]:
    layer, name = piece.layer, piece.identifier
    if isinstance(layer, Dense):
        yield from _array(f"{name}_kernel", layer.kernel, dtype)
        if layer.bias is not None:
            yield from _array(f"{name}_bias", layer.bias, dtype)
    elif isinstance(layer, Scaling):
        yield from _array(f"{name}_scale", layer.scale, dtype)
        yield from _array(f"{name}_offset", layer.offset, dtype)
    elif isinstance(layer, Extremes):
        for each in ("least", "greatest", "tolerance"):
            yield from _array(f"{name}_{each}", getattr(layer, each), dtype)


def _array(name: str, array: Array, dtype: np.dtype[Any]) -> Iterator[str]:
    """An assignment of the nearest numbers of that dtype, each with as many digits as it takes to come back."""
    values = np.asarray(array).astype(dtype)
    yield f"{name} = np.array(["
    for row in np.atleast_2d(values):
        numbers = [_literal(value) for value in row]
        for start in range(0, len(numbers), PER_LINE):
            yield f"    {', '.join(numbers[start : start + PER_LINE])},"
    yield f"], REAL).reshape({', '.join(str(size) for size in values.shape)})"


def _literal(value: Any) -> str:
    if np.isfinite(value):
        return str(value) if value.dtype != np.float64 else repr(float(value))
    return "float('nan')" if np.isnan(value) else f"float('{'-' if value < 0 else ''}inf')"


def _body(piece: Piece) -> Iterator[str]:
    layer, name = piece.layer, piece.identifier
    if isinstance(layer, Dense):
        bias = "" if layer.bias is None else f" + {name}_bias"
        yield f"    return {_called(layer.activation, f'x @ {name}_kernel{bias}')}"
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


def _called(activation: Activation, argument: str) -> str:
    if activation.name == "linear":
        return argument
    names = RENAMED.get(activation.name, {})
    given = {key: value for key, value in activation.parameters.items() if key != "axis"}
    return f"{activation.name}({', '.join([argument, *(f'{names.get(k, k)}={v!r}' for k, v in given.items())])})"


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
        yield from _array(f"golden_{name}", getattr(plan.golden, name), np.dtype(np.float64))
    yield from ("", "", "def selftest():")
    yield '    """Whether rows of the reference come out within what rounding allows from end to end."""'
    yield "    return bool(np.all(np.abs(predict(golden_inputs) - golden_outputs) <= golden_allowed))"
    yield from ("", "", "def main(option):", '    if option == "--layers":')
    yield from (f"        print({line!r})" for line in plan.sides)
    yield '    elif option == "--trace":'
    yield f'        rows = np.frombuffer(sys.stdin.buffer.read(), "<f8").reshape(-1, {plan.inputs})'
    yield "        given = np.concatenate(list(layers(rows).values()), axis=1)"
    yield '        sys.stdout.buffer.write(given.astype("<f8").tobytes())'
    yield '    elif option == "--rate":'
    yield f'        rows = np.frombuffer(sys.stdin.buffer.read(), "<f8").reshape(-1, {plan.inputs})'
    yield "        start, done = time.perf_counter(), 0"
    yield "        while time.perf_counter() - start < 0.2:"
    yield "            predict(rows)"
    yield "            done += len(rows)"
    yield "        print(done / (time.perf_counter() - start))"
    yield '    elif option == "--selftest":'
    yield '        print("selftest passed" if selftest() else "selftest FAILED")'
    yield "        return 0 if selftest() else 1"
    yield "    else:"
    yield "        for row in predict(np.loadtxt(sys.stdin, ndmin=2)):"
    yield "            print(*(repr(float(value)) for value in row))"
    yield "    return 0"
    yield from ("", "", 'if __name__ == "__main__":', "    sys.exit(main(*sys.argv[1:2] or [None]))")


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
    return TracedPort(
        path.name, f"NumPy {np.__version__}", program.run, program.outputs, precision, path=path,
        weights=lambda: by_names(read_arrays(path), program.layers), portable="porter export --to numpy",
        rate=program.rate,
    )  # fmt: skip


def read_arrays(path: Path) -> dict[str, tuple[Array, Array | None]]:
    """Kernels and biases of the dense layers as the file has them, read as text; what is no array is left out."""
    known: dict[str, Array] = {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            array = _read_array(node.value)
            if array is not None:
                known[node.targets[0].id] = array
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
