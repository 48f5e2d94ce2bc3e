"""How often ``porter.infer`` finds how random networks are to be read, and whether it is ever wrong.

    python -m benchmarks.identification --networks 200 [--write]

Each network gets so many random samples. Where several configurations give them, the inputs that the answer asks for
are run through the original software and added, up to 20 samples in all, as a user would do. Open answers are held
against the samples: alternatives that give them as well cannot be told from the truth by anybody.
"""

from __future__ import annotations

import argparse
import collections
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import porter
from benchmarks.tables import markdown_table, rate, replace_part
from porter.identification.candidate import Candidate
from porter.identification.identified import Identified
from porter.identification.infer import pool_of
from porter.identification.pool import Pool
from tests.identification_networks import Drawn, draw_network

Array = NDArray[Any]

BEGIN, END = "<!-- identification: begin -->", "<!-- identification: end -->"
RESULTS = Path(__file__).with_name("RESULTS.md")
ROWS, MOST, ROUNDS, FRESH = 14, 20, 3, 500
"""Random samples, samples in all, how often is asked again, and rows on which an answer is judged."""
ALIKE = 1e-4
UNIQUE, OPEN, AMONG, NONE, WRONG = "right and unique", "right, others open", "right among those open", "none", "wrong"
ANSWERS = (UNIQUE, OPEN, AMONG, NONE, "called wrong samples", WRONG)
NEEDLESS = "of the open, with an alternative that does not give the samples"


def judged(drawn: Drawn, pool: Pool, found: Identified) -> str:
    """What became of one network: one of ANSWERS."""
    if found.candidate is None or found.status in ("none", "wrong samples"):
        return NONE if found.status == "none" else "called wrong samples"
    fresh = drawn.draw(FRESH)
    truth = drawn.forward(fresh).astype(np.float64)
    if _off(found.candidate, pool, fresh, truth) <= ALIKE:
        return UNIQUE if found.status == "found" else OPEN
    among = any(_off(each.candidate, pool, fresh, truth) <= ALIKE for each in found.alternatives)
    return AMONG if among and found.status == "open" else WRONG


def _off(candidate: Candidate, pool: Pool, inputs: Array, truth: Array) -> float:
    values, size = np.asarray(candidate.program(pool)(inputs)[0]), np.max(np.abs(truth), axis=0)
    apart = np.abs(values - truth) / np.where(size > 0, size, 1.0)
    return float(np.max(np.where(np.isnan(apart), np.inf, apart)))


def is_needless(pool: Pool, found: Identified, inputs: Array, outputs: Array) -> bool:
    """Whether some configuration that was left open does not give the samples."""
    allowed = 1e-4 if outputs.dtype == np.float32 else 1e-9
    return any(_off(each.candidate, pool, inputs, outputs.astype(np.float64)) > allowed for each in found.alternatives)


def answers(drawn: Drawn, folder: Path, rows: int) -> list[tuple[Identified, Array]]:
    """The answer to random samples; and to those with the inputs that it asked for."""
    np.savez(folder / "mystery.npz", **drawn.arrays)
    inputs, found = drawn.draw(rows), []
    for _ in range(1 + ROUNDS):
        found.append((porter.infer(folder / "mystery.npz", (inputs, drawn.forward(inputs))), inputs))
        asked = found[-1][0].telling_inputs[: MOST - len(inputs)]
        if found[-1][0].status != "open" or not asked:
            break
        inputs = np.concatenate([inputs, asked])
    return found


def main() -> None:
    """Print the counts, and what was not right."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--networks", type=int, default=200)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--write", action="store_true", help="write the counts into RESULTS.md")
    arguments = parser.parse_args()
    counts: tuple[collections.Counter[str], ...] = (collections.Counter(), collections.Counter())
    slowest = needed = 0.0
    for seed in range(arguments.first, arguments.first + arguments.networks):
        drawn, start = draw_network(seed), time.process_time()
        with tempfile.TemporaryDirectory() as folder:
            told = answers(drawn, Path(folder), arguments.rows)
            slowest = max(slowest, (time.process_time() - start) / len(told))
            pool, _ = pool_of(told[0][0].file)
            first = judged(drawn, pool, told[0][0])
        for (found, inputs), own in zip((told[0], told[-1]), counts, strict=True):
            what = judged(drawn, pool, found)
            own[what] += 1
            own[NEEDLESS] += found.status == "open" and is_needless(pool, found, inputs, drawn.forward(inputs))
        needed = max(needed, len(told[-1][1]))
        if what != UNIQUE or first == WRONG:
            print(f"{seed} {first}, then {what} by {len(told[-1][1])} samples: {drawn.words}\n{found}\n", flush=True)
        if seed % 20 == 19:
            print(seed + 1, *(dict(own) for own in counts), flush=True)
    rows = [
        (what, *(f"{own[what]} ({rate(own[what], arguments.networks)})" for own in counts))
        for what in (*ANSWERS, NEEDLESS)
    ]
    columns = (
        f"{arguments.networks} networks",
        f"from {arguments.rows} samples",
        f"with those asked for, {needed:.0f}",
    )
    table = f"{markdown_table(columns, rows)}\nThe slowest answer took {slowest:.0f} CPU seconds.\n"
    print(table)
    if arguments.write:
        replace_part(RESULTS, BEGIN, END, table)


if __name__ == "__main__":
    main()
