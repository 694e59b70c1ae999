"""Bundled templates match the makers' descriptions and the recorded prompts."""

from typing import Any

import pytest

from datacrunch_tgi import ArgumentError, ChatTemplate

CHAT = [
    {"role": "system", "content": "S"},
    {"role": "user", "content": "Q1"},
    {"role": "assistant", "content": "A1"},
    {"role": "user", "content": "Q2"},
]
PROMPTS = {
    "llama-2": "[INST] <<SYS>>\nS\n<</SYS>>\n\nQ1 [/INST] A1 </s><s>[INST] Q2 [/INST]",
    "llama-3": (
        "<|start_header_id|>system<|end_header_id|>\n\nS<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nQ1<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\nA1<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nQ2<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n"
    ),
    "llama-4": (
        "<|header_start|>system<|header_end|>\n\nS<|eot|>"
        "<|header_start|>user<|header_end|>\n\nQ1<|eot|>"
        "<|header_start|>assistant<|header_end|>\n\nA1<|eot|>"
        "<|header_start|>user<|header_end|>\n\nQ2<|eot|>"
        "<|header_start|>assistant<|header_end|>\n\n"
    ),
    "mistral": "[INST] S\n\nQ1 [/INST] A1</s>[INST] Q2 [/INST]",
    "mistral-v3": "[INST] Q1[/INST] A1</s>[INST] S\n\nQ2[/INST]",
    "chatml": (
        "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nQ1<|im_end|>\n"
        "<|im_start|>assistant\nA1<|im_end|>\n<|im_start|>user\nQ2<|im_end|>\n"
        "<|im_start|>assistant\n"
    ),
    "zephyr": "<|system|>\nS</s>\n<|user|>\nQ1</s>\n<|assistant|>\nA1</s>\n<|user|>\nQ2</s>\n<|assistant|>\n",
    "gemma": (
        "<start_of_turn>user\nS\n\nQ1<end_of_turn>\n<start_of_turn>model\nA1<end_of_turn>\n"
        "<start_of_turn>user\nQ2<end_of_turn>\n<start_of_turn>model\n"
    ),
    "phi-3": (
        "<|system|>\nS<|end|>\n<|user|>\nQ1<|end|>\n<|assistant|>\nA1<|end|>\n"
        "<|user|>\nQ2<|end|>\n<|assistant|>\n"
    ),
    "vicuna": "S USER: Q1 ASSISTANT: A1</s>USER: Q2 ASSISTANT:",
}
STOP = {
    "llama-3": ("<|eot_id|>",),
    "llama-4": ("<|eom|>",),
    "chatml": ("<|im_end|>",),
    "gemma": ("<end_of_turn>",),
    "phi-3": ("<|end|>",),
}
MODELS = {
    "llama-2-13b-chat": "llama-2",
    "llama-2-70b-chat": "llama-2",
    "meta-llama/Llama-2-7b-chat-hf": "llama-2",
    "tiny/llama-2-chat": "llama-2",
    "TheBloke/Llama-2-13B-chat-GPTQ": "llama-2",
    "llama2:13b-chat": "llama-2",
    "mixtral-8x7b": "mistral",
    "Mixtral-8x7B": "mistral",
    "mistralai/Mixtral-8x7B-Instruct-v0.1": "mistral",
    "mistral-7b-instruct": "mistral",
    "mistralai/Mistral-7B-Instruct-v0.2": "mistral",
    "mistralai/Mistral-7B-Instruct-v0.3": "mistral-v3",
    "mistralai/Mixtral-8x22B-Instruct-v0.1": "mistral-v3",
    "mistralai/Mistral-Nemo-Instruct-2407": "mistral-nemo",
    "mistralai/Ministral-8B-Instruct-2410": "mistral-nemo",
    "mistralai/Mistral-Small-Instruct-2409": "mistral-v3",
    "mistralai/Mistral-Small-24B-Instruct-2501": "mistral-v7",
    "mistralai/Mistral-Small-3.1-24B-Instruct-2503": "mistral-v7",
    "mistralai/Mistral-Small-3.2-24B-Instruct-2506": "mistral-v11",
    "mistralai/Magistral-Small-2506": "mistral-v11",
    "mistralai/Magistral-Small-2509": "mistral-v13",
    "mistralai/Devstral-Small-2-24B-Instruct-2512": "mistral-v13",
    "mistralai/Ministral-3-8B-Reasoning-2512": "mistral-v13",
    "mistralai/Mistral-Large-3-675B-Instruct-2512": "mistral-v13",
    "meta-llama/Llama-3.1-8B-Instruct": "llama-3.1",
    "meta-llama/Meta-Llama-3.1-405B-Instruct-FP8": "llama-3.1",
    "meta-llama/Llama-3.2-3B-Instruct": "llama-3.2",
    "meta-llama/Llama-3.2-11B-Vision-Instruct": "llama-3.2",
    "unsloth/Llama-3.3-70B-Instruct-bnb-4bit": "llama-3.1",
    "meta-llama/Meta-Llama-3-70B-Instruct": "llama-3",
    "LLAMA_3.3_70B_INSTRUCT": "llama-3.1",
    "llama3-8b-instruct": "llama-3",
    "meta-llama/Llama-4-Scout-17B-16E-Instruct": "llama-4",
    "meta-llama/Llama-4-Maverick-17B-128E-Instruct-FP8": "llama-4",
    "Qwen2.5-7B-Instruct": "qwen-2.5",
    "Qwen/Qwen2.5-Coder-32B-Instruct-AWQ": "qwen-2.5",
    "Qwen/Qwen2.5-VL-7B-Instruct": "qwen-2.5-vl",
    "Qwen/Qwen2.5-Math-7B-Instruct": "qwen-2.5-math",
    "Qwen/Qwen2-7B-Instruct": "chatml",
    "Qwen/Qwen3-30B-A3B-Instruct-2507": "qwen-3-instruct",
    "Qwen/Qwen3-VL-8B-Instruct": "qwen-3-instruct",
    "Qwen/Qwen3-Next-80B-A3B-Thinking": "qwen-3-thinking",
    "Qwen/Qwen3-8B": "qwen-3",
    "Qwen/Qwen3-0.6B-GGUF": "qwen-3",
    "Qwen/Qwen3-235B-A22B-FP8": "qwen-3",
    "Qwen/QwQ-32B-AWQ": "qwq",
    "Qwen/Qwen3-Coder-30B-A3B-Instruct": "qwen-3-coder",
    "Qwen/Qwen3-Coder-Next-FP8": "qwen-3-coder",
    "NousResearch/Hermes-3-Llama-3.1-8B": "hermes-3",
    "NousResearch/Hermes-2-Pro-Mistral-7B": "hermes-2-pro-mistral",
    "NousResearch/Hermes-2-Pro-Llama-3-8B": "hermes-2-pro",
    "NousResearch/Hermes-3-Llama-3.2-3B": "hermes-2-pro",
    "NousResearch/Hermes-4-14B-FP8": "hermes-4",
    "ibm-granite/granite-3.0-2b-instruct": "granite-3.0",
    "ibm-granite/granite-3.1-3b-a800m-instruct": "granite-3.1",
    "ibm-granite/granite-3.2-8b-instruct-preview": "granite-3.1",
    "ibm-granite/granite-3.3-8b-instruct": "granite-3.3",
    "ibm-granite/granite-4.0-h-tiny": "granite-4.0",
    "ibm-granite/granite-4.1-8b": "granite-4.1",
    "microsoft/Phi-4-mini-instruct": "phi-4-mini",
    "deepseek-ai/DeepSeek-V3.1": "deepseek-v3.1",
    "deepseek-ai/DeepSeek-V3.1-Terminus": "deepseek-v3.1",
    "Qwen/Qwen1.5-14B-Chat": "chatml",
    "HuggingFaceH4/zephyr-7b-beta": "zephyr",
    "gemma-2-9b-it": "gemma",
    "google/gemma-1.1-7b-it": "gemma",
    "google/gemma-3n-E4B-it": "gemma",
    "microsoft/Phi-3-mini-4k-instruct": "phi-3",
    "Phi-3.5-mini-instruct": "phi-3",
    "vicuna-7b-v1.5": "vicuna",
    "/models/lmsys/vicuna-13b-v1.5-16k/": "vicuna",
}
NOT_KNOWN = [
    "llama-2-13b",
    "meta-llama/Llama-2-7b-hf",
    "meta-llama/Llama-3.1-8B",
    "mistralai/Mistral-7B-v0.1",
    "mistralai/Mixtral-8x7B-v0.1",
    "cognitivecomputations/dolphin-2.5-mixtral-8x7b",
    "mistralai/Mistral-Nemo-Base-2407",
    "mistralai/Mistral-Small-3.1-24B-Base-2503",
    "Qwen/Qwen3-8B-Base",
    "Qwen/Qwen3-Embedding-8B",
    "Qwen/Qwen3Guard-Gen-8B",
    "Qwen/Qwen3.5-27B",
    "Qwen/Qwen3-Coder-Next-Base",
    "NousResearch/Hermes-4-405B",
    "ibm-granite/granite-4.0-h-tiny-base",
    "ibm-granite/granite-3.3-8b-base",
    "microsoft/Phi-4-mini-reasoning",
    "deepseek-ai/DeepSeek-V3.1-Base",
    "deepseek-ai/DeepSeek-R1-Distill-Qwen-32B",
    "Qwen/Qwen2.5-7B",
    "google/gemma-2-9b",
    "google/gemma-2-9b-italian",
    "microsoft/phi-4",
    "lmsys/vicuna-13b-delta-v0",
    "TheBloke/stable-vicuna-13B-HF",
    "meta-llama/Llama-4-Scout-17B-16E",
    "tgi",
    "",
]
RECORDED: dict[str, list[dict[str, Any]]] = {
    "chat-hello": [{"role": "user", "content": "Hello"}],
    "chat-system": [
        {"role": "system", "content": "Answer briefly."},
        {"role": "user", "content": "What is the capital of Finland?"},
    ],
    "chat-turns": [
        {"role": "system", "content": "You are a helpful assistant."},
        {"role": "user", "content": "What is the capital of France?"},
        {"role": "assistant", "content": " The capital of France is Paris."},
        {"role": "user", "content": "What is the capital of Finland?"},
    ],
}


@pytest.mark.parametrize("server", ["fork-1.1.1", "tgi-3.3.7"])
@pytest.mark.parametrize("name", RECORDED)
def test_llama_2_asks_as_the_recorded_servers_were_asked(
    name: str, server: str, recordings: dict[str, dict[str, Any]]
) -> None:
    """The bundled Llama 2 template makes the recorded prompts."""
    asked = recordings[f"{server}/{name}"]["request"]["json"]
    template = ChatTemplate.for_model(asked["model"])
    assert template == ChatTemplate.named("llama-2")
    assert template.prompt(RECORDED[name]) == asked["inputs"]


@pytest.mark.parametrize("server", ["fork-1.1.1", "tgi-3.3.7"])
def test_a_prompt_has_not_the_bos_token_that_a_server_would_double(
    server: str, recordings: dict[str, dict[str, Any]]
) -> None:
    """`prompt` leaves out the first token, which a server adds; `render` keeps it."""
    doubled = recordings[f"{server}/chat-bos-doubled"]["request"]["json"]["inputs"]
    template = ChatTemplate.named("llama-2")
    assert template.render(RECORDED["chat-hello"]) == doubled == "<s>[INST] Hello [/INST]"
    assert template.prompt(RECORDED["chat-hello"]) == "[INST] Hello [/INST]"


@pytest.mark.parametrize("name", PROMPTS)
def test_a_format_is_that_of_its_models(name: str) -> None:
    """Each bundled template renders its model's prompt."""
    assert ChatTemplate.named(name).prompt(CHAT) == PROMPTS[name]


@pytest.mark.parametrize("name", PROMPTS)
def test_a_stop_string_ends_a_turn_where_the_eos_token_does_not(name: str) -> None:
    """Each template has the stop strings that end a turn besides the end token."""
    assert ChatTemplate.named(name).stop == STOP.get(name, ())


@pytest.mark.parametrize("model", MODELS)
def test_a_models_name_determines_its_format(model: str) -> None:
    """The template is found by a model's name."""
    assert ChatTemplate.for_model(model) == ChatTemplate.named(MODELS[model])


@pytest.mark.parametrize("model", NOT_KNOWN)
def test_a_base_model_and_one_of_another_format_have_none(model: str) -> None:
    """Names of base models and of unknown formats have no template."""
    assert ChatTemplate.for_model(model) is None


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("Llama 2", "llama-2"),
        ("LLAMA3", "llama-3"),
        ("ChatML", "chatml"),
        ("phi_3", "phi-3"),
        ("mixtral", "mistral"),
        ("Qwen", "chatml"),
        ("Mistral V3", "mistral-v3"),
    ],
)
def test_a_format_is_named_in_any_spelling(spelling: str, name: str) -> None:
    """A template's name is accepted in any spelling."""
    assert ChatTemplate.named(spelling) == ChatTemplate.named(name)
    assert ChatTemplate.of(spelling) == ChatTemplate.named(name)


@pytest.mark.parametrize(
    ("wrong", "rule"),
    [
        (
            "lama-3",
            "chat_template='lama-3': no such chat template, model or file; did you mean 'llama-3'?",
        ),
        (
            "chat-ml2",
            "chat_template='chat-ml2': no such chat template, model or file; did you mean 'chatml'?",
        ),
        (
            "qwem",
            "chat_template='qwem': no such chat template, model or file; did you mean 'chatml'?",
        ),
        (
            "xyz",
            "chat_template='xyz': no such chat template, model or file; known names: llama-2, llama-3, llama-3.1,",
        ),
    ],
)
def test_a_wrong_name_is_refused_with_the_nearest(wrong: str, rule: str) -> None:
    """An unknown name is refused with the nearest known one."""
    with pytest.raises(ArgumentError) as caught:
        ChatTemplate.of(wrong)
    assert str(caught.value).startswith(rule)


@pytest.mark.parametrize(
    ("name", "roles"),
    [
        ("llama-2", ["user", "user"]),
        ("llama-2", ["assistant", "user"]),
        ("mistral", ["system", "user"]),
        ("mistral", ["user", "user"]),
        ("mistral-v3", ["user", "system"]),
        ("gemma", ["system", "user"]),
        ("gemma", ["user", "assistant", "assistant"]),
        ("vicuna", ["user", "user"]),
        ("zephyr", ["user", "tool"]),
        ("phi-3", ["critic"]),
    ],
)
def test_a_format_refuses_the_roles_that_its_models_do_not_know(
    name: str, roles: list[str]
) -> None:
    """`render` refuses roles that the model's template does not accept."""
    with pytest.raises(ArgumentError, match=r"^messages: refused by the chat template: "):
        ChatTemplate.named(name).render([{"role": role, "content": "x"} for role in roles])
