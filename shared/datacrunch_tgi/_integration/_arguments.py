"""Keyword arguments of both frameworks' models and calls, as type checkers and editors see them."""

import os
from collections.abc import Mapping
from typing import Any, TypedDict

from datacrunch_tgi._chat import ChatTemplate
from datacrunch_tgi._protocol._parameters import Parameters, ParametersWithoutStop
from datacrunch_tgi._settings import Engine, SettingsArguments
from datacrunch_tgi._tokenizers import Encode, Encoder


class EndpointArguments(SettingsArguments, Parameters, total=False):
    """Keyword arguments of every model: settings, parameters and `extra_parameters`."""

    extra_parameters: Mapping[str, Any]


class _CallSettings(TypedDict, total=False):
    """Settings that a call accepts: those that are not secret."""

    extra_parameters: Mapping[str, Any]
    base_url: str | None
    model: str | None
    connect_timeout: float
    first_token_timeout: float
    timeout: float
    idle_timeout: float
    deadline: float
    pool_timeout: float
    startup_timeout: float
    max_retries: int
    max_connections: int
    max_stop_sequences: int
    ca_bundle: str | os.PathLike[str] | None
    server_hostname: str | None
    engine: Engine
    tokenizer: Encode | Encoder | str | os.PathLike[str] | None


class CallArguments(Parameters, _CallSettings, total=False):
    """Keyword arguments of every call: parameters, and the settings that are not secret."""


class CallArgumentsWithoutStop(ParametersWithoutStop, _CallSettings, total=False):
    """Keyword arguments of calls that have `stop` as an argument of their own."""


class ChatArguments(TypedDict, total=False):
    """Keyword arguments of chat models and their calls, in addition to those of every model."""

    chat_template: ChatTemplate | str | os.PathLike[str] | None
    allow_control_tokens: bool
    tool_format: str | None
    supports_images: bool | None
