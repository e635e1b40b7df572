"""Few-shot semantic image synthesis with a StyleGAN prior (FewShotSMIS).

Endo and Kanamori, 2021 (https://arxiv.org/abs/2103.14877), and "Controlling StyleGANs Using Rough
Scribbles via One-shot Learning", CGI 2022, which adds the refinement.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from semsynth import weights
from semsynth.errors import require_not_negative, require_positive
from semsynth.inversion import default_recipe, upstream_recipe
from semsynth.inversion.stored_codes import choose_distance, invert_once
from semsynth.losses.ranger import Ranger
from semsynth.methods import fewshot_checks
from semsynth.methods.base import Batch
from semsynth.methods.fewshot_checks import check_codes, check_labels
from semsynth.methods.prior_base import PriorMethod
from semsynth.networks.clvae.layouts import one_hot
from semsynth.networks.fewshot.label_augmentation import augment_labels
from semsynth.networks.fewshot.pseudo_labels import (
    DensePrototypes,
    LinearReadout,
    SparseBank,
    downsample_labels,
    stack_features,
    surest_labels,
)
from semsynth.networks.fewshot.psp_encoder import GradualStyleEncoder
from semsynth.networks.fewshot.refinement import Directions, principal_directions, refine
from semsynth.networks.fewshot.strokes import draw_strokes
from semsynth.networks.fewshot.views import make_views
from semsynth.networks.noise import hash_int64, sample_seed, seeded_normal, seeded_uniform
from semsynth.weights.cards import require_same_shapes
from semsynth.weights.encoders import load_encoder

LABELLERS = {"sparse": SparseBank, "linear": LinearReadout, "strokes": LinearReadout}
SELF_TRAINING_ROUNDS, SURE_SHARE = 2, 0.8
SPARSE_AUGMENTATION = {"dilation": 2, "class_dropout": 0.1, "hole": 0.3}


class FewShotSMIS(PriorMethod):
    """Images of label maps from a generator that was trained without labels, and few labelled ones.

    The features of the labelled images label the generator's samples, and an encoder learns to find
    the latent of a sample from its label map. Training draws images only for a segmenter. Defaults
    are the paper's except for sizes that depend on the prior.

    Args:
        num_classes: Classes of the masks; sparse ones count 0, unknown.
        image_size: Height and width of masks and images, equal and a power of two; images of a
            larger prior are averaged down to it.
        prior: Name of a shipped prior, such as ``toy_portrait``, or its file.
        labelling: ``dense`` and ``sparse`` (0 is unknown) as in the paper; ``linear``, a linear
            read-out of dense masks; ``strokes``, one of sparse masks (0 is unknown), in whose
            regions strokes are drawn; or ``segmenter``, an upper bound, trained on many labels.
        supervision: Learn from labelled samples of the generator, or, as a baseline, from the
            labelled ``pairs`` alone.
        feature_resolution: Resolution of the features; by default the prior's card's, or 64.
        label_resolutions: Resolutions of the layers that are read; by default the features'.
        label_size: Height and width of the pseudo-labels, to which features are interpolated; by
            default the highest of the label resolutions.
        shot_views: Invert each labelled photo in six views: unchanged, rotated by ten degrees to
            both sides, and mirrored. Not in the paper; for one shot.
        shot_styles: Number of other styles in which each shot is also labelled, so that labels
            depend on the layout alone. None in the paper; for one shot.
        self_training: Samples whose most confident labels also train the read-out, in two rounds;
            none in the paper. For one shot, and photos that the prior reproduces poorly.
        segmenter: Segmenter of ``labelling: segmenter``, as of ``weights.load_segmenter``.
        perceptual: Perceptual distance of inversion: alex, vgg, toy_street, a segmenter's file, or
            none; ``auto`` takes alex, or what the prior's card names, or none.
        inversion: Recipe for labelled photos without codes, ours or the released code's.
        inversion_steps: Its steps; 1000 or 2000 if not given.
        inversion_starts: Initial latents; the best is kept. For photos far from the prior's mean;
            multiplies the cost of the first stage.
        encoder_from: File of an imported encoder to start from or to predict with; its units and
            widths must be given too.
        encoder_units: Residual units of each group of the encoder.
        encoder_widths: Channels of each group of the encoder.
        style_layer: First latent of the style, not the layout; by default the prior's card's, or 8.
        style_weight: Weight of the error in these latents; with 0 the encoder does not predict
            them, and they are the mean latent unless styles are drawn.
        layout_weight: Weight of the layout loss: how well the features of the encoder's latents,
            under other samples' styles, match the label map by read-out or prototypes.
        train_truncation: Range of the truncation of training samples; 1 is none.
        augment: Shift label maps and jitter their boundaries; ``sparse`` also thickens, drops and
            cuts out marks.
        optimizer: The paper's ``ranger``; or ``adam``, several times as fast in short runs, as
            Ranger's large epsilon damps the small gradients of this loss.
        lr: Learning rate.
        lr_decay: Lower the learning rate to zero over the second half of the training.
        multimodal: Draw styles by seed; otherwise they are the encoder's, one image per mask.
        truncation: Truncation of the drawn styles.
        refine: Move the coarse latents until the features agree with the label map: one vector for
            all, by the prototypes (``paper``), or one for each, by the layout loss (``layers``).
        refine_steps: Steps of refinement.
        refine_lr: Learning rate of refinement.
        refine_directions: Principal directions in which latents move.
        refine_prior: Weight of the latents' distance from the mean with ``refine: layers``.
    """

    frozen = ("generator", "segmenter")

    def __init__(
        self,
        num_classes: int,
        image_size: tuple[int, int],
        prior: str,
        labelling: Literal["dense", "sparse", "linear", "strokes", "segmenter"] = "dense",
        supervision: Literal["pseudo_labels", "pairs"] = "pseudo_labels",
        feature_resolution: int | None = None,
        label_resolutions: Sequence[int] | None = None,
        label_size: int | None = None,
        shot_views: bool = False,
        shot_styles: int = 0,
        self_training: int = 0,
        segmenter: str | None = None,
        perceptual: str = "auto",
        inversion: Literal["default", "upstream"] = "default",
        inversion_steps: int | None = None,
        inversion_starts: int = 1,
        encoder_from: str | None = None,
        encoder_units: tuple[int, int, int, int] = (3, 4, 14, 3),
        encoder_widths: tuple[int, int, int, int] = (64, 128, 256, 512),
        style_layer: int | None = None,
        style_weight: float = 1.0,
        layout_weight: float = 0.0,
        train_truncation: tuple[float, float] = (1.0, 1.0),
        augment: Literal["none", "boundaries", "sparse"] = "none",
        optimizer: Literal["ranger", "adam"] = "ranger",
        lr: float = 1e-4,
        lr_decay: bool = False,
        multimodal: bool = True,
        truncation: float = 1.0,
        refine: Literal["none", "paper", "layers"] = "none",
        refine_steps: int = 201,
        refine_lr: float = 0.05,
        refine_directions: int = 8,
        refine_prior: float = 0.0,
    ) -> None:
        super().__init__(prior)
        self.save_hyperparameters(logger=False)
        require_positive(
            num_classes=num_classes,
            feature_resolution=feature_resolution,
            label_size=label_size,
            inversion_steps=inversion_steps,
            inversion_starts=inversion_starts,
            refine_steps=refine_steps,
            refine_directions=refine_directions,
        )
        require_not_negative(
            lr=lr,
            refine_lr=refine_lr,
            style_weight=style_weight,
            layout_weight=layout_weight,
            shot_styles=shot_styles,
            self_training=self_training,
        )
        self.num_classes, self.image_size = num_classes, (image_size[0], image_size[1])
        self.labelling, self.supervision = labelling, supervision
        self.shot_views, self.shot_styles = shot_views, shot_styles
        self.self_training = self_training
        self.perceptual, self.inversion = perceptual, inversion
        self.inversion_steps, self.inversion_starts = inversion_steps, inversion_starts
        self.encoder_from = encoder_from
        self.style_weight, self.layout_weight = style_weight, layout_weight
        self.train_truncation = train_truncation
        self.augment = augment
        self.optimizer, self.lr, self.lr_decay = optimizer, lr, lr_decay
        self.multimodal, self.truncation = multimodal, truncation
        self.refine, self.refine_steps, self.refine_lr = refine, refine_steps, refine_lr
        self.refine_directions, self.refine_prior = refine_directions, refine_prior
        resolution = feature_resolution or self.prior_card.get("feature_resolution", 64)
        self.label_resolutions = tuple(label_resolutions or (resolution,))
        self.label_size = label_size or max(self.label_resolutions)
        self.style_layer = (
            self.prior_card.get("style_layer", 8) if style_layer is None else style_layer
        )
        fewshot_checks.check_prior(self.generator, prior, self.label_resolutions, self.image_size)
        if (labelling == "segmenter") != (segmenter is not None):
            raise ValueError(
                f"labelling {labelling!r} is incompatible with segmenter {segmenter!r}: "
                "model.segmenter is for model.labelling segmenter."
            )
        self.segmenter = weights.load_segmenter(segmenter) if segmenter else None
        self.prototypes = DensePrototypes(num_classes)
        self.labeller: Any = LABELLERS.get(labelling, nn.Identity)(num_classes)
        self.encoder = GradualStyleEncoder(
            num_classes,
            self.generator.num_ws if style_weight else self.style_layer,
            self.image_size[0],
            self.generator.w_dim,
            encoder_units,
            encoder_widths,
        )
        self.shot_codes: Tensor | None = None
        self.reference: Tensor | None = None
        self.reference_image: Tensor | None = None
        self.directions: Directions | None = None
        self.to(memory_format=torch.channels_last)

    @property
    def sparse(self) -> bool:
        """Whether 0 means unknown in the masks."""
        return self.labelling in ("sparse", "strokes")

    def setup(self, stage: str) -> None:
        """Set the seed of the training, and check for weights before any work is done."""
        if self.encoder_from is not None and self.trainer.ckpt_path is None:
            self.load_encoder(Path(self.encoder_from))
        if stage != "fit":
            return
        self.seed = torch.initial_seed() % (1 << 62)
        if self.perceptual not in ("auto", "none"):
            choose_distance(self.perceptual, self.prior, "cpu")

    def load_encoder(self, file: Path) -> None:
        """Load the weights of an imported encoder."""
        imported = load_encoder(file, self.generator)
        remedy = "Use num_classes, model.encoder_units and model.encoder_widths of its card."
        require_same_shapes(self.encoder, imported, f"The encoder in {file}", remedy)
        self.encoder.load_state_dict(imported.state_dict())

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """One optimizer, for the encoder alone."""
        kinds: dict[str, type[Optimizer]] = {"ranger": Ranger, "adam": Adam}
        optimizer = kinds[self.optimizer](self.encoder.parameters(), lr=self.lr)  # type: ignore[call-arg]
        total = int(self.trainer.estimated_stepping_batches) if self.lr_decay else 0
        scheduler = LambdaLR(optimizer, lambda step: 2 - 2 * max(step / total, 0.5) if total else 1)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Learn the labels from the shots, before the first step."""
        if self.shot_codes is None:
            self.learn_shots(batch["shots"])

    @torch.no_grad()
    def learn_shots(self, shots: Batch) -> None:
        """Invert the labelled images, and fit the labeller to their features.

        Shots are ``mask`` (N, H, W), and ``image`` (N, 3, H, W) or ``w_plus`` of generator samples,
        and optionally ``flip_lookup`` (256,), the class of each class in the mirror.
        """
        check_labels(shots, self.num_classes, self.sparse)
        if self.labelling == "segmenter" and self.supervision != "pairs":
            self.shot_codes = torch.zeros(0)
            return
        codes, mask = self.find_codes(shots)
        check_codes(codes, self.generator, self.prior, "labelled samples")
        self.shot_codes = codes.to(self.device)
        maps = self.feature_maps(self.restyled(self.shot_codes))
        known = self.known(self.shrink(mask)).repeat(1 + self.shot_styles, 1, 1)
        features = self.stack(maps)
        self.prototypes.fit(features, known)
        if self.labelling in LABELLERS:
            self.labeller.fit(maps if self.reads_linearly else features, known)
        if self.self_training and self.reads_linearly:
            self.learn_from_samples(maps, known)

    def find_codes(self, shots: Batch) -> tuple[Tensor, Tensor]:
        """Codes (N, num_ws, w_dim) of the shots and their label maps (N, H, W), of all views."""
        if "w_plus" in shots:  # the prior's own, which are exact
            return shots["w_plus"], shots["mask"]
        image, mask = shots["image"], shots["mask"]
        if self.shot_views and self.supervision != "pairs":
            lookup = shots.get("flip_lookup", torch.arange(256))
            image, mask = make_views(image, mask, lookup)
        return self.invert(image), mask

    def restyled(self, w_plus: Tensor) -> Tensor:
        """Latents (N, num_ws, w_dim) of the shots, and after them those in other styles."""
        N = len(w_plus) * self.shot_styles
        seed = sample_seed(0, torch.arange(N, device=self.device), 1 << 41)
        others = self.mix(w_plus.repeat(self.shot_styles, 1, 1), self.sample_w(seed))
        return torch.cat([w_plus, others])

    def learn_from_samples(self, maps: Sequence[Tensor], known: Tensor) -> None:
        """Self-training: also fit the read-out to its most confident labels of samples."""
        for start in range(SELF_TRAINING_ROUNDS):
            seed = sample_seed(start, torch.arange(self.self_training, device=self.device), 1 << 40)
            drawn = self.feature_maps(self.generator.repeat(self.sample_w(seed)))
            labels = surest_labels(self.labeller.scores(drawn, self.label_size), SURE_SHARE)
            both = [torch.cat(pair) for pair in zip(maps, drawn, strict=True)]
            self.labeller.fit(both, torch.cat([known, labels]))

    def invert(self, image: Tensor) -> Tensor:
        """Codes (N, num_ws, w_dim) of photos (N, 3, H, W), found once and cached.

        The noise maps stay as stored, because features are taken under those.
        """
        make = default_recipe if self.inversion == "default" else upstream_recipe
        recipe = make() if self.inversion_steps is None else make(self.inversion_steps)
        recipe = replace(recipe, starts=self.inversion_starts)
        if self.inversion == "default":
            recipe = replace(recipe, noise="stored", noise_weight=0.0)
        codes = None
        if self.global_rank == 0:
            with torch.inference_mode(mode=False):  # predictions run in inference mode
                name, distance = choose_distance(self.perceptual, self.prior, str(self.device))
                image = image.float().clone()
                found = invert_once(self.generator, image, recipe, name, distance)
            codes = found.w_plus.cpu()
            fewshot_checks.report_inversion(found, self.prior)
        if self._trainer is not None:  # all processes share one result
            codes = self.trainer.strategy.broadcast(codes)
        assert codes is not None
        return codes

    def take_style(self, reference: Tensor) -> None:
        """Use the style of an image (3, H, W), inverted when prediction starts, or of its code."""
        if reference.ndim == 3:
            self.reference_image = reference
            return
        check_codes(reference[None], self.generator, self.prior, "reference")
        self.reference = reference[None]

    def on_predict_start(self) -> None:
        """Invert the style image."""
        if self.reference_image is not None:
            self.reference = self.invert(self.reference_image[None].to(self.device))

    @property
    def reads_linearly(self) -> bool:
        """Whether labels come from a linear read-out."""
        return isinstance(self.labeller, LinearReadout)

    def feature_maps(self, w_plus: Tensor, noise: Any = "stored") -> list[Tensor]:
        """Features (B, C, h, h) of each layer that labels are read from; no image is drawn."""
        return self.generator.synthesis.features_at(w_plus, self.label_resolutions, noise)

    def stack(self, maps: Sequence[Tensor]) -> Tensor:
        """Features of all layers (B, C, h, h), at the size of the labels."""
        return stack_features(maps, self.label_size)

    def scores(self, w_plus: Tensor, noise: Any = "stored") -> Tensor:
        """Scores (B, num_classes, h, h) of the classes in samples, as of the labeller."""
        maps = self.feature_maps(w_plus, noise)
        if self.reads_linearly:
            return self.labeller.scores(maps, self.label_size)
        labeller = self.prototypes if self.labelling == "dense" else self.labeller
        return labeller.scores(self.stack(maps))

    def shrink(self, mask: Tensor) -> Tensor:
        """Label maps (B, h, h) at the resolution of the features."""
        return downsample_labels(mask, self.label_size)

    def known(self, labels: Tensor) -> Tensor:
        """Label maps in which unknown pixels have no class."""
        return labels.masked_fill(labels == 0, -1) if self.sparse else labels

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Find the latent of a labelled sample from its label map."""
        seed = self.draw_seeds(len(batch["index"]), self.global_step)
        w_plus, labels = self.draw_pairs(batch, seed)
        predicted = self.encode(self.enlarge(labels, seed))
        losses = {"latent": self.latent_loss(predicted, w_plus)}
        if self.layout_weight:
            styles = self.sample_w(hash_int64(seed + 2))
            layout = self.layout_loss(self.mix(predicted, styles), self.shrink(labels))
            losses["layout"] = self.layout_weight * layout.mean()
        loss = torch.stack(list(losses.values())).sum()
        self.log("train/loss", loss.detach(), prog_bar=True)
        self.log_dict({f"train/{name}": value.detach() for name, value in losses.items()})
        return loss

    def layout_loss(self, w_plus: Tensor, labels: Tensor, as_in_paper: bool = False) -> Tensor:
        """Losses (B,) between the features of latents and label maps (B, h, h).

        As in the paper, prototypes measure it over all positions, even if there is a read-out.
        """
        maps = self.feature_maps(w_plus)
        if self.reads_linearly and not as_in_paper:
            return self.labeller.layout_loss(maps, self.known(labels))
        over: Any = "positions" if as_in_paper else "annotated"
        return self.prototypes.layout_loss(self.stack(maps), labels, self.sparse, over)

    @torch.no_grad()
    def draw_pairs(self, batch: Batch, seed: Tensor) -> tuple[Tensor, Tensor]:
        """Latents (B, num_ws, w_dim) and label maps (B, h, h) of samples, or of the shots."""
        if self.supervision == "pairs":
            assert self.shot_codes is not None
            uniform = seeded_uniform(seed, 1)[:, 0]
            chosen = (uniform * len(self.shot_codes)).long()
            return self.shot_codes[chosen], batch["shots"]["mask"][chosen]
        low, high = self.train_truncation
        mean = self.generator.mean_latent
        w = self.sample_w(seed)
        if low != 1 or high != 1:
            psi = low + (high - low) * seeded_uniform(hash_int64(seed + 1), 1).float()
            w = mean + psi * (w - mean)
        w_plus = self.generator.repeat(w)
        return w_plus, self.label(w_plus, self.draw_noise(seed))

    def label(self, w_plus: Tensor, noise: Any = "stored") -> Tensor:
        """Label maps (B, h, h) of samples; by a segmenter (B, R, R)."""
        if self.segmenter is not None:
            image = self.generator.synthesis(w_plus, noise).clamp(-1, 1)
            return self.segmenter(image).argmax(1)
        return self.scores(w_plus, noise).argmax(1)

    def draw_noise(self, seed: Tensor) -> list[Tensor]:
        """Noise maps (B, 1, H, W) of all convolutions that labels depend on, by seeds (B,)."""
        stored = self.generator.synthesis.stored_noise()
        needed = len(stored)
        if self.segmenter is None:
            needed = self.generator.synthesis.num_feature_ws(max(self.label_resolutions))
        areas = [noise[0].numel() for noise in stored[:needed]]
        parts = seeded_normal(hash_int64(seed), sum(areas)).split(areas, dim=1)
        drawn = [part.view(-1, *like.shape[1:]) for part, like in zip(parts, stored, strict=False)]
        return [*drawn, *stored[needed:]]

    def enlarge(self, labels: Tensor, seed: Tensor) -> Tensor:
        """Label maps (B, H, W) for the encoder, augmented if requested."""
        size = self.image_size[0]
        if self.labelling == "strokes" and self.supervision != "pairs":
            labels = draw_strokes(labels, hash_int64(seed + 3), self.num_classes)
        if self.augment == "none":
            return downsample_labels(labels, size)
        extra = SPARSE_AUGMENTATION if self.augment == "sparse" else {}
        return augment_labels(labels, seed, self.num_classes, size, **extra)  # type: ignore[arg-type]

    def encode(self, mask: Tensor) -> Tensor:
        """Latents (B, num_ws, w_dim) of label maps (B, H, W)."""
        styles = self.encoder(one_hot(mask, self.num_classes))
        missing = self.generator.num_ws - styles.shape[1]
        return F.pad(styles, (0, 0, 0, missing)) + self.generator.mean_latent

    def latent_loss(self, predicted: Tensor, w_plus: Tensor) -> Tensor:
        """Mean squared error, in which the latents of the style may weigh less."""
        layer = torch.arange(w_plus.shape[1], device=w_plus.device)
        weight = torch.where(layer < self.style_layer, 1.0, self.style_weight)
        return ((predicted - w_plus).square().mean((0, 2)) * weight).sum() / weight.sum()

    def mix(self, w_plus: Tensor, styles: Tensor) -> Tensor:
        """Give latents (B, num_ws, w_dim) the styles (B, w_dim) or (B, num_ws, w_dim)."""
        styles = styles if styles.ndim == 3 else self.generator.repeat(styles)
        return torch.cat([w_plus[:, : self.style_layer], styles[:, self.style_layer :]], 1)

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Images (B, 3, H, W) in [-1, 1] for ``mask``, in styles drawn by ``seed`` (B,)."""
        w_plus = self.latents(batch)
        if self.refine != "none":
            w_plus = self.refined(w_plus, batch["mask"])
        return self.draw(w_plus)

    def latents(self, batch: Batch) -> Tensor:
        """Latents (B, num_ws, w_dim) for ``mask``, in styles drawn by ``seed`` (B,), unrefined."""
        check_labels(batch, self.num_classes, self.sparse)
        w_plus = self.encode(batch["mask"])
        if self.reference is not None:
            w_plus = self.mix(w_plus, self.reference.to(w_plus).expand_as(w_plus))
        elif self.multimodal:
            seed = batch.get("seed")
            if seed is None:
                seed = torch.randint(1 << 62, (len(w_plus),), device=self.device)
            w_plus = self.mix(w_plus, self.sample_w(seed, self.truncation))
        return w_plus

    def draw(self, w_plus: Tensor) -> Tensor:
        """Images (B, 3, H, W) in [-1, 1] of latents, averaged down to the size of the masks."""
        image = self.generator.synthesis(w_plus)
        return F.adaptive_avg_pool2d(image, self.image_size).clamp(-1, 1)

    def refined(
        self,
        w_plus: Tensor,
        mask: Tensor,
        progress: Callable[[int, int], None] | None = None,
        *,
        how: Literal["none", "paper", "layers"] | None = None,
        steps: int | None = None,
        prior_weight: float | None = None,
    ) -> Tensor:
        """Latents whose features agree better with label maps (B, H, W).

        ``how``, ``steps`` and ``prior_weight`` default to the method's ``refine``,
        ``refine_steps`` and ``refine_prior``.
        """
        if not self.prototypes.seen.any():
            raise ValueError(
                "Refinement compares features with those of the labelled images, but this model "
                "is untrained; train it, or use --model.refine none."
            )
        paper = (how or self.refine) == "paper"
        prior_weight = self.refine_prior if prior_weight is None else prior_weight
        with torch.inference_mode(mode=False):
            if self.directions is None:
                self.directions = principal_directions(self.generator, self.refine_directions)
            labels = self.shrink(mask.clone())
        found = refine(
            w_plus,
            self.directions,
            lambda w: self.layout_loss(w, labels, as_in_paper=paper),
            self.style_layer,
            shared=paper,
            steps=steps or self.refine_steps,
            lr=self.refine_lr,
            prior_weight=0.0 if paper else prior_weight,
            progress=progress,
        )
        return found.w_plus

    def supply(self, batch: Batch, names: Collection[str]) -> dict[str, Any]:
        """Images that take ever more layers of another sample, from the last one down."""
        if "variations" not in names:
            return {}
        w_plus = self.encode(batch["mask"])
        B, n = len(w_plus), w_plus.shape[1]
        styles = self.generator.repeat(self.sample_w(batch["seed"], self.truncation))
        first = torch.linspace(n, 0, batch["num_samples"], device=self.device).round()
        chosen = torch.arange(n, device=self.device) >= first[:, None]  # (num_samples, n)
        mixed = torch.where(chosen[None, :, :, None], styles[:, None], w_plus[:, None])
        images = self.draw(mixed.flatten(0, 1))
        return {"variations": {"mixed_layers": images.unflatten(0, (B, len(first)))}}
