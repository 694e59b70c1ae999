"""Chat templates: `ChatTemplate`, and the warning for control tokens that a conversation's texts hold."""

from datacrunch_tgi._chat._template import ChatTemplate, ControlTokenWarning

__all__ = ["ChatTemplate", "ControlTokenWarning"]
