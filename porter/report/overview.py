"""One page over many checks, with their history across library versions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from porter.report import wording
from porter.report.html import environment
from porter.report.json import plain
from porter.report.model import ReportData

ORDER = ("mismatch", "inconclusive", "parity")


def summarise(
    report: ReportData, test: str, network: str, page: str, history: Iterable[Mapping[str, Any]]
) -> dict[str, Any]:
    """What the overview says of one check, as plain data.

    Args:
        report: the result.
        test: the test's id.
        network: path or name of the legacy network.
        page: file name of the report's own page, beside the overview.
        history: entries of a golden file, oldest first: ``versions`` and ``layers``.
    """
    rows = {
        row.layer: {"isolated": row.isolated, "allowed": row.allowed}
        for row in report.layers
        if row.isolated is not None
    }
    check = {
        "test": test,
        "network": network,
        "page": page,
        "verdict": report.verdict,
        "headline": wording.headline(report),
        "worst": worst(rows),
        "history": [
            {"versions": _versions(entry["versions"]), "verdict": entry["verdict"], "worst": worst(entry["layers"])}
            for entry in history
        ],
    }
    return dict(plain(check))


def worst(layers: Mapping[str, Mapping[str, Any]]) -> tuple[str, float] | None:
    """The layer that comes closest to its bound, or is farthest beyond it, and isolated over allowed error there."""
    ratios = {layer: _ratio(errors) for layer, errors in layers.items()}
    return max(ratios.items(), key=lambda item: item[1]) if ratios else None


def _ratio(errors: Mapping[str, Any]) -> float:
    isolated, allowed = (
        float(errors[side]) if errors[side] is not None else math.nan for side in ("isolated", "allowed")
    )
    if isolated == 0:
        return 0.0
    return isolated / allowed if allowed > 0 and not math.isnan(isolated) else math.inf


def _versions(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def render_overview(checks: Iterable[Mapping[str, Any]]) -> str:
    """The page: how many checks hold, those that do not first, each with a link to its own page.

    Args:
        checks: what ``summarise`` returned; empty ones are checks that have no page.
    """
    kept = sorted(
        (check for check in checks if check), key=lambda check: (ORDER.index(check["verdict"]), check["test"])
    )
    failed = sum(check["verdict"] != "parity" for check in kept)
    return environment().get_template("overview.html").render(checks=kept, failed=failed)
