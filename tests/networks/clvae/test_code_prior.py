import torch

from semsynth.networks.clvae.code_prior import CodePrior


def test_prior_begins_as_the_standard_normal() -> None:
    mu, logvar = CodePrior(6, (2, 3, 4))(torch.randn(5, 6))
    assert mu.shape == logvar.shape == (5, 2, 3, 4)
    assert not mu.any()
    assert not logvar.any()


def test_prior_of_each_row_depends_on_the_global_code() -> None:
    prior = CodePrior(6, (2, 3, 4))
    prior.write.data.normal_()
    z = torch.randn(2, 6)
    mu, _ = prior(z)
    hidden = torch.nn.functional.leaky_relu(prior.read(z[1]), 0.2)
    expected = (hidden * prior.gate[1, 2]) @ prior.write[1, :, :4]
    torch.testing.assert_close(mu[1, 1, 2], expected)
    assert not torch.allclose(mu[0], mu[1])
