"""Reads tool calls and text from the tokens of an answer. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from datacrunch_tgi._protocol._schema import Token
from datacrunch_tgi._tools._calls import Delta, InvalidToolCall, ToolCall
from datacrunch_tgi._tools._formats import ToolFormat


class ToolCallReader:
    """Reads one answer, token by token.

    The same tokens give the same text and calls, wherever a stream or a token is cut.

    Attributes:
        text: The text shown so far, without calls.
        raw_text: Everything that the model wrote, calls included, markers written out.
        calls: The calls that could be read.
        invalid_calls: The calls that could not.
        finish_reason: As passed to `finish`.
    """

    def __init__(
        self,
        tool_format: ToolFormat,
        tools: Sequence[Mapping[str, Any]],
        *,
        stop: Sequence[str] = (),
        in_words: bool = False,
    ) -> None:
        """Start an answer.

        Args:
            tool_format: How the model writes calls.
            tools: The tools that were offered, in OpenAI's form.
            stop: The request's stop strings: the answer ends before the first.
            in_words: Whether calls may also come as plain JSON, since the prompt asked for it.
        """
        self._format, self._tools, self._stop, self._in_words = tool_format, tools, stop, in_words
        self.text = ""
        self.raw_text = ""
        self.calls = list[ToolCall]()
        self.invalid_calls = list[InvalidToolCall]()
        self.finish_reason: str | None = None

    def push(self, token: Token) -> Delta:
        """Take the next token, special or not; return what can be shown now."""
        raise NotImplementedError

    def finish(self, finish_reason: str | None) -> Delta:
        """End the answer; return what was held back. A call that is not complete becomes invalid.

        Args:
            finish_reason: TGI's: `length`, `eos_token` or `stop_sequence`; None if unknown.
        """
        raise NotImplementedError

    def read(self, tokens: Sequence[Token], finish_reason: str | None) -> None:
        """Read a whole answer: the tokens of `details`."""
        for token in tokens:
            self.push(token)
        self.finish(finish_reason)
