"""Time the codes of CLVAE: class pooling and heads, and code maps, against plain loops.

Run: ``python -m benchmarks.speed.clvae_codes``. The loops visit class by class, sample by sample
and level by level with boolean masks, as one would first write them down; both must agree.
"""

import argparse
import sys
from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor

from benchmarks.speed.compare import Function, interleaved
from semsynth.networks.clvae.encoder import CLVAEEncoder, level_mask
from semsynth.networks.clvae.generator import CLVAEGenerator

NUM_CLASSES, BATCH, SIZE = 151, 4, 256


def encode(encoder: CLVAEEncoder, maps: list[Tensor], mask: Tensor) -> list[Tensor]:
    """Means and log-variances of the local codes."""
    return list(encoder.encode_local(maps, mask)[:2])


def encode_by_loops(encoder: CLVAEEncoder, maps: list[Tensor], mask: Tensor) -> list[Tensor]:
    """What ``encoder.encode_local`` does, one class of one sample at one level at a time."""
    L, K, N = encoder.code_shape
    B, absent = len(mask), torch.zeros(2, N, device=mask.device)
    codes = [absent] * (B * L * K)
    for j, head in enumerate(encoder.heads):
        labels, samples = level_mask(mask, j), maps[j].unbind()
        for c in mask.unique().tolist():
            for b in range(B):
                region = labels[b] == c
                if region.any():
                    mu, logvar = head(samples[b][:, region].amax(1))
                    codes[(b * L + j) * K + c] = torch.stack([mu, logvar])
    return list(torch.stack(codes, 1).view(2, B, L, K, N))


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


def draw_mask(classes_per_image: int, device: str) -> Tensor:
    """Label maps of 16x16 cells, each image with its own set of classes, all of them used."""
    cells = SIZE // 16
    classes = torch.rand(BATCH, NUM_CLASSES).argsort(1)[:, :classes_per_image]
    picks = (torch.arange(cells**2) % classes_per_image)[torch.randperm(cells**2)]
    mask = classes[:, picks].view(BATCH, cells, cells)
    return mask.repeat_interleave(16, 1).repeat_interleave(16, 2).to(device)


def with_backward(function: Function, weights: list[Tensor]) -> Function:
    """Follow the function by a backward pass."""

    def run() -> list[Tensor]:
        outputs = function()
        torch.autograd.backward(outputs, weights)
        return outputs

    return run


def compare(name: str, ours: Function, naive: Function, repetitions: int, device: str) -> str:
    """One line of the report, after a check that both functions agree."""
    outputs = ours()
    for a, b in zip(outputs, naive(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)
    weights = [torch.randn_like(output) for output in outputs]
    with torch.no_grad():
        forward = interleaved({"ours": ours, "naive": naive}, repetitions, device)
    pair = {"ours": with_backward(ours, weights), "naive": with_backward(naive, weights)}
    both = interleaved(pair, repetitions, device)
    cells = [f"{a:9.1f}{b:9.1f}{b / a:7.1f}x" for a, b in (forward, both)]
    return f"{name:36}{'   '.join(cells)}"


def report(device: str, repetitions: int, counts: tuple[int, ...] = (16,)) -> Iterator[str]:
    """Lines of the report: medians in milliseconds and ratios.

    Args:
        device: Where to measure.
        repetitions: Runs of each function.
        counts: Classes of an image.
    """
    torch.manual_seed(0)
    encoder = CLVAEEncoder(NUM_CLASSES).to(device)
    with torch.device("meta"):
        generator = CLVAEGenerator(NUM_CLASSES)
    generator.embedding.to_empty(device=device)  # the rest of the generator is not called
    torch.nn.init.normal_(generator.embedding.weight)
    yield (
        f"{NUM_CLASSES} classes, batch {BATCH}, {SIZE}x{SIZE}, channels 64; medians of "
        f"{repetitions} in ms\n"
        f"{'':36}{'forward':>9}{'loops':>9}{'ratio':>8}   {'fwd+bwd':>9}{'loops':>9}{'ratio':>8}"
    )
    with torch.no_grad():
        image = torch.randn(BATCH, 3, SIZE, SIZE, device=device)
        maps = encoder.feature_maps(image)
    maps = [m.requires_grad_() for m in maps]
    z_local = torch.randn(BATCH, *generator.code_shape, device=device, requires_grad=True)
    for count in counts:
        mask = draw_mask(count, device)
        cases: dict[str, tuple[Function, Function]] = {
            "pooling and heads": (
                partial(encode, encoder, maps, mask),
                partial(encode_by_loops, encoder, maps, mask),
            ),
            "code maps": (
                partial(paint, generator, mask, z_local),
                partial(paint_by_loops, generator, mask, z_local),
            ),
        }
        for name, (ours, naive) in cases.items():
            yield compare(f"{name}, {count} classes an image", ours, naive, repetitions, device)


def main() -> None:
    """Print the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--repetitions", type=int, default=3)
    args = parser.parse_args()
    for line in report(args.device, args.repetitions, (16, NUM_CLASSES)):
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
