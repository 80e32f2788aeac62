"""The peers at the same work: the DQNs of stable-baselines3, of SBX (its JAX twin) and of RLlib.

All get the network, batch, optimizer epsilon where they have one, share of random actions, room
and warm-up that the suite's own contenders have, and frames from the same envpool, which is faster
than the preprocessing that their documentation shows. What still differs is in `DIFFERENCES`.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from common import Contender
from rl_engine import (
    ACTIONS,
    BATCH,
    CAPACITY,
    EPSILON,
    TARGET_EVERY,
    WARM_UP,
    atari_run,
    start_ray,
)

from suite.rl.envs import make_pool

DIFFERENCES = {
    "sb3": "Adam as it comes (not fused), gradient clipped at 10 (its default), both observations "
    "of a transition stored whole, CartPole from gymnasium",
    "sbx": "no clipping, all updates of an agent step in one scan, a sample of replay for all of "
    "them, both observations of a transition stored whole, CartPole from gymnasium; the target "
    "network is copied every so many agent steps, as in sb3",
    "rllib": "Adam as it comes (not fused, epsilon 1e-8: its setting is ignored), frames scaled to "
    "float32 by the environment (it cannot read bytes), CartPole from gymnasium; in "
    "utd1_vs_rllib both sides have its defaults (double, dueling, replay by errors with exponent "
    "0.6 and beta 0.4, gradient clipped at 40), else both have double, dueling and replay by errors"
    " off",
}


class Frames(gymnasium.Env[Any, Any]):
    """Breakout from envpool as one environment, frames as float32 with the channels last."""

    def __init__(self, settings: Any = None) -> None:
        self.pool = make_pool(atari_run().task, 1, seed=0)
        self.observation_space = gymnasium.spaces.Box(0, 1, (84, 84, 4), np.float32)
        self.action_space = gymnasium.spaces.Discrete(ACTIONS)

    @staticmethod
    def _scaled(frames: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        out: np.ndarray[Any, Any] = np.multiply(
            frames[0].transpose(1, 2, 0), np.float32(1 / 255), order="C"
        )
        return out

    def reset(self, *, seed: Any = None, options: Any = None) -> Any:
        """Begin an episode."""
        return self._scaled(self.pool.reset()[0]), {}

    def step(self, action: Any) -> Any:
        """Take an action; rewards are clipped."""
        obs, reward, terminated, truncated, _ = self.pool.step(np.array([action], np.int32))
        reward = float(np.clip(reward[0], -1, 1))
        return self._scaled(obs), reward, bool(terminated[0]), bool(truncated[0]), {}


def settings(utd: int) -> dict[str, Any]:
    """Return what stable-baselines3 and SBX are asked for."""
    return {
        "learning_rate": 6.25e-5,
        "buffer_size": CAPACITY,
        "learning_starts": WARM_UP,
        "batch_size": BATCH,
        "train_freq": 1,
        "gradient_steps": utd,
        "target_update_interval": TARGET_EVERY,
        "exploration_initial_eps": EPSILON,
        "exploration_final_eps": EPSILON,
    }


def going(model: Any, steps: int) -> Contender:
    """`steps` agent steps of a model of stable-baselines3's kind, after the warm-up."""
    model.learn(WARM_UP + 10, log_interval=None)
    go = lambda: model.learn(steps, log_interval=None, reset_num_timesteps=False)  # noqa: E731
    return Contender(go, steps, model.get_env().close)


def sbx(steps: int, utd: int) -> Contender:
    """`steps` agent steps of SBX's DQN on CartPole, with `utd` times as many updates."""
    # An extra that may be absent.
    from sbx import DQN  # type: ignore[import-not-found, unused-ignore]

    policy = {"net_arch": [64, 64], "optimizer_kwargs": {"eps": 1.5e-4}}
    environment = gymnasium.make("CartPole-v1")
    return going(DQN("MlpPolicy", environment, policy_kwargs=policy, **settings(utd)), steps)


def sb3(tiny: bool, steps: int, utd: int = 1) -> Contender:
    """`steps` agent steps of stable-baselines3's DQN, with `utd` times as many updates."""
    # An extra that may be absent.
    from stable_baselines3 import DQN  # type: ignore[import-not-found, unused-ignore]
    from stable_baselines3.common.vec_env import (  # type: ignore[import-not-found, unused-ignore]
        VecEnv,
    )

    class Pool(VecEnv):  # type: ignore[misc, unused-ignore]
        """Breakout from envpool, adapted as envpool's own example for stable-baselines3 does."""

        def __init__(self) -> None:
            self.pool = make_pool(atari_run().task, 1, seed=0)
            space = gymnasium.spaces.Box(0, 255, (4, 84, 84), np.uint8)
            super().__init__(1, space, gymnasium.spaces.Discrete(ACTIONS))

        def reset(self) -> Any:
            return self.pool.reset()[0]

        def step_async(self, actions: Any) -> None:
            self.actions = actions

        def step_wait(self) -> Any:
            obs, rewards, terminated, truncated, _ = self.pool.step(self.actions.astype(np.int32))
            dones = terminated | truncated
            infos: list[dict[str, Any]] = [{}]
            if dones[0]:
                infos = [{"terminal_observation": obs[0], "TimeLimit.truncated": truncated[0]}]
                obs = self.pool.reset()[0]
            return obs, rewards.clip(-1, 1), dones, infos

        def close(self) -> None:
            self.pool.close()

        def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
            return [None]

        def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None: ...

        def env_method(self, method_name: str, *args: Any, **kwargs: Any) -> list[Any]:
            return [None]

        def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
            return [False]

    model = DQN(
        "MlpPolicy" if tiny else "CnnPolicy",
        gymnasium.make("CartPole-v1") if tiny else Pool(),
        policy_kwargs={"optimizer_kwargs": {"eps": 1.5e-4}},
        device="cpu",
        **settings(utd),
    )
    return going(model, steps)


def rllib(tiny: bool, steps: int, stock: bool = False) -> Contender:
    """`steps` agent steps of RLlib's DQN on the new stack, with as many updates.

    Args:
        tiny: on CartPole rather than Breakout.
        steps: of a segment.
        stock: with its defaults, which are double, dueling and a prioritised replay.
    """
    start_ray()
    from ray.rllib.algorithms.dqn import DQNConfig
    from ray.rllib.core.rl_module.default_model_config import DefaultModelConfig

    if tiny:
        network = DefaultModelConfig(
            fcnet_hiddens=[64], fcnet_activation="relu", head_fcnet_hiddens=[64]
        )
    else:
        filters: Any = [[32, 8, 4, "valid"], [64, 4, 2, "valid"], [64, 3, 1, "valid"]]
        network = DefaultModelConfig(
            conv_filters=filters, conv_activation="relu", head_fcnet_hiddens=[512]
        )
    replay: dict[str, Any] = {"type": "EpisodeReplayBuffer", "capacity": CAPACITY}
    if stock:
        defaults = DQNConfig().replay_buffer_config
        assert defaults["type"] == "PrioritizedEpisodeReplayBuffer"
        replay = {**defaults, "capacity": CAPACITY}
    config = (
        DQNConfig()
        .environment("CartPole-v1" if tiny else Frames)
        .env_runners(num_env_runners=0, rollout_fragment_length=1)
        .learners(num_learners=0)
        .rl_module(model_config=network)
        .reporting(min_sample_timesteps_per_iteration=steps, min_time_s_per_iteration=0)
        .training(
            lr=6.25e-5,
            train_batch_size=BATCH,
            n_step=1,
            double_q=stock,
            dueling=stock,
            epsilon=EPSILON,
            target_network_update_freq=TARGET_EVERY,
            num_steps_sampled_before_learning_starts=WARM_UP,
            replay_buffer_config=replay,
        )
        .debugging(log_level="ERROR")
    )
    algorithm = config.build_algo()
    counted = Counted(algorithm)
    while counted.updates == 0:
        algorithm.train()
    return Contender(counted.go, steps, counted.stop)


class Counted:
    """Counts the updates and agent steps of an RLlib algorithm, which must be as many."""

    def __init__(self, algorithm: Any) -> None:
        self.algorithm, self.updates = algorithm, 0
        update, sample = algorithm.learner_group.update, algorithm.env_runner.sample
        self.steps = 0

        def counting_update(*args: Any, **kwargs: Any) -> Any:
            self.updates += 1
            return update(*args, **kwargs)

        def counting_sample(*args: Any, **kwargs: Any) -> Any:
            episodes = sample(*args, **kwargs)
            self.steps += sum(len(episode) for episode in episodes) if self.updates else 0
            return episodes

        algorithm.learner_group.update = counting_update
        algorithm.env_runner.sample = counting_sample

    def go(self) -> None:
        """Run one iteration."""
        self.algorithm.train()

    def stop(self) -> None:
        """Check the counts and stop.

        Raises:
            RuntimeError: if updates and agent steps differ by more than 1 %.
        """
        self.algorithm.stop()
        if abs(self.updates - self.steps) > 2 + 0.01 * self.steps:
            raise RuntimeError(f"RLlib: {self.updates} updates in {self.steps} agent steps")
