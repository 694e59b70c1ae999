"""Signatures that help() and completion in a terminal show, for methods typed by `Unpack`."""

from collections.abc import Callable, Mapping
from inspect import Parameter, Signature, signature
from typing import Any, TypeVar, get_type_hints

Function = TypeVar("Function", bound=Callable[..., Any])


def with_arguments(listing: type, defaults: Mapping[str, Any]) -> Callable[[Function], Function]:
    """Show the keyword arguments of a listing in the place of a function's `**`.

    Args:
        listing: A TypedDict, the names and types of the arguments.
        defaults: Default of each argument; None where there is none.
    """

    def show(function: Function) -> Function:
        own = [p for p in signature(function).parameters.values() if p.kind is not p.VAR_KEYWORD]
        listed = [
            Parameter(name, Parameter.KEYWORD_ONLY, default=defaults.get(name), annotation=hint)
            for name, hint in get_type_hints(listing).items()
        ]
        returned = signature(function).return_annotation
        shown = Signature([*own, *listed], return_annotation=returned)
        function.__signature__ = shown  # type: ignore[attr-defined]  # inspect looks for it
        return function

    return show
