"""Names that `datacrunch_tgi` exports, imported on first use."""

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

for _name in __all__:  # tracebacks, signatures and help() show where users import a class from
    if isinstance(_class := globals()[_name], type):
        _class.__module__ = "datacrunch_tgi"
