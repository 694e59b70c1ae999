"""An answer on a web page while it is being written: FastAPI, server-sent events, a LangChain chain.

`pip install "datacrunch-tgi[langchain,testing]" fastapi "sse-starlette>=3.6"`, run this file, and open
the address that it prints.
"""

import logging
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated

import uvicorn
from fastapi import Body, FastAPI
from fastapi.responses import FileResponse
from langchain_core.language_models import LLM
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import PromptTemplate
from sse_starlette import EventSourceResponse, JSONServerSentEvent

from datacrunch_tgi import DataCrunchError
from langchain_datacrunch import DataCrunchLLM

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent))
from endpoint import endpoint  # noqa: E402 -- the other recipes', one folder up

log = logging.getLogger(__name__)


def create_app(llm: LLM) -> FastAPI:
    """Build the page, and the route that answers it."""
    chain = PromptTemplate.from_template("[INST] {question} [/INST]") | llm | StrOutputParser()
    app = FastAPI()

    @app.get("/")
    def page() -> FileResponse:
        return FileResponse(HERE / "index.html")

    # Not FastAPI's own response of this name: that one may leave the generator open when a reader leaves.
    @app.post("/answer")
    async def answer(
        question: Annotated[str, Body(embed=True, min_length=1, max_length=1000)],
    ) -> EventSourceResponse:
        return EventSourceResponse(events(question))

    async def events(question: str) -> AsyncIterator[JSONServerSentEvent]:
        """Tell token by token; cancelled when the reader leaves, which stops the model."""
        try:
            async for piece in chain.astream({"question": question}):
                yield JSONServerSentEvent(piece, event="token")
        except DataCrunchError as error:
            log.warning("%s", error)  # with the hint, which is for whoever runs the app
            yield JSONServerSentEvent(error.message, event="error")

    return app


if __name__ == "__main__":
    with endpoint() as settings:
        llm = DataCrunchLLM(**settings, max_tokens=300, temperature=0)
        uvicorn.run(create_app(llm), port=int(os.environ.get("PORT", "8000")))
