"""A web page that streams an answer: FastAPI, server-sent events, a LangChain chain.

In the repository's folder: `pip install ".[langchain,testing]" fastapi "sse-starlette>=3.6"`, run this file,
and open the URL that it prints.
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
from endpoint import endpoint  # noqa: E402 -- shared by the recipes, one folder up

log = logging.getLogger(__name__)


def create_app(llm: LLM) -> FastAPI:
    """Create the app: the page, and the route that answers."""
    chain = PromptTemplate.from_template("[INST] {question} [/INST]") | llm | StrOutputParser()
    app = FastAPI()

    @app.get("/")
    def page() -> FileResponse:
        return FileResponse(HERE / "index.html")

    # Not FastAPI's own response of this name, which may leave the generator open when the client leaves.
    @app.post("/answer")
    async def answer(
        question: Annotated[str, Body(embed=True, min_length=1, max_length=1000)],
    ) -> EventSourceResponse:
        return EventSourceResponse(events(question))

    async def events(question: str) -> AsyncIterator[JSONServerSentEvent]:
        """Yield tokens; cancelled when the client leaves, which stops the model."""
        try:
            async for piece in chain.astream({"question": question}):
                yield JSONServerSentEvent(piece, event="token")
        except DataCrunchError as error:
            log.warning("%s", error)  # with the hint, which is for the operator
            yield JSONServerSentEvent(error.message, event="error")

    return app


if __name__ == "__main__":
    with endpoint() as settings:
        llm = DataCrunchLLM(**settings, max_tokens=300, temperature=0)
        uvicorn.run(create_app(llm), port=int(os.environ.get("PORT", "8000")))
