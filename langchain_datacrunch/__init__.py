"""LangChain on DataCrunch's (Verda's) endpoints and any other Text Generation Inference server.

`DataCrunchLLM` is an LLM for chains: a prompt in, its answer out, at once or token by token.
`ChatDataCrunch` is a chat model: messages in, a message out, by the model's own chat template.
"""

from datacrunch_tgi import __version__

try:
    from langchain_datacrunch.chat_models import ChatDataCrunch
    from langchain_datacrunch.llms import DataCrunchLLM
except ModuleNotFoundError as error:
    if not f"{error.name}".startswith("langchain_core"):
        raise
    raise ImportError(
        'langchain_datacrunch needs langchain-core: pip install "datacrunch-tgi[langchain]"'
    ) from error

__all__ = ["ChatDataCrunch", "DataCrunchLLM", "__version__"]
