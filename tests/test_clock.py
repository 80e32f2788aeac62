from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
    assert RL.steps(duration) == length
    assert RL.moment(duration) == moment


def test_what_is_left_after_an_offset_keeps_its_phases() -> None:
    clock = Clock(100, (0, 30, 60), (3, 5, 7))
    assert clock.after(0) == clock
    assert clock.after(20) == Clock(80, (0, 10, 40), (3, 5, 7), made=20)
    assert clock.after(30) == Clock(70, (0, 30), (5, 7))
    assert clock.after(45) == Clock(55, (0, 15), (5, 7), made=15)
    assert clock.after(60) == Clock(40, (0,), (7,))
    assert RL.after(0) == RL


@st.composite
def counted(draw: st.DrawFn) -> tuple[Clock, list[int]]:
    """A clock, and the updates made after each agent step of its run, counted one by one."""
    utd = draw(st.fractions(min_value="1/5", max_value=4, max_denominator=9))
    warm_up, phases = draw(st.integers(0, 12)), draw(st.integers(1, 4))
    length = warm_up + draw(st.integers(6, 25))
    again = draw(st.booleans())
    primed = draw(st.integers(0, 9)) if phases == 1 and warm_up > 0 else 0
    made, starts = [0], []
    for phase in range(phases):
        starts.append(made[-1])
        credit = Fraction(0)
        for step in range(length):
            if primed and step == warm_up - 1:
                made.append(primed)
                starts.append(primed)
                continue
            if step >= warm_up or (phase > 0 and not again):
                credit += utd
            made.append(made[-1] + int(credit))
            credit -= int(credit)
    clock = Clock(
        made[-1],
        tuple(starts),
        agent_steps_per_step=1 / utd,
        frames_per_agent_step=4,
        learning_starts=warm_up,
        phase_agent_steps=length if phases > 1 else None,
        waits_again=again and not primed,
        priming=primed,
    )
    return clock, made


@settings(max_examples=200)
@given(counted())
def test_a_moment_is_the_number_of_updates_made_by_then(run: tuple[Clock, list[int]]) -> None:
    clock, made = run
    for taken, updates in enumerate(made):
        assert clock.moment(Duration(agent_steps=taken)) == updates
        assert clock.moment(Duration(frames=4 * taken + taken % 4)) == updates


@settings(max_examples=200)
@given(counted(), st.data())
def test_what_is_left_counts_on_from_where_it_begins(
    run: tuple[Clock, list[int]], data: st.DataObject
) -> None:
    clock, made = run
    offset = data.draw(st.integers(0, clock.total - 1))
    # It begins with the agent step that calls for update `offset`, or with a phase.
    begins = next(n for n, updates in enumerate(made) if updates >= offset)
    if offset in clock.starts and not clock.priming:
        begins = clock.starts.index(offset) * (clock.phase_agent_steps or 0)
    left = clock.after(offset)
    for taken, updates in enumerate(made[begins:]):
        assert left.moment(Duration(agent_steps=taken)) == updates - offset
    # So do its phases: the one it begins in, and those to come as if nothing had been cut off.
    gone = len(clock.starts) - len(left.starts)
    for index in range(1, len(left.starts)):
        assert left.phase(index) == clock.phase(gone + index)
    assert left.phase(0) == clock.phase(gone).after(offset - clock.starts[gone])
    further = data.draw(st.integers(0, left.total - 1))
    assert left.after(further) == clock.after(offset + further)
