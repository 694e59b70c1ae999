"""From a row to its request, and from an answer or an error to the output row. Pure.

row ──▶ prepare ──▶ generate ──▶ answer ──▶ output row
           └─────────┴──▶ error ────────────────┘
"""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, TypeGuard, cast

from datacrunch_tgi._aliases import ALIASES, as_list
from datacrunch_tgi._chat import ChatTemplate, required
from datacrunch_tgi._errors import APIError, ArgumentError, DataCrunchError
from datacrunch_tgi._integration._chat import chat_prompt
from datacrunch_tgi._protocol._parameters import Parameters, check_parameters, check_prompt
from datacrunch_tgi._protocol._schema import Answer
from datacrunch_tgi.batch._columns import Columns, Row
from datacrunch_tgi.batch._prompts import PromptTemplate


class Generates(Protocol):
    """An `AsyncClient`, or several as one."""

    @property
    def generate(self) -> Callable[..., Awaitable[Answer]]:
        """Generate an answer: see `AsyncClient.generate`."""
        ...


@dataclass(frozen=True, kw_only=True)
class RowOptions:
    """What all rows of a run have in common.

    Attributes:
        parameters: Parameters of every row; a row's own take precedence.
        extra_parameters: More parameters; sent unchecked.
        prompt: Makes the prompt of columns; else it is the column `inputs` or `messages`.
        columns: Names of columns.
        chat: Whether a prompt is sent as a user's message, in the chat template.
        system: Text of the system message in front of messages that have none.
        template: Chat template of `messages`; see `find_template`.
    """

    parameters: Mapping[str, Any] = field(default_factory=dict[str, Any])
    extra_parameters: Mapping[str, Any] = field(default_factory=dict[str, Any])
    prompt: PromptTemplate | None = None
    columns: Columns = field(default_factory=Columns)
    chat: bool = False
    system: str | None = None
    template: ChatTemplate | None = None

    def is_chat(self, row: Row) -> bool:
        """Whether a row's prompt needs a chat template."""
        return self.chat or (not self.prompt and self.columns.value(row, "messages") is not None)


class RowRequest(NamedTuple):
    """The request of a row, and whether its details are part of the output."""

    inputs: str
    parameters: Parameters
    keep_details: bool


async def answer_row(
    client: Generates, row: Row, options: RowOptions, *, where: str = ""
) -> dict[str, Any]:
    """Answer one row.

    Args:
        client: What generates.
        row: Columns by name: `inputs` or `messages`, perhaps `parameters`, and any others.
        options: What all rows have in common. Rows with `messages` need its `template`.
        where: File and line of the row; named in what was refused before any request.

    Returns:
        The row's columns, and `text`, `finish_reason`, `usage` (a dict of `prompt_tokens`,
        `completion_tokens` and `total_tokens`) and `seed`, `details` if the parameters ask for them. A
        row that failed has None in these, and `error`: a dict of `type`, `message`, `status` and
        `requests`. Errors of this package are not raised.
    """
    try:
        request = prepare_row(row, options)
        answer = await client.generate(
            request.inputs, request.parameters, extra_parameters=options.extra_parameters
        )
    except DataCrunchError as error:
        return failed_row(row, error, options, where=where)
    return answered_row(row, answer, options, keep_details=request.keep_details)


def prepare_row(row: Row, options: RowOptions) -> RowRequest:
    """Return the request of a row.

    Raises:
        ArgumentError: The row has no prompt, or is invalid.
    """
    own = _own_parameters(row, options.columns)
    names = {ALIASES.get(name, name) for name in own}
    common = _set(options.parameters)
    parameters = {n: value for n, value in common.items() if ALIASES.get(n, n) not in names} | own
    keep_details = bool(parameters.get("details"))
    parameters = {"details": True, **parameters}
    if not options.is_chat(row):
        inputs = _prompt(row, options)
    else:
        template = require_template(options)
        inputs = chat_prompt(template, _messages(row, options))
        parameters["stop"] = [*template.stop, *as_list(parameters.get("stop"))]
    return RowRequest(inputs, cast("Parameters", parameters), keep_details)


def check_row(row: Row, options: RowOptions) -> None:
    """Check a row as far as possible before it is sent.

    Raises:
        ArgumentError: A field is invalid. The error names it, its value unless it is a prompt, and the rule.
    """
    request = prepare_row(row, options)
    check_prompt(request.inputs)
    check_parameters(request.parameters, streaming=False)


def require_template(options: RowOptions) -> ChatTemplate:
    """Return the chat template.

    Raises:
        ArgumentError: There is none.
    """
    if options.template is None:
        raise required(what=" for messages")
    return options.template


def answered_row(
    row: Row, answer: Answer, options: RowOptions, *, keep_details: bool = False
) -> dict[str, Any]:
    """Return the output row of an answer."""
    details = answer.details
    kept = {"details": details and details.model_dump(mode="json")} if keep_details else {}
    return options.columns.merge(
        row,
        {
            "text": answer.text,
            "finish_reason": answer.finish_reason,
            "usage": {
                "prompt_tokens": answer.usage.prompt_tokens,
                "completion_tokens": answer.usage.completion_tokens,
                "total_tokens": answer.usage.total_tokens,
            },
            "seed": details and details.seed,
            **kept,
        },
    )


def failed_row(
    row: Row, error: DataCrunchError, options: RowOptions, *, where: str = ""
) -> dict[str, Any]:
    """Return the output row of an error.

    Args:
        row: The row's columns, as far as they could be read.
        error: Why it has no answer.
        options: What all rows have in common.
        where: File and line of the row; named in what was refused before any request.
    """
    message = error.message
    if where and isinstance(error, ArgumentError):
        message = f"{where}: {message}"
    return options.columns.merge(
        row,
        {
            **dict.fromkeys(("text", "finish_reason", "usage", "seed")),
            "error": {
                "type": type(error).__name__,
                "message": message,
                "status": (error.status or None) if isinstance(error, APIError) else None,
                "requests": error.requests,
            },
        },
    )


def _prompt(row: Row, options: RowOptions) -> str:
    if options.prompt:
        return options.prompt.fill(row)
    name = options.columns["inputs"]
    if name not in row or row[name] is None:
        messages = options.columns["messages"]
        raise ArgumentError(
            "inputs", f"there is no prompt: the row has no column {name!r} or {messages!r}"
        )
    return cast("str", row[name])  # checked with the request


def _messages(row: Row, options: RowOptions) -> Sequence[Mapping[str, Any]]:
    given = None if options.prompt else options.columns.value(row, "messages")
    if given is None:
        messages = [{"role": "user", "content": check_prompt(_prompt(row, options))}]
    elif options.columns.value(row, "inputs"):
        raise ArgumentError("messages", "cannot be combined with inputs")
    else:
        messages = _json(given, "messages", "a list of objects")
        if not _is_list_of_objects(messages):
            raise ArgumentError("messages", "must be a list of objects")
    if options.system and not any(message.get("role") == "system" for message in messages):
        return [{"role": "system", "content": options.system}, *messages]
    return messages


def _is_list_of_objects(value: object) -> TypeGuard[Sequence[Mapping[str, Any]]]:
    if not isinstance(value, Sequence) or isinstance(value, str):
        return False
    return all(isinstance(one, Mapping) for one in cast("Sequence[object]", value))


def _own_parameters(row: Row, columns: Columns) -> dict[str, Any]:
    given = columns.value(row, "parameters")
    if given is None:
        return {}
    parameters = _json(given, "parameters", "an object")
    if not isinstance(parameters, Mapping):
        raise ArgumentError("parameters", f"must be an object, not {type(parameters).__name__}")
    return _set(cast("Mapping[str, Any]", parameters))


def _json(value: Any, name: str, kind: str) -> Any:
    """Parse a value that a table without objects has as text."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise ArgumentError(name, f"must be {kind}, or its JSON") from None


def _set(parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in parameters.items() if value is not None}
