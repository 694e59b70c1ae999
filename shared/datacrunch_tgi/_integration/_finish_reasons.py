"""Finish reasons as both frameworks spell them, and TGI's own."""

from datacrunch_tgi._protocol._schema import Answer


def finish_reasons(answer: Answer, *, called: bool = False) -> dict[str, str]:
    """Return `finish_reason` (`stop`, `length` or `tool_calls`) and TGI's `tgi_finish_reason`.

    Args:
        answer: The answer. Without a finish reason the result is empty.
        called: Whether the answer calls tools.
    """
    reason = answer.finish_reason
    if reason is None:
        return {}
    word = "length" if reason == "length" else "tool_calls" if called else "stop"
    return {"finish_reason": word, "tgi_finish_reason": reason}
