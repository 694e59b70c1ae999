"""What a run may be told: every option with its type, unit and default."""

import os
from collections.abc import Mapping
from hashlib import blake2b
from typing import Annotated, Any, TypedDict, Unpack

from pydantic import BaseModel, ConfigDict, Field

from datacrunch_tgi._chat import ChatTemplate
from datacrunch_tgi._errors import ArgumentError
from datacrunch_tgi._protocol._parameters import Parameters, check_parameters
from datacrunch_tgi._validation import Text, check_fields
from datacrunch_tgi.batch._columns import Columns, dump
from datacrunch_tgi.batch._prompts import PromptTemplate
from datacrunch_tgi.batch._rows import RowOptions


class BatchFields(BaseModel):
    """Every option of a run."""

    model_config = ConfigDict(use_attribute_docstrings=True, arbitrary_types_allowed=True)

    parameters: Mapping[str, Any] | None = None
    """Parameters of every row. A row's own column `parameters` takes precedence."""
    extra_parameters: Mapping[str, Any] | None = None
    """More parameters, for newer servers; sent unchecked."""
    prompt: Text | None = None
    """Prompt made of columns, such as "Label this: {text}"; {{ and }} are braces. Default: the column
    `inputs`, or `messages` in the model's chat template."""
    columns: Mapping[str, Text] | None = None
    """Names of columns: `id`, `inputs`, `messages` and `parameters` of the input; `text`,
    `finish_reason`, `usage`, `seed`, `details` and `error` of the output. Default: these names."""
    chat: bool = False
    """Send the prompt as a user's message, in the model's chat template."""
    system: Text | None = None
    """Text of the system message, for messages that have none."""
    chat_template: Any = None
    """Chat template: a name (llama-2, chatml, …), the path of a file or of the model's folder, Jinja
    text, or a ChatTemplate. Default: by the model's name, or else by the name that the server reports."""
    concurrency: Annotated[int, Field(ge=1)] = 64
    """Maximum number of requests at a time. As many are open as the server takes without an overload."""
    patience: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 600.0
    """How long to wait for a server that is overloaded or gone, while no row is answered, in seconds."""


class BatchOptions(TypedDict, total=False):
    """Keyword arguments of `run`, `run_file` and their sync twins."""

    parameters: Parameters | None
    extra_parameters: Mapping[str, Any] | None
    prompt: str | None
    columns: Mapping[str, str] | None
    chat: bool
    system: str | None
    chat_template: ChatTemplate | str | os.PathLike[str] | None
    concurrency: int
    patience: float


class Checked:
    """The options of a run, checked.

    Attributes:
        rows: What rows need of them.
        chat_template: The chat template as it was given.
        concurrency: Maximum number of requests at a time.
        patience: How long to wait for a server, in seconds.

    Raises:
        ArgumentError: Names the option, its value and the rule that it breaks.
    """

    def __init__(self, **given: Unpack[BatchOptions]) -> None:
        names = {name: value for name, value in given.items() if value is not None}
        fields = BatchFields.model_construct(**check_fields(BatchFields, names))
        check_parameters({"details": True, **(fields.parameters or {})}, streaming=False)
        self.chat_template = fields.chat_template
        self.concurrency, self.patience = fields.concurrency, fields.patience
        self.rows = RowOptions(
            parameters=fields.parameters or {},
            extra_parameters=fields.extra_parameters or {},
            prompt=PromptTemplate(fields.prompt) if fields.prompt else None,
            columns=Columns(fields.columns),
            chat=fields.chat,
            system=fields.system,
        )
        if fields.chat_template is not None:
            ChatTemplate.of(fields.chat_template)
        if fields.chat and fields.prompt == "":
            raise ArgumentError("prompt", "cannot be empty")

    def digests(self) -> dict[str, str]:
        """Return a digest of each option that answers depend on."""
        rows = self.rows
        parameters = check_parameters({"details": True, **rows.parameters}, streaming=False)
        template = self.chat_template and ChatTemplate.of(self.chat_template)
        values: dict[str, Any] = {
            "parameters": parameters | {"details": rows.parameters.get("details")},
            "extra_parameters": rows.extra_parameters,
            "prompt": rows.prompt and rows.prompt.text,
            "columns": rows.columns.names,
            "chat": rows.chat,
            "system": rows.system,
            "chat_template": template and repr(template),
        }
        return {name: _digest(value) for name, value in values.items()}


def _digest(value: Any) -> str:
    return blake2b(dump(value).encode(), digest_size=8).hexdigest()
