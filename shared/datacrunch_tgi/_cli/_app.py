"""The command `datacrunch-tgi`."""

import click

from datacrunch_tgi._cli._batch import batch
from datacrunch_tgi._cli._chat import chat
from datacrunch_tgi._cli._check import check
from datacrunch_tgi._cli._command import Group
from datacrunch_tgi._cli._failures import EXIT_CODES
from datacrunch_tgi._cli._generate import generate, stream
from datacrunch_tgi._cli._serve import serve
from datacrunch_tgi._version import __version__

COMPLETION = """\b
Shell completion: add the line for your shell to its start-up file.
  bash  eval "$(_DATACRUNCH_TGI_COMPLETE=bash_source datacrunch-tgi)"
  zsh   eval "$(_DATACRUNCH_TGI_COMPLETE=zsh_source datacrunch-tgi)"
  fish  _DATACRUNCH_TGI_COMPLETE=fish_source datacrunch-tgi | source"""


@click.group(
    cls=Group,
    epilog=f"{COMPLETION}\n\n{EXIT_CODES}",
    commands=[batch, chat, check, generate, stream, serve],
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="datacrunch-tgi")
def app() -> None:
    """Use language models on a DataCrunch (now Verda) endpoint or any TGI server.

    Set the endpoint with the variables DATACRUNCH_BASE_URL, DATACRUNCH_API_KEY and DATACRUNCH_MODEL,
    or with options. `check` reports whether it works.
    """
