"""The text of a program beside what porter itself writes of the network: whatever was edited, and what it may decide.

Rows judge a program as it was compiled, and as far as they go. Where the text is porter's own that is all there is to
know; where somebody put a condition into it, what it does elsewhere was never seen.
"""

from __future__ import annotations

import ast
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import partial
from pathlib import Path

from porter.errors import PorterError
from porter.exports.program import SelfTest
from porter.exports.program_modes import REMEDY, WRONG_TEST, Mode
from porter.exports.registry import Write, WriteOptions
from porter.network import Network

NAMED = 3
"""Lines that a sentence cites."""
CITED = 60
"""Characters of them."""
FACTORS = (1.25, 0.8)
"""By which numbers of a text are spoilt in turn."""
NUMBER = re.compile(
    r"([-+]?(?:0x[0-9a-f]+\.?[0-9a-f]*p[-+]?\d+|(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?)|nan|inf|infinity)((?:_\w+|f)?)",
    re.IGNORECASE,
)
TEXT = r"\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*'"
STRINGS = re.compile(TEXT)
COMPARED = r"[?%&|^~]|[<>=!/]=|[<>]|!(?!\$)|"


@dataclass(frozen=True)
class Language:
    """How a language is read.

    Attributes:
        comments: finds what is none of its code, as its only group; strings, in which that is text, are found as well.
        decides: what makes code do one thing or another.
        plain: what looks like that and decides nothing: headers of loops, text that is put together.
    """

    comments: re.Pattern[str]
    decides: re.Pattern[str]
    plain: re.Pattern[str]


LANGUAGES: Mapping[str, Language] = {
    "c": Language(
        re.compile(TEXT + r"|(/\*.*?\*/|//(?:\\\r?\n|[^\n])*)", re.DOTALL),
        re.compile(
            r"^\s*#|" + COMPARED + r"\(\s*(?:unsigned|int|long|short|char)\b|\(\s*\w+\s*\*+\s*\)|"
            r"static(?!\s+const\b)|\b(?:if|else|while|"
            r"do|switch|goto|extern|volatile|asm|__\w+|_Pragma|getenv|time|clock|\w*rand\w*|f(?:max|min|mod)f?l?|floor\w*|"
            r"ceil\w*|l*round\w*|trunc\w*|copysign\w*|is(?:nan|inf|finite|normal|greater\w*|less\w*)|signbit|l*rint\w*|nearbyint\w*|"
            r"remainder\w*|fdim\w*|\w*jmp|mem\w+|assert|\w*printf|\w*scanf|f?read|f?write)\b"
        ),
        re.compile(r"\bfor\s*\([^;()]*;\s*\w+\s*[<>]=?\s*\w+\s*;[^;()]*\)"),
    ),
    "fortran": Language(
        re.compile(r"\"[^\"\n]*\"|'[^'\n]*'|(!(?!\$|dir\$|gcc\$)[^\n]*)", re.IGNORECASE),
        re.compile(
            r"^\s*#|!\w*\$|[<>]|[=/]=|\.(?:eq|ne|lt|gt|le|ge|and|or|not|eqv|neqv)\.|\b(?:if|where|merge|select|while|go\s*to|"
            r"save|stop|random_\w+|system_clock|cpu_time|date_and_time|get_\w+|max|min|mod|modulo|nint|int|floor|ceiling|"
            r"aint|anint|sign|dim|ieee_\w+|any|all|count|findloc|maxloc|minloc|cycle|exit|read|write|open|inquire|transfer|"
            r"include)\b", re.IGNORECASE,
        ),
        re.compile(r"(?!)"),
    ),
    "numpy": Language(
        re.compile(r"(?:\"\"\".*?\"\"\"|\'\'\'.*?\'\'\'|" + TEXT + r")|(#[^\n]*)", re.DOTALL),
        re.compile(
            COMPARED + r"//|\b(?:if|elif|else|while|try|except|raise|assert|global|nonlocal|import|from|exec|eval|"
            r"compile|open|[gsh]e?t?a?s?attr|len|shape|size|ndim|__\w+__|where|select|piecewise|maximum|minimum|f?max|f?min|clip|"
            r"sign|is\w+|nan\w*|random|time|environ|sys|floor|ceil|rint|round|mod|heaviside|copysign|any|all|cum\w+|"
            r"arange|and|or|not|append|extend|insert|pop|update|setdefault|iter|next|yield|class)\b|\bdef\b[^:]*="
        ),
        re.compile(r"\"\"\s*%"),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Source:
    """The text of a program.

    Attributes:
        language: a key of ``LANGUAGES``.
        text: as it stands in its file.
        precision: in which it computes.
        write: writes porter's own.
        selftest: what a text's test of itself comes to, made as the documentation tells everybody to.
    """

    language: str
    text: str
    precision: str
    write: Write
    selftest: Callable[[str], SelfTest]

    def own(self, network: Network) -> str:
        """What porter writes of a network; "" where it writes none."""
        with tempfile.TemporaryDirectory(prefix="porter-") as folder:
            path = Path(folder) / "own"
            try:
                self.write(network, path, WriteOptions(precision=self.precision))
                return path.read_text(encoding="utf-8")
            except PorterError:
                return ""


Line = tuple[int, str]


def judge_text(network: Network, source: Source, *, is_tested: bool) -> list[Mode]:
    """What somebody edited, and whether the test of itself still is one.

    Args:
        network: the legacy network.
        source: of its port.
        is_tested: whether its functions are right, and it has rows to test itself with.

    Returns:
        Nothing where the text is porter's own.
    """
    own, language = source.own(network), LANGUAGES[source.language]
    code, said = _parts(source.text, source.language)
    own_code, own_said = _parts(own, source.language)
    edited = list(_added(code, own_code))
    modes = [
        Mode(
            f"{_cited([line])}: a comment that porter does not write of this network; nothing was judged by it",
            is_told=True,
        )
        for line in _comments(said, own_said)
    ]
    if not edited:
        return modes
    kept = _kept_between_calls(code, source.language)
    deciding = [line for line in edited if line in kept or _decides(language, line[1])]
    if deciding:
        told = (
            f"{_cited(deciding)}: what is computed may depend on that, on how it is compiled, or on inputs that no row "
            "was; porter writes no such line of this network"
        )
        modes.append(Mode(told, is_judged=False))
    else:
        modes.append(
            Mode(f"{_cited(edited)}: not as porter writes it, and judged as it was compiled here", is_told=True)
        )
    return [*modes, *(_still_tests(source) if is_tested else ())]


def _decides(language: Language, line: str) -> bool:
    return language.decides.search(language.plain.sub("", STRINGS.sub('""', line))) is not None


def _kept_between_calls(code: Sequence[Line], language: str) -> set[Line]:
    """Declarations of what keeps its value from call to call: outside of functions; in Fortran with a first value."""
    depth, found = 0, set[Line]()
    for number, line in code:
        if language == "c" and depth == 0 and re.fullmatch(r"(?!.*\b(?:const|typedef)\b)[^(){}#]+;", line):
            found.add((number, line))
        depth += line.count("{") - line.count("}")
        outside = language == "fortran" and depth == 0 and not re.search(r"\bparameter\b", line, re.IGNORECASE)
        if outside and re.search(r"::.*[^=<>/]=(?!=)", line):
            found.add((number, line))
    if language == "fortran":
        end = next((at for at, (_, line) in enumerate(code) if line.lower() == "contains"), 0)
        found |= {each for each in code[:end] if "::" in each[1] and "parameter" not in each[1].lower()}
    return found


def _still_tests(source: Source) -> Iterator[Mode]:
    """Whether the test of itself, made as everybody makes it, passes, and fails with other numbers."""
    try:
        right, spoilt = source.selftest(source.text), source.selftest(_spoilt(source.text))
    except PorterError as error:
        yield Mode(f"its test of itself was not judged: {str(error).splitlines()[0]}", is_judged=False)
        return
    if not right.passed:
        yield Mode("its test of itself, made as the file says, fails", WRONG_TEST, REMEDY)
    elif not spoilt.failed:
        yield Mode("its test of itself, made as the file says, passes with other arrays as well", WRONG_TEST, REMEDY)


def _spoilt(text: str) -> str:
    """Other numbers in the arrays before the rows that it tests itself with."""
    lines, count = text.splitlines(keepends=True), 0
    for at, line in enumerate(lines):
        if "golden" in line:
            break
        if _is_numbers(line):
            lines[at] = NUMBER.sub(partial(_times, FACTORS[count % 2]), line)
            count += 1
    return "".join(lines)


def _times(factor: float, found: re.Match[str]) -> str:
    word = found[1]
    if "n" in word.lower():
        return found[0]
    value = factor * (float.fromhex(word) if "x" in word.lower() else float(word))
    return (value.hex() if "x" in word.lower() else repr(value)) + found[2]


def _parts(text: str, language: str) -> tuple[list[Line], list[Line]]:
    """The lines of code and those of comments, each with its number; lines of numbers alone are neither."""
    found = (each.span(1) for each in LANGUAGES[language].comments.finditer(text))
    spans = [(start, end) for start, end in found if start >= 0]
    spans = sorted([*spans, *_docstrings(text)]) if language == "numpy" else spans
    code, said, at = list[str](), list[str](), 0
    for start, end in spans:
        if start < at:  # inside of another
            continue
        code += [text[at:start], _blank(text[start:end])]
        said += [_blank(text[at:start]), text[start:end]]
        at = end
    return _lines("".join([*code, text[at:]])), _lines("".join(said))


def _blank(text: str) -> str:
    return "\n" * text.count("\n") or " "


def _docstrings(text: str) -> Iterator[tuple[int, int]]:
    """Where strings stand that are nothing but told."""
    starts = [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            end = starts[(node.end_lineno or node.lineno) - 1] + (node.end_col_offset or 0)
            yield starts[node.lineno - 1] + node.col_offset, end


def _lines(text: str) -> list[Line]:
    lines = ((number, " ".join(line.split())) for number, line in enumerate(text.split("\n"), start=1))
    return [(number, line) for number, line in lines if line and not _is_numbers(line)]


def _is_numbers(line: str) -> bool:
    words = [word for word in re.split(r"[\s,&/]+", line.strip()) if word]
    return bool(words) and all(NUMBER.fullmatch(word) for word in words)


def _added(lines: Sequence[Line], own: Sequence[Line]) -> Iterator[Line]:
    """Lines that the own ones have not, in their order."""
    matcher = SequenceMatcher(None, [line for _, line in own], [line for _, line in lines], autojunk=False)
    for kind, _, _, start, end in matcher.get_opcodes():
        if kind in ("insert", "replace"):
            yield from lines[start:end]


def _comments(lines: Sequence[Line], own: Sequence[Line]) -> Iterator[Line]:
    """Comments with numbers that the own ones have not: ranges, sizes, units; file names in commands are anybody's."""
    known = {line.strip("*! ") for _, line in own}
    for number, line in lines:
        said = line.strip("*! ")
        if re.search(r"\d", said) and said not in known and not said.startswith(("cc ", "gfortran ")):
            yield number, said


def _cited(lines: Sequence[Line]) -> str:
    told = ", ".join(f"line {number} ({line[:CITED]})" for number, line in lines[:NAMED])
    return f"{told} and {len(lines) - NAMED} more" if len(lines) > NAMED else told
