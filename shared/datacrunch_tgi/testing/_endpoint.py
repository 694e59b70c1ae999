"""The emulated endpoint as tests and the command line use it.

Combines the layers; every rule is in one of them.
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
from datacrunch_tgi.testing._recording import Observed
from datacrunch_tgi.testing._script import Answers, Respond
from datacrunch_tgi.testing._server import BackgroundServer
from datacrunch_tgi.testing._service import Capacity, Service
from datacrunch_tgi.testing._validation import Limits


class EmulatedEndpoint(Observed):
    """Text Generation Inference server on this machine, for tests.

    Answers are scripted, or computed by a Llama. Parameters, limits, errors, headers and events are
    those of one of two real servers, reproduced from recorded traffic. Use it as a context manager,
    or call `start()` and `stop()`.

    Example:
        ```python
        with EmulatedEndpoint(answers="Hello there") as endpoint:
            client = Client(base_url=endpoint.url)
            assert client.generate("Hi").text == "Hello there"
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
        """Create an endpoint, which listens after it is started.

        Args:
            answers: One answer to all prompts; several, used in turn, of which the last repeats; answers
                by prompt, or by a compiled pattern that is searched for in the prompt (a prompt
                without an answer is refused with 422); or a function from prompt to answer, which
                runs in a thread. An answer is a text, split into tokens by words, or a sequence of
                texts and `ScriptedToken`. It is not checked against the `grammar` of a request.
            respond: A function from the `ReceivedRequest` to its answer, for answers that depend on
                parameters or headers. It runs in a thread.
            model: Folder of a Llama: `config.json`, `model.safetensors`, `tokenizer.json` and
                `tokenizer_config.json`. It obeys `grammar` if the dialect supports it.
            dialect: Server to emulate: TGI `"3.3.7"`, or `"1.1.1"`, DataCrunch's fork.
            base_path: URL path before `/generate`, such as `/v1/completions`.
            api_key: Bearer key that generating routes require. None: no key.
            host: Address to listen on, IPv4 or IPv6.
            port: Port to listen on; 0 chooses a free one.
            model_id: Model name in `/info`. Default: the folder's name, or "scripted".
            max_concurrent_requests: Largest number of open requests, including waiting ones; more get 429.
            max_batch_size: Largest number of sequences generated at the same time; others wait. None: no
                limit.
            max_best_of: Largest `best_of`.
            max_stop_sequences: Largest number of strings in `stop`.
            max_top_n_tokens: Largest `top_n_tokens`.
            max_input_tokens: Longest prompt, in tokens.
            max_total_tokens: Longest prompt and answer together, in tokens.
            payload_limit: Largest request body, in bytes. Default: the dialect's, about 2 million.
            tokens_per_second: Speed of each answer. None: unlimited.
            keep_alive_interval: Seconds without an event before a stream sends a comment.

        Raises:
            ValueError: Not exactly one of `answers`, `respond` and `model`; `answers` is empty or of
                another type; an unknown dialect; a base path without a leading slash or with a
                trailing one; or a model that is not a Llama.
            OSError: A file of the model is missing.
        """
        if base_path and (not base_path.startswith("/") or base_path.endswith("/")):
            raise ValueError(
                f"base_path must start with a slash and not end with one: {base_path!r}"
            )
        self._new_engine = engine_factory(answers, respond, model)
        self._dialect_name: DialectName = dialect
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
        super().__init__()
        self._faults: deque[Fault] = deque()
        self._engine: Engine | None = None
        self._server: BackgroundServer | None = None
        self._healthy = True

    @property
    def dialect(self) -> DialectName:
        """The server that is emulated, `"3.3.7"` or `"1.1.1"`."""
        return self._dialect_name

    @property
    def healthy(self) -> bool:
        """Whether `/health` answers 200, else 503. Can be set while the endpoint runs."""
        return self._healthy

    @healthy.setter
    def healthy(self, healthy: bool) -> None:
        self._healthy = healthy

    @property
    def url(self) -> str:
        """The base URL for clients: address and base path.

        Raises:
            RuntimeError: The endpoint is not started.
        """
        if self._server is None:
            raise RuntimeError("the endpoint has no URL before it is started")
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._server.port}{self._base_path}"

    def start(self) -> Self:
        """Listen and answer, in the endpoint's own threads.

        Returns:
            The endpoint.

        Raises:
            RuntimeError: The endpoint is already started.
            OSError: The address is in use, or does not belong to this machine.
        """
        if self._server is not None:
            raise RuntimeError(f"the endpoint is already started, at {self.url}")
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
        """Close all connections and end all threads; does nothing if the endpoint is not started."""
        if self._server is None or self._engine is None:
            return
        self._server.stop()
        self._engine.close()
        self._server = self._engine = None

    def wait(self) -> None:
        """Block until another thread stops the endpoint or the process is interrupted."""
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
        """Inject a fault into the next requests that generate.

        Faults apply in the order of the calls; `/info`, `/health` and `/tokenize` are not affected.
        `delay` and `stall` can be combined with one of `status`, `hang_up`, `cut_after` and
        `error_after`.

        Args:
            n: Number of requests.
            status: HTTP status to answer at once.
            body: Body with the status: text, bytes, or a value that is sent as JSON. Default: TGI's
                own for 424, 429 and 503, else empty. With `error_after`, the error event's object.
            headers: Headers of the answer with the status.
            delay: Seconds before the request is handled.
            hang_up: Close the connection without an answer.
            stall: Seconds in which a stream has only comments. An answer that is not streamed is
                delayed by as much.
            stall_after: Number of events before the stall.
            cut_after: Number of events before the connection is closed, at the latest before the
                stream's end. An answer that is not streamed is cut in its middle.
            error_after: Number of events before an error event ends the stream, at the latest
                instead of its last. An answer that is not streamed becomes that error, with 424.

        Raises:
            ValueError: More than one of the four, or a body or headers without a status.
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
            is_healthy=lambda: self._healthy,
        )
        injector = FaultInjector(app.starlette, self._faults, self._dialect, app.generating_paths)
        return RequestMiddleware(
            injector,
            self._records,
            self._dialect.cors,
            payload_limit=self._payload_limit,
        )
