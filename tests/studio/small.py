"""Small untrained models."""

from pathlib import Path

import torch

from semsynth.methods import CLVAE

SIZES = {"channels": 4, "discriminator_channels": 4, "spade_channels": 4, "z_dim": 4}


def checkpoint(run: Path, side: int = 32, **options: int) -> Path:
    """A checkpoint of CLVAE in the directory of a run."""
    arguments = {"encoder_size": 128, "perceptual_weight": 0, **SIZES, **options}
    method = CLVAE(2, (side, side), **arguments)  # type: ignore[arg-type]
    path = run / "checkpoints/last.ckpt"
    path.parent.mkdir(parents=True)
    content = {"state_dict": method.state_dict(), "hyper_parameters": dict(method.hparams)}
    torch.save(content | {"pytorch-lightning_version": "2.6.4"}, path)
    return path
