"""Dragging by optimisation, after DragGAN: slower than a network, a reference for its accuracy.

Written from the equations of the paper alone (Pan et al., SIGGRAPH 2023,
https://arxiv.org/abs/2305.10973, sections 3.2 and 3.3).
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from semsynth.editing.canvas import Canvas
from semsynth.networks.motion.feature_tracking import patches_at, ring_of, track
from semsynth.networks.motion.geometry import sample


class DragOptimisation:
    """Moves features step by step towards their targets, by Adam on the latents.

    Each step pulls the features around every handle one pixel of the map towards its target (motion
    supervision), preserves those at anchors and outside a region, and then tracks the handles by
    their initial features (point tracking). An image is done when all its handles have arrived. A
    zoom is a ring of handles.

    Args:
        canvas: The canvas.
        steps: Maximum number of steps.
        lr: Learning rate of Adam.
        resolution: Features to move; those of half the image's size, at most 256, if not given.
        radius: Radius in pixels of the map of what is pulled around a handle.
        search_radius: Radius in pixels of the map in which a handle is searched after a step.
        keep_weight: Weight of the region's outside.
        progress: Called with the steps done and their number.
    """

    def __init__(
        self,
        canvas: Canvas,
        steps: int = 100,
        lr: float = 0.02,
        resolution: int | None = None,
        radius: int = 2,
        search_radius: float = 2.0,
        keep_weight: float = 20.0,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        self.canvas, self.steps, self.lr = canvas, steps, lr
        self.resolution = resolution or min(256, canvas.generator.image_size // 2)
        self.radius, self.search_radius, self.keep_weight = radius, search_radius, keep_weight
        self.progress = progress

    def edit(
        self,
        w_plus: Tensor,
        features: Tensor,
        points: Tensor,
        motions: Tensor,
        points_mask: Tensor,
        region: Tensor | None = None,
    ) -> Tensor:
        """Move the content at points (see ``Editor.edit``), within a mask (B, 1, H, W) if given."""
        with torch.inference_mode(False), torch.enable_grad():
            w_plus, points, motions = (x.clone().float() for x in (w_plus, points, motions))
            region = None if region is None else region.clone()
            pull = _Pull(self, w_plus, points, motions, points_mask.clone(), region)
            for step in range(self.steps):
                if pull.step():
                    break
                if self.progress is not None:
                    self.progress(step + 1, self.steps)
            return pull.w_plus()


class _Pull:
    """The state of one optimisation; places are in pixels of the map."""

    def __init__(
        self,
        settings: DragOptimisation,
        w_plus: Tensor,
        points: Tensor,
        motions: Tensor,
        points_mask: Tensor,
        region: Tensor | None,
    ) -> None:
        self.settings, self.canvas = settings, settings.canvas
        self.ratio = settings.resolution / self.canvas.size
        zooms = points_mask & (motions[..., 2] != 0)
        moving = zooms | points_mask & motions[..., :2].any(dim=-1)
        ring = ring_of(self.canvas.size, points.device)
        if not zooms.any():
            ring = ring[:1]
        scale = (-motions[..., 2:]).exp()
        start = points[:, :, None] + ring  # (B, K, n, 2)
        target = (points + motions[..., :2])[:, :, None] + scale[:, :, None] * ring
        is_handle = moving[..., None].repeat(1, 1, len(ring))
        is_handle[:, :, 1:] &= zooms[..., None]
        self.is_handle = is_handle.flatten(1)  # (B, N)
        self.at, self.target = (self._on_map(x.flatten(1, 2)) for x in (start, target))
        self.anchors, self.is_anchor = self._on_map(points), points_mask & ~moving
        with torch.no_grad():
            self.before = self._features(w_plus)
        self.patches = patches_at(self.before, self.at, 1)
        self.kept = None if region is None else (~region).float()
        self.codes = w_plus[:, : self.canvas.num_tokens].clone().requires_grad_()
        self.rest = w_plus[:, self.canvas.num_tokens :]
        self.optimizer = torch.optim.Adam([self.codes], lr=settings.lr)
        self.steps_done = 0

    def w_plus(self) -> Tensor:
        """The latents so far."""
        return torch.cat([self.codes.detach(), self.rest], dim=1)

    def step(self) -> bool:
        """Do one step; true, without a step, when all images are done."""
        features = self._features(torch.cat([self.codes, self.rest], dim=1))
        if self.steps_done:
            radius = torch.full_like(self.at[..., 0], self.settings.search_radius)
            self.at = track(self.patches, features.detach(), self.at, radius).points
        way = self.target - self.at
        distance = way.norm(dim=-1)
        pulled = self.is_handle & (distance > 0.5 * self.canvas.tolerance * self.ratio)
        unfinished = pulled.any(dim=1)
        if not unfinished.any():
            return True
        losses = self._pull(features, way / distance.clamp(min=1)[..., None], pulled)
        losses = losses + self._keep(features)
        self.optimizer.zero_grad()
        losses.sum().backward()
        before = self.codes.detach().clone()
        self.optimizer.step()
        with torch.no_grad():
            self.codes.copy_(torch.where(unfinished[:, None, None], self.codes, before))
        self.steps_done += 1
        return False

    def _pull(self, features: Tensor, way: Tensor, pulled: Tensor) -> Tensor:
        """Motion supervision (B,): features of a place should appear one step further on."""
        spots = self._patch(self.at)
        here = sample(features, spots, "border").detach()  # (B, C, N, P)
        there = sample(features, spots + way[:, :, None], "border")
        return ((there - here).abs().mean(dim=(1, 3)) * pulled).sum(dim=1)

    def _keep(self, features: Tensor) -> Tensor:
        """Change (B,) of features at anchors, weighted as handles, and outside the region."""
        spots = self._patch(self.anchors)
        now, then = (sample(x, spots, "border") for x in (features, self.before))
        change = ((now - then).abs().mean(dim=(1, 3)) * self.is_anchor).sum(dim=1)
        if self.kept is None:
            return change
        kept = F.interpolate(self.kept, features.shape[-2:], mode="area")
        outside = ((features - self.before).abs() * kept).mean(dim=(1, 2, 3))
        return change + self.settings.keep_weight * outside

    def _patch(self, centres: Tensor) -> Tensor:
        """Places (B, N, P, 2) around centres (B, N, 2)."""
        step = torch.arange(-self.settings.radius, self.settings.radius + 1, device=centres.device)
        offset = torch.stack(torch.meshgrid(step, step, indexing="xy"), dim=-1).view(-1, 2)
        return centres[:, :, None] + offset

    def _features(self, w_plus: Tensor) -> Tensor:
        return self.canvas.generator.synthesis.features(w_plus, self.settings.resolution)

    def _on_map(self, points: Tensor) -> Tensor:
        return (points + 0.5) * self.ratio - 0.5
