"""Saving and loading of plain state: tensors, numbers, strings and containers of them, no code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

STATE = "state.pt"


def save_state(folder: Path, state: dict[str, Any]) -> None:
    """Write `state` into `folder`.

    Raises:
        OSError: if it cannot be written; given a path, PyTorch would not say why.
    """
    with (folder / STATE).open("wb") as file:
        torch.save(state, file)


def alone(state: Any) -> Any:
    """Return `state` with copies of the tensors that are parts of larger ones.

    torch saves the whole memory of a tensor that is a slice, such as a parameter of a run that is
    trained side by side with others.
    """
    if isinstance(state, dict):
        return {key: alone(value) for key, value in state.items()}
    if type(state) in (list, tuple):
        return type(state)(alone(value) for value in state)
    if isinstance(state, torch.Tensor) and state.untyped_storage().nbytes() > state.nbytes:
        return state.clone()
    return state


def load_state(folder: Path, device: torch.device) -> dict[str, Any]:
    """Read what `save_state` wrote; nothing in the file can run code.

    Raises:
        FileNotFoundError: if there is none.
    """
    state: dict[str, Any] = torch.load(folder / STATE, map_location=device, weights_only=True)
    return state
