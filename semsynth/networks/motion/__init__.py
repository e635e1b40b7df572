"""Motion between images, and the latent transformer that makes it (Endo, CGF 2022)."""
