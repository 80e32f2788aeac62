"""Deep Q-learning on RLlib and envpool: algorithm, runner, learner and module."""
