"""Chat templates: from conversations to prompts.

messages ─▶ fallbacks ─▶ placeholders, to see what a template does ─▶ defuse ─▶ render ─▶ prompt
                                                                    (control tokens)
"""

from datacrunch_tgi._chat._files import OWN, reads_images, required
from datacrunch_tgi._chat._images import image_data_url, image_markdown
from datacrunch_tgi._chat._messages import check, is_continued
from datacrunch_tgi._chat._template import ChatTemplate
from datacrunch_tgi._chat._texts import ControlTokenWarning
from datacrunch_tgi._chat._tool_messages import in_words

__all__ = [
    "OWN",
    "ChatTemplate",
    "ControlTokenWarning",
    "check",
    "image_data_url",
    "image_markdown",
    "in_words",
    "is_continued",
    "reads_images",
    "required",
]
