"""Packages that porter is installed without, and how to get them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from porter.errors import PorterError


class MissingPackageError(PorterError):
    """A package that what was asked for needs and that is not installed."""


def require(package: str, extra: str) -> Any:
    """The package, imported.

    Args:
        package: as it is imported.
        extra: of porter, which installs it.

    Raises:
        MissingPackageError: it is not installed; one line, with the command that installs it.
    """
    try:
        return import_module(package)
    except ImportError as error:
        name = package.split(".", maxsplit=1)[0].replace("_", "-")
        raise MissingPackageError(
            f"{name} is not installed, which this needs: pip install 'keras-porter[{extra}]'"
        ) from error
