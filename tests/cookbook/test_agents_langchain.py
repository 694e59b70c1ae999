"""The agents of LangChain call their tools, offline or on the endpoint that the environment names."""

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "cookbook" / "agents_langchain.py"
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


def test_the_agents_run_by_their_command_without_a_network() -> None:
    """The tools' results are computed here; only the model's words are scripted."""
    clean = {name: value for name, value in os.environ.items() if "DATACRUNCH" not in name}
    done = subprocess.run(  # noqa: S603 -- our own script
        [sys.executable, str(SCRIPT)],
        env=clean,
        check=False,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )
    assert (done.returncode, done.stdout) == (0, PRINTED), done.stderr
