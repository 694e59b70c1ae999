"""Sources of chat templates: bundled ones by name, and a model's own files.

The functions return keyword arguments for `ChatTemplate`.
"""

import json
import os
import re
import tomllib
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel, ConfigDict, ValidationError

from datacrunch_tgi._errors import ArgumentError

_TEMPLATES = Path(__file__).with_name("templates")
OWN = "as the path of its tokenizer_config.json or chat_template.jinja, from the model's repository"
"""How to pass a model's own chat template."""
_FILES = ("chat_template.jinja", "chat_template.json", "tokenizer_config.json")


def find(given: object) -> dict[str, Any]:
    """Read the template that is given as a name, a model's name, a path or Jinja text.

    Raises:
        ArgumentError: It is none of these.
    """
    if not isinstance(given, str | os.PathLike):
        rule = "must be a ChatTemplate, a name, a path or Jinja text"
        raise ArgumentError("chat_template", rule, value=repr(given))
    path = cast("str | os.PathLike[str]", given)
    if isinstance(path, str) and ("{{" in path or "{%" in path):
        return {"template": path}
    if isinstance(path, str) and _letters(path) in _names():
        return named(path)
    if not isinstance(path, str) or os.path.exists(path):  # noqa: PTH110 -- it may be any text
        return read(Path(path))
    return named(name_for(path) or path)


def required(model: str = "", what: str = "") -> ArgumentError:
    """Return the error for a model whose chat template is not known, which says how to pass its own.

    Args:
        model: The model's name, if it is one model.
        what: What requires it, such as " for messages".
    """
    of = f"model {model!r}" if model else "the model"
    return ArgumentError(
        "chat_template",
        f"is required{what}: no template is known for {of}. Pass the model's own, {OWN}; or a "
        f"name: {', '.join(names())}",
    )


def names() -> tuple[str, ...]:
    """Return the names of all bundled templates."""
    return tuple(_families())


def named(name: str) -> dict[str, Any]:
    """Read the bundled template of this name; case, spaces, dots and dashes are ignored.

    Raises:
        ArgumentError: There is none.
    """
    names, letters = _names(), _letters(name)
    if letters not in names:
        near = [names[known] for known in get_close_matches(letters, names, n=1)]
        more = f"did you mean {near[0]!r}?" if near else f"known names: {', '.join(_families())}"
        rule = f"no such chat template, model or file; {more}"
        raise ArgumentError("chat_template", rule, value=repr(name))
    family = _families()[names[letters]]
    file = _TEMPLATES / f"{family.get('file', names[letters])}.jinja"
    variables = family.get("set", {}).items()
    set_first = "".join(f"{{%- set {name} = {json.dumps(value)} %}}\n" for name, value in variables)
    return {
        "template": set_first + file.read_text(encoding="utf-8"),
        "bos_token": family.get("bos_token"),
        "eos_token": family["eos_token"],
    }


def name_for(model: str) -> str | None:
    """Return the name of the bundled template for a model's name; None if there is none."""
    dashed = _dashed(model)
    families = _families().items()
    return next((n for n, f in families if re.match(rf"({f['models']})(-|$)", dashed)), None)


def reads_images(model: str) -> bool:
    """Return whether a model reads images, by its name."""
    return bool(re.search(_read_families()["images"], _dashed(model)))


def _dashed(model: str) -> str:
    last = re.split(r"[/\\]", model.rstrip("/\\"))[-1]
    return re.sub(r"[^a-z0-9]+", "-", last.lower())


@cache
def _read_families() -> dict[str, Any]:
    return tomllib.loads((_TEMPLATES / "families.toml").read_text(encoding="utf-8"))


@cache
def _families() -> dict[str, dict[str, Any]]:
    return {name: family for name, family in _read_families().items() if name != "images"}


@cache
def _names() -> dict[str, str]:
    also = {family["also"]: name for name, family in _families().items() if "also" in family}
    return {_letters(name): name for name in _families()} | also


def _letters(name: str) -> str:
    return re.sub(r"[\s._-]", "", name.lower())


class _Model(BaseModel):
    model_config = ConfigDict(defer_build=True, hide_input_in_errors=True)


class _Named(_Model):
    name: str
    template: str


class _Token(_Model):
    content: str
    special: bool = True


class _Config(_Model):
    """The parts of tokenizer_config.json or chat_template.json that matter for chats."""

    chat_template: str | list[_Named] | None = None
    bos_token: str | _Token | None = None
    eos_token: str | _Token | None = None
    unk_token: str | _Token | None = None
    pad_token: str | _Token | None = None
    added_tokens_decoder: dict[str, _Token] = {}


def read(path: Path) -> dict[str, Any]:
    """Read a model's own template.

    Args:
        path: The model's folder, or one of its files.

    Raises:
        ArgumentError: It cannot be read, or has no chat template.
    """
    beside = (path if path.is_dir() else path.parent) / _FILES[-1]
    if path.is_dir():
        path = next(filter(Path.is_file, map(path.joinpath, _FILES)), beside)
    if path.suffix == ".json":
        held = _config(path).chat_template
        named = held if isinstance(held, list) else [_Named(name="default", template=held or "")]
        templates = {one.name: one.template for one in named}
    else:
        others = (path.parent / "additional_chat_templates").glob("*.jinja")
        templates = {"default": _text(path), **{other.stem: _text(other) for other in others}}
    if not templates.get("default"):
        raise ArgumentError("chat_template", "has no chat template", value=repr(str(path)))
    config = _config(beside) if beside.is_file() else _Config()
    tokens = {
        name: token.content if isinstance(token, _Token) else token
        for name, token in config
        if name.endswith("_token") and token is not None
    }
    added = [token.content for token in config.added_tokens_decoder.values() if token.special]
    return {
        "template": templates["default"],
        "tool_template": templates.get("tool_use"),
        "control_tokens": (*tokens.values(), *added),
        "bos_token": tokens.pop("bos_token", None),
        "eos_token": tokens.pop("eos_token", None),
        "variables": tokens,
    }


def _config(path: Path) -> _Config:
    try:
        return _Config.model_validate_json(_text(path))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        rule = f"cannot be read: {' '.join(map(str, first['loc']))} {first['msg']}"
        raise ArgumentError("chat_template", rule, value=repr(str(path))) from None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ArgumentError(
            "chat_template", f"cannot be read: {error}", value=repr(str(path))
        ) from None
