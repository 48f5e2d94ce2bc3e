"""How often ``porter.infer`` finds how random networks are to be read, and whether it is ever wrong.

python -m benchmarks.identification --networks 200
"""

from __future__ import annotations

import argparse
import collections
import tempfile
import time
from pathlib import Path

import numpy as np

import porter
from tests.identification_networks import Drawn, draw_network

ROWS = 20
FRESH = 500


def judged(drawn: Drawn, folder: Path, rows: int = ROWS) -> tuple[str, str]:
    """What became of one network: "right and unique", "right, others open", "open", "none" or "wrong"."""
    np.savez(folder / "mystery.npz", **drawn.arrays)
    inputs = drawn.draw(rows)
    outputs = drawn.forward(inputs)
    found = porter.infer(folder / "mystery.npz", (inputs, outputs))
    if found.candidate is None or found.status in ("none", "wrong samples"):
        return ("none" if found.status == "none" else "called wrong samples"), str(found)
    fresh = drawn.draw(FRESH)
    truth = drawn.forward(fresh).astype(np.float64)
    pool, _ = __import__("porter.identification.infer", fromlist=["pool_of"]).pool_of(folder / "mystery.npz")

    def agrees(candidate: object) -> bool:
        values = candidate.predict(pool, fresh)  # type: ignore[attr-defined]
        size = np.max(np.abs(truth), axis=0)
        return bool(np.all(np.abs(values - truth) <= 1e-4 * size))

    right = agrees(found.candidate)
    if found.status == "found":
        return ("right and unique" if right else "wrong"), str(found)
    if right:
        return "right, others open", str(found)
    among = any(agrees(each.candidate) for each in found.alternatives)
    return ("right among those open" if among else "wrong"), str(found)


def main() -> None:
    """Print the counts, and what was not right."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", type=int, default=200)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--rows", type=int, default=ROWS)
    arguments = parser.parse_args()
    counts: collections.Counter[str] = collections.Counter()
    began, slowest = time.monotonic(), 0.0
    for seed in range(arguments.first, arguments.first + arguments.networks):
        drawn = draw_network(seed)
        with tempfile.TemporaryDirectory() as folder:
            start = time.monotonic()
            what, told = judged(drawn, Path(folder), arguments.rows)
            taken = time.monotonic() - start
        counts[what] += 1
        slowest = max(slowest, taken)
        if what != "right and unique":
            print(f"{seed} {what} ({taken:.1f} s): {drawn.words}\n{told}\n", flush=True)
    for what, count in counts.most_common():
        print(f"{what:<24} {count:4d} ({count / arguments.networks:.1%})")
    print(f"{time.monotonic() - began:.0f} s, the slowest {slowest:.1f} s")


if __name__ == "__main__":
    main()
