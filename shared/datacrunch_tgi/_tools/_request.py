"""The tools of one call: instructions for the prompt, the grammar, and a check of the answer. Pure."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, cast

from datacrunch_tgi._errors import LONGEST_MESSAGE, ArgumentError, StructuredOutputError, truncate
from datacrunch_tgi._protocol._reasoning import REASONING
from datacrunch_tgi._structured import check_schema, grammar_of, instructions, violation
from datacrunch_tgi._tools._formats import ToolFormat
from datacrunch_tgi._tools._reader import ToolCallReader

ToolChoice = str | bool | Mapping[str, Any] | None

MAX_CALLS = 4
"""Largest number of calls that a grammar allows; each one makes it slower to compile."""
_NO_ARGUMENTS: dict[str, Any] = {"type": "object", "properties": {}}
_SPELLINGS: dict[Any, str] = {"required": "any", True: "any", False: "none", None: "auto"}


@dataclass(frozen=True, kw_only=True)
class ToolRequest:
    """The tools of one call.

    Attributes:
        tools: In OpenAI's form, always with `parameters`.
        choice: `auto`, `none`, `any`, or the name of the tool to call.
        format: How the model writes calls.
        in_words: Whether the prompt describes the tools, because the chat template has no place for them.
        parallel: Whether one answer may have several calls.
        response_schema: JSON schema of the final answer; None for plain text.
        grammars: Whether the server may have grammars.
    """

    tools: tuple[dict[str, Any], ...]
    choice: str
    format: ToolFormat
    in_words: bool
    parallel: bool = True
    response_schema: Mapping[str, Any] | None = field(default=None, repr=False)
    grammars: bool = True

    @classmethod
    def of(
        cls,
        tools: Sequence[Mapping[str, Any]],
        tool_choice: ToolChoice = None,
        *,
        tool_format: ToolFormat,
        in_words: bool,
        parallel: bool = True,
        response_schema: Mapping[str, Any] | None = None,
        grammars: bool = True,
    ) -> "ToolRequest":
        """Check tools and choice.

        Args:
            tools: In OpenAI's form.
            tool_choice: None, `auto`, `none`, `any`, `required`, a bool, a tool's name, or OpenAI's or
                Anthropic's dict with a name.
            tool_format: How the model writes calls.
            in_words: Whether the chat template has no place for tools (`not template.takes_tools`).
            parallel: Whether one answer may have several calls.
            response_schema: JSON schema of the final answer, if the model may call or answer.
            grammars: Whether the server may have grammars.

        Raises:
            ArgumentError: A tool is not a function with a schema, two tools have the same name,
                `tool_choice` names no tool, or requires a call without tools or with
                `response_schema`.
        """
        checked = tuple(_tool(tool, place) for place, tool in enumerate(tools))
        names = [tool["function"]["name"] for tool in checked]
        for name in names:
            if names.count(name) > 1:
                raise ArgumentError(
                    "tools", "two tools have this name: rename one", value=repr(name)
                )
        choice = _choice(tool_choice, names)
        if response_schema is not None and choice not in ("auto", "none"):
            rule = "cannot be combined with response_format, which allows a call or an answer"
            raise ArgumentError("tool_choice", rule, value=repr(choice))
        return cls(
            tools=checked,
            choice=choice,
            format=tool_format,
            in_words=in_words,
            parallel=parallel,
            response_schema=response_schema,
            grammars=grammars,
        )

    @property
    def offered(self) -> tuple[dict[str, Any], ...]:
        """The tools that the model may call."""
        if self.choice in ("auto", "any"):
            return self.tools
        return tuple(tool for tool in self.tools if tool["function"]["name"] == self.choice)

    @property
    def template_tools(self) -> list[dict[str, Any]] | None:
        """Tools to pass to `ChatTemplate.prompt`; None if the prompt describes them."""
        return None if self.in_words or not self.offered else list(self.offered)

    @property
    def forced(self) -> bool:
        """Whether a call is required."""
        return self.choice not in ("auto", "none")

    @property
    def schema(self) -> dict[str, Any] | None:
        """JSON schema of the answer; None if the model answers freely."""
        if not self.offered:
            return None if self.response_schema is None else dict(self.response_schema)
        calls = _object(tool_calls=self._calls)
        if self.forced:
            return calls
        if self.response_schema is None:
            return None
        return _object(response={"anyOf": [calls, _object(answer=dict(self.response_schema))]})

    @cached_property
    def grammar(self) -> dict[str, Any] | None:
        """The parameter `grammar`; None if the model answers freely, or if the schema has no grammar."""
        schema = self.schema
        if schema is None or not self.grammars:
            return None
        try:
            return grammar_of(schema)
        except ArgumentError:  # a recursive schema: only the prompt asks for it
            return None

    @property
    def instructions(self) -> str:
        """Instructions for the prompt, about tools and JSON; "" if none."""
        if not self.offered:
            return "" if self.response_schema is None else instructions(self.response_schema)
        shape = '{"tool_calls": [{"name": <tool name>, "arguments": <arguments object>}]}'
        parts = list[str]()
        if self.in_words:
            functions = "\n".join(
                json.dumps(tool["function"], ensure_ascii=False) for tool in self.offered
            )
            parts.append(
                f"You can call these tools. Each line describes one, with the JSON schema of its arguments:\n{functions}"
            )
        many = "one or more tools" if self.parallel else "exactly one tool"
        if self.forced:
            parts.append(
                f"Call {many}. Answer with only this JSON object and no other text:\n{shape}"
            )
        elif self.response_schema is not None:
            schema = json.dumps(self.response_schema, ensure_ascii=False)
            parts.append(
                f"Answer with only one JSON object and no other text. To call {many}:\n"
                f'{{"response": {shape}}}\n'
                'For the final answer, once no more calls are needed:\n{"response": {"answer": <answer>}}\n'
                f"where the answer matches this JSON schema:\n{schema}"
            )
        elif self.in_words:
            parts.append(
                f"To call {many}, answer with only this JSON object and no other text:\n{shape}\n"
                "If no call is needed, answer the user in plain text."
            )
        return "\n\n".join(parts)

    def reader(self, stop: Sequence[str] = (), prompt: str = "") -> ToolCallReader:
        """Return a reader for one answer.

        Args:
            stop: Stop strings of the request, which end the answer.
            prompt: The prompt, which may begin the model's reasoning.
        """
        bare = self.in_words or self.schema is not None
        return ToolCallReader(
            self.format,
            self.offered,
            stop=stop,
            in_words=bare,
            final=self.response_schema is not None,
            parallel=self.parallel,
            reasoning=prompt.rstrip().endswith((*REASONING,)),
        )

    def check(self, reader: ToolCallReader) -> None:
        """Check that a required call is present.

        Raises:
            StructuredOutputError: There is no call, valid or invalid; `text` is the answer.
        """
        names = {tool["function"]["name"] for tool in self.offered}
        if not self.forced or reader.invalid_calls or any(c.name in names for c in reader.calls):
            return
        wanted = "a tool" if self.choice == "any" else f"the tool {self.choice!r}"
        shown = truncate(reader.raw_text, LONGEST_MESSAGE)
        error = StructuredOutputError(f"the model did not call {wanted}; it answered {shown!r}")
        error.text = reader.raw_text
        error.hint = (
            "Raise max_new_tokens: the limit ended the answer."
            if reader.finish_reason == "length"
            else "Use a server with grammars (TGI 1.4.1 or newer), or a model trained for tools."
        )
        raise error

    def violations(self, reader: ToolCallReader) -> dict[str, str]:
        """Return what is wrong with the arguments of calls, by call id.

        A grammar does not enforce `minimum` and the like. The calls stay calls: an agent's tool answers
        them with an error.
        """
        schemas = {
            tool["function"]["name"]: tool["function"]["parameters"] for tool in self.offered
        }
        found = dict[str, str]()
        for call in reader.calls:
            check = _validator(json.dumps(schemas.get(call.name, {}), default=repr))
            if error := violation(check, call.arguments):
                found[call.id] = f"the arguments violate the schema: {error}"
        return found

    @property
    def _calls(self) -> dict[str, Any]:
        calls = [
            _object(
                name={"const": tool["function"]["name"]}, arguments=tool["function"]["parameters"]
            )
            for tool in self.offered
        ]
        items = calls[0] if len(calls) == 1 else {"anyOf": calls}
        most = MAX_CALLS if self.parallel else 1
        return {"type": "array", "items": items, "minItems": 1, "maxItems": most}


def without_reasoning(prompt: str) -> str:
    """End the reasoning that a prompt begins: a grammar leaves no room for it."""
    opened = prompt.rstrip()
    for begin, end in REASONING.items():
        if opened.endswith(begin):
            return f"{opened}\n\n{end}\n\n"
    return prompt


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _tool(tool: Mapping[str, Any], place: int) -> dict[str, Any]:
    kind = tool.get("type")
    if kind == "function" and "name" in tool:  # OpenAI's Responses API
        tool = {"function": {name: value for name, value in tool.items() if name != "type"}}
    function = tool.get("function")
    where = f"tools[{place}]"
    if not isinstance(function, Mapping):
        raise ArgumentError(where, "must be a function; the server runs no tools", value=repr(kind))
    function = dict(cast("Mapping[str, Any]", function))
    if not isinstance(function.get("name"), str) or not function["name"]:
        raise ArgumentError(where, "must have a name")
    parameters = function.get("parameters")
    if parameters is None:
        parameters = _NO_ARGUMENTS
    if not isinstance(parameters, Mapping) or parameters.get("type", "object") != "object":  # pyright: ignore[reportUnknownMemberType]  # JSON
        rule = "parameters must be the JSON schema of an object"
        raise ArgumentError(where, rule, value=repr(function["name"]))
    try:
        _validator(json.dumps(parameters, default=repr))
    except ArgumentError as error:
        rule = f"parameters: {error.rule}"
        raise ArgumentError(where, rule, value=repr(function["name"])) from None
    function["parameters"] = parameters
    return {**tool, "type": "function", "function": function}


@lru_cache(256)  # an agent sends the same tools with every call, and a check takes milliseconds
def _validator(schema: str) -> Any:
    return check_schema(json.loads(schema))


def _choice(given: ToolChoice, names: Sequence[str]) -> str:
    name: Any = given
    if isinstance(given, Mapping):
        inner: Any = given.get("function") or given
        name = inner.get("name") or inner.get("type")
    if name in names:
        return cast("str", name)
    choice: Any = _SPELLINGS.get(name, name)
    if choice == "any" and not names:
        raise ArgumentError("tool_choice", "needs tools to choose from", value=repr(given))
    if choice not in ("auto", "none", "any"):
        known = ", ".join(names) or "there are none"
        rule = f"must be auto, none, any, required or the name of a tool ({known})"
        raise ArgumentError("tool_choice", rule, value=repr(name))
    return cast("str", choice)
