"""What the operations of a file did on the rows that were compared, and what they never did there.

An operation that never did anything on them (a condition that was never met, a limit that was never reached) may do
whatever it likes elsewhere, and so may one that draws random numbers or computes with how many rows there are: rows
cannot show that, and the graph does.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.ports.file_graph import FileGraph, FileNode, Key
from reference.operations.batch_normalization import BatchNormalization
from reference.operations.embedding import Embedding
from reference.operations.masking import Mask, Masking
from reference.operations.shaping import Rearrangement
from reference.rounding.recurrent_steps import directions
from reference.trace import Program

Array = NDArray[np.generic]

BENT = {
    "Equal", "Greater", "GreaterEqual", "GreaterOrEqual", "If", "IsFinite", "IsInf", "IsNaN", "IsNan", "Less",
    "LessEqual", "LessOrEqual", "NotEqual", "SelectV2", "StatelessIf", "Where",
}  # fmt: skip
"""Operations by which a loop does one thing or another."""
WRITTEN_WITH = {"elu": {"Greater", "Where"}, "selu": {"Greater", "Where"}, "softplus": {"Equal", "Where"}}
"""Those that porter writes an activation with."""
LINEAR = {"ADD", "ADDV2", "BIASADD", "DIV", "MUL", "REALDIV", "SUB"}
"""Of such an operation with one tensor and constants one row of numbers says what it does to all."""
NONNEGATIVE = {
    "ABS", "EXP", "HARDSIGMOID", "LOGISTIC", "RELU", "RELU6", "RELU_0_TO_1", "SIGMOID", "SOFTMAX", "SOFTPLUS", "SQRT",
    "SQUARE",
}  # fmt: skip
"""Operations that give no negative number, behind which a relu does nothing to any."""
LIMITS, GROWING = {"MAX", "MAXIMUM", "MIN", "MINIMUM"}, {"ADD", "ADDV2", "MUL"}
ONE_BY_ONE = LINEAR | {
    "AND", "CAST", "EQUAL", "GREATER", "GREATEREQUAL", "GREATEROREQUAL", "GREATER_EQUAL", "IDENTITY", "LESS",
    "LESSEQUAL", "LESSOREQUAL", "LESS_EQUAL", "LOGICALAND", "LOGICALNOT", "LOGICALOR", "LOGICAL_AND", "LOGICAL_NOT",
    "LOGICAL_OR", "NOT", "NOTEQUAL", "NOT_EQUAL", "OR", "SELECT", "SELECTV2", "SELECT_V2", "WHERE",
}  # fmt: skip
"""Operations that make something of each word by itself."""
NAMED = 3
"""Operations that a sentence names."""


@dataclass(frozen=True)
class Unexercised:
    """What the rows left open.

    Attributes:
        random: a sentence on what may be other numbers each time; "" for nothing.
        idle: on what never did anything.
        counted: on what depends on how many rows there are, or on other rows.
        bent: on conditions inside of loops.
        elsewhere: a sentence each on steps that are computed from something else than the legacy steps are.
    """

    random: str = ""
    idle: str = ""
    counted: str = ""
    bent: str = ""
    elsewhere: tuple[str, ...] = ()

    @property
    def doubts(self) -> tuple[str, ...]:
        """Why there is no parity, a sentence each."""
        return tuple(filter(None, (*self.elsewhere, self.idle, self.bent, self.counted)))


@dataclass
class Exercise:
    """Watches what the operations that lead to some tensors do.

    Attributes:
        file: the graph.
        ends: the tensors that are judged.
    """

    file: FileGraph
    ends: Collection[Key]
    _single: dict[Key, Array] = field(default_factory=dict)
    """By tensor, the one number that it held so far."""
    _several: set[Key] = field(default_factory=set)
    _handed: dict[tuple[int, Key], bool] = field(default_factory=dict)
    """By operation and input, whether it gave that input's numbers so far."""
    _has_rows: set[Key] = field(default_factory=set)
    _sizes: dict[Key, tuple[int, tuple[int, ...]]] = field(default_factory=dict)
    _rowless: set[Key] = field(default_factory=set)
    _zero: set[Key] = field(default_factory=set)
    """What was 0 somewhere, of what is held within limits."""
    _counts: dict[Key, bytes] = field(default_factory=dict)
    _varying: set[Key] = field(default_factory=set)
    """Shapes, and parts of them, that were others where there were other numbers of rows."""

    def __post_init__(self) -> None:
        self._nodes = _leading_to(self.file.nodes, self.ends)
        self._live = self._reached({each.key for each in self.file.inputs})
        self._has_rows |= {each.key for each in self.file.inputs}

    def see(self, tensors: Mapping[Key, Array]) -> None:
        """Some tensors of one run; those with missing values show nothing that is compared."""
        given = [tensors[each.key] for each in self.file.inputs if each.key in tensors]
        if any(each.dtype.kind == "f" and np.isnan(each).any() for each in given):
            return
        for at, node in enumerate(self._nodes):
            for key in node.outputs:
                if key in tensors:
                    self._see(at, node, key, tensors)
                    self._measure(key, tensors[key], len(given[0]) if given else 0)

    def _measure(self, key: Key, made: Array, rows: int) -> None:
        """Real numbers of which there are as many for other numbers of rows are none of rows."""
        if key in self._live and made.dtype.kind == "f" and rows:
            before, shape = self._sizes.setdefault(key, (rows, made.shape))
            self._rowless |= {key} if before != rows and shape == made.shape else set()

    def _see(self, at: int, node: FileNode, key: Key, tensors: Mapping[Key, Array]) -> None:
        made = tensors[key]
        if key not in self._live:
            held = made.tobytes()
            self._varying |= {key} if self._counts.setdefault(key, held) != held else set()
            return
        self._has_rows |= {key} if made.ndim else set()
        if key not in self._several and made.size:
            first = self._single.setdefault(key, made.flat[:1])
            if not _alike(made, np.broadcast_to(first, made.size)):
                self._several.add(key)
        for taken in node.inputs:
            if node.operation.upper() in LIMITS and taken in tensors and not np.all(tensors[taken]):
                self._zero.add(taken)
            if taken in tensors and self._handed.get((at, taken), True):
                self._handed[at, taken] = _alike(made, tensors[taken])

    def left_open(self, program: Program, places: Mapping[str, Key]) -> Unexercised:
        """What nothing showed.

        Args:
            program: the legacy forward pass.
            places: by its steps, the tensors that were held against them.
        """
        has_masks = any(isinstance(step, Mask | Masking) for step in program.steps)
        drawn = [node for node in self._nodes if node.role == "random" or any(map(_draws, node.inside))]
        judged = set(places.values())
        told = self._of_words(program) | {places.get(step.name, -1) for step in program.steps if _masks_by_zero(step)}
        idle = [
            node for at, node in enumerate(self._nodes)
            if self._is_idle(at, node, judged) and not set(node.outputs) <= told
            and not (has_masks and self._is_of_masks(node))
        ]  # fmt: skip
        known = _own_conditions(program)
        bent = [node for node in self._nodes if (BENT - known) & set(node.inside)]
        counting = self._counting() if self.file.batch is None else []
        return Unexercised(
            f"{_named(drawn)}: other numbers each time, or a state that is kept" if drawn else "",
            f"{_named(idle)}: did nothing on any of the rows that were compared, so that it is not known what "
            f"{'they do' if len(idle) > 1 else 'it does'} on others" if idle else "",
            "; ".join(self._of_rows(counting)),
            f"{_named(bent)}: its loop has conditions, of which it is not known whether they were met" if bent else "",
            tuple(_from_elsewhere(self.file, program, places)),
        )  # fmt: skip

    def _of_rows(self, counting: Sequence[FileNode]) -> Iterator[str]:
        taken = {key for node in self._nodes for key in node.inputs}.union(self.ends)
        mixing = [node for node in self._nodes if self._rowless & taken & set(node.outputs)]
        if counting:
            yield f"{_named(counting)}: computes with how many rows there are; other numbers were not compared"
        if mixing and self.file.batch is None:
            yield f"{_named(mixing)}: makes one of all rows, or takes one of them for others"

    @property
    def is_shapeless(self) -> bool:
        """Whether a tensor on the way has no rows, or is computed with their number: no piece of such can be fed."""
        return bool(self._counting()) or not self._live <= self._has_rows

    def _is_idle(self, at: int, node: FileNode, judged: Collection[Key]) -> bool:
        """Whether an operation gave one number alone, or nothing but what it took."""
        own = [key for key in node.outputs if key in self._live]
        if self._is_empty_limit(node):
            return False
        if not own or node.role or self._is_linear(node) or node.kind in ("affine", "identity") or node.is_core:
            return False
        if any(self._is_single(key) and key not in judged for key in own):
            return True
        return any(self._handed.get((at, taken), False) for taken in node.inputs)

    def _is_of_masks(self, node: FileNode) -> bool:
        """Whether an operation multiplies by what was 0 as well as other numbers, where the other factor was 0, too."""
        taken = self._live & set(node.inputs)
        return node.operation.upper() == "MUL" and len(taken) > 1 and taken <= self._several

    def _counting(self) -> list[FileNode]:
        """Operations on numbers that take part in how many rows there are."""
        counted, found = set[Key](), list[FileNode]()
        for node in self._nodes:
            if node.role == "counts":
                counted |= set(node.outputs)
            elif counted & (set(node.inputs) - set(node.shapes)):
                kept = self.file.batch is None and node.role == "selects" and not self._varying & set(node.outputs)
                counted |= set() if kept else set(node.outputs)
                if self._live & set(node.outputs) and node.role != "arranges":
                    found.append(node)
        return found if found or not counted & set(self.ends) else self._nodes[-1:]

    def _reached(self, start: set[Key]) -> set[Key]:
        """Tensors whose numbers come from the inputs' own numbers, or from none."""
        reached = set(start)
        for node in self._nodes:
            taken = reached & (set(node.inputs) - set(node.shapes))
            if node.role != "counts" and (node.role == "random" or taken):
                reached |= set(node.outputs)
        return reached

    def _is_linear(self, node: FileNode) -> bool:
        """Whether an operation adds or multiplies one tensor by constants; a product of one with 0 is a constant."""
        taken = self._live & set(node.inputs)
        return node.operation.upper() in LINEAR and len(taken - self._empty) <= 1

    def _is_empty_limit(self, node: FileNode) -> bool:
        """Whether numbers are held above one that none of them can be below."""
        kind, taken = node.operation.upper(), self._live & set(node.inputs)
        if not taken or not taken <= self._nonnegative:
            return False
        return kind == "RELU" or (kind in ("MAX", "MAXIMUM") and taken <= self._zero)

    @functools.cached_property
    def _nonnegative(self) -> set[Key]:
        found = {key for key in self._empty if float(self._single[key][0]) >= 0}
        for node in self._nodes:
            kind, taken = node.operation.upper(), self._live & set(node.inputs)
            keeps = kind in LIMITS or node.role in ("arranges", "selects") or (kind in GROWING and len(taken) > 1)
            if kind in NONNEGATIVE or "(RELU" in kind or (keeps and taken and taken <= found):
                found |= set(node.outputs)
        return found

    def _of_words(self, program: Program) -> set[Key]:
        """Tensors that are made of each word by itself: every word that there is was looked up."""
        tables = [step for step in program.steps if isinstance(step, Embedding)]
        found = {
            each.key for name, each in zip(program.inputs, self.file.inputs, strict=True)
            if any(name in step.inputs for step in tables)
        }  # fmt: skip
        for node in self._nodes:
            taken = self._live & set(node.inputs)
            if node.operation.upper() in ONE_BY_ONE and taken and taken <= found:
                found |= set(node.outputs)
        return found

    @functools.cached_property
    def _empty(self) -> set[Key]:
        """Tensors that are products with 0, and what products and sums with constants make of those."""
        found = set[Key]()
        for node in self._nodes:
            taken, is_linear = self._live & set(node.inputs), node.operation.upper() in LINEAR
            is_product = is_linear and len(taken) == 1 and all(map(self._is_single, node.outputs))
            if is_product or ((is_linear or node.is_core) and taken and taken <= found):
                found |= set(node.outputs)
        return found

    def _is_single(self, key: Key) -> bool:
        return key in self._single and key not in self._several


def _leading_to(nodes: Sequence[FileNode], ends: Collection[Key]) -> list[FileNode]:
    wanted, kept = set(ends), []
    for node in reversed(nodes):
        if wanted & set(node.outputs):
            kept.append(node)
            wanted |= set(node.inputs)
    return kept[::-1]


def _alike(made: Array, taken: Array) -> bool:
    is_same = made.dtype == taken.dtype and made.size == taken.size
    return is_same and bool(np.array_equal(made.ravel(), taken.ravel(), equal_nan=made.dtype.kind == "f"))


def _named(nodes: Sequence[FileNode]) -> str:
    told = ", ".join(dict.fromkeys(f"{node.name} ({node.operation})" for node in nodes[:NAMED]))
    return f"{told} and {len(nodes) - NAMED} more" if len(nodes) > NAMED else told


def walk_back(file: FileGraph, start: Key, stops: Collection[Key]) -> tuple[set[Key], list[Key]]:
    """The tensors at which a way back from one ends, and those that it passes.

    Args:
        file: the graph.
        start: where the way begins.
        stops: where it ends, as it does at the inputs.

    Returns:
        Keys of tensors that were come to, shapes left out; and of those between, in an order of computation.
    """
    makers = {key: node for node in file.nodes for key in node.outputs}
    found, passed, pending = set[Key](), set[Key](), [start]
    while pending:
        key = pending.pop()
        if (key != start and key in stops) or key not in makers:
            found.add(key)
        elif key not in passed:
            passed.add(key)
            node = makers[key]
            pending += [] if node.role == "counts" else [each for each in node.inputs if each not in node.shapes]
    return found, [key for node in file.nodes for key in node.outputs if key in passed]


def _own_conditions(program: Program) -> set[str]:
    """The conditions that loops have of themselves: of masks, and of activations that are written with them."""
    cells = [one.cell for step in program.steps for one in directions(step)]
    names = {
        each.name for cell in cells for each in (cell.activation, getattr(cell, "recurrent_activation", None))
        if each is not None
    }  # fmt: skip
    is_masked = any(getattr(each, "masked", False) for step in program.steps for each in (step, *directions(step)))
    return set[str]().union(
        {"Where", "SelectV2"} if is_masked else (), *(WRITTEN_WITH[name] for name in names if name in WRITTEN_WITH)
    )


def _masks_by_zero(step: object) -> bool:
    """Whether what a step makes 0 is 0 already."""
    return isinstance(step, Masking) and step.value == 0


def laid_out(file: FileGraph, key: Key) -> set[Key]:
    """A tensor, what it is another layout of, and the parts that it was put together of."""
    makers, found = {made: node for node in file.nodes for made in node.outputs}, {key}
    while (node := makers.get(key)) is not None and node.role == "arranges":
        taken = [each for each in node.inputs if each not in node.shapes]
        found |= set(taken)
        if len(taken) != 1:
            break
        (key,) = taken
    return found


def _from_elsewhere(file: FileGraph, program: Program, places: Mapping[str, Key]) -> Iterator[str]:
    """A sentence on each step that the file computes from something else than what the legacy step takes."""
    behind = {name: {each.key} for name, each in zip(program.inputs, file.inputs, strict=True)}
    layouts = {name: laid_out(file, key) for name, key in places.items()}
    stops = {each.key for each in file.inputs}.union(*layouts.values())
    for step in program.steps:
        sources = set[Key]().union(*(behind[name] for name in step.inputs))
        # The outputs and states of one layer are made of each other.
        own = (each for name, each in layouts.items() if name.partition("#")[0] == step.name.partition("#")[0])
        behind[step.name] = layouts.get(step.name, sources)
        key = places.get(step.name)
        if key is None or key in sources:
            continue
        found = walk_back(file, key, stops.difference(*own) | sources)[0]
        # A normalization that a converter multiplied into this layer leaves it to take what that took.
        passed_over = set[Key]() if found & sources else _before_normalizations(program, step, layouts)
        others = found - sources - passed_over
        if others:
            told = ", ".join(file.names.get(each) or "a tensor without a name" for each in sorted(others))
            yield f"{step.name}: the file computes it from {told} as well, which the legacy layer does not take"


def _before_normalizations(program: Program, step: Any, layouts: Mapping[str, set[Key]]) -> set[Key]:
    """The tensors that normalizations in front of a step take, which may stand behind layers that only move numbers."""
    steps, pending, found = {each.name: each for each in program.steps}, list(step.inputs), set[Key]()
    while pending:
        before = steps.get(pending.pop())
        if isinstance(before, BatchNormalization | Rearrangement):
            found |= set[Key]().union(*(layouts.get(name, set()) for name in before.inputs))
            pending += before.inputs
    return found


def _draws(operation: str) -> bool:
    return "Random" in operation or operation in ("Bernoulli", "Multinomial", "TruncatedNormal")
