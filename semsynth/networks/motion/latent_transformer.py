"""The latent transformer (Endo, CGF 2022, https://arxiv.org/abs/2208.12408): marks move a code.

Names and arithmetic follow the released code, https://github.com/endo-yuki-t/UserControllableLT.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Part = Literal["nothing", "motions", "features", "expansion", "self_attention"]
"""What an ablation omits: an input of the marks, or the attention among them."""


class Attention(nn.Module):
    """Multi-head attention without biases of queries, keys and values."""

    def __init__(self, dim: int, num_heads: int, head_dim: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        inner = num_heads * head_dim
        self.to_q = nn.Linear(dim, inner, bias=False)
        self.to_kv = nn.Linear(dim, 2 * inner, bias=False)
        self.to_out = nn.Linear(inner, dim)

    def forward(self, x: Tensor, memory: Tensor, mask: Tensor | None = None) -> Tensor:
        """Attention (B, T, dim) of tokens (B, T, dim) over a memory (B, K, dim).

        ``mask`` (B, 1, 1, K) is True for memory to attend to.
        """
        q, k, v = (
            y.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)  # (B, heads, T or K, head_dim)
            for y in (self.to_q(x), *self.to_kv(memory).chunk(2, -1))
        )
        answer = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.to_out(answer.transpose(1, 2).flatten(2))


class FeedForward(nn.Sequential):
    """Normalisation and two linear layers with a GELU."""

    def __init__(self, dim: int, hidden_dim: int) -> None:
        super().__init__(
            nn.LayerNorm(dim), nn.Linear(dim, hidden_dim), nn.GELU(), nn.Linear(hidden_dim, dim)
        )


class EncoderBlock(nn.Module):
    """Self-attention of the marks, unless ablated."""

    def __init__(
        self, dim: int, num_heads: int, head_dim: int, mlp_dim: int, self_attention: bool = True
    ) -> None:
        super().__init__()
        self.self_attention = self_attention
        if self_attention:
            self.norm = nn.LayerNorm(dim)
            self.attention = Attention(dim, num_heads, head_dim)
        self.feed_forward = FeedForward(dim, mlp_dim)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Tokens (B, K, dim); those under the mask (B, 1, 1, K) are attended to."""
        if self.self_attention:
            y = self.norm(x)
            x = x + self.attention(y, y, mask)
        return x + self.feed_forward(x)


class DecoderBlock(nn.Module):
    """Self-attention of the latents, then cross-attention to the marks."""

    def __init__(self, dim: int, num_heads: int, head_dim: int, mlp_dim: int) -> None:
        super().__init__()
        self.self_norm = nn.LayerNorm(dim)
        self.self_attention = Attention(dim, num_heads, head_dim)
        self.cross_norm = nn.LayerNorm(dim)
        self.cross_attention = Attention(dim, num_heads, head_dim)
        self.feed_forward = FeedForward(dim, mlp_dim)

    def forward(self, x: Tensor, memory: Tensor, mask: Tensor) -> Tensor:
        """Latents (B, T, dim) that attend to marks (B, K, dim) under a mask (B, 1, 1, K)."""
        y = self.self_norm(x)
        x = x + self.self_attention(y, y)
        # One normalisation for both sides, as in the released code.
        x = x + self.cross_attention(self.cross_norm(x), self.cross_norm(memory), mask)
        return x + self.feed_forward(x)


class LatentTransformer(nn.Module):
    """Predicts how the first latents of an image change when its content moves as marked.

    The marks are a set: only the generator's features encode positions. The defaults are the
    paper's, with 26,141,440 parameters. ``depth`` counts the blocks of the encoder, and those of
    the decoder; with ``zero_init_head`` the untrained network changes nothing.
    """

    def __init__(
        self,
        num_tokens: int = 6,
        dim: int = 512,
        w_dim: int = 512,
        feature_channels: int = 512,
        depth: int = 6,
        num_heads: int = 8,
        head_dim: int = 64,
        mlp_dim: int = 512,
        zero_init_head: bool = False,
        without: Part = "nothing",
    ) -> None:
        super().__init__()
        self.without = without
        self.embed_motion = nn.Linear(3, dim // 2)
        self.embed_feature = nn.Linear(feature_channels, dim // 2)
        self.embed_mark = nn.Linear(2 * (dim // 2), dim)
        self.embed_latent = nn.Linear(w_dim, dim)
        self.position = nn.Parameter(torch.randn(1, num_tokens, dim))
        width = (dim, num_heads, head_dim, mlp_dim)
        together = without != "self_attention"
        self.encoder = nn.ModuleList(EncoderBlock(*width, together) for _ in range(depth))
        self.decoder = nn.ModuleList(DecoderBlock(*width) for _ in range(depth))
        self.head = nn.Linear(dim, w_dim)
        if zero_init_head:
            nn.init.zeros_(self.head.weight)
            nn.init.zeros_(self.head.bias)

    def forward(
        self,
        w: Tensor,
        motions: Tensor,
        features: Tensor,
        points_mask: Tensor,
        alpha: float | Tensor = 1.0,
    ) -> Tensor:
        """Move latents.

        Args:
            w: Latents (B, num_tokens, w_dim).
            motions: Motion of each mark (B, K, 3): flow (x, y) and log expansion, each divided by
                its root mean square in training. 0 is an anchor.
            features: The generator's features at the marks (B, K, feature_channels).
            points_mask: True for existing marks (B, K), bool. The others have no effect, and an
                image without marks keeps its latents.
            alpha: Factor of the change, one number or (B, 1, 1).

        Returns:
            Moved latents (B, num_tokens, w_dim).
        """
        there = points_mask[..., None]
        motions, features = self._inputs(motions.where(there, 0), features.where(there, 0))
        any_there = points_mask.any(1)[:, None, None]
        mask = (there.mT | ~any_there)[:, None]  # (B, 1, 1, K), no row without a token
        memory = torch.cat([self.embed_motion(motions), self.embed_feature(features)], -1)
        memory = F.relu(self.embed_mark(F.relu(memory)))  # (B, K, dim)
        for encode in self.encoder:
            memory = encode(memory, mask)
        x = F.relu(self.embed_latent(w)) + self.position  # (B, T, dim)
        for decode in self.decoder:
            x = decode(x, memory, mask)
        return w + alpha * self.head(x).where(any_there, 0)

    def _inputs(self, motions: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
        """The inputs after ablation."""
        if self.without == "motions":
            motions = torch.zeros_like(motions)
        elif self.without == "features":
            features = torch.zeros_like(features)
        elif self.without == "expansion":
            motions = F.pad(motions[..., :2], (0, 1))
        return motions, features
