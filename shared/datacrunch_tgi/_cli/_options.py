"""Options of a command, made from a list of names, types and descriptions. Pure.

Parameters and settings are declared once, in `Parameters` and `Settings`. A new one there becomes an
option here, with its type, description and default.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, cast, get_args, get_origin, get_type_hints

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from datacrunch_tgi._aliases import ALIASES
from datacrunch_tgi._protocol._parameters import ParameterFields, Parameters
from datacrunch_tgi._settings import SettingsArguments, SettingsFields

NOT_OPTIONS = ("max_connections", "tokenizer")
"""Settings that have no use for a single request from a terminal."""
PARAMETERS = (*ParameterFields.model_fields, "extra_parameters")
SETTINGS = tuple(name for name in SettingsFields.model_fields if name not in NOT_OPTIONS)
_WITH_VARIABLE = ("base_url", "model")
"""Settings whose default comes from an environment variable, if it is set."""

_SINGULAR = {"headers": "header", "answers": "answer", "columns": "column"}
"""An option that may be repeated is named after one of its values."""
_ONLY_HERE = {
    "api_key": "Prefer the variable: other users can see this option in the process list.",
    "client_certificate": "Repeat the option for several files.",
    "columns": "May be repeated.",
    "headers": "May be repeated.",
    "proxy": "Prefer the variable if the URL contains a password.",
    "stop": "May be repeated.",
}
"""Help that only users of a terminal need."""

_CHAT = {
    "system": "Text of the system message.",
    "chat_template": (
        "Chat template: a name (llama-2, chatml, …), the path of a file or of the model's folder, or "
        "Jinja text. Default: by the model's name, or else by the name that the server reports."
    ),
}


class Option(click.Option):
    """An option that belongs to a section of the help."""

    def __init__(self, *names: str, section: str, **attributes: Any) -> None:
        super().__init__(names, **attributes)
        self.section = section


def option_name(name: str) -> str:
    """Return the option for the name of a parameter or setting."""
    return "--" + _SINGULAR.get(name, name).replace("_", "-")


def listed_option(
    name: str, hint: object, *, section: str, description: str, default: object = None
) -> Option:
    """Make an option; its value is None if it is not passed and has no default.

    Args:
        name: Name of the value, from which the option's name is made.
        hint: Type of the value.
        section: Section of the help.
        description: Text of the help.
        default: Default value, if the help can show it.

    Raises:
        TypeError: Options of that type are not supported.
    """
    option, attributes = option_name(name), _by_type(hint)
    aliases = [option_name(alias) for alias, of in ALIASES.items() if of == name]
    if attributes.get("type") is click.BOOL:
        option = f"{option}/--no-{option.removeprefix('--')}"
    if default is not None:
        attributes |= {"default": default, "show_default": True}
    return Option(*aliases, option, name, section=section, help=description, **attributes)


def field_options(
    fields: type[BaseModel], arguments: type, *, section: str, names: Iterable[str] = ()
) -> Iterator[Option]:
    """Make an option for each field of a list.

    Args:
        fields: The list, with descriptions and defaults.
        arguments: The same fields with the types that are accepted.
        section: Section of the help.
        names: The fields to make options for. Default: all.
    """
    hints = get_type_hints(arguments)
    for name in names or fields.model_fields:
        field = fields.model_fields[name]
        yield listed_option(
            name,
            hints[name],
            section=section,
            description=_described(name, field),
            default=None if name in _WITH_VARIABLE else field.default,
        )


def parameter_options() -> Iterator[Option]:
    """Make an option for each generation parameter, and one for those of newer servers."""
    yield from field_options(ParameterFields, Parameters, section="Parameters")
    yield listed_option(
        "extra_parameters",
        Mapping[str, Any] | None,
        section="Parameters",
        description="More parameters, for newer servers; sent unchecked.",
    )


def chat_options() -> Iterator[Option]:
    """Make the options of a chat."""
    for name, description in _CHAT.items():
        yield listed_option(name, str, section="Chat", description=description)


def chat_flag() -> Option:
    """Make the option that puts a prompt into the model's chat template."""
    description = "Send the prompt as a user's message, in the model's chat template."
    return Option("--chat", section="Chat", is_flag=True, help=description)


def setting_options() -> Iterator[Option]:
    """Make an option for each setting that is useful in a terminal."""
    return field_options(SettingsFields, SettingsArguments, section="Settings", names=SETTINGS)


def given(options: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Return the values of the named options that were passed or have a default."""
    return {name: options[name] for name in names if options[name] is not None}


def _described(name: str, field: FieldInfo) -> str:
    """Return the help of an option: what its field says, and what only users of a terminal need."""
    description = " ".join((field.description or "").split())
    description = re.sub(
        r" `\w+` is accepted too\.", "", description
    )  # the option shows both names
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
    """Parse NAME=VALUE. No error shows the value, which may be a secret."""
    if not all("=" in pair for pair in pairs):
        raise click.BadParameter("it must be NAME=VALUE", ctx, option)
    return {name: value for name, _, value in (pair.partition("=") for pair in pairs)} or None


def _json(ctx: click.Context, option: click.Parameter, text: str | None) -> object:
    """Parse a JSON object. Its content is checked with the other parameters."""
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
    """Return click's arguments for a type; for a union, those of the first supported member."""
    types = {get_origin(member) or member: member for member in _members(hint)}
    for known, attributes in _TYPES.items():
        if known in types:
            return attributes(types[known])
    raise TypeError(f"options of type {hint} are not supported")


def _members(hint: object) -> tuple[object, ...]:
    return get_args(hint) if get_origin(hint) in {Union, UnionType} else (hint,)


def _mapping(hint: object) -> dict[str, Any]:
    if get_args(hint)[1] is str:
        return {"multiple": True, "callback": _by_name, "metavar": "NAME=VALUE"}
    return {"callback": _json, "metavar": "JSON"}


_TYPES: dict[object, Callable[[object], dict[str, Any]]] = {
    # Otherwise a flag that is not passed would be sent as false.
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
