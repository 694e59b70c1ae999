"""An app to test: a helpdesk that asks a language model. Its tests are in test_helpdesk.py."""

from langchain_core.language_models import LLM

from datacrunch_tgi import DataCrunchError


def helpdesk(llm: LLM, question: str) -> str:
    """Answer in one line, and stay polite when the model does not answer."""
    try:
        return llm.invoke(f"[INST] {question} [/INST]", stop=["\n"]).strip()
    except DataCrunchError:
        return "I cannot answer now. Please try again later."
