"""A place where everything is wrong in one way."""

import json
import os
import pickle
import shutil
from collections.abc import Sequence
from pathlib import Path

import lightning.pytorch  # noqa: F401  its log handler must not take the stream of a test
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from semsynth import weights
from tests.data.trees import write_map, write_photo

Size = tuple[int, int]


def write_folder(
    root: Path, value: int = 1, mask_size: Size = (32, 32), splits: Sequence[str] = ("train", "val")
) -> Path:
    """Three photos and label maps a split, as the data set ``Folder`` reads them."""
    for split in splits:
        for i in range(3):
            write_photo(root / split / f"images/{i}.png", (32, 32))
            write_map(root / split / f"labels/{i}.png", np.full(mask_size, value))
    return root


def write_bad_folders(root: Path) -> None:
    write_folder(root / "good")
    write_folder(root / "high", value=9)
    write_folder(root / "wide_masks", mask_size=(32, 64))
    (write_folder(root / "two_classes") / "classes.txt").write_text("sky\nroad\n")
    for name, size in (("cut_off", 60), ("nothing_in_it", 0)):
        file = write_folder(root / name) / "train/images/0.png"
        file.write_bytes(file.read_bytes()[:size])
    (write_folder(root / "alone") / "train/labels/2.png").unlink()
    for suffix in ("jpg", "png"):
        Image.new("RGB", (32, 32)).save(write_folder(root / "twins") / f"train/images/0.{suffix}")
    Image.new("RGB", (32, 32), (9, 0, 3)).save(
        write_folder(root / "coloured") / "train/labels/0.png"
    )
    (root / "empty").mkdir()
    write_folder(root / "row_short", mask_size=(31, 32))
    link = write_folder(root / "loop") / "train/labels/0.png"
    link.unlink()
    link.symlink_to(link)


def write_bad_files(root: Path) -> None:
    (root / "file").write_text("not a directory")
    texts = {"broken": "model: [1,\n", "list": "- 1\n", "no_data": "model: CLVAE\n"}
    texts["unknown_key"] = "evaluation:\n  num_sample: 3\n"
    texts["interpolation"] = "data:\n  init_args:\n    num_workers: ${nope}\n"
    for name, text in texts.items():
        (root / f"{name}.yaml").write_text(text)
    (root / "deep.yaml").write_text("[" * 20_000)
    (root / "binary.yaml").write_bytes(bytes(range(256)))
    (root / "cut_off.ckpt").write_bytes(b"PK\x03\x04abc")
    torch.save({"weights": 1}, root / "stateless.ckpt")
    for name, method in (("gan", "StyleGAN2"), ("shapes", "CLVAE")):
        content = {"state_dict": {}, "pytorch-lightning_version": "2.6.0", "global_step": 0}
        content |= {"hyper_parameters": {"_class_path": f"semsynth.methods.{method}"}}
        torch.save(content, root / f"{name}.ckpt")
    content["state_dict"] = {"a": torch.full((2,), torch.nan)}
    torch.save(content, root / "nan.ckpt")  # of a CLVAE
    os.mkfifo(root / "fifo.png")
    with (root / "evil.pkl").open("wb") as file:
        pickle.dump(shutil.rmtree, file)
    with (root / "evil.pt").open("wb") as file:
        torch.save({"g_ema": shutil.rmtree}, file)
    torch.save({"g_ema": {"input.input": torch.zeros(1, 4, 4, 4)}}, root / "lacking.pt")
    (root / "cut_off.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{")
    (root / "cut_off.json").write_text('{"generator": {}}')


def write_bad_priors(root: Path) -> None:
    """The prior that ships, with a card or weights that are not its own."""
    shipped = weights.ASSETS / "toy_portrait_stylegan2.safetensors"
    card = json.loads(shipped.with_suffix(".json").read_text())
    cards = {
        "other_size": json.dumps(card | {"generator": card["generator"] | {"image_size": 32}}),
        "other_kind": json.dumps({"encoder": {}}),
        "strange": json.dumps(card | {"generator": {"colour": "blue"}}),
        "no_json": "{",
        "changed": json.dumps(card),
    }
    state = load_file(shipped)
    state["generator.mean_latent"] += 1
    for name, text in cards.items():
        shutil.copy(shipped, root / f"{name}.safetensors")
        (root / f"{name}.json").write_text(text)
    save_file(state, root / "changed.safetensors")


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory that stands for ``{p}`` in the tables."""
    root = tmp_path_factory.mktemp("bad")
    write_bad_folders(root)
    write_bad_files(root)
    write_bad_priors(root)
    return root
