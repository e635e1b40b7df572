"""The training of FewShotSMIS against its plain form.

Labelling is timed against loops over samples and classes on the processor, as in the released
code; a training step against one that also draws the images of the sample and of what was found.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.speed.compare import Comparison, Form, precision
from semsynth.networks.clvae.layouts import one_hot
from semsynth.networks.fewshot.pseudo_labels import DensePrototypes, SparseBank
from semsynth.networks.fewshot.psp_encoder import GradualStyleEncoder
from semsynth.networks.stylegan2.generator import StyleGAN2Generator

BATCH, RESOLUTION, CHANNELS = 2, 64, 512
LANDMARKS, MASK_CLASSES = 71, 19


def labels(device: str, _: str) -> Iterator[Comparison]:
    """Labels of two samples of 512 channels at 64x64."""
    for kind, loops in (("sparse", sparse_by_loops), ("dense", dense_by_loops)):
        labeller, features = fitted(kind, device)
        ours = partial(labelled, labeller, features)
        forms = {"ours": ours, "loops": partial(loops, labeller, features)}
        yield Comparison(f"{kind}, {labeller.num_classes} classes", forms)


def steps(device: str, variant: str) -> Iterator[Comparison]:
    """A training step at 256x256."""
    forms, _ = build_steps(StyleGAN2Generator(256), variant, device)
    yield Comparison("training step, 256x256", forms)


def labelled(labeller: SparseBank | DensePrototypes, features: Tensor) -> list[Tensor]:
    """Labels as floats, so that they can be compared."""
    return [labeller(features).float()]


def sparse_by_loops(bank: Any, features: Tensor) -> list[Tensor]:
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


def dense_by_loops(prototypes: Any, features: Tensor) -> list[Tensor]:
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


def build_steps(
    generator: StyleGAN2Generator, variant: str, device: str, **encoder: Any
) -> tuple[dict[str, Form], GradualStyleEncoder]:
    """Both forms of the step with a generator and a random encoder, which they share."""
    resolution = min(RESOLUTION, generator.image_size)
    options: dict[str, Any] = {"device": device, "memory_format": torch.channels_last}
    generator.eval().requires_grad_(False).to(**options)
    network = GradualStyleEncoder(MASK_CLASSES, generator.num_ws, generator.image_size, **encoder)
    network.to(**options)
    z = torch.randn(BATCH, generator.z_dim, device=device)
    prototypes = DensePrototypes(MASK_CLASSES).to(device)
    with torch.no_grad():
        shot = generator.synthesis.features(generator.repeat(generator.mapping(z)), resolution)
    prototypes.fit(shot, torch.randint(MASK_CLASSES, (BATCH, resolution, resolution)).to(device))
    synthesis, factor = generator.synthesis, generator.image_size // resolution
    functions: list[Any] = [
        torch.compile(f) if "compile" in variant else f
        for f in (network, synthesis.features, synthesis.image_and_features, synthesis)
    ]
    encode, features_of, draw_both, draw = functions

    def step(draws: bool) -> list[Tensor]:
        """The loss, with gradients left in the encoder."""
        with precision(device, variant):
            with torch.no_grad():
                w_plus = generator.repeat(generator.mapping(z))
                both = draw_both(w_plus, resolution) if draws else None
                mask = prototypes(both[1] if both else features_of(w_plus, resolution))
                mask = mask.repeat_interleave(factor, 1).repeat_interleave(factor, 2)
                layout = one_hot(mask, MASK_CLASSES)
            found = generator.mean_latent + encode(layout)
            if draws:
                draw(found)
            loss = F.mse_loss(found, w_plus)
        network.zero_grad()
        loss.backward()
        return [loss.detach()]

    return {"ours": partial(step, False), "drawing the images": partial(step, True)}, network
