"""The number of requests at a time, as a server's refusals and answers change it."""

import random

from datacrunch_tgi.batch._concurrency import START, Window

PERMITS = 128


def drive(window: Window, permits: int, rounds: int) -> tuple[list[int], int]:
    """Fill the window again and again, as a server with so many permits answers it.

    All that is open is answered at the end of a round; what is refused is refused at once.
    """
    open_ones: list[int] = []
    answered, refused = [], 0
    for _ in range(rounds):
        asked = []
        while window.is_free:
            asked.append(window.begin())
        taken = permits - len(open_ones)
        for epoch in asked[taken:]:
            window.refused(epoch)
            refused += 1
        open_ones = asked[:taken]
        answered.append(len(open_ones))
        for _ in open_ones:
            window.answered()
        open_ones = []
    return answered, refused


def test_most_permits_are_used_and_few_requests_are_refused() -> None:
    """Without knowing the server's 128 permits, the mean of a long run is more than 0.92 of them."""
    answered, refused = drive(Window(1000), PERMITS, 100)

    assert sum(answered) / len(answered) > 0.92 * PERMITS
    assert refused < 0.05 * sum(answered)


def test_the_limit_is_never_exceeded() -> None:
    """A server that refuses nothing gets as many as the user allows, soon, and not one more."""
    answered, refused = drive(Window(200), PERMITS * 10, 50)

    assert max(answered) == answered[5] == 200
    assert refused == 0
    assert drive(Window(3), PERMITS, 5)[0] == [3] * 5


def test_it_finds_what_is_left_and_comes_back() -> None:
    """The window shrinks to the permits that others leave, and grows when they are free."""
    window = Window(1000)
    drive(window, PERMITS, 30)

    few, _ = drive(window, 8, 30)
    many, _ = drive(window, PERMITS, 150)

    assert few[0] <= 8
    assert sum(few) / len(few) > 0.75 * 8
    assert many[-1] > 0.85 * PERMITS


def test_requests_that_are_refused_together_count_once() -> None:
    """A burst of refusals leaves what the server holds, less a tenth, not a tenth to their power."""
    window = Window(START)
    epochs = [window.begin() for _ in range(START)]

    for epoch in epochs[:12]:
        window.refused(epoch)

    assert window.open == START - 12
    assert window.size == START - 12


def test_a_server_that_takes_nothing_is_asked_more_and_more_rarely() -> None:
    """One request at a time, after pauses that double up to 8 seconds; an answer ends that."""
    window = Window(64, jitter=lambda: 0.0)
    pauses = [window.refused(window.begin()) for _ in range(7)]

    assert pauses == [0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0]
    assert window.size == 1

    window.begin()
    window.answered()
    assert window.refused(window.begin()) == 0.5


def test_jitter_shortens_a_pause_by_a_quarter_at_most() -> None:
    """Jitter shortens a pause by up to a quarter, so that runs do not retry in step."""
    draw = random.Random(5).random
    for _ in range(20):
        window = Window(1, jitter=draw)
        assert 0.375 <= window.refused(window.begin()) <= 0.5
