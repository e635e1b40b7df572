"""Pictures of what CLVAE's codes control: ``python -m benchmarks.figures.clvae_sheet``.

``clvae_styles.png``: label maps in the styles of photos; the first column is the label map.
``clvae_levels.png``: a label map whose codes are drawn anew at one level a row, the finest first;
the last row redraws all levels.
"""

from pathlib import Path

import torch
from jsonargparse import auto_cli
from torch import Tensor

from semsynth.data import ToyStreet
from semsynth.images import colour_mask, image_grid, save_png
from semsynth.methods import CLVAE
from semsynth.methods.base import Batch
from semsynth.methods.trained import load_trained
from semsynth.networks.clvae.style_codes import replace_codes
from semsynth.networks.noise import sample_seed

MASKS = 4
COLUMNS = 6
SCALE = 2


def main(output: Path = Path("outputs")) -> None:
    """Draw both sheets with the CLVAE that ships."""
    torch.set_grad_enabled(False)
    method, _ = load_trained("toy_street_clvae")
    assert isinstance(method, CLVAE)
    data = ToyStreet(test_size=MASKS + COLUMNS, eval_batch_size=MASKS + COLUMNS, num_workers=0)
    data.setup("test")
    batch = data.on_after_batch_transfer(next(iter(data.test_dataloader())), 0)
    maps = colour_mask(batch["mask"][:MASKS], data.label_space.palette)
    save(styles(method, batch, maps), output / "clvae_styles.png")
    save(levels(method, batch), output / "clvae_levels.png")


def save(columns: list[Tensor], path: Path) -> None:
    """Write columns of images, enlarged."""
    large = [c.repeat_interleave(SCALE, 2).repeat_interleave(SCALE, 3) for c in columns]
    save_png(image_grid(large), path)


def styles(method: CLVAE, batch: Batch, maps: Tensor) -> list[Tensor]:
    """Columns (1 + MASKS, 3, H, W): label maps, then each photo and all maps in its styles.

    Classes that a photo lacks get styles drawn at random.
    """
    masks = {key: batch[key][:MASKS] for key in ("mask", "instance")}
    masks["seed"] = sample_seed(0, torch.arange(MASKS))
    columns = [torch.cat([torch.ones_like(maps[:1]), maps])]
    for i in range(MASKS, MASKS + COLUMNS):
        photo = {key: batch[key][i : i + 1] for key in ("image", "mask", "instance")}
        columns.append(torch.cat([photo["image"], method.styled(masks, photo, fill="sample")]))
    return columns


def levels(method: CLVAE, batch: Batch) -> list[Tensor]:
    """Columns (L + 1, 3, H, W) of one label map; in a column, all rows have the same new codes."""
    L = method.code_shape[0]
    one = {key: batch[key][:1].expand(L + 1, -1, -1) for key in ("mask", "instance")}
    kept = method.sample(sample_seed(1, torch.zeros(1, dtype=torch.int64)))
    where = torch.cat([method.where(levels=[level]) for level in range(L)] + [method.where()])
    columns = []
    for i in range(COLUMNS):
        drawn = method.sample(sample_seed(2, torch.tensor([i])), kept.z_global)
        codes = replace_codes(kept.expand(L + 1), drawn.expand(L + 1), where)
        columns.append(method.decode(one, codes.z_global, codes.z_local))
    return columns


if __name__ == "__main__":
    auto_cli(main)
