"""Editors that need no training of a network, as baselines."""

import torch
import torch.nn.functional as F
from torch import Tensor

from semsynth.editing import Canvas
from semsynth.editing.pairs import PairRenderer, on_canvas
from semsynth.editing.points import random_marks
from semsynth.metrics.editing import sample_at
from semsynth.networks.motion.geometry import Motion, MotionEstimator
from semsynth.networks.motion.marks import Marks
from semsynth.networks.noise import sample_seed, seeded_normal, seeded_uniform
from semsynth.networks.stylegan2.layers import ModulatedConv2d

EXPANSION_UNIT = 10.0  # of 64 pixels: what a log expansion of 1 moves at the ring of a zoom
CHUNK = 256  # images that are drawn at once


class NoEdit:
    """Leaves everything as it is."""

    def edit(self, w_plus: Tensor, *_: Tensor) -> Tensor:
        """The latents as they came (see ``Editor.edit``)."""
        return w_plus


class Ridge:
    """Ridge regression from the mean motion and feature of the marks to the change of latents."""

    NUM_PAIRS = 2048
    PENALTY = 10.0  # of squared weights, of inputs with unit variance

    def __init__(self, renderer: PairRenderer) -> None:
        self.renderer = renderer
        inputs, outputs = [], []
        for seed in sample_seed(1 << 20, torch.arange(self.NUM_PAIRS)).split(32):
            pairs = renderer(seed)
            marks = random_marks(pairs, seed, renderer.canvas_size, 0.5, max_points=8)
            inputs.append(self.inputs(marks, pairs["features"]))
            outputs.append((pairs["w_target"] - pairs["w"][:, None]).flatten(1))
        x, y = torch.cat(inputs), torch.cat(outputs).double()
        self.mean, self.scale = x.mean(0), x.std(0).clamp(min=1e-6)
        self.offset = y.mean(0)
        x = (x - self.mean) / self.scale
        gram = x.mT @ x + self.PENALTY * torch.eye(x.shape[1], dtype=x.dtype)
        self.weight = torch.linalg.solve(gram, x.mT @ (y - self.offset))

    def inputs(self, marks: Marks, features: Tensor) -> Tensor:
        """Means (B, 3 + C), float64, of motions and features (B, C, h, w) over marks."""
        read = marks.read(features, self.renderer.canvas_size).float()
        values = torch.cat([marks.motions, read], dim=2) * marks.points_mask[..., None]
        count = marks.points_mask.sum(dim=1, keepdim=True).clamp(min=1)
        return (values.sum(dim=1) / count).double()

    def edit(self, w_plus: Tensor, features: Tensor, *marks: Tensor) -> Tensor:
        """Move content (see ``Editor.edit``)."""
        T = self.renderer.num_tokens
        x = (self.inputs(Marks(*marks), features) - self.mean) / self.scale
        change = (x @ self.weight + self.offset).float().unflatten(1, (T, -1))
        return w_plus + F.pad(change, (0, 0, 0, w_plus.shape[1] - T))


class BestOfJitters:
    """Draws random changes of the latents and keeps the one whose motion fits the marks best."""

    NUMBER = 64  # changes that are tried
    LARGEST = 0.8  # part of the way to a random latent; the parts are drawn evenly

    def __init__(self, canvas: Canvas, estimator: MotionEstimator) -> None:
        self.canvas, self.estimator = canvas, estimator

    def edit(self, w_plus: Tensor, features: Tensor, *marks: Tensor) -> Tensor:
        """Move content (see ``Editor.edit``)."""
        B, num_ws, _ = w_plus.shape
        T, n = self.canvas.num_tokens, self.NUMBER
        G = self.canvas.generator
        seed = sample_seed(2 << 20, torch.arange(n))
        other = G.mapping(seeded_normal(seed, T, G.z_dim))  # (n, T, w_dim)
        share = self.LARGEST * seeded_uniform(seed, 1, 1).float()
        first = torch.lerp(w_plus[:, None, :T], other, share)  # (B, n, T, w_dim)
        tried = torch.cat([first, w_plus[:, None, T:].expand(B, n, num_ws - T, -1)], dim=2)
        points, motions, points_mask = marks
        motion = motions_of(self.canvas, self.estimator, w_plus, tried, points)
        error = (motion - motions[:, None]) * units(points_mask, self.canvas.size)[:, None]
        best = error.square().sum(dim=(2, 3)).argmin(dim=1)
        return tried[torch.arange(B), best]


class Directions:
    """Closed-form directions of the latents, steered by least squares on the flow they cause.

    The directions are the first eigenvectors of the modulation weights of the layers that edits
    change, after SeFa (Shen & Zhou, CVPR 2021, https://arxiv.org/abs/2007.06600).
    """

    NUMBER = 16  # directions
    STEP = 0.5  # how far each is followed to measure its flow, as a part of the spread of latents
    DAMPING = 1.0  # of the least squares; large values make small changes

    def __init__(self, canvas: Canvas, estimator: MotionEstimator) -> None:
        self.canvas, self.estimator = canvas, estimator
        modules = canvas.generator.synthesis.blocks.modules()
        # Layers that do not demodulate make colours.
        convs = [m for m in modules if isinstance(m, ModulatedConv2d) and m.demodulate]
        weight = torch.cat([conv.affine.weight for conv in convs[: canvas.num_tokens]])
        vectors = torch.linalg.svd(weight, full_matrices=False).Vh[: self.NUMBER]
        G = canvas.generator
        w = G.mapping(seeded_normal(torch.arange(1024), G.z_dim))
        spread = (w - G.mean_latent).norm(dim=1).mean()
        self.directions = self.STEP * spread * vectors  # (n, w_dim)

    def edit(self, w_plus: Tensor, features: Tensor, *marks: Tensor) -> Tensor:
        """Move content (see ``Editor.edit``)."""
        num_ws, w_dim = w_plus.shape[1:]
        n, T = len(self.directions), self.canvas.num_tokens
        steps = F.pad(self.directions[:, None].expand(n, T, w_dim), (0, 0, 0, num_ws - T))
        points, motions, points_mask = marks
        motion = motions_of(self.canvas, self.estimator, w_plus, w_plus[:, None] + steps, points)
        weight = units(points_mask, self.canvas.size)
        jacobian = (motion * weight[:, None]).flatten(2).mT  # (B, 3 K, n)
        request = (motions * weight).flatten(1)[..., None]
        gram = jacobian.mT @ jacobian + self.DAMPING * torch.eye(n)
        share = torch.linalg.solve(gram, jacobian.mT @ request)[..., 0]  # (B, n)
        return w_plus + torch.einsum("bn,ntd->btd", share, steps)


def motions_of(
    canvas: Canvas, estimator: MotionEstimator, w_plus: Tensor, tried: Tensor, points: Tensor
) -> Tensor:
    """Motion (B, n, K, 3) of points (B, K, 2) from latents (B, ...) to others (B, n, ...)."""
    B, n = tried.shape[:2]
    image = on_canvas(canvas.draw(w_plus), canvas.size)
    found = []
    for rows in torch.arange(B).split(max(1, CHUNK // n)):
        after = on_canvas(canvas.draw(tried[rows].flatten(0, 1)), canvas.size)
        motion: Motion = estimator(image[rows].repeat_interleave(n, dim=0), after)
        field = torch.cat([motion.flow, motion.log_expansion], dim=1)
        values = sample_at(field, points[rows].repeat_interleave(n, dim=0))
        found.append(values.float().unflatten(0, (-1, n)))
    return torch.cat(found)


def units(points_mask: Tensor, size: int) -> Tensor:
    """Pixels (B, K, 3) that a motion of 1 moves on a canvas; 0 for marks (B, K) not there."""
    return torch.tensor([1.0, 1.0, EXPANSION_UNIT * size / 64]) * points_mask[..., None]
