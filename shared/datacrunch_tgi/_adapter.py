"""What the models of both frameworks have in common: their fields, their clients, their parameters.

No framework is imported here. A model inherits from `Endpoint` and then from its framework's class.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast, get_type_hints

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    create_model,
    model_validator,
)

from datacrunch_tgi._client import AsyncClient, Client
from datacrunch_tgi._errors import ArgumentError
from datacrunch_tgi._fields import refuse_unknown
from datacrunch_tgi._parameters import Parameters, check_parameters
from datacrunch_tgi._settings import Settings

PARAMETERS = tuple(Parameters.__annotations__)
SETTINGS = tuple(item.name for item in fields(Settings))
ALIASES = {"max_tokens": "max_new_tokens"}
"""What the frameworks' users call a parameter, and its name in the API."""

_NOT_DUMPED = {"api_key", "client_certificate", "headers", "proxy", "tokenizer"}
"""Settings that no dump of a model holds: secrets, and what is no data."""

Model = TypeVar("Model", bound=BaseModel)


def _with_listed_fields(model: type[Model]) -> type[Model]:
    """Add every setting and parameter to a model, as `Settings` and `Parameters` list them."""
    settings = get_type_hints(Settings, include_extras=True) | {"api_key": SecretStr | None}
    listed: dict[str, Any] = {}
    for item in fields(Settings):
        secret = item.name in _NOT_DUMPED
        listed[item.name] = (
            settings[item.name],
            Field(item.default, exclude=secret or None, repr=not secret),
        )
    # The frameworks' users may say more than the API (see `translated`), so values are checked elsewhere.
    annotations = get_type_hints(Parameters, include_extras=True)
    for name, plain in get_type_hints(Parameters).items():
        (about,) = annotations[name].__metadata__
        listed[name] = (plain, Field(None, description=about.description))
    return create_model(
        model.__name__, __base__=model, __module__=model.__module__, __doc__=model.__doc__, **listed
    )


@_with_listed_fields
class Endpoint(BaseModel):
    """A model behind an endpoint: every setting of `Settings`, every parameter of `Parameters`.

    Parameters that are fields hold for every call; those of a call stand over them.
    """

    model_config = ConfigDict(
        arbitrary_types_allowed=True, hide_input_in_errors=True, protected_namespaces=()
    )

    extra_parameters: dict[str, Any] = Field(
        default_factory=dict, description="Sent unchecked beside the parameters, for newer servers."
    )
    _clients: tuple[list[Any], Client, AsyncClient] | None = PrivateAttr(default=None)

    if TYPE_CHECKING:  # the listed fields are added at run time

        def __getattr__(self, name: str) -> Any: ...

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """Show what is set."""
        for name, value in super().__repr_args__():
            if value not in (None, {}, []):
                yield name, value

    @model_validator(mode="before")
    @classmethod
    def _check_given(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        given = cast("Mapping[str, Any]", given)
        aliases = [info.alias for info in cls.model_fields.values() if info.alias]
        refuse_unknown(given, [*ALIASES, *cls.model_fields, *aliases])
        given = _renamed(given)
        meant = translated({name: given[name] for name in PARAMETERS if name in given})
        check_parameters(meant, streaming=False)
        return given

    @model_validator(mode="after")
    def _resolve_settings(self) -> Self:
        for name in SETTINGS:  # as resolved from the environment
            setattr(self, name, getattr(self.client, name))
        return self

    @property
    def client(self) -> Client:
        """The client for threads, with this model's settings."""
        return self._connected()[1]

    @property
    def async_client(self) -> AsyncClient:
        """The client for event loops, with this model's settings."""
        return self._connected()[2]

    def parameters(
        self, call: Mapping[str, Any], stop: Sequence[str] | str | None = None
    ) -> Parameters:
        """The parameters of one call: the model's, the call's over them, and all stop strings of both.

        Raises:
            ArgumentError: The call names a parameter that there is not.
        """
        model = self.for_call(call, stop)
        return translated({name: getattr(model, name) for name in PARAMETERS})

    def for_call(self, call: Mapping[str, Any], stop: Sequence[str] | str | None = None) -> Self:
        """A copy of this model, on the same connections, whose own parameters are those of one call.

        Raises:
            ArgumentError: The call names a parameter that there is not.
        """
        refuse_unknown(call, {*PARAMETERS, *ALIASES})
        given = _renamed(call)
        stops = [*(self.stop or ()), *(given.get("stop") or ()), *_texts(stop)]
        return self.model_copy(update=given | {"stop": stops or None})

    def _connected(self) -> tuple[list[Any], Client, AsyncClient]:
        settings = {name: getattr(self, name) for name in SETTINGS}
        if self._clients is None or self._clients[0] != list(settings.values()):
            client, async_client = Client(**settings), AsyncClient(**settings)
            self._clients = ([getattr(client, name) for name in SETTINGS], client, async_client)
        return self._clients


def translated(given: Mapping[str, Any]) -> Parameters:
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


def _renamed(given: Mapping[str, Any]) -> dict[str, Any]:
    renamed = dict(given)
    for alias, name in ALIASES.items():
        if alias in renamed:
            value = renamed.pop(alias)
            if renamed.setdefault(name, value) != value:
                raise ArgumentError(alias, f"means {name}, which is given too", value=repr(value))
    if "stop" in renamed:
        renamed["stop"] = _texts(renamed["stop"])
    return renamed


def _texts(stop: Sequence[str] | str | None) -> Sequence[str]:
    return [stop] if isinstance(stop, str) else stop or ()  # one text, not its letters
