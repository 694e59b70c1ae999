"""From answers and events of the transport to LangChain's generations and results. Pure.

    Answer ───────▶ to_generation ────────────┐
                                              ├─▶ to_result ─▶ merge_results ─▶ LLMResult of all prompts
    StreamEvent ──▶ Chunks ───▶ merge_chunks ─┘

`generation_info` has the same keys whether the answer was streamed or not; what the server does not
report is left out:

    finish_reason      `stop`, `length` or, in a chat, `tool_calls`, as in LangChain's other models
    tgi_finish_reason  TGI's own: `eos_token`, `stop_sequence` or `length`
    seed               if the answer was sampled
    token_usage        `prompt_tokens`, `completion_tokens`, `total_tokens`
    model_name
    request_id         the server's name for the request (`x-request-id`)
    tokens             for each token `id`, `text`, `logprob`, `special`, `top_tokens`
    prefill            the prompt's tokens, if `decoder_input_details` requested them
    best_of_sequences  the answers that `best_of` generated and did not choose

Adding chunks adds their numbers and concatenates their strings and lists. So a callback's chunk has its
token as a list of one, and only the last chunk has the other keys. The chunks that LangChain adds up are
cheaper: each has its text, and the last has everything else.
"""

from collections.abc import Iterable, Sequence
from itertools import chain, repeat
from typing import Any

from langchain_core.outputs import Generation, GenerationChunk, LLMResult
from pydantic import BaseModel

from datacrunch_tgi import Answer, StreamEvent, Token
from datacrunch_tgi._integration import finish_reasons


def to_generation(answer: Answer, model: str) -> Generation:
    """Return the generation for an answer that was not streamed."""
    info = response_metadata(answer, model)
    if details := answer.details:
        info["tokens"] = [
            _token(token, alternatives)
            for token, alternatives in zip(
                details.tokens, chain(details.top_tokens, repeat(())), strict=False
            )
        ]
    return Generation(text=answer.text, generation_info=info)


class Chunks:
    """Converts the events of one stream. In each method, `answer` is None except for the last event."""

    def __init__(self) -> None:
        self._tokens: list[dict[str, Any]] = []

    def to_chunk(self, event: StreamEvent, answer: Answer | None, model: str) -> GenerationChunk:
        """Return the chunk for one event.

        LangChain adds each chunk to the sum of those before it, which is slow if the sum is large.
        """
        self._tokens.append(_token(event.token, event.top_tokens))
        info = None
        if answer:
            info = response_metadata(answer, model)
            if answer.details:
                info["tokens"] = (
                    self._tokens
                )  # to read them from the answer again would take longer
        return GenerationChunk(text=event.text, generation_info=info)

    def for_callbacks(
        self, event: StreamEvent, answer: Answer | None, model: str
    ) -> GenerationChunk:
        """Return the chunk for one event that callbacks get, with its token."""
        info: dict[str, Any] = response_metadata(answer, model) if answer else {}
        info["tokens"] = [_token(event.token, event.top_tokens)]
        return GenerationChunk(text=event.text, generation_info=info)


def merge_chunks(chunks: Sequence[GenerationChunk]) -> Generation:
    """Return the generation of a streamed answer: the sum of its chunks, in linear time."""
    text = "".join(chunk.text for chunk in chunks)
    return Generation(text=text, generation_info=chunks[-1].generation_info)


def to_result(generation: Generation) -> LLMResult:
    """Return the result for one prompt."""
    info = generation.generation_info or {}
    return LLMResult(generations=[[generation]], llm_output=llm_output(info))


def llm_output(metadata: dict[str, Any]) -> dict[str, Any]:
    """Return what the result of one prompt shows of its metadata."""
    names = ("token_usage", "model_name", "request_id")
    return {name: metadata[name] for name in names if name in metadata}


def merge_results(results: Sequence[LLMResult]) -> LLMResult:
    """Merge the results of several prompts, in order, and add up their tokens.

    A sum is left out if one of the prompts has no such number.
    """
    return LLMResult(
        generations=[generations for result in results for generations in result.generations],
        llm_output=sum_usage([result.llm_output for result in results]),
        run=[run for result in results for run in result.run or ()] or None,
    )


def sum_usage(outputs: Sequence[dict[str, Any] | None]) -> dict[str, Any] | None:
    """Add up the tokens of several prompts' `llm_output`, and keep what is the same in all.

    None if there is none.
    """
    known = [output for output in outputs if output]
    usages: list[dict[str, int]] = [output["token_usage"] for output in known]
    names = set[str]().union(*usages).intersection(*usages)
    total = {name: sum(usage[name] for usage in usages) for name in sorted(names)}
    common = {
        name: value
        for name, value in (known[-1] if known else {}).items()
        if all(output.get(name) == value for output in known)
    }
    return {**common, "token_usage": total} if known else None


def response_metadata(answer: Answer, model: str, *, called: bool = False) -> dict[str, Any]:
    """Return what is known about an answer, except for its tokens.

    Args:
        answer: The answer.
        model: The model's name.
        called: Whether it calls tools.
    """
    details = answer.details
    reported = {
        **finish_reasons(answer, called=called),
        "seed": details and details.seed,
        "prefill": details and _dumped(details.prefill),
        "best_of_sequences": details and _dumped(details.best_of_sequences),
        "request_id": answer.request_id,
    }
    return {
        **{name: value for name, value in reported.items() if value not in (None, [])},
        "token_usage": answer.usage.model_dump(exclude_none=True),
        "model_name": model,
    }


def _token(token: Token, alternatives: Sequence[Token]) -> dict[str, Any]:
    # Without other fields of the server: LangChain would merge tokens that have the same "index".
    made = vars(token).copy()
    if alternatives:
        made["top_tokens"] = [_token(other, ()) for other in alternatives]
    return made


def _dumped(models: Iterable[BaseModel]) -> list[dict[str, Any]]:
    return [model.model_dump(mode="json") for model in models]
