"""The port examined beside the reference: every step judged on every probe, not yet explained or worded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.blocks import Block
from porter.compare import Comparison, compare_outputs, merge_comparisons
from porter.diagnosis.numbers import equal_within_ulp
from porter.diagnosis.suspect import Stored
from porter.diagnosis.units import Gauge, apply_gauges, match_gauges
from porter.errors import PortError
from porter.judging import BLOCK_ROWS, cast, judge, judge_values, port_rows
from porter.network import Network
from porter.pairing import Pair, Pairing, pair_chain
from porter.port_graph import PortGraph
from porter.probes import blocks, draw_rows, layer_rows
from porter.programs import build_program
from reference.dense import Dense
from reference.folding import fold
from reference.forms import equivalent_forms
from reference.rounding import end_to_end
from reference.scaling import Scaling
from reference.trace import Program, chain
from reference.transforms import Transform

Array = NDArray[Any]

END_TO_END_ROWS = 256


@dataclass(frozen=True)
class Judged:
    """One legacy step with all that was seen of it.

    Attributes:
        step: as judged (a scaling folded in, or its units reordered, where the port has it so).
        pair: the step of the program and the port's block.
        verdict: as in ``LayerRow``.
        comparison: over every probe.
        by_probes: the same, one for each set of probes.
        cumulative: the largest error end to end, or None.
        weights_differ: how many exposed weights are not the cast of the stored ones.
        probes: the layer's own probe sets.
        full_basis: whether every input was probed.
        gauge: the order and signs of its units, where compensated.
    """

    step: Any
    pair: Pair
    verdict: str
    comparison: Comparison = field(default_factory=Comparison)
    by_probes: Mapping[str, Comparison] = field(default_factory=dict)
    cumulative: float | None = None
    weights_differ: int = 0
    probes: Mapping[str, Array] = field(default_factory=dict, repr=False)
    full_basis: bool = True
    gauge: Gauge | None = None

    @property
    def name(self) -> str:
        """Row name."""
        return str(self.pair.step.name)


@dataclass(frozen=True)
class Case:
    """A verification, computed but not yet worded.

    Attributes:
        network: the legacy network.
        program: its forward pass, whole.
        graph: the port.
        pairing: which block computes which step.
        judged: one a step of the program.
        placement: where the scaling is: "inside", "folded", "outside", or None where undeclared and not found.
        inputs: (rows, n) what the port was fed.
        outputs: the reference's outputs and the port's, end to end, both (rows, n).
        seed: of the probes.
        unaccounted: whether the port as a whole is wrong although every layer is right.
        walk_differs: whether the port called as a whole gives something else than its layers one by one.
    """

    network: Network
    program: Program
    graph: PortGraph
    pairing: Pairing
    judged: tuple[Judged, ...]
    placement: str | None
    declared_placement: str | None
    inputs: Array
    outputs: tuple[Array, Array]
    seed: int
    walk_differs: bool
    unaccounted: bool

    def __getitem__(self, layer: str) -> Judged:
        return next(judged for judged in self.judged if judged.name == layer)

    @property
    def layers(self) -> tuple[Stored, ...]:
        """Every dense layer of the file, in canonical form."""
        return tuple(Stored.of(step) for step in self.program.steps if isinstance(step, Dense))


def examine(
    network: Network, graph: PortGraph, *, seed: int, placement: str | None, rows: int, golden: Any = None
) -> Case:
    """Pair the port with the program and judge every step on every probe."""
    rng = np.random.default_rng(seed)
    program = build_program(network)
    outside = placement == "outside"
    inputs = _inputs(network, program, rows, rng, outside, golden)
    _check_width(network, graph, inputs)
    judging = _without_scaling(program) if outside else program
    pairing = pair_chain(judging, graph.atoms, inputs, rng)
    folds = {} if outside or placement == "inside" else _folds(pairing, rng)
    steps = _steps(pairing, folds)
    walk = _Walk(graph, steps, pairing, folds)
    walk.run(inputs, judging)
    judged = tuple(_judge_step(pair, steps, folds, walk, rng, outside) for pair in pairing.pairs)
    if any(one.verdict == "mismatch" for one in judged):
        judged = _with_gauges(judged, graph, inputs)
        judged = tuple(_in_another_form(one, graph, inputs) for one in judged)
    unaccounted = not folds and _exceeds_end_to_end(judging, judged, graph, inputs)
    if outside:
        judged = _with_outside(program, judged)
    found = placement if placement is not None else "folded" if folds else _found_placement(pairing)
    return Case(
        network,
        program,
        graph,
        pairing,
        judged,
        found,
        placement,
        inputs,
        walk.outputs,
        seed,
        walk.differs,
        unaccounted,
    )


def _exceeds_end_to_end(program: Program, judged: Sequence[Judged], graph: PortGraph, inputs: Array) -> bool:
    """Whether layers that are right one by one give a wrong port together: then something was not looked at.

    The bound is loose, but no correct port exceeds it.
    """
    if any(
        one.verdict != "parity" or one.gauge is not None or type(one.step) is not type(one.pair.step) for one in judged
    ):
        return False
    precisions = {one.name: one.pair.block.precision for one in judged if one.pair.block is not None}
    fed = cast(inputs[:END_TO_END_ROWS], graph.input_dtypes[0])
    rows = fed.astype(np.float64)
    allowed = end_to_end(program, rows, precisions)[program.steps[-1].name]
    expected = np.asarray(program(rows)[0])
    found = np.asarray(graph(fed)[0]).astype(np.float64).reshape(len(fed), -1)
    return not compare_outputs(expected, found, allowed).is_parity


def _found_placement(pairing: Pairing) -> str | None:
    scalings = [pair for pair in pairing.pairs if isinstance(pair.step, Scaling)]
    return "inside" if not scalings or any(pair.block is not None for pair in scalings) else None


def _inputs(
    network: Network, program: Program, rows: int, rng: np.random.Generator, outside: bool, golden: Any
) -> Array:
    drawn = draw_rows(_domain(program), network.widths[0], rows, rng)
    if golden is not None:
        drawn = np.concatenate([np.asarray(golden.inputs, np.float64)[:512], drawn])
    first = program.steps[0]
    if isinstance(first, Transform):  # the logarithm of a row of zeros says nothing of a port
        drawn = drawn[np.isfinite(first(drawn).outputs).all(axis=1)]
    return np.asarray(first(drawn).outputs) if outside and isinstance(first, Scaling) else drawn


def _domain(program: Program) -> Array | None:
    """(n, 2) the documented range of the program's own inputs, through its transforms backwards."""
    limits = None
    for step in program.steps:
        if isinstance(step, Scaling) and not step.inverse:
            spread = step.rule == "mean-std"
            low, high = (
                (step.first - 3 * step.second, step.first + 3 * step.second) if spread else (step.first, step.second)
            )
            limits = np.stack([low, high], axis=1).astype(np.float64)
    first = program.steps[0]
    if limits is None or not isinstance(first, Transform):
        return limits
    return np.stack([_before(name, limits[i]) for i, name in enumerate(first.functions)])


def _before(function: str, limits: Array) -> Array:
    with np.errstate(all="ignore"):
        if function == "cos_degrees":
            return np.sort(np.rad2deg(np.arccos(np.clip(limits, -1, 1))))
        if function in ("log10", "ln"):
            return np.power(10.0, limits) if function == "log10" else np.exp(limits)
    return limits


def _check_width(network: Network, graph: PortGraph, inputs: Array) -> None:
    shape = graph.model.inputs[0].shape if getattr(graph.model, "inputs", None) else (None, inputs.shape[1])
    if len(shape) != 2 or shape[1] not in (None, inputs.shape[1]):
        raise PortError(
            f"the port {graph.model.name}",
            found=f"an input of shape {tuple(shape)}",
            expected=f"(rows, {inputs.shape[1]}), as {network.name} has it",
            remedy="check that this is the port of that network",
        )


def _without_scaling(program: Program) -> Program:
    steps = [step for step in program.steps if not isinstance(step, Scaling)]
    names = ["inputs", *(step.name for step in steps)]
    return chain([replace(step, inputs=(names[i],)) for i, step in enumerate(steps)])


def _folds(pairing: Pairing, rng: np.random.Generator) -> dict[str, str]:
    """Scaling steps that the neighbouring layer computes as well, by name: the layer's name."""
    found: dict[str, str] = {}
    absent = [pair.step for pair in pairing.pairs if isinstance(pair.step, Scaling) and pair.block is None]
    dense = pairing.dense
    before = next((step for step in absent if not step.inverse), None)
    after = next((step for step in absent if step.inverse), None)
    if before is not None and _agrees_folded(dense[0], before, after if len(dense) == 1 else None, rng):
        found[before.name] = dense[0].step.name
    if after is not None and dense[-1].step.activation.name == "linear":
        if len(dense) == 1 and before is not None:
            found.update({after.name: dense[-1].step.name} if before.name in found else {})
        elif _agrees_folded(dense[-1], None, after, rng):
            found[after.name] = dense[-1].step.name
    return found


def _agrees_folded(pair: Pair, before: Scaling | None, after: Scaling | None, rng: np.random.Generator) -> bool:
    """Whether the layer follows the folded form more closely than its own; what is wrong beside is named later."""
    block = pair.block
    if block is None:
        return False
    folded = fold(pair.step, before, after, 2.0**-24)
    own, other = Stored.of(pair.step), Stored.of(folded)
    atom = block.dense
    if atom is not None and atom.kernel is not None and atom.kernel.shape == own.kernel.shape:
        return bool(_share(atom.kernel, other.kernel) > max(_share(atom.kernel, own.kernel), 0.3))
    sets, _ = layer_rows(other.kernel, other.bias, rng)
    return all(judge(folded, block.run, rows, block.precision).is_parity for rows in sets.values())


def _share(found: Array, wanted: Array) -> float:
    """Share of the entries that are the wanted ones to float16, in some order (a transposed layer counts)."""
    near = np.abs(found - wanted) <= 2e-3 * np.abs(wanted)
    if found.shape[0] == found.shape[1]:
        near |= np.abs(found.T - wanted) <= 2e-3 * np.abs(wanted)
    return float(near.mean())


def _steps(pairing: Pairing, folds: Mapping[str, str]) -> dict[str, Any]:
    """The steps as they are to be judged, by name: a folded scaling is multiplied into its layer."""
    scalings = {pair.step.name: pair.step for pair in pairing.pairs if pair.step.name in folds}
    before = next((step for step in scalings.values() if not step.inverse), None)
    after = next((step for step in scalings.values() if step.inverse), None)
    steps = {pair.step.name: pair.step for pair in pairing.pairs}
    dense = pairing.dense
    first, last = dense[0].step, dense[-1].step
    if before is not None:
        # The layer takes the network's inputs now; their name stays in the program.
        steps[first.name] = fold(first, before, after if first is last else None, 2.0**-24)
    if after is not None and first is not last:
        steps[last.name] = fold(last, None, after, 2.0**-24)
    return steps


class _Walk:
    """The port's own trace over the network's inputs, each step judged on the port's own input to it."""

    def __init__(self, graph: PortGraph, steps: Mapping[str, Any], pairing: Pairing, folds: Mapping[str, str]) -> None:
        self._graph, self._steps, self._pairing, self._folds = graph, steps, pairing, folds
        self.comparisons: dict[str, list[Comparison]] = {}
        self.cumulative: dict[str, float] = {}
        self.outputs: tuple[Array, Array] = (np.zeros((0, 0)), np.zeros((0, 0)))
        self.differs = False

    def run(self, inputs: Array, program: Program) -> None:
        expected, actual = [], []
        for _, part in blocks(inputs, BLOCK_ROWS):
            fed = cast(part, self._graph.input_dtypes[0])
            tensors = self._graph.trace([fed])
            reference = program.trace(fed.astype(np.float64))
            for pair in self._pairing.pairs:
                if pair.block is not None:
                    self._judge(pair, pair.block, tensors, reference)
            whole = self._graph(fed)[0]
            walked = tensors[self._graph.outputs[0]]
            self.differs |= not np.array_equal(whole, walked, equal_nan=True)
            expected.append(reference[program.steps[-1].name].outputs)
            actual.append(np.asarray(whole).astype(np.float64))
        self.outputs = (np.concatenate(expected), np.concatenate(actual))

    def _judge(self, pair: Pair, block: Block, tensors: Mapping[int, Array], reference: Mapping[str, Any]) -> None:
        name = pair.step.name
        actual = np.asarray(tensors[block.leaving])
        actual = actual.reshape(len(actual), -1)
        fed = port_rows(tensors[block.entry], block.precision)
        found = judge_values(self._steps[name], fed, actual, block.precision, "inputs of the network")
        self.comparisons.setdefault(name, []).append(found)
        end = next((scaling for scaling, layer in self._folds.items() if layer == name and scaling == "Norm_out"), name)
        wanted = np.asarray(reference[end].outputs)
        if wanted.shape == actual.shape:
            with np.errstate(invalid="ignore"):
                error = np.abs(actual.astype(np.float64) - wanted)
            worst = float(np.max(error[np.isfinite(error)], initial=0.0))
            self.cumulative[name] = max(self.cumulative.get(name, 0.0), worst)


def _judge_step(
    pair: Pair, steps: Mapping[str, Any], folds: Mapping[str, str], walk: _Walk, rng: np.random.Generator, outside: bool
) -> Judged:
    step = steps[pair.step.name]
    if pair.block is None:
        verdict = f"folded into {folds[step.name]}" if step.name in folds else "uncompared"
        return Judged(step, pair, verdict)
    sets, full = _own_probes(step, rng)
    found = {"inputs of the network": merge_comparisons(walk.comparisons.get(step.name, []))}
    found.update({name: judge(step, pair.block.run, rows, pair.block.precision, name) for name, rows in sets.items()})
    total = merge_comparisons(found.values())
    differ = _weights_that_differ(step, pair.block)
    return Judged(
        step, pair, _verdict_of(total, differ), total, found, walk.cumulative.get(step.name), differ, sets, full
    )


def _verdict_of(total: Comparison, weights_differ: int) -> str:
    if total.elements == 0:
        return "uncompared"
    return "parity" if total.is_parity and weights_differ == 0 else "mismatch"


def _own_probes(step: Any, rng: np.random.Generator) -> tuple[dict[str, Array], bool]:
    """Inputs for one step alone; a scaling or a transform has enough in its part of the network's inputs."""
    if not isinstance(step, Dense):
        return {}, True
    stored = Stored.of(step)
    return layer_rows(stored.kernel, stored.bias, rng)


def _weights_that_differ(step: Any, block: Block) -> int:
    """How many exposed weights are more than one unit in the last place from the cast of the stored ones."""
    atom = block.dense
    if not isinstance(step, Dense) or atom is None or atom.kernel is None or step.weights_error is not None:
        return 0
    stored = Stored.of(step)
    if stored.kernel.shape != atom.kernel.shape or _scales_behind(block):
        return 0
    count = int(np.count_nonzero(~equal_within_ulp(atom.kernel, stored.kernel, block.precision.variables)))
    bias = np.zeros(stored.kernel.shape[1]) if stored.bias is None else stored.bias
    own = np.zeros_like(bias) if atom.bias is None else atom.bias
    return count + int(np.count_nonzero(~equal_within_ulp(own, bias, block.precision.variables)))


def _scales_behind(block: Block) -> bool:
    """Whether something affine behind the kernel makes it no port of the stored one by itself."""
    return any(atom.kind in ("affine", "other") for atom in block.atoms)


def _with_gauges(judged: tuple[Judged, ...], graph: PortGraph, inputs: Array) -> tuple[Judged, ...]:
    """Judge again where hidden units stand in another order, or with another sign, and the next layer knows."""
    dense = [one for one in judged if isinstance(one.step, Dense)]
    gauges = match_gauges([one.step for one in dense], [one.pair.block for one in dense])
    if not gauges:
        return judged
    steps = dict(zip([one.name for one in dense], apply_gauges([one.step for one in dense], gauges), strict=True))
    return tuple(
        _rejudge(one, steps[one.name], gauges.get(one.name), graph, inputs)
        if one.name in steps and steps[one.name] is not one.step
        else one
        for one in judged
    )


def _in_another_form(one: Judged, graph: PortGraph, inputs: Array) -> Judged:
    """A layer that agrees once its activation is taken to be written another way."""
    if one.verdict != "mismatch" or not isinstance(one.step, Dense) or one.pair.block is None:
        return one
    tries = (_rejudge(one, form, one.gauge, graph, inputs) for form in equivalent_forms(one.step))
    return next((other for other in tries if other.verdict == "parity"), one)


def _rejudge(one: Judged, step: Dense, gauge: Gauge | None, graph: PortGraph, inputs: Array) -> Judged:
    block = one.pair.block
    assert block is not None
    tensors = graph.trace([cast(inputs[:BLOCK_ROWS], graph.input_dtypes[0])])
    fed = port_rows(tensors[block.entry], block.precision)
    found = {
        "inputs of the network": judge_values(
            step, fed, tensors[block.leaving], block.precision, "inputs of the network"
        )
    }
    stored = Stored.of(step)
    sets, full = layer_rows(stored.kernel, stored.bias, np.random.default_rng(0))
    found.update({name: judge(step, block.run, rows, block.precision, name) for name, rows in sets.items()})
    total = merge_comparisons(found.values())
    differ = _weights_that_differ(step, block)
    verdict = _verdict_of(total, differ)
    return replace(
        one, step=step, verdict=verdict, comparison=total, by_probes=found, weights_differ=differ, probes=sets,
        full_basis=full, gauge=gauge, cumulative=None if gauge is not None else one.cumulative,
    )  # fmt: skip


def _with_outside(program: Program, judged: tuple[Judged, ...]) -> tuple[Judged, ...]:
    """Rows for the scaling steps that the user declared outside the port."""
    by_name = {one.name: one for one in judged}
    return tuple(by_name.get(step.name, Judged(step, Pair(step, None), "uncompared")) for step in program.steps)
