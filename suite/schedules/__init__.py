"""Schedules of the (effective) learning rate: pure functions ``step -> multiplier``, and `join`."""

from suite.schedules.adaptive_stop import AdaptiveStop
from suite.schedules.base import AdaptiveSchedule, Schedule, join
from suite.schedules.constant import constant
from suite.schedules.cyclic import cyclic
from suite.schedules.cyclic_then_anneal import cyclic_then_anneal
from suite.schedules.delayed import delayed
from suite.schedules.growing_cycles import growing_cycles
from suite.schedules.linear import linear
from suite.schedules.single_cycle import single_cycle
from suite.schedules.task_aligned import task_aligned
from suite.schedules.triggered import Triggered
from suite.schedules.warmup_cosine import warmup_cosine

__all__ = [
    "AdaptiveSchedule",
    "AdaptiveStop",
    "Schedule",
    "Triggered",
    "constant",
    "cyclic",
    "cyclic_then_anneal",
    "delayed",
    "growing_cycles",
    "join",
    "linear",
    "single_cycle",
    "task_aligned",
    "warmup_cosine",
]
