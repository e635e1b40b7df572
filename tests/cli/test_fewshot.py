"""FewShotSMIS from the command line: scribbles in, images out."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from semsynth.cli import main
from semsynth.data import ToyPortrait

ROOT = Path(__file__).parents[2]
TINY = [
    f"--config={ROOT}/experiments/fewshot_smis/toy_scribble.yaml",
    "--trainer.max_steps=2",
    "--trainer.accelerator=cpu",
    "--trainer.enable_progress_bar=false",
    "--trainer.logger=false",
    "--model.inversion_steps=2",
    "--model.encoder_widths=[32,32,32,32]",
    "--data.test_size=4",
    "--data.eval_batch_size=4",
    "--data.batch_size=2",
    "--evaluation.num_samples=2",
    "--images.num_samples=2",
]


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, with a folder of scribbles beside it."""
    directory = tmp_path_factory.mktemp("runs")
    os.environ["WANDB_MODE"] = "offline"
    (directory / "masks").mkdir()
    items = ToyPortrait(test_size=2, labels="scribbles").dataset("test")
    for i in range(2):
        mask = items[i]["mask"].byte().numpy()
        Image.fromarray(mask).save(directory / "masks" / f"{i}.png")
    main(["fit", *TINY, f"--run_dir={directory / 'run'}"])
    return directory


def predict(run_dir: Path, name: str, *args: str) -> list[np.ndarray]:
    checkpoint = run_dir / "run/checkpoints/last.ckpt"
    output = run_dir / name
    paths = [f"--ckpt_path={checkpoint}", f"--masks={run_dir / 'masks'}", f"--output={output}"]
    main(["predict", *paths, "--num_samples=2", *args])
    return [np.asarray(Image.open(file)).astype(int) for file in sorted(output.iterdir())]


def test_a_run_is_measured_against_the_dense_masks(run_dir: Path) -> None:
    assert (run_dir / "run/scores/test.json").is_file()
    assert (run_dir / "run/images/test_mixed_layers.png").is_file()


def test_scribbles_become_images_that_repeat_with_the_seed(run_dir: Path) -> None:
    first, again, other = (
        predict(run_dir, n, f"--seed={s}") for n, s in zip("abc", "001", strict=True)
    )
    assert len(first) == 4
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert all((a != b).any() for a, b in zip(first, other, strict=True))
    assert (first[0] != first[1]).any()  # two samples of one mask


def test_refinement_works_in_prediction(run_dir: Path) -> None:
    plain = predict(run_dir, "plain")
    refined = predict(run_dir, "refined", "--model.refine=layers", "--model.refine_steps=3")
    assert all((a != b).any() for a, b in zip(plain, refined, strict=True))


def test_all_images_can_have_one_style(run_dir: Path) -> None:
    photo = next((run_dir / "run/images").glob("*.png"))
    Image.open(photo).resize((64, 64)).save(run_dir / "style.png")
    first, second = predict(run_dir, "styled", f"--style.reference={run_dir / 'style.png'}")[:2]
    assert (first == second).all()


def test_scribbles_that_mark_nothing_are_named(run_dir: Path) -> None:
    empty = run_dir / "masks/2.png"
    Image.fromarray(np.zeros((64, 64), np.uint8)).save(empty)
    try:
        with pytest.raises(SystemExit, match=r"masks/2\.png marks nothing"):
            predict(run_dir, "none")
    finally:
        empty.unlink()
