"""What both clients share: from arguments to calls, and from settings to connections."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Generic, Self, TypeVar, Unpack

from pydantic import SecretStr

from datacrunch_tgi._protocol._answer import ChatPrompt, RequestContext, build_answer
from datacrunch_tgi._protocol._call import Call, OnRetry, StreamCall, UnaryCall
from datacrunch_tgi._protocol._parameters import check_parameters, check_prompt
from datacrunch_tgi._protocol._redact import Redactor
from datacrunch_tgi._protocol._requests import (
    GENERATE,
    GENERATE_STREAM,
    HEALTH,
    INFO,
    TOKENIZE,
    Request,
    json_request,
)
from datacrunch_tgi._protocol._responses import (
    Head,
    read_health,
    read_info,
    read_prompt_tokens,
    read_response,
)
from datacrunch_tgi._protocol._schema import Answer, Info, PromptToken
from datacrunch_tgi._protocol._steps import CallLimits
from datacrunch_tgi._settings import DEFAULTS, Settings, SettingsArguments
from datacrunch_tgi._signatures import with_arguments
from datacrunch_tgi._tokenizers import count_tokens
from datacrunch_tgi._transport import AsyncSession, SyncSession, Target, TLSConfig
from datacrunch_tgi._version import __version__

Session = TypeVar("Session", SyncSession, AsyncSession)


class BaseClient(Generic[Session]):
    """Base of both clients: everything except waiting."""

    _session_class: type[Session]

    @with_arguments(SettingsArguments, DEFAULTS)
    def __init__(self, **settings: Unpack[SettingsArguments]) -> None:
        self._connect(Settings(**settings))

    def _connect(self, settings: Settings, sibling: Session | None = None) -> None:
        self._settings = settings
        self._session: Session = self._session_class(
            _target(settings),
            settings.pool_timeout,
            sibling,  # pyright: ignore[reportArgumentType]  # of the same class
        )
        self._call_options: dict[str, Any] = {
            "limits": _limits(settings),
            "base_url": settings.base_url,
            "redactor": Redactor(self._session.pool.target.headers, settings.proxy_url),
        }

    @property
    def settings(self) -> Settings:
        """The settings, resolved from arguments and the environment."""
        return self._settings

    @property
    def base_url(self) -> str:
        """URL prefix of the routes."""
        return str(self._settings.base_url)

    @property
    def model(self) -> str:
        """Name of the model."""
        return str(self._settings.model)

    @with_arguments(SettingsArguments, {})
    def with_settings(self, **changed: Unpack[SettingsArguments]) -> Self:
        """Copy the client with some settings changed.

        The copy is checked as a new client would be. It shares connections, and the limit on their
        number, with this client, unless a change affects where or how requests are sent.

        Raises:
            ArgumentError: A setting is invalid. The error names the setting, its value unless secret, and
                the rule.
        """
        return from_settings(type(self), self._settings.replace(**changed), self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(base_url={self.base_url!r}, model={self.model!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        # A copy, here or in another process, has the same settings and its own connections.
        return from_settings, (type(self), self._settings)

    def _generate(
        self,
        inputs: str,
        parameters: Mapping[str, Any],
        extra: Mapping[str, Any] | None,
        on_retry: OnRetry | None,
    ) -> Call[Answer]:
        body, context = self._request(inputs, parameters, extra, streaming=False)

        def read(head: Head, content: bytes) -> Answer:
            return build_answer(read_response(head, content), context, head.headers)

        request = json_request(GENERATE, body)
        return UnaryCall(request, read=read, **self._options(context, on_retry))

    def _stream(
        self,
        inputs: str,
        parameters: Mapping[str, Any],
        extra: Mapping[str, Any] | None,
        on_retry: OnRetry | None,
    ) -> StreamCall:
        body, context = self._request(inputs, parameters, extra, streaming=True)
        request = json_request(GENERATE_STREAM, body)
        return StreamCall(request, context=context, **self._options(context, on_retry))

    def _options(self, context: RequestContext, on_retry: OnRetry | None) -> dict[str, Any]:
        encode = self._settings.tokenizer
        # Before the request, so that no answer is lost if the tokenizer fails.
        prepare = partial(_count_prompt, encode, context) if encode else None
        return {**self._call_options, "on_retry": on_retry, "prepare": prepare}

    def _info(self) -> Call[Info]:
        return UnaryCall(Request("GET", INFO), read=read_info, **self._call_options)

    def _health(self) -> Call[bool]:
        options = {**self._call_options}
        options["limits"] = replace(options["limits"], startup_timeout=0.0)
        return UnaryCall(Request("GET", HEALTH), read=read_health, **options)

    def _tokenize(self, inputs: str) -> Call[list[PromptToken]]:
        request = json_request(TOKENIZE, {"model": self.model, "inputs": check_prompt(inputs)})
        return UnaryCall(request, read=read_prompt_tokens, **self._call_options)

    def _request(
        self,
        inputs: str,
        given: Mapping[str, Any],
        extra: Mapping[str, Any] | None,
        *,
        streaming: bool,
    ) -> tuple[dict[str, Any], RequestContext]:
        parameters = check_parameters(given, streaming=streaming)
        stop = list(dict.fromkeys(parameters.get("stop", ())))
        context = RequestContext(
            inputs=check_prompt(inputs),
            stop=stop,
            return_full_text=parameters.get("return_full_text", False),
            details=parameters.get("details", False),
            strip_leading_space=isinstance(inputs, ChatPrompt),
            truncate=parameters.get("truncate"),
        )
        if stop:
            # The server accepts a limited number; the client looks for all of them.
            parameters["stop"] = stop[: self._settings.max_stop_sequences]
        return {
            "model": self.model,
            "inputs": inputs,
            "parameters": parameters | dict(extra or {}),
        }, context


AnyClient = TypeVar("AnyClient", bound=BaseClient[Any])


def from_settings(
    client_class: type[AnyClient], settings: Settings, sibling: AnyClient | None = None
) -> AnyClient:
    """Create a client from settings; it shares connections with a sibling that has the same target."""
    client = client_class.__new__(client_class)
    client._connect(settings, sibling and sibling._session)  # pyright: ignore[reportPrivateUsage]
    return client


def _target(settings: Settings) -> Target:
    headers = {
        "Accept": "*/*",
        "User-Agent": f"datacrunch-tgi/{__version__}",
        **(settings.headers or {}),
    }
    secrets = [(name, SecretStr(value)) for name, value in headers.items()]
    if isinstance(settings.api_key, SecretStr):
        key = settings.api_key.get_secret_value()
        secrets.append(("Authorization", SecretStr(f"Bearer {key}")))
    return Target(
        base_url=str(settings.base_url),
        headers=tuple(secrets),
        proxy=settings.proxy_url,
        tls=TLSConfig(settings.ca_bundle, settings.client_certificate, settings.server_hostname),
        engine=settings.engine,
        max_connections=settings.max_connections,
    )


def _limits(settings: Settings) -> CallLimits:
    return CallLimits(
        connect_timeout=settings.connect_timeout,
        first_token_timeout=settings.first_token_timeout,
        idle_timeout=settings.idle_timeout,
        deadline=settings.deadline,
        max_retries=settings.max_retries,
        startup_timeout=settings.startup_timeout,
    )


def _count_prompt(encode: Any, context: RequestContext) -> None:
    count = count_tokens(encode, context.inputs)
    context.prompt_tokens = count if context.truncate is None else min(count, context.truncate)
