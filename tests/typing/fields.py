"""The type of every field, as mypy and pyright see it; nothing runs."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, assert_type

from langchain_core.caches import BaseCache
from langchain_core.callbacks import BaseCallbackHandler, BaseCallbackManager
from langchain_core.language_models import ModelProfile
from langchain_core.rate_limiters import BaseRateLimiter
from llama_index.core.base.llms.types import LLMMetadata
from llama_index.core.callbacks import CallbackManager
from llama_index.core.prompts import BasePromptTemplate
from llama_index.core.types import BaseOutputParser, PydanticProgramMode
from pydantic import SecretStr

from datacrunch_tgi import AsyncClient, ChatTemplate, Client, Settings
from langchain_datacrunch import ChatDataCrunch, DataCrunchLLM
from llamaindex_datacrunch import DataCrunch


def settings(of: Settings | DataCrunchLLM | ChatDataCrunch | DataCrunch) -> None:
    assert_type(of.base_url, str)
    assert_type(of.api_key, SecretStr | None)
    assert_type(of.model, str)
    assert_type(of.connect_timeout, float)
    assert_type(of.first_token_timeout, float)
    assert_type(of.idle_timeout, float)
    assert_type(of.deadline, float)
    assert_type(of.pool_timeout, float)
    assert_type(of.startup_timeout, float)
    assert_type(of.max_retries, int)
    assert_type(of.max_connections, int)
    assert_type(of.max_stop_sequences, int)
    assert_type(of.headers, Mapping[str, str] | None)
    assert_type(of.proxy, SecretStr | None)
    assert_type(of.ca_bundle, str | None)
    assert_type(of.client_certificate, str | tuple[str, str] | tuple[str, str, SecretStr] | None)
    assert_type(of.server_hostname, str | None)
    assert_type(of.engine, Literal["httpx", "fast"])
    assert_type(of.tokenizer, Callable[[str], Sequence[Any]] | None)


def parameters(of: DataCrunchLLM | ChatDataCrunch | DataCrunch) -> None:
    assert_type(of.do_sample, bool | None)
    assert_type(of.max_new_tokens, int | None)
    assert_type(of.max_tokens, int | None)
    assert_type(of.repetition_penalty, float | None)
    assert_type(of.return_full_text, bool | None)
    assert_type(of.stop, list[str] | None)
    assert_type(of.seed, int | None)
    assert_type(of.temperature, float | None)
    assert_type(of.top_k, int | None)
    assert_type(of.top_p, float | None)
    assert_type(of.truncate, int | None)
    assert_type(of.typical_p, float | None)
    assert_type(of.best_of, int | None)
    assert_type(of.watermark, bool | None)
    assert_type(of.details, bool | None)
    assert_type(of.decoder_input_details, bool | None)
    assert_type(of.frequency_penalty, float | None)
    assert_type(of.top_n_tokens, int | None)
    assert_type(of.grammar, Mapping[str, Any] | None)
    assert_type(of.adapter_id, str | None)
    assert_type(of.extra_parameters, dict[str, Any])
    assert_type(of.timeout, float)


def chats(of: ChatDataCrunch | DataCrunch) -> None:
    assert_type(of.chat_template, ChatTemplate | str | None)
    assert_type(of.template, ChatTemplate | None)
    assert_type(of.allow_control_tokens, bool)
    assert_type(of.tool_format, str | None)
    assert_type(of.supports_images, bool | None)


def langchain(of: DataCrunchLLM | ChatDataCrunch, llm: DataCrunchLLM, chat: ChatDataCrunch) -> None:
    assert_type(of.name, str | None)
    assert_type(of.cache, BaseCache | bool | None)
    assert_type(of.verbose, bool)
    assert_type(of.callbacks, list[BaseCallbackHandler] | BaseCallbackManager | None)
    assert_type(of.tags, list[str] | None)
    assert_type(of.metadata, dict[str, Any] | None)
    assert_type(of.custom_get_token_ids, Callable[[str], list[int]] | None)
    assert_type(llm.streaming, bool)
    assert_type(chat.streaming, bool | None)
    assert_type(chat.logprobs, bool)
    assert_type(chat.top_logprobs, int | None)
    assert_type(chat.rate_limiter, BaseRateLimiter | None)
    assert_type(chat.disable_streaming, bool | Literal["tool_calling"])
    assert_type(chat.output_version, str | None)
    assert_type(chat.profile, ModelProfile | None)


def llamaindex(of: DataCrunch) -> None:
    assert_type(of.context_window, int)
    assert_type(of.is_chat_model, bool | None)
    assert_type(of.is_function_calling_model, bool | None)
    assert_type(of.template_completions, bool)
    assert_type(of.metadata, LLMMetadata)
    assert_type(of.callback_manager, CallbackManager)
    assert_type(of.rate_limiter, Any | None)  # LlamaIndex's own
    assert_type(of.system_prompt, str | None)
    assert_type(of.output_parser, BaseOutputParser | None)
    assert_type(of.pydantic_program_mode, PydanticProgramMode)
    assert_type(of.query_wrapper_prompt, BasePromptTemplate | None)


def clients(of: Client | AsyncClient) -> None:
    assert_type(of.settings, Settings)
    assert_type(of.base_url, str)
    assert_type(of.model, str)
