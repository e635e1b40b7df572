import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from semsynth.cli import main
from semsynth.data import CachedPairs, DataError
from semsynth.data.generated_pairs import CHUNK
from semsynth.editing.pairs import PairRenderer
from semsynth.networks.motion.dis import DISMotion
from semsynth.networks.noise import sample_seed
from semsynth.weights.priors import load_generator
from tests.helpers.small_prior import save_prior

NUM = CHUNK + 6


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prior and a complete cache."""
    folder = tmp_path_factory.mktemp("pairs")
    save_prior(folder / "prior.safetensors")
    write(folder, folder / "cache")
    return folder


def write(folder: Path, out: Path, *options: str) -> None:
    sizes = ["--num_tokens=3", "--perturbation", "0.2", "0.5", "--feature_resolution=16"]
    sizes += ["--grid_size=4", "--device=cpu", "--batch_size=32"]
    words = ["pairs", f"--prior={folder / 'prior.safetensors'}", f"--num={NUM}", f"--out={out}"]
    main([*words, *sizes, *options])


def contents(root: Path) -> dict[str, Any]:
    return {file.name: load_file(file) for file in sorted(root.glob("*.safetensors"))}


def same(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return a.keys() == b.keys() and all(
        torch.equal(a[file][key], b[file][key]) for file in a for key in a[file]
    )


def test_cache_holds_the_pairs_that_their_seeds_make(folder: Path) -> None:
    data = CachedPairs(str(folder / "cache"), num_workers=0)
    pairs = data.dataset("train")
    generator = load_generator(folder / "prior.safetensors")
    renderer = PairRenderer(generator, DISMotion(), 3, (0.2, 0.5), 0.3, 16, 32, 4)
    index = [3, CHUNK + 2]
    expected = renderer(sample_seed(0, torch.tensor(index)))
    for row, i in enumerate(index):
        pair = pairs[i]
        assert pair["index"] == i
        for key, value in expected.items():
            torch.testing.assert_close(pair[key], value[row], atol=2e-3, rtol=2e-3)


def test_card_says_how_pairs_were_made_and_how_far_they_move(folder: Path) -> None:
    card = json.loads((folder / "cache" / "card.json").read_text())
    assert card["origin"]["perturbation"] == [0.2, 0.5]
    assert card["origin"]["canvas_size"] == 32
    batches = contents(folder / "cache").values()
    flow = torch.cat([b["flow"].double().movedim(1, -1)[b["valid"][:, 0]] for b in batches])
    assert card["sigma_flow"] == pytest.approx(float(flow.square().mean().sqrt()), rel=1e-3)


def test_parts_of_several_processes_make_the_same_cache(folder: Path, tmp_path: Path) -> None:
    write(folder, tmp_path, "--shard=1/2")
    with pytest.raises(DataError, match="incomplete"):
        CachedPairs(str(tmp_path)).dataset("train")
    write(folder, tmp_path, "--shard=0/2")
    assert same(contents(tmp_path), contents(folder / "cache"))
    card = json.loads((tmp_path / "card.json").read_text())
    assert card["sigma_flow"] == json.loads((folder / "cache/card.json").read_text())["sigma_flow"]


def test_a_command_that_was_killed_goes_on_and_keeps_what_is_done(
    folder: Path, tmp_path: Path
) -> None:
    write(folder, tmp_path)
    first, second = sorted(tmp_path.glob("*.safetensors"))
    done = first.stat().st_mtime_ns
    second.rename(second.with_name(f".{second.name}.part"))
    write(folder, tmp_path)
    assert first.stat().st_mtime_ns == done
    assert same(contents(tmp_path), contents(folder / "cache"))


def test_other_pairs_are_refused(folder: Path) -> None:
    with pytest.raises(SystemExit, match="written with origin"):
        write(folder, folder / "cache", "--truncation=0.5")
