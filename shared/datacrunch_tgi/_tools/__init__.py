"""Tool calls: the formats of model families, prompts that offer tools, and readers of calls. Pure.

    tools, tool_choice ──▶ ToolRequest ──┬─▶ template_tools, instructions ──▶ ChatTemplate.prompt
                              ▲          ├─▶ grammar ──▶ the parameter `grammar`, if a call is required
    setting, template, model ─┘          └─▶ reader() ──▶ ToolCallReader ◀── tokens of the answer
            (ToolFormat.find)                                  │
                                            text, ToolCallDelta, ToolCall, InvalidToolCall

How an adapter calls a model with tools:

    template = model.template
    form = ToolFormat.find(model.tool_format, template.tool_text, model.model)
    request = ToolRequest.of(tools, tool_choice, tool_format=form, in_words=not template.takes_tools)
    prompt = template.prompt(messages, tools=request.template_tools, instructions=request.instructions)
    reader = request.reader(stop)              # answer(prompt, grammar=request.grammar, details=True)
    for event in events:
        delta = reader.push(event.token)       # delta.text, delta.calls
    delta = reader.finish(finish_reason)       # what was held back
    request.check(reader)                      # raises if a required call is missing
    reader.text, reader.calls, reader.invalid_calls

Without a stream: `reader.read(answer.details.tokens, finish_reason)`. `stop` includes `template.stop`.
With `response_schema`, the final answer's JSON is `reader.text`, unwrapped.
"""

from datacrunch_tgi._tools._calls import Delta, InvalidToolCall, ToolCall, ToolCallDelta
from datacrunch_tgi._tools._formats import FORMATS, WORDS, ToolFormat
from datacrunch_tgi._tools._reader import ToolCallReader
from datacrunch_tgi._tools._request import ToolRequest, without_reasoning

__all__ = [
    "FORMATS",
    "WORDS",
    "Delta",
    "InvalidToolCall",
    "ToolCall",
    "ToolCallDelta",
    "ToolCallReader",
    "ToolFormat",
    "ToolRequest",
    "without_reasoning",
]
