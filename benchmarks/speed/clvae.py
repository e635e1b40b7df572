"""CLVAE against its plain form, which is what released code does.

That is: loops over classes, samples and levels, and a one-hot layout that each layer copies.
"""

from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.parametrizations import _SpectralNorm

from benchmarks.speed.compare import Comparison, Form, precision
from semsynth.methods import CLVAE
from semsynth.networks.clvae.encoder import CLVAEEncoder
from semsynth.networks.clvae.fast_spade import SPADEResBlock
from semsynth.networks.clvae.generator import CLVAEGenerator
from semsynth.networks.clvae.layouts import level_mask, one_hot
from semsynth.networks.clvae.spade import LEAK, SPADE
from semsynth.networks.clvae.spectral import SpectralNorm

NUM_CLASSES, SIZE, CLASSES_PER_IMAGE = 151, 256, 16
Step = Callable[[CLVAE, Tensor, Tensor], Tensor]


def steps(device: str, variant: str, channels: int = 64) -> Iterator[Comparison]:
    """Encoder and generator of ADE20K, forward and backward."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    ours = CLVAE(NUM_CLASSES, (SIZE, SIZE), channels, perceptual_weight=0.0).to(device)
    mask = draw_mask(CLASSES_PER_IMAGE, 1, device)
    inputs = torch.randn(1, 3, SIZE, SIZE, device=device).tanh(), mask
    other = deepcopy(ours).to(memory_format=torch.contiguous_format)
    for module in other.modules():
        if isinstance(module, SpectralNorm):
            module.__class__ = _SpectralNorm  # type: ignore[assignment]  # torch's own
    if "compile" in variant:
        ours.encoder.compile()
        ours.generator.compile()
    forms = {
        "ours": partial(step, vectorised, ours, inputs, variant),
        "plain, float32": partial(step, plain, other, inputs, "eager"),
    }
    yield Comparison(f"step, {channels} channels", forms)


def step(form: Step, method: CLVAE, inputs: tuple[Tensor, Tensor], variant: str) -> list[Tensor]:
    """Images, and the gradients that reach the first weights of both networks."""
    method.zero_grad()
    with precision(inputs[0].device.type, variant):
        image = form(method, *inputs)
    image.float().square().mean().backward()
    first = [next(network.parameters()) for network in (method.encoder, method.generator.decoder)]
    return [image.detach(), *(weight.grad for weight in first if weight.grad is not None)]


def vectorised(method: CLVAE, image: Tensor, mask: Tensor) -> Tensor:
    """Images from the means of their codes."""
    posterior = method.encoder(image, mask)
    return method.generator(mask, posterior.mu_global, posterior.mu)


def plain(method: CLVAE, image: Tensor, mask: Tensor) -> Tensor:
    """The same images, computed in plain form."""
    encoder, generator = method.encoder, method.generator
    maps = encoder.feature_maps(image)
    mu_global, _ = encoder.encode_global(maps[-1])
    mu, _ = encode_by_loops(encoder, maps, mask)
    layouts = [*paint_by_loops(generator, mask, mu), one_hot(mask, NUM_CLASSES)]
    decoder = generator.decoder
    x = decoder.start(mu_global).unflatten(1, (-1, *decoder.grid))
    for block, level, doubled in zip(
        decoder.blocks, generator.block_levels, decoder.doubled, strict=True
    ):
        x = F.interpolate(x, scale_factor=2.0) if doubled else x
        x = plain_block(block, x, layouts[level])
    return torch.tanh(decoder.to_image(F.leaky_relu(x, LEAK)))


def plain_block(block: SPADEResBlock, x: Tensor, layout: Tensor) -> Tensor:
    """A residual block with every SPADE layer on its own."""
    shortcut = block.conv_s(plain_spade(block.spade_s, x, layout)) if block.learned_shortcut else x
    h = block.conv_0(F.leaky_relu(plain_spade(block.spade_0, x, layout), LEAK))
    h = block.conv_1(F.leaky_relu(plain_spade(block.spade_1, h, layout), LEAK))
    return shortcut + h


def plain_spade(spade: SPADE, x: Tensor, layout: Tensor) -> Tensor:
    """A SPADE layer that resizes, and so copies, the layout for itself."""
    hidden = spade.shared(F.interpolate(layout.contiguous(), size=x.shape[-2:]))
    return spade.norm(x) * (1 + spade.gamma(hidden)) + spade.beta(hidden)


def codes(device: str, _: str, batch_size: int = 4) -> Iterator[Comparison]:
    """Class pooling with its heads, and code maps, against loops; forward, then with backward."""
    encoder = CLVAEEncoder(NUM_CLASSES).to(device)
    with torch.device("meta"):
        generator = CLVAEGenerator(NUM_CLASSES)
    generator.embedding.to_empty(device=device)  # the rest of the generator is not called
    torch.nn.init.normal_(generator.embedding.weight)
    with torch.no_grad():
        maps = encoder.feature_maps(torch.randn(batch_size, 3, SIZE, SIZE, device=device))
    maps = [m.requires_grad_() for m in maps]
    z_local = torch.randn(batch_size, *generator.code_shape, device=device, requires_grad=True)
    for count in (CLASSES_PER_IMAGE, NUM_CLASSES):
        mask = draw_mask(count, batch_size, device)
        rows: list[tuple[str, Any, Any, tuple[Any, ...]]] = [
            ("pooling and heads", encode, encode_by_loops, (encoder, maps, mask)),
            ("code maps", paint, paint_by_loops, (generator, mask, z_local)),
        ]
        for name, ours, loops, inputs in rows:
            forms = {"ours": partial(ours, *inputs), "loops": partial(loops, *inputs)}
            title = f"{name}, {count} classes"
            yield Comparison(title, {k: torch.no_grad()(form) for k, form in forms.items()})
            learning = {k: partial(backward, form) for k, form in forms.items()}
            yield Comparison(f"{title}, and backward", learning)


def backward(function: Form) -> list[Tensor]:
    """Follow a function by a backward pass."""
    outputs = function()
    torch.autograd.backward(outputs, [torch.ones_like(output) for output in outputs])
    return [output.detach() for output in outputs]


def encode(encoder: CLVAEEncoder, maps: list[Tensor], mask: Tensor) -> list[Tensor]:
    """Means and log variances of the codes of all classes."""
    return list(encoder.encode_local(maps, mask)[:2])


def encode_by_loops(encoder: CLVAEEncoder, maps: list[Tensor], mask: Tensor) -> list[Tensor]:
    """What ``encode`` does, one class of one sample at one level at a time."""
    L, K, N = encoder.code_shape
    B, absent = len(mask), torch.zeros(2, N, device=mask.device)
    found = [absent] * (B * L * K)
    for j, head in enumerate(encoder.heads):
        labels, samples = level_mask(mask, j), maps[j].unbind()
        for c in mask.unique().tolist():
            for b in range(B):
                region = labels[b] == c
                if region.any():
                    mu, logvar = head(samples[b][:, region].amax(1))
                    found[(b * L + j) * K + c] = torch.stack([mu, logvar])
    return list(torch.stack(found, 1).view(2, B, L, K, N))


def paint(generator: CLVAEGenerator, mask: Tensor, z_local: Tensor) -> list[Tensor]:
    """Maps of the codes, one for each level."""
    return [layout.dense() for layout in generator.painted_codes(mask, z_local)[:-1]]


def paint_by_loops(generator: CLVAEGenerator, mask: Tensor, z_local: Tensor) -> list[Tensor]:
    """What ``paint`` does, one class of one sample at one level at a time."""
    maps = []
    for j in range(generator.num_maps):
        labels = level_mask(mask, j)
        samples = []
        for b in range(len(mask)):
            painted = torch.zeros(*labels.shape[1:], z_local.shape[-1], device=mask.device)
            for c in labels[b].unique().tolist():
                painted[labels[b] == c] = generator.embedding.weight[c] + z_local[b, j, c]
            samples.append(painted)
        maps.append(torch.stack(samples).permute(0, 3, 1, 2))
    return maps


def draw_mask(classes_per_image: int, batch_size: int, device: str) -> Tensor:
    """Label maps of 16x16 cells, each image with its own set of classes, all of them used."""
    cells = SIZE // 16
    classes = torch.rand(batch_size, NUM_CLASSES).argsort(1)[:, :classes_per_image]
    picks = (torch.arange(cells**2) % classes_per_image)[torch.randperm(cells**2)]
    mask = classes[:, picks].view(batch_size, cells, cells)
    return mask.repeat_interleave(16, 1).repeat_interleave(16, 2).to(device)
