"""LangChain models for DataCrunch (Verda) endpoints and any Text Generation Inference (TGI) server.

`DataCrunchLLM` is an LLM that completes a prompt. `ChatDataCrunch` is a chat model: it formats messages
with the model's chat template, and supports tools and structured output.
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
