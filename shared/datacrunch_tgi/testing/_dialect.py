"""The differences between the servers that can be emulated, as data.

Every fact is taken from recorded traffic of the two servers: DataCrunch's fork of Text Generation
Inference at 1.1.1, and Text Generation Inference 3.3.7. No other module checks which server it emulates.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

Headers = tuple[tuple[str, str], ...]
DialectName = Literal["3.3.7", "1.1.1"]


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """How one server differs from the other."""

    data_field: str
    """The prefix of an event's JSON."""
    counts_events: bool
    """Events carry `index`, from 1."""
    sends_input_length: bool
    """The last event's details carry `input_length`."""
    sends_token_counts: bool
    """Answers carry `x-prompt-tokens` and `x-generated-tokens`."""
    compute_time_in_seconds: bool
    """`x-compute-time` is in seconds with decimals, else in whole milliseconds."""
    samples_without_parameters: bool
    """A request without `parameters` samples; with `{}` it is greedy."""
    root_repeats_prompt: bool
    """`return_full_text` of the root route is on by default."""
    newer_parameters: bool
    """`frequency_penalty`, `grammar` and `adapter_id` are read; else they are unknown fields."""
    debug_floats: bool
    """A number that the JSON reader refuses is named `10.0`, else `10`."""
    counted_new_tokens: int | None
    """How much of `max_new_tokens` counts towards `max_total_tokens`. None: all."""
    stop_window: int | None
    """Characters of the text so far that are searched for stop strings. None: all."""
    tokenizes: bool
    """The server has the route `/tokenize`."""
    payload_limit: int
    """Largest request body, in bytes."""
    cors: Headers
    """Headers of every response."""
    info: Mapping[str, object]
    """The answer of `/info`; the endpoint's own settings override it."""


_FORK = Dialect(
    data_field="data:",
    counts_events=False,
    sends_input_length=False,
    sends_token_counts=False,
    compute_time_in_seconds=False,
    samples_without_parameters=False,
    root_repeats_prompt=False,
    newer_parameters=False,
    debug_floats=False,
    counted_new_tokens=None,
    stop_window=None,
    tokenizes=False,
    payload_limit=2_097_152,
    cors=(
        ("access-control-allow-origin", "*"),
        ("vary", "origin"),
        ("vary", "access-control-request-method"),
        ("vary", "access-control-request-headers"),
    ),
    info=MappingProxyType(
        {
            "model_id": "",
            "model_sha": None,
            "model_dtype": "torch.float16",
            "model_device_type": "cpu",
            "model_pipeline_tag": None,
            "max_concurrent_requests": 128,
            "max_best_of": 2,
            "max_stop_sequences": 4,
            "max_input_length": 1024,
            "max_total_tokens": 2048,
            "waiting_served_ratio": 1.2,
            "max_batch_total_tokens": 16_000,
            "max_waiting_tokens": 20,
            "validation_workers": 2,
            "version": "1.1.1",
            "sha": "0ab777c6afe01674d05e7a1f158d0da6e504afc5",
            "docker_label": None,
        }
    ),
)

_UPSTREAM = Dialect(
    data_field="data: ",
    counts_events=True,
    sends_input_length=True,
    sends_token_counts=True,
    compute_time_in_seconds=True,
    samples_without_parameters=True,
    root_repeats_prompt=True,
    newer_parameters=True,
    debug_floats=True,
    counted_new_tokens=1024,
    stop_window=300,
    tokenizes=True,
    payload_limit=2_000_000,
    cors=(
        ("vary", "origin, access-control-request-method, access-control-request-headers"),
        ("access-control-allow-origin", "*"),
    ),
    info=MappingProxyType(
        {
            "model_id": "",
            "model_sha": None,
            "model_pipeline_tag": None,
            "max_concurrent_requests": 128,
            "max_best_of": 2,
            "max_stop_sequences": 4,
            "max_input_tokens": 1024,
            "max_total_tokens": 2048,
            "validation_workers": 2,
            "max_client_batch_size": 4,
            "router": "text-generation-router",
            # The released 3.3.7 calls itself so.
            "version": "3.3.6-dev0",
            "sha": "dfb3fbe78e0d1d69251bd33065591c61bafdfaa8",
            "docker_label": None,
        }
    ),
)

_DIALECTS: Mapping[str, Dialect] = {"1.1.1": _FORK, "3.3.7": _UPSTREAM}


def find_dialect(name: str) -> Dialect:
    """Return the dialect of that name.

    Raises:
        ValueError: No dialect has that name.
    """
    if name not in _DIALECTS:
        known = " or ".join(repr(known) for known in get_args(DialectName))
        raise ValueError(f"dialect must be {known}, not {name!r}")
    return _DIALECTS[name]
