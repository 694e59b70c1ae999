"""Structured output: the requested value, or an error that shows the answer."""

import copy
import pickle
import re
from collections.abc import Awaitable, Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict

import pytest
from langchain_core.exceptions import OutputParserException
from pydantic import BaseModel, Field

from datacrunch_tgi import ArgumentError, StructuredOutputError
from datacrunch_tgi.testing import EmulatedEndpoint, ScriptedToken
from langchain_datacrunch import ChatDataCrunch

Call = Callable[..., Awaitable[Any]]
SAID = '{"name": "Helsinki", "people": 684018}'


class City(BaseModel):
    """A city."""

    name: str
    people: int = Field(ge=0)


class CityDict(TypedDict):
    """A city."""

    name: Annotated[str, ..., "Its name"]
    people: int


SCHEMAS = pytest.mark.parametrize("schema", [City, CityDict, City.model_json_schema()])


@pytest.fixture
def chat(serve: Callable[..., EmulatedEndpoint]) -> Callable[..., ChatDataCrunch]:
    """Make a chat model with a scripted server."""

    def make(said: Any, dialect: str = "3.3.7", **options: Any) -> ChatDataCrunch:
        url = serve(answers=said, dialect=dialect).url
        return ChatDataCrunch(base_url=url, model="llama-2-13b-chat", **options)

    return make


async def ask(call: Call, chain: Any, method: str = "invoke") -> Any:
    """What the chain returns; of a stream, the last."""
    answer = await call(chain, method, "Which city?")
    return answer[-1] if method == "stream" else answer


@SCHEMAS
@pytest.mark.parametrize("method", ["invoke", "stream"])
@pytest.mark.parametrize("by", ["json_schema", "function_calling", "json_mode"])
async def test_an_answer_matches_the_schema(
    chat: Callable[..., ChatDataCrunch], call: Call, schema: Any, method: str, by: Any
) -> None:
    """`with_structured_output` returns an instance or a dict that matches the schema."""
    chain = chat(SAID).with_structured_output(schema, method=by, strict=True)
    city = await ask(call, chain, method)
    assert city == (
        City(name="Helsinki", people=684018)
        if schema is City
        else City.model_validate_json(SAID).model_dump()
    )


@SCHEMAS
async def test_a_stream_shows_dicts_as_they_grow_and_ends_with_the_checked_one(
    chat: Callable[..., ChatDataCrunch], call: Call, schema: Any
) -> None:
    """An instance of a class comes once, since half of one is none."""
    chain = chat(f"<think>{{maybe}}</think>{SAID} as you wish").with_structured_output(schema)
    parts = await call(chain, "stream", "Which city?")
    if schema is City:
        assert parts == [City(name="Helsinki", people=684018)]
        return
    assert parts[-1] == {"name": "Helsinki", "people": 684018}
    assert len(parts) > 2
    for before, after in pairwise(parts):
        assert before != after
        assert before.keys() <= after.keys()
        assert str(after["name"]).startswith(before.get("name", ""))


@pytest.mark.parametrize("method", ["invoke", "stream"])
async def test_nothing_after_the_object_counts_nor_anything_of_another_kind_before(
    chat: Callable[..., ChatDataCrunch], call: Call, method: str
) -> None:
    """The first object that matches is returned; other text is ignored."""
    said = f'Filling in {{schema}}, as in {{"example": true}}:\n```json\n{SAID}\n```\nor {{}}'
    for by in ("json_schema", "json_mode"):
        chain = chat(said, "1.1.1").with_structured_output(City, method=by)
        assert (await ask(call, chain, method)).people == 684018


NESTED = {
    "title": "City",
    "description": "A city.",
    "type": "object",
    "properties": {"name": {"type": "string"}, "extra": {}},
    "required": ["name"],
}


@pytest.mark.parametrize(
    "said",
    [
        f'{{"name": "x", "extra": {"[" * 5000}{"]" * 5000}}}',
        '{"name": "\\ud800"}',
        '{"name": "x", "name": "y"}',
    ],
)
@pytest.mark.parametrize("method", ["invoke", "stream"])
@pytest.mark.parametrize("schema", [NESTED, CityDict, City])
@pytest.mark.usefixtures("without_collection")
async def test_json_that_no_program_should_meet_is_a_structured_output_error(
    chat: Callable[..., ChatDataCrunch], call: Call, schema: Any, method: str, said: str
) -> None:
    """Never a RecursionError, nor a text that cannot be written to a file."""
    model = chat([ScriptedToken(said), ScriptedToken("</s>", special=True, ends=True)])
    for by in ("json_schema", "json_mode"):
        with pytest.raises(StructuredOutputError):
            await ask(call, model.with_structured_output(schema, method=by), method)
        raw = await ask(call, model.with_structured_output(schema, method=by, include_raw=True))
        assert isinstance(raw["parsing_error"], StructuredOutputError)


@pytest.mark.parametrize("dialect", ["1.1.1", "3.3.7"])
@SCHEMAS
@pytest.mark.parametrize("said", ["Helsinki!", SAID[:-1], '{"name": "Helsinki"}', "[]"])
async def test_what_does_not_match_is_an_error_that_shows_it(
    chat: Callable[..., ChatDataCrunch], call: Call, schema: Any, said: str, dialect: str
) -> None:
    """An answer that does not match raises an error that contains it."""
    chain = chat(said, dialect).with_structured_output(schema)
    for method in ("invoke", "stream"):
        with pytest.raises(StructuredOutputError, match=re.escape(repr(said))) as caught:
            await ask(call, chain, method)
        error: Any = caught.value
        assert error.llm_output == error.text == said
        assert "use a larger model" in str(error)
        assert isinstance(error, OutputParserException)


async def test_an_answer_that_was_cut_says_what_to_raise(
    chat: Callable[..., ChatDataCrunch], call: Call
) -> None:
    """If the answer was cut, the error says which limit to raise."""
    chain = chat(SAID, max_tokens=4).with_structured_output(City)
    with pytest.raises(StructuredOutputError, match="Raise max_new_tokens"):
        await ask(call, chain)


async def test_with_the_raw_message_an_error_is_returned_too(
    chat: Callable[..., ChatDataCrunch], call: Call
) -> None:
    """`include_raw=True` returns the error instead of raising it, in a stream too."""
    for said, parsed in ((SAID, City.model_validate_json(SAID)), ("Helsinki!", None)):
        chain = chat(said).with_structured_output(City, include_raw=True)
        reported = await call(chain, "invoke", "Which city?")
        (streamed,) = await call(chain, "stream", "Which city?")
        for one in (reported, streamed):
            assert (one["raw"].text, one["parsed"]) == (said, parsed)
            assert isinstance(one["parsing_error"], StructuredOutputError) is (parsed is None)


async def test_words_are_sent_and_a_grammar_unless_words_alone_are_asked_for(
    serve: Callable[..., EmulatedEndpoint], call: Call
) -> None:
    """A grammar is sent, except with `json_mode`; the prompt always asks for JSON."""
    endpoint = serve(answers=SAID)
    chat = ChatDataCrunch(base_url=endpoint.url, model="llama-2-13b-chat")
    await ask(call, chat.with_structured_output(City))
    await ask(call, chat.with_structured_output(City, method="json_mode"))
    by_grammar, in_words = (request.json for request in endpoint.requests)
    assert by_grammar["parameters"]["grammar"]["value"]["required"] == ["name", "people"]
    assert "grammar" not in in_words["parameters"]
    assert by_grammar["inputs"] == in_words["inputs"]
    assert "JSON schema" in in_words["inputs"]
    assert in_words["inputs"].endswith("Which city? [/INST]")


@pytest.mark.parametrize(
    ("arguments", "reported"),
    [
        ({"method": "magic"}, "method='magic': must be one of json_schema"),
        ({"tols": []}, "tols"),
    ],
)
def test_an_argument_that_there_is_not_is_refused(
    chat: Callable[..., ChatDataCrunch], arguments: dict[str, Any], reported: str
) -> None:
    """Unsupported arguments and values are refused."""
    with pytest.raises(ValueError, match=reported):
        chat("").with_structured_output(City, **arguments)


def test_a_schema_that_is_no_objects_is_refused(chat: Callable[..., ChatDataCrunch]) -> None:
    """A schema of anything but an object is refused."""
    with pytest.raises(ArgumentError, match="must be an object with properties"):
        chat("").with_structured_output({"title": "Names", "description": "", "type": "array"})


class Colour(BaseModel):
    """A colour."""

    kind: Literal["red", "green", "blue"]
    dark: bool


@pytest.fixture(scope="module")
def obedient(tiny_llama: Path) -> Iterator[EmulatedEndpoint]:
    with EmulatedEndpoint(model=tiny_llama) as endpoint:
        yield endpoint


async def test_a_model_under_a_grammar_can_say_nothing_else(
    obedient: EmulatedEndpoint, call: Call
) -> None:
    """The tiny Llama knows no JSON: without the grammar it answers in words."""
    chat = ChatDataCrunch(base_url=obedient.url, model="llama-2-13b-chat", max_tokens=60)
    for method in ("invoke", "stream"):
        colour = await ask(call, chat.with_structured_output(Colour), method)
        assert isinstance(colour, Colour)
    in_words = chat.with_structured_output(Colour, method="json_mode")
    with pytest.raises(StructuredOutputError):
        await ask(call, in_words)


class Tree(BaseModel):
    """A tree."""

    leaves: list["Tree"]


def test_a_schema_that_refers_to_itself_can_be_asked_for_in_words_alone(
    chat: Callable[..., ChatDataCrunch],
) -> None:
    """A recursive schema is refused with the advice to use `json_mode`, which works."""
    model = chat('{"leaves": [{"leaves": []}]}')
    with pytest.raises(ArgumentError, match=r'refer to itself: .*method="json_mode"'):
        model.with_structured_output(Tree)
    made = model.with_structured_output(Tree, method="json_mode").invoke("A tree")
    assert made == Tree(leaves=[Tree(leaves=[])])


async def test_the_prompt_is_no_part_of_a_structured_answer(
    chat: Callable[..., ChatDataCrunch], call: Call
) -> None:
    """`return_full_text` does not affect structured output."""
    model = chat(SAID, return_full_text=True)
    for by in ("json_schema", "json_mode"):
        assert (await ask(call, model.with_structured_output(City, method=by))).name == "Helsinki"


async def test_the_error_can_be_pickled_and_copied(
    chat: Callable[..., ChatDataCrunch], call: Call
) -> None:
    """`StructuredOutputError` can be pickled and copied."""
    with pytest.raises(StructuredOutputError) as caught:
        await ask(call, chat("Helsinki!").with_structured_output(City))
    error: Any = caught.value
    for again in (pickle.loads(pickle.dumps(error)), copy.deepcopy(error)):
        assert (type(again), str(again), again.text) == (type(error), str(error), "Helsinki!")
        assert again.llm_output == "Helsinki!"
