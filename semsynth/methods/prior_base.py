"""Methods with a frozen generator that is not in their checkpoints."""

from typing import Any, Self

from torch import Tensor

from semsynth.methods.base import Method
from semsynth.networks.noise import seeded_normal
from semsynth.weights import priors


class PriorMethod(Method):
    """A method with a frozen StyleGAN2, ``generator``, which a checkpoint names by fingerprint.

    Args:
        prior: Name of a shipped prior, such as ``toy_portrait``, or a file with its card.
    """

    frozen: tuple[str, ...] = ("generator",)

    def __init__(self, prior: str) -> None:
        super().__init__()
        self.prior = prior
        self.prior_card = priors.read_card(priors.find_prior(prior))
        self.generator = priors.load_generator(prior)

    def train(self, mode: bool = True) -> Self:
        """Change the mode of all but the prior."""
        super().train(mode)
        self.generator.eval()
        return self

    def sample_w(self, seed: Tensor, truncation: float = 1.0) -> Tensor:
        """Latents (B, w_dim) that depend on the seeds (B,) alone; truncation 0 gives the mean."""
        z = seeded_normal(seed, self.generator.z_dim)
        return self.generator.truncate(self.generator.mapping(z), truncation)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Store the prior's fingerprint in place of its weights."""
        super().on_save_checkpoint(checkpoint)
        fingerprint = priors.fingerprint(self.generator)
        checkpoint["prior"] = {"name": self.prior, "fingerprint": fingerprint}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse a checkpoint that was trained on another prior."""
        priors.require_prior("The checkpoint", checkpoint.get("prior"), self.generator)
        super().on_load_checkpoint(checkpoint)
