"""The source of answers: a script or a model's folder."""

from collections.abc import Callable
from pathlib import Path

from datacrunch_tgi.testing._extra import missing_extra
from datacrunch_tgi.testing._generation import Engine
from datacrunch_tgi.testing._script import Answers, Respond, ScriptedEngine, check_answers


def engine_factory(
    answers: Answers | None, respond: Respond | None, model: str | Path | None
) -> Callable[[], Engine]:
    """Check the source of answers, and return a function that creates an engine for each start.

    Raises:
        ValueError: Not exactly one of the arguments is set, or it cannot answer.
        ImportError: A package that computes models is not installed.
        OSError: A file of the model is missing.
    """
    if sum(source is not None for source in (answers, respond, model)) != 1:
        raise ValueError("pass exactly one of answers, respond and model")
    if answers is not None:
        check_answers(answers)
        return lambda: ScriptedEngine(answers)
    if model is None:
        return lambda: ScriptedEngine(respond=respond)
    try:
        # Scripts do not need numpy, so it is not imported for them.
        from datacrunch_tgi.testing._model import ModelEngine, ModelFolder  # noqa: PLC0415
    except ModuleNotFoundError as missing:
        raise missing_extra(missing) from missing
    folder = ModelFolder(Path(model))
    return lambda: ModelEngine(folder)
