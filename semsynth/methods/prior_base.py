"""Methods that stand on a frozen generator and keep it out of their checkpoints."""

from typing import Any, Self

from torch import Tensor

from semsynth.methods.base import Method
from semsynth.networks.noise import seeded_normal
from semsynth.weights.priors import (
    find_prior,
    fingerprint,
    load_generator,
    read_card,
    require_prior,
)

PRIOR_KEY = "prior"


class PriorMethod(Method):
    """A method with a frozen StyleGAN2, ``generator``, which a checkpoint names by fingerprint.

    Attributes:
        generator: The prior, in eval mode always.
        prior: Its name or path.
        prior_card: What its card says, such as ``feature_resolution``.

    Args:
        prior: Name of a prior that ships, such as ``toy_portrait``, or the path of a file with its
            card.

    Raises:
        MissingWeightsError: There is no such prior.
        WeightsError: The file is no prior.
    """

    frozen: tuple[str, ...] = ("generator",)

    def __init__(self, prior: str) -> None:
        super().__init__()
        self.prior = prior
        self.prior_card = read_card(find_prior(prior))
        self.generator = load_generator(prior)

    def train(self, mode: bool = True) -> Self:
        """Change the mode of all but the prior."""
        super().train(mode)
        self.generator.eval()
        return self

    def sample_w(self, seed: Tensor, truncation: float = 1.0) -> Tensor:
        """Latents that depend on the seeds alone, on any device.

        Args:
            seed: Seeds (B,), as of ``sample_seed``.
            truncation: 1 is none, 0 the mean latent.

        Returns:
            w (B, w_dim).
        """
        z = seeded_normal(seed, self.generator.z_dim)
        return self.generator.truncate(self.generator.mapping(z), truncation)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Store the prior's fingerprint in place of its weights."""
        super().on_save_checkpoint(checkpoint)
        checkpoint[PRIOR_KEY] = {"name": self.prior, "fingerprint": fingerprint(self.generator)}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse a checkpoint that was trained on another prior."""
        require_prior("The checkpoint", checkpoint.get(PRIOR_KEY), self.generator)
        super().on_load_checkpoint(checkpoint)
