"""MATLAB's text as statements: comments left out, continued lines joined; nothing understood, and nothing run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

_TOKEN = re.compile(
    r"""(?P<continued>\.\.\.[^\n]*\n?)
    |(?P<comment>%[^\n]*)
    |(?P<string>(?<![\w)\]}'.])'[^'\n]*')
    |[^\[\](){};,\n%'.]+
    |.|\n""",
    re.VERBOSE,
)
_NAME = re.compile(r"\s*function\b(?:[^=]*=)?\s*(\w+)")
_ENDED = re.compile(r"(?:if|for|while|switch|try|parfor)\b")


@dataclass(frozen=True)
class Statement:
    """One statement.

    Attributes:
        line: number of the line that it begins in, from one.
        text: what is written there, without comments.
        plain: the same without blanks.
    """

    line: int
    text: str
    plain: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "plain", without_blanks(self.text))


def without_blanks(text: str) -> str:
    """A statement as it is compared: blanks mean nothing outside matrices."""
    return re.sub(r"\s", "", text)


def split_statements(lines: Iterable[str]) -> list[Statement]:
    """The statements of a text, ended by a semicolon, a comma or a line's end, none of them inside brackets."""
    text = "\n".join(_without_block_comments(lines))
    found: list[Statement] = []
    words: list[str] = []
    line = first = 1
    depth = in_round = 0
    for match in _TOKEN.finditer(text + "\n"):
        token = " " if match.lastgroup == "continued" else match[0]
        if depth == 0 and (token == "\n" or (token in (";", ",") and in_round == 0)):
            found += [Statement(first, "".join(words).strip())] if words else []
            words, in_round = [], 0
        elif match.lastgroup != "comment" and (words or not token.isspace()):
            first = first if words else line
            words.append(token)
            depth = max(0, depth + (token in ("[", "{")) - (token in ("]", "}")))
            in_round = max(0, in_round + (token == "(") - (token == ")"))
        line += match[0].count("\n")
    return [*found, Statement(first, "".join(words).strip())] if words else found


def _without_block_comments(lines: Iterable[str]) -> Iterable[str]:
    """Lines between ``%{`` and ``%}``, each alone in its line, as blank ones."""
    depth = 0
    for line in lines:
        mark = line.strip()
        depth += mark == "%{"
        yield "" if depth else line
        depth -= mark == "%}" and depth > 0


def split_functions(statements: Sequence[Statement]) -> tuple[list[Statement], list[list[Statement]]]:
    """What stands before the first function, and the functions, each with its header first."""
    starts = [n for n, statement in enumerate(statements) if re.match(r"function\b", statement.text)]
    bounds = [*starts, len(statements)]
    functions = [list(statements[start:stop]) for start, stop in zip(starts, bounds[1:], strict=False)]
    return list(statements[: bounds[0]]), functions


def function_name(function: Sequence[Statement]) -> str:
    """The name in a function's header; an empty one where there is none."""
    match = _NAME.match(function[0].text)
    return match[1] if match else ""


def without_end(function: Sequence[Statement]) -> list[Statement]:
    """A function without the ``end`` that may close it."""
    opened = sum(bool(_ENDED.match(statement.text)) for statement in function)
    ended = sum(statement.plain == "end" for statement in function)
    return list(function[:-1] if ended > opened and function[-1].plain == "end" else function)
