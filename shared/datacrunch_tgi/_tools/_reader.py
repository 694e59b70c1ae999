"""Reads tool calls and text from the tokens of an answer. Pure."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from datacrunch_tgi._protocol._reasoning import REASONING, REASONING_MARKS
from datacrunch_tgi._protocol._schema import Token
from datacrunch_tgi._protocol._stop import StopFilter
from datacrunch_tgi._tools._calls import Delta, InvalidToolCall, ToolCall
from datacrunch_tgi._tools._formats import ToolFormat
from datacrunch_tgi._tools._objects import Context
from datacrunch_tgi._tools._output import Output
from datacrunch_tgi._tools._parser import Parser
from datacrunch_tgi._tools._source import Source, marker, without_markers


class ToolCallReader:
    """Reads one answer, token by token.

    The result does not depend on how the text is split into tokens or chunks.

    Attributes:
        text: Text so far, without calls.
        raw_text: Everything that the model wrote, including calls and markers.
    """

    def __init__(
        self,
        tool_format: ToolFormat,
        tools: Sequence[Mapping[str, Any]],
        *,
        stop: Sequence[str] = (),
        in_words: bool = False,
        final: bool = False,
        reasoning: bool = False,
        parallel: bool = True,
    ) -> None:
        """Start an answer.

        Args:
            tool_format: How the model writes calls.
            tools: The offered tools, in OpenAI's form. If there are none, everything is text.
            stop: Stop strings of the request; the answer ends before the first.
            in_words: Whether calls may also be plain JSON, because the prompt asked for it.
            final: Whether that JSON may also be a final answer.
            reasoning: Whether the prompt has started the model's reasoning.
            parallel: Whether calls after the first are kept.
        """
        self.text = ""
        self.raw_text = ""
        self._stop = StopFilter(stop)
        self._ends = frozenset(stop)  # special tokens among them
        self._ended = False
        self._format = tool_format
        special = (*tool_format.special, *REASONING, *REASONING.values())
        self._special = {text: marker(place) for place, text in enumerate(special)}
        self._source = Source()
        spelled = {ord(one): text for text, one in self._special.items()}
        self._output = Output(spelled, REASONING_MARKS, most=math.inf if parallel else 1)
        schemas = {tool["function"]["name"]: tool["function"]["parameters"] for tool in tools}
        context = Context(
            self._source, self._output, schemas, tool_format.syntax == "mistral", final
        )
        parser = Parser(context, tool_format, self._special, in_words=in_words)
        self._steps = parser.read(reasoning=reasoning) if tools else parser.read_text()
        next(self._steps, None)

    @property
    def calls(self) -> list[ToolCall]:
        """Valid calls so far."""
        return self._output.calls

    @property
    def invalid_calls(self) -> list[InvalidToolCall]:
        """Invalid calls so far."""
        return self._output.invalid_calls

    @property
    def finish_reason(self) -> str | None:
        """As passed to `finish`."""
        return self._output.finish_reason

    def push(self, token: Token) -> Delta:
        """Add the next token, special or not; return what can be shown now."""
        if self._stop.found or self._ended:
            return Delta()
        plain = without_markers(token.text)
        if not token.special:
            return self._take(self._stop.push(plain))
        if plain in self._ends:
            self._ended = True
            return Delta()
        if plain in self._special:
            return self._take(self._stop.flush() + self._special[plain])
        return self._take(self._stop.flush() + plain) if plain in self._format.plain else Delta()

    def finish(self, finish_reason: str | None) -> Delta:
        """End the answer; return what was held back. An incomplete call becomes invalid.

        Args:
            finish_reason: TGI's: `length`, `eos_token` or `stop_sequence`; None if unknown.
        """
        rest = self._stop.flush()
        self._output.finish_reason = "stop_sequence" if self._stop.found else finish_reason
        self._source.ended = True
        return self._take(rest)

    def read(self, tokens: Sequence[Token], finish_reason: str | None) -> None:
        """Read a complete answer: the tokens of `details`."""
        for token in tokens:
            self.push(token)
        self.finish(finish_reason)

    def _take(self, text: str) -> Delta:
        self.raw_text += self._output.written(text)
        self._source.push(text)
        next(self._steps, None)
        delta = self._output.taken()
        self.text += delta.text
        return delta
