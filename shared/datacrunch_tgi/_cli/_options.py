"""Options of a command, made from a listing of names, types and descriptions. Pure.

Parameters and settings are listed once, in `Parameters` and `Settings`; a new one there is an option
here, with its type, its description and its default.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, cast, get_args, get_origin, get_type_hints

import click
from pydantic.fields import FieldInfo

from datacrunch_tgi._protocol._parameters import ParameterFields, Parameters
from datacrunch_tgi._settings import SettingsArguments, SettingsFields

NOT_OPTIONS = ("max_connections", "tokenizer")
"""Settings that mean nothing to one request from a terminal."""
PARAMETERS = (*ParameterFields.model_fields, "extra_parameters")
SETTINGS = tuple(name for name in SettingsFields.model_fields if name not in NOT_OPTIONS)
_WITH_VARIABLE = ("base_url", "model")
"""Settings whose default is a variable, before it is what the listing says."""

_SINGULAR = {"headers": "header", "answers": "answer"}
"""An option that may be repeated is named after one of its values."""
_ONLY_HERE = {
    "api_key": "Prefer the variable: a list of processes shows this to others.",
    "client_certificate": "For several files repeat the option.",
    "headers": "May be repeated.",
    "proxy": "With a password prefer the variable.",
    "stop": "May be repeated.",
}
"""What the listings do not say, since only a user of a terminal has to know it."""


class Option(click.Option):
    """An option with the section of the help that it stands in."""

    def __init__(self, *names: str, section: str, **about: Any) -> None:
        super().__init__(names, **about)
        self.section = section


def option_name(name: str) -> str:
    """Return what an entry of a listing is called on the command line."""
    return "--" + _SINGULAR.get(name, name).replace("_", "-")


def listed_option(
    name: str, hint: object, *, section: str, description: str, default: object = None
) -> Option:
    """Make the option of one entry; its value is None where it is not given and has no default.

    Args:
        name: The entry's name, and that of the value.
        hint: The entry's type.
        section: The section of the help.
        description: The help.
        default: What holds where it is not given, if the help can tell.

    Raises:
        TypeError: No option can have that type.
    """
    option, about = option_name(name), _by_type(hint)
    if about.get("type") is click.BOOL:
        option = f"{option}/--no-{option.removeprefix('--')}"
    if default is not None:
        about |= {"default": default, "show_default": True}
    return Option(option, name, section=section, help=description, **about)


def parameter_options() -> Iterator[Option]:
    """Make an option of every parameter of a generation, and one for those of newer servers."""
    hints = get_type_hints(Parameters)
    for name, field in ParameterFields.model_fields.items():
        yield listed_option(name, hints[name], section="Parameters", description=_help(name, field))
    yield listed_option(
        "extra_parameters",
        Mapping[str, Any] | None,
        section="Parameters",
        description="Sent unchecked beside the others, for newer servers.",
    )


def setting_options() -> Iterator[Option]:
    """Make an option of every setting that means something at a terminal."""
    hints = get_type_hints(SettingsArguments)
    for name in SETTINGS:
        field = SettingsFields.model_fields[name]
        yield listed_option(
            name,
            hints[name],
            section="Settings",
            description=_help(name, field),
            default=None if name in _WITH_VARIABLE else field.default,
        )


def given(options: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Return those of the options' values that were given or have a default."""
    return {name: options[name] for name in names if options[name] is not None}


def _help(name: str, about: FieldInfo) -> str:
    description = " ".join((about.description or "").split())
    return " ".join(filter(None, (description, _ONLY_HERE.get(name))))


def _several(_: click.Context, __: click.Parameter, values: Sequence[str]) -> list[str] | None:
    return list(values) or None


def _one_or_several(
    _: click.Context, __: click.Parameter, values: Sequence[str]
) -> str | tuple[str, ...] | None:
    return values[0] if len(values) == 1 else tuple(values) or None


def _by_name(
    ctx: click.Context, option: click.Parameter, pairs: Sequence[str]
) -> dict[str, str] | None:
    """Read NAME=VALUE; a value may be secret, so no error shows it."""
    if not all("=" in pair for pair in pairs):
        raise click.BadParameter("it must be NAME=VALUE", ctx, option)
    return {name: value for name, _, value in (pair.partition("=") for pair in pairs)} or None


def _json(ctx: click.Context, option: click.Parameter, text: str | None) -> object:
    """Read an object in JSON; whether it says what it may is checked with all other parameters."""
    if text is None:
        return None
    try:
        value = json.loads(text)
    except ValueError as error:
        raise click.BadParameter(f"it is not JSON: {error}", ctx, option) from None
    if not isinstance(value, dict):
        raise click.BadParameter("it must be an object: {…}", ctx, option)
    return cast("object", value)


def _by_type(hint: object) -> dict[str, Any]:
    """What click has to know of a value, by its type; of a union, the first that is known here."""
    types = {get_origin(member) or member: member for member in _members(hint)}
    for known, about in _TYPES.items():
        if known in types:
            return about(types[known])
    raise TypeError(f"no option can be of type {hint}")


def _members(hint: object) -> tuple[object, ...]:
    return get_args(hint) if get_origin(hint) in {Union, UnionType} else (hint,)


def _mapping(hint: object) -> dict[str, Any]:
    if get_args(hint)[1] is str:
        return {"multiple": True, "callback": _by_name, "metavar": "NAME=VALUE"}
    return {"callback": _json, "metavar": "JSON"}


_TYPES: dict[object, Callable[[object], dict[str, Any]]] = {
    # Without this a flag that is not given would be off, and sent.
    bool: lambda _: {"type": click.BOOL, "default": None},
    int: lambda _: {"type": click.INT},
    float: lambda _: {"type": click.FLOAT},
    tuple: lambda _: {"multiple": True, "callback": _one_or_several, "metavar": "FILE"},
    Sequence: lambda _: {"multiple": True, "callback": _several},
    Mapping: _mapping,
    Literal: lambda hint: {"type": click.Choice(get_args(hint))},
    Path: lambda _: {"metavar": "FOLDER"},
    str: lambda _: {},
}
