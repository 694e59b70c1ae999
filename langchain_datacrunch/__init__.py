"""LangChain on DataCrunch's (Verda's) endpoints and any other Text Generation Inference server.

`DataCrunchLLM` is an LLM for chains: a prompt in, its answer out, at once or token by token.
"""

from datacrunch_tgi import __version__

try:
    from langchain_datacrunch.llms import DataCrunchLLM
except ModuleNotFoundError as error:
    if not f"{error.name}".startswith("langchain_core"):
        raise
    raise ImportError(
        'langchain_datacrunch needs langchain-core: pip install "datacrunch-tgi[langchain]"'
    ) from error

__all__ = ["DataCrunchLLM", "__version__"]
