"""The two clients: the same methods, one for threads and one for event loops."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, ClassVar, Self, Unpack

from pydantic import SecretStr

from datacrunch_tgi._errors import ArgumentError
from datacrunch_tgi._protocol._answer import RequestContext, build_answer
from datacrunch_tgi._protocol._call import Call, CallLimits, OnRetry, StreamCall, UnaryCall
from datacrunch_tgi._protocol._http import (
    GENERATE,
    GENERATE_STREAM,
    HEALTH,
    INFO,
    TOKENIZE,
    Head,
    Request,
    json_request,
    read_health,
    read_info,
    read_prompt_tokens,
    read_response,
)
from datacrunch_tgi._protocol._parameters import Parameters, check_parameters, check_prompt
from datacrunch_tgi._protocol._redact import Redactor
from datacrunch_tgi._protocol._schema import Answer, Info, PromptToken
from datacrunch_tgi._settings import Settings, reveal
from datacrunch_tgi._streams import AsyncStream, Stream
from datacrunch_tgi._tokenizers import as_function
from datacrunch_tgi._transport._pool import POOL_SETTINGS, AsyncPool, Pool


class _Client(Settings):
    """What both clients share: everything but the waiting."""

    call_arguments = tuple(Parameters.__annotations__)
    _pool: ClassVar[Any]

    def with_settings(self, **changed: Any) -> Self:
        """The same client with some settings changed; on the same connections, unless those change.

        Args:
            **changed: See `Settings`.

        Raises:
            ArgumentError: Names the setting, its value unless secret, and the rule that it breaks.
        """
        settings = {item.name: getattr(self, item.name) for item in fields(Settings)}
        other = type(self)(**{**settings, **changed})
        if not POOL_SETTINGS & changed.keys():
            object.__setattr__(other, "_pool", self._pool)
        return other

    def __repr__(self) -> str:
        return f"{type(self).__name__}(base_url={self.base_url!r}, model={self.model!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        # A copy, here or in another process, has the same settings and connections of its own.
        return _rebuild, (
            type(self),
            {item.name: getattr(self, item.name) for item in fields(self)},
        )

    def _limits(self) -> CallLimits:
        return CallLimits(
            connect_timeout=self.connect_timeout,
            first_token_timeout=self.first_token_timeout,
            idle_timeout=self.idle_timeout,
            deadline=self.deadline,
            max_retries=self.max_retries,
        )

    def _options(self) -> dict[str, Any]:
        headers = [(name, SecretStr(value)) for name, value in (self.headers or {}).items()]
        if self.api_key:
            headers.append(("Authorization", SecretStr(f"Bearer {reveal(self.api_key)}")))
        return {"base_url": self.base_url, "redactor": Redactor(headers, self.proxy_url)}

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

        return UnaryCall(
            json_request(GENERATE, body), self._limits(), read, **self._options(), on_retry=on_retry
        )

    def _stream(
        self,
        inputs: str,
        parameters: Mapping[str, Any],
        extra: Mapping[str, Any] | None,
        on_retry: OnRetry | None,
    ) -> StreamCall:
        body, context = self._request(inputs, parameters, extra, streaming=True)
        return StreamCall(
            json_request(GENERATE_STREAM, body),
            self._limits(),
            context,
            **self._options(),
            on_retry=on_retry,
        )

    def _info(self) -> Call[Info]:
        return UnaryCall(Request("GET", INFO), self._limits(), read_info, **self._options())

    def _health(self) -> Call[bool]:
        return UnaryCall(Request("GET", HEALTH), self._limits(), read_health, **self._options())

    def _tokenize(self, inputs: str) -> Call[list[PromptToken]]:
        body = {"model": self.model, "inputs": check_prompt(inputs)}
        return UnaryCall(
            json_request(TOKENIZE, body), self._limits(), read_prompt_tokens, **self._options()
        )

    def _count(self, inputs: str, truncate: int | None) -> int | None:
        # Before the request, so that a tokenizer that fails costs no answer.
        encode = as_function(self.tokenizer)
        if encode is None:
            return None
        tokens = encode(inputs)
        if isinstance(tokens, Mapping):  # a transformers tokenizer; its method encode is meant
            raise ArgumentError("tokenizer", "must return the tokens themselves: pass its encode")
        return len(tokens) if truncate is None else min(len(tokens), truncate)

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
            prompt_tokens=self._count(inputs, parameters.get("truncate")),
        )
        if stop:
            # The server takes so many; the client looks for all of them.
            parameters["stop"] = stop[: self.max_stop_sequences]
        return {
            "model": self.model,
            "inputs": inputs,
            "parameters": parameters | dict(extra or {}),
        }, context


class Client(_Client):
    """A client of one endpoint for threads; any number of them may share it.

    Constructing it opens nothing. It may be used in a `with` block, which closes the connections that
    wait for their next request. A copy or pickle works elsewhere, and holds the key.

    Every setting is a keyword argument: see `Settings`.
    """

    _pool: ClassVar[Pool]

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "_pool", Pool(self))

    def generate(
        self,
        inputs: str,
        parameters: Parameters | None = None,
        *,
        extra_parameters: Mapping[str, Any] | None = None,
        on_retry: OnRetry | None = None,
        **more: Unpack[Parameters],
    ) -> Answer:
        """Generate a whole answer.

        Args:
            inputs: The prompt.
            parameters: Settings of this generation; keyword arguments stand over it.
            extra_parameters: Sent unchecked beside them, for what a newer server understands.
            on_retry: Called with each error after which the request is sent again.
            **more: Settings of this generation, see `Parameters`.

        Raises:
            ArgumentError: A parameter breaks a rule; nothing has been sent.
            APIError: The server answered with an error.
            TransportError: No whole answer arrived.
        """
        call = self._generate(inputs, {**(parameters or {}), **more}, extra_parameters, on_retry)
        return self._pool.result(call)

    def stream(
        self,
        inputs: str,
        parameters: Parameters | None = None,
        *,
        extra_parameters: Mapping[str, Any] | None = None,
        on_retry: OnRetry | None = None,
        **more: Unpack[Parameters],
    ) -> Stream:
        """Generate an answer token by token; arguments and errors are those of `generate`.

        The request is sent when the first event is asked for. An error that comes later is raised
        after the events before it, and holds their text.
        """
        call = self._stream(inputs, {**(parameters or {}), **more}, extra_parameters, on_retry)
        return Stream(call, self._pool.run(call))

    def info(self) -> Info:
        """Tell the server's model, version and limits.

        Raises:
            NotFoundError: The server, or a gateway before it, has no `/info`.
            DataCrunchError: As in `generate`.
        """
        return self._pool.result(self._info())

    def health(self) -> bool:
        """Tell whether the server can generate; False where it says that it cannot (503).

        Raises:
            NotFoundError: The server, or a gateway before it, has no `/health`.
            DataCrunchError: As in `generate`.
        """
        return self._pool.result(self._health())

    def tokenize(self, inputs: str) -> list[PromptToken]:
        """Tell the tokens of a text, control tokens included (TGI 1.4).

        Raises:
            NotFoundError: The server, or a gateway before it, has no `/tokenize`.
            DataCrunchError: As in `generate`.
        """
        return self._pool.result(self._tokenize(inputs))

    def close(self) -> None:
        """Close the connections that wait for their next request."""
        self._pool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncClient(_Client):
    """A client of one endpoint for event loops (asyncio's); any number of them may share it.

    Each loop has connections of its own, which are closed when it ends, or when an `async with` block
    does. Everything else is as in `Client`.
    """

    _pool: ClassVar[AsyncPool]

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "_pool", AsyncPool(self))

    async def generate(
        self,
        inputs: str,
        parameters: Parameters | None = None,
        *,
        extra_parameters: Mapping[str, Any] | None = None,
        on_retry: OnRetry | None = None,
        **more: Unpack[Parameters],
    ) -> Answer:
        """Generate a whole answer: see `Client.generate`."""
        call = self._generate(inputs, {**(parameters or {}), **more}, extra_parameters, on_retry)
        return await self._pool.result(call)

    def stream(
        self,
        inputs: str,
        parameters: Parameters | None = None,
        *,
        extra_parameters: Mapping[str, Any] | None = None,
        on_retry: OnRetry | None = None,
        **more: Unpack[Parameters],
    ) -> AsyncStream:
        """Generate an answer token by token: see `Client.stream`."""
        call = self._stream(inputs, {**(parameters or {}), **more}, extra_parameters, on_retry)
        return AsyncStream(call, self._pool.run(call))

    async def info(self) -> Info:
        """Tell the server's model, version and limits: see `Client.info`."""
        return await self._pool.result(self._info())

    async def health(self) -> bool:
        """Tell whether the server can generate: see `Client.health`."""
        return await self._pool.result(self._health())

    async def tokenize(self, inputs: str) -> list[PromptToken]:
        """Tell the tokens of a text: see `Client.tokenize`."""
        return await self._pool.result(self._tokenize(inputs))

    async def aclose(self) -> None:
        """Close this loop's connections that wait for their next request."""
        await self._pool.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


def _rebuild(client: type[_Client], settings: dict[str, Any]) -> _Client:
    return client(**settings)
