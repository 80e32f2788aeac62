"""Agents: the hyper-parameters of reinforcement learning; the engine itself is in launch."""
