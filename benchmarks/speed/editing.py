"""Editing against the released code's order of work, and cached pairs against new ones.

The released order keeps gradients of the generator, synthesises the random latents and the answer
in every step, enlarges features to the canvas before it reads some of them, and writes attention
out. *New pairs*: ours, which renders pairs in each step, against training on cached pairs.
"""

import copy
import math
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.speed import stylegan2
from benchmarks.speed.compare import Comparison, Form, precision
from semsynth.editing.points import all_marks
from semsynth.losses.ranger import Ranger
from semsynth.methods import UserControllableLT
from semsynth.networks.motion.latent_transformer import Attention
from semsynth.networks.motion.marks import read_cells
from semsynth.networks.stylegan2.generator import StyleGAN2Generator
from semsynth.weights.priors import save_generator

TRANSFORMER = {"dim": 128, "depth": 3, "num_heads": 4, "head_dim": 32, "mlp_dim": 128}
SMALL = TRANSFORMER | {"num_tokens": 4, "feature_resolution": 32}
Size = tuple[dict[str, int], dict[str, Any], int]
"""Arguments of a generator and of the method, and the pairs of a step."""
SIZES: dict[str, Size] = {
    "toy64": ({"image_size": 64, **stylegan2.TOY}, SMALL, 8),
    "paper256": ({"image_size": 256}, {}, 1),
}
NUM_POINTS = (1, 16)


def steps_and_edits(device: str, variant: str) -> Iterator[Comparison]:
    """A training step, edits of one and of many points, and a step on cached pairs."""
    for name, size in SIZES.items():
        forms = build_forms(size, device, variant)
        yield Comparison(f"step, {name}", {form: one.step for form, one in forms.items()})
        ours = forms["ours"]
        for K in NUM_POINTS:
            points = torch.rand(1, K, 2, device=device) * (ours.method.canvas_size - 1)
            marks = points.floor(), torch.randn(1, K, 3, device=device)
            edits = {form: partial(one.edit, *marks) for form, one in forms.items()}
            yield Comparison(f"edit of {K} points, {name}", edits)
        pairs = {k: v.detach() for k, v in ours.method.renderer(ours.seed).items()}
        steps: dict[str, Form] = {"cached": partial(ours.learn, pairs), "new pairs": ours.step}
        yield Comparison(f"step on cached pairs, {name}", steps, math.inf)  # other pairs


def build_forms(size: Size, device: str, variant: str) -> dict[str, "Ours"]:
    """Both orders of work on a random prior, with the same weights and latents."""
    of_generator, of_method, batch_size = size
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "prior.safetensors")
        network = StyleGAN2Generator(**of_generator)
        network.estimate_mean_latent(100)
        save_generator(network, path, {"generator": of_generator})
        noise: dict[str, Any] = {"sigma_flow": 4.0, "sigma_expansion": 0.05}
        noise["perturbation"] = (0.3, 0.3)
        method = UserControllableLT(str(path), **noise, **of_method)
    _ = method.to(device).renderer
    seed = torch.arange(batch_size, device=device)
    forms = {}
    for form, kind in (("ours", Ours), ("released", Released)):
        torch.manual_seed(1)
        forms[form] = kind(method, seed, variant)
    return forms


class WrittenOutAttention(Attention):
    """Attention as the released code has it, which projects what it does not need."""

    def forward(self, x: Tensor, memory: Tensor, mask: Tensor | None = None) -> Tensor:
        """What ``Attention.forward`` does."""
        T = x.shape[1]
        tokens = x if memory is x else torch.cat([x, memory], 1)
        q, k, v = (
            y.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for y in (self.to_q(tokens), *self.to_kv(tokens).chunk(2, -1))
        )
        if memory is not x:
            q, k, v = q[:, :, :T], k[:, :, T:], v[:, :, T:]
        scores = torch.einsum("bhid,bhjd->bhij", q, k) * q.shape[-1] ** -0.5
        if mask is not None:
            scores = scores.masked_fill(~mask, -torch.finfo(scores.dtype).max)
        answer = torch.einsum("bhij,bhjd->bhid", scores.softmax(-1), v)
        return self.to_out(answer.transpose(1, 2).flatten(2))


class Ours:
    """Steps and edits as a method does them, on pairs of seeds (B,), with the grid of points."""

    def __init__(self, method: UserControllableLT, seed: Tensor, variant: str) -> None:
        self.method = copy.deepcopy(method)
        self.seed, self.variant = seed, variant
        self.optimizer = Ranger(self.method.transformer.parameters(), 1e-4)
        if "compile" in variant:
            self.method.transformer.compile()
        G = self.method.generator
        self.w_plus = G.repeat(G.mapping(torch.randn(1, G.z_dim, device=seed.device))).contiguous()
        self.features = self.method.draw(self.w_plus)[1]

    def step(self) -> list[Tensor]:
        """One step on new pairs; returns loss and answer."""
        with precision(self.seed.device.type, self.variant):
            return self.learn(self.render())

    def render(self) -> dict[str, Any]:
        """New pairs."""
        return self.method.renderer(self.seed)

    def learn(self, pairs: dict[str, Any]) -> list[Tensor]:
        """One step on pairs that are there; returns loss and answer."""
        with precision(self.seed.device.type, self.variant):
            valid = torch.ones_like(pairs["valid"])
            marks = all_marks({**pairs, "valid": valid}, self.method.canvas_size)
            answer = self.method.answer(pairs, marks).float()
            loss = F.mse_loss(answer, pairs["w_target"])
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return [loss.detach(), answer.detach()]

    def edit(self, points: Tensor, motions: Tensor) -> list[Tensor]:
        """Image of an edit."""
        there = torch.ones_like(points[..., 0], dtype=torch.bool)
        with torch.no_grad(), precision(self.seed.device.type, self.variant):
            moved = self.method.edit(self.w_plus, self.features, points, motions, there)
            return [self.method.generator.synthesis(moved)]


class Released(Ours):
    """The same in the released code's order of work, which keeps gradients of the generator."""

    def __init__(self, method: UserControllableLT, seed: Tensor, variant: str) -> None:
        method = copy.deepcopy(method)
        for module in method.transformer.modules():
            if isinstance(module, Attention):
                module.__class__ = WrittenOutAttention
        super().__init__(method, seed, variant)
        self.method.generator.requires_grad_(True)

    def render(self) -> dict[str, Any]:
        """New pairs, from three syntheses with gradients, their features enlarged."""
        renderer, G = self.method.renderer, self.method.generator
        w, w_target = renderer.latents(self.seed)
        before = G.repeat(w)
        after = torch.cat([w_target, before[:, renderer.num_tokens :]], 1)
        G.synthesis(after)  # the random ones
        image, features = G.synthesis.image_and_features(before, renderer.feature_resolution)
        target = G.synthesis(after)
        motion = renderer.estimator(image.detach().clamp(-1, 1), target.detach().clamp(-1, 1))
        large, step = self.enlarged(features), renderer.canvas_size // renderer.grid_size
        maps = {"features": large.detach(), **motion._asdict()}
        latents = {"w": w.detach(), "w_target": w_target.detach()}
        return latents | {name: value[:, :, ::step, ::step] for name, value in maps.items()}

    def learn(self, pairs: dict[str, Any]) -> list[Tensor]:
        """One step, and the image of the answer."""
        loss, answer = super().learn(pairs)
        G = self.method.generator
        with precision(self.seed.device.type, self.variant):
            G.synthesis(torch.cat([answer, G.repeat(pairs["w"])[:, answer.shape[1] :]], 1))
        return [loss, answer]

    def enlarged(self, features: Tensor) -> Tensor:
        """Features at the size of the canvas."""
        return F.interpolate(features, size=self.method.canvas_size, mode="nearest")

    def edit(self, points: Tensor, motions: Tensor) -> list[Tensor]:
        """Image of an edit, with gradients, from features that are enlarged for each."""
        method, T = self.method, self.method.num_tokens
        with precision(self.seed.device.type, self.variant):
            pixels = points.long()
            cells = pixels[..., 1] * method.canvas_size + pixels[..., 0]
            features = read_cells(self.enlarged(self.features), cells)
            request, alpha = method._request(motions)
            there = torch.ones_like(cells, dtype=torch.bool)
            moved = method.transformer(self.w_plus[:, :T], request, features, there, alpha)
            return [method.generator.synthesis(torch.cat([moved, self.w_plus[:, T:]], 1)).detach()]
