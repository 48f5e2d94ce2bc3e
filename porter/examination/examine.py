"""The port examined beside the reference: every step judged on every probe, not yet explained or worded."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porter.errors import PortError
from porter.examination.accounting import take_account
from porter.examination.case import Case, Judged
from porter.examination.compare import Comparison, compare_outputs, merge_comparisons
from porter.examination.conditions import judge_on_conditions
from porter.examination.domain import check_input_dtypes, network_inputs
from porter.examination.folds import find_folds, folded_steps
from porter.examination.functions import ALONE, compare_function
from porter.examination.hypotheses import FEW, shows_altered, telling_mistakes
from porter.examination.judged import verdict_of
from porter.examination.judging import (
    Refused,
    cast,
    is_written,
    judge,
    judge_values,
    port_rows,
    probed,
    rows_at_a_time,
)
from porter.examination.numbers import equal_within_ulp
from porter.examination.one_to_one import SEEN_ROWS, one_to_one
from porter.examination.pairing import Pair, Pairing, pair_chain
from porter.examination.parts import parts_that_differ
from porter.examination.probes import FAR, blocks, far_rows, layer_rows, outside_rows
from porter.examination.rewriting.rewrite import Rewritten, rewrite
from porter.examination.steadiness import SIZES, Steadiness, trace_batches
from porter.examination.suspect import Stored
from porter.examination.units import Gauge, apply_gauges, match_gauges
from porter.formats.programs import build_program
from porter.network import Network
from porter.ports.blocks import Block
from porter.ports.port import Port
from reference.composed.ensemble import Ensemble
from reference.composed.extremes import Extremes
from reference.composed.forms import equivalent_forms, form_of
from reference.operations.dense import Activate, Dense
from reference.operations.scaling import Scaling
from reference.operations.transforms import Transform
from reference.precision import FORMATS
from reference.rounding.bounds import end_to_end
from reference.rounding.constants import BY_SIGMOID
from reference.trace import Program, chain

Array = NDArray[Any]

END_TO_END_ROWS, END_TO_END_NUMBERS = 256, 2**17
"""Rows on which the whole is judged, and how many numbers they may be in the widest layer."""
WALKED_NUMBERS = 2**21
"""The same of the rows that go through the program from end to end."""
UNREAD = "the bound says nothing here: a kernel off by 1 % would stay within rounding in {}, and cannot be read"
TELLING_UNITS = 32
"""An end-to-end bound below so many unit roundoffs of an output's range is as good as the bound of one layer."""


def examine(
    network: Network,
    graph: Port,
    *,
    seed: int,
    placement: str | None,
    rows: int,
    golden: Any = None,
    program: Program | None = None,
) -> Case:
    """Pair the port with the program and judge every step on every probe.

    Args:
        network: as read.
        graph: of the port.
        seed: of the probes.
        placement: where the port has the scaling; None to find out.
        rows: random ones for the whole.
        golden: golden samples, or None.
        program: a chain that computes what the network does; None for that of its family.
    """
    rng = np.random.default_rng(seed)
    program = build_program(network) if program is None else program
    outside = placement == "outside"
    inputs = network_inputs(program, rows, rng, outside, golden)
    judging = _without_scaling(program) if outside else program
    graph = one_to_one(graph, inputs, np.asarray(judging(inputs[:SEEN_ROWS])[0]))
    _check_outputs(graph, inputs)
    active = [one for one in graph.atoms if one.precision and one.kind != "identity" and one.description != "Cast"]
    check_input_dtypes(graph, {one.precision.compute for one in active[:1] if one.precision})
    _check_width(network, graph, inputs)
    pairing = pair_chain(judging, graph.atoms, inputs, rng)
    folds = {} if outside or placement == "inside" else find_folds(pairing, rng)
    steps = folded_steps(pairing, folds)
    walk = _Walk(graph, steps, pairing, folds)
    judged = walk.run(inputs, judging, rng)
    if any(one.verdict == "mismatch" for one in judged):
        judged = _with_gauges(judged, graph, inputs)
        judged = tuple(_in_another_form(one, graph, inputs) for one in judged)
    atoms = graph.atoms
    rewritten = _rewritten(judging, graph, judged, pairing, inputs)
    if rewritten is not None:
        judged, pairing, atoms = rewritten.judged, rewritten.pairing, rewritten.atoms
    whole = "unknown" if folds or rewritten is not None else _whole(judging, judged, graph, inputs)
    account = take_account(
        pairing,
        {one.name: one.step for one in judged},
        atoms,
        walk.few,
        _ordinary(judged, walk, inputs, rewritten is not None),
        _probes_of,
        is_rewritten=rewritten is not None,
        taken_in=graph.input_dtypes[0],
    )
    causes, doubts = walk.steadiness.tell(judged[-1].name, whole, any(atom.is_training for atom in graph.atoms))
    otherwise = () if causes else walk.steadiness.judge(judged, atoms)
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
        whole,
        walk.reached,
        replace(account, causes=(*account.causes, *causes, *otherwise), notes=(*account.notes, *walk.steadiness.notes)),
        doubts,
    )


def _ordinary(judged: Sequence[Judged], walk: _Walk, inputs: Array, is_rewritten: bool) -> dict[str, Array]:
    """By step at parity, (rows, n) of what the port hands it."""
    right = {one.name: one.pair.block for one in judged if one.verdict == "parity" and one.pair.block is not None}
    if not is_rewritten:
        return {name: rows for name, rows in walk.ordinary.items() if name in right}
    tensors = walk.graph.trace([cast(inputs[-FEW:], walk.graph.input_dtypes[0])])
    return {name: port_rows(tensors[block.entry], block.precision) for name, block in right.items()}


def _whole(program: Program, judged: Sequence[Judged], graph: Port, inputs: Array) -> str:
    """The port called as a whole against the program: "mismatch", "parity", "within" a loose bound, or "unknown".

    The end-to-end bound is loose, but no correct port exceeds it; and where it is small beside the outputs, no port
    that keeps to it leaves out a step.
    """
    if any(type(one.step) is not type(one.pair.step) or form_of(one.step) for one in judged):
        return "unknown"
    present = {one.name: one.pair.block.precision for one in judged if one.pair.block is not None}
    declared = [atom.precision for atom in graph.atoms if atom.precision is not None]  # of a port in one piece
    coarsest = max(present.values() or declared, key=lambda precision: precision.format.unit, default=None)
    if coarsest is None:
        return "unknown"
    fed = cast(inputs[: min(END_TO_END_ROWS, END_TO_END_NUMBERS // _widest(program) + 1)], graph.input_dtypes[0])
    rows = fed.astype(np.float64)
    precisions = {step.name: present.get(step.name, coarsest) for step in program.steps}
    allowed = end_to_end(program, rows, precisions)[program.steps[-1].name]
    expected = np.asarray(program(rows)[0])
    found = np.asarray(graph(fed)[0]).astype(np.float64).reshape(len(fed), -1)
    if compare_outputs(expected, found, allowed).exceeding:
        return "mismatch"
    span = np.ptp(expected, axis=0)
    return "parity" if np.all(np.max(allowed, axis=0) <= TELLING_UNITS * coarsest.format.unit * span) else "within"


def _widest(program: Program) -> int:
    return max(max(step.width) for step in program.steps if isinstance(step, Dense))


def _found_placement(pairing: Pairing) -> str | None:
    scalings = [pair for pair in pairing.pairs if isinstance(pair.step, Scaling)]
    return "inside" if not scalings or any(pair.block is not None for pair in scalings) else None


def _check_width(network: Network, graph: Port, inputs: Array) -> None:
    shape = (None, *graph.input_shapes[0]) if graph.input_shapes else (None, inputs.shape[1])
    if len(shape) != 2 or shape[1] not in (None, inputs.shape[1]):
        raise PortError(
            f"the port {graph.name}",
            found=f"an input of shape {tuple(shape)}",
            expected=f"(rows, {inputs.shape[1]}), as {network.name} has it",
            remedy="check that this is the port of that network",
        )


def _check_outputs(graph: Port, inputs: Array) -> None:
    """Numbers, and as many rows of them as there are inputs; what it refuses to compute is told elsewhere."""
    fed = cast(inputs[-SEEN_ROWS:], graph.input_dtypes[0])
    try:
        output: Any = graph(fed)[0]
    except Exception:  # a port of one size of batch alone may raise anything
        return
    found = np.asarray(output) if hasattr(output, "shape") or hasattr(output, "__array__") else None
    if found is None or (found.dtype.kind not in "fiub" and str(found.dtype) not in FORMATS):
        told = type(output).__name__ if found is None or found.dtype == object else f"outputs of dtype {found.dtype}"
    elif found.ndim > 2 or (found.ndim and len(found) == len(fed)):
        return
    else:
        told = f"outputs of shape {found.shape} for {len(fed)} rows"
    raise PortError(
        f"the port {graph.name}",
        found=told,
        expected="an array of numbers, a row for each row of inputs, as the legacy network gives",
        remedy="take out what changes the shape of the outputs, or their kind",
    )


def _without_scaling(program: Program) -> Program:
    steps = [step for step in program.steps if not isinstance(step, Scaling)]
    names = ["inputs", *(step.name for step in steps)]
    return chain([replace(step, inputs=(names[i],)) for i, step in enumerate(steps)])


class _Walk:
    """The port's own trace over the network's inputs, each step judged on the port's own input to it."""

    def __init__(self, graph: Port, steps: Mapping[str, Any], pairing: Pairing, folds: Mapping[str, str]) -> None:
        self.graph, self._steps, self._pairing, self._folds = graph, steps, pairing, folds
        # A layer that has the output scaling in it gives what that scaling gives.
        self._ends = {pair.step.name: pair.step.name for pair in pairing.pairs}
        if "Norm_out" in folds:
            del self._ends[folds["Norm_out"]]
            self._ends["Norm_out"] = folds["Norm_out"]
        self.comparisons: dict[str, list[Comparison]] = {}
        self.cumulative: dict[str, float] = {}
        self.reached: dict[str, tuple[Array, Array]] = {}
        self.ordinary: dict[str, Array] = {}
        self.outputs: tuple[Array, Array] = (np.zeros((0, 0)), np.zeros((0, 0)))
        self.few: dict[int, Array] = {}
        self.steadiness = Steadiness(graph)

    def run(self, inputs: Array, program: Program, rng: np.random.Generator) -> tuple[Judged, ...]:
        """Judge every step: on the network's inputs, and then, while its bound is at hand, on its own probes."""
        self.steadiness.begin(inputs)
        for size in SIZES:
            self._judge_alone(cast(inputs[-size:], self.graph.input_dtypes[0]))
        self.steadiness.watch(inputs, sum(int(np.prod(each.shape[1:])) for each in self.few.values()))
        expected, actual, judged = [], [], []
        end = WALKED_NUMBERS // _widest(program) + 1
        size = rows_at_a_time(max(inputs.shape[1], _widest(program)))
        for start, part in blocks(inputs, size):
            fed = cast(part, self.graph.input_dtypes[0])
            tensors = self.graph.trace([fed])
            if not self.few:  # a port of one size of batch alone
                self.few = {key: values[-SIZES[-1] :] for key, values in tensors.items()}
            whole, walked = self.graph(fed)[0], tensors[self.graph.outputs[0]]
            self.steadiness.hold_together(whole, walked)
            if start < end:
                expected.append(self._walk(program, fed[: end - start].astype(np.float64), tensors))
                actual.append(np.asarray(whole[: end - start]).astype(np.float64))
            for pair in self._pairing.pairs:
                step = self._steps[pair.step.name]
                wide = _in_float64(step)
                if pair.block is not None:
                    self._judge(wide, pair.block, tensors, start)
                if start + size >= len(inputs):
                    judged.append(replace(_judge_step(wide, pair, self._folds, self, rng), step=step))
        self.outputs = (np.concatenate(expected), np.concatenate(actual))
        self.steadiness.end()
        return tuple(judged)

    def _judge_alone(self, fed: Array) -> None:
        """Every step on a batch of few rows: a port may be wrong for one row and right for many."""
        try:
            tensors = self.graph.trace([fed])
            whole = self.graph(fed)[0]
        except Exception as error:  # a port of one size of batch alone may raise anything
            self.steadiness.refuse(len(fed), error)
            return
        self.few = tensors
        self.steadiness.hold_together(whole, tensors[self.graph.outputs[0]])
        for pair in self._pairing.pairs:
            if pair.block is not None:
                probes = f"inputs of the network in a batch of {len(fed)}"
                self._judge(self._steps[pair.step.name], pair.block, tensors, 0, probes)

    def _walk(self, program: Program, rows: Array, tensors: Mapping[int, Array]) -> Array:
        """The program from its inputs to its outputs, beside the port's first rows."""
        for name, trace in program.walk(rows):
            self._reach(name, trace.preactivation)
            if name in self._ends:
                self._accumulate(self._ends[name], trace.outputs, tensors)
        return trace.outputs

    def _judge(
        self,
        step: Any,
        block: Block,
        tensors: Mapping[int, Array],
        first_row: int,
        probes: str = "inputs of the network",
    ) -> None:
        actual = _flat(tensors[block.leaving])
        fed = port_rows(tensors[block.entry], block.precision)
        found = judge_values(step, fed, actual, block.precision, probes, first_row=first_row)
        self.ordinary[step.name] = fed[-FEW:]
        self.comparisons.setdefault(step.name, []).append(found)

    def _reach(self, name: str, z: Array | None) -> None:
        """How far each unit's preactivation goes, for what the inputs never showed."""
        if z is not None:
            low, high = self.reached.get(name, (np.inf, -np.inf))
            self.reached[name] = np.minimum(low, z.min(axis=0)), np.maximum(high, z.max(axis=0))

    def _accumulate(self, layer: str, wanted: Array, tensors: Mapping[int, Array]) -> None:
        """The largest error of a layer end to end, where the port has such a tensor."""
        block = self._pairing[layer].block
        if block is None or wanted.shape != (actual := _flat(tensors[block.leaving][: len(wanted)])).shape:
            return
        with np.errstate(invalid="ignore"):
            error = np.abs(actual - wanted)
        worst = float(np.max(error, initial=0.0, where=np.isfinite(error)))
        self.cumulative[layer] = max(self.cumulative.get(layer, 0.0), worst)


def _in_float64(step: Any) -> Any:
    """A dense layer whose kernel need not be converted for every block of rows; only one at a time, for the memory."""
    if not isinstance(step, Dense) or step.weights.dtype == step.dtype:
        return step
    return replace(step, weights=step.weights.astype(step.dtype))


def _flat(tensor: Array) -> Array:
    values = np.atleast_1d(np.asarray(tensor))
    return values.reshape(len(values), math.prod(values.shape[1:]))


def _judge_step(step: Any, pair: Pair, folds: Mapping[str, str], walk: _Walk, rng: np.random.Generator) -> Judged:
    if pair.block is None:
        verdict = f"folded into {folds[step.name]}" if step.name in folds else "uncompared"
        return Judged(step, verdict, pair=pair)
    found = merge_comparisons(walk.comparisons.get(step.name, []))
    one = Judged(step, "uncompared", cumulative=walk.cumulative.get(step.name), pair=pair)
    return _on_own_probes(one, found, rng, walk.ordinary[step.name])


def _on_own_probes(
    one: Judged,
    on_inputs: Comparison,
    rng: np.random.Generator,
    ordinary: Array,
    reach: Callable[[Array], Array] | None = None,
) -> Judged:
    """A step, judged on the network's inputs, judged on probes of its own as well, and its weights where they show.

    Args:
        one: the step.
        on_inputs: what it gave there.
        rng: draws the probes.
        ordinary: (rows, inputs) a few of the rows that the port hands it.
        reach: brings probes to what the port can have there; None where it can have anything.
    """
    step, block = one.step, one.pair.block
    assert block is not None
    count = _count_different(step, block)
    differ = count if count is not None and _is_bare(step, block) else None
    if differ is None and isinstance(step, Dense) and block.precision.is_short:
        differ = parts_that_differ(step, block)
    sets = _own_probes(step, block, rng, read=None if differ is None else differ == 0)
    sets = sets if reach is None else {name: reach(rows) for name, rows in sets.items()}
    found, refused = {"inputs of the network": on_inputs}, {}
    for name, rows in sets.items():
        try:
            found[name] = judge(step, block.run, rows, block.precision, name, is_far=name != "basis probes")
        except Refused as error:
            refused[name] = str(error)
    total = _with_far(found, is_affine=isinstance(step, Scaling))
    if isinstance(step, Transform) and not total.exceeding and FAR in found:
        made = _made_of_nothing(step, block, sets[FAR])
        found[FAR], total = (merge_comparisons([each, made]) for each in (found[FAR], total))
    # Behind the file's own weights whatever follows has to be the activation, in whichever form.
    if not total.exceeding and block.tail is not None and count == 0:
        found[ALONE] = compare_function(step.activation, block.tail, step.width[1], block.precision)
        total = merge_comparisons([total, found[ALONE]])
    run = [rows for name, rows in sets.items() if name in found]
    tried, shown = telling_mistakes(step, [*run, ordinary], block.precision)
    verdict, reason = verdict_of(total, differ or 0, block.precision, tried, shown)
    if verdict == "parity":
        asked = [*(sets[name] for name in found if name in sets and name != FAR), ordinary]
        met, left_open = judge_on_conditions(step, block, asked, sets)
        total = merge_comparisons([total, *met.values()])
        found |= met
        if total.exceeding:
            verdict = "mismatch"
        elif left_open:
            verdict, reason = "uncompared", left_open
    if verdict == "parity" and differ is None and not shows_altered(step, [*run, ordinary], block.precision):
        verdict, reason = "uncompared", UNREAD.format(block.precision.compute)
    return replace(
        one,
        verdict=verdict,
        comparison=total,
        weights_differ=differ or 0,
        probes=_telling_probes(sets, found) if verdict == "mismatch" else {},
        probed=sum(len(rows) for rows in run),
        refused=refused,
        would_show=shown,
        reason=reason,
    )


def _made_of_nothing(step: Transform, block: Block, rows: Array) -> Comparison:
    """Where the port gives a number and the file's function has none: a guard that hides what is no measurement."""
    fed = cast(rows, block.precision.compute)
    expected = np.asarray(step(fed.astype(np.float64)).outputs)
    actual = np.asarray(block.run(fed), np.float64)
    made = ~np.isfinite(expected) & np.isfinite(actual)
    if not made.any():
        return Comparison()
    row, unit = (int(each) for each in np.argwhere(made)[0])
    return Comparison(
        expected.size, int(made.sum()), np.inf, np.inf, 0.0, float(expected[row, unit]), float(actual[row, unit]),
        f"{FAR}, row {row}, unit {unit}", (row, unit), coarseness=np.inf,
    )  # fmt: skip


def _telling_probes(sets: Mapping[str, Array], found: Mapping[str, Comparison]) -> dict[str, Array]:
    """The probes for a diagnosis: far vectors only where nothing nearer shows what is wrong."""
    is_near = any(each.exceeding for name, each in found.items() if name != FAR)
    return {name: rows for name, rows in sets.items() if name != FAR or not is_near}


def _with_far(found: Mapping[str, Comparison], is_affine: bool) -> Comparison:
    """One comparison of all; far vectors count, but their figures are for where nothing nearer shows it.

    An affine step has the same factor everywhere: what shows far outside its range would show inside of it.
    """
    near = merge_comparisons(one for name, one in found.items() if name != FAR)
    far = found.get(FAR)
    if far is None:
        return near
    quiet = far if far.exceeding and not near.exceeding else replace(far, ratio=-1.0)
    return merge_comparisons([near, quiet if is_affine else replace(quiet, coarseness=np.inf)])


def _probes_of(step: Any, block: Block) -> dict[str, Array]:
    """Probes for one step alone, the same every time."""
    return _own_probes(step, block, np.random.default_rng(0), None)


def _own_probes(step: Any, block: Block, rng: np.random.Generator, read: bool | None) -> dict[str, Array]:
    """Inputs for one step alone; of a transform those that it has no number for, beside its part of the network's."""
    largest = block.precision.format.largest / 16
    if isinstance(step, Scaling):
        scale, offset = (np.abs(each) for each in step.affine)
        return {FAR: far_rows(len(step.first), largest, rng, float(np.max(np.maximum(1, scale) + offset)))}
    if isinstance(step, Extremes | Ensemble):
        return {"probes of its own": step.probes()}
    if isinstance(step, Transform):
        return {FAR: outside_rows(len(step.functions))}
    if not isinstance(step, Dense):
        return {}
    stored = Stored.of(step)
    size = float(np.max(np.abs(stored.kernel).sum(axis=0), initial=1.0))
    far = far_rows(step.width[0], largest, rng, size)
    near = layer_rows(stored.kernel, stored.bias, rng, read, largest)
    return {**near, **({FAR: far} if len(far) else {})}


def _count_different(step: Any, block: Block) -> int | None:
    """How many weights are more than one unit in the last place from the cast of the stored ones; None if unknown."""
    atom = block.dense
    if not isinstance(step, Dense) or atom is None or atom.weights is None or step.weights_error is not None:
        return None
    stored, (kernel, own) = Stored.of(step), atom.weights()
    if stored.kernel.shape != kernel.shape:
        return None
    count = int(np.count_nonzero(~equal_within_ulp(kernel, stored.kernel, block.precision.variables)))
    bias = np.zeros(stored.kernel.shape[1]) if stored.bias is None else stored.bias
    own = np.zeros_like(bias) if own is None else own
    return count + int(np.count_nonzero(~equal_within_ulp(own, bias, block.precision.variables)))


def _is_bare(step: Dense, block: Block) -> bool:
    """Whether what follows the kernel is the activation alone, so that the kernel has to be the stored one.

    Where something affine follows, or something that the class does not tell, it is held against the activation.
    """
    is_other_form = step.activation.form == BY_SIGMOID  # which takes doubled weights as well as a doubled argument
    if not is_other_form and not any(atom.kind in ("affine", "other") for atom in block.atoms):
        return True
    if block.tail is None:
        return False
    z = np.repeat(np.linspace(-8, 8, 129)[:, None], step.width[1], axis=1).astype(np.float32)
    alone = Activate(step.name, step.inputs, step.activation)
    try:
        found = block.tail(z)
    except Exception:  # somebody's own function, which need not take plain preactivations
        return False
    return judge_values(alone, z, found, block.precision, "preactivations").is_parity


def _rewritten(
    program: Program, graph: Port, judged: Sequence[Judged], pairing: Pairing, inputs: Array
) -> Rewritten | None:
    """The port judged along its own way, where layer against layer something is wrong, absent or left over."""
    is_right = all(one.verdict == "parity" or one.verdict.startswith("folded") for one in judged)
    if is_right and not (pairing.extra or pairing.strays or pairing.merges):
        return None
    return rewrite(program, graph, judged, inputs, _on_own_probes)


def _with_gauges(judged: tuple[Judged, ...], graph: Port, inputs: Array) -> tuple[Judged, ...]:
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


def _in_another_form(one: Judged, graph: Port, inputs: Array) -> Judged:
    """A layer that agrees once its activation is taken to be written another way."""
    if one.verdict != "mismatch" or not isinstance(one.step, Dense) or one.pair.block is None:
        return one
    forms = (form for form in equivalent_forms(one.step) if _may_be(form, one))
    tries = (_rejudge(one, form, one.gauge, graph, inputs) for form in forms)
    return next((other for other in tries if other.verdict == "parity" and _is_written(one)), one)


def _is_written(one: Judged) -> bool:
    """Whether a layer that agrees in another form is written so: of one that hides its arrays that has to show."""
    block = one.pair.block
    assert block is not None
    if _count_different(one.step, block) == 0:
        return True
    return is_written(one.step, probed(block.run, one.probes, block.precision), block.precision)


def _may_be(form: Any, one: Judged) -> bool:
    """Whether a few of its own probes leave it open that the layer is written so; all of them cost much more."""
    rows = next((rows[:FEW] for rows in one.probes.values() if len(rows)), None)
    assert one.pair.block is not None
    return rows is None or judge(form, one.pair.block.run, rows, one.pair.block.precision).is_parity


def _rejudge(one: Judged, step: Dense, gauge: Gauge | None, graph: Port, inputs: Array) -> Judged:
    block = one.pair.block
    assert block is not None
    found = []
    for probes, tensors in trace_batches(graph, inputs):
        fed = port_rows(tensors[block.entry], block.precision)
        found.append(judge_values(step, fed, tensors[block.leaving], block.precision, probes))
    other = replace(one, step=step, gauge=gauge, cumulative=None if gauge is not None else one.cumulative)
    return _on_own_probes(other, merge_comparisons(found), np.random.default_rng(0), fed)


def _with_outside(program: Program, judged: tuple[Judged, ...]) -> tuple[Judged, ...]:
    """Rows for the scaling steps that the user declared outside the port."""
    by_name = {one.name: one for one in judged}
    return tuple(by_name.get(step.name, Judged(step, "uncompared", pair=Pair(step, None))) for step in program.steps)
