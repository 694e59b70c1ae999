"""The agents of LlamaIndex call their tools, offline or on the endpoint that the environment names."""

from collections.abc import Callable

PRINTED = """\
No DATACRUNCH_BASE_URL is set: an endpoint in this process gives scripted answers.

How many tokens are 15 answers of 30 tokens, and what do they cost?
  multiply({'a': 15, 'b': 30}) = 450
  price({'tokens': 450}) = 450 tokens at 2.5 euros per thousand: 1.125 euros
  450 tokens cost 1.125 euros.

What does an overloaded server do?
  documentation({'input': 'overloaded server'}) = Status 429: wait and try again.
  An overloaded server answers 429.
"""


def test_the_agents_run_without_a_network(run_script: Callable[..., str]) -> None:
    """The tools' results are computed and looked up here; only the model's words are scripted."""
    assert run_script("agents_llamaindex.py") == PRINTED
