"""What the comparisons of right ports could have shown: the bound of every layer beside its range, and its hypotheses.

python -m benchmarks.power --dense 40 --graphs 24 --real ../shared/real --corpus 60
"""

from __future__ import annotations

import argparse
import json
import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from benchmarks.tables import markdown_table, rate

Record = dict[str, Any]
GOAL = 1e-3
SHARES = (1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2)


def dense(number: int, seed: int) -> Iterator[Record]:
    """Rows of the networks of ``benchmarks.faults``, ported rightly in every dtype that holds them."""
    from benchmarks.faults import DTYPES, Bench, draw_port
    from benchmarks.networks import fits
    from benchmarks.ports import faithful

    for at in range(number):
        legacy, spec = draw_port(np.random.default_rng([seed, 2, at]), at)
        bench = Bench(legacy)
        for dtype in DTYPES:
            right = faithful(legacy, dtype, spec.fused)
            if fits(legacy, right, dtype):
                report, _ = bench.verify(right, {})
                yield from records("dense, drawn", dtype, report)


def graphs(number: int, seed: int) -> Iterator[Record]:
    """Rows of the networks of ``benchmarks.keras_faults``, as porter builds them."""
    from benchmarks.keras_faults import bench_of

    for at in range(number):
        bench = bench_of(seed, at)
        report, _ = bench.verify(bench.right.build())
        yield from records("graphs, drawn", bench.dtype, report)


def real(folder: Path) -> Iterator[Record]:
    """Rows of every OC-SMART network there is, ported."""
    import porter

    for path in sorted(folder.glob("oc_smart/**/*.h5")):
        network = porter.read(path)
        yield from records("OC-SMART, real", "float32", porter.verify(network, porter.build(network), search=False))


def corpus(folder: Path, most: int, seed: int) -> Iterator[Record]:
    """Rows of whole legacy Keras models of other people."""
    import keras

    import porter

    files = json.loads((folder / "keras_h5" / "MANIFEST.json").read_text())
    whole = [one["file"] for one in files if one["kind"] == "full"]
    picked = np.random.default_rng(seed).permutation(len(whole))[:most]
    for at in sorted(picked):
        try:
            network = porter.read(folder / "keras_h5" / whole[at])
            report = porter.verify(network, porter.build(network))
        except porter.PorterError:
            continue
        yield from records("legacy Keras, real", "float32", report)
        keras.backend.clear_session()


def records(group: str, dtype: str, report: Any) -> Iterator[Record]:
    """One a layer of a report."""
    if report is None:
        return
    for row in report.layers:
        yield {
            "group": group, "dtype": dtype, "verdict": row.verdict, "power": row.power, "shows": list(row.would_show),
        }  # fmt: skip


def table(found: Sequence[Record]) -> str:
    """For each group and dtype: how many layers, and how many bounds are how small beside the range."""
    groups: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for one in found:
        if not str(one["verdict"]).startswith("folded"):
            groups[one["group"], one["dtype"]].append(one)
    head = ("networks", "dtype", "layers", "parity", "uncompared", "mismatch", *(f"< {share:g}" for share in SHARES))
    rows = []
    for (group, dtype), some in sorted(groups.items()):
        verdicts = Counter(one["verdict"] for one in some)
        powers = np.array([np.inf if one["power"] is None else one["power"] for one in some])
        below = [rate(int(np.sum(powers < share)), len(some)) for share in SHARES]
        counts = [str(verdicts[name]) for name in ("parity", "uncompared", "mismatch")]
        rows.append((group, dtype, str(len(some)), *counts, *below))
    return markdown_table(head, rows)


def shown(found: Sequence[Record]) -> str:
    """Which mistakes would have exceeded the bound, by how many layers at parity."""
    counts = Counter(code for one in found for code in one["shows"])
    return markdown_table(("mistake that would have shown", "layers"), [(c, str(n)) for c, n in counts.most_common()])


def main() -> None:
    """Print the tables; exit with 1 where a row at parity has a bound that is not small."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dense", type=int, default=10)
    parser.add_argument("--graphs", type=int, default=12)
    parser.add_argument("--real", type=Path)
    parser.add_argument("--corpus", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    found = [*dense(options.dense, options.seed), *graphs(options.graphs, options.seed)]
    if options.real is not None:
        found += [*real(options.real), *corpus(options.real, options.corpus, options.seed)]
    print(table(found))
    print()
    print(shown(found))
    wide = [one for one in found if one["dtype"] in ("float32", "float64") and one["verdict"] == "parity"]
    small = sum(one["power"] is not None and one["power"] < GOAL for one in wide)
    share = rate(small, len(wide))
    print(
        f"\nof {len(wide):,} layers at parity in float32 and float64, {share} have a bound below {GOAL} of their range"
    )
    if small < len(wide):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
