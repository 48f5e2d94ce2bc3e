"""Configurations that differ from one in a single convention."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from porter.identification.candidate import Candidate, Member
from porter.identification.candidates import HIDDEN, OUTPUT, WHOLE_ROWS
from porter.identification.columns import INPUTS
from porter.identification.ends import End
from porter.identification.pool import Pool
from porter.identification.skeletons import KernelReading, slot_readings


def neighbours(
    pool: Pool, candidate: Candidate, fronts: list[End], backs: list[End], columns_alike: int
) -> Iterator[Candidate]:
    """Another activation, orientation, memory order, bias, pair of biases, scaling or function of the inputs.

    Args:
        pool: the arrays.
        candidate: where they start from.
        fronts: scalings of the inputs.
        backs: scalings of the outputs.
        columns_alike: of how many input columns the function is tried one by one.
    """
    yield from _activations(candidate)
    if candidate.rule is None:
        yield from _readings(pool, candidate)
        yield from _exchanged(candidate)
        for end in fronts:
            yield _with_member(candidate, replace(candidate.members[0], before=end))
        for end in backs:
            yield _with_member(candidate, replace(candidate.members[0], after=end))
    plain = set(candidate.functions_in) == {"identity"}
    for place in range(0 if plain else min(len(candidate.functions_in), columns_alike)):
        for name in INPUTS:
            if name != candidate.functions_in[place]:
                functions = list(candidate.functions_in)
                functions[place] = name
                yield replace(candidate, functions_in=tuple(functions))


def _activations(candidate: Candidate) -> Iterator[Candidate]:
    last = len(candidate.activations) - 1
    for place, own in enumerate(candidate.activations):
        for name in HIDDEN if place < last else (*OUTPUT, *WHOLE_ROWS):
            if name != own:
                names = list(candidate.activations)
                names[place] = name
                yield replace(candidate, activations=tuple(names))
    for name in HIDDEN:
        names = [name] * last + [candidate.activations[last]]
        yield replace(candidate, activations=tuple(names))


def _readings(pool: Pool, candidate: Candidate) -> Iterator[Candidate]:
    for place, own in enumerate(candidate.layers):
        kernel, _ = own.canonical(pool)
        for other in slot_readings(pool, own, kernel.shape[0], kernel.shape[1]):
            if other != own:
                yield _with_layer(candidate, place, other)


def _exchanged(candidate: Candidate) -> Iterator[Candidate]:
    """Two layers' biases, or two layers' kernels, each in the other's place where they fit."""
    layers = candidate.layers
    for one in range(len(layers)):
        for two in range(one + 1, len(layers)):
            a, b = layers[one], layers[two]
            biases = (replace(a, bias=b.bias), replace(b, bias=a.bias))
            kernels = (replace(b, bias=a.bias), replace(a, bias=b.bias))
            for first, second in (biases, kernels):
                yield _with_layer(_with_layer(candidate, one, first), two, second)


def _with_layer(candidate: Candidate, place: int, reading: KernelReading) -> Candidate:
    layers = list(candidate.layers)
    layers[place] = reading
    return _with_member(candidate, replace(candidate.members[0], layers=tuple(layers)))


def _with_member(candidate: Candidate, member: Member) -> Candidate:
    return replace(candidate, members=(member, *candidate.members[1:]))
