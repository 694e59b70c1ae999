"""Structured answers: by grammar and in words, checked, once; and nothing is left on the caller's prompt."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from llama_index.core import PromptTemplate
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.types import PydanticProgramMode
from pydantic import BaseModel

from datacrunch_tgi import ArgumentError, StructuredOutputError
from datacrunch_tgi.testing import EmulatedEndpoint
from llamaindex_datacrunch import DataCrunch

SAID = '{"name": "Helsinki", "sea": {"name": "Baltic"}}'
PROMPT = PromptTemplate("Which city is by the {sea}?")


class Sea(BaseModel):
    name: str


class City(BaseModel):
    """A city."""

    name: str
    sea: Sea


HELSINKI = City(name="Helsinki", sea=Sea(name="Baltic"))


async def _streamed(model: DataCrunch, prompt: PromptTemplate, **kwargs: Any) -> list[Any]:
    stream = await model.astream_structured_predict(City, prompt, sea="Baltic", **kwargs)
    return [made async for made in stream]


WAYS: dict[str, Callable[..., Any]] = {
    "structured_predict": lambda m, p, **k: m.structured_predict(City, p, sea="Baltic", **k),
    "astructured_predict": lambda m, p, **k: m.astructured_predict(City, p, sea="Baltic", **k),
    "stream": lambda m, p, **k: [*m.stream_structured_predict(City, p, sea="Baltic", **k)],
    "astream": _streamed,
}


@pytest.fixture(params=WAYS)
def predict(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Each way to a structured answer, with a stream's last value."""

    async def predicted(model: DataCrunch, prompt: PromptTemplate = PROMPT, **kwargs: Any) -> Any:
        made = WAYS[request.param](model, prompt, **kwargs)
        made = await made if hasattr(made, "__await__") else made
        if isinstance(made, list):
            made = made[-1]
        return made

    return predicted


@pytest.mark.parametrize("name", ["mine", "llama-2-13b-chat"])
async def test_an_answer_is_of_the_class_and_asked_for_by_grammar_and_in_words(
    serve: Callable[..., EmulatedEndpoint], predict: Callable[..., Any], name: str
) -> None:
    """A grammar and the prompt ask for the class, and an instance is returned."""
    endpoint = serve(answers=SAID)
    model = DataCrunch(base_url=endpoint.url, model=name)
    assert await predict(model, llm_kwargs={"max_tokens": 99}) == HELSINKI
    (request,) = endpoint.requests
    parameters = request.json["parameters"]
    assert parameters["max_new_tokens"] == 99
    assert parameters["grammar"]["value"]["properties"]["sea"]["properties"].keys() == {"name"}
    prompt = request.json["inputs"]
    assert "Which city is by the Baltic?" in prompt
    assert '"required": ["name", "sea"]' in prompt
    assert "{{" not in prompt


@pytest.mark.parametrize("dialect", ["1.1.1", "3.3.7"])
@pytest.mark.parametrize("said", ["Helsinki!", SAID[:-1], '{"name": "Helsinki"}'])
async def test_what_is_not_of_the_class_is_an_error_that_shows_it(
    serve: Callable[..., EmulatedEndpoint], predict: Callable[..., Any], said: str, dialect: str
) -> None:
    """An answer that does not match raises an error that contains it."""
    model = DataCrunch(base_url=serve(answers=said, dialect=dialect).url)
    with pytest.raises(StructuredOutputError) as caught:
        await predict(model)
    assert caught.value.text == said
    assert repr(said) in str(caught.value)
    assert "A server without grammars" in caught.value.hint


async def test_where_it_is_asked_for_in_words_alone_no_grammar_is_sent(
    serve: Callable[..., EmulatedEndpoint], predict: Callable[..., Any]
) -> None:
    """`pydantic_program_mode="llm"` sends no grammar."""
    endpoint = serve(answers=f"Sure:\n```json\n{SAID}\n```", dialect="1.1.1")
    model = DataCrunch(base_url=endpoint.url, pydantic_program_mode="llm")
    assert await predict(model) == HELSINKI
    assert "grammar" not in endpoint.requests[0].json["parameters"]


async def test_an_answer_is_read_without_the_prompt_which_holds_the_schema(
    serve: Callable[..., EmulatedEndpoint], predict: Callable[..., Any]
) -> None:
    """`return_full_text` does not affect structured output."""
    model = DataCrunch(base_url=serve(answers=SAID).url, return_full_text=True)
    assert await predict(model) == HELSINKI


async def test_the_callers_prompt_stays_as_it_was(
    serve: Callable[..., EmulatedEndpoint], predict: Callable[..., Any]
) -> None:
    """LlamaIndex's own leaves a parser on it, with which no stream begins any more."""
    model = DataCrunch(base_url=serve(answers=SAID).url)
    prompt = PromptTemplate("Which city is by the {sea}?")
    await predict(model, prompt)
    assert prompt.output_parser is None
    assert "".join(model.stream(prompt, sea="Baltic")) == SAID


# LlamaIndex's StructuredLLM calls a method that pydantic deprecates.
@pytest.mark.filterwarnings("ignore::pydantic.PydanticDeprecatedSince20")
async def test_a_structured_llm_answers_with_instances(
    serve: Callable[..., EmulatedEndpoint],
) -> None:
    """`as_structured_llm` returns instances, in every method."""
    model = DataCrunch(base_url=serve(answers=SAID).url, model="llama-2-13b-chat")
    structured = model.as_structured_llm(City)
    hello = [ChatMessage("Which city, {if any}?")]
    assert structured.complete("Which city?").raw == HELSINKI
    assert structured.chat(hello).raw == HELSINKI
    assert (await structured.achat(hello)).raw == HELSINKI
    assert [response.raw for response in structured.stream_chat(hello)][-1] == HELSINKI
    streamed = await structured.astream_chat(hello)
    assert [response.raw async for response in streamed][-1] == HELSINKI


@pytest.mark.parametrize("said", [SAID, f"<think>A {{city}}?</think>Sure:\n```json\n{SAID}\n```"])
@pytest.mark.parametrize("name", ["mine", "llama-2-13b-chat"])
@pytest.mark.parametrize("way", ["stream", "astream"])
async def test_a_streamed_object_grows_and_ends_as_an_instance(
    serve: Callable[..., EmulatedEndpoint], way: str, name: str, said: str
) -> None:
    """Partial objects have the fields so far, the others are None; the last is the validated whole."""
    model = DataCrunch(base_url=serve(answers=said, dialect="1.1.1").url, model=name)
    made = WAYS[way](model, PROMPT)
    *partial, last = await made if hasattr(made, "__await__") else made
    assert last == HELSINKI
    names = [each.name for each in partial]
    assert names == sorted(names, key=len)
    assert "Helsinki".startswith(names[0])
    assert names[0] != names[-1] == "Helsinki"
    assert partial[0].sea is None
    assert [each.sea["name"] for each in partial if each.sea][-1] == "Baltic"


async def test_an_answer_by_grammar_has_no_reasoning(
    serve: Callable[..., EmulatedEndpoint], predict: Callable[..., Any]
) -> None:
    """What the prompt begins is ended: a grammar leaves no room for it."""
    endpoint = serve(answers=SAID)
    template = "{{ messages[0].content }}{% if add_generation_prompt %}\n<think>\n{% endif %}"
    assert await predict(DataCrunch(base_url=endpoint.url, chat_template=template)) == HELSINKI
    assert endpoint.requests[-1].json["inputs"].endswith("<think>\n\n</think>\n\n")


class Comment(BaseModel):
    text: str
    answers: list["Comment"]


async def test_a_class_that_no_grammar_can_describe_is_refused_with_the_mode_that_works(
    serve: Callable[..., EmulatedEndpoint],
) -> None:
    """A recursive class is refused with the mode that works."""
    endpoint = serve(answers='{"text": "a", "answers": [{"text": "b", "answers": []}]}')
    model = DataCrunch(base_url=endpoint.url)
    with pytest.raises(ArgumentError, match=r'pydantic_program_mode="llm"'):
        model.structured_predict(Comment, PROMPT, sea="Baltic")
    assert not endpoint.requests
    in_words = model.model_copy(update={"pydantic_program_mode": PydanticProgramMode.LLM})
    made = in_words.structured_predict(Comment, PROMPT, sea="Baltic")
    assert made.answers[0].text == "b"


async def test_arguments_that_programs_for_tools_take_are_dropped(
    serve: Callable[..., EmulatedEndpoint], predict: Callable[..., Any]
) -> None:
    """Arguments for tool calls do not affect structured output."""
    model = DataCrunch(base_url=serve(answers=SAID).url)
    options = {"tool_choice": "City", "tool_required": True, "allow_parallel_tool_calls": False}
    assert await predict(model, llm_kwargs=options) == HELSINKI


class Colour(BaseModel):
    kind: Literal["red", "green", "blue"]
    dark: bool


@pytest.fixture(scope="module")
def obedient(tiny_llama: Path) -> Iterator[EmulatedEndpoint]:
    with EmulatedEndpoint(model=tiny_llama) as endpoint:
        yield endpoint


async def test_a_model_under_a_grammar_can_say_nothing_else(obedient: EmulatedEndpoint) -> None:
    """A real model under a grammar answers with the class."""

    def model(**options: Any) -> DataCrunch:
        return DataCrunch(base_url=obedient.url, model="llama-2-13b-chat", max_tokens=60, **options)

    assert isinstance(model().structured_predict(Colour, PromptTemplate("A colour")), Colour)
    with pytest.raises(StructuredOutputError):
        model(pydantic_program_mode="llm").structured_predict(Colour, PromptTemplate("A colour"))
