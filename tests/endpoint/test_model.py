"""A Llama's answers: the network, sampling, and folders with other models."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import save_file

from datacrunch_tgi.testing import EmulatedEndpoint
from datacrunch_tgi.testing._llama import Cache, Llama, LlamaConfig
from datacrunch_tgi.testing._sampling import Sampler
from datacrunch_tgi.testing._validation import Sampling

Start = Callable[..., EmulatedEndpoint]
Ask = Callable[..., httpx.Response]
Weights = dict[str, NDArray[np.float32]]

CONFIG = LlamaConfig(
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=8,
    rms_norm_eps=1e-5,
    rope_theta=10_000.0,
    tie_word_embeddings=True,
)
VOCABULARY, WIDTH = 50, 32
IDS = [3, 14, 15, 9, 26, 5, 35]

GREEDY = Sampling(
    temperature=1.0,
    repetition_penalty=1.0,
    frequency_penalty=0.0,
    top_k=0,
    top_p=1.0,
    typical_p=1.0,
    watermark=False,
    do_sample=False,
    seed=1,
)


@pytest.fixture(scope="module")
def weights() -> Weights:
    """Random weights of a network whose query heads share key heads by two."""
    generator = np.random.default_rng(0)

    def matrix(*shape: int) -> NDArray[np.float32]:
        return generator.normal(0, 0.2, shape).astype(np.float32)

    found = {
        "model.embed_tokens.weight": matrix(VOCABULARY, WIDTH),
        "model.norm.weight": matrix(WIDTH),
    }
    for layer in range(CONFIG.num_hidden_layers):
        for name, shape in {
            "input_layernorm": (WIDTH,),
            "post_attention_layernorm": (WIDTH,),
            "self_attn.q_proj": (4 * 8, WIDTH),
            "self_attn.k_proj": (2 * 8, WIDTH),
            "self_attn.v_proj": (2 * 8, WIDTH),
            "self_attn.o_proj": (WIDTH, 4 * 8),
            "mlp.gate_proj": (48, WIDTH),
            "mlp.up_proj": (48, WIDTH),
            "mlp.down_proj": (WIDTH, 48),
        }.items():
            found[f"model.layers.{layer}.{name}.weight"] = matrix(*shape)
    return found


def logits(config: LlamaConfig, weights: Weights) -> NDArray[np.floating[Any]]:
    """The logits after each of `IDS`."""
    return Llama(config, weights.__getitem__).forward(IDS, Cache(config), every=True)


def test_a_cache_changes_nothing(weights: Weights) -> None:
    """Token by token, or the prompt in two parts: the same logits as all at once."""
    network = Llama(CONFIG, weights.__getitem__)
    expected = logits(CONFIG, weights)

    one_by_one = Cache(CONFIG)
    singles = [network.forward([token_id], one_by_one)[-1] for token_id in IDS]
    parts = Cache(CONFIG)
    halves = [network.forward(part, parts, every=True) for part in (IDS[:3], IDS[3:])]

    np.testing.assert_allclose(singles, expected, atol=1e-5)
    np.testing.assert_allclose(np.concatenate(halves), expected, atol=1e-5)


def test_a_cache_grows(weights: Weights) -> None:
    """More tokens than a page holds are no special case."""
    network = Llama(CONFIG, weights.__getitem__)
    ids = IDS * 100
    cache = Cache(CONFIG)

    for token_id in ids[:-1]:
        network.forward([token_id], cache)
    last = network.forward(ids[-1:], cache)

    np.testing.assert_allclose(last, network.forward(ids, Cache(CONFIG)), atol=1e-4)


def test_shared_key_heads_are_repeated_heads(weights: Weights) -> None:
    """Grouped-query attention is attention in which the key heads of a group are the same."""
    repeated = {
        name: np.repeat(weight.reshape(2, 8, WIDTH), 2, axis=0).reshape(-1, WIDTH)
        if ".k_proj" in name or ".v_proj" in name
        else weight
        for name, weight in weights.items()
    }

    alone = logits(replace(CONFIG, num_key_value_heads=4), repeated)

    np.testing.assert_allclose(logits(CONFIG, weights), alone, atol=1e-5)


def test_tied_embeddings_are_the_head(weights: Weights) -> None:
    """A checkpoint without a head uses the embeddings."""
    head = {**weights, "lm_head.weight": weights["model.embed_tokens.weight"]}

    untied = logits(replace(CONFIG, tie_word_embeddings=False), head)

    np.testing.assert_array_equal(logits(CONFIG, weights), untied)


SCORES = np.log(np.array([0.5, 0.25, 0.125, 0.0625, 0.0625], np.float32))


def drawn(**changes: Any) -> set[int]:
    """The tokens that are ever chosen."""
    sampler = Sampler(replace(GREEDY, do_sample=True, **changes), top_n_tokens=0)
    return {sampler.choose([0], SCORES).id for _ in range(1000)}


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, {0, 1, 2, 3, 4}),
        ({"top_k": 2}, {0, 1}),
        ({"top_k": 4}, {0, 1, 2, 3, 4}),
        ({"top_k": 99}, {0, 1, 2, 3, 4}),
        ({"top_p": 0.4}, {0}),
        ({"top_p": 0.6}, {0, 1}),
        ({"typical_p": 0.2}, {1}),
        ({"typical_p": 0.7}, {0, 1}),
        ({"temperature": 0.01}, {0}),
        ({"temperature": 1e-38}, {0}),
        ({"temperature": 0.5, "top_p": 0.8}, {0, 1}),
    ],
)
def test_warpers_keep_whom_they_should(parameters: dict[str, Any], expected: set[int]) -> None:
    """Ties at the edge of `top_k` stay; the others keep the least that reaches their share."""
    assert drawn(**parameters) == expected


def test_chance_follows_the_probabilities() -> None:
    """A token of half the probability is chosen half as often."""
    sampler = Sampler(replace(GREEDY, do_sample=True), top_n_tokens=0)
    chosen = [sampler.choose([0], SCORES).id for _ in range(4000)]

    shares = np.bincount(chosen) / len(chosen)
    np.testing.assert_allclose(shares, np.exp(SCORES), atol=0.05)


def test_alternatives_include_ties() -> None:
    """All that are as likely as the last alternative are alternatives, before any penalty."""
    sampler = Sampler(replace(GREEDY, repetition_penalty=2.0), top_n_tokens=4)

    choice = sampler.choose([0], SCORES)

    assert [token_id for token_id, _ in choice.alternatives] == [0, 1, 2, 3, 4]
    assert choice.alternatives[0][1] == pytest.approx(np.log(0.5), abs=1e-6)
    assert choice.logprob != choice.alternatives[0][1]


def test_a_seed_repeats_an_answer(emulated_endpoint: Start, ask: Ask, tiny_llama: Path) -> None:
    """The same seed returns the same tokens, streamed or not; other seeds return others."""
    endpoint = emulated_endpoint(model=tiny_llama)

    def tokens(seed: int) -> Any:
        wanted: dict[str, Any] = {"temperature": 5.0, "max_new_tokens": 20, "details": True}
        answer = ask(endpoint, prompt="[INST] Hello [/INST]", seed=seed, **wanted).json()
        assert answer["details"]["seed"] == seed
        return [token["id"] for token in answer["details"]["tokens"]]

    assert tokens(1) == tokens(1)
    assert len({tuple(tokens(seed)) for seed in range(5)}) > 1


def test_a_seed_is_reported_only_if_it_counted(
    emulated_endpoint: Start, ask: Ask, tiny_llama: Path
) -> None:
    """Greedy answers have no seed; sampled ones report theirs."""
    endpoint = emulated_endpoint(model=tiny_llama)

    def seed(**parameters: Any) -> Any:
        answer = ask(endpoint, details=True, max_new_tokens=1, **parameters).json()
        return answer["details"]["seed"]

    assert seed(seed=7) is None
    assert seed(seed=7, temperature=1.0) is None
    assert seed(seed=7, top_k=5) == 7
    assert seed(do_sample=True) != seed(do_sample=True)


def write(folder: Path, config: dict[str, Any], weights: Weights) -> Path:
    """A model's folder, of a configuration that differs from the tiny Llama's in `config`."""
    (folder / "config.json").write_text(json.dumps(config))
    save_file(weights, folder / "model.safetensors")
    return folder


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"]}, "'gpt2' (GPT2LMHeadModel)"),
        ({"model_type": None, "architectures": None}, "no architecture"),
        ({"rope_scaling": {"rope_type": "llama3"}, "rope_parameters": None}, "'llama3'"),
        ({"attention_bias": True}, "biases"),
        ({"hidden_act": "gelu"}, "'gelu'"),
        ({}, "'model.embed_tokens.weight'"),
    ],
)
def test_what_is_no_llama_is_named(
    tmp_path: Path, tiny_llama: Path, changes: dict[str, Any], said: str
) -> None:
    """The error names what was found in the folder, before anything is served."""
    config = {**json.loads((tiny_llama / "config.json").read_text()), **changes}
    folder = write(tmp_path, config, {"transformer.wte.weight": np.zeros((2, 2), np.float32)})

    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message is looked at below
        EmulatedEndpoint(model=folder)

    assert str(folder) in str(caught.value)
    assert said in str(caught.value)


def test_a_folder_that_is_not_there_is_the_systems_error(tmp_path: Path) -> None:
    """A missing folder raises `FileNotFoundError` with its path."""
    with pytest.raises(FileNotFoundError, match=r"config\.json"):
        EmulatedEndpoint(model=tmp_path)
