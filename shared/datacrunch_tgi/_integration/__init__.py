"""The face of the transport for the adapters: the base of their models, and what they share."""

from datacrunch_tgi._aliases import as_list, resolve_aliases
from datacrunch_tgi._errors import LONGEST_MESSAGE, truncate
from datacrunch_tgi._integration._arguments import (
    CallArguments,
    CallArgumentsWithoutStop,
    ChatArguments,
    EndpointArguments,
)
from datacrunch_tgi._integration._chat import ChatEndpoint
from datacrunch_tgi._integration._endpoint import Endpoint
from datacrunch_tgi._integration._finish_reasons import finish_reasons
from datacrunch_tgi._integration._habits import (
    accept_habits,
    refuse_secrets,
    with_checked_arguments,
)
from datacrunch_tgi._integration._refusals import checking
from datacrunch_tgi._integration._warnings import warn_once, warn_without_usage
from datacrunch_tgi._protocol._answer import ChatPrompt
from datacrunch_tgi._protocol._call import OnRetry
from datacrunch_tgi._protocol._parameters import MAX_NEW_TOKENS, ParameterFields
from datacrunch_tgi._settings import SETTINGS, SettingsFields
from datacrunch_tgi._signatures import with_arguments, with_documented_fields

__all__ = [
    "LONGEST_MESSAGE",
    "MAX_NEW_TOKENS",
    "SETTINGS",
    "CallArguments",
    "CallArgumentsWithoutStop",
    "ChatArguments",
    "ChatEndpoint",
    "ChatPrompt",
    "Endpoint",
    "EndpointArguments",
    "OnRetry",
    "ParameterFields",
    "SettingsFields",
    "accept_habits",
    "as_list",
    "checking",
    "finish_reasons",
    "refuse_secrets",
    "resolve_aliases",
    "truncate",
    "warn_once",
    "warn_without_usage",
    "with_arguments",
    "with_checked_arguments",
    "with_documented_fields",
]
