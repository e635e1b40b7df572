from pathlib import Path

import torch

from semsynth.export.styles import PhotoStyles
from semsynth.methods import CLVAE
from semsynth.networks.noise import sample_seed


def styles(clvae: Path) -> PhotoStyles:
    """Styles of two photos, of which only the second shows class 1, and none shows class 2."""
    method = CLVAE.load_from_checkpoint(clvae, map_location="cpu", weights_only=True).eval()
    torch.manual_seed(0)
    mask = torch.zeros(2, 32, 32, dtype=torch.int64)
    mask[1, 8:24, 8:24] = 1
    with torch.no_grad():
        return PhotoStyles(method, torch.rand(2, 3, 32, 32) * 2 - 1, mask)


def test_each_class_has_the_code_of_a_photo_that_shows_it(clvae: Path) -> None:
    made = styles(clvae)
    with torch.no_grad():
        codes = made(sample_seed(0, torch.arange(16)))
    level = int(made.present[1, :, 1].nonzero()[0])
    assert (codes.z_local[:, level, 1] == made.z_local[1, level, 1]).all()
    ground = codes.z_local[:, level, 0]
    from_photo = [(ground == made.z_local[i, level, 0]).all(1) for i in range(2)]
    assert (from_photo[0] ^ from_photo[1]).all()
    assert 2 < from_photo[0].sum() < 14


def test_a_class_that_no_photo_shows_is_drawn(clvae: Path) -> None:
    made = styles(clvae)
    seed = sample_seed(0, torch.arange(4))
    with torch.no_grad():
        codes, drawn = made(seed), made.method.sample(seed)
    assert torch.equal(codes.z_local[:, :, 2], drawn.z_local[:, :, 2])
