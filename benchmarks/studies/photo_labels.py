"""How well few labelled photos label samples: ``python -m benchmarks.studies.photo_labels``.

Photos of toy portraits are inverted, and samples of the prior labelled by them. Prints the mean
IoU, in per cent, against a segmenter, with the standard error over sets of photos. The paper's rule
for scribbles is left out, as it labels few pixels.
"""

from typing import Any, Literal, get_args

import torch
from jsonargparse import auto_cli
from rich.console import Console

from benchmarks.figures.toy_prior import NUM_CLASSES, labelled_samples, mean_iou
from benchmarks.studies.labelling import cell
from semsynth.data import ToyPortrait
from semsynth.data.shots import collate_shots
from semsynth.methods import FewShotSMIS

Kind = Literal["dense", "scribbles"]
SCORED, PHOTOS, FIRST = 64, 8, 100  # of the training split, away from those of experiments
LAYERS = {"label_resolutions": (16, 32, 64), "label_size": 64}
RULES: dict[str, dict[str, Any]] = {
    "class means": {},
    "read-out": LAYERS,
    "read-out, 8 styles": LAYERS | {"shot_styles": 8},
    "read-out, self-training": LAYERS | {"self_training": 16},
    "read-out, both": LAYERS | {"shot_styles": 8, "self_training": 16},
    "read-out, both, 6 views": LAYERS | {"shot_styles": 8, "self_training": 16, "shot_views": True},
}


def main(prior: str = "toy_portrait", photos: tuple[int, ...] = (1, 5)) -> None:
    """Measure and print a line for each kind of labels and rule."""
    console = Console()
    console.print("labels, rule, and mean IoU by photos", *photos)
    for kind in get_args(Kind):
        shots = labelled(kind)
        for name, rule in RULES.items():
            if kind == "scribbles" and not rule:
                continue
            method = build(prior, kind, rule)
            counts = [n for n in photos if n == 1 or "shot_views" not in rule]  # for one photo
            cells = [cell([score(method, shots, s) for s in sets(n)]) for n in counts]
            console.print(f"{kind:10} {name:24} {'  '.join(cells)}")


def labelled(kind: Kind) -> dict[str, Any]:
    """Photos with dense masks or scribbles."""
    data = ToyPortrait(labels=kind, shots=1)
    return collate_shots(data.dataset("train"), range(FIRST, FIRST + PHOTOS))


def sets(count: int) -> list[list[int]]:
    """As many sets of photos as there are photos; each photo is in ``count`` of them."""
    return [[(start + i) % PHOTOS for i in range(count)] for start in range(PHOTOS)]


def build(prior: str, kind: Kind, rule: dict[str, Any]) -> FewShotSMIS:
    """A method that labels by a rule; its encoder is not used."""
    read = "linear" if kind == "dense" else "strokes"
    return FewShotSMIS(
        NUM_CLASSES + (kind != "dense"),
        (64, 64),
        prior,
        labelling=read if rule else "dense",  # type: ignore[arg-type]
        perceptual="toy_street",  # knows nothing of portraits
        encoder_units=(1, 1, 1, 1),
        encoder_widths=(8, 8, 8, 8),
        **rule,
    ).eval()


@torch.no_grad()
def score(method: FewShotSMIS, shots: dict[str, Any], chosen: list[int]) -> float:
    """Mean IoU of the labels that chosen photos give."""
    codes, masks = method.find_codes(shots)  # all at once, then from the cache
    rows = [start + i for start in range(0, len(codes), len(shots["mask"])) for i in chosen]
    method.learn_shots({"mask": masks[rows], "w_plus": codes[rows]})
    w_plus, truth = labelled_samples(method.generator, SCORED)
    labels = method.label(w_plus)
    labels = labels - 1 if method.sparse else labels
    scale = truth.shape[-1] // labels.shape[-1]
    return mean_iou(labels.repeat_interleave(scale, 1).repeat_interleave(scale, 2), truth)


if __name__ == "__main__":
    auto_cli(main)
