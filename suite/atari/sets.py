"""Sets of Atari games that papers report on, as data; sweep files name them."""

from __future__ import annotations

from suite.atari.scores import REFERENCES

_ATARI_100K = """
alien amidar assault asterix bank_heist battle_zone boxing breakout chopper_command crazy_climber
demon_attack freeway frostbite gopher hero jamesbond kangaroo krull kung_fu_master ms_pacman pong
private_eye qbert road_runner seaquest up_n_down
"""

_LYLE_2025 = """
assault asterix beam_rider boxing breakout crazy_climber demon_attack frostbite gopher hero
jamesbond kangaroo krull pong qbert road_runner seaquest space_invaders up_n_down wizard_of_wor
"""

GAME_SETS: dict[str, tuple[str, ...]] = {
    "atari57": tuple(REFERENCES),
    "atari20": tuple(_LYLE_2025.split()),
    "atari19": tuple(REFERENCES)[::3],
    "atari100k": tuple(_ATARI_100K.split()),
}
"""Sets by name, each in alphabetical order.

- ``atari57``: the games with human scores (Bellemare et al. 2013, Mnih et al. 2015, Wang et al.
  2016).
- ``atari20``: those of high update-to-data ratios (Lyle et al. 2025, section 6 and Fig. 6 right).
- ``atari19``: every third of the 57 in alphabetical order (Lyle et al. 2024, Fig. 7); which one is
  the first is not stated there, here it is Alien.
- ``atari100k``: the 26 of the benchmark of 100,000 agent steps (Kaiser et al. 2020).
"""

GAME_SEQUENCES: dict[str, tuple[str, ...]] = {
    "abbas2023_five": ("alien", "atlantis", "boxing", "breakout", "centipede"),
}
"""Sequences by name, in the order of play.

- ``abbas2023_five``: the five-game sequence of Abbas et al. 2023 (Loss of Plasticity in Continual
  Deep Reinforcement Learning), by a secondary description. Lyle et al. 2024 play the ten-game one
  of the same work; its names and their order are in neither, so it is not here.
"""
