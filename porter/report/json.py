"""A report as JSON, for other programs."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import fields
from importlib import resources
from typing import Any, cast

import numpy as np

from porter.report.model import ReportData

SCHEMA_VERSION = 1
LEFT_OUT = ("pictures", "when")


def render_json(report: ReportData) -> str:
    """The report as strict JSON: the keys are the attributes' names, beside ``schema_version``.

    JSON has no non-finite numbers; they are the strings ``"NaN"``, ``"Infinity"`` and ``"-Infinity"``. What was
    not measured is null. ``pictures`` and ``when`` are left out. The form is that of ``schema()``.
    """
    content = {"schema_version": SCHEMA_VERSION} | _attributes(report)
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def schema() -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of ``render_json``."""
    text = resources.files("porter.report").joinpath("schema.json").read_text(encoding="utf-8")
    return cast("dict[str, Any]", json.loads(text))


def _attributes(record: Any) -> dict[str, Any]:
    return {item.name: plain(getattr(record, item.name)) for item in fields(record) if item.name not in LEFT_OUT}


def plain(value: Any) -> Any:
    """The value in JSON's own types; what has no counterpart there becomes its text."""
    if hasattr(value, "__dataclass_fields__"):
        return _attributes(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return _number(value)
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def _number(value: float) -> float | str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return value
