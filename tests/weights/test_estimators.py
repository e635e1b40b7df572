import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from semsynth import weights
from semsynth.data import ToyFlow
from semsynth.networks.motion.dis import DISMotion
from semsynth.networks.motion.raft import RAFT, RAFTMotion
from semsynth.networks.motion.torchvision_raft import TorchvisionRAFT
from semsynth.weights.estimators import load_motion_estimator

NETWORK = {"channels": 4, "feature_dim": 8, "hidden_dim": 8, "context_dim": 4, "num_updates": 1}


def test_dis_needs_no_weights(empty: Path) -> None:
    assert isinstance(load_motion_estimator("dis"), DISMotion)


def test_own_file_is_loaded_by_its_card_in_full_precision(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = RAFT(**NETWORK)
    file = tmp_path / "own.safetensors"
    save_file({k: v.half() for k, v in network.state_dict().items()}, file)
    file.with_suffix(".json").write_text(json.dumps({"network": NETWORK}))
    estimator = load_motion_estimator(str(file))
    images = torch.rand(2, 1, 3, 32, 32)
    network.load_state_dict({k: v.half().float() for k, v in network.state_dict().items()})
    expected = RAFTMotion(network.eval())(*images)
    assert torch.equal(estimator(*images).flow, expected.flow)


@pytest.mark.parametrize("name", ["raft_small", "raft_large"])
def test_missing_weights_of_torchvision_are_named_with_place_and_command(
    name: str, empty: Path
) -> None:
    with pytest.raises(weights.MissingWeightsError) as error:
        load_motion_estimator(name)
    for part in (name, ".pth", str(empty), "curl", "https://", "choose toy_flow or dis"):
        assert part in str(error.value)


def test_weights_of_torchvision_are_found_and_loaded(empty: Path) -> None:
    torch.manual_seed(1)
    expected = TorchvisionRAFT("small").network.state_dict()
    torch.save(expected, empty / "raft_small_C_T_V2-01064c6d.pth")
    estimator = load_motion_estimator("raft_small")
    assert isinstance(estimator, TorchvisionRAFT)
    found = estimator.network.state_dict()
    assert all(torch.equal(found[key], value) for key, value in expected.items())
    assert not estimator.training


def test_shipped_toy_flow_is_better_than_dis_by_its_card() -> None:
    card = json.loads((weights.ASSETS / "toy_flow.json").read_text())
    assert card["test_epe"] <= 0.7 * card["test_epe_dis"]
    assert card["images_seen"]


def test_shipped_toy_flow_beats_dis_on_poses_that_it_has_not_seen() -> None:
    items = ToyFlow(seed=1).dataset("test").__getitems__(list(range(24)))
    batch = {key: torch.stack([item[key] for item in items]) for key in items[0]}
    errors = {}
    for name in ("toy_flow", "dis"):
        motion = load_motion_estimator(name)(batch["image"], batch["target"])
        flow_error = (motion.flow - batch["flow"]).norm(dim=1, keepdim=True)
        expansion_error = (motion.log_expansion - batch["log_expansion"]).abs()
        errors[name] = [e[batch["valid"]].mean() for e in (flow_error, expansion_error)]
    assert all(ours < 0.7 * dis for ours, dis in zip(*errors.values(), strict=True))
