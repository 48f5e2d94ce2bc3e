"""Configurations looked into with care: what is asked for is there and of the right kind, or the file is refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from porter.errors import PorterError
from porter.formats.keras_legacy.errors import ConfigError, UnknownModeError

MISSING = object()


@dataclass(frozen=True)
class Fields:
    """The configuration of one layer.

    Attributes:
        where: file and layer, for messages.
        values: as stored.
    """

    where: str
    values: Mapping[str, Any]

    def __contains__(self, key: str) -> bool:
        return key in self.values

    def get(self, *keys: str, default: Any = MISSING) -> Any:
        """The first of these keys that is there.

        Raises:
            ConfigError: none is, and there is no default.
        """
        for key in keys:
            if key in self.values:
                return self.values[key]
        if default is MISSING:
            raise ConfigError(
                f"{self.where}: the configuration has no {' or '.join(map(repr, keys))}",
                found=f"the keys {', '.join(sorted(map(str, self.values))[:12])}",
                remedy="the file is damaged: save the model again",
            )
        return default

    def whole(self, *keys: str, default: Any = MISSING, least: int = 1) -> int:
        """A whole number, at least ``least``."""
        value = self.get(*keys, default=default)
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or value < least or value > 2**31:
            raise self.wrong(keys, value, f"a whole number from {least}")
        return value

    def number(self, *keys: str, default: Any = MISSING) -> float:
        """A number."""
        value = self.get(*keys, default=default)
        if isinstance(value, Mapping) and value.get("class_name") == "__numpy__":
            value = value.get("value")
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise self.wrong(keys, value, "a number")
        return float(value)

    def flag(self, *keys: str, default: Any = MISSING) -> bool:
        """True or false, which some writers stored as 1 or 0, or left null."""
        value = self.get(*keys, default=default)
        if value is None:
            return False
        if value not in (True, False, 0, 1):
            raise self.wrong(keys, value, "true or false")
        return bool(value)

    def choice(self, *keys: str, options: Sequence[Any], default: Any = MISSING) -> Any:
        """One of these values."""
        value = self.get(*keys, default=default)
        if value not in options:
            raise UnknownModeError(
                f"{self.where}: {keys[0]}", found=repr(value), expected=f"one of {', '.join(map(repr, options))}"
            )
        return value

    def each(self, *keys: str, count: int, default: Any = MISSING, least: int = 1) -> tuple[int, ...]:
        """A whole number for each of ``count`` dimensions, or one for all."""
        value = self.get(*keys, default=default)
        values = value if isinstance(value, list | tuple) else [value]
        values = list(values) * count if len(values) == 1 else list(values)
        if len(values) != count:
            raise self.wrong(keys, value, f"{count} whole numbers")
        return tuple(Fields(self.where, {keys[0]: one}).whole(keys[0], least=least) for one in values)

    def wrong(self, keys: Sequence[str], value: Any, expected: str) -> ConfigError:
        """The refusal of a value."""
        return ConfigError(
            f"{self.where}: {keys[0]}", found=_short(value), expected=expected,
            remedy="the file is damaged: save the model again",
        )  # fmt: skip


@contextmanager
def reading(where: str) -> Iterator[None]:
    """Whatever a damaged configuration makes of the code that walks it is a refusal of that configuration."""
    try:
        yield
    except PorterError:
        raise
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, ArithmeticError, RecursionError) as error:
        raise ConfigError(
            f"{where}: the configuration is damaged",
            found=f"{type(error).__name__}: {_short(error)}",
            expected="what Keras 1 or 2 wrote",
            remedy="save the model again with the version of Keras that made it",
        ) from error


def _short(value: Any) -> str:
    text = str(value) if isinstance(value, Exception) else repr(value)
    return text if len(text) <= 120 else f"{text[:117]}..."
