"""What MkDocs adds to the pages: what is generated from the code, and formulas as MathML.

A page says ``<!-- generated: NAME -->`` where one of ``GENERATED`` goes, and writes formulas as GitHub does: between
lines of ``$$``, or within a line between ``$``` and ```$``.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent

PLACE = re.compile(r"<!-- generated: (\w+) -->")
DISPLAY = re.compile(r"^\$\$\n(.+?)\n\$\$$", re.MULTILINE | re.DOTALL)
BAR = '<mo stretchy="false">&#x0007C;</mo>'
INLINE = re.compile(r"\$`(.+?)`\$")


def on_config(config: Any) -> Any:
    """The code beside the pages is what they describe, whatever is installed."""
    sys.path.insert(0, str(HERE.parent))
    return config


def on_page_markdown(markdown: str, **_: Any) -> str:
    """MkDocs calls this for every page."""
    text = PLACE.sub(lambda match: "\n".join(GENERATED[match[1]]()), markdown)
    text = DISPLAY.sub(lambda match: _mathml(match[1], "block"), text)
    return INLINE.sub(lambda match: _mathml(match[1], "inline"), text)


def _mathml(formula: str, display: str) -> str:
    from latex2mathml.converter import convert

    text = convert(formula.strip(), display=display).replace(BAR, f'{BAR[:3]} lspace="0" rspace="0"{BAR[3:]}')
    # Markdown takes a line that begins with <math> for the end of a paragraph.
    return f"<span>{text}</span>" if display == "inline" else text


def finding_codes() -> Iterator[str]:
    """A section for each finding code; one without a text, and a text without a code, stop the build."""
    from porter.codes import CODES

    texts = tomllib.loads((HERE / "findings.toml").read_text(encoding="utf-8"))
    if texts.keys() != CODES.keys():
        raise KeyError(f"docs/findings.toml and porter.codes differ in {sorted(texts.keys() ^ CODES.keys())}")
    for code, meaning in CODES.items():
        text = texts[code]
        yield f"### `{code}` {{ #{code} }}\n\n*{meaning[0].upper()}{meaning[1:]}.*"
        if text.get("reserved", False):
            yield "\nReserved: no network that can be read today has such a layer."
        yield f"\n- **How it comes about.** {text['cause']}\n- **Remedy.** {text['remedy']}\n"


def accuracy() -> Iterator[str]:
    """The measured constants of the elementary functions."""
    from reference.rounding.constants import ACCURACY

    yield "| function | float32 | float64 | float16, bfloat16 |"
    yield "|---|---|---|---|"
    for name in ACCURACY["float32"]:
        cells = (_constants(ACCURACY[kind][name]) for kind in ("float32", "float64", "bfloat16"))
        yield f"| `{name}` | {' | '.join(cells)} |"


def _constants(accuracy: Any) -> str:
    parts = (
        f"{value:g}{factor}"
        for value, factor in ((accuracy.relative, " g"), (accuracy.argument, " x"), (accuracy.absolute, ""))
        if value
    )
    return " + ".join(parts) or "0"


def measurements() -> Iterator[str]:
    """Where the constants were measured."""
    from porter.ports.runtime import BACKENDS
    from reference.rounding.constants import MEASURED

    for each in MEASURED:
        name, keras = BACKENDS.get(each.backend, each.backend), f", Keras {each.keras}" if each.keras else ""
        yield (
            f"- {name} {each.version}{keras}, {each.device.upper()}, {each.processor}; "
            f"{', '.join(each.formats)}; by {', '.join(each.paths)}"
        )


def deviations() -> Iterator[str]:
    """The known inaccuracies of the platform."""
    from reference.rounding.constants import PLATFORM_DEVIATIONS

    yield "| activation | dtype | relative error | why |"
    yield "|---|---|---|---|"
    for (name, kind), (factor, reason) in PLATFORM_DEVIATIONS.items():
        yield f"| `{name}` | {kind} | {factor:.2g} | {reason} |"


def recipe_keys() -> Iterator[str]:
    """Every key of a recipe, as the schema has it."""
    from porter.formats.recipe import (
        BoundsRecipe,
        ClampRecipe,
        EnsembleRecipe,
        LayerRecipe,
        RawRecipe,
        Recipe,
        ScalingRecipe,
        TransformsRecipe,
    )  # fmt: skip
    from porter.formats.recipe_activations import RationalRecipe, TableRecipe
    from porter.formats.recipe_ends import EndRecipe

    yield "| key | needed | meaning |"
    yield "|---|---|---|"
    for prefix, model in (("", Recipe), ("layers.", LayerRecipe), ("layers.activation.", RationalRecipe),
                          ("layers.table.", TableRecipe), ("scaling.", ScalingRecipe),
                          ("scaling.input.", EndRecipe), ("scaling.output.", EndRecipe),
                          ("transforms.", TransformsRecipe), ("bounds.", BoundsRecipe), ("bounds.input.", ClampRecipe),
                          ("ensemble.", EnsembleRecipe), ("raw.", RawRecipe)):  # fmt: skip
        meanings = _attributes(model.__doc__ or "")
        for name, field in model.model_fields.items():
            yield f"| `{prefix}{name}` | {'yes' if field.is_required() else 'no'} | {meanings[name]} |"


def _attributes(docstring: str) -> dict[str, str]:
    found = re.findall(r"^ {8}(\w+): (.+(?:\n {12}.+)*)", docstring, re.MULTILINE)
    return {name: re.sub(r"\s+", " ", text) for name, text in found}


def activations() -> Iterator[str]:
    """Every activation with its formula, its parameters and its other names."""
    import inspect

    from porter.network.activations import ALIASES
    from reference.activations import BY_COEFFICIENTS, FUNCTIONS
    from reference.rational import KEYS

    yield "| name | also | parameters | formula and source |"
    yield "|---|---|---|---|"
    for name, function in {**FUNCTIONS, **BY_COEFFICIENTS}.items():
        also = ", ".join(f"`{alias}`" for alias, target in ALIASES.items() if target == name)
        known = KEYS if name in BY_COEFFICIENTS else list(inspect.signature(function).parameters)[1:]
        parameters = ", ".join(f"`{each}`" for each in known)
        formula = (
            re.sub(r"\s+", " ", (inspect.getdoc(function) or "").partition("Raises:")[0].strip())
            .replace("|", "\\|")
            .replace("*", "\\*")
        )
        yield f"| `{name}` | {also} | {parameters} | {formula} |"


GENERATED = {
    "finding_codes": finding_codes,
    "accuracy": accuracy,
    "measurements": measurements,
    "deviations": deviations,
    "recipe_keys": recipe_keys,
    "activations": activations,
}
