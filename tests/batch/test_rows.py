"""One row: what is sent for it, and what comes out."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from datacrunch_tgi import ArgumentError, AsyncClient, ChatTemplate
from datacrunch_tgi.batch._columns import Columns
from datacrunch_tgi.batch._prompts import PromptTemplate
from datacrunch_tgi.batch._rows import RowOptions, answer_row, check_row
from datacrunch_tgi.batch._templates import find_template
from datacrunch_tgi.testing import EmulatedEndpoint

Start = Callable[..., EmulatedEndpoint]


async def answer(endpoint: EmulatedEndpoint, row: dict[str, Any], **options: Any) -> dict[str, Any]:
    async with AsyncClient(base_url=endpoint.url, max_retries=0) as client:
        return await answer_row(client, row, RowOptions(**options))


async def test_a_row_keeps_its_columns_and_gets_its_answer(emulated_endpoint: Start) -> None:
    """What comes in comes out, with text, finish reason, usage and seed, and no error."""
    endpoint = emulated_endpoint(answers="one two")

    row = await answer(endpoint, {"id": 7, "inputs": "Hi", "label": ["a"]})

    usage = {"prompt_tokens": row["usage"]["prompt_tokens"], "completion_tokens": 3}
    assert row == {
        "id": 7,
        "inputs": "Hi",
        "label": ["a"],
        "text": "one two",
        "finish_reason": "eos_token",
        "usage": usage | {"total_tokens": usage["prompt_tokens"] + 3},
        "seed": None,
    }


async def test_parameters_of_a_row_take_precedence(emulated_endpoint: Start) -> None:
    """A row's own parameters are merged over those of the run; null and "" are not set."""
    endpoint = emulated_endpoint(answers="one")
    common = {"max_new_tokens": 5, "top_k": 3}

    for given in ({"max_tokens": 7}, '{"max_tokens": 7, "top_k": null}', "", None):
        await answer(endpoint, {"inputs": "Hi", "parameters": given}, parameters=common)

    sent = [request.json["parameters"] for request in endpoint.requests]
    assert [one["max_new_tokens"] for one in sent] == [7, 7, 5, 5]
    assert {one["top_k"] for one in sent} == {3}


@pytest.mark.parametrize("details", [True, None])
async def test_details_are_kept_on_request(
    emulated_endpoint: Start,
    details: bool | None,  # noqa: FBT001 -- parametrized
) -> None:
    """An output row has `details` only if they were requested."""
    row = await answer(
        emulated_endpoint(answers="one"), {"inputs": "Hi"}, parameters={"details": details}
    )

    assert ("details" in row) is bool(details)
    assert row["finish_reason"] == "eos_token"
    json.dumps(row)


async def test_a_prompt_is_made_of_columns(emulated_endpoint: Start) -> None:
    """Names in braces are columns, doubled braces are braces; the input's `text` is not lost."""
    endpoint = emulated_endpoint(answers="good")
    prompt = PromptTemplate('Label as {{"label": …}}: {text}, {the score}')

    row = await answer(endpoint, {"text": "so {nice}", "the score": 1.5}, prompt=prompt)

    assert endpoint.requests[0].json["inputs"] == 'Label as {"label": …}: so {nice}, 1.5'
    assert (row["input_text"], row["text"]) == ("so {nice}", "good")


@pytest.mark.parametrize("text", ["a { b", "a } b", "{}", "{a{b}}"])
def test_a_prompt_with_other_braces_is_refused(text: str) -> None:
    """The error says how braces are written."""
    with pytest.raises(ArgumentError, match=r"write \{\{ and \}\}"):
        PromptTemplate(text)


async def test_messages_take_the_chat_template(emulated_endpoint: Start) -> None:
    """Messages, as a list or as JSON, become the template's prompt and stop where turns end."""
    endpoint = emulated_endpoint(answers=" Hello")
    messages = [{"role": "user", "content": "Hi"}]
    template = ChatTemplate.named("llama-3")

    for given in (messages, json.dumps(messages)):
        row = await answer(endpoint, {"messages": given}, template=template, system="Be brief.")
        assert row["text"]
        assert row["messages"] == given

    first, second = (request.json for request in endpoint.requests)
    assert first == second
    asked = [{"role": "system", "content": "Be brief."}, *messages]
    assert first["inputs"] == template.prompt(asked)
    assert first["parameters"]["stop"] == list(template.stop)


async def test_a_prompt_can_be_a_users_message(emulated_endpoint: Start) -> None:
    """With `chat`, inputs are sent in the chat template."""
    endpoint = emulated_endpoint(answers="Hello")
    template = ChatTemplate.named("chatml")

    await answer(endpoint, {"inputs": "Hi"}, template=template, chat=True)

    expected = template.prompt([{"role": "user", "content": "Hi"}])
    assert endpoint.requests[0].json["inputs"] == expected


@pytest.mark.parametrize("model", ["tgi", "llama-2-13b-chat"])
async def test_the_template_is_found_by_name(emulated_endpoint: Start, model: str) -> None:
    """The template is found by the model's name, or by the name that the server reports."""
    endpoint = emulated_endpoint(answers="Hello", model_id="llama-2-7b-chat")
    async with AsyncClient(base_url=endpoint.url, model=model) as client:
        assert await find_template(client) == ChatTemplate.named("llama-2")
        assert await find_template(client, "chatml") == ChatTemplate.named("chatml")


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({}, "inputs: there is no prompt: the row has no column 'inputs' or 'messages'"),
        ({"inputs": None}, "inputs: there is no prompt"),
        ({"inputs": ""}, "inputs: cannot be empty"),
        ({"inputs": 5}, "inputs: must be a string, not int"),
        ({"inputs": "a\ud800"}, "inputs: must not contain lone surrogates"),
        ({"inputs": "sesame", "parameters": {"top_p": 2}}, "top_p=2: must be"),
        ({"inputs": "sesame", "parameters": {"topp": 1}}, "did you mean 'top_p'"),
        ({"inputs": "sesame", "parameters": [1]}, "parameters: must be an object, not list"),
        ({"inputs": "sesame", "parameters": {"max_tokens": 0}}, "max_tokens=0: must be"),
        ({"messages": [{"role": "user"}], "parameters": {"stop": 5}}, "stop=5: must be a list"),
        ({"inputs": "sesame", "parameters": "{"}, "parameters: must be an object, or its JSON"),
        ({"inputs": "a", "messages": [{"role": "user", "content": "b"}]}, "cannot be combined"),
        ({"messages": "sesame"}, "messages: must be a list of objects, or its JSON"),
        ({"messages": [1]}, "messages: must be a list of objects"),
        ({"messages": {"role": "user"}}, "messages: must be a list of objects"),
    ],
)
async def test_a_bad_row_is_a_failed_row_and_nothing_is_sent(
    emulated_endpoint: Start, row: dict[str, Any], words: str
) -> None:
    """The error names field, value and rule, and shows no prompt; `check_row` finds it before."""
    endpoint = emulated_endpoint(answers="Hello")
    options = RowOptions(template=ChatTemplate.named("chatml"))

    failed = await answer(endpoint, row, template=options.template)

    assert words in failed["error"]["message"]
    assert "sesame" not in failed["error"]["message"]
    assert failed["error"] | {"message": ""} == {
        "type": "ArgumentError",
        "message": "",
        "status": None,
        "requests": 0,
    }
    assert failed["text"] is failed["usage"] is None
    assert not endpoint.requests
    with pytest.raises(ArgumentError):
        check_row(row, options)


async def test_messages_without_a_template_are_refused() -> None:
    """The error says what to pass."""
    with pytest.raises(ArgumentError, match=r"^chat_template: is required for messages"):
        check_row({"messages": [{"role": "user", "content": "Hi"}]}, RowOptions())


@pytest.mark.parametrize("prompt", ["{nope}", "{empty}"])
def test_a_prompt_of_missing_columns_is_refused(prompt: str) -> None:
    """The error names the column."""
    options = RowOptions(prompt=PromptTemplate(prompt))
    with pytest.raises(ArgumentError, match=prompt.strip("{}")):
        check_row({"empty": None}, options)


async def test_what_the_server_refuses_is_a_failed_row(emulated_endpoint: Start) -> None:
    """The error has type, status and the number of requests."""
    endpoint = emulated_endpoint(answers="Hello")
    endpoint.fail_next(status=429)

    failed = await answer(endpoint, {"inputs": "Hi"})

    error = failed["error"]
    assert (error["type"], error["status"], error["requests"]) == ("OverloadedError", 429, 1)


def test_columns_can_be_mapped() -> None:
    """Columns of input and output can be renamed, and no input value is overwritten."""
    columns = Columns({"inputs": "question", "text": "answer"})

    row = {"question": "Hi", "answer": "mine", "input_answer": "too", "text": "mine too"}
    merged = columns.merge(row, {"text": "Hello"})

    assert columns.value(row, "inputs") == "Hi"
    assert merged == {
        "question": "Hi",
        "input_input_answer": "mine",
        "input_answer": "too",
        "text": "mine too",
        "answer": "Hello",
    }


def test_ambiguous_columns_are_refused() -> None:
    """Unknown roles, and two output columns of one name."""
    with pytest.raises(ArgumentError, match="did you mean 'inputs'"):
        Columns({"input": "question"})
    with pytest.raises(ArgumentError, match="must differ from the names"):
        Columns({"text": "error"})


def test_a_table_of_text_spreads_usage_and_error() -> None:
    """Every row has the same cells: empty ones for what it does not have, JSON for objects."""
    columns = Columns()
    names = columns.flat(["inputs", "tags"], details=False)
    row = {"inputs": "Hi", "tags": ["a"], "text": "é", "usage": {"prompt_tokens": 3}, "error": None}

    cells = columns.flatten(row)

    assert set(cells) <= set(names)
    assert (cells["tags"], cells["text"], cells["usage_prompt_tokens"]) == ('["a"]', "é", "3")
    assert cells["usage_total_tokens"] == cells["error_type"] == ""
