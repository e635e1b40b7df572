"""CLVAE on SPADE (Endo and Kanamori, Pacific Graphics 2020)."""
