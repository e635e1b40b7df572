"""Generator of class- and layer-wise VAEs (Endo and Kanamori, Pacific Graphics 2020).

Paper: https://arxiv.org/abs/2106.13416. Levels count from 0, the finest (stride 2).
"""

import torch.nn.functional as F
from torch import Tensor, nn

from semsynth.networks.clvae.code_prior import CodePrior
from semsynth.networks.clvae.encoder import NUM_LEVELS, local_code_shape, rows_of
from semsynth.networks.clvae.fast_spade import Painted, painted_one_hot
from semsynth.networks.clvae.layouts import fill_ignored, level_mask
from semsynth.networks.clvae.spade_generator import SPADEGenerator, Upsampling

# Level that each block reads, coarse to fine. Five levels serve seven blocks: both middle blocks
# share one, and blocks beyond the finest level read the one-hot mask (as the released code does).
_BLOCK_LEVELS = (4, 3, 3, 2, 1, 0)


class CLVAEGenerator(nn.Module):
    """Generate an image from a mask, a global code and local codes for each class and level.

    Args:
        num_classes: Number of classes.
        image_size: Height and width of the images.
        channels: Channels of the last block; the first has 16 times as many.
        z_dim: Dimension of the global code.
        code_dim: Dimension of a local code; by default the number of classes, as in the paper.
        num_levels: Levels with local codes, from the finest; others read the mask.
        class_wise: Whether each class has its own codes.
        layer_wise: Whether each level has its own codes; if not, one code serves all levels.
        upsampling: Number of doublings: 5 ("normal"), 6 ("more") or 7 ("most", one block more).
        spade_channels: Hidden channels of the SPADE layers.
        instances_per_class: Number of instances per class with separate codes.
        code_last_blocks: Whether blocks beyond the finest level read its codes instead of the mask.
        coupled_prior: Whether the prior of the local codes depends on the global code.
        checkpointing: Recompute the blocks in the backward pass, which saves memory.
    """

    def __init__(
        self,
        num_classes: int,
        image_size: tuple[int, int] = (256, 256),
        channels: int = 64,
        z_dim: int = 256,
        code_dim: int | None = None,
        num_levels: int = NUM_LEVELS,
        *,
        class_wise: bool = True,
        layer_wise: bool = True,
        upsampling: Upsampling = "normal",
        spade_channels: int = 128,
        instances_per_class: int = 1,
        code_last_blocks: bool = False,
        coupled_prior: bool = False,
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        self.num_classes, self.z_dim = num_classes, z_dim
        L, K, N = local_code_shape(
            num_classes, code_dim, num_levels, class_wise=class_wise, layer_wise=layer_wise
        )
        self.code_shape = (L, K * instances_per_class, N)
        self.instances_per_class = instances_per_class
        self.code_prior = CodePrior(z_dim, self.code_shape) if coupled_prior else None
        self.code_last_blocks = code_last_blocks and L > 0
        self.num_maps = NUM_LEVELS if L and not layer_wise else L
        if self.num_maps:
            self.embedding = nn.Embedding(num_classes, N)
        num_blocks = 8 if upsampling == "most" else 7
        one_hot_blocks = (NUM_LEVELS,) * (num_blocks - len(_BLOCK_LEVELS))
        self.block_levels = _BLOCK_LEVELS + one_hot_blocks
        self.decoder = SPADEGenerator(
            z_dim,
            image_size,
            channels,
            layout_channels=[N if self.reads_codes(j) else num_classes for j in self.block_levels],
            spade_channels=spade_channels,
            upsampling=upsampling,
            checkpointing=checkpointing,
        )

    def reads_codes(self, level: int) -> bool:
        """Whether blocks of a level read codes; others read the mask."""
        return level < self.num_maps or (level == NUM_LEVELS and self.code_last_blocks)

    def forward(
        self, mask: Tensor, z_global: Tensor, z_local: Tensor, instance: Tensor | None = None
    ) -> Tensor:
        """Images (B, 3, H, W) in [-1, 1] of label maps (B, H, W) and codes.

        Codes are global (B, z_dim) and local (B, *code_shape); several instances per class need
        instance maps (B, H, W).
        """
        *codes, at_full_size = self.painted_codes(mask, z_local, instance)
        layouts = [codes[j] if j < len(codes) else at_full_size for j in self.block_levels]
        return self.decoder(z_global, layouts)

    def painted_codes(
        self, mask: Tensor, z_local: Tensor, instance: Tensor | None = None
    ) -> list[Painted]:
        """Sum of embedding and code of each pixel's class; zero for ignored pixels.

        There is one layout (B, N, H / 2^(j+1), W / 2^(j+1)) for each level j that blocks read, and
        last the one-hot mask (B, num_classes, H, W), or the finest codes with ``code_last_blocks``.
        """
        if z_local.shape[1:] != self.code_shape:
            raise ValueError(
                f"z_local must have shape (B, {', '.join(map(str, self.code_shape))}), "
                f"got {tuple(z_local.shape)}; draw it with the generator's code_shape."
            )
        layout = painted_one_hot(fill_ignored(mask, self.num_classes), self.num_classes)
        if not self.num_maps:
            return [layout]
        embedding = self.embedding.weight.repeat_interleave(self.instances_per_class, 0)
        tables = embedding + z_local.expand(-1, self.num_maps, -1, -1)  # (B, L, K, N)
        tables = F.pad(tables, (0, 0, 0, 1))  # a zero row for ignored pixels
        rows = rows_of(mask, instance, self.num_classes, self.instances_per_class)
        codes = [Painted(level_mask(rows, j), tables[:, j]) for j in range(self.num_maps)]
        return [*codes, Painted(rows, tables[:, 0]) if self.code_last_blocks else layout]
