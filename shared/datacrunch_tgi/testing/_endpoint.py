"""The emulated endpoint as a test or a terminal uses it.

Puts the layers together and offers what a test asks of them; every rule is in one of them.
"""

from collections import deque
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from datacrunch_tgi.testing._app import App
from datacrunch_tgi.testing._dialect import DialectName, find_dialect
from datacrunch_tgi.testing._engines import engine_factory
from datacrunch_tgi.testing._faults import Fault, FaultInjector
from datacrunch_tgi.testing._generation import Engine
from datacrunch_tgi.testing._middleware import RequestMiddleware
from datacrunch_tgi.testing._recording import ReceivedRequest, Records
from datacrunch_tgi.testing._script import Answers, Respond
from datacrunch_tgi.testing._server import BackgroundServer
from datacrunch_tgi.testing._service import Capacity, Service
from datacrunch_tgi.testing._validation import Limits


class EmulatedEndpoint:
    """A server on this machine that speaks as Text Generation Inference does.

    A context manager, or `start()` and `stop()`. What it answers is scripted, or computed by a
    Llama; what surrounds the answer (parameters, limits, errors, headers, events) is one of two
    real servers', reproduced from recorded traffic.

    Example:
        ```python
        with EmulatedEndpoint(answers="Hello there") as endpoint:
            httpx.post(f"{endpoint.url}/generate", json={"inputs": "Hi", "parameters": {}})
        ```
    """

    def __init__(
        self,
        *,
        answers: Answers | None = None,
        respond: Respond | None = None,
        model: str | Path | None = None,
        dialect: DialectName = "3.3.7",
        base_path: str = "",
        api_key: str | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        model_id: str | None = None,
        max_concurrent_requests: int = 128,
        max_batch_size: int | None = None,
        max_best_of: int = 2,
        max_stop_sequences: int = 4,
        max_top_n_tokens: int = 5,
        max_input_tokens: int = 1024,
        max_total_tokens: int = 2048,
        payload_limit: int | None = None,
        tokens_per_second: float | None = None,
        keep_alive_interval: float = 15.0,
    ) -> None:
        """Prepare an endpoint; nothing listens until it is started.

        Args:
            answers: One answer to all prompts; several, used in turn, and the last again and again;
                answers by prompt, or by a compiled pattern that is searched for in the prompt (a
                prompt without an answer is refused with 422); or a function from prompt to answer,
                which runs in a thread. An answer is a text, split into tokens by words, or a
                sequence of `ScriptedToken`. Whether it matches the `grammar` of a request is up to
                you.
            respond: A function from the `ReceivedRequest` to its answer, where more than the
                prompt matters, such as parameters or headers. It runs in a thread.
            model: A folder with a Llama: `config.json`, `model.safetensors`, `tokenizer.json` and
                `tokenizer_config.json`. It obeys `grammar` where the dialect supports it.
            dialect: The server that is emulated: TGI `"3.3.7"`, or `"1.1.1"`, DataCrunch's fork.
            base_path: What stands before `/generate`, such as `/v1/completions`.
            api_key: RequestContext for as a bearer key where TGI asks; None asks for none.
            host: The address to listen on.
            port: The port to listen on; 0 takes a free one.
            model_id: What `/info` tells; by default the folder's name, or "scripted".
            max_concurrent_requests: Open requests, waiting ones included; the next gets 429.
            max_batch_size: Sequences generated at the same time; others wait. None: all.
            max_best_of: The largest `best_of`.
            max_stop_sequences: The most texts in `stop`.
            max_top_n_tokens: The largest `top_n_tokens`.
            max_input_tokens: The longest prompt, in tokens.
            max_total_tokens: The longest prompt and answer together, in tokens.
            payload_limit: The largest body, in bytes; by default the dialect's.
            tokens_per_second: Pace of each answer. None: as fast as it goes.
            keep_alive_interval: Seconds of silence after which a stream sends a comment.

        Raises:
            ValueError: Both or none of `answers` and `model`, no such dialect, a base path that
                cannot stand in a URL, or a folder that holds something else than a Llama.
            OSError: A file of the model is missing.
        """
        if base_path and (not base_path.startswith("/") or base_path.endswith("/")):
            raise ValueError(
                f"base_path begins with a slash and ends without one, not {base_path!r}"
            )
        self._new_engine = engine_factory(answers, respond, model)
        self.dialect = dialect
        """The name of the server that is emulated."""
        self._dialect = find_dialect(dialect)
        self._base_path = base_path
        self._api_key = api_key
        self._host = host
        self._port = port
        self._payload_limit = payload_limit or self._dialect.payload_limit
        self._keep_alive_interval = keep_alive_interval
        self._limits = Limits(
            max_best_of=max_best_of,
            max_stop_sequences=max_stop_sequences,
            max_top_n_tokens=max_top_n_tokens,
            max_input_tokens=max_input_tokens,
            max_total_tokens=max_total_tokens,
        )
        self._capacity = Capacity(
            max_concurrent_requests=max_concurrent_requests,
            max_batch_size=max_batch_size,
            tokens_per_second=tokens_per_second,
        )
        self._info = {
            "model_id": model_id or (Path(model).name if model else "scripted"),
            "max_concurrent_requests": max_concurrent_requests,
            "max_best_of": max_best_of,
            "max_stop_sequences": max_stop_sequences,
            "max_input_length": max_input_tokens,
            "max_input_tokens": max_input_tokens,
            "max_total_tokens": max_total_tokens,
        }
        self._records = Records()
        self._faults: deque[Fault] = deque()
        self._engine: Engine | None = None
        self._server: BackgroundServer | None = None
        self.healthy = True
        """Whether `/health` says so."""

    @property
    def url(self) -> str:
        """The address with the base path: what a client takes as its base URL.

        Raises:
            RuntimeError: The endpoint is not started.
        """
        if self._server is None:
            raise RuntimeError("the endpoint has no address before it is started")
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._server.port}{self._base_path}"

    @property
    def requests(self) -> list[ReceivedRequest]:
        """Every request received, in order, of all routes; kept when the endpoint stops."""
        return self._records.requests

    @property
    def open_requests(self) -> int:
        """Requests that are being answered now."""
        return self._records.open_requests.open

    @property
    def peak_open_requests(self) -> int:
        """The most requests that were being answered at the same time."""
        return self._records.open_requests.peak

    @property
    def open_connections(self) -> int:
        """TCP connections that are open now, idle ones included."""
        return self._records.open_connections.open

    @property
    def peak_open_connections(self) -> int:
        """The most TCP connections that were open at the same time."""
        return self._records.open_connections.peak

    def start(self) -> Self:
        """Listen and answer, in threads of the endpoint's own.

        Raises:
            RuntimeError: It is started already.
            OSError: The address is taken, or not this machine's.
        """
        if self._server is not None:
            raise RuntimeError(f"the endpoint is started already, at {self.url}")
        engine = self._new_engine()
        self._server = BackgroundServer(
            self._build(engine),
            host=self._host,
            port=self._port,
            open_connections=self._records.open_connections,
        )
        self._engine = engine
        return self

    def stop(self) -> None:
        """Cut what is open and free the port and all threads; nothing if it is not started."""
        if self._server is None or self._engine is None:
            return
        self._server.stop()
        self._engine.close()
        self._server = self._engine = None

    def wait(self) -> None:
        """Block until another thread stops the endpoint, or the process is interrupted."""
        if self._server is not None:
            self._server.wait()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def wait_until_idle(self, timeout: float = 10.0) -> None:
        """Block until no request is being answered, such as one whose client has left.

        Raises:
            TimeoutError: Some are still open after `timeout` seconds.
        """
        self._records.open_requests.wait_until_none(timeout)

    def fail_next(
        self,
        n: int = 1,
        *,
        status: int | None = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        delay: float = 0.0,
        hang_up: bool = False,
        stall: float = 0.0,
        stall_after: int = 0,
        cut_after: int | None = None,
        error_after: int | None = None,
    ) -> None:
        """Let something go wrong with the next requests for an answer.

        Faults are used up in the order in which they were ordered; `/info`, `/health` and
        `/tokenize` use up none. `delay` and `stall` go with any other; of the others one.

        Args:
            n: How many requests.
            status: The HTTP status that is answered at once.
            body: What is answered with the status: text, bytes, or anything that JSON can say; by
                default what TGI says with it (424, 429, 503), or nothing. With `error_after` the
                object of the error event.
            headers: Of the answer with the status.
            delay: Seconds before anything happens.
            hang_up: The connection is closed without a byte of an answer.
            stall: Seconds in which a stream has no event, only comments; an answer that is no
                stream is sent so much later.
            stall_after: Events before the stall.
            cut_after: Events after which the connection is closed, at the latest before the
                stream's end; an answer that is no stream is cut in its middle.
            error_after: Events after which an error event ends the stream, at the latest in place
                of its end; an answer that is no stream becomes that error, with 424.

        Raises:
            ValueError: Several endings for one request, or a body or headers without a status.
        """
        fault = Fault(
            status=status,
            body=body,
            headers=headers or {},
            delay=delay,
            hang_up=hang_up,
            stall=stall,
            stall_after=stall_after,
            cut_after=cut_after,
            error_after=error_after,
        )
        self._faults.extend([fault] * n)

    def _build(self, engine: Engine) -> RequestMiddleware:
        service = Service(engine, self._dialect, self._limits, self._capacity)
        app = App(
            service,
            self._dialect,
            base_path=self._base_path,
            api_key=self._api_key,
            payload_limit=self._payload_limit,
            keep_alive_interval=self._keep_alive_interval,
            info=self._info,
            is_healthy=lambda: self.healthy,
        )
        injector = FaultInjector(app.starlette, self._faults, self._dialect, app.generating_paths)
        return RequestMiddleware(
            injector,
            self._records,
            self._dialect.cors,
            payload_limit=self._payload_limit,
        )
