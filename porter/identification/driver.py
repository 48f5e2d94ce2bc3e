"""The search in the order of likelihood: simple configurations of likely chains first, then everything else in time."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from porter.identification import columns
from porter.identification.bounds import LEAST_SHARE, agreeing_share
from porter.identification.candidates import COMMON, HIDDEN, OUTPUT, WHOLE_ROWS
from porter.identification.ends import End, ends, plausible
from porter.identification.forward import Front, Plan, Screen, run
from porter.identification.pool import Pool
from porter.identification.refining import Golden, Hit, distinct, refined
from porter.identification.skeletons import Skeleton, Skeletons, skeletons
from porter.progress import tell

CHAINS = 600
"""Chains of arrays that are looked at."""
MOST_READINGS = 256
MOST_FRONTS, FEW_FRONTS, MOST_BACKS = 60, 10, 120
RARER = 3
"""How many scalings of the one before are tried before those of the next function of all inputs."""
WIDER = 6
"""How many times as many scalings are tried once the likeliest are through."""
MOST_WORK = 4e10
"""Multiplications of one plan."""
SECONDS = 45.0
"""How long is searched for a first configuration that gives the samples."""
MOST_REFINED = 1500
SHARE_OF_STAGE = 0.35
"""Of the time that is left, how much one stage may take."""
MOST_PARTIAL, LEAST_ROWS = 64, 4
GOOD = 1e-3
"""Share of an output's size within which a configuration is thought to be one."""


@dataclass
class Search:
    """A search in progress.

    Attributes:
        pool: the arrays.
        golden: the samples.
        seconds: how long it may take.
        hits: what was found.
        partial: what gives part of the samples.
        tried: configurations, about.
        stages: what was begun, in order.
        has_more_ends: whether there are more scalings than were tried.
    """

    pool: Pool
    golden: Golden
    seconds: float = SECONDS
    hits: list[Hit] = field(default_factory=list)
    partial: list[Hit] = field(default_factory=list)
    tried: float = 0.0
    stages: list[Tried] = field(default_factory=list)
    has_more_ends: bool = False
    _began: float = field(default_factory=time.thread_time)

    @property
    def left(self) -> float:
        """Seconds."""
        return self.seconds - (time.thread_time() - self._began)

    @property
    def found(self) -> list[Hit]:
        """Configurations that give the samples, the closest first."""
        return [hit for hit in distinct(self.hits) if hit.residual <= GOOD]

    @property
    def done(self) -> int:
        """How many stages are over."""
        return len(self.stages)

    @property
    def is_whole(self) -> bool:
        """Whether everything was tried of what was begun."""
        return all(each.is_whole for each in self.stages)

    def restart(self) -> None:
        """Count the seconds from now, and begin with the first stage."""
        self._began = time.thread_time()
        self.stages, self.partial, self.has_more_ends = [], [], False

    def chains(self) -> Skeletons:
        """The chains that the shapes allow, the likeliest first."""
        inputs, outputs = self.golden.inputs.shape[1], self.golden.outputs.shape[1]
        return skeletons(self.pool, inputs, outputs, CHAINS)

    def first(self, chains: Sequence[Skeleton], *, brief: bool = False) -> list[Hit]:
        """Search until something gives the samples, or a part of them, from the likeliest to the least likely.

        Called again, it goes on where it was; ``brief`` is for the likeliest alone.
        """
        stages = stages_for(chains)[: BRIEF if brief else None]
        for number in range(self.done, len(stages)):
            until = self.left - SHARE_OF_STAGE * max(self.left, 0.0)
            known = len(self.partial)
            self._stage(stages[number], chains, number / len(stages), until)
            if self.found or self.left < 0 or len(self.partial) > known:
                break
        return self.found

    def _stage(self, stage: Stage, chains: Sequence[Skeleton], share: float, until: float) -> None:
        """One stage, until something is found or so little time is left."""
        few, screen = chains[: stage.chains], self.screen
        record = Tried(stage, len(chains))
        self.stages.append(record)
        for place, chain in enumerate(few):
            tell(f"searching: {stage.name}, {share:.0%}, at most {max(self.left, 0):.0f} s more")
            for plan in stage.plans(self, chain):
                record.is_too_large |= not self.take(chain, plan, screen, until)
                if self.left < until:
                    record.is_cut = True
                    return
            record.chains = place + 1
            if self.found and place >= stage.least:
                return

    def take(self, chain: Skeleton, plan: Plan, screen: Screen, until: float) -> bool:
        """Run a plan until so little time is left, and keep what gives all samples; whether it could be run."""
        if plan.work(chain.widths) > MOST_WORK:
            return False
        found = run(self.pool, chain, plan, screen, lambda: self.left < until)
        self.tried += plan.states * len(plan.output) * len(plan.backs)
        for candidate in itertools.islice(found, MOST_REFINED):
            hit = refined(self.pool, candidate, self.golden, chain.cost)
            if hit.residual <= GOOD:
                self.hits.append(hit)
            elif len(self.partial) < MOST_PARTIAL and len(self.golden.inputs) >= LEAST_ROWS:
                values = candidate.predict(self.pool, self.golden.inputs)
                if agreeing_share(values, self.golden) >= LEAST_SHARE:
                    self.partial.append(hit)
        return True

    @property
    def screen(self) -> Screen:
        """The first numbers that are looked at."""
        golden = self.golden
        return Screen.of(golden.inputs, golden.outputs, golden.resolution, coarse=golden.coarse)

    def fronts(self, chain: Skeleton, most: int, *, transformed: bool) -> list[Front]:
        """Scalings of the inputs, as they are or behind functions of their columns."""
        width, others = chain.widths[0], chain.widths[-1]
        every = ends(self.pool, chain.used, width, first=True, others=others)
        plain = ("identity",) * width
        self.has_more_ends |= len(every) > max(most, MOST_FRONTS)
        if not transformed:
            return [(plain, end) for end in plausible(every, self.golden.inputs)[:most]]
        ranked: list[tuple[int, Front]] = []
        for number, functions in enumerate(columns.alike(self.golden.inputs)):
            if set(functions) != {"identity"}:
                likely = plausible(every, columns.applied(functions, self.golden.inputs))[:most]
                ranked += [(RARER * number + place, (functions, end)) for place, end in enumerate(likely)]
        found = [front for _, front in sorted(ranked, key=lambda each: each[0])]
        for end in every:
            found += [(functions, end) for functions in columns.fitting(self.golden.inputs, end)]
        return list({(functions, str(end)): (functions, end) for functions, end in found}.values())[: 2 * most]

    def backs(self, chain: Skeleton, most: int = MOST_BACKS) -> list[End]:
        """Scalings of the outputs."""
        width, others = chain.widths[-1], chain.widths[0]
        every = ends(self.pool, chain.used, width, first=False, others=others)
        self.has_more_ends |= len(every) > most
        finite = self.golden.outputs[np.isfinite(self.golden.outputs).all(axis=1)]
        return plausible(every, finite)[:most] if len(finite) else every[:most]

    def output(self) -> tuple[str, ...]:
        """Activations of the last layer."""
        rows = self.golden.outputs
        return (*OUTPUT, *WHOLE_ROWS) if rows.shape[1] > 1 else OUTPUT


@dataclass(frozen=True)
class Stage:
    """A part of the search.

    Attributes:
        name: for people.
        chains: how many are looked at.
        least: how many are looked at before what was found is enough.
        hidden: "shared", "one differs" or "each".
        plain: whether kernels are taken in the order in which they are stored.
        transformed: whether functions stand before the scaling of the inputs.
        times: how many times as many scalings of the inputs are tried.
    """

    name: str
    chains: int
    least: int
    hidden: str
    plain: bool = True
    transformed: bool = False
    times: int = 1

    def widened(self) -> Stage:
        """The same with more scalings."""
        return replace(self, name=f"{self.name}, widely", times=WIDER * self.times)

    def takes(self, chains: Sequence[Skeleton]) -> bool:
        """Whether there is anything for it to do."""
        deep = any(len(chain.slots) > 2 for chain in chains)
        mixed = any(len(slot.readings) > len(slot.plain) for chain in chains for slot in chain.slots)
        return (self.hidden == "shared" or deep) and (self.plain or mixed)

    def plans(self, search: Search, chain: Skeleton) -> Iterator[Plan]:
        """What is tried with a chain."""
        most = MOST_FRONTS if self.hidden == "shared" else FEW_FRONTS
        fronts = search.fronts(chain, self.times * most, transformed=self.transformed)
        if not fronts:
            return
        backs, output = search.backs(chain), search.output()
        layers = len(chain.slots) - 1
        readings = [slot.plain if self.plain else slot.readings for slot in chain.slots]
        for names in self.activations(layers):
            yield Plan(fronts, readings, names, output, backs)

    def activations(self, layers: int) -> Iterator[list[tuple[str, ...]]]:
        """Activations of the hidden layers, one plan each."""
        if self.hidden == "shared" or layers < 2:
            for name in HIDDEN if layers > 0 else ("linear",):
                yield [(name,)] * layers
        elif self.hidden == "one differs":
            for name, place in itertools.product(HIDDEN, range(layers)):
                yield [HIDDEN if n == place else (name,) for n in range(layers)]
        elif layers > 3:
            for one, two in itertools.combinations(COMMON, 2):
                yield [(one, two)] * layers
        else:
            yield [HIDDEN if layers == 2 else HIDDEN[:-1]] * layers


@dataclass
class Tried:
    """What was tried of a stage.

    Attributes:
        stage: which.
        of: how many chains there are.
        chains: how many of them were gone through whole.
        is_cut: whether its time was over before.
        is_too_large: whether something was left out that would have taken too many numbers.
    """

    stage: Stage
    of: int
    chains: int = 0
    is_cut: bool = False
    is_too_large: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether all was tried that the stage plans."""
        return not (self.is_cut or self.is_too_large)

    def __str__(self) -> str:
        few = "" if self.chains == self.of and not self.is_cut else f" ({self.chains} of {self.of} chains)"
        return f"{self.stage.name}{few}"


NARROW = (
    Stage("one activation", CHAINS, 3, "shared"),
    Stage("functions of the inputs", 20, 2, "shared", transformed=True),
    Stage("one layer by itself", 12, 1, "one differs"),
    Stage("kernels in Fortran's order", 20, 1, "shared", plain=False),
    Stage("an activation a layer", 12, 1, "each"),
    Stage("functions, and one layer by itself", 3, 0, "one differs", transformed=True),
    Stage("Fortran's order, and one layer by itself", 3, 0, "one differs", plain=False),
    Stage("functions, and an activation a layer", 2, 0, "each", transformed=True),
    Stage("Fortran's order, and an activation a layer", 2, 0, "each", plain=False),
)
STAGES = (*NARROW, *(stage.widened() for stage in NARROW[1:]))
BRIEF = 2
"""Stages for the likeliest alone."""


def stages_for(chains: Sequence[Skeleton]) -> list[Stage]:
    """Those that have anything to do, in order."""
    return [stage for stage in STAGES if stage.takes(chains)]
