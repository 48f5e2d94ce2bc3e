"""The figures that a finding rests on, in words."""

from __future__ import annotations

from porter.diagnosis.layers import Diagnosis
from porter.examination.compare import Comparison


def word_evidence(found: Comparison, weights_differ: int, diagnosis: Diagnosis | None, detail: str = "") -> str:
    """What was seen, and how much of it the causes account for.

    Args:
        found: the layer as it was judged.
        weights_differ: how many weights that the port shows are not the file's, rounded to its dtype.
        diagnosis: what was found to be wrong with the layer, or None for a mistake of structure.
        detail: figures of the cause's own.
    """
    parts = []
    if found.exceeding and (diagnosis is None or not diagnosis.is_explained):
        parts.append(
            f"{found.exceeding:,} of {found.elements:,} elements exceed what rounding explains; the worst is off by "
            f"{found.error:.3g} ({found.actual:.9g} for {found.expected:.9g}; {found.where}), "
            f"allowed {found.allowed:.3g}; rtol={found.rtol:.2g} would have passed it"
        )
    if weights_differ:
        verb, whose = ("is", "its dtype") if weights_differ == 1 else ("are", "their dtype")
        weights = "weight" if weights_differ == 1 else "weights"
        parts.append(f"{weights_differ:,} {weights} of the port {verb} not the file's, rounded to {whose}")
    if diagnosis is not None and diagnosis.is_explained:
        after = diagnosis.after
        parts.append(
            f"with that taken into account the error falls from {diagnosis.before.error:.2g} to {after.error:.2g}; "
            f"allowed {after.allowed:.2g}"
        )
        if diagnosis.twins:
            parts.append(f"{', '.join(diagnosis.twins)} would explain it as well: no probe tells them apart")
        elif diagnosis.tried:
            parts.append(f"no other explanation of {diagnosis.tried} tried comes within the bound")
    elif diagnosis is not None and diagnosis.tried:
        parts.append(f"{diagnosis.tried} explanations were tried, and something is left over")
    return "; ".join([*parts, *([detail] if detail else [])])
