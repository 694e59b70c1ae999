"""Client of Text Generation Inference servers: DataCrunch's (Verda's) endpoints and any other.

`Client` for threads, `AsyncClient` for event loops, the same methods in both:
`generate`, `stream`, `info`, `health` and `tokenize`.
"""

from datacrunch_tgi._chat import ChatTemplate, ControlTokenWarning
from datacrunch_tgi._client import AsyncClient, Client
from datacrunch_tgi._errors import (
    APIError,
    ArgumentError,
    AuthenticationError,
    ClientClosedError,
    ConnectError,
    ConnectTimeoutError,
    DataCrunchError,
    DisconnectedError,
    GenerationError,
    InvalidRequestError,
    MalformedResponseError,
    NotFoundError,
    OverloadedError,
    RequestTimeoutError,
    ServerError,
    StreamNotEndedError,
    StructuredOutputError,
    TLSError,
    TransportError,
)
from datacrunch_tgi._protocol._parameters import Parameters
from datacrunch_tgi._protocol._schema import (
    Answer,
    BestOfSequence,
    Details,
    Info,
    PrefillToken,
    PromptToken,
    StreamDetails,
    StreamEvent,
    Token,
    Usage,
)
from datacrunch_tgi._settings import Settings
from datacrunch_tgi._streams import AsyncStream, Stream
from datacrunch_tgi._version import __version__

__all__ = [
    "APIError",
    "Answer",
    "ArgumentError",
    "AsyncClient",
    "AsyncStream",
    "AuthenticationError",
    "BestOfSequence",
    "ChatTemplate",
    "Client",
    "ClientClosedError",
    "ConnectError",
    "ConnectTimeoutError",
    "ControlTokenWarning",
    "DataCrunchError",
    "Details",
    "DisconnectedError",
    "GenerationError",
    "Info",
    "InvalidRequestError",
    "MalformedResponseError",
    "NotFoundError",
    "OverloadedError",
    "Parameters",
    "PrefillToken",
    "PromptToken",
    "RequestTimeoutError",
    "ServerError",
    "Settings",
    "Stream",
    "StreamDetails",
    "StreamEvent",
    "StreamNotEndedError",
    "StructuredOutputError",
    "TLSError",
    "Token",
    "TransportError",
    "Usage",
    "__version__",
]
