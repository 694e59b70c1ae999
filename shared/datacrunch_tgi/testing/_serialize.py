"""Answers as bytes: JSON as serde_json writes it, events, and the headers of answers.

Keys, their order, absent keys and the format of numbers are the servers'.
"""

import json
import math
from collections.abc import Iterable, Mapping

from datacrunch_tgi.testing._detokenizer import TokenSpan
from datacrunch_tgi.testing._dialect import Dialect
from datacrunch_tgi.testing._errors import ServerError
from datacrunch_tgi.testing._generation import Generation, Token
from datacrunch_tgi.testing._serde import round_to_f32
from datacrunch_tgi.testing._service import Times

_COMPUTE_TYPE = {"x-compute-type": "gpu+optimized"}
_SIGNIFICANT_DIGITS = range(1, 10)
"""Nine distinguish all numbers of single precision."""
_PLAIN_EXPONENTS = range(-5, 14)
"""Positions of the decimal point for which serde_json writes no exponent."""


def dump(value: object) -> str:
    """Write compact JSON in raw UTF-8."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def dump_f32(number: float | None) -> str:
    """Write a number of single precision with as few digits as distinguish it."""
    if number is None or not math.isfinite(number):
        return "null"
    candidates = (f"{number:.{digits - 1}e}" for digits in _SIGNIFICANT_DIGITS)
    written = next(text for text in candidates if round_to_f32(float(text)) == round_to_f32(number))
    mantissa, _, exponent = written.partition("e")
    sign = "-" if mantissa.startswith("-") else ""
    figures = mantissa.lstrip("-").replace(".", "")
    point = int(exponent) + 1
    if point not in _PLAIN_EXPONENTS:
        whole, rest = figures[0], figures[1:]
        return f"{sign}{whole}{'.' if rest else ''}{rest}e{point - 1}"
    if point <= 0:
        return f"{sign}0.{'0' * -point}{figures}"
    return f"{sign}{figures[:point].ljust(point, '0')}.{figures[point:] or '0'}"


def error(server_error: ServerError) -> str:
    """Write the error object of a body or an event."""
    return dump({"error": str(server_error), "error_type": server_error.kind})


def event(data: str, dialect: Dialect) -> bytes:
    """Write a server-sent event."""
    return f"{dialect.data_field}{data}\n\n".encode()


def token_event(
    generation: Generation, full_text_of: str, dialect: Dialect, *, details: bool
) -> bytes:
    """Write the event of a generation's latest token.

    Args:
        generation: The answer so far.
        full_text_of: The prompt if it precedes the generated text, else "".
        dialect: The server that is emulated.
        details: Whether details were requested.
    """
    index = f'"index":{len(generation.tokens)},' if dialect.counts_events else ""
    token = _token(generation.tokens[-1])
    top_tokens = ""
    if generation.top_tokens:
        top_tokens = f',"top_tokens":{_tokens(generation.top_tokens[-1])}'
    text = ending = "null"
    if generation.finish_reason is not None:
        text = dump(full_text_of + generation.generated_text)
        if details:
            length = f',"input_length":{len(generation.request.prompt_ids)}'
            ending = f"{{{_ending(generation)}{length if dialect.sends_input_length else ''}}}"
    return event(
        f'{{{index}"token":{token}{top_tokens},"generated_text":{text},"details":{ending}}}',
        dialect,
    )


def answer(generations: list[Generation], full_text_of: str, *, details: bool) -> str:
    """Write the body of an answer from its generations, the best first."""
    best, *others = generations
    text = dump(full_text_of + best.generated_text)
    if not details:
        return f'{{"generated_text":{text}}}'
    best_of = ""
    if others:
        sequences = ",".join(
            f'{{"generated_text":{dump(full_text_of + other.generated_text)},{_details(other)}}}'
            for other in others
        )
        best_of = f',"best_of_sequences":[{sequences}]'
    return f'{{"generated_text":{text},"details":{{{_details(best, best_of)}}}}}'


def token_spans(tokens: Iterable[TokenSpan]) -> str:
    """Write the answer of `/tokenize`."""
    return dump(
        [
            {"id": token.id, "text": token.text, "start": token.start, "stop": token.stop}
            for token in tokens
        ]
    )


def stream_headers(inputs: str) -> dict[str, str]:
    """Return the headers of a stream."""
    return {
        "content-type": "text/event-stream",
        "cache-control": "no-cache",
        **_COMPUTE_TYPE,
        "x-compute-characters": str(len(inputs)),
        "x-accel-buffering": "no",
    }


def answer_headers(generation: Generation, times: Times, dialect: Dialect) -> dict[str, str]:
    """Return the headers of an answer that is not streamed; times are integer milliseconds."""
    request, count = generation.request, len(generation.tokens)
    compute_time = _milliseconds(times.total)
    if dialect.compute_time_in_seconds:
        compute_time = f"{times.total:.9f}"
    headers = {
        "content-type": "application/json",
        **_COMPUTE_TYPE,
        "x-compute-time": compute_time,
        "x-compute-characters": str(len(request.inputs)),
        "x-total-time": _milliseconds(times.total),
        "x-validation-time": _milliseconds(times.validation),
        "x-queue-time": _milliseconds(times.queue),
        "x-inference-time": _milliseconds(times.inference),
        "x-time-per-token": _milliseconds(times.inference / count),
    }
    if dialect.sends_token_counts:
        headers["x-prompt-tokens"] = str(len(request.prompt_ids))
        headers["x-generated-tokens"] = str(count)
    return headers


def info(dialect: Dialect, settings: Mapping[str, object]) -> str:
    """Write the answer of `/info`, with this endpoint's settings."""
    return dump({key: settings.get(key, value) for key, value in dialect.info.items()})


def _milliseconds(seconds: float) -> str:
    return str(int(seconds * 1000))


def _token(token: Token) -> str:
    special = "true" if token.special else "false"
    return (
        f'{{"id":{token.id},"text":{dump(token.text)},'
        f'"logprob":{dump_f32(token.logprob)},"special":{special}}}'
    )


def _prefill_token(token: Token) -> str:
    return f'{{"id":{token.id},"text":{dump(token.text)},"logprob":{dump_f32(token.logprob)}}}'


def _tokens(tokens: Iterable[Token]) -> str:
    return f"[{','.join(map(_token, tokens))}]"


def _ending(generation: Generation) -> str:
    return (
        f'"finish_reason":"{generation.finish_reason}",'
        f'"generated_tokens":{len(generation.tokens)},"seed":{dump(generation.seed)}'
    )


def _details(generation: Generation, best_of_sequences: str = "") -> str:
    prefill = ",".join(map(_prefill_token, generation.prefill))
    top_tokens = ""
    if generation.top_tokens:
        top_tokens = f',"top_tokens":[{",".join(map(_tokens, generation.top_tokens))}]'
    return (
        f'{_ending(generation)},"prefill":[{prefill}],"tokens":{_tokens(generation.tokens)}'
        f"{best_of_sequences}{top_tokens}"
    )
