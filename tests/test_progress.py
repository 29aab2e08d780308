"""How far, how fast, how long still; and a wish to stop."""

import signal

import pytest

from rfdsm import progress


def test_work_tells_its_pace_and_now_and_then_a_line(monkeypatch):
    """What was done before the work began is no part of its rate."""
    now, told = [100.0], []
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    advance = progress.over_time(told.append, "theory", 40, "points", before=10)
    for after in (2.0, 6.0):
        now[0] = 100.0 + after
        advance(int(5 * after / 2))
    assert [(each.done, each.total, each.said) for each in told] == [
        (15, 40, False),
        (30, 40, True),
    ]
    assert told[0].pace == "2.5 points/s, about 10 s left"
    assert told[1] == "theory: 30 of 40 points, 3.33 points/s, about 3 s left"


@pytest.mark.parametrize(
    "seconds, words",
    [(0.2, "0 s"), (119, "119 s"), (600, "10 min"), (9000, "2.5 h"), (200000, "2.3 days")],
)
def test_a_time_in_words(seconds, words):
    assert progress.duration(seconds) == words


def test_a_wish_to_stop_is_heard_once_where_it_is_heeded():
    stop = progress.Stop()
    assert not stop.ask(signal.SIGINT)
    with stop.graceful():
        assert stop.ask(signal.SIGTERM) and not stop.ask(signal.SIGINT)
        assert stop.asked and stop.signal == signal.SIGTERM
    assert not stop.asked
