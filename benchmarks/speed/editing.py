"""Time layout editing against the released code's order of work, and cached pairs against new ones.

Run: ``python -m benchmarks.speed.editing``. The released order keeps gradients of the generator,
synthesises the random latents too and the answer in every step, enlarges features to the whole
canvas before it reads some of them, and writes attention out, with projections of which half is
thrown away. Both hold the same weights and must give the same loss and the same edits, before they
are timed in turns. *Cached* trains on pairs that were rendered before.
"""

import argparse
import copy
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.speed.compare import Function, interleaved
from benchmarks.speed.stylegan2 import check
from semsynth.editing.points import all_marks, read_cells
from semsynth.losses.ranger import Ranger
from semsynth.methods import UserControllableLT
from semsynth.networks.motion.latent_transformer import Attention
from semsynth.networks.stylegan2.generator import StyleGAN2Generator
from semsynth.weights.priors import save_generator


class Size(NamedTuple):
    """A generator, its transformer and the batch.

    Attributes:
        generator: Arguments of the generator.
        method: Arguments of the method.
        batch_size: Pairs of a step.
    """

    generator: dict[str, int]
    method: dict[str, Any]
    batch_size: int


def generator(image_size: int, dim: int, layers: int, base: int, most: int) -> dict[str, int]:
    """Arguments of a generator."""
    sizes = {"image_size": image_size, "z_dim": dim, "w_dim": dim, "mapping_layers": layers}
    return sizes | {"channel_base": base, "channel_max": most}


TINY = {"dim": 16, "depth": 1, "num_heads": 2, "head_dim": 8, "mlp_dim": 16, "num_tokens": 3}
TOY = {"dim": 128, "depth": 3, "num_heads": 4, "head_dim": 32, "mlp_dim": 128, "num_tokens": 4}
SIZES = {
    "tiny": Size(generator(32, 8, 2, 256, 8), TINY | {"feature_resolution": 16}, 2),
    "toy64": Size(generator(64, 128, 4, 2048, 128), TOY | {"feature_resolution": 32}, 8),
    "paper256": Size(generator(256, 512, 8, 32768, 512), {}, 1),
}
VARIANTS = ("eager", "bf16", "compile", "bf16+compile")
NUM_POINTS = (1, 16)


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
    """Steps and edits as the method does them, with the whole grid of points.

    Args:
        method: The method; copied.
        seed: Seeds of the pairs (B,).
        variant: A name of ``VARIANTS``.
    """

    def __init__(self, method: UserControllableLT, seed: Tensor, variant: str) -> None:
        self.method = copy.deepcopy(method)
        self.seed = seed
        self.half = "bf16" in variant
        self.optimizer = Ranger(self.method.transformer.parameters(), 1e-4)
        self.adapt()
        if "compile" in variant:
            self.method.transformer.compile()
        G = self.method.generator
        self.w_plus = G.repeat(G.mapping(torch.randn(1, G.z_dim, device=seed.device))).contiguous()
        self.features = self.method.draw(self.w_plus)[1]

    def adapt(self) -> None:
        """Nothing to change."""

    def step(self) -> list[Tensor]:
        """One step on new pairs; returns the loss."""
        with self.precision():
            return self.learn(self.render())

    def learn(self, pairs: dict[str, Any]) -> list[Tensor]:
        """One step on pairs that are there; returns the loss."""
        with self.precision():
            answer = self.method.answer(pairs, all_marks(torch.ones_like(pairs["valid"])))
            loss = F.mse_loss(answer.float(), pairs["w_target"])
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.preview(pairs, answer)
        return [loss.detach()]

    def render(self) -> dict[str, Any]:
        """New pairs."""
        return self.method.renderer(self.seed)

    def preview(self, pairs: dict[str, Any], answer: Tensor) -> None:
        """Nothing: images are drawn in validation."""

    def edit(self, points: Tensor, motions: Tensor) -> list[Tensor]:
        """Image of an edit."""
        there = torch.ones_like(points[..., 0], dtype=torch.bool)
        with torch.no_grad(), self.precision():
            moved = self.method.edit(self.w_plus, self.features, points, motions, there)
            return [self.method.generator.synthesis(moved)]

    def precision(self) -> torch.autocast:
        """Autocast as the variant wants it."""
        return torch.autocast(self.seed.device.type, torch.bfloat16, enabled=self.half)


class Released(Ours):
    """The same in the released code's order of work."""

    def adapt(self) -> None:
        """Write attention out, and let gradients of the generator be kept."""
        for module in self.method.transformer.modules():
            if isinstance(module, Attention):
                module.__class__ = WrittenOutAttention
        self.method.generator.requires_grad_(True)

    def render(self) -> dict[str, Any]:
        """New pairs, from three syntheses with gradients, their features enlarged."""
        renderer, G = self.method.renderer, self.method.generator
        w, w_target = renderer.latents(self.seed)
        before = G.repeat(w)
        G.synthesis(torch.cat([w_target, before[:, renderer.num_tokens :]], 1))  # the random ones
        image, features = G.synthesis.image_and_features(before, renderer.feature_resolution)
        target = G.synthesis(torch.cat([w_target, before[:, renderer.num_tokens :]], 1))
        motion = renderer.estimator(image.detach().clamp(-1, 1), target.detach().clamp(-1, 1))
        large, step = self.enlarged(features), renderer.canvas_size // renderer.grid_size
        return {
            "w": w.detach(),
            "w_target": w_target.detach(),
            "features": large.detach()[:, :, ::step, ::step],
            "flow": motion.flow[:, :, ::step, ::step],
            "log_expansion": motion.log_expansion[:, :, ::step, ::step],
            "valid": motion.valid[:, :, ::step, ::step],
        }

    def preview(self, pairs: dict[str, Any], answer: Tensor) -> None:
        """The image of the answer, in every step."""
        with self.precision():
            rest = self.method.generator.repeat(pairs["w"])[:, answer.shape[1] :]
            self.method.generator.synthesis(torch.cat([answer, rest], 1))

    def enlarged(self, features: Tensor) -> Tensor:
        """Features at the size of the canvas."""
        return F.interpolate(features, size=self.method.canvas_size, mode="nearest")

    def edit(self, points: Tensor, motions: Tensor) -> list[Tensor]:
        """Image of an edit, with gradients, from features that are enlarged for each."""
        method, T = self.method, self.method.num_tokens
        with self.precision():
            pixels = points.long()
            cells = pixels[..., 1] * method.canvas_size + pixels[..., 0]
            features = read_cells(self.enlarged(self.features), cells)
            request, alpha = method._request(motions)
            there = torch.ones_like(cells, dtype=torch.bool)
            moved = method.transformer(self.w_plus[:, :T], request, features, there, alpha)
            return [method.generator.synthesis(torch.cat([moved, self.w_plus[:, T:]], 1)).detach()]


def build(size: Size, device: str) -> UserControllableLT:
    """A method on a random prior."""
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "prior.safetensors")
        network = StyleGAN2Generator(**size.generator)
        network.estimate_mean_latent(100)
        save_generator(network, path, {"generator": size.generator})
        method = UserControllableLT(
            str(path), sigma_flow=4.0, sigma_expansion=0.05, perturbation=(0.3, 0.3), **size.method
        )
    _ = method.to(device).renderer
    return method


def compare(name: str, variant: str, repetitions: int, device: str) -> None:
    """Check and time one size; print a line for each task."""
    size = SIZES[name]
    torch.compiler.reset()
    method = build(size, device)
    seed = torch.arange(size.batch_size, device=device)
    forms = {}
    for form, kind in (("ours", Ours), ("released", Released)):
        torch.manual_seed(1)
        forms[form] = kind(method, seed, variant)
    tasks: dict[str, dict[str, Function]] = {"step": {k: v.step for k, v in forms.items()}}
    for K in NUM_POINTS:
        points = torch.rand(1, K, 2, device=device) * (method.canvas_size - 1)
        marks = points.floor(), torch.randn(1, K, 3, device=device)
        tasks[f"edit, {K} points"] = {k: partial(v.edit, *marks) for k, v in forms.items()}
    for task, functions in tasks.items():
        check(functions, 0.1 if "bf16" in variant else 0.01)
        report(f"{name}, {variant}: {task}", interleaved(functions, repetitions, device))
    pairs = {k: v.detach() for k, v in method.renderer(seed).items()}
    cached: dict[str, Function] = {
        "cached": partial(forms["ours"].learn, pairs),
        "new": forms["ours"].step,
    }
    report(f"{name}, {variant}: cached, not new", interleaved(cached, repetitions, device))


def report(title: str, times: list[float]) -> None:
    """Write a line of the table."""
    sys.stdout.write(f"{title:44}{times[0]:10.1f}{times[1]:12.1f}{times[1] / times[0]:8.2f}x\n")
    sys.stdout.flush()


def main() -> None:
    """Print medians in milliseconds, and how many times ours the others take."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=["toy64", "paper256"])
    parser.add_argument(
        "--variants", nargs="+", choices=VARIANTS, help="all on a GPU, eager on a processor"
    )
    parser.add_argument("--repetitions", type=int, help="20 on a GPU, 3 on a processor")
    args = parser.parse_args()
    on_gpu = args.device == "cuda"
    repetitions = args.repetitions or (20 if on_gpu else 3)
    machine = torch.cuda.get_device_name() if on_gpu else f"{torch.get_num_threads()} threads"
    sys.stdout.write(
        f"{args.device}, {machine}, torch {torch.__version__}; medians of {repetitions} in ms\n"
        f"{'':44}{'ours':>10}{'released':>12}{'ratio':>9}\n"
    )
    for name in args.sizes:
        for variant in args.variants or (VARIANTS if on_gpu else VARIANTS[:1]):
            compare(name, variant, repetitions, args.device)


if __name__ == "__main__":
    main()
