"""Base of both frameworks' models: fields, clients and parameters.

Imports neither framework. A model inherits from `Endpoint` and then from its framework's class.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

from pydantic import (
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    PrivateAttr,
    ValidationError,
    ValidatorFunctionWrapHandler,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError
from pydantic_core.core_schema import CoreSchema, no_info_wrap_validator_function

from datacrunch_tgi._aliases import (
    ALIASES,
    SpelledAsGiven,
    as_list,
    resolve_aliases,
    to_parameters,
)
from datacrunch_tgi._base_client import from_settings
from datacrunch_tgi._client import AsyncClient, Client
from datacrunch_tgi._errors import REDACTED, ArgumentError
from datacrunch_tgi._integration._habits import SECRET, accept_habits, refuse_secrets
from datacrunch_tgi._protocol._call import OnRetry
from datacrunch_tgi._protocol._parameters import (
    PARAMETERS,
    ParameterFields,
    Parameters,
    check_parameters,
)
from datacrunch_tgi._protocol._schema import Answer
from datacrunch_tgi._settings import SECRET as MAY_BE_SECRET
from datacrunch_tgi._settings import SETTINGS, Settings, SettingsFields
from datacrunch_tgi._streams import AsyncStream, Stream
from datacrunch_tgi._validation import check_field, check_fields, refuse_unknown


def _validated(given: Any, validate: ValidatorFunctionWrapHandler) -> Any:
    """Validate a model; the ValidationError does not contain the input, which may have the key."""
    try:
        return validate(given)
    except ValidationError as error:
        refused = [
            InitErrorDetails(
                # As a template itself, the message's own braces would be filled in.
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


class Endpoint(SettingsFields, ParameterFields):
    """A model behind an endpoint, with every setting and parameter as a field.

    Parameters of a call take precedence over those of the model.
    """

    model_config = ConfigDict(
        use_attribute_docstrings=True,
        arbitrary_types_allowed=True,
        hide_input_in_errors=True,
        protected_namespaces=(),
    )

    _call_arguments: ClassVar[frozenset[str]] = frozenset(
        {*PARAMETERS, *SETTINGS, *ALIASES, "extra_parameters"} - SECRET
    )
    """Arguments that calls accept."""

    details: bool | None = None
    """Return finish reason, seed, and each token's log probability. Default: True."""
    extra_parameters: dict[str, Any] = Field(default_factory=dict)
    """More parameters, for newer servers; sent unchecked."""

    _settings: Settings | None = PrivateAttr(default=None)
    _clients: tuple[Client, AsyncClient] | None = PrivateAttr(default=None)

    def model_post_init(self, context: Any, /) -> None:
        """Call the framework's own `model_post_init`, which pydantic's would not."""
        super().model_post_init(context)

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """Show only fields that are set."""
        for name, value in super().__repr_args__():
            if value not in (None, {}, []):
                yield name, value

    if not TYPE_CHECKING:  # type checkers would then allow assignment to any name

        def __setattr__(self, name: str, value: Any) -> None:
            super().__setattr__(
                name, [value] if name == "stop" and isinstance(value, str) else value
            )

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: Any, handler: GetCoreSchemaHandler, /
    ) -> "CoreSchema":  # quoted, for help(): it is a union of fifty types
        # Wraps the validators of every subclass too, wherever a model is validated.
        return no_info_wrap_validator_function(_validated, handler(source))

    @model_validator(mode="before")
    @classmethod
    def _check_given(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        given = cast("Mapping[str, Any]", given)
        aliases = [info.alias for info in cls.model_fields.values() if info.alias]
        refuse_unknown(given, [*ALIASES, *cls.model_fields, *aliases])
        with SpelledAsGiven(given):
            named = resolve_aliases(given)
            parameters = {name: named[name] for name in PARAMETERS if name in named}
            check_parameters({"details": True, **parameters}, streaming=False)
            settings = {name: named.pop(name) for name in SETTINGS if name in named}
            settings = {name: value for name, value in settings.items() if value is not None}
            return named | check_fields(SettingsFields, settings, MAY_BE_SECRET)

    @model_validator(mode="after")
    def _resolve_settings(self) -> Self:
        if self._settings is None:
            given = {name: getattr(self, name) for name in self.model_fields_set & {*SETTINGS}}
            self._settings = Settings(**given)
        return self._show_settings()

    def _show_settings(self) -> Self:
        """Set the fields to the resolved settings of the clients."""
        vars(self).update({name: getattr(self._settings, name) for name in SETTINGS})
        return self

    @property
    def client(self) -> Client:
        """The client for threads, with this model's settings."""
        return self._get_clients()[0]

    @property
    def async_client(self) -> AsyncClient:
        """The client for event loops, with this model's settings."""
        return self._get_clients()[1]

    @property
    def parameters(self) -> Parameters:
        """This model's parameters, as the API spells them.

        `details` is on by default, because usage and finish reason come from it.
        """
        given = {name: getattr(self, name) for name in PARAMETERS} | {"stop": self.stop}
        return cast("Parameters", {"details": True, **to_parameters(given)})

    @property
    def max_tokens(self) -> int | None:
        """Alias of `max_new_tokens`."""
        return self.max_new_tokens

    @max_tokens.setter
    def max_tokens(self, limit: int | None) -> None:
        self.max_new_tokens = limit

    @property
    def timeout(self) -> float:
        """Alias of `first_token_timeout`, in seconds."""
        return self.first_token_timeout

    @timeout.setter
    def timeout(self, seconds: float) -> None:
        self.first_token_timeout = seconds

    def _check_kwargs(
        self, call: Mapping[str, Any], more: Collection[str] = frozenset()
    ) -> dict[str, Any]:
        """Return the arguments of a call that matter: see `accept_habits`.

        Args:
            call: The arguments.
            more: Names of arguments in addition to `_call_arguments`.

        Raises:
            ArgumentError: One is unknown, is a secret, which tracers would record, or is not supported.
        """
        known = self._call_arguments | {*more}
        kept = accept_habits(call, known)
        refuse_secrets(kept)
        refuse_unknown(kept, known)
        return kept

    def _with_overrides(
        self, call: Mapping[str, Any], stop: Sequence[str] | str | None = None
    ) -> Self:
        """Return this model with the arguments of one call: a copy, if there are any.

        They take precedence over the model's; stop strings and extra parameters are added. The copy
        shares connections, unless an argument affects where requests are sent.

        Raises:
            ArgumentError: An argument is unknown, a secret, or invalid.
        """
        if not call and stop is None:
            return self
        with SpelledAsGiven(call):
            given = resolve_aliases(self._check_kwargs(call))
            parameters = {name: given[name] for name in PARAMETERS if name in given}
            added = [*as_list(given.get("stop")), *as_list(stop)]
            check_fields(ParameterFields, {**parameters, "stop": added})
            self._get_clients()  # before the copy, so that all copies share the clients
            for name in given.keys() - {*PARAMETERS, *SETTINGS, "extra_parameters"}:
                given[name] = check_field(type(self), name, given[name])
            extra: Any = given.get("extra_parameters") or {}
            if not isinstance(extra, Mapping):
                raise ArgumentError("extra_parameters", "must be a dict", value=repr(extra))
            given |= {"stop": [*as_list(self.stop), *added] or None}
            given |= {"extra_parameters": {**self.extra_parameters, **extra}}
            model = super().model_copy(update=given)
            if given.keys() & {*SETTINGS}:
                model._get_clients()
        return model

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Copy the model.

        Args:
            update: Fields to change, by name or alias.
            deep: Whether to copy the values of fields too.

        Raises:
            ArgumentError: A field is unknown, or its value is invalid.
        """
        with SpelledAsGiven(update or {}):
            given = resolve_aliases(update or {})
            refuse_unknown(given, [*type(self).model_fields, *type(self).__private_attributes__])
            parameters = {name: given.get(name, getattr(self, name)) for name in PARAMETERS}
            check_parameters({"details": True, **parameters}, streaming=False)
            self._get_clients()  # before the copy, so that it shares them
            copy = super().model_copy(update=given, deep=deep)
            copy._get_clients()
        return copy

    def copy(self, **options: Any) -> Self:
        """Copy the model: Pydantic's old name of `model_copy`."""
        return self.model_copy(**options)

    def __getstate__(self) -> dict[Any, Any]:
        """Leave out the clients, so that a pickle does not depend on use."""
        state = super().__getstate__()
        unused = {"_clients": None}
        return {**state, "__pydantic_private__": {**state["__pydantic_private__"], **unused}}

    def _get_clients(self) -> tuple[Client, AsyncClient]:
        """Return the clients, recreated if a field has changed."""
        settings, values = self._settings, vars(self)
        changed = {
            name: values[name]
            for name in SETTINGS
            if values[name] is not (value := getattr(settings, name)) and values[name] != value
        }
        if settings is None or self._clients is None or changed:
            settings = (settings or Settings()).replace(**changed)
            client, async_client = self._clients or (None, None)
            self._clients = (
                from_settings(Client, settings, client),
                from_settings(AsyncClient, settings, async_client),
            )
            self._settings = settings
            self._show_settings()
        return self._clients

    # Both frameworks' methods end here. `on_retry` is called with each error that leads to a retry.

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
