"""Time the training of FewShotSMIS against the plain form of it.

Run: ``python -m benchmarks.speed.fewshot``. Labelling is timed against loops over samples and
classes that look at their pixels on the processor (``numpy.unique``), as the released code does;
a training step, forward and backward, against one that also draws the images, once of the sample
and once of the latents found for it. Both forms must agree before they are timed in turns.
"""

import argparse
import sys
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.speed.compare import Function, interleaved
from benchmarks.speed.stylegan2 import VARIANTS, check
from semsynth.networks.clvae.spade import one_hot
from semsynth.networks.fewshot.pseudo_labels import DensePrototypes, SparseBank
from semsynth.networks.fewshot.psp_encoder import GradualStyleEncoder
from semsynth.networks.stylegan2.generator import StyleGAN2Generator

BATCH, RESOLUTION, CHANNELS = 2, 64, 512
LANDMARKS, MASK_CLASSES = 71, 19


def sparse_by_loops(bank: SparseBank, features: Tensor) -> list[Tensor]:
    """What ``SparseBank.forward`` does, one class of one sample at a time."""
    maps = []
    for sample in features.flatten(2):
        similar = F.normalize(sample, dim=0)
        best = torch.zeros(similar.shape[1], device=similar.device)
        label = torch.zeros_like(best, dtype=torch.long)
        for k in range(1, bank.num_classes):
            cosine = bank.vectors[bank.classes == k] @ similar
            if not len(cosine):
                continue
            values, pixels = cosine.topk(bank.topk)
            kept = values > bank.threshold
            voted = torch.from_numpy(np.unique(pixels[kept].cpu().numpy())).to(pixels.device)
            votes = torch.zeros_like(cosine).scatter(1, pixels, torch.where(kept, values, 0.0))
            strength = votes.amax(0)[voted]
            stronger = strength > best[voted]
            best[voted[stronger]], label[voted[stronger]] = strength[stronger], k
        maps.append(label.view(features.shape[-2:]))
    return [torch.stack(maps).float()]


def dense_by_loops(prototypes: DensePrototypes, features: Tensor) -> list[Tensor]:
    """What ``DensePrototypes.forward`` does, one class of one sample at a time."""
    maps = []
    for sample in features:
        best = torch.full(sample.shape[1:], -torch.inf, device=sample.device)
        label = torch.zeros_like(best, dtype=torch.long)
        for k in np.unique(prototypes.seen.nonzero().cpu().numpy()).tolist():
            mean = prototypes.prototypes[k, 0].view(-1, 1, 1)
            cosine = F.cosine_similarity(sample, mean, dim=0)
            label[cosine > best] = k
            best = torch.maximum(cosine, best)
        maps.append(label)
    return [torch.stack(maps).float()]


def fitted(kind: str, device: str) -> tuple[SparseBank | DensePrototypes, Tensor]:
    """A labeller with what one shot teaches, and features that look like it in places."""
    num_classes = LANDMARKS if kind == "sparse" else MASK_CLASSES
    shape = (RESOLUTION, RESOLUTION)
    labels = torch.randint(1, num_classes, (1, *shape), device=device)
    looks = torch.randn(num_classes, CHANNELS, device=device)
    labeller: Any = (SparseBank if kind == "sparse" else DensePrototypes)(num_classes).to(device)
    if kind == "sparse":  # about two pixels for each landmark
        labels = labels * (torch.rand(labels.shape, device=device) < 140 / RESOLUTION**2)
    found = torch.randint(num_classes, (BATCH, *shape), device=device)
    noise = torch.randn(BATCH + 1, CHANNELS, *shape, device=device)
    both = looks[torch.cat([labels, found])].movedim(-1, 1) + noise
    labeller.fit(both[:1], labels)
    return labeller, both[1:].contiguous()


def compare_labelling(kind: str, repetitions: int, device: str) -> str:
    """One line of the report for a labeller."""
    labeller, features = fitted(kind, device)
    loops: Any = sparse_by_loops if kind == "sparse" else dense_by_loops
    functions: dict[str, Function] = {
        "ours": lambda: [labeller(features).float()],
        "loops": partial(loops, labeller, features),
    }
    check(functions, 0.01)
    times = interleaved(functions, repetitions, device)
    return line(f"{kind} labels, {labeller.num_classes} classes", times)


class Step:
    """A training step, forward and backward, with or without images.

    Args:
        generator: The frozen generator.
        encoder: The encoder.
        prototypes: What labels the features.
        draws: Draw the images too, which the loss does not use.
        variant: A name of ``VARIANTS``.
    """

    def __init__(
        self,
        generator: StyleGAN2Generator,
        encoder: GradualStyleEncoder,
        prototypes: DensePrototypes,
        draws: bool,
        variant: str,
    ) -> None:
        self.generator, self.prototypes, self.draws = generator, prototypes, draws
        self.parameters = list(encoder.parameters())
        synthesis = generator.synthesis
        self.half = "bf16" in variant
        functions: list[Any] = [
            torch.compile(f) if "compile" in variant else f
            for f in (encoder, synthesis.features, synthesis.image_and_features, synthesis)
        ]
        self.encode, self.features, self.draw_both, self.draw = functions

    def __call__(self, z: Tensor) -> list[Tensor]:
        """The loss, with gradients left in the encoder."""
        G = self.generator
        resolution = min(RESOLUTION, G.image_size)
        with torch.autocast(z.device.type, torch.bfloat16, enabled=self.half):
            with torch.no_grad():
                w_plus = G.repeat(G.mapping(z))
                if self.draws:
                    features = self.draw_both(w_plus, resolution)[1]
                else:
                    features = self.features(w_plus, resolution)
                labels = self.prototypes(features)
                factor = G.image_size // resolution
                mask = labels.repeat_interleave(factor, 1).repeat_interleave(factor, 2)
                layout = one_hot(mask, self.prototypes.num_classes)
            found = G.mean_latent + self.encode(layout)
            if self.draws:
                self.draw(found)
            loss = F.mse_loss(found, w_plus)
        for parameter in self.parameters:
            parameter.grad = None
        loss.backward()
        return [loss.detach()]


def build_steps(
    generator: StyleGAN2Generator, variant: str, device: str, **encoder: Any
) -> tuple[dict[str, Step], Tensor]:
    """Both forms of the step with a generator and a random encoder, and a batch of z."""
    image_size = generator.image_size
    options: dict[str, Any] = {"device": device, "memory_format": torch.channels_last}
    generator.eval().requires_grad_(False).to(**options)
    network = GradualStyleEncoder(MASK_CLASSES, generator.num_ws, image_size, **encoder)
    network.to(**options)
    z = torch.randn(BATCH, generator.z_dim, device=device)
    prototypes = DensePrototypes(MASK_CLASSES).to(device)
    resolution = min(RESOLUTION, image_size)
    with torch.no_grad():
        shot = generator.synthesis.features(generator.repeat(generator.mapping(z)), resolution)
    prototypes.fit(shot, torch.randint(MASK_CLASSES, (BATCH, resolution, resolution)).to(device))
    forms = {"ours": False, "drawing": True}
    parts = generator, network, prototypes
    return {name: Step(*parts, draws, variant) for name, draws in forms.items()}, z


def compare_steps(variant: str, repetitions: int, device: str) -> str:
    """One line of the report for the training step."""
    torch.compiler.reset()
    steps, z = build_steps(StyleGAN2Generator(256), variant, device)
    functions: dict[str, Function] = {name: partial(step, z) for name, step in steps.items()}
    check(functions, 0.05 if "bf16" in variant else 0.01)
    return line(f"training step, 256x256, {variant}", interleaved(functions, repetitions, device))


def line(title: str, times: list[float]) -> str:
    """Ours, the other, and how many times ours the other takes."""
    return f"{title:42}{times[0]:12.1f}{times[1]:12.1f}{times[1] / times[0]:7.2f}x\n"


def main() -> None:
    """Print medians in milliseconds and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument(
        "--variants", nargs="+", choices=VARIANTS, help="all on a GPU, eager on a processor"
    )
    parser.add_argument("--repetitions", type=int, help="20 on a GPU, 3 on a processor")
    args = parser.parse_args()
    on_gpu = args.device == "cuda"
    repetitions = args.repetitions or (20 if on_gpu else 3)
    machine = torch.cuda.get_device_name() if on_gpu else f"{torch.get_num_threads()} threads"
    sys.stdout.write(
        f"{args.device}, {machine}, torch {torch.__version__}; batch {BATCH}, {CHANNELS} channels "
        f"at {RESOLUTION}x{RESOLUTION}; medians of {repetitions} in ms\n"
        f"{'':42}{'ours':>12}{'plain':>12}{'ratio':>8}\n"
    )
    torch.manual_seed(0)
    for kind in ("sparse", "dense"):
        sys.stdout.write(compare_labelling(kind, 5 * repetitions, args.device))
    for variant in args.variants or (VARIANTS if on_gpu else VARIANTS[:1]):
        sys.stdout.write(compare_steps(variant, repetitions, args.device))
        sys.stdout.flush()


if __name__ == "__main__":
    main()
