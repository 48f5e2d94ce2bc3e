"""Whether two renderings of one output say the same, on whichever machine either was made."""

from __future__ import annotations

import re
from difflib import unified_diff
from itertools import zip_longest

FACTOR = 10.0
"""Rounding errors depend on the processor's order of summation: their order of magnitude is what a page tells."""
MEASURED = re.compile(r"[+-]?\d+(?:\.\d+)?e[+-]\d+")
SMALL = 1e-4
"""Above this, an error is a mistake's, not rounding's, and the same everywhere."""
RULES = (
    (re.compile(r"\b[0-9a-f]{64}\b"), "<sha256>"),
    (re.compile(r"^ *versions\.keras-porter .*\n", re.MULTILINE), ""),  # where it runs without being installed
    (re.compile(r"^( *versions\.\S+ +)\S+$", re.MULTILINE), r"\1<version>"),
    (re.compile(r"^( *platform +)\S+$", re.MULTILINE), r"\1<platform>"),
    (re.compile(r"\bin \d+\.\d+s\b"), "in <time>"),
    (re.compile(r"\bof \d+(?=\s+tried\b)"), "of <count>"),  # grows with every kind of mistake that gets a name
    # These depend on the processor's order of summation as well.
    (re.compile(r"[\d,]+( of [\d,]+) \([\d.]+ %\)"), r"<count>\1 (<share>)"),
    (re.compile(r"\b\d+(?= times what rounding allows)"), "<factor>"),
    (re.compile(r"\S*/pytest-of-\S+"), "<folder>"),
)


def differences(expected: str, actual: str) -> str:
    """A unified diff where the two say different things, else nothing."""
    if _alike(_plain(expected).split(), _plain(actual).split()):
        return ""
    lines = (_plain(text).splitlines(keepends=True) for text in (expected, actual))
    return "".join(unified_diff(*lines, "as the page has it", "as it is now"))


def _plain(text: str) -> str:
    for pattern, name in RULES:
        text = pattern.sub(name, text)
    return text


def _alike(expected: list[str], actual: list[str]) -> bool:
    """Word by word, so that a paragraph may break its lines elsewhere."""
    return all(_same_word(*pair) for pair in zip_longest(expected, actual, fillvalue=""))


def _same_word(expected: str, actual: str) -> bool:
    if expected == actual:
        return True
    numbers = [[float(number) for number in MEASURED.findall(word)] for word in (expected, actual)]
    if MEASURED.sub("#", expected) != MEASURED.sub("#", actual) or not numbers[0]:
        return False
    return all(_same_number(*pair) for pair in zip(*numbers, strict=True))


def _same_number(expected: float, actual: float) -> bool:
    if not 0 < abs(expected) < SMALL:
        return expected == actual
    return 1 / FACTOR <= actual / expected <= FACTOR
