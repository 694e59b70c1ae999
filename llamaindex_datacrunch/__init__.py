"""LlamaIndex LLM for DataCrunch (Verda) endpoints and any Text Generation Inference (TGI) server.

Use `DataCrunch` in query engines, chat engines and agents, as `Settings.llm` or `llm=`.
"""

from datacrunch_tgi import __version__

try:
    from llamaindex_datacrunch._llm import DataCrunch
except ModuleNotFoundError as error:
    if not f"{error.name}".startswith("llama_index"):
        raise
    raise ImportError(
        'llamaindex_datacrunch needs llama-index-core: pip install "datacrunch-tgi[llamaindex]"'
    ) from error

__all__ = ["DataCrunch", "__version__"]
