"""Faults planted in a copy of the losses and metrics: their tests must notice each."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CHECK = """from pathlib import Path
import semsynth
assert Path(semsynth.__file__).is_relative_to(Path(__file__).parent), semsynth.__file__
"""  # conftest.py of the copy: another semsynth ends pytest with status 4, not with a failed test

LOSSES, OPTIONS = "losses/test_losses.py::test_", "methods/test_clvae_options.py::test_"
ADVERSARIES, IMAGES = "losses/test_adversarial.py::test_", "test_images.py::test_"
FRECHET, KERNEL = "metrics/test_frechet.py::test_", "metrics/test_kernel.py::test_"
NEIGHBOURS, PAIRS = "metrics/test_neighbours.py::test_", "metrics/test_pairs.py::test_"
DIVERSITY, PERCEPTUAL = "metrics/test_diversity.py::test_", "metrics/test_perceptual.py::test_"
CLASSES, LAYOUT = "metrics/test_class_diversity.py::test_", "metrics/test_layout_fidelity.py::test_"
EDITING, TOGETHER = "metrics/test_editing.py::test_", "metrics/test_metrics.py::test_"
SEGMENTATION = "metrics/test_segmentation.py::test_"

# For each file below semsynth, for each test below tests that must notice: texts that stand once in
# the file, and what takes their place
FAULTS: dict[str, dict[str, list[tuple[str, str]]]] = {
    "losses/losses.py": {
        LOSSES + "hinge_losses_by_hand": [
            ("F.relu(1 + logits", "F.relu(1 - logits"),
            ("F.relu(1 - logits", "F.relu(-logits"),
            ("[-logits.float()", "[logits.float()"),
            ("torch.stack(list(losses)).mean()", "torch.stack(list(losses)).sum()"),
        ],
        LOSSES + "nonsaturating_losses_by_hand": [
            ("F.softplus(-real_logits", "F.softplus(real_logits")
        ],
        LOSSES + "relativistic_losses_equal_a_loop_over_pairs": [
            ("fake_logits.float() - real_logits.float()", "fake_logits.float() + real_logits"),
            ("relativistic_loss_d(fake_logits, real_logits)", "-fake_logits.mean()"),
        ],
        LOSSES + "gradient_penalty_is_the_squared_norm_of_the_gradient": [
            ("return gradient.square()", "return 0.5 * gradient.square()")
        ],
        LOSSES + "path_lengths_of_a_linear_generator_by_hand": [
            ("/ math.sqrt(H * W)", "/ (H * W)")
        ],
        LOSSES + "real_images_and_features_get_no_gradient": [
            ("l1(f, r.detach()) for", "l1(f, r) for")
        ],
        LOSSES + "feature_matching_sums_layers_and_averages_scales": [
            ("for f, r in layers]).sum()", "for f, r in layers]).mean()")
        ],
        LOSSES + "perceptual_loss_multiplies_pixels_by_the_loss_mask": [
            ("difference = difference * resize_layout(weight, difference.shape[-2:])", "pass")
        ],
        LOSSES + "perceptual_loss_weights_the_taps": [("[w * l1(", "[l1(")],
        LOSSES + "perceptual_loss_weighs_coarse_taps_more_by_default": [
            ("(1 / 32, 1 / 16, 1 / 8, 1 / 4, 1)", "(1, 1 / 4, 1 / 8, 1 / 16, 1 / 32)")
        ],
        LOSSES + "kl_divergence_by_hand_and_by_torch_distributions": [
            ("0.5 * (mu.square()", "(mu.square()"),
            ("- 1 - logvar).sum(-1)", "- 1 - logvar).mean(-1)"),
        ],
        OPTIONS + "gaussian_divergence_equals_that_of_torch": [
            ("(-prior_logvar).exp()", "prior_logvar.exp()")
        ],
        LOSSES + "class_layer_kl_divides_by_classes_and_sums_levels": [
            ("(kl * present).sum(-1)", "kl.sum(-1)")
        ],
        ADVERSARIES + "class_balance_gives_all_classes_the_same_share": [(" * there.sum()", "")],
        ADVERSARIES + "contrastive_loss_equals_a_loop_over_places": [
            ("real / temperature", "real * temperature"),
            ("F.normalize(x.float().flatten(2), dim=1)", "x.float().flatten(2)"),
        ],
        ADVERSARIES + "diversity_loss_by_hand": [
            ("F.relu(margin - difference)", "(margin - difference)"),
            (".abs().mean((1, 2, 3))", ".abs().mean()"),
        ],
        ADVERSARIES + "ignored_pixels_do_not_count_in_the_segmentation_loss": [
            ("(mask != IGNORE_INDEX).sum().clamp_min(1)", "mask.numel()")
        ],
    },
    "metrics/roots.py": {
        FRECHET + "distance_of_covariances_equals_singular_values": [
            ("- 2 * roots.sum()", "- roots.sum()"),
            ("- 2 * torch.linalg.svdvals", "- torch.linalg.svdvals"),
        ],
    },
    "metrics/frechet.py": {
        FRECHET + "distance_of_diagonal_gaussians_is_the_closed_form": [
            (
                "((mean_a - mean_b).square().sum() + covariance_distance(cov_a, cov_b))",
                "covariance_distance(cov_a, cov_b)",
            ),
        ],
        FRECHET + "distance_equals_others_for_few_samples": [
            ("(len(x) - 1) ** 0.5", "len(x) ** 0.5")
        ],
        FRECHET + "metric_equals_the_distance_of_all_features": [
            ("mean.outer(mean)) / (num - 1)", "mean.outer(mean)) / num")
        ],
        TOGETHER + "two_processes_equal_one": [
            (
                'torch.zeros(d, dtype=torch.float64), dist_reduce_fx="sum"',
                'torch.zeros(d, dtype=torch.float64), dist_reduce_fx="mean"',
            )
        ],
    },
    "metrics/kernel.py": {
        KERNEL + "discrepancy_equals_a_loop_over_pairs": [
            ("(N * (N - 1))", "N**2"),
            (" - _kernel_diagonal(b).sum()", ""),
            ("- 2 * _kernel(a, b).mean()", "- _kernel(a, b).mean()"),
        ]
    },
    "metrics/neighbours.py": {
        NEIGHBOURS + "scores_of_four_points_on_a_line_equal_those_worked_out_by_hand": [
            ("kthvalue(k + 1)", "kthvalue(k)"),
            ("points = fake.double()", "points = real.double()"),
        ],
        NEIGHBOURS + "precision_and_recall_equal_torch_fidelity": [
            (
                "return precision.double().mean(), recall.double().mean()",
                "return recall.double().mean(), precision.double().mean()",
            )
        ],
        NEIGHBOURS + "density_and_coverage_equal_their_formulas": [
            ("radii).double().mean() / k", "radii).double().mean()")
        ],
    },
    "metrics/pairs.py": {
        PAIRS + "mean_distance_of_all_equals_loop_over_pairs": [
            ("num_samples * (num_samples - 1) / 2", "num_samples**2 / 2"),
            ("return norm.square() / (tap.shape[-2] * tap.shape[-1])", "return norm.square()"),
        ],
        PAIRS + "pairs_are_those_of_the_papers": [
            ("pairwise(range(num_samples))", "pairwise(range(num_samples - 1))")
        ],
    },
    "metrics/perceptual.py": {
        PERCEPTUAL + "distance_equals_lpips": [("/ (a.shape[-2] * a.shape[-1])", "/ a.shape[-1]")],
        PERCEPTUAL + "images_are_rounded_to_bytes_first": [
            ("to_uint8(image) / 127.5 - 1", "image")
        ],
    },
    "metrics/diversity.py": {
        DIVERSITY + "top1_similarity_is_the_distance_of_the_nearest_sample_in_l1": [
            (".argmin(dim=1)", ".argmax(dim=1)")
        ]
    },
    "metrics/base.py": {
        DIVERSITY + "metric_is_the_mean_over_masks_of_the_mean_over_pairs": [
            ("(variance / (self.num_masks - 1))", "(variance / self.num_masks)")
        ]
    },
    "metrics/class_diversity.py": {
        CLASSES + "scores_are_means_of_the_spatial_map_in_and_outside_the_class": [
            ("in (inside, ~inside)", "in (~inside, inside)"),
            ("[:, None].sqrt() for t", "[:, None] for t"),
        ]
    },
    "metrics/layout_fidelity.py": {
        LAYOUT + "all_figures_equal_a_count_by_hand": [
            ("labelled.sum(dim=1) +", "labelled[:, :-1].sum(dim=1) +"),
            ("labelled[:, :-1].sum(dim=0)", "confusion[:, :-1].sum(dim=0)"),
            (".sum(dim=0) - intersection", ".sum(dim=0)"),
        ],
        LAYOUT + "class_that_is_only_predicted_counts_as_zero": [
            ("iou.nanmean()", "iou.nan_to_num().mean()")
        ],
    },
    "metrics/editing.py": {
        EDITING + "scores_of_drags_and_anchors_equal_those_worked_out_by_hand": [
            ("/ request.square().sum(-1)", "/ request.norm(dim=-1)"),
            ("cross.abs(), dot", "cross, dot"),
        ],
        EDITING + "points_that_are_occluded_are_lost_and_count_for_nothing_else": [
            ("anchors & found", "drags & found")
        ],
        EDITING + "zoom_is_compared_with_the_mean_of_a_window_of_valid_pixels": [
            ("return total / share.clamp(min=1e-12), found", "return total, found")
        ],
        EDITING + "reconstruction_is_squared_error_and_perceptual_distance": [
            ("/ 127.5 for x", "/ 255 for x")
        ],
    },
    "metrics/parts.py": {
        EDITING + "parts_tell_the_true_zoom_and_nothing_of_the_background": [
            ("0.5 * (area_a / area_b)", "(area_a / area_b)")
        ]
    },
    "images.py": {
        IMAGES + "to_uint8_rounds_and_clamps": [
            (".round().clamp(0, 255)", ".clamp(0, 255)"),
            (".clamp(0, 255)", ""),
        ]
    },
    "metrics/segmentation.py": {
        SEGMENTATION + "mean_iou_equals_that_of_torchmetrics": [
            ("self.confusion += ", "self.confusion = ")
        ]
    },
}

CASES = [
    pytest.param(file, test, right, wrong, id=f"{Path(file).stem}: {right}")
    for file, tests in FAULTS.items()
    for test, faults in tests.items()
    for right, wrong in faults
]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the code and its tests, with the shipped weights linked."""
    root = tmp_path_factory.mktemp("copy")
    without = shutil.ignore_patterns("__pycache__", "assets")
    for folder in ("semsynth", "tests"):
        shutil.copytree(ROOT / folder, root / folder, ignore=without)
    for linked in ("semsynth/assets", "benchmarks", "experiments", "pyproject.toml"):
        (root / linked).symlink_to(ROOT / linked)
    (root / "conftest.py").write_text(CHECK)
    return root


def run_tests(root: Path, *tests: str) -> tuple[int, str]:
    """Exit status and output of pytest in a copy."""
    settings = {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    words = [sys.executable, "-m", "pytest", "-q", "--tb=short", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*words, "--rootdir", str(root), *(f"tests/{test}" for test in tests)],
        cwd=root,
        env=os.environ | settings,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    return done.returncode, done.stderr + done.stdout


@pytest.mark.parametrize(("file", "test", "right", "wrong"), CASES)
def test_fault_has_its_place_and_a_test(file: str, test: str, right: str, wrong: str) -> None:
    assert (ROOT / "semsynth" / file).read_text().count(right) == 1
    path, _, name = test.partition("::")
    assert f"\ndef {name}(" in (ROOT / "tests" / path).read_text()


@pytest.mark.slow
def test_without_a_fault_all_tests_pass(copy: Path) -> None:
    status, output = run_tests(copy, *(test for tests in FAULTS.values() for test in tests))
    assert status == 0, output


@pytest.mark.slow
@pytest.mark.parametrize(("file", "test", "right", "wrong"), CASES)
def test_fault_is_noticed(copy: Path, file: str, test: str, right: str, wrong: str) -> None:
    path = copy / "semsynth" / file
    text = path.read_text()
    assert text.count(right) == 1
    path.write_text(text.replace(right, wrong))
    try:
        status, output = run_tests(copy, test)
    finally:
        path.write_text(text)
    assert status == 1, output
    assert re.search(r"^\d+ failed", output.splitlines()[-1]), output
    # By a wrong value, not because the fault does not run
    assert re.search(r"^E +(assert|AssertionError)", output, re.MULTILINE), output
