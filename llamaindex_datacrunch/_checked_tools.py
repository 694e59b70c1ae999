"""Tools that refuse arguments that violate their schema, as LangChain's tools do and LlamaIndex's do not."""

from contextlib import suppress
from typing import Any, cast

from llama_index.core.tools import BaseTool, FunctionTool, ToolOutput
from llama_index.core.tools.calling import (
    acall_tool,  # pyright: ignore[reportUnknownVariableType]  # LlamaIndex leaves it untyped
    call_tool,  # pyright: ignore[reportUnknownVariableType]  # likewise
)
from pydantic import ValidationError

from datacrunch_tgi._structured import check_schema, violation


def checked(tool: BaseTool) -> FunctionTool:
    """Return a tool that checks the arguments of a call, and then calls this one."""

    def call(**arguments: Any) -> ToolOutput:
        return call_tool(tool, _valid(tool, arguments))

    async def acall(**arguments: Any) -> ToolOutput:
        return await acall_tool(tool, _valid(tool, arguments))

    def result(output: ToolOutput) -> ToolOutput:
        return output

    async def aresult(output: ToolOutput) -> ToolOutput:
        return output

    # The callbacks make the output of the tool, such as an error, that of this one.
    return FunctionTool(call, tool.metadata, acall, result, aresult)


def _valid(tool: BaseTool, arguments: dict[str, Any]) -> dict[str, Any]:
    """Return arguments that match a tool's schema.

    Raises:
        ValueError: They violate it, and its class cannot convert them (`"1"` to 1).
    """
    schema = cast("dict[str, Any]", tool.metadata.get_parameters_dict())  # pyright: ignore[reportUnknownMemberType]  # LlamaIndex leaves it untyped
    error = violation(check_schema(schema), arguments)
    if not error:
        return arguments
    if tool.metadata.fn_schema:
        with suppress(ValidationError):
            converted = tool.metadata.fn_schema.model_validate(arguments)
            return converted.model_dump(mode="json", by_alias=True, exclude_unset=True)
    raise ValueError(f"the arguments violate the schema: {error}")
