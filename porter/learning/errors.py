"""What learning refuses, beside what the rest of the package does."""

from __future__ import annotations

from porter.errors import PorterError


class DataError(PorterError):
    """Data that cannot be read, or that nothing sensible can be learned from."""


class RunError(PorterError):
    """A run folder that cannot be continued."""


class CompressionError(PorterError):
    """A model that cannot be made smaller as asked."""


class MissingExtraError(PorterError):
    """An optional package that is not installed; the message names the command that installs it."""


def missing(package: str, extra: str, what: str) -> MissingExtraError:
    """The refusal for want of a package, in one line."""
    return MissingExtraError(f"{what} needs {package}: pip install 'keras-porter[{extra}]'")


class TrunkError(PorterError):
    """Layers to build upon whose arrays are not those of the file."""
