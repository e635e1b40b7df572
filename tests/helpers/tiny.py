"""The smallest training of each method, with everything that a training has to remember."""

import os
from pathlib import Path
from typing import Any

import torch

from semsynth.cli import main

BATCHES_PER_EPOCH = 4
STEPS = 9
COMMON = [
    f"--trainer.max_steps={STEPS}",
    "--trainer.check_val_every_n_epoch=null",
    "--trainer.val_check_interval=3",
    "--trainer.limit_val_batches=1",
    "--trainer.accelerator=cpu",
    "--trainer.enable_progress_bar=false",
    "--trainer.enable_model_summary=false",
    "--trainer.logger=false",
    "--checkpoint.every_n_train_steps=2",
    "--evaluation.metrics=[]",
    "--images.num_samples=1",
    "--images.num_masks=1",
    "--test_after_fit=false",
    "--data.batch_size=2",
    "--data.val_size=2",
    "--data.test_size=2",
]
EPOCH = f"--data.train_size={2 * BATCHES_PER_EPOCH}"
METHODS = {
    "clvae": [
        "--config=experiments/clvae/toy_street.yaml",
        EPOCH,
        "--data.image_size=32",
        "--model.channels=2",
        "--model.spade_channels=4",
        "--model.discriminator_channels=4",
        "--model.perceptual_weight=0",
        "--model.fresh_fake_for_d=true",  # draws more
        "--model.constant_epochs=1",  # rates fall at the end of each epoch
        "--model.decay_epochs=4",
    ],
    "label_flow": [
        "--config=experiments/label_flow/toy_street.yaml",
        EPOCH,
        "--data.image_size=32",
        "--model.channels=8",
        "--model.depth=3",
        "--model.spade_channels=4",
        "--model.num_steps=2",
        "--model.recolour=0.5",  # draws more
    ],
    "stylegan2": [
        "--config=experiments/stylegan2/toy64.yaml",
        EPOCH,
        "--data.image_size=32",
        "--model.z_dim=8",
        "--model.w_dim=8",
        "--model.mapping_layers=2",
        "--model.channel_base=128",
        "--model.channel_max=8",
        "--model.augment=ada",
        "--model.augment_p=0.2",
        "--model.ada_kimg=0.05",
        "--model.r1_interval=3",
        "--model.path_length_weight=2",
        "--model.path_length_interval=2",
    ],
    "fewshot_smis": [
        "--config=experiments/fewshot_smis/toy_dense.yaml",
        "--model.encoder_widths=[4,4,4,4]",
        "--model.inversion_steps=2",
        "--model.optimizer=ranger",  # with Lookahead
        "--model.perceptual=none",
    ],
    "user_controllable_lt": [  # pairs drawn on the fly
        "--config=experiments/user_controllable_lt/toy_portrait.yaml",
        EPOCH,
        "--model.dim=8",
        "--model.depth=1",
        "--model.num_heads=2",
        "--model.head_dim=4",
        "--model.mlp_dim=8",
        "--model.scale_pairs=4",
        "--model.gain_pairs=2",
        "--model.optimizer=ranger",
    ],
    "segmenter": [
        "--config=experiments/segmenter/toy_street.yaml",
        EPOCH,
        "--data.image_size=32",
        "--model.channels=2",
        "--model.depth=2",
        "--trainer.max_epochs=3",
    ],
    "flow_estimator": [
        "--config=experiments/flow_estimator/toy_portrait.yaml",
        EPOCH,
        "--data.image_size=32",
        "--model.channels=4",
        "--model.feature_dim=4",
        "--model.hidden_dim=4",
        "--model.context_dim=4",
        "--model.num_updates=1",
        "--trainer.max_epochs=3",
    ],
}


def arguments(method: str, run_dir: Path, *args: str) -> list[str]:
    """The command that trains a method."""
    return ["fit", *COMMON, *METHODS[method], f"--run_dir={run_dir}", *args]


def fit(method: str, run_dir: Path, *args: str) -> dict[str, Any]:
    """Train a method in this process, and return its last checkpoint."""
    main(arguments(method, run_dir, *args))
    return last(run_dir)


def last(run_dir: Path) -> dict[str, Any]:
    """What the last checkpoint of a run holds."""
    loaded: dict[str, Any] = torch.load(run_dir / "checkpoints/last.ckpt", weights_only=True)
    return loaded


def pairs_cache(directory: Path, number: int) -> list[str]:
    """Write the pairs that the tiny UserControllableLT trains on; arguments to read them."""
    options = "--num_tokens 4 --perturbation 0.2 1.0 --truncation 0.7 --feature_resolution 32"
    size = ["--num", str(number), "--out", str(directory), "--centred", "--shared"]
    main(["pairs", "--prior", "toy_portrait", *options.split(), *size])
    return ["--data=CachedPairs", f"--data.root={directory}", "--data.num_workers=1"]


def differences(a: Any, b: Any, place: str = "") -> list[str]:
    """Where two checkpoints differ, but for times and the paths of files."""
    if isinstance(a, torch.Tensor):
        same = isinstance(b, torch.Tensor) and a.dtype == b.dtype and torch.equal(a, b)
        return [] if same else [place]
    if isinstance(a, dict):
        if a.keys() != b.keys():
            return [f"{place}: {sorted(map(str, a.keys() ^ b.keys()))}"]
        kept = [k for k in a if not str(k).startswith(("Checkpoint{", "Cost"))]
        return [found for k in kept for found in differences(a[k], b[k], f"{place}/{k}")]
    if isinstance(a, list | tuple):
        if len(a) != len(b):
            return [f"{place}: {len(a)} != {len(b)}"]
        pairs = enumerate(zip(a, b, strict=True))
        return [found for i, (x, y) in pairs for found in differences(x, y, f"{place}/{i}")]
    return [] if a == b else [f"{place}: {a} != {b}"]


def environment() -> dict[str, str]:
    """The environment of a training in another process, without what a process group left."""
    left = ("MASTER_ADDR", "MASTER_PORT", "LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "RANK")
    kept = {k: v for k, v in os.environ.items() if k not in left}
    return kept | {"WANDB_MODE": "offline", "OMP_NUM_THREADS": "1"}
