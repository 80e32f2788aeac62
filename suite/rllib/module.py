"""RLModules with norm layers, so that Normalize-and-Project has something to project."""

from __future__ import annotations

from typing import Any, ClassVar

from ray.rllib.core.rl_module.torch import TorchRLModule

from suite.errors import ConfigError
from suite.rllib.normalise import normalise_


class NapModule(TorchRLModule):
    """Base of the classes that `nap_module` makes.

    Attributes:
        scale_invariant_weights: names of the weights in front of norm layers, which the
            intervention `nap` projects.
    """

    nap_affine: ClassVar[bool] = False
    nap_eps: ClassVar[float] = 1e-5
    scale_invariant_weights: tuple[str, ...]

    def setup(self) -> None:
        """Build the networks as the base does, then put in the norm layers.

        Raises:
            ConfigError: if there is no place for one.
        """
        super().setup()  # type: ignore[no-untyped-call]
        self.scale_invariant_weights = normalise_(self, self.nap_affine, self.nap_eps)
        if not self.scale_invariant_weights:
            expected = (
                "a module with linear maps or convolutions directly before a nonlinearity in an "
                "nn.Sequential; one with norm layers of its own lists the weights before them in "
                "its attribute scale_invariant_weights and needs no nap_module"
            )
            raise ConfigError("base", type(self).__bases__[-1].__name__, expected)


def nap_module(base: Any, *, affine: bool = False, eps: float = 1e-5) -> Any:
    """Return a subclass of an RLModule class with the norm layers of Normalize-and-Project.

    In all networks of the module, encoders and heads alike, every linear map or convolution
    directly before a nonlinearity in an ``nn.Sequential`` loses its bias and gets a norm layer:
    LayerNorm over features, or over channels and positions of an image (Lyle et al. 2024, section
    3). Their weights are listed in ``scale_invariant_weights``, which `nap` of `nap_learner`
    projects. Free are the last maps of heads, whose scale is that of logits and values, recurrent
    layers, and maps whose nonlinearity is a function call. Target networks are copies and follow.

    Args:
        base: a subclass of ``TorchRLModule``, such as ``DefaultPPOTorchRLModule``.
        affine: whether the norm layers have gains and offsets.
        eps: of the norm layers, added to the variance.

    Raises:
        ConfigError: if `base` is something else. The module itself raises one when it is built and
            nothing can be normalised.
    """
    if not (isinstance(base, type) and issubclass(base, TorchRLModule)):
        raise ConfigError("base", base, "a subclass of RLlib's TorchRLModule")
    if issubclass(base, NapModule):
        raise ConfigError("base", base, "a class that has no norm layers of nap_module yet")
    body = {"nap_affine": affine, "nap_eps": eps, "__doc__": f"{base.__name__} with norm layers."}
    return type(f"Nap{base.__name__}", (NapModule, base), body)
