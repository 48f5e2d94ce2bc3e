"""Hypothesis with new seeds for a stated time: every property test of the suite, round after round.

python -m tests.search --seconds 300
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def search(seconds: float, workers: int, seed: int | None) -> int:
    """Rounds until the time is over or something was found.

    Returns:
        The exit status: 0 where nothing was found, 1 where a test failed.
    """
    start, rounds = time.monotonic(), 0
    while (left := seconds - (time.monotonic() - start)) > 0:
        number = random.randrange(2**32) if seed is None else seed + rounds
        status = run_round(number, workers, left)
        if status not in (0, None):
            again = f"HYPOTHESIS_PROFILE=search pytest -m hypothesis --hypothesis-seed={number}"
            print(f"\nseed {number}: found; again: {again}")
            return 1
        rounds += status == 0
        done = (
            "all property tests passed" if status == 0 else "the time was over in the middle, nothing found until then"
        )
        print(f"seed {number}: {done}", flush=True)
    print(f"search: {rounds} whole rounds in {time.monotonic() - start:.0f} s, nothing found")
    return 0


def run_round(seed: int, workers: int, seconds: float) -> int | None:
    """Every property test once with this seed; None where the time did not suffice."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "hypothesis", f"--hypothesis-seed={seed}", "--maxfail=1"]
    command += ["-n", str(workers), "--dist", "loadfile", "-p", "no:cacheprovider"]
    environment = {**os.environ, "HYPOTHESIS_PROFILE": "search"}
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=environment, timeout=seconds, capture_output=True, text=True, check=False
        )
    except subprocess.TimeoutExpired:
        return None
    if done.returncode:
        print(done.stdout[-20_000:], done.stderr[-2_000:])
    return done.returncode


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=None, help="of the first round; the others follow")
    options = parser.parse_args()
    sys.exit(search(options.seconds, options.workers, options.seed))
