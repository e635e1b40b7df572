"""User-Controllable Latent Transformer (Endo, CGF 2022, https://arxiv.org/abs/2208.12408)."""

import math
import random
from collections.abc import Collection
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

import torch
import torch.nn.functional as F
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR
from torchmetrics import MeanMetric

from semsynth.editing.calibration import calibrate_gain, measure_scale
from semsynth.editing.pairs import PairRenderer, default_canvas, on_canvas
from semsynth.editing.points import STILL, all_marks, fixed_marks, random_marks
from semsynth.editing.requests import draw_requests, edges
from semsynth.errors import require_not_negative, require_positive
from semsynth.losses.ranger import Ranger
from semsynth.methods.base import Batch, without_retired
from semsynth.methods.prior_base import PriorMethod
from semsynth.networks.motion.latent_transformer import LatentTransformer, Part
from semsynth.networks.motion.marks import Marks, check_marks
from semsynth.networks.noise import hash_int64
from semsynth.weights import WeightsError
from semsynth.weights.cards import as_described
from semsynth.weights.editors import find_editor, prior_beside, read_editor
from semsynth.weights.estimators import load_motion_estimator
from semsynth.weights.priors import fingerprint, require_prior

TRAINED_RANGE = 3.0  # longest motion asked of the transformer, in root mean squares of training
GRID_SHARE = 0.1  # of the steps on random points, which see the whole grid
POINTS = {"1": 1, "8": 8, "32": 32, "grid": None}  # numbers of points that validation tries


class UserControllableLT(PriorMethod):
    """Moves the content of a StyleGAN2's images by marked points.

    Trained on pairs of the prior's own images, one with its first latents moved at random, and the
    motion between the two. A batch holds cached pairs, or seeds from which pairs are rendered.

    The defaults are the paper's except ``points``, ``gain`` and ``normalise_layers``, where
    ``grid``, ``released`` and true follow its released code.

    Args:
        prior: Name of a shipped prior, such as ``toy_portrait``, or the path of a file.
        estimator: Estimates the motion in pairs (see ``load_motion_estimator``).
        num_tokens: Latents that edits change, from the first one.
        perturbation: Range of the fraction of the way that latents move towards random ones.
        train_truncation: Truncation of images to train on.
        truncation: Truncation of images to edit.
        feature_resolution: Resolution of the generator's features that are read at marks.
        canvas_size: Height and width of the canvas whose pixels measure motion; by default the
            image's, but at most 256.
        grid_size: Rows and columns of the grid on which the motion of pairs is known.
        points: Marks in training: random points and anchors, and in every tenth step the whole
            grid; or always the whole grid.
        max_points: Maximum number of random points.
        max_anchors: Maximum number of random anchors.
        normalise_layers: Normalise the random latents' z over layers instead of channels.
        centred: Move latents around themselves, not towards random ones (see ``PairRenderer``).
        shared: Move all of an image's latents towards the same random one.
        upstream_input: Feed the estimator as the released code does (see ``UpstreamInput``).
        sigma_flow: Unit of motion in pixels; measured if not given.
        sigma_expansion: Unit of log expansion; measured if not given.
        gain: Strength of an edit: as calibrated, or length / 10 as in the released code.
        dim: Channels of the transformer's tokens.
        depth: Blocks of its encoder, and of its decoder.
        num_heads: Heads of attention.
        head_dim: Channels of a head.
        mlp_dim: Hidden channels of its feed-forward layers.
        zero_init_head: Start from a transformer that changes nothing.
        without: Part to ablate.
        feature_weight: Weight of the error of the generator's features.
        optimizer: Ranger at a constant rate, or AdamW with cosine decay.
        lr: Learning rate, 3e-4 for AdamW.
        scale_pairs: Pairs that measure sigma_flow and sigma_expansion.
        gain_pairs: Pairs that calibrate the gain at each validation; 0 leaves it at 1.
        init_from: Transformer of the same sizes to start from: a name, or an imported file.
    """

    uses_masks = False
    motion_scale: Tensor
    gain: Tensor

    def __init__(
        self,
        prior: str,
        estimator: str = "dis",
        num_tokens: int = 6,
        perturbation: tuple[float, float] = (0.1, 0.1),
        train_truncation: float = 0.3,
        truncation: float = 0.5,
        feature_resolution: int = 64,
        canvas_size: int | None = None,
        grid_size: int = 16,
        points: Literal["random", "grid"] = "random",
        max_points: int = 64,
        max_anchors: int = 8,
        normalise_layers: bool = False,
        centred: bool = False,
        shared: bool = False,
        upstream_input: bool = False,
        sigma_flow: float | None = None,
        sigma_expansion: float | None = None,
        gain: Literal["calibrated", "released"] = "calibrated",
        dim: int = 512,
        depth: int = 6,
        num_heads: int = 8,
        head_dim: int = 64,
        mlp_dim: int = 512,
        zero_init_head: bool = False,
        without: Part = "nothing",
        feature_weight: float = 0.0,
        optimizer: Literal["ranger", "adamw"] = "ranger",
        lr: float = 1e-3,
        scale_pairs: int = 2000,
        gain_pairs: int = 128,
        init_from: str | None = None,
    ) -> None:
        super().__init__(prior)
        self.save_hyperparameters(logger=False)
        require_positive(
            num_tokens=num_tokens,
            feature_resolution=feature_resolution,
            canvas_size=canvas_size,
            grid_size=grid_size,
            max_points=max_points,
            dim=dim,
            depth=depth,
            num_heads=num_heads,
            head_dim=head_dim,
            mlp_dim=mlp_dim,
            scale_pairs=scale_pairs,
            gain_pairs=gain_pairs,
            sigma_flow=sigma_flow,
            sigma_expansion=sigma_expansion,
        )
        require_not_negative(lr=lr, feature_weight=feature_weight)
        self.estimator, self.upstream_input = estimator, upstream_input
        self.num_tokens = num_tokens
        self.truncation = truncation
        self.feature_resolution = feature_resolution
        self.canvas_size = canvas_size or default_canvas(self.generator)
        self.points = points
        self.max_points, self.max_anchors = max_points, max_anchors
        self.gain_rule = gain
        self.feature_weight = feature_weight
        self.optimizer, self.lr = optimizer, lr
        self.scale_pairs, self.gain_pairs = scale_pairs, gain_pairs
        self.init_from = init_from
        self.recipe: dict[str, Any] = {
            "num_tokens": num_tokens,
            "perturbation": list(perturbation),
            "truncation": train_truncation,
            "feature_resolution": feature_resolution,
            "canvas_size": self.canvas_size,
            "grid_size": grid_size,
            "normalise_layers": normalise_layers,
            "centred": centred,
            "shared": shared,
        }
        channels = self.generator.synthesis.num_channels(feature_resolution)
        sizes = (self.generator.w_dim, channels, depth, num_heads, head_dim, mlp_dim)
        self.transformer = LatentTransformer(num_tokens, dim, *sizes, zero_init_head, without)
        unknown = float("nan")
        sigma = [sigma_flow or unknown, sigma_flow or unknown, sigma_expansion or unknown]
        self.register_buffer("motion_scale", torch.tensor(sigma))
        self.register_buffer("gain", torch.ones(()))
        self.unexplained = nn.ModuleDict({name: MeanMetric() for name in POINTS})

    @classmethod
    def from_file(cls, name_or_path: str | Path, prior: str | None = None) -> Self:
        """A trained method in eval mode, by name or from a file of ``save_editor``.

        ``prior`` is needed if it is neither beside the file nor under the name in the card.
        """
        path = find_editor(name_or_path)
        card, _ = read_editor(path)
        with as_described(path):
            method = cls(prior or prior_beside(path, card), **without_retired(card["method"]))
        method.load_editor(path)
        return method.eval()

    def load_editor(self, name_or_path: str | Path) -> None:
        """Load transformer, unit of motion and gain from a file."""
        path = find_editor(name_or_path)
        card, state = read_editor(path)
        require_prior(str(path), card["prior"], self.generator)
        try:
            self.load_state_dict(state | self.frozen_state())
        except RuntimeError as error:
            raise WeightsError(f"{path} does not fit the model's arguments: {error}") from error

    def editor_state(self) -> dict[str, Tensor]:
        """What ``save_editor`` stores: the transformer, the unit of motion and the gain."""
        return {k: v for k, v in self.state_dict().items() if k not in self.frozen_state()}

    @torch.no_grad()
    def draw(self, w_plus: Tensor) -> tuple[Tensor, Tensor]:
        """Images (B, 3, H, W) in [-1, 1] of latents, and the features that ``edit`` reads."""
        synthesis = self.generator.synthesis
        image, features = synthesis.image_and_features(w_plus, self.feature_resolution)
        return image.clamp(-1, 1), features

    @torch.no_grad()
    def edit(
        self,
        w_plus: Tensor,
        features: Tensor,
        points: Tensor,
        motions: Tensor,
        points_mask: Tensor,
    ) -> Tensor:
        """Move the content at marked points (see ``Marks``).

        Args:
            w_plus: Latents (B, num_ws, w_dim), of which the first ``num_tokens`` are changed.
            features: Features (B, C, h, w) of the image that the marks are made in (see ``draw``).
            points: Positions (B, K, 2).
            motions: Flow and log expansion (B, K, 3), negative to come closer; 0 keeps a point.
            points_mask: Which of the marks exist (B, K), bool.
        """
        check_marks(points, motions, points_mask, self.canvas_size)
        if not self.motion_scale.isfinite().all():
            raise ValueError("sigma_flow and sigma_expansion are not known before training.")
        motions = motions.to(w_plus.dtype).where(points_mask[..., None], 0)
        request, alpha = self._request(motions)
        features = Marks(points, motions, points_mask).read(features, self.canvas_size)
        w = w_plus[:, : self.num_tokens]
        moved = self.transformer(w, request, features, points_mask, alpha)
        moved = torch.where(motions.flatten(1).any(1)[:, None, None], moved, w)
        return torch.cat([moved, w_plus[:, self.num_tokens :]], 1)

    @property
    def reach(self) -> float:
        """Longest drag in pixels whose edit stays within what training has seen.

        Edits by longer ones are extrapolated: points hardly move further, but the image suffers.
        """
        return TRAINED_RANGE * float(self.motion_scale[0] / self.gain)

    def _request(self, motions: Tensor) -> tuple[Tensor, Tensor]:
        """Motions (B, K, 3) in the transformer's units, and the factor (B, 1, 1) of its answer."""
        if self.gain_rule == "released":
            length = motions[..., :2].norm(dim=-1).amax(1)[:, None, None]
            moves = length > 0
            direction = motions[..., :2] / length.where(moves, 1)
            request = torch.cat([direction, motions[..., 2:] / self.motion_scale[2]], -1)
            tenth = 10 * self.canvas_size / 256  # ten pixels of the paper's canvas
            return request, torch.where(moves, length / tenth, 1)
        request = motions / self.motion_scale
        size = torch.maximum(request[..., :2].norm(dim=-1), request[..., 2].abs())
        beyond = (size.amax(1)[:, None, None] / TRAINED_RANGE).clamp(min=1)
        return request / beyond, beyond * self.gain

    @cached_property
    def renderer(self) -> PairRenderer:
        """Renders pairs, with the estimator that the constructor named."""
        estimator = load_motion_estimator(self.estimator, self.upstream_input)
        if isinstance(estimator, nn.Module):
            estimator.to(self.device)
        return PairRenderer(self.generator, estimator, **self.recipe)

    @cached_property
    def origin(self) -> dict[str, Any]:
        """Required origin of a cache of pairs."""
        return {
            "prior": fingerprint(self.generator),
            "estimator": self.estimator,
            "upstream_input": self.upstream_input,
            **self.recipe,
        }

    def setup(self, stage: str) -> None:
        """Check all requirements before any work is done."""
        if stage == "fit":
            _ = self.renderer
            self.seed = torch.initial_seed() % (1 << 62)
        if self.init_from is not None and self.trainer.ckpt_path is None:
            self.load_editor(self.init_from)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Ranger, as in the released code, or AdamW whose rate falls to 0 over the run."""
        parameters = self.transformer.parameters()
        if self.optimizer == "ranger":
            return Ranger(parameters, self.lr)
        optimizer = AdamW(parameters, self.lr, weight_decay=0.01)
        total = int(self.trainer.estimated_stepping_batches)
        cosine = LambdaLR(optimizer, lambda step: (1 + math.cos(math.pi * step / total)) / 2)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": cosine, "interval": "step"}}

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Before the first step, read the unit of motion from the cache or measure it."""
        if self.motion_scale.isfinite().all():
            return
        scale = batch.get("scale")
        if scale is None:
            scale = measure_scale(self.renderer, self.scale_pairs, self.device)
        known = self.motion_scale.isfinite()
        self.motion_scale.copy_(torch.where(known, self.motion_scale, scale.to(self.device)))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Error of the moved latents, and optionally of their features."""
        seed = self.draw_seeds(len(batch["seed"]), self.global_step)
        pairs = self.pairs_of({**batch, "seed": seed})
        answer = self.answer(pairs, self.choose_marks(pairs))
        loss = F.mse_loss(answer, pairs["w_target"])
        still = F.mse_loss(repeat(pairs), pairs["w_target"])
        self.log_dict({"train/loss": loss, "train/unexplained": loss / still}, prog_bar=True)
        if self.feature_weight:
            error = self.feature_error(pairs, answer)
            self.log("train/features_unexplained", error)
            loss = loss + self.feature_weight * still * error
        return loss

    def pairs_of(self, batch: Batch) -> Batch:
        """The pairs in a batch, or those that its seeds make."""
        if "w_target" not in batch:
            return {**batch, **self.renderer(batch["seed"])}
        for key, value in self.origin.items():
            if (found := batch["origin"].get(key)) != value:
                raise WeightsError(
                    f"The pairs were made with {key} {found!r}, but the method has {value!r}. "
                    "Regenerate them with semsynth pairs, or use the arguments in their card.json."
                )
        return batch

    def choose_marks(self, pairs: Batch) -> Marks:
        """Marks to train with. Which steps see the whole grid is the same on all processes."""
        if self.points == "grid":
            everywhere = torch.ones_like(pairs["valid"])
            return all_marks({**pairs, "valid": everywhere}, self.canvas_size)
        if random.Random(self.global_step).random() < GRID_SHARE:
            return all_marks(pairs, self.canvas_size)
        seed, still = hash_int64(pairs["seed"]), STILL * self.canvas_size
        limits = (self.max_points, self.max_anchors)
        return random_marks(pairs, seed, self.canvas_size, still, *limits)

    def answer(self, pairs: Batch, marks: Marks, alpha: float | Tensor = 1.0) -> Tensor:
        """The first latents (B, num_tokens, w_dim), moved by the marks of pairs."""
        motions = marks.motions / self.motion_scale
        features = marks.read(pairs["features"].float(), self.canvas_size)
        return self.transformer(repeat(pairs), motions, features, marks.points_mask, alpha)

    def feature_error(self, pairs: Batch, answer: Tensor) -> Tensor:
        """Squared error of the features that moved latents make, over that of no change."""
        needed = self.generator.synthesis.num_feature_ws(self.feature_resolution)
        rest = self.generator.repeat(pairs["w"])[:, self.num_tokens : needed]

        def features(w: Tensor) -> Tensor:
            w_plus = torch.cat([w, rest], 1)[:, :needed]
            return self.generator.synthesis.features(w_plus, self.feature_resolution).float()

        with torch.no_grad():
            target, before = features(pairs["w_target"]), features(repeat(pairs))
        return F.mse_loss(features(answer), target) / F.mse_loss(before, target)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Fraction of the latents' motion that points do not explain, by their number."""
        self._measure(batch, "val")

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """The same on the test split."""
        self._measure(batch, "test")

    def on_validation_epoch_end(self) -> None:
        """Calibrate the gain for the current weights."""
        if self.gain_pairs and self.gain_rule == "calibrated" and self.trainer.state.fn == "fit":
            self.calibrate()
            self.log("val/gain", self.gain)

    @torch.no_grad()
    def calibrate(self) -> None:
        """Set the gain that edits are multiplied by."""
        pairs = self.gain_pairs
        self.gain.copy_(calibrate_gain(self.renderer, self.answer, pairs, self.device))

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Images (B, 3, H, W) in [-1, 1] drawn by ``seed`` (B,), edited by marks (see ``edit``)."""
        w_plus = self.generator.repeat(self.sample_w(batch["seed"], self.truncation))
        image, features = self.draw(w_plus)
        if "points" not in batch:
            return image
        marks = (batch[key] for key in ("points", "motions", "points_mask"))
        return self.draw(self.edit(w_plus, features, *marks))[0]

    def supply(self, batch: Batch, names: Collection[str]) -> dict[str, Any]:
        """Edited images, or pairs with answers to them (see ``Method.supply``)."""
        supplied: dict[str, Any] = {}
        if "edited" in names:
            supplied |= self.edits(batch["seed"])
        if "variations" in names:
            supplied["variations"] = {"pairs": self.tried_pairs(batch)}
        return supplied

    def edits(self, seed: Tensor) -> dict[str, Any]:
        """Samples by seeds (B,) before and after random drags and zooms, which start at edges."""
        w_plus = self.generator.repeat(self.sample_w(seed, self.truncation))
        image, features = self.draw(w_plus)
        marks = draw_requests(seed, edges(features, self.canvas_size))
        after, edited_features = self.draw(self.edit(w_plus, features, *marks))
        edited = on_canvas(after, self.canvas_size)
        return {
            "image": on_canvas(image, self.canvas_size),
            "edited": edited,
            "fake": edited,
            "marks": marks,
            "landmarks": features,
            "edited_landmarks": edited_features,
        }

    def tried_pairs(self, batch: Batch) -> Tensor:
        """Both images of a pair, and the first one moved by 1, 8, 32 and all points."""
        pairs = self.pairs_of(batch)
        plus = self.generator.repeat(pairs["w"])
        codes = [repeat(pairs), pairs["w_target"]]
        codes += [self.answer(pairs, self._tried(pairs, number)) for number in POINTS.values()]
        images = [self.draw(torch.cat([w, plus[:, self.num_tokens :]], 1))[0] for w in codes]
        return torch.stack(images, 1)

    def _tried(self, pairs: Batch, number: int | None) -> Marks:
        if number is None:
            return all_marks(pairs, self.canvas_size)
        return fixed_marks(pairs, hash_int64(pairs["seed"]), self.canvas_size, number, number)

    def _measure(self, batch: Batch, stage: str) -> None:
        pairs = self.pairs_of(batch)
        still = F.mse_loss(repeat(pairs), pairs["w_target"])
        for name, number in POINTS.items():
            answer = self.answer(pairs, self._tried(pairs, number))
            metric: Any = self.unexplained[name]
            metric.update(F.mse_loss(answer, pairs["w_target"]) / still, len(answer))
            self.log(f"{stage}/unexplained_{name}", metric, on_step=False, on_epoch=True)


def repeat(pairs: Batch) -> Tensor:
    """The first image's latent for each of the tokens (B, num_tokens, w_dim)."""
    w, target = pairs["w"], pairs["w_target"]
    return w[:, None].expand_as(target)
