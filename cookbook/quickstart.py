"""A LangChain chain and a LlamaIndex pipeline that stream from one endpoint.

Without a key it is an endpoint in this process, which serves the tiny Llama in this folder. With
DATACRUNCH_API_KEY, DATACRUNCH_BASE_URL and DATACRUNCH_MODEL set, it is yours.
"""

from pathlib import Path
from typing import Any, cast

from endpoint import endpoint
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.output_parsers import StrOutputParser
from langchain_core.outputs import LLMResult
from langchain_core.prompts import PromptTemplate
from llama_index.core import Document, QueryBundle, get_response_synthesizer
from llama_index.core.base.response.schema import StreamingResponse
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events import BaseEvent
from llama_index.core.instrumentation.events.llm import LLMChatEndEvent, LLMCompletionEndEvent
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.retrievers.bm25 import BM25Retriever
from pydantic import Field

from langchain_datacrunch import DataCrunchLLM
from llamaindex_datacrunch import DataCrunch

HERE = Path(__file__).parent
QUESTIONS = [
    "How do I stop generation at a word?",
    "What happens when the server is overloaded?",
    "How do I make the output repeatable?",
]


class Printer(BaseCallbackHandler):
    """Prints each token as it is generated, and then usage and finish reason."""

    def on_llm_new_token(self, token: Any, **_: Any) -> None:
        print(token, end="", flush=True)

    def on_llm_end(self, response: LLMResult, **_: Any) -> None:
        info = response.generations[0][0].generation_info or {}
        print(f"\n  {tokens(info['token_usage'])}; ended by {info['finish_reason']}\n")


def langchain_chain(settings: dict[str, Any]) -> None:
    """Run a chain: from document and question to a prompt, an answer and text."""
    llm = DataCrunchLLM(**settings, max_tokens=120, temperature=0)
    prompt = PromptTemplate.from_template(
        "Human: Answer the question based only on the following context:\n{document}\n\n"
        "Question: {question}"
    )
    chain = prompt | llm | StrOutputParser()
    question = "How does LangChain call the endpoint?"
    document = (HERE / "data" / "frameworks.md").read_text(encoding="utf-8").strip()
    print(f"\nLangChain: {question}\n ", end="")
    for _ in chain.stream(
        {"document": document, "question": question}, config={"callbacks": [Printer()]}
    ):
        pass


class LastAnswer(BaseEventHandler):
    """Keeps `raw` of the last answer, of a completion or a chat."""

    raw: dict[str, Any] = Field(default_factory=dict)

    def handle(self, event: BaseEvent, **_: Any) -> None:
        if isinstance(event, LLMCompletionEndEvent | LLMChatEndEvent) and event.response:
            self.raw = event.response.raw or {}


def llamaindex_pipeline(settings: dict[str, Any]) -> None:
    """Retrieve from the documents in data/ with BM25, and answer from the results."""
    llm = DataCrunch(**settings, max_tokens=120, temperature=0, context_window=2048)
    documents = [
        Document(text=path.read_text(encoding="utf-8").strip(), metadata={"file_path": path.name})
        for path in sorted((HERE / "data").glob("*.md"))
    ]
    nodes = SentenceSplitter().get_nodes_from_documents(documents)
    engine = RetrieverQueryEngine(
        BM25Retriever.from_defaults(nodes=nodes, similarity_top_k=1),
        get_response_synthesizer(llm=llm, streaming=True),
    )
    last = LastAnswer()
    get_dispatcher().add_event_handler(last)
    print(f"{len(documents)} documents indexed for LlamaIndex\n")
    for question in QUESTIONS:
        print(f"LlamaIndex: {question}\n ", end="")
        response = engine.query(QueryBundle(question))
        for piece in cast("StreamingResponse", response).response_gen:
            print(piece, end="", flush=True)
        used = ", ".join(node.metadata["file_path"] for node in response.source_nodes)
        print(
            f"\n  from {used}; {tokens(last.raw['usage'])}; ended by {last.raw['finish_reason']}\n"
        )


def tokens(usage: dict[str, int]) -> str:
    """Format the usage of a call, as far as the server reports it."""
    reported = [f"{number} {name.replace('_', ' ')}" for name, number in usage.items()]
    return ", ".join(reported[:2]) or "usage not reported"


if __name__ == "__main__":
    with endpoint() as settings:
        langchain_chain(settings)
        llamaindex_pipeline(settings)
