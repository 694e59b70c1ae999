"""Spellings that the clients, both frameworks' models and the command line accept. Pure."""

import struct
from collections.abc import Mapping, Sequence
from typing import Any, cast

from datacrunch_tgi._errors import ArgumentError
from datacrunch_tgi._validation import shown, to_python

ALIASES = {"max_tokens": "max_new_tokens", "timeout": "first_token_timeout"}
"""Other names of a parameter or setting."""


def resolve_aliases(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments by their canonical names; a single stop string becomes a list.

    Raises:
        ArgumentError: An argument is passed under both names with two values.
    """
    names = {name: to_python(value) for name, value in given.items()}
    for alias, name in ALIASES.items():
        if alias in names:
            value = names.pop(alias)
            if names.get(name) is None:
                names[name] = value
            elif value not in (None, names[name]):
                raise ArgumentError(alias, f"cannot be combined with {name}", value=repr(value))
    if "stop" in names:
        names["stop"] = as_list(names["stop"])
    return names


class SpelledAsGiven:
    """Context in which errors name an argument as it was passed."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self._given = given

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if not isinstance(error, ArgumentError):
            return
        for alias, name in ALIASES.items():
            if error.field == name and alias in self._given and name not in self._given:
                raise ArgumentError(alias, error.rule, value=error.value) from None


def to_parameters(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters as the API spells them, without those that are None.

    `temperature=0` means greedy decoding, so sampling parameters are dropped. `top_p=1` and
    `typical_p=1` keep every token and are dropped, because servers refuse them. An empty list of stop
    strings is dropped too.
    """
    parameters = {name: value for name, value in given.items() if value is not None}
    if "temperature" in parameters and float32(parameters["temperature"]) == 0:
        for name in ("temperature", "do_sample", "top_k", "top_p", "typical_p"):
            parameters.pop(name, None)
    for name in ("top_p", "typical_p"):
        if name in parameters and float32(parameters[name]) == 1:
            del parameters[name]
    if not parameters.get("stop", True):
        del parameters["stop"]
    return parameters


def float32(value: float) -> float:
    """Round a number to a 32-bit float, as servers do."""
    try:
        return float(struct.unpack("f", struct.pack("f", value))[0])
    except OverflowError:
        return float("inf")


def as_list(stop: object) -> Sequence[str]:
    """Return stop strings as a list; a single string becomes a list of one.

    Raises:
        ArgumentError: It is neither a string nor a list.
    """
    stop = to_python(stop)
    if isinstance(stop, bytes) or not isinstance(stop, Sequence | None):
        raise ArgumentError("stop", "must be a list of strings", value=shown(stop))
    return [stop] if isinstance(stop, str) else cast("Sequence[str]", stop or ())
