import json
from pathlib import Path
from typing import Any

import pytest
import torch

from semsynth.methods import CLVAE, FewShotSMIS
from semsynth.methods.trained import find_trained, load_trained, save_trained
from semsynth.weights import WeightsError

CARD = {"classes": {"names": ["a", "b", "c"], "palette": [[0, 0, 0], [1, 1, 1], [2, 2, 2]]}}


SIZES: dict[str, Any] = {"channels": 4, "discriminator_channels": 4, "spade_channels": 4}
SIZES |= {"z_dim": 4, "code_dim": 3, "encoder_size": 128, "perceptual_weight": 0}


@pytest.fixture
def method() -> CLVAE:
    torch.manual_seed(0)
    return CLVAE(3, (32, 32), **SIZES).eval()


@pytest.fixture
def path(method: CLVAE, tmp_path: Path) -> Path:
    """Where the method is saved."""
    save_trained(method, tmp_path / "own_trained.safetensors", CARD)
    return tmp_path / "own_trained.safetensors"


def test_a_method_comes_back_with_the_same_images(method: CLVAE, path: Path) -> None:
    loaded, card = load_trained(path)
    assert isinstance(loaded, CLVAE)
    assert card["classes"] == CARD["classes"]
    batch = {"mask": torch.randint(3, (2, 32, 32)), "seed": torch.tensor([3, 4])}
    with torch.no_grad():
        difference = loaded.predict_step(batch, 0) - method.predict_step(batch, 0)
    assert difference.abs().max() < 0.02  # stored in half precision
    assert not loaded.training


def test_what_only_training_needs_is_left_out(path: Path) -> None:
    loaded, _ = load_trained(path)
    assert not any(key.startswith("discriminator") for key in loaded.state_dict())
    assert not any(p.requires_grad for p in loaded.parameters())


@pytest.mark.parametrize("name", ["toy_street_clvae", "toy_portrait_fewshot"])
def test_what_ships_is_loaded_with_the_names_of_its_classes(name: str) -> None:
    method, card = load_trained(name)
    assert len(card["classes"]["names"]) == method.num_classes


@pytest.mark.parametrize(("labelling", "kept"), [("sparse", False), ("strokes", True)])
def test_a_read_out_is_kept_because_refinement_asks_it(
    tmp_path: Path, labelling: Any, kept: bool
) -> None:
    torch.manual_seed(0)
    method = FewShotSMIS(
        4, (64, 64), "toy_portrait", labelling, encoder_units=(1,) * 4, encoder_widths=(16,) * 4
    ).eval()
    w_plus = method.generator.repeat(method.sample_w(torch.arange(2)))
    mask = torch.arange(4).repeat_interleave(16).expand(2, 64, 64)
    method.learn_shots({"w_plus": w_plus, "mask": mask})
    save_trained(method, tmp_path / "own_trained.safetensors", CARD)
    loaded, _ = load_trained(tmp_path / "own_trained.safetensors")
    assert isinstance(loaded, FewShotSMIS)
    assert any(key.startswith("labeller") for key in loaded.state_dict()) == kept
    labels = method.shrink(mask)
    torch.testing.assert_close(
        loaded.layout_loss(w_plus, labels), method.layout_loss(w_plus, labels), rtol=0.01, atol=0.01
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"class": "Segmenter"}, "describes none of CLVAE, FewShotSMIS"),
        ({"channels": 8}, "cannot be read as its card describes it"),
    ],
)
def test_a_card_of_something_else_is_refused(
    path: Path, changes: dict[str, Any], message: str
) -> None:
    card = json.loads(path.with_suffix(".json").read_text())
    path.with_suffix(".json").write_text(json.dumps(card | {"method": card["method"] | changes}))
    with pytest.raises(WeightsError, match=message):
        load_trained(path)


def test_an_encoder_of_another_prior_is_refused(tmp_path: Path) -> None:
    shipped = find_trained("toy_portrait_fewshot")
    path = tmp_path / shipped.name
    path.write_bytes(shipped.read_bytes())
    card = json.loads(shipped.with_suffix(".json").read_text())
    card["prior"]["fingerprint"] = "0" * 64
    path.with_suffix(".json").write_text(json.dumps(card))
    with pytest.raises(WeightsError, match="belongs to the prior with fingerprint 000000000000"):
        load_trained(path)
