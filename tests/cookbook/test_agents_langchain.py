"""The agents of LangChain call their tools, offline or on the endpoint that the environment names."""

from collections.abc import Callable

PRINTED = """\
No DATACRUNCH_BASE_URL is set: an endpoint in this process gives scripted answers.

How many tokens are 15 answers of 30 tokens, and what do they cost?
  multiply({'a': 15, 'b': 'thirty'}) failed
  multiply({'a': 15, 'b': 30}) = 450
  price({'tokens': 450}) = 450 tokens at 2.5 euros per thousand: 1.125 euros
  450 tokens cost 1.125 euros.

What do a thousand tokens cost?
  price({'tokens': 1000}) = 1000 tokens at 2.5 euros per thousand: 2.5 euros
  {"tokens": 1000, "euros": 2.5}
  Quote(tokens=1000, euros=2.5)
"""


def test_the_agents_run_without_a_network(run_script: Callable[..., str]) -> None:
    """The tools' results are computed here; only the model's words are scripted."""
    assert run_script("agents_langchain.py") == PRINTED
