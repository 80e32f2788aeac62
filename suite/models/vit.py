"""A small vision transformer (Dosovitskiy et al. 2021), normalised as Normalize-and-Project asks.

Patches become tokens by a linear map (a convolution with the patch as stride) and get learned
positions. Blocks are pre-norm: attention, then an MLP, each added to the stream. The mean of the
normalised tokens goes to a linear output: no class token, since the mean does as well or better in
small networks (Beyer et al. 2022) and adds neither a token nor a parameter. No map has a bias.

Scale invariance (Lyle et al. 2024, section 3): norm layers stand behind the maps that lead to a
nonlinearity. Queries and keys are divided by their root mean square, per head and with gains
(Henry et al. 2020), before the softmax, and the MLP's hidden units are normalised before the GELU.
So `query`, `key` and `up` are scale-invariant. The patches' map, `value`, `mix` and `down` add to
the stream linearly, and their scale decides how much each block adds: they are not, nor is `head`.

With ``branch_norm`` further norm layers stand behind the patches' map and at the end of each
branch, before the addition. Then every map but `head` is scale-invariant, and gains alone decide
how much a block adds.

References:
    Dosovitskiy et al. 2021, An Image is Worth 16x16 Words. Henry, Dachapally, Pawar, Chen 2020,
    Query-Key Normalization for Transformers. Beyer, Zhai, Kolesnikov 2022, Better plain ViT
    baselines for ImageNet-1k.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from suite.errors import ConfigError
from suite.models.base import MODELS, Depth, ModelConfig, ModelSpec, Tap
from suite.models.heads import heads_divide
from suite.models.inputs import Floats
from suite.models.normalize import norm
from suite.params import ParamRole

START = 0.02
"""Standard deviation of the initial positions (Dosovitskiy et al. 2021)."""


class VitBlock(nn.Module):
    """Attention and an MLP, each added to the stream.

    Args:
        config: sizes and norms.
    """

    def __init__(self, config: VitConfig) -> None:
        super().__init__()
        width, kind = config.width, config.norm
        end = kind if config.branch_norm else "none"
        self.heads = config.heads
        self.norm_attention = nn.Sequential(*norm(kind, width))
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width, bias=False)
        self.norm_query = nn.Sequential(*norm("rms", width // config.heads))
        self.norm_key = nn.Sequential(*norm("rms", width // config.heads))
        self.attention_output = Tap()
        self.mix = nn.Linear(width, width, bias=False)
        self.norm_mix = nn.Sequential(*norm(end, width))
        self.norm_mlp = nn.Sequential(*norm(kind, width))
        self.up = nn.Linear(width, config.hidden, bias=False)
        self.norm_hidden = nn.Sequential(*norm(kind, config.hidden))
        self.gelu = nn.GELU()
        self.down = nn.Linear(config.hidden, width, bias=False)
        self.norm_down = nn.Sequential(*norm(end, width))

    def _by_head(self, x: Tensor) -> Tensor:
        """Return (batch, heads, tokens, width / heads) for (batch, tokens, width)."""
        return x.view(*x.shape[:-1], self.heads, -1).transpose(1, 2)

    def forward(self, stream: Tensor) -> Tensor:
        """Return the stream behind the block, (batch, tokens, width), as given."""
        inputs = self.norm_attention(stream)
        query = self.norm_query(self._by_head(self.query(inputs)))
        key = self.norm_key(self._by_head(self.key(inputs)))
        attended = F.scaled_dot_product_attention(query, key, self._by_head(self.value(inputs)))
        attended = self.attention_output(attended.transpose(1, 2).flatten(2))
        stream = stream + self.norm_mix(self.mix(attended))
        hidden = self.gelu(self.norm_hidden(self.up(self.norm_mlp(stream))))
        added: Tensor = self.norm_down(self.down(hidden))
        return stream + added


class VisionTransformer(nn.Module):
    """Patches, positions, blocks, mean, output.

    Args:
        config: sizes and norms.
        channels: of an image.
        tokens: patches of an image.
        outputs: number of output units.
    """

    param_roles: ClassVar[dict[str, ParamRole]] = {"places": ParamRole.EMBEDDING}

    def __init__(self, config: VitConfig, channels: int, tokens: int, outputs: int) -> None:
        super().__init__()
        width, end = config.width, config.norm if config.branch_norm else "none"
        self.patches = nn.Conv2d(channels, width, config.patch, config.patch, bias=False)
        self.norm_patches = nn.Sequential(*norm(end, width))
        self.places = nn.Parameter(START * torch.randn(tokens, width))
        self.blocks = nn.Sequential(*(VitBlock(config) for _ in range(config.depth)))
        self.norm_output = nn.Sequential(*norm(config.norm, width))
        self.head = nn.Linear(width, outputs, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        """Return (batch, outputs) for images (batch, channels, height, width)."""
        tokens = self.patches(images).flatten(2).transpose(1, 2)
        stream = self.blocks(self.norm_patches(tokens) + self.places)
        outputs: Tensor = self.head(self.norm_output(stream).mean(1))
        return outputs


@MODELS.register("vit")
class VitConfig(ModelConfig):
    """Small vision transformer, pre-norm, with normalised queries, keys and hidden units.

    Attributes:
        patch: side of a patch, a divisor of both sides of an image.
        width: of the stream.
        depth: blocks.
        heads: of attention, a divisor of `width`.
        hidden: units of each MLP.
        norm: LayerNorm or RMSNorm; queries and keys always have RMSNorm.
        branch_norm: whether norm layers also stand behind the patches' map and at the end of each
            branch, so that every map but the last is scale-invariant.
    """

    kind: Literal["vit"] = "vit"
    patch: Annotated[int, Field(ge=1)] = 4
    width: Annotated[int, Field(ge=1)] = 192
    depth: Depth = 6
    heads: Annotated[int, Field(ge=1)] = 3
    hidden: Annotated[int, Field(ge=1)] = 768
    norm: Literal["layer", "rms"] = "layer"
    branch_norm: bool = False

    _heads_divide = model_validator(mode="after")(heads_divide)

    def build(self, spec: ModelSpec) -> nn.Module:
        """Return the network: inputs (batch, channels, height, width) float.

        Raises:
            ConfigError: if they are not the task's, or do not divide into two patches or more.
        """
        shape = self.take(spec, Floats).shape
        if len(shape) != 3:
            raise ConfigError("model.kind", self.kind, f"a model for inputs of shape {shape}")
        channels, height, width = shape
        tokens = (height // self.patch) * (width // self.patch)
        if height % self.patch or width % self.patch or tokens < 2:
            wanted = f"a side that divides images of {height} x {width} into patches, two or more"
            raise ConfigError("model.patch", self.patch, wanted)
        return VisionTransformer(self, channels, tokens, spec.outputs)
