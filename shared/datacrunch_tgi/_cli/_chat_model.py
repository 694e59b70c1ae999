"""A chat model for the command line: the model's template, found as both adapters find it."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Self

from pydantic import PrivateAttr

from datacrunch_tgi import Settings
from datacrunch_tgi._chat import ChatTemplate, ControlTokenWarning, required
from datacrunch_tgi._cli._options import PARAMETERS, SETTINGS, given
from datacrunch_tgi._cli._terminal import note
from datacrunch_tgi._integration._chat import ChatEndpoint

Message = dict[str, str]


class ChatModel(ChatEndpoint):
    """A model that needs a chat template."""

    _noted: set[str] = PrivateAttr(default_factory=set[str])

    def require_template(self) -> ChatTemplate:
        """Return the chat template; ask the server for its model if nothing else names it.

        Raises:
            ArgumentError: No template is known.
        """
        template = self._find_template()
        if template is None:
            raise required(self.model)
        return template

    def prepare(self, messages: Sequence[Message]) -> tuple[Self, str]:
        """Return a copy that stops where turns end, and the prompt; note each new warning once.

        Raises:
            ArgumentError: No template is known, or it refuses the messages.
        """
        template = self.require_template()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ControlTokenWarning)
            prepared = self._for_messages(template, messages)
        for text in {str(warning.message): None for warning in caught}:
            if text not in self._noted:
                self._noted.add(text)
                note(text)
        return prepared


def chat_model(options: Mapping[str, Any]) -> ChatModel:
    """Make a chat model from the options of a command.

    Raises:
        ArgumentError: An option was refused.
    """
    settings = given(options, SETTINGS)
    Settings(**settings)  # whose errors name the setting; those of a pydantic model do not
    return ChatModel(**settings).model_copy(update=given(options, (*PARAMETERS, "chat_template")))


def system_messages(text: str | None) -> list[Message]:
    """Return the messages that a conversation starts with."""
    return [{"role": "system", "content": text}] if text else []
