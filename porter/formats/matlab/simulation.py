"""What genFunction writes around its constants, statement by statement; whatever else stands there is refused.

A hand may have put a logarithm before the network, changed a constant behind its value, or the body of a function.

Source: MathWorks' documentation of genFunction, mapminmax, mapstd and the transfer functions, and files that it wrote.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from itertools import takewhile
from operator import eq
from typing import Any

from porter.errors import MissingMemberError, UnknownMemberError
from porter.formats.matlab.statements import (
    Statement,
    function_name,
    split_functions,
    split_statements,
    without_blanks,
    without_end,
)

Block = tuple[str | tuple[str, ...], ...]
"""Statements that stand together; all spellings of one where it has several."""

REMEDY = "give the file as genFunction wrote it, and what was added by hand as numbers in its constants or in a recipe"
MODULE_FUNCTIONS = """
function y = mapminmax_apply(x,settings)
y = bsxfun(@minus,x,settings.xoffset); y = bsxfun(@times,y,settings.gain); y = bsxfun(@plus,y,settings.ymin);
function x = mapminmax_reverse(y,settings)
x = bsxfun(@minus,y,settings.ymin); x = bsxfun(@rdivide,x,settings.gain); x = bsxfun(@plus,x,settings.xoffset);
function y = mapstd_apply(x,settings)
y = bsxfun(@minus,x,settings.xoffset); y = bsxfun(@times,y,settings.gain); y = bsxfun(@plus,y,settings.ymean);
function x = mapstd_reverse(y,settings)
x = bsxfun(@minus,y,settings.ymean); x = bsxfun(@rdivide,x,settings.gain); x = bsxfun(@plus,x,settings.xoffset);
function a = purelin_apply(n)
a = n;
function a = tansig_apply(n)
a = 2 ./ (1 + exp(-2*n)) - 1;
function a = logsig_apply(n)
a = 1 ./ (1 + exp(-n));
function a = poslin_apply(n)
a = max(0,n); a(isnan(n)) = nan;
function a = satlin_apply(n)
a = max(0,min(1,n)); a(isnan(n)) = nan;
function a = satlins_apply(n)
a = max(-1,min(1,n)); a(isnan(n)) = nan;
function a = softmax_apply(n)
nmax = max(n,[],1); n = bsxfun(@minus,n,nmax); numer = exp(n); denom = sum(numer,1);
denom(denom == 0) = 1; a = bsxfun(@rdivide,numer,denom);
function a = softmax_apply(n)
if isa(n,'gpuArray'), a = iSoftmaxApplyGPU(n); else, a = iSoftmaxApplyCPU(n); end
function a = iSoftmaxApplyCPU(n)
nmax = max(n,[],1); n = bsxfun(@minus,n,nmax); numerator = exp(n); denominator = sum(numerator,1);
denominator(denominator == 0) = 1; a = bsxfun(@rdivide,numerator,denominator);
function a = iSoftmaxApplyGPU(n)
nmax = max(n,[],1); numerator = arrayfun(@iSoftmaxApplyGPUHelper1,n,nmax); denominator = sum(numerator,1);
a = arrayfun(@iSoftmaxApplyGPUHelper2,numerator,denominator);
function numerator = iSoftmaxApplyGPUHelper1(n,nmax)
numerator = exp(n - nmax);
function a = iSoftmaxApplyGPUHelper2(numerator,denominator)
if (denominator == 0), a = numerator; else, a = numerator ./ denominator; end
"""
"""The functions that genFunction adds to a file; softmax as older and as newer versions have it."""

_HEADER = re.compile(
    r"function(?:\[?Y(?:,Xf)?(?:,Af)?\]?=\w+\((X)(?:,~|,Xi)?(?:,~|,Ai)?\)|\[?y1\]?=\w+\((x1)(?:,~)*\))"
)
_CONSTANT_CHANGED = re.compile(r"\[?(?:[IL]W\d+_\d+|b\d+|[xy]\d+_step\d+)\b[^=]*=|[xy]\d+_step\d+_\w+[^=]*=")
_OLD_SETTINGS = re.compile(r"\bsettings_gain,settings_xoffset,settings_y(?:min|mean)\)$")


def refuse(where: str, statement: Statement, expected: str) -> UnknownMemberError:
    """The refusal of a statement that genFunction would not have written."""
    return UnknownMemberError(
        f"{where}, line {statement.line}: a statement that genFunction does not write there",
        found=statement.text[:80],
        expected=expected,
        remedy=REMEDY,
    )


def words(statements: Iterable[Statement]) -> Counter[str]:
    """How often each name occurs."""
    return Counter(word for statement in statements for word in re.findall(r"[A-Za-z]\w*", statement.text))


def is_in_cells(where: str, header: Statement) -> bool:
    """Whether the first function takes cells of matrices, or one matrix.

    Raises:
        UnknownMemberError: its header is another than genFunction's.
    """
    match = _HEADER.fullmatch(header.plain)
    if match is None:
        raise refuse(where, header, "function [Y,Xf,Af] = name(X,~,~), or function [y1] = name(x1), before any other")
    return match[1] is not None


def check_constants(where: str, simulation: Sequence[Statement]) -> None:
    """See that no constant is changed, or assigned, behind the constants.

    Raises:
        UnknownMemberError: one is.
    """
    for statement in simulation:
        if _CONSTANT_CHANGED.match(statement.plain):
            raise refuse(where, statement, "constants as numbers, each assigned once, and all before the simulation")


def check_simulation(
    where: str, arrays: Mapping[str, Any], simulation: Sequence[Statement], names: list[str], *, in_cells: bool
) -> None:
    """See that the first function does with its constants what genFunction writes, and nothing beside it.

    Args:
        where: the file, for messages.
        arrays: the constants by name.
        simulation: the statements behind the constants.
        names: the transfer functions.
        in_cells: whether it takes cells of matrices.

    Raises:
        UnknownMemberError: a statement that is another one.
        MissingMemberError: the simulation ends early.
    """
    place = 0
    for block, is_needed in _blocks(arrays, names, in_cells=in_cells):
        for n, given in enumerate(block):
            spellings = (given,) if isinstance(given, str) else given
            if place < len(simulation) and simulation[place].plain in map(without_blanks, spellings):
                place += 1
            elif n == 0 and not is_needed:
                break
            elif place == len(simulation):
                raise MissingMemberError(
                    f"{where}: the simulation ends early",
                    found=simulation[-1].text[:80] if simulation else "none of its statements",
                    expected=spellings[0],
                    remedy="give the file as genFunction wrote it, whole",
                )
            else:
                raise refuse(where, simulation[place], spellings[0])
    if place < len(simulation):
        raise refuse(where, simulation[place], "nothing more")


def _blocks(arrays: Mapping[str, Any], names: list[str], *, in_cells: bool) -> list[tuple[Block, bool]]:
    """What is wanted, in order, and whether it has to be there."""
    given, scaled, result = ("X{1,ts}", "Xp1", "Y{1,ts}") if in_cells else ("x1", "xp1", "y1")
    inputs, outputs = (_processing(arrays, end) for end in "xy")
    last = f"a{len(names)}"
    before: list[tuple[Block, bool]] = [((f"{given} = {given}'",), False)]
    if inputs is not None:
        before.append(((_calls(f"{scaled} = {inputs}_apply({given},", "x", inputs),), True))
    layers: list[tuple[Block, bool]] = []
    for n, name in enumerate(names, start=1):
        taken = f"LW{n}_{n - 1}*a{n - 1}" if n > 1 else f"IW1_1*{given if inputs is None else scaled}"
        sums = (f"repmat(b{n},1,Q) + {taken}", f"bsxfun(@plus,b{n},{taken})")
        bare = tuple(f"a{n} = {each}" for each in sums) if name == "purelin" else ()
        layers.append((((*bare, *(f"a{n} = {name}_apply({each})" for each in sums)),), True))
    back = f"{result} = {last}" if outputs is None else _calls(f"{result} = {outputs}_reverse({last},", "y", outputs)
    network = [*before, *layers, ((back,), True), ((f"{result} = {result}'",), False)]
    if not in_cells:
        return [((("Q = size(x1,2)", "Q = size(x1,1)"),), False), *network, (("end",), False)]
    return [
        (("isCellX = iscell(X)", "if ~isCellX", "X = {X}", "end"), False),
        (("TS = size(X,2)",), False),
        (("if ~isempty(X)", ("Q = size(X{1},2)", "Q = size(X{1},1)"), "else", "Q = 0", "end"), False),
        (("Y = cell(1,TS)",), False),
        (("for ts=1:TS",), True),
        *network,
        (("end",), True),
        (("Xf = cell(1,0)",), False),
        ((f"Af = cell({len(names)},0)",), False),
        (("if ~isCellX", "Y = cell2mat(Y)", "end"), False),
        (("end",), False),
    ]


def _processing(arrays: Mapping[str, Any], end: str) -> str | None:
    """Which processing the settings of an end are for."""
    kinds = {"ymin": "mapminmax", "ymean": "mapstd"}
    return next((kind for level, kind in kinds.items() if f"{end}1_step1.{level}" in arrays), None)


def _calls(start: str, end: str, kind: str) -> tuple[str, str]:
    """A call with the settings, and one with each of them, as older versions have it."""
    level = "ymin" if kind == "mapminmax" else "ymean"
    step = f"{end}1_step1"
    return f"{start}{step})", f"{start}{step}_gain,{step}_xoffset,{step}_{level})"


def check_functions(where: str, functions: Sequence[Sequence[Statement]]) -> None:
    """See that the functions behind the first are MATLAB's own, as far as anything calls them.

    Raises:
        UnknownMemberError: one that is another, or that goes by the name of something that the network needs.
    """
    count = words(statement for function in functions for statement in function)
    for n, function in enumerate(functions):
        name = function_name(function)
        own = words(function[:1] if n == 0 else function)
        if count[name] == own[name]:
            continue
        written = _known().get(name, []) if n else []
        found = without_end(function)
        if _plain(found) in map(_plain, written):
            continue
        statement, expected = _first_difference(found, written)
        raise UnknownMemberError(
            f"{where}, line {statement.line}: {name} is not the function that MATLAB writes",
            found=statement.text[:80],
            expected=expected,
            remedy=REMEDY,
        )


def _first_difference(found: Sequence[Statement], written: Sequence[Sequence[Statement]]) -> tuple[Statement, str]:
    """The first statement that is another than in the version that agrees the longest, and what is there."""
    if not written:
        return found[0], f"none of that name, but {', '.join(_known())}"
    agreeing = [sum(takewhile(bool, map(eq, _plain(found), _plain(each)))) for each in written]
    place = max(agreeing)
    nearest = written[agreeing.index(place)]
    return found[min(place, len(found) - 1)], nearest[place].text if place < len(nearest) else "nothing more"


def _plain(function: Sequence[Statement]) -> tuple[str, ...]:
    """A function without blanks, its settings as newer versions hand them on."""
    header = function[0].plain.replace(",~)", ")")
    body = [statement.plain for statement in function[1:]]
    if _OLD_SETTINGS.search(header):
        header = _OLD_SETTINGS.sub("settings)", header)
        body = [plain.replace("settings_", "settings.") for plain in body]
    return (header, *body)


@cache
def _known() -> dict[str, list[list[Statement]]]:
    known: dict[str, list[list[Statement]]] = {}
    for function in split_functions(split_statements(MODULE_FUNCTIONS.splitlines()))[1]:
        known.setdefault(function_name(function), []).append(without_end(function))
    return known
