"""Signatures and docstrings for help() and completion, generated from lists of arguments.

Type checkers and editors read the `Unpack[TypedDict]`; help() and IPython read the signatures and
docstrings that are set here.
"""

import re
from collections.abc import Callable, Mapping
from inspect import Parameter, Signature, signature
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel
from pydantic.fields import FieldInfo

Function = TypeVar("Function", bound=Callable[..., Any])
Class = TypeVar("Class", bound=type)

_LINE = 150
"""Longest line of an argument, in characters; sentences beyond it are left out."""


def with_arguments(
    listing: type, defaults: Mapping[str, Any], *, closed: bool = True
) -> Callable[[Function], Function]:
    """Replace `**` in a function's signature by the keyword arguments of a TypedDict.

    Args:
        listing: TypedDict with the names and types of the arguments.
        defaults: Default of each argument; None for those that are missing.
        closed: Whether there are no others. If False, `**` is kept too: LlamaIndex's spans bind the
            arguments of a call to its signature.
    """
    listed = [
        Parameter(name, Parameter.KEYWORD_ONLY, default=defaults.get(name), annotation=_Plain(hint))
        for name, hint in get_type_hints(listing).items()
    ]

    def show(function: Function) -> Function:
        shown = signature(function)
        own = [_plainly(parameter) for parameter in shown.parameters.values()]
        names = {parameter.name for parameter in own}
        arguments = [
            *(p for p in own if p.kind is not Parameter.VAR_KEYWORD),
            *(p for p in listed if p.name not in names),
            *(p for p in own if p.kind is Parameter.VAR_KEYWORD and not closed),
        ]
        function.__signature__ = Signature(  # type: ignore[attr-defined]  # inspect looks for it
            arguments, return_annotation=_Plain(shown.return_annotation)
        )
        return function

    return show


def _plainly(parameter: Parameter) -> Parameter:
    """Return a parameter with its type as people write it."""
    if parameter.annotation is Parameter.empty:
        return parameter
    extra = parameter.kind is Parameter.VAR_KEYWORD  # an `Unpack[...]`, whose arguments are listed
    return parameter.replace(annotation=_Plain(Any if extra else parameter.annotation))


class _Plain:
    """A type whose repr is what people write, without modules."""

    def __init__(self, hint: Any) -> None:
        self._text = _plain(hint)

    def __repr__(self) -> str:
        return self._text


def with_documented_fields(listing: type, *models: type[BaseModel]) -> Callable[[Class], Class]:
    """Replace `**` in a class's docstring by one line for each argument.

    Args:
        listing: TypedDict with the types of the arguments.
        *models: Models that have a field for each argument.
    """
    hints = get_type_hints(listing)
    fields = {name: field for model in models for name, field in model.model_fields.items()}
    lines = [
        f"{name} ({_plain(hints[name])}): {_summary(fields[name])}"
        for name in fields
        if name in hints and fields[name].description
    ]

    def document(documented: Class) -> Class:
        match = re.search(r"(?m)^( *)\*\*\w+:.*(\n\1 +.*)*$", documented.__doc__ or "")
        if match:  # docstrings are missing under python -OO
            text = "\n".join(f"{match[1]}{line}" for line in lines)
            documented.__doc__ = documented.__doc__.replace(match[0], text)  # type: ignore[union-attr]
        return documented

    return document


def _plain(hint: Any) -> str:
    """Return a type as people write it."""
    if get_origin(hint) in {Union, UnionType}:
        return " | ".join(_plain(member) for member in get_args(hint) if member is not type(None))
    if get_args(hint) or not hasattr(hint, "__name__"):
        return re.sub(r"\b(\w+\.)+", "", str(hint))
    return str(hint.__name__)


def _summary(field: FieldInfo) -> str:
    """Return the first sentence of a field's description, and more sentences if they fit."""
    sentences = re.split(r"(?<=\.) (?=[A-Z0-9\"`])", " ".join((field.description or "").split()))
    if not any(sentence.startswith(("Default", "Server default")) for sentence in sentences):
        default = field.get_default(call_default_factory=True)
        sentences.insert(1, f"Default: {default!r}.")
    summary = sentences[0]
    for sentence in sentences[1:]:
        if len(summary) + len(sentence) < _LINE:
            summary += f" {sentence}"
    return summary
