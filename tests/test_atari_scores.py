from __future__ import annotations

import math

import pytest

from suite.atari.games import GAMES
from suite.atari.scores import REFERENCES, human_normalised
from suite.errors import ConfigError


def test_there_are_57_games_of_the_simulator() -> None:
    assert len(REFERENCES) == 57
    assert list(REFERENCES) == sorted(REFERENCES)
    assert set(REFERENCES) <= set(GAMES)
    assert all(human > random for random, human in REFERENCES.values())


@pytest.mark.parametrize("game", REFERENCES)
def test_random_play_is_0_and_a_human_1(game: str) -> None:
    random, human = REFERENCES[game]
    assert human_normalised(game, random) == 0.0
    assert human_normalised(game, human) == 1.0
    assert human_normalised(game, (random + human) / 2) == pytest.approx(0.5)


def test_numbers_by_hand() -> None:
    assert human_normalised("pong", 20.9) == pytest.approx(41.6 / 35.3)
    assert human_normalised("breakout", 417.5) == pytest.approx(415.8 / 28.8)
    assert human_normalised("skiing", -12_957.8) == pytest.approx(4140.3 / 12_761.2)
    assert human_normalised("freeway", -1.0) < 0


def test_a_game_without_a_human_score_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="human score"):
        human_normalised("tetris", 10.0)
    assert math.isfinite(human_normalised("surround", 0.0))
