"""StyleGAN2 (Karras et al., CVPR 2020) and its adaptive augmentation (NeurIPS 2020)."""
