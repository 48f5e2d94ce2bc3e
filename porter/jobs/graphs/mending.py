"""The remedies of a report on a legacy Keras port, tried on a copy of the port as they are printed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from porter.examination.graphs.judged import Judged
from porter.examination.pasting import built
from porter.jobs.graphs.verify import examine_legacy
from porter.jobs.mending import Anew, with_remedies
from porter.network.graph import KerasNetwork
from porter.ports.keras.graph_model import build_graph
from porter.report.report import Report


def check_legacy_remedy(
    report: Report, network: KerasNetwork, model: Any, judged: Sequence[Judged], seed: int
) -> tuple[Report, Any]:
    """Verify the mended port again, and say so in the report.

    Returns:
        The report with ``after_remedy`` and remedies that can be pasted, and the mended keras.Model, or None where
        none can be made.
    """
    dtype = _policy(judged)
    anew = Anew(built(dtype=dtype), lambda: build_graph(network, dtype=dtype))

    def judge(mended: Any) -> str:
        return examine_legacy(network, mended, seed=seed, diagnosed=False)[0].verdict

    return with_remedies(report, network, model, anew, judge)


def _policy(judged: Sequence[Judged]) -> str:
    """The dtype policy of most steps."""
    policies = [
        one.precision.compute if one.precision.compute == one.precision.variables else f"mixed_{one.precision.compute}"
        for one in judged
    ]
    return max(dict.fromkeys(policies), key=policies.count, default="float32")
