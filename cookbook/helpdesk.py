"""An app to test: a helpdesk that uses a language model. Its tests are in test_helpdesk.py."""

from langchain_core.language_models import LLM

from datacrunch_tgi import DataCrunchError


def helpdesk(llm: LLM, question: str) -> str:
    """Return an answer in one line, or an apology if the model does not answer."""
    try:
        return llm.invoke(f"[INST] {question} [/INST]", stop=["\n"]).strip()
    except DataCrunchError:
        return "I cannot answer now. Please try again later."
