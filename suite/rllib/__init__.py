"""Any algorithm of RLlib under control of the effective learning rate.

`nap_module` puts norm layers into an RLModule; `nap_learner` gives a Learner schedules in gradient
steps, interventions and metrics. Both take RLlib's own class and return a subclass, to be named in
an algorithm's config. This package knows Ray, as the `launch` package does, which alone of the
suite imports it.
"""

from suite.rllib.learner import nap_learner
from suite.rllib.module import nap_module

__all__ = ["nap_learner", "nap_module"]
