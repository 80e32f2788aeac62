"""How far weights moved, relative to where they began: ``|w - w_0| / |w_0|``.

This is the measure of laziness of Kumar et al. 2024, Fig. 7. Readouts that are not trained are
excluded; in the authors' code they are in the denominator.
"""

from __future__ import annotations

import torch
from torch import Tensor

from suite.metrics.base import Observation, metric
from suite.norms import difference, norms, total_norm
from suite.ranges import SIZE


@metric("relative_movement", "1", "parameters", "initial", range=SIZE)
def relative_movement(seen: Observation) -> dict[str, Tensor]:
    """Distance from the start over the initial norm, of each matrix and of all together.

    Matrices that are zero at the start have none.
    """
    matrices = seen.matrices()
    moved = norms({n: difference(p, seen.initial[n]) for n, p in matrices.items()})
    first = norms({n: seen.initial[n] for n in matrices})
    least = torch.finfo(torch.float32).tiny
    ratio = {n: moved[n] / first[n].clamp_min(least) for n in matrices if bool(first[n] > 0)}
    if not ratio:
        return {}
    joint = total_norm(list(moved.values())) / total_norm(list(first.values()))
    return {**ratio, "all": joint}
