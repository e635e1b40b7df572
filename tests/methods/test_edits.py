"""What UserControllableLT gives to the metrics that judge edits."""

import torch

from semsynth.methods import UserControllableLT
from semsynth.metrics import EditingAccuracy, TrackingAccuracy
from semsynth.networks.noise import sample_seed


def test_edits_of_the_shipped_transformer_move_points_towards_their_targets() -> None:
    method = UserControllableLT.from_file("toy_portrait")
    batch = {"seed": sample_seed(7, torch.arange(24))}
    with torch.no_grad():
        edits = method.supply(batch, {"edited"})
        again = method.supply({"seed": batch["seed"][3:5]}, {"edited"})
    assert edits["image"].shape == edits["edited"].shape == (24, 3, 64, 64)
    torch.testing.assert_close(again["edited"], edits["edited"][3:5], rtol=1e-3, atol=1e-3)
    parts, tracking = EditingAccuracy("parts:toy_portrait"), TrackingAccuracy()
    for metric in (parts, tracking):
        metric.update(**{name: edits[name] for name in metric.wants})
    assert parts.compute()["drag_gain_parts"] > 0.3
    assert tracking.compute()["drag_gain_features"] > 0.3
