"""Inversion of a StyleGAN2 by optimisation.

``default_recipe`` follows the projection of StyleGAN2 (Karras et al., CVPR 2020, appendix D), first
in W and then in W+; ``upstream_recipe`` is that of the released code of FewShotSMIS (Endo and
Kanamori, 2021).
"""

from semsynth.inversion.recipe import Recipe, default_recipe, upstream_recipe
from semsynth.inversion.search import Distance, Inversion, invert

__all__ = ["Distance", "Inversion", "Recipe", "default_recipe", "invert", "upstream_recipe"]
