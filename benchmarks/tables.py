"""The results of benchmarks, as tables on the terminal and in RESULTS.md."""

from __future__ import annotations

import platform
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from benchmarks.planting import ARRAYS, KINDS, Record

COLUMNS = (
    "mistake",
    "planted",
    "truly different",
    "detected",
    "layer named",
    "cause named first",
    "all named",
    "nothing false",
    "remedy restores parity",
    "pasted as printed",
)
MEASURED = ("detected", "layer", "first", "all", "sound", "remedy", "pasted")
"""What the shares of ``COLUMNS`` are of."""


def rate(count: int, total: int) -> str:
    """A share in per cent, without rounding up to 100."""
    if total == 0:
        return "-"
    share = 100 * count / total
    return "100 %" if count == total else f"{min(share, 99.99):.2f} %"


def plant_rows(records: Iterable[Record], kind: str, arrays: str) -> list[tuple[str, ...]]:
    """One row a mistake that was planted alone, and one for all of them; one row for mistakes planted together."""
    groups: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        if (record["kind"], record.get("arrays")) == (kind, arrays):
            groups["all together"].append(record)
            if kind == "single":
                groups[record["name"]].append(record)
    groups["all together"] = groups.pop("all together", [])
    return _shares(groups)


def _shares(groups: Mapping[str, Sequence[Record]]) -> list[tuple[str, ...]]:
    rows = []
    for name, group in groups.items():
        true = [record for record in group if record["true"]]
        measured = [[record[key] for record in true if key in record] for key in MEASURED]
        if group:
            shares = [rate(sum(values), len(values)) for values in measured]
            rows.append((name, f"{len(group):,}", f"{len(true):,}", *shares))
    return rows


def tables(records: Sequence[Record]) -> list[tuple[str, Sequence[str], list[tuple[str, ...]]]]:
    """(title, columns, rows) of every table that there is something for."""
    made = [
        (f"{title}, arrays {arrays}", COLUMNS, plant_rows(records, kind, arrays))
        for arrays in ARRAYS
        for kind, title in KINDS.items()
    ]
    made.append((RIGHT, FAITHFUL_COLUMNS, faithful_rows(records)))
    return [table for table in made if table[-1]]


def told_of_remedies(records: Iterable[Record]) -> str:
    """How many remedies were printed, and what came of running them as printed; "" where none were."""
    with_remedies = [record for record in records if record.get("remedies")]
    if not with_remedies:
        return ""
    right = [record for record in with_remedies if record["pasted"]]
    anew = sum(record["remedies"] for record in right if record["anew"])
    printed, ran = (sum(record["remedies"] for record in part) for part in (with_remedies, right))
    return (
        f"{printed:,} remedies in {len(with_remedies):,} reports were run as they are printed: {ran:,} of them "
        f"({rate(ran, printed)}) in reports whose port was at parity afterwards, {anew:,} by building the port anew.\n"
    )


def faithful_rows(records: Iterable[Record]) -> list[tuple[str, ...]]:
    """One row a form of port, and one for all of them."""
    groups: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        if record["kind"] == "faithful":
            groups[record["name"]].append(record)
            groups["all together"].append(record)
    groups["all together"] = groups.pop("all together", [])
    verdicts = ("parity", "mismatch", "inconclusive", "error")
    return [
        (name, f"{len(group):,}", *(f"{sum(record['verdict'] == one for record in group):,}" for one in verdicts))
        for name, group in groups.items()
        if group
    ]


RIGHT = "Ports that are right"
FAITHFUL_COLUMNS = ("port", "verified", "parity", "false alarms", "inconclusive", "broke down")


def misses(records: Iterable[Record], most: int) -> list[str]:
    """What went wrong, a few of each kind, each with what reproduces it."""
    shown: dict[tuple[str, str], int] = defaultdict(int)
    lines = []
    for record in records:
        problem = _problem(record)
        name = record["name"] if record["kind"] in ("single", "faithful") else record["kind"]
        key = (f"{name} {record.get('arrays', '')}", problem)
        if problem and shown[key] < most:
            shown[key] += 1
            lines.append(_describe(record, problem))
    return lines


def _problem(record: Record) -> str:
    if record["verdict"] == "error":
        return "broke down"
    if record["kind"] == "faithful":
        return {"parity": "", "mismatch": "FALSE ALARM"}.get(record["verdict"], record["verdict"])
    if not record["true"]:
        return ""
    steps = (("detected", "not detected"), ("layer", "layer not named"), ("first", "another cause first"))
    steps += (("all", "not all named"),) if record["kind"] != "single" else ()
    steps += (("sound", "something false is certain"),)
    steps += (("remedy", "remedy does not restore parity"),)
    return next((words for key, words in steps if not record[key]), "")


def _describe(record: Record, problem: str) -> str:
    kind = f"{record['network']}, {record['activations']}, {record['dtype']}"
    where = f"seed {record['seed']} network {record['number']} ({kind})"
    wanted = f"; wanted {record['expected']}" if "expected" in record else ""
    found = record["error"] or f"{record['verdict']}: {record['findings'][:4]}"
    if record["verdict"] == "inconclusive":
        found += f" {record['notes']}"
    return f"{problem}: {record['name']}: {where}, arrays {record.get('arrays', 'shown')}{wanted}; got {found}"


def print_tables(records: Sequence[Record], most: int) -> None:
    """Everything on the terminal."""
    from rich.console import Console
    from rich.table import Table

    console = Console(width=200)
    for line in misses(records, most):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    console.print(told_of_remedies(records), markup=False, highlight=False)
    for title, columns, rows in tables(records):
        table = Table(title=title)
        for column in columns:
            table.add_column(column, justify="left" if column == columns[0] else "right")
        for row in rows:
            table.add_row(*row)
        console.print(table)


def write_results(records: Sequence[Record], path: Path, begin: str, end: str) -> None:
    """Replace in RESULTS.md, between two marks, the tables that a run has something for; others stay as they are."""
    _, _, rest = path.read_text().partition(begin)
    parts = {part.partition("\n")[0]: part for part in rest.partition(end)[0].strip().split("### ") if part.strip()}
    parts |= {title: f"{title}\n\n{text}" for title, text in markdown(records).items()}
    order = [f"{title}, arrays {arrays}" for arrays in ARRAYS for title in KINDS.values()] + [RIGHT]
    replace_part(path, begin, end, "\n\n".join(f"### {parts[title].strip()}" for title in order if title in parts))


def replace_part(path: Path, begin: str, end: str, text: str) -> None:
    """Replace what stands between two marks, which the file must have."""
    before, first, rest = path.read_text().partition(begin)
    _, last, after = rest.partition(end)
    if not first or not last:
        raise ValueError(f"{path.name} has no {begin} ... {end} to write between")
    path.write_text(f"{before}{begin}\n\n{text.strip()}\n\n{end}{after}")


def markdown(records: Sequence[Record]) -> dict[str, str]:
    """What is committed of each table, by its title."""
    names = ("tensorflow", "keras", "numpy", "h5py", "hypothesis")
    versions = ", ".join([f"Python {platform.python_version()}", *(f"{name} {version(name)}" for name in names)])
    texts = {}
    for title, columns, rows in tables(records):
        own = [record for record in records if _title(record) == title]
        networks = {(record["seed"], record["number"]) for record in own}
        seeds = ", ".join(str(seed) for seed in sorted({record["seed"] for record in own}))
        told = told_of_remedies(own)
        texts[title] = f"{len(networks)} networks, seed {seeds}. {versions}.\n\n{told}{chr(10) if told else ''}"
        texts[title] += markdown_table(columns, rows)
    return texts


def _title(record: Record) -> str:
    return RIGHT if record["kind"] == "faithful" else f"{KINDS[record['kind']]}, arrays {record['arrays']}"


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The first column to the left, the others to the right."""
    lines = [columns, ["---", *["---:"] * (len(columns) - 1)], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
