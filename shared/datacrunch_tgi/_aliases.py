"""What the frameworks' users say to a model or a call, in the API's terms. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any, cast

from datacrunch_tgi._errors import ArgumentError
from datacrunch_tgi._protocol._parameters import Parameters
from datacrunch_tgi._settings import Settings
from datacrunch_tgi._validation import shown, to_python

PARAMETERS = tuple(Parameters.__annotations__)
SETTINGS = tuple(item.name for item in fields(Settings))
ALIASES = {"max_tokens": "max_new_tokens", "timeout": "first_token_timeout"}
"""What the frameworks' users call a parameter or setting, and its name here."""

SECRET = {"api_key", "client_certificate", "headers", "proxy"}
"""Settings that no call can have: the frameworks show a call's arguments to tracers."""


def to_parameters(given: Mapping[str, Any]) -> Parameters:
    """What the frameworks' users mean, in the API's terms; what is not set is left out.

    `temperature=0` is greedy; a `top_p` or `typical_p` of 1 keeps every token, and servers refuse it;
    `details` is on unless it is turned off, because usage and finish reason come from it.
    """
    meant = {name: value for name, value in given.items() if value is not None}
    if meant.get("temperature") == 0:
        for name in ("temperature", "do_sample", "top_k", "top_p", "typical_p"):
            meant.pop(name, None)
    for name in ("top_p", "typical_p"):
        if meant.get(name) == 1:
            del meant[name]
    if not meant.get("stop", True):
        del meant["stop"]
    return {"details": True, **meant}  # type: ignore[typeddict-item]  # the names were checked


def refuse_secrets(names: Iterable[str]) -> None:
    """Refuse what a call must not have, since tracers are told of it.

    Raises:
        ArgumentError: It is a secret.
    """
    for name in SECRET.intersection(names):
        raise ArgumentError(name, "is for the model: tracers are told what a call is given")


def resolve_aliases(given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments under their names here, without settings that are None, which are not set.

    Raises:
        ArgumentError: An argument is given under both names, with two values.
    """
    names = {name: to_python(value) for name, value in given.items()}
    for alias, name in ALIASES.items():
        if alias in names:
            value = names.pop(alias)
            if names.get(name) is None:
                names[name] = value
            elif value not in (None, names[name]):
                raise ArgumentError(alias, f"means {name}, which is given too", value=repr(value))
    if "stop" in names:
        names["stop"] = as_list(names["stop"])
    return {
        name: value for name, value in names.items() if not (value is None and name in SETTINGS)
    }


def as_list(stop: object) -> Sequence[str]:
    """Return stop strings as a list; a string alone is one of them.

    Raises:
        ArgumentError: It is neither a string nor a list.
    """
    if isinstance(stop, bytes) or not isinstance(stop, Sequence | None):
        raise ArgumentError("stop", "must be a list of strings", value=shown(stop))
    return [stop] if isinstance(stop, str) else cast("Sequence[str]", stop or ())
