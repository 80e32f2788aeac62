"""Evaluation: whole episodes of the current policy in separate environments.

Every evaluation creates its lanes with its own seeds. So it has no state, does not affect training
and is the same in a restored run. Each lane plays a fixed share of the episodes: taking the
episodes that end first would favour short ones.
"""

from __future__ import annotations

import numpy as np
import torch

from suite.launch.rllib.module import QModule
from suite.rl.envs import pool_seed
from suite.rl.lanes import Game, Lanes
from suite.run_config import RunConfig
from suite.tasks.evaluation import EvaluationConfig
from suite.tasks.rl import RLTaskConfig

LANES = 10
"""Largest number of environments that are played side by side."""


def evaluate(
    run: RunConfig, config: EvaluationConfig, module: QModule, index: int, visit: int = 0
) -> list[Game]:
    """Play whole episodes and return them, lane after lane.

    Args:
        run: the run that the module belongs to.
        config: how many episodes and with what exploration.
        module: acts; its noise is that of the evaluation afterwards.
        index: number of the evaluation within its run, which keys its draws.
        visit: the visit that defines the environment.
    """
    task = run.task
    assert isinstance(task, RLTaskConfig)
    count = min(LANES, config.episodes)
    shares = [len(part) for part in np.array_split(np.arange(config.episodes), count)]
    lanes = Lanes(task.played(visit), count, pool_seed(run.seeds, f"evaluate/{index}", 0))
    generator = run.seeds.numpy(f"evaluate/{index}")
    actions = int(lanes.spaces[1].n)
    games: list[list[Game]] = [[] for _ in range(count)]
    module.silence()
    acting = module.noise
    module.noise = run.seeds.torch(f"noise/evaluate/{index}")
    try:
        while any(len(mine) < share for mine, share in zip(games, shares, strict=True)):
            if config.noise:
                module.draw_noise()
            with torch.inference_mode():
                greedy = module.greedy(torch.from_numpy(lanes.obs)).numpy()
            explores = generator.random(count) < config.epsilon
            lanes.step(np.where(explores, generator.integers(actions, size=count), greedy))
            for game in lanes.take_games():
                games[game.lane].append(game)
    finally:
        module.noise = acting
        lanes.close()
    return [g for mine, share in zip(games, shares, strict=True) for g in mine[:share]]
