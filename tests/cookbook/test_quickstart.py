"""The quickstart shows both frameworks, and uses the user's endpoint if there is one."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from datacrunch_tgi.testing import EmulatedEndpoint

Run = Callable[..., str]

COOKBOOK = Path(__file__).parents[2] / "cookbook"
KEY = "sk-of-the-newcomer"
ANSWERS = [
    (
        "LangChain calls the endpoint through a language model class, and each new token reaches the "
        "callbacks of the chain.\n  93 prompt tokens, 21 completion tokens; ended by stop"
    ),
    (
        "Pass the word in stop, a list of strings. Generation ends as soon as one of them appears.\n"
        "  from length.md; 136 prompt tokens, 26 completion tokens; ended by stop"
    ),
    (
        "An overloaded server answers 429. The client should wait and try again.\n"
        "  from errors.md; 137 prompt tokens, 16 completion tokens; ended by stop"
    ),
    (
        "Set a fixed seed. With the same seed, a sampled answer is repeatable.\n"
        "  from sampling.md; 146 prompt tokens, 18 completion tokens; ended by stop"
    ),
]


def test_without_a_key_the_tiny_llama_answers_and_says_so() -> None:
    """Without a key, the quickstart uses the tiny Llama and says so."""
    done = subprocess.run(  # noqa: S603 -- our own script
        [sys.executable, str(COOKBOOK / "quickstart.py")],
        check=False,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )
    printed = done.stdout
    assert (done.returncode, done.stderr) == (0, "")
    assert printed.startswith(
        "No DATACRUNCH_API_KEY is set: a tiny Llama in this process answers.\n"
    )
    for answer in ANSWERS:
        assert answer in printed


def test_with_a_key_the_same_script_talks_to_the_endpoint_it_names(
    tiny_llama: Path, run_script: Run
) -> None:
    """With a key, the quickstart uses the endpoint of the environment and never prints the key."""
    with EmulatedEndpoint(model=tiny_llama, base_path="/v1/completions", api_key=KEY) as endpoint:
        printed = run_script(
            "quickstart.py",
            DATACRUNCH_BASE_URL=endpoint.url,
            DATACRUNCH_API_KEY=KEY,
            DATACRUNCH_MODEL="llama",
        )
    assert len(endpoint.requests) == len(ANSWERS)
    assert all(request.json["model"] == "llama" for request in endpoint.requests)
    assert "tiny Llama" not in printed
    assert KEY not in printed
    for answer in ANSWERS:
        assert answer in printed


def test_with_a_chat_model_its_documents_are_asked_about_in_chats(
    tiny_llama: Path, run_script: Run
) -> None:
    """With a chat model, the quickstart sends its questions in the chat template."""
    with EmulatedEndpoint(model=tiny_llama) as endpoint:
        printed = run_script(
            "quickstart.py", DATACRUNCH_BASE_URL=endpoint.url, DATACRUNCH_MODEL="llama-2-13b-chat"
        )
    _, *asked = (request.json["inputs"] for request in endpoint.requests)
    assert all(prompt.startswith("[INST] <<SYS>>") for prompt in asked)
    assert printed.count("completion tokens; ended by") == len(ANSWERS)
