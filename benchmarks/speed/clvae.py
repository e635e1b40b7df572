"""Time encoder and generator of CLVAE, forward and backward, against their plain form.

Run: ``python -m benchmarks.speed.clvae``. The plain form is what one would first write down, and
what released code does: loops over classes, samples and levels; a one-hot layout that is copied for
each layer; in each block a normalisation and two convolutions for every SPADE layer. Both have the
same weights and must agree. On a GPU there are rows for bfloat16, eager and compiled.
"""

import argparse
import sys
from collections.abc import Callable
from copy import deepcopy

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.parametrizations import _SpectralNorm

from benchmarks.speed import clvae_codes
from benchmarks.speed.clvae_codes import draw_mask, encode_by_loops, paint_by_loops
from benchmarks.speed.compare import Function, interleaved
from semsynth.methods import CLVAE
from semsynth.networks.clvae.spade import LEAK, SPADE, SPADEResBlock, SpectralNorm, one_hot

NUM_CLASSES, SIZE, CLASSES_PER_IMAGE = 151, 256, 16
Step = Callable[[CLVAE, Tensor, Tensor], Tensor]


def build(device: str, channels: int) -> CLVAE:
    """The method of the paper for ADE20K."""
    method = CLVAE(NUM_CLASSES, (SIZE, SIZE), channels, perceptual_weight=0.0)
    return method.to(device)


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
    layout = one_hot(mask, NUM_CLASSES)
    layouts = [*paint_by_loops(generator, mask, mu), layout]
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


def with_backward(step: Step, method: CLVAE, inputs: tuple[Tensor, Tensor], half: bool) -> Function:
    """Forward and backward from a mean of squares, in bfloat16 if ``half``."""

    def run() -> list[Tensor]:
        method.zero_grad()
        with torch.autocast(inputs[0].device.type, torch.bfloat16, enabled=half):
            image = step(method, *inputs)
        image.float().square().mean().backward()
        return [image.detach()]

    return run


def check(method: CLVAE, inputs: tuple[Tensor, Tensor]) -> None:
    """Both forms must give the same images and the same gradients."""
    results = []
    for step in (vectorised, plain):
        copy = deepcopy(method)
        image = step(copy, *inputs)
        image.square().mean().backward()
        parameters = [*copy.encoder.named_parameters(), *copy.generator.named_parameters()]
        results.append((image, {k: p.grad for k, p in parameters if p.grad is not None}))
    (image, gradients), (expected, expected_gradients) = results
    torch.testing.assert_close(image, expected, atol=1e-4, rtol=1e-3)
    assert gradients.keys() <= expected_gradients.keys()  # plain heads also give log-variances
    largest = max(gradient.abs().max() for gradient in expected_gradients.values())
    for key, gradient in gradients.items():
        limit = 2e-2 * expected_gradients[key].abs().max() + 1e-5 * largest  # some are only noise
        assert (gradient - expected_gradients[key]).abs().max() <= limit, key


def cases(method: CLVAE, inputs: tuple[Tensor, Tensor], device: str) -> dict[str, Function]:
    """What is timed, by name; the plain form comes first and keeps the plain memory format."""
    contiguous = deepcopy(method).to(memory_format=torch.contiguous_format)
    for module in contiguous.modules():
        if isinstance(module, SpectralNorm):
            module.__class__ = _SpectralNorm  # type: ignore[assignment]  # torch's own
    functions = {
        "plain, float32": with_backward(plain, contiguous, inputs, half=False),
        "float32": with_backward(vectorised, method, inputs, half=False),
    }
    if device == "cuda":
        compiled = deepcopy(method)
        for network in (compiled.encoder, compiled.generator):
            network.compile()
        functions |= {
            "bfloat16": with_backward(vectorised, method, inputs, half=True),
            "bfloat16, compiled": with_backward(vectorised, compiled, inputs, half=True),
        }
    return functions


def main() -> None:
    """Print medians in milliseconds and ratios to the plain form."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--batch_size", type=int, default=1)
    parser.add_argument("--channels", type=int, default=64)
    args = parser.parse_args()
    torch.manual_seed(0)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    mask = draw_mask(CLASSES_PER_IMAGE, args.device)[: args.batch_size]
    inputs = torch.randn(len(mask), 3, SIZE, SIZE, device=args.device).tanh(), mask
    check(build(args.device, channels=8), inputs)
    functions = cases(build(args.device, args.channels), inputs, args.device)
    times = interleaved(functions, args.repetitions, args.device)
    sys.stdout.write(
        f"Encoder and generator, forward and backward, {NUM_CLASSES} classes, {SIZE}x{SIZE}, batch "
        f"{len(mask)}, channels {args.channels}; {args.device}, {torch.get_num_threads()} threads, "
        f"torch {torch.__version__}; medians of {args.repetitions} in ms\n"
    )
    for name, time in zip(functions, times, strict=True):
        sys.stdout.write(f"{name:36}{time:9.1f}{times[0] / time:7.2f}x\n")
    for line in clvae_codes.report(args.device, args.repetitions):
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
