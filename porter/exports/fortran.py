"""One Fortran 2008 source file: a module, and a main that uses it; no allocation in the module, no dependencies."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.exports.c import CHAIN, RATED_ROWS, with_shapes
from porter.exports.c_text import ARGUMENTS, NEEDED
from porter.exports.compiled import Compiler, open_source
from porter.exports.fortran_graph import write_arrays, write_subroutines
from porter.exports.fortran_text import FUNCTIONS, HELPERS, NEEDS_HELPER, activated, array, folded
from porter.exports.graph_ops import arrays_of
from porter.exports.plan import UNTESTED, Piece, Plan, make_plan
from porter.exports.registry import Format, WriteOptions, register
from porter.network import Dense, Ensemble, Extremes, Network, Scaling, Transform
from porter.ports.traced import TracedPort
from reference.composed.ensemble import PLAIN

Array = NDArray[Any]

COMPILER = Compiler("Fortran", ("gfortran", "flang", "ifx", "ifort"), ("-O2",), package="gfortran")

TRANSFORMS: Mapping[str, str] = {
    "identity": "{0}",
    "cos_degrees": "cos({0} * 0.017453292519943295_wp)",
    "log10": "log10({0})",
    "ln": "log({0})",
    "pow10": "10.0_wp ** {0}",
    "exp": "exp({0})",
    "sqrt": "sqrt({0})",
    "root4": "sqrt(sqrt({0}))",
    "root8": "sqrt(sqrt(sqrt({0})))",
    "square": "{0} * {0}",
    "pow4": "pow4({0})",
    "pow8": "pow8({0})",
    "relu_square": "relu_square({0})",
    "relu": "relu({0})",
    "cos": "cos({0})",
}


def write(network: Network, path: Path, options: WriteOptions) -> None:
    """One Fortran file; with ``options.project`` an fpm.toml beside it.

    Raises:
        UnbuildableError: a layer that cannot be held.
    """
    plan = make_plan(network, options, "Fortran")
    is_library = options.project or not options.main
    lines = folded(_lines(plan, path.name, not is_library))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    if options.project:
        told = (f'name = "{plan.identifier}"', "", "[build]", "auto-executables = false", "", "[library]")
        path.with_name("fpm.toml").write_text("\n".join((*told, 'source-dir = "."')) + "\n", encoding="utf-8")


def _lines(plan: Plan, file: str, with_main: bool) -> Iterator[str]:
    module = f"{plan.identifier}_network"
    yield from (f"! {line}".rstrip() for line in _about(plan, file, module))
    yield from (f"module {module}", "  use, intrinsic :: iso_fortran_env, only: real32, real64, int64, input_unit")
    yield from (
        "  use, intrinsic :: ieee_arithmetic, only: ieee_value, ieee_quiet_nan, ieee_negative_inf, ieee_is_nan",
        "  implicit none",
        "  private",
    )
    yield f"  integer, parameter, public :: wp = real{plan.precision[-2:]}"
    yield f"  integer, parameter, public :: number_of_inputs = {plan.inputs}, number_of_outputs = {plan.outputs}"
    total = plan.total
    yield f"  integer, parameter, public :: number_of_layer_values = {total}"
    yield from ("  public :: compute, compute_layers, run_program", "  integer :: i_", "")
    for piece in plan.pieces:
        yield from (_arrays if isinstance(piece.layer, CHAIN) else write_arrays)(piece, plan.dtype)
    for name in ("inputs", "outputs", "allowed"):
        yield from array(f"golden_{name}", getattr(plan.golden, name), np.dtype(np.float64), "real64")
    yield from ("", "contains", "")
    yield from _whole(plan)
    for piece in plan.pieces:
        if isinstance(piece.layer, CHAIN):
            yield from _subroutine(piece, plan.precision == "float64")
        else:
            sizes = tuple(_size(plan, source) for source in piece.sources)
            yield from write_subroutines(piece, sizes, plan.precision == "float64")
    yield from _functions(plan)
    yield from _program(plan)
    yield f"end module {module}"
    if with_main:
        yield from _main(plan.identifier, module)


def _main(name: str, module: str) -> Iterator[str]:
    yield from ("", f"program {name}_main", f"  use {module}, only: run_program", "  call run_program()")
    yield f"end program {name}_main"


def _about(plan: Plan, file: str, module: str) -> Iterator[str]:
    yield from (*plan.about, "")
    yield f"use {module}, only: compute, compute_layers, wp"
    yield f"call compute(inputs, outputs)         {plan.inputs} numbers to {plan.outputs}"
    yield "call compute_layers(inputs, layers)   what every layer gives, one behind the other"
    yield "Nothing is allocated and nothing is kept: both may be called from many threads at once."
    yield f"gfortran -O2 {file} -o network && ./network < rows     rows of numbers on standard input"
    yield "./network --selftest                  rows of the reference, within what rounding allows"
    yield "Compile without -ffast-math: with it, nothing is known of rounding and missing values."


def _arrays(piece: Piece, dtype: np.dtype[Any]) -> Iterator[str]:
    if isinstance(piece.layer, Dense):
        yield f"  ! {piece.name}: what each of {piece.inputs} inputs (second index) adds to each unit (first)"
    for role, values in arrays_of(piece.layer):
        yield from array(f"{piece.identifier}_{role}", values, dtype)


def _whole(plan: Plan) -> Iterator[str]:
    yield from ("  !> Inputs to outputs.", "  pure recursive subroutine compute(inputs, outputs)")
    yield "    real(wp), intent(in) :: inputs(number_of_inputs)"
    yield "    real(wp), intent(out) :: outputs(number_of_outputs)"
    yield "    real(wp) :: layers(number_of_layer_values)"
    yield "    call compute_layers(inputs, layers)"
    given = 0
    for at in plan.results:
        size, place = plan.pieces[at].outputs, plan.place(at)
        yield f"    outputs({given + 1}:{given + size}) = layers({place + 1}:{place + size})"
        given += size
    yield from ("  end subroutine compute", "", "  !> Inputs to what every layer gives, one behind the other.")
    yield "  pure recursive subroutine compute_layers(inputs, layers)"
    yield "    real(wp), intent(in) :: inputs(number_of_inputs)"
    yield "    real(wp), intent(out) :: layers(number_of_layer_values)"
    for at, piece in enumerate(plan.pieces):
        taken = ", ".join(_part(plan, source) for source in piece.sources)
        yield f"    call step_{piece.identifier}({taken}, {_part(plan, at)})"
    yield from ("  end subroutine compute_layers", "")


def _part(plan: Plan, at: int) -> str:
    """What an input or a piece gives, in its array."""
    size = _size(plan, at)
    return f"{'inputs' if at < 0 else 'layers'}({plan.place(at) + 1}:{plan.place(at) + size})"


def _size(plan: Plan, at: int) -> int:
    """How many numbers an input or a piece gives."""
    return list(map(prod, plan.entries.values()))[-1 - at] if at < 0 else plan.pieces[at].outputs


def _subroutine(piece: Piece, is_double: bool) -> Iterator[str]:
    layer, name = piece.layer, piece.identifier
    yield f"  pure recursive subroutine step_{name}(x, y)"
    yield f"    real(wp), intent(in) :: x({piece.inputs})"
    yield f"    real(wp), intent(out) :: y({piece.outputs})"
    if isinstance(layer, Dense):
        yield "    integer :: i"
        yield f"    y = {f'{name}_bias' if layer.bias is not None else '0'}"
        yield f"    do i = 1, {piece.inputs}"
        yield f"      y = y + x(i) * {name}_kernel(:, i)"
        yield "    end do"
        yield from (f"    {line}" for line in activated(layer.activation, "y", is_double))
    elif isinstance(layer, Scaling):
        yield f"    y = {name}_scale * x + {name}_offset"
    elif isinstance(layer, Transform):
        for j, function in enumerate(layer.functions, start=1):
            yield f"    y({j}) = {TRANSFORMS[function].format(f'x({j})')}"
    elif isinstance(layer, Extremes):
        yield f"    y = max(min(x, {name}_greatest), {name}_least)"
        yield f"    where (.not. (x >= {name}_least - {name}_tolerance .and. x <= {name}_greatest + {name}_tolerance))"
        yield from ("      y = ieee_value(y, ieee_quiet_nan)", "    end where")
    elif isinstance(layer, Ensemble):
        yield from _ensemble(layer)
    yield from (f"  end subroutine step_{name}", "")


def _ensemble(layer: Ensemble) -> Iterator[str]:
    n = layer.members
    if layer.rule == PLAIN:
        yield f"    y(1) = sum(x) / {n}"
        return
    yield "    real(wp) :: mean, deviation"
    yield f"    mean = sum(x) / {n}"
    yield f"    deviation = sqrt(sum((x - mean) ** 2) / {n - 1})"
    yield "    y(1) = sum(x, mask=abs(x - mean) < deviation) / count(abs(x - mean) < deviation)"


def _functions(plan: Plan) -> Iterator[str]:
    needed = [each for name in plan.activations for each in (*NEEDED.get(name, ()), name)]
    for name in dict.fromkeys(needed):
        if name in FUNCTIONS:
            yield from _function(f"act_{name}", [each for each, _, _ in ARGUMENTS.get(name, ())], FUNCTIONS[name])
    used = {each for p in plan.pieces if isinstance(p.layer, Transform) for each in p.layer.functions}
    helpers = {each for name in plan.activations for each in NEEDS_HELPER.get(name, ())} | (used & set(HELPERS))
    for name in sorted(helpers):
        yield from _function(name, [], HELPERS[name], with_own=True)


def _function(name: str, arguments: list[str], body: tuple[str, ...], with_own: bool = False) -> Iterator[str]:
    every = ", ".join(["z", *arguments])
    yield from (f"  elemental function {name}({every}) result(y)", f"    real(wp), intent(in) :: {every}")
    yield f"    real(wp) :: y{', w' if with_own else ''}"
    yield from (f"    {line}" for line in body)
    yield from (f"  end function {name}", "")


def _program(plan: Plan) -> Iterator[str]:
    rows = len(plan.golden.inputs)
    digits = 17 if plan.precision == "float64" else 9
    yield "  !> Rows on standard input to outputs; --selftest, --layers and --trace as porter verify asks for them."
    yield "  subroutine run_program()"
    yield from (
        "    character(len=32) :: option",
        "    real(wp) :: inputs(number_of_inputs), outputs(number_of_outputs)",
    )
    yield from ("    real(real64) :: shift", "    integer :: status", "    option = ''")
    yield "    if (command_argument_count() > 0) call get_command_argument(1, option)"
    yield from (
        "    select case (option)",
        "    case ('--layers')",
    )
    yield from (f"      print '(a)', '{_quoted(line)}'" for line in plan.sides)
    yield from ("    case ('--selftest')", "      option = '0'")
    yield "      if (command_argument_count() > 1) call get_command_argument(2, option)"
    yield from ("      read (option, *) shift", "      call selftest(shift)")
    yield from ("    case ('--trace')", "      call trace(.true.)")
    yield from ("    case ('--golden')", "      call golden()")
    yield from ("    case ('--outputs')", "      call trace(.false.)")
    yield from ("    case ('--rate')", "      call rate()")
    yield from ("    case default", "      do")
    yield "        read (input_unit, *, iostat=status) inputs"
    yield "        if (status /= 0) exit"
    yield "        call compute(inputs, outputs)"
    yield f"        print '(*(es{digits + 8}.{digits - 1}e3))', outputs"
    yield from ("      end do", "    end select", "  end subroutine run_program", "")
    yield from ("  subroutine trace(every)", "    logical, intent(in) :: every")
    yield "    real(real64) :: row(number_of_inputs)"
    yield "    real(wp) :: layers(number_of_layer_values), outputs(number_of_outputs)"
    yield from (
        "    integer :: source, drain, status",
        "    open (newunit=source, file='/dev/stdin', access='stream', &",
    )
    yield "      form='unformatted', action='read')"
    yield "    open (newunit=drain, file='/dev/stdout', access='stream', form='unformatted', action='write')"
    yield from ("    do", "      read (source, iostat=status) row", "      if (status /= 0) exit")
    yield from (
        "      if (every) then",
        "        call compute_layers(real(row, wp), layers)",
        "        write (drain) real(layers, real64)",
        "      else",
        "        call compute(real(row, wp), outputs)",
        "        write (drain) real(outputs, real64)",
        "      end if",
        "    end do",
    )
    yield from ("  end subroutine trace", "")
    yield from ("  subroutine golden()", "    integer :: drain, row")
    yield "    open (newunit=drain, file='/dev/stdout', access='stream', form='unformatted', action='write')"
    yield from (f"    do row = 1, {rows}", "      write (drain) golden_inputs(:, row), golden_outputs(:, row), &")
    yield from ("        golden_allowed(:, row)", "    end do", "  end subroutine golden", "")
    yield from _rate()
    yield "  !> Rows of the reference; with any other shift than 0 of their outputs it has to fail."
    yield from ("  subroutine selftest(shift)", "    real(real64), intent(in) :: shift")
    yield "    real(wp) :: outputs(number_of_outputs)"
    yield from ("    integer :: row, wrong", "    wrong = 0", f"    do row = 1, {rows}")
    yield "      call compute(real(golden_inputs(:, row), wp), outputs)"
    yield "      wrong = wrong + count(.not. &"
    yield "        abs(real(outputs, real64) - (golden_outputs(:, row) + shift)) <= golden_allowed(:, row))"
    yield "    end do"
    yield f"    print '(a,i0,a)', 'selftest: {rows} rows, ', wrong, ' of {rows * plan.outputs} numbers off'"
    if not rows:
        yield f"    error stop '{UNTESTED}'"
    yield "    if (wrong > 0) error stop 'selftest FAILED'"
    yield from ("    print '(a)', 'selftest passed'", "  end subroutine selftest", "")


def _rate() -> Iterator[str]:
    yield from ("  !> Rows a second of one thread, on rows from standard input.", "  subroutine rate()")
    yield f"    real(real64), save :: rows(number_of_inputs, {RATED_ROWS}), sink"
    yield "    real(wp) :: outputs(number_of_outputs)"
    yield "    integer(int64) :: start, now, ticks, done"
    yield "    integer :: source, known, status, i"
    yield "    open (newunit=source, file='/dev/stdin', access='stream', form='unformatted', action='read')"
    yield from (
        "    known = 0",
        f"    do while (known < {RATED_ROWS})",
        "      read (source, iostat=status) rows(:, known + 1)",
    )
    yield from ("      if (status /= 0) exit", "      known = known + 1", "    end do", "    done = 0", "    sink = 0")
    yield from ("    call system_clock(start, ticks)", "    do", "      do i = 1, known")
    yield from (
        "        call compute(real(rows(:, i), wp), outputs)",
        "        sink = sink + outputs(1)",
        "      end do",
    )
    yield from ("      done = done + known", "      call system_clock(now)")
    yield from ("      if (known == 0 .or. now - start > ticks / 5) exit", "    end do")
    yield "    if (sink > huge(sink)) print '(a)', 'overflow'"
    yield "    print '(es14.6)', real(done, real64) * ticks / max(now - start, 1_int64)"
    yield from ("  end subroutine rate", "")


def _quoted(name: str) -> str:
    return name.replace("'", "''")


def open_file(path: Path, *, trusted: bool) -> TracedPort:
    """The file compiled and run; see ``open_source``."""
    return open_source(
        path, COMPILER, read_arrays, trusted=trusted, portable="porter export --to fortran", main_for=_main_for,
        language="fortran", write=write, testing=([], ["--selftest"]),
    )  # fmt: skip


def _main_for(text: str) -> str:
    """The main of a module that stands alone."""
    module = re.search(r"^ *module +(\w+)", text, re.M | re.I)
    if module is None or re.search(r"^ *end program", text, re.M | re.I):
        return ""
    return "\n".join(_main("porter", module[1])) + "\n"


DECLARED = re.compile(r"^ *real\(wp\), save :: (\w+)_(kernel|bias)\(([\d,]+)\)", re.M)
DATA = re.compile(r"^ *data \((\w+)_(kernel|bias)\([^)]*\), i_=\d+,\d+\) / &\n([^/]*)/", re.M)


def read_arrays(text: str) -> dict[str, tuple[Array, Array | None]]:
    """Kernels and biases of the dense layers as the text has them, by the layers' identifiers."""
    sizes = {(name, role): np.prod([int(n) for n in shape.split(",")]) for name, role, shape in DECLARED.findall(text)}
    parts: dict[tuple[str, str], list[float]] = {}
    for name, role, body in DATA.findall(text):
        words = (word.strip() for word in body.replace("&", " ").split(","))
        try:
            numbers = [float(word.removesuffix("_wp")) for word in words if word]
        except ValueError:
            continue
        parts.setdefault((name, role), []).extend(numbers)
    whole = {key: np.array(values) for key, values in parts.items() if len(values) == sizes.get(key)}
    return with_shapes(whole)


FORMAT = register(
    Format(
        "fortran",
        ".f90",
        "one Fortran 2008 file without dependencies, which allocates nothing",
        write,
        needs="a Fortran compiler, to be judged",
        opens=open_file,
        holds_code=True,
    )
)
