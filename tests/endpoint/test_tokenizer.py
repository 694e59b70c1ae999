"""The texts of a folder's tokens, as passed to grammars."""

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer, decoders
from tokenizers.decoders import Decoder
from tokenizers.models import BPE

from datacrunch_tgi.testing._tokenizer import ModelTokenizer

SENTENCE_PIECE = decoders.Sequence(
    [
        decoders.Replace("▁", " "),
        decoders.ByteFallback(),
        decoders.Fuse(),
        decoders.Strip(" ", 1, 0),
    ]
)
BYTE_LEVEL = decoders.ByteLevel()


@pytest.mark.parametrize(
    ("decoder", "token", "piece"),
    [
        (SENTENCE_PIECE, "▁", b" "),
        (SENTENCE_PIECE, "▁▁the", b"  the"),
        (SENTENCE_PIECE, "日", "日".encode()),
        (SENTENCE_PIECE, "<0x20>", b" "),
        (SENTENCE_PIECE, "<0x7B>", b"{"),
        (SENTENCE_PIECE, "<0xE6>", b"\xe6"),
        (SENTENCE_PIECE, "\ufffd", "\ufffd".encode()),
        (SENTENCE_PIECE, " ", None),
        (SENTENCE_PIECE, "</s>", None),
        (BYTE_LEVEL, "the", b"the"),
        (BYTE_LEVEL, "Ġthe", b" the"),
        (BYTE_LEVEL, "æĹ¥", "日".encode()),
        (BYTE_LEVEL, "æĹ", b"\xe6\x97"),
        (BYTE_LEVEL, "ï¿½", "\ufffd".encode()),
    ],
)
def test_a_token_stands_for_bytes(
    tmp_path: Path, decoder: Decoder, token: str, piece: bytes | None
) -> None:
    """Both spellings of tokens are understood, parts of characters too; the end token is not text."""
    tokenizer = Tokenizer(BPE({token: 0, "</s>": 1}, []))
    tokenizer.decoder = decoder
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"eos_token": "</s>"}))

    found = ModelTokenizer(tmp_path).ids_by_bytes()

    assert found == ({} if piece is None else {piece: [0]})
