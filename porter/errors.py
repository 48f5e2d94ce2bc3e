"""One exception per way to fail; every message says what, found, expected and what to do."""

from __future__ import annotations


class PorterError(Exception):
    """The base of every refusal.

    Args:
        what: the thing that is wrong, with its place (file, layer, option).
        found: what was found there.
        expected: what would have been right.
        remedy: what the user can do about it.
    """

    def __init__(
        self, what: str, *, found: str | None = None, expected: str | None = None, remedy: str | None = None
    ) -> None:
        self.what, self.found, self.expected, self.remedy = what, found, expected, remedy
        parts = [what]
        parts += [f"  found:    {found}"] if found is not None else []
        parts += [f"  expected: {expected}"] if expected is not None else []
        parts += [f"  to do:    {remedy}"] if remedy is not None else []
        super().__init__("\n".join(parts))


class UsageError(PorterError):
    """An option or an argument that cannot be meant."""


class UnreadableError(PorterError):
    """A file that is not what it should be; the base of every refusal of a file."""


class OutputExistsError(PorterError):
    """The output is there already, and ``force`` was not given."""


class UnbuildableError(PorterError):
    """A network that Keras' own layers cannot express as asked."""


class PortError(PorterError):
    """A port that cannot be looked into: not a Keras model, or one that cannot be evaluated."""


class SamplesError(PorterError):
    """Golden samples that do not fit the network or cannot be read."""


class ParityError(PorterError, AssertionError):
    """Raised by ``Report.raise_for_mismatch``: the port is not proven to be right."""
