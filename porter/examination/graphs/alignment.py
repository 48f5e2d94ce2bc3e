"""Every step of a legacy program with the port's tensor that it is compared with: the best of a few alignments.

Steps are taken in topological order. One that agrees with the port's own values is paired where it agrees. Where none
does, a mistake sits there or close by, and the possible explanations are carried on side by side: that tensor holds
the step's wrong values, the step is left out, something stands in front of it, the next step includes it. The one
behind which most steps agree, each judged alone, is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from porter.examination.graphs.agreement import Agreement, Folded, Source
from porter.examination.graphs.kinds import applies_activation, can_compute, fits, has_same_numbers
from porter.examination.graphs.steps import arrays_of
from porter.ports.keras.nodes import Key
from reference.trace import Program

AGREES, RELATED, FITS, ODD, STRANGE = 3.0, 2.5, 1.6, 0.6, 0.1
"""Scores of a pair whose values agree, whose weights are the same numbers, whose kinds and shapes fit, whose kinds
alone fit, that is merely of the right shape. As for chains, two pairs that fit outweigh one that agrees beside two
gaps."""
LIKELY = 0.1
"""Given to a pair that does not agree for each sign that it belongs together; all of them bring it to no agreement."""
ELSEWHERE, JOINED = 2.9, 1.95
"""Scores of a step that agrees on other inputs than it should have had: one with weights of its own, which no other
layer has, and one without, which agrees with every layer of its kind."""
WITHIN, ENDS = 2.0, 1.5
"""Given where a step is to agree as part of the next, without which nothing comes of it; where the last step is the
port's own output."""
BEAM, NARROW, NEAREST = 64, 16, 4
"""Alignments carried on side by side; in a port whose tensors hold more than ``LARGE`` numbers; pieces tried a step."""
LARGE = 2**20


@dataclass(frozen=True)
class Match:
    """One step and what of the port it stands for.

    Attributes:
        fed: what the port feeds it with.
        key: the tensor that it is compared with; None where the port has none.
        agrees: whether that tensor agrees.
        owed: what it should have been fed with, where that is something else.
    """

    fed: tuple[Source, ...]
    key: Key | None
    agrees: bool
    owed: tuple[Source, ...] | None = None

    @property
    def is_doubtful(self) -> bool:
        """Whether another step may have the better claim to the tensor."""
        return not self.agrees or self.owed is not None


@dataclass(frozen=True)
class Alignment:
    """The steps so far: their matches, what each hands on, and how good that is."""

    gives: Mapping[str, Source]
    matches: Mapping[str, Match] = field(default_factory=dict)
    claimed: frozenset[Key] = frozenset()
    score: float = 0.0

    def extended(self, name: str, match: Match, gives: Source, score: float) -> Alignment:
        """With one more step."""
        mine = match.key is not None and match.key not in match.fed
        claimed = self.claimed | {match.key} if mine and match.key is not None else self.claimed
        return Alignment(
            {**self.gives, name: gives}, {**self.matches, name: match}, claimed, self.score + score
        )  # fmt: skip


class Aligner:
    """The search for the best alignment of a program with a port."""

    def __init__(self, program: Program, agreement: Agreement) -> None:
        self.program, self.agreement, self.port = program, agreement, agreement.port
        self.beam = BEAM if sum(value.size for value in self.port.values.values()) < LARGE else NARROW
        self._kindred: dict[str, list[int]] = {}
        self._likenesses: dict[tuple[str, int], float] = {}

    def align(self, inputs: Sequence[Key]) -> list[Alignment]:
        """The alignments that are left in the end, best first.

        Args:
            inputs: the port's tensors of the program's inputs, in order.
        """
        states = [Alignment(dict(zip(self.program.inputs, inputs, strict=True)))]
        for at, step in enumerate(self.program.steps):
            spread = [each for state in states for each in self._extend(state, step)]
            states = self._best(spread, self._live(at))
        return sorted(map(self._ended, states), key=lambda state: -state.score)

    def _live(self, at: int) -> tuple[str, ...]:
        """The steps whose tensors are still wanted behind this one."""
        later = {name for step in self.program.steps[at + 1 :] for name in step.inputs} | set(self.program.outputs)
        return tuple(step.name for step in self.program.steps[: at + 1] if step.name in later)

    def _best(self, states: Sequence[Alignment], live: Sequence[str]) -> list[Alignment]:
        """The best of those that hand on the same and leave the same to be paired, and of these the best few."""
        kept: dict[Any, Alignment] = {}
        for state in sorted(states, key=lambda state: -state.score):
            given = tuple(state.gives[name] for name in live)
            kept.setdefault((given, self._held(state, given)), state)
        ranked = list(kept.values())[: self.beam]
        return [state for state in ranked if state.score > ranked[0].score - 2 * AGREES]

    def _held(self, state: Alignment, given: Sequence[Source]) -> frozenset[Key]:
        """Tensors that do not agree with the steps that have them, and that a later step may want."""
        keys = [source for source in given if not isinstance(source, Folded)]
        doubtful = {match.key for match in state.matches.values() if match.key is not None and match.is_doubtful}
        return frozenset(
            key for key in doubtful if any(key != each and self.port.is_behind(key, each) for each in keys)
        )

    def _ended(self, state: Alignment) -> Alignment:
        """An alignment with what its outputs are worth."""
        roots = [self.port.root[key] for key in self.port.graph.outputs]
        ends = sum(
            ENDS for name, root in zip(self.program.outputs, roots, strict=False) if state.gives[name] == root
        )  # fmt: skip
        lost = sum(AGREES + WITHIN for name in self.program.outputs if isinstance(state.gives[name], Folded))
        return replace(state, score=state.score + ends - lost)

    def _extend(self, state: Alignment, step: Any) -> Iterator[Alignment]:
        fed = tuple(state.gives[name] for name in step.inputs)
        found = self._fresh(self.agreement.agreeing(step, fed), state)
        for key in found:
            score = 0.0 if key in fed else AGREES - self._taken(state, fed, key)
            yield state.extended(step.name, Match(fed, key, True), key, score)
        if found:
            return
        if not any(isinstance(source, Folded) for source in fed):
            yield from self._elsewhere(state, step, fed)
            yield from self._differing(state, step, fed)
            yield from self._left_out(state, step, fed)
        ways = [*self._folded(state, step, fed)] or [*self._lost(state, step, fed)]
        yield from ways

    def _taken(self, state: Alignment, fed: tuple[Source, ...], key: Key) -> float:
        """What a pair that agrees takes from earlier ones that have part of the same pieces without agreeing."""
        keys = [source for source in fed if not isinstance(source, Folded)]
        made = {each for at in self.port.between(keys, key)[0] for each in self.port.pieces[at].outputs}
        return sum(RELATED for match in state.matches.values() if match.key in made and match.is_doubtful)

    @staticmethod
    def _fresh(found: Sequence[Key], state: Alignment) -> Sequence[Key]:
        return [key for key in found if key not in state.claimed] or found[:1]

    def kindred(self, step: Any) -> list[int]:
        """The pieces that can compute a step, by their classes, in order of computation."""
        if step.name not in self._kindred:
            self._kindred[step.name] = [
                at for at, piece in enumerate(self.port.pieces) if can_compute(step, piece)
            ]  # fmt: skip
        return self._kindred[step.name]

    def _near(self, state: Alignment, step: Any, fed: Sequence[Source]) -> list[int]:
        """Kindred pieces behind what the step takes, of no other step: with its numbers first, then the nearest."""
        keys = [source for source in fed if not isinstance(source, Folded)]
        found = []
        for at in self.kindred(step):
            key = self.port.pieces[at].outputs[0]
            if key not in state.claimed and any(self.port.is_behind(key, source) for source in keys):
                found.append((-self._likeness(step, at), len(self.port.between(keys, key)[0]), at))
        return [at for _, _, at in sorted(found)[:NEAREST]]

    def _likeness(self, step: Any, at: int) -> float:
        """What a pair with a kindred piece is worth if it does not agree."""
        if (step.name, at) not in self._likenesses:
            piece = self.port.pieces[at]
            holds = fits(step, piece) or not piece.has_weights
            score = RELATED if has_same_numbers(step, piece) else FITS if holds else ODD
            self._likenesses[step.name, at] = score
        return self._likenesses[step.name, at]

    def _elsewhere(self, state: Alignment, step: Any, fed: tuple[Source, ...]) -> Iterator[Alignment]:
        """The step agrees where it is fed with what a kindred piece is fed with."""
        masks = [source for name, source in zip(step.inputs, fed, strict=True) if name.endswith(":mask")]
        score = ELSEWHERE if arrays_of(step) else JOINED
        for at in self._near(state, step, fed):
            inputs = tuple(self.port.root[key] for key in self.port.pieces[at].inputs)
            values = tuple(key for key in inputs if self.port.values[key].dtype != bool)
            other = (*values, *masks)
            if len(other) != len(fed) or other == fed or self._is_wide_of(values, fed):
                continue
            for key in sorted(set(self.agreement.agreeing(step, other)) - state.claimed):
                yield state.extended(step.name, Match(other, key, True, fed), key, score)

    def _is_wide_of(self, values: Sequence[Key], fed: Sequence[Source]) -> bool:
        """Whether a step of one input would be fed with something that does not come from that input."""
        own = [source for source in fed if not isinstance(source, Folded)]
        return len(values) == 1 and not any(self.port.is_behind(values[0], source) for source in own)

    def _differing(self, state: Alignment, step: Any, fed: tuple[Source, ...]) -> Iterator[Alignment]:
        """A tensor holds the step's output, and holds it wrong."""
        made = (key for at in self._near(state, step, fed) for key in self._made_of(self.port.pieces[at].outputs))
        for key in dict.fromkeys((*made, *self._of_shape(step, fed))):
            if key not in state.claimed and key not in fed:
                yield state.extended(step.name, Match(fed, key, False), key, self._worth(step, fed, key))

    def _worth(self, step: Any, fed: tuple[Source, ...], key: Key) -> float:
        """What a pair that does not agree is worth: by what computes the tensor, and how far its values are off."""
        keys = [source for source in fed if not isinstance(source, Folded)]
        positions, alone = self.port.between(keys, key)
        likely = [self._likeness(step, at) for at in self.kindred(step) if at in positions]
        holders = {id(piece.operation) for piece in map(self.port.pieces.__getitem__, positions) if piece.has_weights}
        applied = any(self.port.pieces[at].is_activation for at in positions)
        natural = applied == applies_activation(step)
        signs = natural + alone + self._closeness(step, fed, key)
        return (max(likely) if likely and len(holders) < 2 else STRANGE) + LIKELY * signs

    def _made_of(self, keys: Sequence[Key]) -> list[Key]:
        """What a piece gives, and what the activations behind it make of that."""
        found = list(keys)
        for key in found:  # it grows on the way
            takers = [self.port.pieces[at] for at in self.port.takers.get(key, ())]
            found += takers[0].outputs if len(takers) == 1 and takers[0].is_activation else ()
        return found

    def _of_shape(self, step: Any, fed: tuple[Source, ...]) -> list[Key]:
        trace = self.agreement.trace(step, fed)
        keys = [source for source in fed if not isinstance(source, Folded)]
        found = [] if trace is None else self.agreement.behind(step, keys)
        return [key for key in found if self.port.values[key].shape == trace.outputs.shape][:NEAREST]  # type: ignore[union-attr]

    def _closeness(self, step: Any, fed: tuple[Source, ...], key: Key) -> float:
        """1 where the tensor holds what the step gives, towards 0 the further it lies from that."""
        trace, actual = self.agreement.trace(step, fed), np.asarray(self.port.values[key], np.float64)
        if trace is None or trace.outputs.shape != actual.shape or actual.size == 0:
            return 0.0
        expected = np.asarray(trace.outputs, np.float64)
        with np.errstate(all="ignore"):
            share = np.mean(np.abs(expected - actual)) / np.mean(np.abs(expected) + np.abs(actual))
        return float(1 - share) if np.isfinite(share) else 0.0

    def _left_out(self, state: Alignment, step: Any, fed: tuple[Source, ...]) -> Iterator[Alignment]:
        """The port has no such step: what it takes is handed on."""
        taken = [source for name, source in zip(step.inputs, fed, strict=True) if not name.endswith(":mask")]
        for source in dict.fromkeys(taken[:3] or fed[:1]):
            yield state.extended(step.name, Match(fed, None, False), source, 0.0)

    def _lost(self, state: Alignment, step: Any, fed: tuple[Source, ...]) -> Iterator[Alignment]:
        """Steps that were to agree as part of this one, and do not: it is left out, and they with it."""
        folded = [source for source in fed if isinstance(source, Folded)]
        if folded:
            worth = WITHIN * len({name for source in folded for name in source.steps})
            yield state.extended(step.name, Match(fed, None, False), folded[0].base[0][1], -worth)

    def _folded(self, state: Alignment, step: Any, fed: tuple[Source, ...]) -> Iterator[Alignment]:
        """The next step includes this one, which rounds nothing; so that the two can be judged as one."""
        if not self.agreement.is_exact(step, fed):
            return
        names: dict[str, None] = {}
        base: dict[str, Key] = {}
        for name, source in zip(step.inputs, fed, strict=True):
            names.update(dict.fromkeys(source.steps if isinstance(source, Folded) else ()))
            base.update(dict(source.base) if isinstance(source, Folded) else {name: source})
        folded = Folded((*names, step.name), tuple(base.items()))
        yield state.extended(step.name, Match(fed, None, False), folded, WITHIN)
