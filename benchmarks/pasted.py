"""The remedies of a report, run as they are printed, as a person pastes them; then the port verified again."""

from __future__ import annotations

from typing import Any

NOTHING = {"remedies": 0, "pasted": True, "anew": False, "paste_error": None}
"""Of a report that prints no remedy."""


def paste(report: Any, network: Any, model: Any, **options: Any) -> dict[str, Any]:
    """What becomes of a copy of the port.

    Returns:
        ``remedies``: how many were printed; ``pasted``: whether all of them ran and the port is at parity afterwards;
        ``anew``: whether they build the whole port from the file; ``paste_error``: what went wrong.
    """
    import keras

    import porter

    printed = [finding.remedy for finding in report.findings]
    if not printed:
        return NOTHING
    copied = keras.models.clone_model(model)
    copied.set_weights(model.get_weights())
    space = {"model": copied, "network": network, "keras": keras, "porter": porter}
    told = {"remedies": len(printed), "anew": any("porter.build(network" in text for text in printed)}
    try:
        for text in printed:
            exec(text, space)
        verdict = porter.verify(network, space["model"], **options).verdict
    except Exception as error:
        return {**told, "pasted": False, "paste_error": f"{type(error).__name__}: {error}"[:200]}
    return {**told, "pasted": verdict == "parity", "paste_error": None if verdict == "parity" else verdict}
