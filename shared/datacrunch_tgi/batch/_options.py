"""Options of a run, with types, units and defaults."""

import os
from collections.abc import Mapping
from hashlib import blake2b
from typing import Annotated, Any, TypedDict, Unpack

from pydantic import BaseModel, ConfigDict, Field

from datacrunch_tgi._chat import ChatTemplate
from datacrunch_tgi._errors import ArgumentError
from datacrunch_tgi._protocol._parameters import Parameters, check_parameters
from datacrunch_tgi._signatures import with_documented_fields
from datacrunch_tgi._validation import Text, check_fields
from datacrunch_tgi.batch._columns import Columns, dump
from datacrunch_tgi.batch._prompts import PromptTemplate
from datacrunch_tgi.batch._rows import RowOptions


class BatchFields(BaseModel):
    """Options of a run, with types, units and defaults."""

    model_config = ConfigDict(use_attribute_docstrings=True, arbitrary_types_allowed=True)

    parameters: Mapping[str, Any] | None = None
    """Generation parameters of all rows. A row's own `parameters` take precedence."""
    extra_parameters: Mapping[str, Any] | None = None
    """More parameters, for newer servers; sent unchecked."""
    prompt: Text | None = None
    """Prompt template with column names, such as "Label this: {text}"; {{ and }} are braces. Default: the column
    `inputs`, or `messages` in the model's chat template."""
    columns: Mapping[str, Text] | None = None
    """Names of columns: `id`, `inputs`, `messages` and `parameters` of the input; `text`,
    `finish_reason`, `usage`, `seed`, `details` and `error` of the output. Default: these names."""
    chat: bool = False
    """Send the prompt as a user message, in the model's chat template."""
    system: Text | None = None
    """Text of the system message, for rows without one."""
    chat_template: Any = None
    """Chat template: a name (llama-2, chatml, …), the path of a file or of the model's folder, Jinja
    text, or a ChatTemplate. Default: by the model's name, or else by the name that the server reports."""
    concurrency: Annotated[int, Field(ge=1)] = 64
    """Maximum number of open requests. Fewer are open if the server is overloaded."""
    patience: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 600.0
    """Longest time without any answer from an overloaded or unreachable server, in seconds."""


class BatchOptions(TypedDict, total=False):
    """Keyword arguments of `run`, `run_file`, `run_sync` and `run_file_sync`.

    Args:
        **options: All are optional.
    """

    parameters: Parameters | None
    extra_parameters: Mapping[str, Any] | None
    prompt: str | None
    columns: Mapping[str, str] | None
    chat: bool
    system: str | None
    chat_template: ChatTemplate | str | os.PathLike[str] | None
    concurrency: int
    patience: float


with_documented_fields(BatchOptions, BatchFields)(BatchOptions)


class Checked:
    """The options of a run, checked.

    Attributes:
        rows: What rows need of them.
        chat_template: The chat template as it was given.
        concurrency: Maximum number of requests at a time.
        patience: How long to wait for a server, in seconds.

    Raises:
        ArgumentError: An option is invalid. The error names it, its value and the rule.
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
        if fields.prompt == "":
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
