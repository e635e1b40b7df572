"""Names of the tensors of StyleGAN2 in official checkpoints.

Layouts: ``rosinality`` (rosinality/stylegan2-pytorch, and pSp after its prefix), ``nvidia``
(stylegan2-ada-pytorch and stylegan3 repositories) and ``semsynth``, our own, which needs no rules.
"""

from semsynth.interop.checkpoints import Layout
from semsynth.interop.tensors import Rules

Filters = dict[str, float]
"""Gain of each FIR filter in a file."""


def generator_names(layout: Layout, num_blocks: int, num_layers: int) -> tuple[Rules, Filters]:
    """Rules and filters of a generator by its number of resolutions and mapping layers."""
    rules: list[tuple[str, str]] = []
    filters: Filters = {}
    if layout == "nvidia":
        rules = [
            (r"^synthesis\.constant$", "synthesis.b4.const"),
            (r"^mapping\.layers\.", "mapping.fc"),
            (r"^synthesis\.blocks\.0\.convs\.0\.", "synthesis.b4.conv1."),
            *((rf"^synthesis\.blocks\.{i}\.", f"synthesis.b{4 << i}.") for i in range(num_blocks)),
            (r"\.convs\.", ".conv"),
            (r"\.to_rgb\.", ".torgb."),
            (r"\.conv\.", "."),
            (r"\.noise$", ".noise_const"),
        ]
        for i in range(num_blocks):
            for layer in ("", "conv0.", "conv1.") if i else ("", "conv1."):
                filters[f"synthesis.b{4 << i}.{layer}resample_filter"] = 1.0
    elif layout == "rosinality":
        ups, convs = range(num_blocks - 1), range(2 * num_blocks - 2)  # after those at 4x4
        places = [(n, rf"^synthesis\.blocks\.{n // 2 + 1}\.convs\.{n % 2}\.") for n in convs]
        rules = [
            (r"^synthesis\.constant$", "input.input"),
            *((rf"^mapping\.layers\.{i}\.", f"style.{i + 1}.") for i in range(num_layers)),
            (r"^synthesis\.blocks\.0\.convs\.0\.noise$", "noises.noise_0"),
            *((rf"{place}noise$", f"noises.noise_{n + 1}") for n, place in places),
            (r"^synthesis\.blocks\.0\.convs\.0\.", "conv1."),
            *((place, f"convs.{n}.") for n, place in places),
            (r"^synthesis\.blocks\.0\.to_rgb\.", "to_rgb1."),
            *((rf"^synthesis\.blocks\.{i + 1}\.to_rgb\.", f"to_rgbs.{i}.") for i in ups),
            (r"\.affine\.", ".modulation."),
            (r"\.noise_strength$", ".noise.weight"),
            (r"^(conv1|convs\.\d+)\.bias$", r"\1.activate.bias"),
        ]
        filters = {f"convs.{2 * i}.conv.blur.kernel": 4.0 for i in ups}
        filters |= {f"to_rgbs.{i}.upsample.kernel": 4.0 for i in ups}
    return [*rules, (r"^mean_latent$", "the mean latent")], filters


def discriminator_names(layout: Layout, num_blocks: int) -> tuple[Rules, Filters]:
    """Rules and filters of a discriminator by its number of resolutions."""
    rules: list[tuple[str, str]] = []
    filters: Filters = {}
    if layout == "nvidia":
        names = [f"b{2 << num_blocks - i}" for i in range(num_blocks - 1)]
        rules = [
            (r"^(conv|fc|out)\.", r"b4.\1."),
            (r"^from_rgb\.", f"{names[0]}.fromrgb."),
            *((rf"^blocks\.{i}\.", f"{name}.") for i, name in enumerate(names)),
        ]
        filters = {f"{names[0]}.fromrgb.resample_filter": 1.0, "b4.conv.resample_filter": 1.0}
        for layer in ("", "conv0.", "conv1.", "skip."):
            filters |= {f"{name}.{layer}resample_filter": 1.0 for name in names}
    elif layout == "rosinality":
        rules = [
            (r"^from_rgb\.weight$", "convs.0.0.weight"),
            (r"^from_rgb\.bias$", "convs.0.1.bias"),
            *((rf"^blocks\.{i}\.", f"convs.{i + 1}.") for i in range(num_blocks - 1)),
            (r"\.conv0\.weight$", ".conv1.0.weight"),
            (r"\.conv0\.bias$", ".conv1.1.bias"),
            (r"\.conv1\.weight$", ".conv2.1.weight"),
            (r"\.conv1\.bias$", ".conv2.2.bias"),
            (r"\.skip\.", ".skip.1."),
            (r"^conv\.weight$", "final_conv.0.weight"),
            (r"^conv\.bias$", "final_conv.1.bias"),
            (r"^fc\.", "final_linear.0."),
            (r"^out\.", "final_linear.1."),
        ]
        for layer in ("conv2.0", "skip.0"):
            filters |= {f"convs.{i + 1}.{layer}.kernel": 1.0 for i in range(num_blocks - 1)}
    return rules, filters
