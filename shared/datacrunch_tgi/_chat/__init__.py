"""Chat templates: `ChatTemplate`, the warning for control tokens in messages, and what adapters need."""

from datacrunch_tgi._chat._images import image_data_url, reads_images
from datacrunch_tgi._chat._template import ChatTemplate, ControlTokenWarning
from datacrunch_tgi._chat._tool_messages import in_words

__all__ = ["ChatTemplate", "ControlTokenWarning", "image_data_url", "in_words", "reads_images"]
