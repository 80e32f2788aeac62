"""The part of a module that one optimizer trains, as a network of its own."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor, nn

from suite.rllib.normalise import output_maps


class Part(nn.Module):
    """The submodules of `module` that hold the parameters `names`, under their names there.

    Parameters and submodules are shared, not copied. It has no forward pass. What interventions ask
    of a network follows from `module`: ``scale_invariant_weights`` as it lists them, none if it
    lists none; the outputs are the maps with nothing behind them.

    Args:
        module: any network.
        names: of parameters of it.
    """

    output_layers: list[str]
    scale_invariant_weights: tuple[str, ...]

    def __init__(self, module: nn.Module, names: Iterable[str]) -> None:
        super().__init__()
        kept = frozenset(names)
        _share(self, module, kept)
        outputs = output_maps(self)
        if outputs is not None:
            self.output_layers = outputs
        listed = getattr(module, "scale_invariant_weights", ())
        self.scale_invariant_weights = tuple(name for name in listed if name in kept)

    def forward(self, *inputs: object) -> Tensor:
        """Refuse: how the submodules are put together is the module's own business.

        Raises:
            RuntimeError: always.
        """
        raise RuntimeError("part: a part of an RLModule has no forward pass of its own")


def names_of(module: nn.Module, parameters: Iterable[Tensor]) -> list[str]:
    """Return the names in `module` of those `parameters` that are its own."""
    wanted = {id(p) for p in parameters}
    return [name for name, p in module.named_parameters() if id(p) in wanted]


def _share(part: nn.Module, module: nn.Module, names: frozenset[str]) -> None:
    """Give `part` the parameters `names` of `module`, in whole submodules where possible."""
    for name, parameter in module.named_parameters(recurse=False):
        if name in names:
            part.register_parameter(name, parameter)
    for name, child in module.named_children():
        inside = frozenset(n.removeprefix(f"{name}.") for n in names if n.startswith(f"{name}."))
        held = {n for n, p in child.named_parameters() if p.requires_grad}
        if inside and held <= inside:
            part.add_module(name, child)
        elif inside:
            shell = nn.Module()
            _share(shell, child, inside)
            part.add_module(name, shell)
