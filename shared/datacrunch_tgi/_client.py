"""`Client` and `AsyncClient`: the same methods, for threads and for event loops."""

from collections.abc import Mapping
from typing import Any, Self, Unpack

from datacrunch_tgi._base_client import BaseClient
from datacrunch_tgi._protocol._call import OnRetry
from datacrunch_tgi._protocol._parameters import Parameters
from datacrunch_tgi._protocol._schema import Answer, Info, PromptToken
from datacrunch_tgi._settings import SettingsArguments, SettingsFields
from datacrunch_tgi._signatures import with_arguments, with_documented_fields
from datacrunch_tgi._streams import AsyncStream, Stream
from datacrunch_tgi._transport import AsyncSession, SyncSession


@with_documented_fields(SettingsArguments, SettingsFields)
class Client(BaseClient[SyncSession]):
    """Client of a DataCrunch (Verda) endpoint or any Text Generation Inference server, for threads.

    Any number of threads can share a client. Creating one opens no connection. A closed client, by `with`
    or `close`, cannot be used again. Copies and pickles work elsewhere too, and contain the key.

    Examples:
        >>> client = Client(base_url="http://localhost:8080")
        >>> client.generate("My name is Olivier and I", max_tokens=20).text

    Args:
        **settings: See `Settings`.

    Raises:
        ArgumentError: A setting is invalid. The error names the setting, its value unless secret, and the
            rule.
    """

    _session_class = SyncSession

    @with_arguments(Parameters, {})
    def generate(
        self,
        inputs: str,
        parameters: Parameters | None = None,
        *,
        extra_parameters: Mapping[str, Any] | None = None,
        on_retry: OnRetry | None = None,
        **more: Unpack[Parameters],
    ) -> Answer:
        """Generate an answer.

        Args:
            inputs: Prompt.
            parameters: Parameters of this generation. Keyword arguments take precedence.
            extra_parameters: More parameters, for newer servers; sent unchecked.
            on_retry: Called with each error that leads to a retry.
            **more: Parameters of this generation; see `Parameters`.

        Raises:
            ArgumentError: A parameter is invalid; nothing was sent.
            APIError: The server answered with an error.
            TransportError: No complete answer arrived.
            ClientClosedError: The client was closed.
        """
        call = self._generate(inputs, {**(parameters or {}), **more}, extra_parameters, on_retry)
        return self._session.start(call).result()

    @with_arguments(Parameters, {})
    def stream(
        self,
        inputs: str,
        parameters: Parameters | None = None,
        *,
        extra_parameters: Mapping[str, Any] | None = None,
        on_retry: OnRetry | None = None,
        **more: Unpack[Parameters],
    ) -> Stream:
        """Generate an answer token by token. Takes the arguments of `generate` and raises the same errors.

        The request is sent when the first event is read. An error in the stream is raised after the
        events before it have been read, and has their text.
        """
        call = self._stream(inputs, {**(parameters or {}), **more}, extra_parameters, on_retry)
        return Stream._of(call, self._session.start(call))  # pyright: ignore[reportPrivateUsage]

    def info(self) -> Info:
        """Return the server's model, version and limits.

        Raises:
            NotFoundError: The server, or a gateway in front of it, has no `/info`.
            DataCrunchError: As in `generate`.
        """
        return self._session.start(self._info()).result()

    def health(self) -> bool:
        """Return whether the server can generate; False if it reports that it cannot (503).

        It asks about this moment: `startup_timeout` does not apply.

        Raises:
            ConnectError: No server listens, after `max_retries`.
            NotFoundError: The server, or a gateway in front of it, has no `/health`.
            DataCrunchError: As in `generate`.
        """
        return self._session.start(self._health()).result()

    def tokenize(self, inputs: str) -> list[PromptToken]:
        """Return the tokens of a text, including control tokens (TGI 1.4 or newer).

        Raises:
            NotFoundError: The server, or a gateway in front of it, has no `/tokenize`.
            DataCrunchError: As in `generate`.
        """
        return self._session.start(self._tokenize(inputs)).result()

    def close(self) -> None:
        """Close the client. Calls in progress, and later ones, raise ClientClosedError.

        Connections that a copy of the client still uses stay open.
        """
        self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@with_documented_fields(SettingsArguments, SettingsFields)
class AsyncClient(BaseClient[AsyncSession]):
    """Client of a DataCrunch (Verda) endpoint or any Text Generation Inference server, for asyncio.

    Any number of event loops can share a client. Each loop has its own connections, which are closed when
    the loop ends. Everything else is as in `Client`.

    Examples:
        >>> client = AsyncClient(base_url="http://localhost:8080")
        >>> answer = await client.generate("My name is Olivier and I")

    Args:
        **settings: See `Settings`.

    Raises:
        ArgumentError: A setting is invalid. The error names the setting, its value unless secret, and the
            rule.
    """

    _session_class = AsyncSession

    @with_arguments(Parameters, {})
    async def generate(
        self,
        inputs: str,
        parameters: Parameters | None = None,
        *,
        extra_parameters: Mapping[str, Any] | None = None,
        on_retry: OnRetry | None = None,
        **more: Unpack[Parameters],
    ) -> Answer:
        """Generate an answer: see `Client.generate`."""
        call = self._generate(inputs, {**(parameters or {}), **more}, extra_parameters, on_retry)
        return await self._session.start(call).result()

    @with_arguments(Parameters, {})
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
        return AsyncStream._of(call, self._session.start(call))  # pyright: ignore[reportPrivateUsage]

    async def info(self) -> Info:
        """Return the server's model, version and limits: see `Client.info`."""
        return await self._session.start(self._info()).result()

    async def health(self) -> bool:
        """Return whether the server can generate: see `Client.health`."""
        return await self._session.start(self._health()).result()

    async def tokenize(self, inputs: str) -> list[PromptToken]:
        """Return the tokens of a text: see `Client.tokenize`."""
        return await self._session.start(self._tokenize(inputs)).result()

    async def aclose(self) -> None:
        """Close the client, in all event loops: see `Client.close`."""
        await self._session.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()
