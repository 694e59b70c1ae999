"""Tokens are counted as the model does it: by what the user has of its tokenizer, or by the server."""

import os
import pickle
from collections.abc import Callable
from inspect import isfunction
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from datacrunch_tgi import ArgumentError
from datacrunch_tgi.testing import EmulatedEndpoint
from langchain_datacrunch import DataCrunchLLM


def _bytes(text: str) -> list[int]:
    return [*text.encode()]


def test_tokens_are_counted_by_the_users_tokenizer_without_a_request(
    endpoint: EmulatedEndpoint,
) -> None:
    """`tokenizer` and `custom_get_token_ids` count tokens without a request."""
    llm = DataCrunchLLM(base_url=endpoint.url, tokenizer=_bytes)
    assert llm.get_token_ids("abc") == [97, 98, 99]
    assert llm.get_num_tokens("abc") == 3
    llm.custom_get_token_ids = lambda _: [1]
    assert llm.get_num_tokens("abc") == 1
    assert not endpoint.requests


def test_the_tokenizer_may_be_an_object_or_a_file(tiny_llama: Path) -> None:
    """`tokenizer` accepts a file, a `tokenizers.Tokenizer` and a function."""
    file = tiny_llama / "tokenizer.json"
    encode = Tokenizer.from_file(str(file)).encode
    for given in (file, str(file), Tokenizer.from_file(str(file)), lambda text: encode(text).ids):
        llm = DataCrunchLLM(base_url="http://localhost", tokenizer=given)
        assert llm.get_token_ids("What is TGI?") == encode("What is TGI?").ids
        if not isfunction(given):
            again = pickle.loads(pickle.dumps(llm))
            assert again.get_num_tokens("What is TGI?") == llm.get_num_tokens("What is TGI?")


@pytest.mark.parametrize("content", [None, "{}", "no JSON"])
def test_a_file_that_is_no_tokenizer_is_named(tmp_path: Path, content: str | None) -> None:
    """An invalid tokenizer file is refused with its path."""
    file = tmp_path / "tokenizer.json"
    if content is not None:
        file.write_text(content, encoding="utf-8")
    llm = DataCrunchLLM(base_url="http://localhost", tokenizer=file)
    with pytest.raises(ArgumentError, match=r"tokenizer='.*tokenizer\.json': must be a tokenizer"):
        llm.get_num_tokens("abc")


def test_without_a_tokenizer_the_server_is_asked_or_an_error_says_what_to_do(
    serve: Callable[..., EmulatedEndpoint], tiny_llama: Path
) -> None:
    """Without a tokenizer the server counts, or an error says what to pass."""
    llm = DataCrunchLLM(base_url=serve(model=tiny_llama).url)
    ids = Tokenizer.from_file(str(tiny_llama / "tokenizer.json")).encode("What is TGI?").ids
    assert llm.get_token_ids("What is TGI?") == ids
    assert llm.get_num_tokens("") == 0
    old = DataCrunchLLM(base_url=serve(answers="", dialect="1.1.1").url)
    with pytest.raises(ArgumentError, match=r"no /tokenize. Pass a function"):
        old.get_num_tokens("abc")


def test_a_tokenizer_file_that_was_changed_is_read_again(tiny_llama: Path, tmp_path: Path) -> None:
    """A changed tokenizer file is read again."""
    file = tmp_path / "tokenizer.json"
    llm = DataCrunchLLM(base_url="http://localhost", tokenizer=file)
    whole = (tiny_llama / "tokenizer.json").read_text(encoding="utf-8")
    for count, text in enumerate((whole, whole.replace('"byte_fallback"', ' "byte_fallback"')), 1):
        file.write_text(text, encoding="utf-8")
        os.utime(file, ns=(count, count))
        assert llm.get_num_tokens("Hi") > 0
    file.write_text("no JSON", encoding="utf-8")
    os.utime(file, ns=(3, 3))
    with pytest.raises(ArgumentError, match="must be a tokenizer"):
        llm.get_num_tokens("Hi")
