"""The network: token ids in, next-token logits out, in numpy and single precision.

Reads a Llama as the Hugging Face hub stores it and runs it with a key-value cache. Knows nothing of
text, sampling or HTTP.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file  # pyright: ignore[reportUnknownVariableType]

Array = NDArray[np.floating[Any]]
"""All are single precision, which numpy's types lose in most operations."""

_PAGE = 256
"""Tokens by which a cache grows, so that appending one rarely copies."""

_FEW_ROWS = 32
"""Rows up to which a projection runs in one thread. BLAS would divide them among its threads and
wait for all, which takes many times as long where other processes keep the cores busy."""


@dataclass(frozen=True)
class LlamaConfig:
    """The architecture, under the names of the model's `config.json`."""

    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    rms_norm_eps: float
    rope_theta: float
    tie_word_embeddings: bool

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read `config.json`.

        Raises:
            ValueError: The model is not a Llama, or a variant that is not supported.
        """
        found: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        if found.get("model_type") != "llama":
            raise ValueError(
                f"{folder} holds a model of type {found.get('model_type')!r} "
                f"({', '.join(found.get('architectures') or ['no architecture'])}); "
                "only a Llama is supported"
            )
        # Newer checkpoints have the one, older the other, and some have both.
        rope: dict[str, Any] = found.get("rope_parameters") or found.get("rope_scaling") or {}
        scaled = rope.get("rope_type", rope.get("type", "default"))
        if scaled != "default":
            raise ValueError(
                f"{folder} scales its rotary embedding ({scaled!r}), which is not supported"
            )
        if found.get("attention_bias") or found.get("mlp_bias"):
            raise ValueError(f"{folder} has biases in its projections, which is not supported")
        if found.get("hidden_act", "silu") != "silu":
            raise ValueError(
                f"{folder} activates with {found['hidden_act']!r}; a Llama uses 'silu'"
            )
        heads: int = found["num_attention_heads"]
        return cls(
            num_hidden_layers=found["num_hidden_layers"],
            num_attention_heads=heads,
            num_key_value_heads=found.get("num_key_value_heads") or heads,
            head_dim=found.get("head_dim") or found["hidden_size"] // heads,
            rms_norm_eps=found["rms_norm_eps"],
            rope_theta=found.get("rope_theta") or rope.get("rope_theta") or 10_000.0,
            tie_word_embeddings=found.get("tie_word_embeddings", False),
        )


@dataclass(frozen=True)
class _Layer:
    """One decoder layer; projections that read the same input are stacked into one matrix."""

    attention_norm: Array
    qkv: Array
    output: Array
    mlp_norm: Array
    gate_up: Array
    down: Array


class Cache:
    """Keys and values of one sequence, for every layer: `[kv_heads, tokens, head_dim]`."""

    def __init__(self, config: LlamaConfig) -> None:
        empty = (config.num_hidden_layers, config.num_key_value_heads, 0, config.head_dim)
        self.length = 0
        self._keys: Array = np.empty(empty, np.float32)
        self._values: Array = np.empty(empty, np.float32)

    def reserve(self, tokens: int) -> None:
        """Allocate space for `tokens` more."""
        missing = self.length + tokens - self._keys.shape[2]
        if missing > 0:
            grown = [(0, 0), (0, 0), (0, max(missing, _PAGE)), (0, 0)]
            self._keys = np.pad(self._keys, grown)
            self._values = np.pad(self._values, grown)

    def append(self, layer: int, keys: Array, values: Array) -> tuple[Array, Array]:
        """Add the new tokens' keys and values to a layer and return all of that layer's."""
        end = self.length + keys.shape[1]
        self._keys[layer, :, self.length : end] = keys
        self._values[layer, :, self.length : end] = values
        return self._keys[layer, :, :end], self._values[layer, :, :end]


class Llama:
    """A Llama's weights and its forward pass."""

    def __init__(self, config: LlamaConfig, weight: Callable[[str], Array]) -> None:
        """Read the weights, by their names in a Hugging Face checkpoint."""
        self.config = config
        self._embedding = weight("model.embed_tokens.weight")
        self._norm = weight("model.norm.weight")
        self._head = self._embedding if config.tie_word_embeddings else weight("lm_head.weight")
        self._layers = [
            _read_layer(weight, f"model.layers.{index}.")
            for index in range(config.num_hidden_layers)
        ]
        halves = np.arange(0, config.head_dim, 2, dtype=np.float32) / np.float32(config.head_dim)
        self._frequencies: Array = (1.0 / config.rope_theta**halves).astype(np.float32)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read `config.json` and `model.safetensors`.

        Raises:
            ValueError: The model is not a Llama, or a variant that is not supported.
            OSError: A file is missing.
        """
        config = LlamaConfig.read(folder)
        try:
            weights = load_file(folder / "model.safetensors")
        except TypeError as unknown:  # numpy has no bfloat16
            raise ValueError(
                f"the weights in {folder} are not float16 or float32: {unknown}"
            ) from unknown

        def weight(name: str) -> Array:
            if name not in weights:
                raise ValueError(f"{folder} has no {name!r}: these are not a Llama's weights")
            return weights[name].astype(np.float32)

        return cls(config, weight)

    def forward(self, ids: Sequence[int], cache: Cache, *, every: bool = False) -> Array:
        """Run the network on the tokens that follow those in the cache.

        Args:
            ids: The new tokens, at least one.
            cache: The tokens before; the new ones are added to it.
            every: Return the logits after every new token, not only after the last.

        Returns:
            Logits, `[len(ids) if every else 1, vocabulary]`.
        """
        cache.reserve(len(ids))
        rotation = self._rotation(cache.length, len(ids))
        hidden = self._embedding[np.asarray(ids)]
        for index, layer in enumerate(self._layers):
            hidden = hidden + self._attend(index, layer, hidden, cache, rotation)
            normal = self._normalise(hidden, layer.mlp_norm)
            gate, up = _halves(_project(normal, layer.gate_up))
            hidden = hidden + _project(_silu(gate) * up, layer.down)
        cache.length += len(ids)
        hidden = self._normalise(hidden if every else hidden[-1:], self._norm)
        return _project(hidden, self._head)

    def _attend(
        self, index: int, layer: _Layer, hidden: Array, cache: Cache, rotation: tuple[Array, Array]
    ) -> Array:
        config = self.config
        count = len(hidden)
        heads, kv_heads = config.num_attention_heads, config.num_key_value_heads
        projected = _project(self._normalise(hidden, layer.attention_norm), layer.qkv)
        split = projected.reshape(count, heads + 2 * kv_heads, config.head_dim).transpose(1, 0, 2)
        rotated = _rotate(split[: heads + kv_heads], rotation)
        keys, values = cache.append(index, rotated[heads:], split[heads + kv_heads :])

        # Query heads that share a key head follow one another: [kv_heads, group * count, dim]
        queries = rotated[:heads].reshape(kv_heads, -1, config.head_dim)
        scores = queries @ keys.transpose(0, 2, 1) * np.float32(config.head_dim**-0.5)
        if count > 1:
            future = np.triu(np.full((count, keys.shape[1]), -np.inf, np.float32), cache.length + 1)
            scores += np.tile(future, (heads // kv_heads, 1))
        mixed = _softmax(scores) @ values
        mixed = mixed.reshape(heads, count, config.head_dim).transpose(1, 0, 2)
        return _project(mixed.reshape(count, -1), layer.output)

    def _normalise(self, hidden: Array, weight: Array) -> Array:
        mean = np.einsum("ij,ij->i", hidden, hidden)[:, None] / np.float32(hidden.shape[1])
        normal: Array = hidden / np.sqrt(mean + np.float32(self.config.rms_norm_eps)) * weight
        return normal

    def _rotation(self, start: int, count: int) -> tuple[Array, Array]:
        """The rotary embedding's cosines and sines, `[count, head_dim / 2]`."""
        angles = np.outer(np.arange(start, start + count, dtype=np.float32), self._frequencies)
        return np.cos(angles), np.sin(angles)


def _read_layer(weight: Callable[[str], Array], prefix: str) -> _Layer:
    def stack(*names: str) -> Array:
        return np.concatenate([weight(prefix + name) for name in names])

    return _Layer(
        attention_norm=weight(prefix + "input_layernorm.weight"),
        qkv=stack(*(f"self_attn.{part}_proj.weight" for part in "qkv")),
        output=stack("self_attn.o_proj.weight"),
        mlp_norm=weight(prefix + "post_attention_layernorm.weight"),
        gate_up=stack("mlp.gate_proj.weight", "mlp.up_proj.weight"),
        down=stack("mlp.down_proj.weight"),
    )


def _project(hidden: Array, weight: Array) -> Array:
    """Multiply rows `[count, inputs]` with a weight as checkpoints store it, `[outputs, inputs]`."""
    if len(hidden) <= _FEW_ROWS:
        rows: Array = np.vecdot(weight, hidden[:, None])
        return rows
    return hidden @ weight.T


def _rotate(heads: Array, rotation: tuple[Array, Array]) -> Array:
    """Rotate halves, as Hugging Face's checkpoints are laid out: pair i is (x[i], x[i + dim/2])."""
    cosine, sine = rotation
    first, second = _halves(heads)
    return np.concatenate([first * cosine - second * sine, second * cosine + first * sine], axis=2)


def _halves(rows: Array) -> tuple[Array, Array]:
    """Split the last axis, without the checks of `np.split`, which cost much for one token."""
    middle = rows.shape[-1] // 2
    return rows[..., :middle], rows[..., middle:]


def _silu(gate: Array) -> Array:
    with np.errstate(over="ignore"):  # infinite where the result is zero
        activated: Array = gate / (1 + np.exp(-gate))
    return activated


def _softmax(scores: Array) -> Array:
    exponentials: Array = np.exp(scores - scores.max(axis=-1, keepdims=True))
    exponentials /= exponentials.sum(axis=-1, keepdims=True)
    return exponentials
