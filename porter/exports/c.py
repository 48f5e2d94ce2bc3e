"""One C99 source file: weights as hexadecimal floats, no allocation, no dependencies."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.exports.c_graph import write_op
from porter.exports.c_text import ARGUMENTS, FUNCTIONS, NEEDED, activated, array
from porter.exports.compiled import Compiler, open_source
from porter.exports.graph_ops import arrays_of
from porter.exports.plan import UNTESTED, Piece, Plan, make_plan
from porter.exports.registry import Format, WriteOptions, register
from porter.network import Dense, Ensemble, Extremes, Network, Scaling, Transform
from porter.ports.traced import TracedPort
from reference.composed.ensemble import PLAIN

Array = NDArray[Any]

RATED_ROWS = 256
CHAIN = (Dense, Scaling, Transform, Extremes, Ensemble)
COMPILER = Compiler("C", ("cc", "gcc", "clang"), ("-std=c99", "-O2", "-DMAIN"), ("-lm",))

TRANSFORMS: Mapping[str, str] = {
    "identity": "{0}",
    "cos_degrees": "F(cos)({0} * R(0.017453292519943295))",
    "log10": "F(log10)({0})",
    "ln": "F(log)({0})",
    "pow10": "F(pow)(10, {0})",
    "exp": "F(exp)({0})",
    "sqrt": "F(sqrt)({0})",
    "root4": "F(sqrt)(F(sqrt)({0}))",
    "root8": "F(sqrt)(F(sqrt)(F(sqrt)({0})))",
    "square": "({0} * {0})",
    "pow4": "pow4({0})",
    "pow8": "pow8({0})",
    "relu_square": "relu_square({0})",
    "relu": "({0} > 0 || {0} != {0} ? {0} : 0)",
    "cos": "F(cos)({0})",
}
HELPERS: Mapping[str, str] = {
    "pow4": "const real two = z * z;\n    return two * two;",
    "pow8": "const real two = z * z, four = two * two;\n    return four * four;",
    "relu_square": "return z > 0 ? z * z : z != z ? z : 0;",
}


def write(network: Network, path: Path, options: WriteOptions) -> None:
    """One C file; with ``options.project`` a CMakeLists.txt beside it.

    Raises:
        UnbuildableError: a layer that cannot be held.
    """
    plan = make_plan(network, options, "C")
    path.write_text("\n".join(_lines(plan, path.name)) + "\n", encoding="utf-8")
    if options.project:
        lines = _project(plan.identifier, path.name)
        path.with_name("CMakeLists.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _lines(plan: Plan, file: str) -> Iterator[str]:
    name, big = plan.identifier, plan.identifier.upper()
    is_double, total = plan.precision == "float64", plan.total
    yield "/*"
    yield from (f" * {line}".replace("*/", "* /").rstrip() for line in _about(plan, file))
    yield " */"
    yield from ("#include <math.h>", "")
    if is_double:
        yield from ("typedef double real;", "#define F(name) name", "#define R(number) number")
    else:
        yield from ("typedef float real;", "#define F(name) name##f", "#define R(number) number##f")
    yield from ("", f"#define {big}_INPUTS {plan.inputs}", f"#define {big}_OUTPUTS {plan.outputs}")
    yield from (f"#define {big}_LAYERS {total}", "", f"void {name}(const real *inputs, real *outputs);")
    yield from (f"void {name}_layers(const real *inputs, real *layers);", "")
    for piece in plan.pieces:
        yield from _arrays(piece, plan.dtype) if isinstance(piece.layer, CHAIN) else ()
    yield from _functions(plan)
    for piece in plan.pieces:
        if isinstance(piece.layer, CHAIN):
            yield from _function(piece, is_double)
        else:
            yield from write_op(piece, plan.dtype)
    yield from _whole(plan, total)
    yield from _main(plan, total)


def _about(plan: Plan, file: str) -> Iterator[str]:
    yield from (*plan.about, "")
    yield f"{plan.identifier}(inputs, outputs) takes {plan.inputs} numbers and gives {plan.outputs}."
    yield f"{plan.identifier}_layers(inputs, layers) gives what every layer gives, one behind the other."
    yield "Nothing is allocated and nothing is kept: both may be called from many threads at once."
    yield f"cc -std=c99 -O2 -c {file}                  to link it to a program"
    yield f"cc {file} -lm -DSELFTEST && ./a.out        rows of the reference, within what rounding allows"
    yield f"cc {file} -lm -DMAIN && ./a.out < rows     rows of numbers on standard input"
    yield "Compile without -ffast-math: with it, nothing is known of rounding and missing values."


def _arrays(piece: Piece, dtype: np.dtype[Any]) -> Iterator[str]:
    if isinstance(piece.layer, Dense):
        yield f"/* {piece.name}: {piece.inputs} rows of {piece.outputs}, what each input adds to each unit */"
    for role, values in arrays_of(piece.layer):
        yield from array(f"{piece.identifier}_{role}", values, dtype)


def _functions(plan: Plan) -> Iterator[str]:
    needed = [each for name in plan.activations for each in (*NEEDED.get(name, ()), name)]
    for name in dict.fromkeys(needed):
        if name in FUNCTIONS:
            arguments = "".join(f", real {each}" for each, _, _ in ARGUMENTS.get(name, ()))
            yield from (f"static real act_{name}(real z{arguments})", "{", f"    {FUNCTIONS[name]}", "}", "")
    used = {each for p in plan.pieces if isinstance(p.layer, Transform) for each in p.layer.functions}
    for name in sorted(used & set(HELPERS)):
        yield from (f"static real {name}(real z)", "{", f"    {HELPERS[name]}", "}", "")


def _function(piece: Piece, is_double: bool) -> Iterator[str]:
    """A step of a chain."""
    layer, name, n = piece.layer, piece.identifier, piece.outputs
    yield from (f"static void compute_{name}(const real *x, real *y)", "{")
    if isinstance(layer, Dense):
        start = f"{name}_bias[j]" if layer.bias is not None else "0"
        yield "    int i, j;"
        yield f"    for (j = 0; j < {n}; j++) y[j] = {start};"
        yield f"    for (i = 0; i < {piece.inputs}; i++) {{"
        yield "        const real a = x[i];"
        yield f"        const real *row = {name}_kernel + i * {n};"
        yield f"        for (j = 0; j < {n}; j++) y[j] += a * row[j];"
        yield "    }"
        yield from activated(layer.activation, n, is_double)
    elif isinstance(layer, Scaling):
        yield "    int j;"
        yield f"    for (j = 0; j < {n}; j++) y[j] = {name}_scale[j] * x[j] + {name}_offset[j];"
    elif isinstance(layer, Transform):
        for j, function in enumerate(layer.functions):
            yield f"    y[{j}] = {TRANSFORMS[function].format(f'x[{j}]')};"
    elif isinstance(layer, Extremes):
        yield "    int j;"
        yield f"    for (j = 0; j < {n}; j++) {{"
        yield f"        const real low = {name}_least[j], high = {name}_greatest[j], slack = {name}_tolerance[j];"
        yield "        const int is_near = x[j] >= low - slack && x[j] <= high + slack;"
        yield "        y[j] = !is_near ? NAN : x[j] < low ? low : x[j] > high ? high : x[j];"
        yield "    }"
    elif isinstance(layer, Ensemble):
        yield from _ensemble(layer)
    yield from ("}", "")


def _ensemble(layer: Ensemble) -> Iterator[str]:
    n = layer.members
    yield "    real mean = 0;"
    yield "    int j;"
    yield f"    for (j = 0; j < {n}; j++) mean += x[j];"
    yield f"    mean /= {n};"
    if layer.rule != PLAIN:
        yield "    {"
        yield "        real square = 0, sum = 0;"
        yield "        int count = 0;"
        yield f"        for (j = 0; j < {n}; j++) square += (x[j] - mean) * (x[j] - mean);"
        yield f"        square = F(sqrt)(square / {n - 1});"
        yield f"        for (j = 0; j < {n}; j++) if (F(fabs)(x[j] - mean) < square) {{ sum += x[j]; count++; }}"
        yield "        mean = sum / count;"
        yield "    }"
    yield "    y[0] = mean;"


def _whole(plan: Plan, total: int) -> Iterator[str]:
    name = plan.identifier
    yield from (f"void {name}_layers(const real *inputs, real *layers)", "{")
    for at, piece in enumerate(plan.pieces):
        taken = ", ".join(f"{'inputs' if s < 0 else 'layers'} + {plan.place(s)}" for s in piece.sources)
        yield f"    compute_{piece.identifier}({taken}, layers + {plan.place(at)});"
    yield from (
        "}",
        "",
        f"void {name}(const real *inputs, real *outputs)",
        "{",
        f"    real layers[{total}];",
        "    int j;",
    )
    yield f"    {name}_layers(inputs, layers);"
    given = 0
    for at in plan.results:
        size = plan.pieces[at].outputs
        yield f"    for (j = 0; j < {size}; j++) outputs[{given} + j] = layers[{plan.place(at)} + j];"
        given += size
    yield from ("}", "")


def _main(plan: Plan, total: int) -> Iterator[str]:
    yield from ("#if defined(SELFTEST) || defined(MAIN)", "#include <stdio.h>", "#include <string.h>")
    yield from ("#include <time.h>", "")
    yield from _selftest(plan)
    yield from ("#endif", "", "#if defined(SELFTEST)", "int main(void) { return selftest(0); }", "#elif defined(MAIN)")
    yield from _tell(plan)
    yield from _golden(plan)
    yield from _rate(plan)
    yield from _main_function(plan, total)
    yield "#endif"


def _selftest(plan: Plan) -> Iterator[str]:
    name, rows = plan.identifier, len(plan.golden.inputs)
    if not rows:
        yield from ("static int selftest(double shift)", "{", "    (void)shift;", f'    puts("{UNTESTED}");')
        yield from ("    return 1;", "}", "")
        return
    for each in ("inputs", "outputs", "allowed"):
        yield from array(f"golden_{each}", getattr(plan.golden, each), np.dtype(np.float64), "double")
    yield "/* Rows of the reference; with any other shift than 0 of their outputs it has to fail. */"
    yield from ("static int selftest(double shift)", "{", f"    real x[{plan.inputs}], y[{plan.outputs}];")
    yield "    int i, j, wrong = 0;"
    yield f"    for (i = 0; i < {rows}; i++) {{"
    yield f"        for (j = 0; j < {plan.inputs}; j++) x[j] = (real)golden_inputs[i * {plan.inputs} + j];"
    yield f"        {name}(x, y);"
    yield f"        for (j = 0; j < {plan.outputs}; j++) {{"
    yield f"            const int k = i * {plan.outputs} + j;"
    yield "            if (!(fabs((double)y[j] - (golden_outputs[k] + shift)) <= golden_allowed[k])) wrong++;"
    yield "        }"
    yield "    }"
    yield '    printf("selftest %s: ", wrong ? "FAILED" : "passed");'
    yield f'    printf("{rows} rows, %d of {rows * plan.outputs} numbers off\\n", wrong);'
    yield from ("    return wrong != 0;", "}", "")


def _tell(plan: Plan) -> Iterator[str]:
    yield from ("static int tell(void)", "{")
    yield from (f'    puts("{_quoted(line)}");' for line in plan.sides)
    yield from ("    return 0;", "}", "")


def _golden(plan: Plan) -> Iterator[str]:
    rows = len(plan.golden.inputs)
    if not rows:
        yield from ("static int golden(void) { return 0; }", "")
        return
    yield from ("static int golden(void)", "{", "    int i;", f"    for (i = 0; i < {rows}; i++) {{")
    for each, size in (("inputs", plan.inputs), ("outputs", plan.outputs), ("allowed", plan.outputs)):
        yield f"        if (fwrite(golden_{each} + i * {size}, sizeof(double), {size}, stdout) != {size}) return 1;"
    yield from ("    }", "    return 0;", "}", "")


def _rate(plan: Plan) -> Iterator[str]:
    name = plan.identifier
    yield from ("/* Rows a second of one thread, on rows from standard input. */", "static int rate(void)", "{")
    yield f"    static double rows[{RATED_ROWS * plan.inputs}];"
    yield f"    real x[{plan.inputs}], y[{plan.outputs}];"
    yield "    volatile double sink = 0;"
    yield f"    const int known = (int)fread(rows, sizeof(double) * {plan.inputs}, {RATED_ROWS}, stdin);"
    yield "    const clock_t start = clock();"
    yield from ("    double done = 0, seconds = 0;", "    int i, j;", "    while (known > 0 && seconds < 0.2) {")
    yield "        for (i = 0; i < known; i++) {"
    yield f"            for (j = 0; j < {plan.inputs}; j++) x[j] = (real)rows[i * {plan.inputs} + j];"
    yield from (f"            {name}(x, y);", "            sink = sink + y[0];", "        }", "        done += known;")
    yield from ("        seconds = (double)(clock() - start) / CLOCKS_PER_SEC;", "    }")
    yield from ('    printf("%.6g\\n", done / seconds);', "    return 0;", "}", "")


def _main_function(plan: Plan, total: int) -> Iterator[str]:
    name, big = plan.identifier, plan.identifier.upper()
    inputs, outputs, layers = (f"{big}_{each}" for each in ("INPUTS", "OUTPUTS", "LAYERS"))
    yield from (
        "int main(int count, char **words)",
        "{",
        f"    static double row[{max(plan.inputs, plan.outputs, total)}];",
    )
    yield f"    static real x[{inputs}], y[{outputs}], layers[{layers}];"
    yield from ("    double shift = 0;", "    int j;")
    yield '    if (count > 1 && strcmp(words[1], "--layers") == 0) return tell();'
    yield '    if (count > 2 && sscanf(words[2], "%lf", &shift) != 1) return 2;'
    yield '    if (count > 1 && strcmp(words[1], "--selftest") == 0) return selftest(shift);'
    yield '    if (count > 1 && strcmp(words[1], "--golden") == 0) return golden();'
    yield '    if (count > 1 && strcmp(words[1], "--rate") == 0) return rate();'
    yield '    if (count > 1 && strcmp(words[1], "--trace") == 0) {'
    yield f"        while (fread(row, sizeof(double), {inputs}, stdin) == {inputs}) {{"
    yield f"            for (j = 0; j < {inputs}; j++) x[j] = (real)row[j];"
    yield f"            {name}_layers(x, layers);"
    yield f"            for (j = 0; j < {layers}; j++) row[j] = layers[j];"
    yield f"            if (fwrite(row, sizeof(double), {layers}, stdout) != {layers}) return 1;"
    yield from ("        }", "        return 0;", "    }")
    yield '    if (count > 1 && strcmp(words[1], "--outputs") == 0) {'
    yield f"        while (fread(row, sizeof(double), {inputs}, stdin) == {inputs}) {{"
    yield f"            for (j = 0; j < {inputs}; j++) x[j] = (real)row[j];"
    yield f"            {name}(x, y);"
    yield f"            for (j = 0; j < {outputs}; j++) row[j] = y[j];"
    yield f"            if (fwrite(row, sizeof(double), {outputs}, stdout) != {outputs}) return 1;"
    yield from ("        }", "        return 0;", "    }", "    for (;;) {")
    yield f'        for (j = 0; j < {inputs}; j++) if (scanf("%lf", &row[j]) != 1) return j != 0;'
    yield f"        for (j = 0; j < {inputs}; j++) x[j] = (real)row[j];"
    digits = 17 if plan.precision == "float64" else 9
    yield f"        {name}(x, y);"
    yield f"        for (j = 0; j < {outputs}; j++)"
    yield f"            printf(\"%.{digits}g%c\", (double)y[j], j + 1 < {outputs} ? ' ' : '\\n');"
    yield from ("    }", "}")


def _quoted(name: str) -> str:
    return name.replace("\\", "\\\\").replace('"', '\\"')


def _project(name: str, file: str) -> Iterator[str]:
    yield "cmake_minimum_required(VERSION 3.15)"
    yield f"project({name} C)"
    yield "set(CMAKE_C_STANDARD 99)"
    yield f"add_library({name} {file})"
    yield f"target_link_libraries({name} PUBLIC m)"
    yield "enable_testing()"
    yield f"add_executable({name}_selftest {file})"
    yield f"target_compile_definitions({name}_selftest PRIVATE SELFTEST)"
    yield f"target_link_libraries({name}_selftest m)"
    yield f"add_test(NAME selftest COMMAND {name}_selftest)"


def open_file(path: Path, *, trusted: bool) -> TracedPort:
    """The file compiled and run; see ``open_source``."""
    return open_source(
        path, COMPILER, read_arrays, trusted=trusted, portable="porter export --to c", language="c", write=write,
        testing=(["-std=c99", "-DSELFTEST"], []),
    )  # fmt: skip


ARRAY = re.compile(r"static const real (\w+)_(kernel|bias)\[(\d+)\] = \{([^}]*)\}")


def read_arrays(text: str) -> dict[str, tuple[Array, Array | None]]:
    """Kernels and biases of the dense layers as the text has them, by the layers' identifiers."""
    found: dict[tuple[str, str], Array] = {}
    for name, role, size, body in ARRAY.findall(text):
        words = [
            word.strip().rstrip("fF") if "0x" not in word else word.strip().removesuffix("f")
            for word in body.split(",")
        ]
        try:
            values = [float.fromhex(word) if "0x" in word else float(word) for word in words if word]
        except ValueError:
            continue
        if len(values) == int(size):
            found[name, role] = np.array(values)
    return with_shapes(found)


def with_shapes(found: Mapping[tuple[str, str], Array]) -> dict[str, tuple[Array, Array | None]]:
    """Kernels as (inputs, units), as their biases say, or those of the layers behind them."""
    arrays: dict[str, tuple[Array, Array | None]] = {}
    for (name, role), values in found.items():
        bias = found.get((name, "bias"))
        if role == "kernel" and bias is not None and values.size % len(bias) == 0:
            arrays[name] = (values.reshape(-1, len(bias)), bias)
    return arrays


FORMAT = register(
    Format(
        "c",
        ".c",
        "one C99 file without dependencies, which allocates nothing",
        write,
        needs="a C compiler, to be judged",
        opens=open_file,
        holds_code=True,
    )
)
