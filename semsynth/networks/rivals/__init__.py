"""Networks that CLVAE is compared with."""
