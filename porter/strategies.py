"""Hypothesis strategies for tests of one's own: networks, their inputs, and planted faults."""


def register() -> None:
    """Called by Hypothesis' entry point."""
