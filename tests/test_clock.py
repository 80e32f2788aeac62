from __future__ import annotations

import pytest

from suite.clock import Clock, Duration

RL = Clock(1000, agent_steps_per_step=4.0, frames_per_agent_step=4, learning_starts=50)


@pytest.mark.parametrize(
    ("duration", "length", "moment"),
    [
        (Duration(agent_steps=450), 112, 100),
        (Duration(frames=1800), 112, 100),
        (Duration(agent_steps=10), 2, 0),
        (Duration(steps=100), 100, 100),
        (Duration(fraction=0.5), 500, 500),
    ],
)
def test_a_moment_counts_what_comes_before_learning(
    duration: Duration, length: int, moment: int
) -> None:
    assert abs(RL.steps(duration) - length) <= 1
    assert abs(RL.moment(duration) - moment) <= 1


def test_what_is_left_after_an_offset_keeps_its_phases() -> None:
    clock = Clock(100, (0, 30, 60), (3, 5, 7))
    assert clock.after(20) == Clock(80, (0, 10, 40), (3, 5, 7))
    assert clock.after(30) == Clock(70, (0, 30), (5, 7))
    assert clock.after(45) == Clock(55, (0, 15), (5, 7))
    assert clock.after(60) == Clock(40, (0,), (7,))
    assert RL.after(10) == Clock(990, agent_steps_per_step=4.0, frames_per_agent_step=4)
