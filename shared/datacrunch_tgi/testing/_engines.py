"""Where answers come from: the engine for what the user gave, a script or a model's folder."""

from collections.abc import Callable
from pathlib import Path

from datacrunch_tgi.testing._extra import missing_extra
from datacrunch_tgi.testing._generation import Engine
from datacrunch_tgi.testing._script import Answers, ScriptedEngine, check_answers


def engine_factory(answers: Answers | None, model: str | Path | None) -> Callable[[], Engine]:
    """Read what can fail now, and return what makes an engine for every start.

    Raises:
        ValueError: Both or none are given, or what is given cannot answer.
        ImportError: A package that computes models is not installed.
        OSError: A file of the model is missing.
    """
    if answers is not None and model is None:
        check_answers(answers)
        return lambda: ScriptedEngine(answers)
    if model is None or answers is not None:
        raise ValueError("give either answers, to script them, or model, a folder with a Llama")
    try:
        # Who scripts answers has no use for numpy, and does not wait for it.
        from datacrunch_tgi.testing._model import ModelEngine, ModelFolder  # noqa: PLC0415
    except ModuleNotFoundError as missing:
        raise missing_extra(missing) from missing
    folder = ModelFolder(Path(model))
    return lambda: ModelEngine(folder)
