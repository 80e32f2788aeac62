"""What is projected: scale-invariant weights, all matrices, or the tensors of a list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from torch import nn

from suite.invariance.scale_invariance import NO_ROWS, Selection, row_axis, scale_invariant
from suite.norms import Per
from suite.params import ParamRole, classify

Which = Literal["invariant", "matrices"]

MATRICES = (ParamRole.WEIGHT, ParamRole.OUTPUT, ParamRole.EMBEDDING)


def select(model: nn.Module, which: Which | Sequence[str], per: Per, probe: Any) -> Selection:
    """Return the names of the tensors that `which` stands for, and why other matrices are left.

    Args:
        model: the network, without wrappers.
        which: ``invariant``, ``matrices``, or names, which are taken as they are.
        per: one norm per tensor or per row.
        probe: inputs for `scale_invariant`, or None.

    Raises:
        ValueError: if `which` is another word, or scale invariance cannot be decided.
    """
    frozen = {
        name: "frozen" for name, p in model.named_parameters() if not p.requires_grad and p.ndim > 1
    }
    if which == "invariant":
        found = scale_invariant(model, probe, per)
        return Selection(found.names, {**found.left, **frozen})
    if which == "matrices":
        names = [name for name, role in classify(model).items() if role in MATRICES]
        rowless = [n for n in names if per == "row" and row_axis(model, n) is None]
        left = dict.fromkeys(rowless, NO_ROWS)
        return Selection(tuple(n for n in names if n not in rowless), {**left, **frozen})
    if isinstance(which, str):
        raise ValueError(
            f"which: got {which!r}; expected 'invariant', 'matrices' or a list of names"
        )
    return Selection(tuple(which))
