"""Right and wrong uses of the emulated endpoint, as mypy and pyright see them; nothing runs."""

import re
from typing import Literal, assert_type

from datacrunch_tgi.testing import EmulatedEndpoint, ReceivedRequest, ScriptedToken


def endpoint(emulated: EmulatedEndpoint) -> None:
    call = [ScriptedToken("[TOOL_CALLS]", special=True), ScriptedToken("[]", ends=True)]
    EmulatedEndpoint(answers="Hello", dialect="1.1.1", host="::1", tokens_per_second=20)
    EmulatedEndpoint(answers=["one", call])
    EmulatedEndpoint(answers=call)
    EmulatedEndpoint(answers={"Hi": "Hello", re.compile("weather"): call})
    EmulatedEndpoint(answers=str.upper)
    EmulatedEndpoint(respond=lambda request: request.path)
    assert_type(emulated.url, str)
    assert_type(emulated.dialect, Literal["3.3.7", "1.1.1"])
    assert_type(emulated.healthy, bool)
    assert_type(emulated.requests, list[ReceivedRequest])
    assert_type(emulated.requests[0].status, int | None)
    assert_type(emulated.peak_open_requests, int)
    with emulated as started:
        assert_type(started, EmulatedEndpoint)
    emulated.healthy = False
    emulated.fail_next(2, status=503, headers={"retry-after": "1"}, stall=0.5, stall_after=3)


def endpoint_refused(emulated: EmulatedEndpoint) -> None:
    EmulatedEndpoint(answer="Hello")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    EmulatedEndpoint(answers=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    EmulatedEndpoint(answers="a", dialect="2.0")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    EmulatedEndpoint(respond=str.upper)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    EmulatedEndpoint(answers="a", max_best_of="2")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ScriptedToken("a", is_special=True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    emulated.fail_next(silence=5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    emulated.fail_next(status="503")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    emulated.dialect = "1.1.1"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    emulated.strat()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    _ = emulated.request  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
