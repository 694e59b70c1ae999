"""What the models of both frameworks have in common: their fields, their clients, their parameters.

No framework is imported here. A model inherits from `Endpoint` and then from its framework's class.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self, TypeVar, cast, get_type_hints

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    PrivateAttr,
    SecretStr,
    TypeAdapter,
    ValidationError,
    ValidatorFunctionWrapHandler,
    create_model,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError
from pydantic_core.core_schema import CoreSchema, no_info_wrap_validator_function

from datacrunch_tgi._aliases import (
    ALIASES,
    PARAMETERS,
    SECRET,
    SETTINGS,
    as_list,
    refuse_secrets,
    resolve_aliases,
    to_parameters,
)
from datacrunch_tgi._client import AsyncClient, Client
from datacrunch_tgi._errors import REDACTED, ArgumentError
from datacrunch_tgi._protocol._call import OnRetry
from datacrunch_tgi._protocol._parameters import Parameters, check_parameters
from datacrunch_tgi._protocol._schema import Answer
from datacrunch_tgi._settings import Settings
from datacrunch_tgi._streams import AsyncStream, Stream
from datacrunch_tgi._validation import refuse_unknown

_NOT_DUMPED = {*SECRET, "tokenizer"}
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


def _validated(given: Any, validate: ValidatorFunctionWrapHandler) -> Any:
    """Validate a model; a refusal holds nothing of what was given, which may be the key."""
    try:
        return validate(given)
    except ValidationError as error:
        refused = [
            InitErrorDetails(
                # The words are filled in last: as a template, pydantic would fill in their own braces.
                type=PydanticCustomError(
                    each["type"],  # pyright: ignore[reportArgumentType]  # it wants literals; these are pydantic's own
                    "{message}",
                    each.get("ctx", {}) | {"message": each["msg"]},
                ),
                loc=each["loc"],
                input=REDACTED,
            )
            for each in error.errors(include_url=False, include_input=False)
        ]
        title = error.title
    raise ValidationError.from_exception_data(title, refused, hide_input=True)


@_with_listed_fields
class Endpoint(BaseModel):
    """A model behind an endpoint: every setting of `Settings`, every parameter of `Parameters`.

    Parameters that are fields hold for every call; those of a call stand over them.
    """

    model_config = ConfigDict(
        arbitrary_types_allowed=True, hide_input_in_errors=True, protected_namespaces=()
    )

    call_arguments: ClassVar[frozenset[str]] = frozenset(
        {*PARAMETERS, *SETTINGS, *ALIASES, "extra_parameters"} - SECRET
    )
    """What a call may have of its own."""

    extra_parameters: dict[str, Any] = Field(
        default_factory=dict, description="Sent unchecked beside the parameters, for newer servers."
    )
    _clients: tuple[dict[str, Any], Client, AsyncClient] | None = PrivateAttr(default=None)
    """The clients, behind the settings that they were made of."""

    if TYPE_CHECKING:  # the listed fields are added at run time

        def __getattr__(self, name: str) -> Any: ...

    def model_post_init(self, context: Any, /) -> None:
        """Let the framework's class do what it does there: pydantic's own would end with this one."""
        super().model_post_init(context)

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """Show what is set."""
        for name, value in super().__repr_args__():
            if value not in (None, {}, []):
                yield name, value

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: Any, handler: GetCoreSchemaHandler, /
    ) -> CoreSchema:
        # Around the validators of every subclass too, and wherever a model is validated.
        return no_info_wrap_validator_function(_validated, handler(source))

    @model_validator(mode="before")
    @classmethod
    def _check_given(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        given = cast("Mapping[str, Any]", given)
        aliases = [info.alias for info in cls.model_fields.values() if info.alias]
        refuse_unknown(given, [*ALIASES, *cls.model_fields, *aliases])
        given = resolve_aliases(given)
        meant = to_parameters({name: given[name] for name in PARAMETERS if name in given})
        check_parameters(meant, streaming=False)
        return given

    @model_validator(mode="after")
    def _resolve_settings(self) -> Self:
        return self._resolved()

    def _resolved(self) -> Self:
        """Have the settings read back as the clients have them."""
        _, client, async_client = self._get_clients()
        resolved = {name: getattr(client, name) for name in SETTINGS}
        vars(self).update(resolved)
        self._clients = (resolved, client, async_client)
        return self

    @property
    def client(self) -> Client:
        """The client for threads, with this model's settings."""
        return self._get_clients()[1]

    @property
    def async_client(self) -> AsyncClient:
        """The client for event loops, with this model's settings."""
        return self._get_clients()[2]

    @property
    def parameters(self) -> Parameters:
        """This model's parameters, in the API's terms."""
        return to_parameters(
            {name: getattr(self, name) for name in PARAMETERS} | {"stop": as_list(self.stop)}
        )

    @property
    def max_tokens(self) -> int | None:
        """What the frameworks call `max_new_tokens`."""
        most: int | None = self.max_new_tokens
        return most

    @max_tokens.setter
    def max_tokens(self, most: int | None) -> None:
        self.max_new_tokens = most

    @property
    def timeout(self) -> float:
        """What the frameworks call `first_token_timeout`, in seconds."""
        seconds: float = self.first_token_timeout
        return seconds

    @timeout.setter
    def timeout(self, seconds: float) -> None:
        self.first_token_timeout = seconds

    def check_kwargs(self, names: Iterable[str]) -> None:
        """Refuse what no call can have.

        Raises:
            ArgumentError: It is not known, or a secret, which tracers would be told.
        """
        refuse_secrets(names)
        refuse_unknown(names, self.call_arguments)

    def with_overrides(
        self, call: Mapping[str, Any], stop: Sequence[str] | str | None = None
    ) -> Self:
        """A copy of this model whose own parameters and settings are those of one call.

        The call's stand over the model's; stop strings and extra parameters are added to them. It has
        the same connections, unless the call changes where they lead.

        Raises:
            ArgumentError: The call has what no call can have, or a setting that breaks its rule.
        """
        self.check_kwargs(call)
        self._get_clients()  # before it is copied, so that every copy has the same clients
        given = resolve_aliases(call)
        for name in given.keys() - {*PARAMETERS, *SETTINGS, "extra_parameters"}:
            given[name] = self._checked_field(name, given[name])
        extra: Any = given.get("extra_parameters") or {}
        if not isinstance(extra, Mapping):
            raise ArgumentError("extra_parameters", "must be a dict", value=repr(extra))
        model = self.model_copy(
            update={
                **given,
                "stop": [*as_list(self.stop), *as_list(given.get("stop")), *as_list(stop)] or None,
                "extra_parameters": {**self.extra_parameters, **extra},
            }
        )
        return model._resolved() if given.keys() & SETTINGS else model

    def _checked_field(self, name: str, value: Any) -> Any:
        field = type(self).model_fields[name]
        kind: Any = Annotated[field.annotation, *field.metadata, Field()]
        try:
            return TypeAdapter(kind).validate_python(value)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
        raise ArgumentError(name, first["msg"], value=repr(value))

    def _get_clients(self) -> tuple[dict[str, Any], Client, AsyncClient]:
        settings = {name: getattr(self, name) for name in SETTINGS}
        if self._clients is None:
            self._clients = (settings, Client(**settings), AsyncClient(**settings))
        elif self._clients[0] != settings:
            before, client, async_client = self._clients
            new = {name: value for name, value in settings.items() if value != before[name]}
            self._clients = (
                settings,
                client.with_settings(**new),
                async_client.with_settings(**new),
            )
        return self._clients

    # What both frameworks' methods come to; a call's `on_retry` is told each error that is tried again.

    def _complete_prompt(self, prompt: str, on_retry: OnRetry | None = None) -> Answer:
        return self.client.generate(prompt, **self._request_kwargs(on_retry))

    async def _acomplete_prompt(self, prompt: str, on_retry: OnRetry | None = None) -> Answer:
        return await self.async_client.generate(prompt, **self._request_kwargs(on_retry))

    def _events(self, prompt: str, on_retry: OnRetry | None = None) -> Stream:
        return self.client.stream(prompt, **self._request_kwargs(on_retry))

    def _aevents(self, prompt: str, on_retry: OnRetry | None = None) -> AsyncStream:
        return self.async_client.stream(prompt, **self._request_kwargs(on_retry))

    def _request_kwargs(self, on_retry: OnRetry | None) -> dict[str, Any]:
        extra = {"extra_parameters": self.extra_parameters, "on_retry": on_retry}
        return {**self.parameters, **extra}
