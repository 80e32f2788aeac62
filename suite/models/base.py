"""Base of models. They are built from config and do not depend on training.

Every nonlinearity is a separate module, so that features can be read with a hook. Linear maps and
convolutions have no biases if a normalisation layer follows. An `nn.Identity` subclass `Tap` marks
other points that metrics read.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, TypeVar

import torch
from pydantic import Field, SerializeAsAny
from torch import Tensor, nn

from suite.config import Component, one_of
from suite.errors import ConfigError
from suite.models.batched import BatchedModel
from suite.models.head_spec import PLAIN, HeadSpec
from suite.models.inputs import Floats, Frames, Inputs, IntegerPairs
from suite.registry import Registry

MOST_BYTES = 2**40
"""Parameters, gradients and Adam's moments of a network, in bytes of single precision."""

MOST_DEPTH = 1000
"""Hidden layers of a network."""

Depth = Annotated[int, Field(ge=1, le=MOST_DEPTH)]
"""A field that holds a number of hidden layers."""


Kind = TypeVar("Kind", bound=Inputs)


class Activation(nn.Module):
    """Base of the suite's own nonlinearities.

    Attributes:
        copies: features of each unit, one block of all units after the other.
    """

    copies: ClassVar[int] = 1


ACTIVATIONS = (nn.ReLU, nn.LeakyReLU, nn.GELU, nn.SiLU, nn.Tanh, Activation)
"""Modules whose outputs count as features."""


@dataclass(frozen=True)
class ModelSpec:
    """What a task asks of a model.

    Attributes:
        inputs: what the inputs are, and the shape of one.
        outputs: number of output units.
        head: what the last layers of a value network look like.

    Raises:
        ConfigError: if `inputs` is something else, such as a bare shape.
    """

    inputs: Inputs
    outputs: int
    head: HeadSpec = PLAIN

    def __post_init__(self) -> None:
        if not isinstance(self.inputs, Inputs):
            wanted = "a kind of inputs of suite.models.inputs, such as Floats((3, 32, 32))"
            raise ConfigError("ModelSpec.inputs", self.inputs, wanted)


class ModelConfig(Component):
    """Base of every model's config.

    Attributes:
        random_start: whether initial weights are drawn rather than given.
        values: keys that do not change the shapes of tensors.
    """

    random_start: ClassVar[bool] = True
    values: ClassVar[frozenset[str]] = frozenset()

    def build(self, spec: ModelSpec) -> nn.Module:
        """Return a new model, drawing initial weights from torch's global generator.

        Raises:
            ConfigError: if the model cannot serve the spec.
        """
        raise NotImplementedError

    def take(self, spec: ModelSpec, kind: type[Kind], *, value_head: bool = False) -> Kind:
        """Return the inputs of a spec, which are to be of the only kind that the model can take.

        Args:
            spec: what the task asks for.
            kind: of inputs.
            value_head: whether the model has the last layers that agents ask for.

        Raises:
            ConfigError: if the inputs are of another kind, or an agent asks for last layers that
                the model does not have.
        """
        if not isinstance(spec.inputs, kind):
            raise ConfigError("model.kind", self.kind, f"a model for {spec.inputs.words}")
        if spec.head != PLAIN and not value_head:
            raise ConfigError("model.kind", self.kind, "a model of a value network")
        return spec.inputs

    def shape(self) -> dict[str, Any]:
        """Return the keys that the shapes of tensors depend on."""
        return self.model_dump(mode="json", exclude=set(self.values))

    @classmethod
    def batched(cls, configs: Sequence[ModelConfig], like: Tensor) -> BatchedModel | None:
        """Return many such models of one shape at once, or None if there is no closed form.

        Args:
            configs: of this class, one per run.
            like: a tensor of the device and type of the runs' parameters.
        """
        return None


MODELS: Registry[type[ModelConfig]] = Registry("model", "suite.models")

AnyModel = Annotated[SerializeAsAny[ModelConfig], one_of(MODELS, shorthand=True)]
"""A field that holds any registered model."""


class Tap(nn.Identity):
    """A named point of a network whose value metrics may read."""


class Aside(nn.Module):
    """A frozen copy of a network, kept only for its outputs; its features are never measured."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = copy.deepcopy(model).requires_grad_(False)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the copy's outputs."""
        with torch.no_grad():
            outputs: Tensor = self.model(inputs)
        return outputs


def build_model(config: ModelConfig, spec: ModelSpec, seed: int) -> nn.Module:
    """Build a model with initial weights that depend only on `seed`.

    The state of torch's global generator is left as it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # `torch.manual_seed` seeds the GPUs too
        return config.build(spec)


def dry_model(config: ModelConfig, spec: ModelSpec) -> nn.Module:
    """Return the model on the meta device: shapes and structure, no memory and no values.

    Its attribute ``dry_of``, config and spec, is the same for models that are alike.

    Raises:
        ConfigError: if the model cannot serve the spec, or would be larger than `MOST_BYTES`.
    """
    with within_sizes("model", config.model_dump()), torch.device("meta"):
        model = config.build(spec)
    size = 16 * sum(p.numel() for p in model.parameters())
    check_bytes("model", size, "the network with gradients and Adam's moments")
    vars(model)["dry_of"] = (config, spec)
    return model


def check_bytes(key: str, size: int, what: str) -> None:
    """Check that something can be held in memory.

    Raises:
        ConfigError: if it has more than `MOST_BYTES`.
    """
    if size > MOST_BYTES:
        wanted = f"at most {MOST_BYTES // 2**30:,} GiB of memory"
        raise ConfigError(key, f"{what}: {size / 2**30:,.0f} GiB", wanted)


@contextmanager
def within_sizes(key: str, value: Any) -> Iterator[None]:
    """Refuse what is beyond the sizes of PyTorch's tensors, while inside.

    Raises:
        ArithmeticError: if it is of another kind.
        MemoryError: the same.
        RuntimeError: the same.
        TypeError: the same.
        ConfigError: for errors that sizes make.
    """
    try:
        yield
    except NotImplementedError:
        raise
    except (RuntimeError, ArithmeticError, MemoryError, TypeError) as error:
        said = str(error).splitlines()[0]
        if isinstance(error, TypeError) and "Overflow" not in said:
            raise
        raise ConfigError(key, value, f"sizes that tensors can have ({said})") from None


@contextmanager
def recording(model: nn.Module, kinds: tuple[type[nn.Module], ...]) -> Iterator[dict[str, Tensor]]:
    """Record, by module name, the outputs of all modules of the given `kinds` while inside.

    >>> net = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    >>> with recording(net, (nn.ReLU,)) as seen:
    ...     _ = net(torch.ones(1, 2))
    >>> {name: tuple(out.shape) for name, out in seen.items()}
    {'1': (1, 3)}
    """
    seen: dict[str, Tensor] = {}

    def keep(name: str) -> torch.utils.hooks.RemovableHandle:
        def hook(module: nn.Module, inputs: object, output: Tensor) -> None:
            seen[name] = output.detach()

        return model.get_submodule(name).register_forward_hook(hook)

    aside = {m for a in model.modules() if isinstance(a, Aside) for m in a.modules()}
    handles = [
        keep(name)
        for name, module in model.named_modules()
        if isinstance(module, kinds) and module not in aside
    ]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def channels_last(model: nn.Module) -> nn.Module:
    """Put the convolution kernels of `model` in channels-last order, in place; return it."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            module.weight.data = module.weight.data.contiguous(memory_format=torch.channels_last)
    return model


def frames_of(model: ModelConfig, spec: ModelSpec) -> tuple[int, ...]:
    """Return the shape of stacked frames that are large enough for the convolutions.

    Raises:
        ConfigError: if the inputs are something else.
    """
    shape = model.take(spec, Frames, value_head=True).shape
    if len(shape) != 3 or min(shape[1:]) < 36:
        raise ConfigError("model.kind", model.kind, f"a model for inputs of shape {shape}")
    return shape


def modulus_of(model: ModelConfig, spec: ModelSpec) -> int:
    """Return the modulus of pairs of integers with an output for each residue.

    Raises:
        ConfigError: if the spec is another.
    """
    modulus = model.take(spec, IntegerPairs).below
    if spec.outputs != modulus:
        raise ConfigError("model.kind", model.kind, f"a model for {spec.outputs} outputs")
    return modulus


def vector_of(model: ModelConfig, spec: ModelSpec) -> Floats:
    """Return the inputs of a spec with vectors and one output.

    Raises:
        ConfigError: if the spec is another.
    """
    inputs = model.take(spec, Floats)
    if len(inputs.shape) != 1 or spec.outputs != 1:
        raise ConfigError("model.kind", model.kind, "a model for the task's inputs and outputs")
    return inputs
