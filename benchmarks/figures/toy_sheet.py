"""Contact sheet of the toy worlds: ``python -m benchmarks.figures.toy_sheet [--output FILE]``."""

from pathlib import Path

import matplotlib as mpl
import torch
import torch.nn.functional as F
from jsonargparse import auto_cli
from matplotlib import pyplot as plt
from torch import Tensor
from torchvision.utils import flow_to_image, make_grid

from semsynth.data.toy import PortraitWorld, StreetWorld, World
from semsynth.files import replaced
from semsynth.networks.motion.geometry import warp

COLUMNS = 8
SEED = 1

Row = tuple[str, Tensor]  # title, and images (COLUMNS, 3, H, W) in [0, 1]


def main(output: Path = Path("outputs/toy_sheet.png")) -> None:
    """Draw both worlds into one PNG."""
    rows = [*world_rows(PortraitWorld()), *motion_rows(PortraitWorld()), *world_rows(StreetWorld())]
    with replaced(output) as temporary:
        save_sheet(rows, temporary)


def world_rows(world: World) -> list[Row]:
    """Samples at two sizes with their masks, then one layout in several appearances."""
    name, index = type(world).__name__, torch.arange(COLUMNS)
    layout, appearance = world.sample_layout(SEED, index), world.sample_appearance(SEED, index)
    palette = torch.tensor(world.label_space.palette) / 255
    rows = []
    for size in (64, 128):
        image, mask, instance = world.render(layout, appearance, size)
        edge = (F.max_pool2d(instance.float(), 3, 1, 1) != instance)[..., None]
        colours = palette[mask] * torch.where(edge, 0.35, 1.0)
        rows.append((f"{name} at {size} x {size}", image / 2 + 0.5))
        rows.append(("masks; edges of instances are dark", colours.permute(0, 3, 1, 2)))
    same = {factor: value[3:4].expand_as(value) for factor, value in layout.items()}
    image = world.render(same, world.sample_appearance(SEED + 1, index), 128).image
    return [*rows, (f"{name}: one layout, appearance redrawn", image / 2 + 0.5)]


def motion_rows(world: PortraitWorld, size: int = 128) -> list[Row]:
    """Source, target, flow, expansion, and the target fetched back along the flow."""
    index = torch.arange(COLUMNS)
    source = world.sample_layout(SEED, index)
    other = world.sample_layout(SEED, index + COLUMNS)
    target = source | {factor: other[factor] for factor in world.pose_factors}
    appearance = world.sample_appearance(SEED, index)
    flow, log_expansion, valid = world.flow(source, target, size)
    before, after = (world.render(pose, appearance, size).image for pose in (source, target))
    magenta = torch.tensor([1.0, 0, 1])[:, None, None]
    fetched = torch.where(valid[:, None], warp(after, flow) / 2 + 0.5, magenta)
    expansion = (log_expansion / 0.5).clamp(-1, 1)
    red_blue = torch.cat([1 + expansion, 1 - expansion.abs(), 1 - expansion], 1).clamp(0, 1)
    return [
        ("source", before / 2 + 0.5),
        ("target: the same person in another pose", after / 2 + 0.5),
        ("flow: hue is direction, saturation is length", flow_to_image(flow) / 255),
        ("log expansion: blue grows, red shrinks", red_blue),
        ("target fetched back along the flow: equals the source; magenta is invalid", fetched),
    ]


def save_sheet(rows: list[Row], path: Path) -> None:
    """Write the rows below one another, each under its title."""
    mpl.use("Agg")
    figure, axes = plt.subplots(len(rows), 1, figsize=(12, 1.68 * len(rows)), facecolor="white")
    for axis, (title, images) in zip(axes, rows, strict=True):
        enlarged = F.interpolate(images, size=128, mode="nearest").clamp(0, 1)
        strip = make_grid(enlarged, COLUMNS, padding=6, pad_value=1.0)
        axis.imshow(strip.permute(1, 2, 0).numpy(), interpolation="nearest")
        axis.set_title(title, fontsize=10, loc="left", pad=3)
        axis.axis("off")
    figure.subplots_adjust(0.01, 0.003, 0.99, 0.988, hspace=0.14)
    figure.savefig(path, dpi=110, format="png")
    plt.close(figure)


if __name__ == "__main__":
    auto_cli(main)
