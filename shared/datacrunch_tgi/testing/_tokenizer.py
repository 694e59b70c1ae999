"""The tokenizer of a model's folder."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tokenizers

from datacrunch_tgi.testing._detokenizer import TokenSpan

_REPLACEMENT = "\ufffd"
_SPACE = "▁"
"""How SentencePiece spells a space; decoding strips one in front."""
_BYTE_TOKEN = re.compile("<0x[0-9A-F]{2}>")
"""How SentencePiece spells a byte of a character that has no token."""
_PRINTABLE = (*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100))
_BYTE_LEVEL = {chr(byte): byte for byte in _PRINTABLE} | {
    chr(0x100 + place): byte
    for place, byte in enumerate(byte for byte in range(0x100) if byte not in _PRINTABLE)
}
"""How GPT-2, and after it Llama 3, spells each byte: as a printable sign."""


class ModelTokenizer:
    """The tokenizer of a folder: `tokenizer.json`, and the token that ends an answer."""

    def __init__(self, folder: Path) -> None:
        self._tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        added = self._tokenizer.get_added_tokens_decoder()
        self.special_ids = frozenset(i for i, token in added.items() if token.special)
        self.end_id = self._read_end_id(folder)
        self.end_ids = frozenset({self.end_id})

    def encode(self, text: str) -> list[int]:
        """Return the ids, including the token at the start of every text."""
        return self._tokenizer.encode(text).ids

    def split(self, text: str) -> list[TokenSpan]:
        """Return the tokens with their places in the text's bytes."""
        encoding = self._tokenizer.encode(text)
        bytes_before = [0]
        for character in text:
            bytes_before.append(bytes_before[-1] + len(character.encode()))
        return [
            TokenSpan(token_id, text[start:stop], bytes_before[start], bytes_before[stop])
            for token_id, (start, stop) in zip(encoding.ids, encoding.offsets, strict=True)
        ]

    def decode(self, ids: Sequence[int], *, skip_special_tokens: bool = False) -> str:
        """Return the text of the ids."""
        return self._tokenizer.decode(ids, skip_special_tokens=skip_special_tokens)

    def ids_by_bytes(self) -> dict[bytes, list[int]]:
        """Return the tokens by their text, as TGI 3.3.7 passes them to a grammar.

        The text is that of a token decoded alone. So a space in front that is not spelt `▁` is
        lost, and a token of only such a space cannot occur in a grammar's answer.
        """
        found: dict[bytes, list[int]] = {}
        marks = self.special_ids | self.end_ids
        for token, token_id in self._tokenizer.get_vocab().items():
            piece = _bytes_of(token, self._tokenizer.decoder.decode([token]))
            if piece and token_id not in marks:
                found.setdefault(piece, []).append(token_id)
        return found

    def _read_end_id(self, folder: Path) -> int:
        settings: dict[str, Any] = json.loads(
            (folder / "tokenizer_config.json").read_text(encoding="utf-8")
        )
        token = settings["eos_token"]
        # Either the token's text or an object that describes it.
        text: str = token if isinstance(token, str) else token["content"]
        token_id = self._tokenizer.token_to_id(text)
        if token_id is None:
            raise ValueError(f"{folder}: the tokenizer has no token {text!r}, its own eos_token")
        return token_id


def _bytes_of(token: str, decoded: str) -> bytes:
    if _REPLACEMENT in decoded and _REPLACEMENT not in token:
        # A part of a character, which cannot be decoded alone.
        if _BYTE_TOKEN.fullmatch(token):
            return bytes([int(token[3:5], 16)])
        return bytes(_BYTE_LEVEL[sign] for sign in token)
    if token.startswith((_SPACE, "<0x20>")):
        return f" {decoded}".encode()
    return decoded.encode()
