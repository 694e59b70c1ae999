"""The recipe's web page in a real browser: an answer grows, is stopped, and fails kindly."""

import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, expect

from datacrunch_tgi.testing import EmulatedEndpoint

KEY = "sk-of-the-one-who-runs-the-page"
MARKUP = "<img src=x onerror=alert(1)> & <b>bold</b>&lt;\n\n  data: two\r\nevent: error\u2028👋"
WORDS = ["one", "two", "three", "four", "five", "six"]
Start = Callable[..., AbstractContextManager[Any]]


@pytest.fixture(scope="module")
def endpoint() -> Iterator[EmulatedEndpoint]:
    with EmulatedEndpoint(
        answers={"[INST] Count. [/INST]": " ".join(WORDS), "[INST] Markup? [/INST]": f" {MARKUP}"},
        api_key=KEY,
    ) as started:
        yield started


@pytest.fixture(scope="module")
def settings(endpoint: EmulatedEndpoint) -> dict[str, str]:
    """The variables that lead the app to the endpoint."""
    return {"DATACRUNCH_BASE_URL": endpoint.url, "DATACRUNCH_API_KEY": KEY}


@pytest.fixture(scope="module")
def url(start_app: Start, settings: dict[str, str]) -> Iterator[str]:
    with start_app(**settings) as app:
        yield app.url


@pytest.fixture
def page(chromium: Browser, url: str) -> Iterator[Page]:
    """The app's page, just opened."""
    with chromium.new_context() as context:
        page = context.new_page()
        page.goto(url)
        yield page


def ask(page: Page, question: str = "Count.") -> None:
    page.get_by_label("Question").fill(question)
    page.get_by_role("button", name="Ask").click()


def press_stop(page: Page) -> None:
    page.get_by_role("button", name="Stop", exact=True).click()


def answer(page: Page) -> Locator:
    return page.get_by_role("region", name="Answer").locator("div")


def status(page: Page) -> Locator:
    return page.get_by_role("status")


@pytest.mark.parametrize("said", [1, 2, 5])
def test_what_the_server_has_said_is_shown_before_it_says_more(
    page: Page, endpoint: EmulatedEndpoint, said: int
) -> None:
    """The page shows each token while the server is still generating."""
    endpoint.fail_next(stall=600, stall_after=said)
    ask(page)
    expect(answer(page)).to_have_text(" ".join(WORDS[:said]))
    expect(status(page)).to_have_text("The model is writing…")
    assert endpoint.requests[-1].events == said


def test_an_answer_grows_by_one_token_after_another(page: Page) -> None:
    """Existing text is never replaced, so that it can be selected."""
    answer(page).evaluate(
        """answer => new MutationObserver(changes => (window.added ??= []).push(
             ...changes.flatMap(change => [...change.addedNodes].map(node => node.data)))
           ).observe(answer, { childList: true })"""
    )
    ask(page)
    expect(status(page)).to_have_text("Done.")
    assert page.evaluate("added") == ["one", " two", " three", " four", " five", " six", ""]


def test_markup_and_line_ends_are_shown_as_they_are(page: Page) -> None:
    """HTML in an answer is shown as text, with its line ends, and never becomes markup."""
    ask(page, "Markup?")
    expect(status(page)).to_have_text("Done.")
    assert answer(page).text_content() == MARKUP
    expect(answer(page).locator("*")).to_have_count(0)


def test_events_are_read_however_the_network_cuts_them(page: Page) -> None:
    """The page's parser reads the same events from chunks of any size."""
    sent = 'event: token\r\ndata: "é: 👋"\r\n\r\n: ping\r\n\r\nevent: error\r\ndata: ""\r\n\r\n'
    read = page.evaluate(
        """async sent => {
             const bytes = new TextEncoder().encode(sent), all = [];
             for (let size = 1; size <= bytes.length; size++) {
               const read = [];
               const cut = new ReadableStream({ start(stream) {
                 for (let at = 0; at < bytes.length; at += size) stream.enqueue(bytes.slice(at, at + size));
                 stream.close();
               } });
               for await (const { type, data } of events(cut)) read.push([type, data]);
               all.push(read);
             }
             return all;
           }""",
        sent,
    )
    assert read == [[["token", "é: 👋"], ["error", ""]]] * len(sent.encode())


LEAVING: dict[str, Callable[[Page], object]] = {
    "stop": press_stop,
    "another question": lambda page: ask(page, "Markup?"),
    "another page": lambda page: page.goto(f"{page.url}openapi.json"),
    "reload": lambda page: page.reload(),
    "close": lambda page: page.close(),
}


@pytest.mark.parametrize("leave", LEAVING.values(), ids=LEAVING)
def test_leaving_an_answer_stops_the_server(
    page: Page, endpoint: EmulatedEndpoint, leave: Callable[[Page], object]
) -> None:
    """Leaving the page during an answer closes the request, so that the server stops."""
    endpoint.fail_next(stall=600, stall_after=2)
    ask(page)
    expect(answer(page)).to_have_text("one two")
    request = endpoint.requests[-1]
    leave(page)
    endpoint.wait_until_idle(30)
    assert request.left_early
    assert request.events == 2


def test_after_a_stop_the_text_stays_and_the_next_question_is_answered(
    page: Page, endpoint: EmulatedEndpoint
) -> None:
    """Stop keeps the text, and the next question is answered."""
    endpoint.fail_next(stall=600, stall_after=2)
    ask(page)
    expect(answer(page)).to_have_text("one two")
    press_stop(page)
    expect(status(page)).to_have_text("Stopped.")
    expect(answer(page)).to_have_text("one two")
    expect(page.get_by_role("alert")).to_have_count(0)
    expect(page.get_by_label("Question")).to_be_focused()
    page.keyboard.press("Enter")
    expect(answer(page)).to_have_text(" ".join(WORDS))


def test_the_end_of_one_answer_is_not_the_end_of_the_next(
    page: Page, endpoint: EmulatedEndpoint
) -> None:
    """A new question replaces the answer in progress and keeps its own status."""
    endpoint.fail_next(2, stall=600, stall_after=2)
    ask(page)
    expect(answer(page)).to_have_text("one two")
    ask(page, "Markup?")
    expect(answer(page)).to_have_text("<img")
    expect(status(page)).to_have_text("The model is writing…")
    press_stop(page)
    expect(status(page)).to_have_text("Stopped.")


def test_a_server_that_refuses_is_shown_without_the_key(
    page: Page, endpoint: EmulatedEndpoint
) -> None:
    """The page shows a refusal, with the key redacted."""
    endpoint.fail_next(status=401, body={"error": f"no such key: {KEY}", "error_type": "auth"})
    ask(page)
    expect(page.get_by_role("alert")).to_contain_text("401 Unauthorized: no such key: ***")
    assert KEY not in page.content()


def test_a_server_that_fails_during_an_answer_leaves_its_text(
    page: Page, endpoint: EmulatedEndpoint
) -> None:
    """After an error in the stream the page keeps the text received before it."""
    endpoint.fail_next(error_after=2)
    ask(page)
    expect(page.get_by_role("alert")).to_contain_text("CUDA out of memory")
    expect(answer(page)).to_have_text("one two")
    expect(page.get_by_role("button", name="Stop", exact=True)).to_be_disabled()


def test_an_app_that_is_gone_is_reported(
    chromium: Browser, start_app: Start, settings: dict[str, str], endpoint: EmulatedEndpoint
) -> None:
    """The page reports a broken connection to the app, and again at the next question."""
    with start_app(**settings) as app, chromium.new_page() as page:
        page.goto(app.url)
        endpoint.fail_next(stall=600, stall_after=2)
        ask(page)
        expect(answer(page)).to_have_text("one two")
        app.process.kill()
        expect(page.get_by_role("alert")).to_contain_text("the connection broke")
        ask(page)
        expect(page.get_by_role("alert")).to_contain_text("the connection broke")


def test_the_log_has_the_hint_and_neither_key_nor_question(
    chromium: Browser, start_app: Start, settings: dict[str, str], endpoint: EmulatedEndpoint
) -> None:
    """The app logs an error's hint, but neither the key nor the question."""
    with start_app(**settings) as app, chromium.new_page() as page:
        page.goto(app.url)
        endpoint.fail_next(status=401, body={"error": f"no such key: {KEY}", "error_type": "auth"})
        ask(page)
        expect(page.get_by_role("alert")).to_contain_text("401")
        endpoint.fail_next(stall=600, stall_after=2)
        ask(page)
        expect(answer(page)).to_have_text("one two")
        press_stop(page)
        endpoint.wait_until_idle(30)
        app.process.send_signal(signal.SIGINT)
        log = "".join(app.process.communicate(timeout=30))
    assert "Check api_key" in log
    assert "Traceback" not in log
    assert KEY not in log
    assert "Count" not in log


def test_without_a_key_the_tiny_llama_answers_an_example(
    chromium: Browser, start_app: Start
) -> None:
    """Without a key, an example question is answered by the tiny Llama."""
    with start_app() as app, chromium.new_page() as page:
        page.goto(app.url)
        page.get_by_role("button", name="How do I stop").click()
        expect(answer(page)).to_have_text(
            "Pass the word in stop, a list of strings. "
            "Generation ends as soon as one of them appears."
        )


def test_the_page_asks_its_own_server_alone(page: Page, url: str) -> None:
    """The page sends requests to its own server only."""
    asked = list[str]()
    page.on("request", lambda request: asked.append(request.url))
    page.reload()
    ask(page)
    expect(status(page)).to_have_text("Done.")
    assert asked == [f"{url}/", f"{url}/answer"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everyone_can_read_and_use_it(
    page: Page, endpoint: EmulatedEndpoint, scheme: Literal["light", "dark"]
) -> None:
    """The page has no accessibility fault that axe finds, during an answer and after an error."""
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    endpoint.fail_next(stall=600, stall_after=2)
    ask(page)
    expect(answer(page)).to_have_text("one two")
    writing = Axe().run(page)
    endpoint.fail_next(error_after=2)
    ask(page)
    expect(page.get_by_role("alert")).not_to_be_empty()
    failed = Axe().run(page)
    assert writing.violations_count == 0, writing.generate_report()
    assert failed.violations_count == 0, failed.generate_report()
