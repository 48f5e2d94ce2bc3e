"""Activations that a file itself names, in attributes of its arrays, of their groups, or of the whole."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from porter.errors import StoredTypeError, UnknownActivationError
from porter.network import Claim
from porter.network.activations import parse_activation

BY_THE_FILE = "declared by the file"
_NAME = re.compile(
    r"(?:(hidden)|(output|out|final|last))?(?:layers?)?"
    r"(?:activation|act|nonlinearity|(activations|acts|nonlinearities)"
    r"|(?:activation|act|nonlinearity|transfer)(?:function|func|fun|fcn|fn)(s?))(\d*)"
)
"""Of an attribute that names activations: of which layers, whether of several, and the number at its end."""
_TABLE = re.compile(r"(model|net|network)?(config|configuration|metadata|meta|h?params|hyperparam(eter)?s|settings)")
"""Of an attribute whose text may be a table in JSON, and of a group that says something of the whole file."""
LONGEST = 10_000
"""Characters of a text that is taken for spellings of activations."""
_BETWEEN = re.compile(r"[,;|\s]+(?![^(]*\))")


def _plain(name: str) -> str:
    """The last word of an attribute's full name, in small letters and digits alone: ``transferFcn``, ``act_fn``."""
    return re.sub(r"[^a-z0-9]", "", name.rpartition("@")[2].lower())


def names_activations(name: str) -> bool:
    """Whether an attribute of that full name is one of activations."""
    return _NAME.fullmatch(_plain(name)) is not None


def _is_table(name: str) -> bool:
    return _TABLE.fullmatch(_plain(name)) is not None


def may_name_activations(name: str) -> bool:
    """Whether an attribute of that full name may be one of activations, in whatever words, or a table with them."""
    hints = HINTS["activation"].search(name.rpartition("@")[2].lower()) is not None
    return hints or names_activations(name) or _is_table(name)


HINTS = {
    "activation": re.compile(r"activ|nonlin|transfer|squash|(?<![a-z])acts?(?![a-z])"),
    "scaling": re.compile(r"scal|normali[sz]|standardi[sz]|min_?max|z_?score"),
    "orientation": re.compile(r"orient|transpos|layout|major"),
}
"""What the name of an attribute has in it that may say such a convention."""
SILENT = re.compile(r"the files? do(es)? not say|for nothing says it|for neither file nor recipe says it")


def hinting_names(stored: Iterable[str]) -> list[str]:
    """Those of the attributes' full names that may say a convention, in whatever words."""
    return [name for name in stored if any(hint.search(name.rpartition("@")[2].lower()) for hint in HINTS.values())]


def with_hints(claims: Iterable[Claim], attributes: Mapping[str, Any]) -> tuple[Claim, ...]:
    """The claims, none of which says that the file does not say what one of its attributes may say.

    Args:
        claims: of the reading.
        attributes: all that the file has, by full name; None for what was not read.
    """
    names = {kind: [name for name, value in attributes.items() if _may_say(kind, name, value)] for kind in HINTS}
    return tuple(_with_hint(claim, names.get(claim.convention, []), attributes) for claim in claims)


def _may_say(kind: str, name: str, value: Any) -> bool:
    """By its name; a table by its text; and whatever is the name of a function that bends."""
    if HINTS[kind].search(name.rpartition("@")[2].lower()) or (kind == "activation" and names_activations(name)):
        return True
    if _is_table(name) and isinstance(value, str):
        return bool(HINTS[kind].search(value.lower()))
    words = [value] if isinstance(value, str) else value
    texts = isinstance(words, list) and all(isinstance(word, str) for word in words)
    return kind == "activation" and texts and any(_is_known(word) and _bends(word) for word in words)


def _bends(text: str) -> bool:
    return parse_activation(text).name != "linear"


def _with_hint(claim: Claim, names: list[str], attributes: Mapping[str, Any]) -> Claim:
    if claim.evidence != "assumed" or not names or not SILENT.search(claim.detail):
        return claim
    listed = ", ".join(_quoted(name, attributes[name]) for name in names[:3])
    listed += f" and {len(names) - 3} more" if len(names) > 3 else ""
    verb = "is" if len(names) == 1 else "are"
    told = f"the file may say it in its attribute{'s' * (len(names) > 1)} {listed}, which {verb} not understood"
    return replace(claim, detail=SILENT.sub(lambda match: told, claim.detail))


def _quoted(name: str, value: Any) -> str:
    """The name, and what stands there if it was read."""
    text = "" if value is None else repr(value)
    return f"{name!r}" + (f" ({text if len(text) <= 60 else f'{text[:57]}...'})" if text else "")


def said_activations(
    attributes: Mapping[str, Any], kernels: Sequence[str], biases: Sequence[str | None]
) -> list[str | None]:
    """One spelling a layer, None where the file does not say, or says it in two ways.

    What stands at a kernel goes before what stands at its bias, at the groups around it from the inside out, and for
    the whole: a list, texts that bear the numbers of the kernels, and one word for all hidden layers.

    Args:
        attributes: by full name, ``"object@name"``, as ``WeightFile.attributes`` has them.
        kernels: stored names, in order of computation.
        biases: likewise.
    """
    known = _by_slot(attributes)
    around = [_groups(kernel) for kernel in kernels]
    common = [group for group in around[0] if len(kernels) > 1 and all(group in groups for groups in around)]
    tables = [slot.owner for slot in known if slot.owner not in common and _is_table(slot.owner)]
    found: list[str | None] = []
    for kernel, bias, groups in zip(kernels, biases, around, strict=True):
        objects = [kernel.lower(), *([] if bias is None else [bias.lower()]), *groups]
        own = (known.get(_Slot(owner)) for owner in objects if owner not in common)
        found.append(next((words[0] for words in own if words is not None and len(words) == 1), None))
    for owner in dict.fromkeys((*common, "", *tables)):
        found = _first(found, _of_the_whole(known, owner, kernels))
    return found


class _Slot(NamedTuple):
    """What an attribute speaks of: an object's layers, all or those hidden or last, one word or several."""

    owner: str
    of: str = ""
    several: bool = False
    number: int | None = None


_Known = Mapping[_Slot, list[str] | None]


def _by_slot(attributes: Mapping[str, Any]) -> _Known:
    """The spellings of each; None where two attributes say two things of one."""
    found: dict[_Slot, list[str] | None] = {}
    for name, value in _with_tables(attributes):
        match, words = _NAME.fullmatch(_plain(name)), _words(value)
        if match is None or words is None:
            continue
        hidden, output, several, functions, number = match.groups()
        of = "hidden" if hidden else "output" if output else ""
        place = int(number) if number else None
        slot = _Slot(name.lower().rpartition("@")[0], of, bool(several or functions) and place is None, place)
        found[slot] = words if found.get(slot, words) == words else None
    return found


def _first(*rows: Sequence[str | None]) -> list[str | None]:
    """The first that says anything, layer by layer."""
    return [next((text for text in texts if text is not None), None) for texts in itertools.zip_longest(*rows)]


def _with_tables(attributes: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    """The attributes, and the entries of those that are tables in JSON."""
    for name, value in attributes.items():
        yield name, value
        if isinstance(value, str) and value.lstrip().startswith("{") and _is_table(name):
            owner = name[: len(name) - len(name.rpartition("@")[2])]
            yield from ((f"{owner}{key}", entry) for key, entry in (_json(value) or {}).items())


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _words(value: Any) -> list[str] | None:
    """The spellings in a text or a list of texts; None where there are none."""
    if isinstance(value, str) and len(value) > LONGEST:
        return None
    if isinstance(value, str):
        if _is_known(value):
            return [value]
        value = _json(value) if value.lstrip().startswith("[") else _split(value)
    if not isinstance(value, list) or not value or not all(isinstance(word, str) and word.strip() for word in value):
        return None
    return [word.strip() for word in value]


def _split(text: str) -> list[str]:
    """At commas, or at whatever else stands between the names of functions."""
    pieces = [piece for piece in _BETWEEN.split(text) if piece]
    return pieces if all(map(_is_known, pieces)) else text.split(",")


def _is_known(text: str) -> bool:
    try:
        parse_activation(text)
    except UnknownActivationError:
        return False
    return True


def _groups(kernel: str) -> list[str]:
    """The groups around a kernel, the nearest first."""
    return [kernel[: match.start()].lower() for match in re.finditer(r"[./]", kernel)][::-1]


def _of_the_whole(known: _Known, owner: str, kernels: Sequence[str]) -> list[str | None]:
    """One a layer of what stands at an object that has them all."""
    layers = len(kernels)

    def said(of: str, lengths: Collection[int], *, several: Sequence[bool] = (False, True)) -> list[str]:
        every = (known.get(_Slot(owner, of, many)) for many in several)
        return next((words for words in every if words is not None and len(words) in lengths), [])

    either = {layers, layers - 1}
    listed = said("", either - {0}, several=[True]) or said("", either - {0, 1}, several=[False])
    one = said("hidden", {1}) or said("", {1}, several=[False])
    hidden = said("hidden", {layers - 1} - {0}) or one * (layers - 1)
    last = [None] * (layers - 1) + [*said("output", {1}), None][:1]
    return _first(listed, _numbered(known, owner, kernels), hidden, last)


def _numbered(known: _Known, owner: str, kernels: Sequence[str]) -> list[str]:
    """Texts that bear the numbers of all kernels, or of all but the last's: ``act1`` beside ``W1``."""
    said = {
        slot.number: words[0] if words is not None and len(words) == 1 else None
        for slot, words in known.items()
        if slot.owner == owner and slot.number is not None and not slot.of
    }
    numbers = [re.findall(r"\d+", re.sub(r":\d+$", "", kernel))[-1:] for kernel in kernels]
    places = [int(number[0]) for number in numbers if number]
    found = [said.get(place) for place in places[: len(said)]]
    fits = len(set(places)) == len(kernels) and set(said) in (set(places), set(places[:-1]))
    return [text for text in found if text is not None] if fits and None not in found else []


def checked_spelling(where: str, layer: str, text: str) -> str:
    """The same spelling, if it is one that is known.

    Raises:
        StoredTypeError: it is not; the user can say what is meant.
    """
    try:
        parse_activation(text)
    except UnknownActivationError as error:
        raise StoredTypeError(
            f"{where}: the file says the activation of {layer} is {text!r}, which is not known",
            expected=error.expected,
            remedy="say what is meant: --activation",
        ) from error
    return text
