"""The chat template of a run: the user's, else by the model's name, else by the server's."""

import os
from contextlib import suppress

from datacrunch_tgi._chat import ChatTemplate
from datacrunch_tgi._client import AsyncClient
from datacrunch_tgi._errors import DataCrunchError
from datacrunch_tgi._integration._served_model import ASK_ONCE


async def find_template(
    client: AsyncClient, given: ChatTemplate | str | os.PathLike[str] | None = None
) -> ChatTemplate | None:
    """Return the chat template of the rows that hold messages, or None if it is unknown.

    The server is asked for its model (`/info`) only if nothing else determines the template.

    Raises:
        ArgumentError: `chat_template` is invalid.
    """
    if given is not None:
        return ChatTemplate.of(given)
    if template := ChatTemplate.for_model(client.model):
        return template
    with suppress(DataCrunchError):
        return ChatTemplate.for_model((await client.with_settings(**ASK_ONCE).info()).model_id)
    return None
