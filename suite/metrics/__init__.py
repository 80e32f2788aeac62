"""Metrics: pure functions of parameters, features and predictions, with a name and a unit."""

from suite.atari.scores import human_normalised
from suite.metrics.accuracy import top1
from suite.metrics.base import METRICS, Metric, Observation, StatefulMetric
from suite.metrics.dead_units import dead_share
from suite.metrics.effective_lr import effective_lr
from suite.metrics.feature_change import covariance_change, pattern_change
from suite.metrics.rank import effective_rank, numerical_rank, singular_values, stable_rank

__all__ = [
    "METRICS",
    "Metric",
    "Observation",
    "StatefulMetric",
    "covariance_change",
    "dead_share",
    "effective_lr",
    "effective_rank",
    "human_normalised",
    "numerical_rank",
    "pattern_change",
    "singular_values",
    "stable_rank",
    "top1",
]
