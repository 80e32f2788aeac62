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


def load_state(folder: Path, device: torch.device) -> dict[str, Any]:
    """Read what `save_state` wrote; nothing in the file can run code.

    Raises:
        FileNotFoundError: if there is none.
    """
    state: dict[str, Any] = torch.load(folder / STATE, map_location=device, weights_only=True)
    return state
