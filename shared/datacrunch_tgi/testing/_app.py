"""The routes, as a Starlette application.

Reads requests and writes responses; the service does everything in between.
"""

import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import replace

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from datacrunch_tgi.testing import _serialize
from datacrunch_tgi.testing._dialect import Dialect
from datacrunch_tgi.testing._errors import ServerError, UnhealthyError
from datacrunch_tgi.testing._recording import RECEIVED_REQUEST, ReceivedRequest
from datacrunch_tgi.testing._scanner import RejectedBodyError
from datacrunch_tgi.testing._schema import GenerateRequest, read_request
from datacrunch_tgi.testing._service import Service
from datacrunch_tgi.testing._streaming import EventStream

Handler = Callable[[Request], Awaitable[Response]]

_JSON_TYPE = re.compile(r"application/([^;]+\+)?json\s*(;|$)", re.IGNORECASE)


class App:
    """A server's routes under a base path."""

    def __init__(
        self,
        service: Service,
        dialect: Dialect,
        *,
        base_path: str,
        api_key: str | None,
        payload_limit: int,
        keep_alive_interval: float,
        info: Mapping[str, object],
        is_healthy: Callable[[], bool],
    ) -> None:
        self._service = service
        self._dialect = dialect
        self._api_key = api_key
        self._payload_limit = payload_limit
        self._keep_alive_interval = keep_alive_interval
        self._info = info
        self._is_healthy = is_healthy
        root = base_path or "/"
        posts: dict[str, Handler] = {
            root: self._root,
            f"{base_path}/generate": self._generate,
            f"{base_path}/generate_stream": self._generate_stream,
        }
        self.generating_paths = frozenset(posts)
        if dialect.tokenizes:
            posts[f"{base_path}/tokenize"] = self._tokenize
        gets: dict[str, Handler] = {
            root: self._health,
            f"{base_path}/health": self._health,
            f"{base_path}/ping": self._health,
            f"{base_path}/info": self._get_info,
        }
        self.starlette = Starlette(
            routes=[
                *(Route(path, self._guard(post), methods=["POST"]) for path, post in posts.items()),
                *(Route(path, get, methods=["GET"]) for path, get in gets.items()),
            ],
            exception_handlers={404: _empty_response, 405: _empty_response},
        )

    def _guard(self, handler: Handler) -> Handler:
        """Require the key as the servers do (not for health and `/info`), and turn errors into responses."""

        async def guarded(request: Request) -> Response:
            authorization = request.headers.get("authorization", "")
            # The servers ignore case, even in the key.
            expected = f"bearer {self._api_key}".lower()
            if self._api_key is not None and authorization.lower() != expected:
                return Response(status_code=401)
            try:
                return await handler(request)
            except HTTPException as refused:
                return Response(refused.detail, refused.status_code, media_type="text/plain")
            except RejectedBodyError as rejected:
                return _refuse_body(rejected)
            except ServerError as error:
                return _json(_serialize.error(error), error.status)

        return guarded

    async def _generate(self, request: Request) -> Response:
        parsed = await self._read(request)
        return await self._answer(parsed, _received(request), as_list=False)

    async def _generate_stream(self, request: Request) -> Response:
        return self._stream(await self._read(request), _received(request))

    async def _root(self, request: Request) -> Response:
        parsed = await self._read(request, root=True)
        if parsed.parameters.return_full_text is None:
            repeats = self._dialect.root_repeats_prompt
            parameters = replace(parsed.parameters, return_full_text=repeats)
            parsed = replace(parsed, parameters=parameters)
        if parsed.stream:
            return self._stream(parsed, _received(request))
        return await self._answer(parsed, _received(request), as_list=True)

    async def _tokenize(self, request: Request) -> Response:
        parsed = await self._read(request)
        return _json(_serialize.token_spans(self._service.tokenizer.split(parsed.inputs)))

    async def _health(self, _: Request) -> Response:
        if self._is_healthy():
            return Response()
        error = UnhealthyError()
        return _json(_serialize.error(error), error.status)

    async def _get_info(self, _: Request) -> Response:
        return _json(_serialize.info(self._dialect, self._info))

    async def _read(self, request: Request, *, root: bool = False) -> GenerateRequest:
        if not _JSON_TYPE.match(request.headers.get("content-type", "")):
            raise HTTPException(415, "Expected request with `Content-Type: application/json`")
        body = await request.body()
        if len(body) > self._payload_limit:
            raise HTTPException(413, "Failed to buffer the request body: length limit exceeded")
        return read_request(body, self._dialect, root=root)

    async def _answer(
        self, parsed: GenerateRequest, received: ReceivedRequest, *, as_list: bool
    ) -> Response:
        generations, times = await self._service.answer(parsed, received)
        parameters = parsed.parameters
        body = _serialize.answer(
            generations,
            _text_in_front(parsed),
            details=parameters.details or parameters.decoder_input_details,
        )
        return Response(
            f"[{body}]" if as_list else body,
            headers=_serialize.answer_headers(generations[0], times, self._dialect),
        )

    def _stream(self, parsed: GenerateRequest, received: ReceivedRequest) -> Response:
        return EventStream(
            self._events(parsed, received),
            headers=_serialize.stream_headers(parsed.inputs),
            keep_alive_interval=self._keep_alive_interval,
        )

    async def _events(
        self, parsed: GenerateRequest, received: ReceivedRequest
    ) -> AsyncGenerator[bytes]:
        in_front = _text_in_front(parsed)
        details = parsed.parameters.details
        try:
            async with aclosing(self._service.stream(parsed, received)) as steps:
                async for generation in steps:
                    yield _serialize.token_event(
                        generation, in_front, self._dialect, details=details
                    )
        except ServerError as error:
            yield _serialize.event(_serialize.error(error), self._dialect)


def _received(request: Request) -> ReceivedRequest:
    received: ReceivedRequest = request.scope["extensions"][RECEIVED_REQUEST]
    return received


def _text_in_front(parsed: GenerateRequest) -> str:
    return parsed.inputs if parsed.parameters.return_full_text else ""


def _json(body: str, status: int = 200) -> Response:
    return Response(body, status, media_type="application/json")


def _refuse_body(rejected: RejectedBodyError) -> Response:
    if rejected.is_json:
        status, what = 422, "Failed to deserialize the JSON body into the target type"
    else:
        status, what = 400, "Failed to parse the request body as JSON"
    return Response(f"{what}: {rejected}", status, media_type="text/plain")


async def _empty_response(_: Request, refused: Exception) -> Response:
    """Answer for an unknown route or method, as axum does."""
    if not isinstance(refused, HTTPException):
        raise refused
    return Response(status_code=refused.status_code, headers=refused.headers)
