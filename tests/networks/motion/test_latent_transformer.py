from typing import Any

import pytest
import torch
from torch import Tensor, nn

from semsynth.networks.motion.latent_transformer import Attention, LatentTransformer, Part

SIZES: dict[str, Any] = {"num_tokens": 4, "dim": 24, "w_dim": 10, "feature_channels": 7}
SIZES |= {"depth": 2, "num_heads": 3, "head_dim": 8, "mlp_dim": 20}


def build(**changes: Any) -> LatentTransformer:
    torch.manual_seed(0)
    return LatentTransformer(**(SIZES | changes)).eval()


def inputs(batch_size: int = 3, num_points: int = 5) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    draw = torch.Generator().manual_seed(1)
    shapes = [(batch_size, 4, 10), (batch_size, num_points, 3), (batch_size, num_points, 7)]
    w, motions, features = (torch.randn(shape, generator=draw) for shape in shapes)
    return w, motions, features, torch.ones(batch_size, num_points, dtype=torch.bool)


def test_attention_equals_a_written_out_softmax() -> None:
    torch.manual_seed(0)
    attention = Attention(6, 2, 4)
    x, memory = torch.randn(2, 3, 6), torch.randn(2, 5, 6)
    mask = torch.tensor([[1, 1, 0, 1, 0], [1, 0, 0, 0, 1]], dtype=torch.bool)
    answers = []
    for b in range(2):
        heads = []
        kv = memory[b] @ attention.to_kv.weight.mT
        for h in range(2):
            q = (x[b] @ attention.to_q.weight.mT)[:, 4 * h : 4 * h + 4]
            k, v = kv[:, 4 * h : 4 * h + 4], kv[:, 8 + 4 * h : 12 + 4 * h]
            score = (q @ k.mT / 2).masked_fill(~mask[b], -torch.inf)
            heads.append(score.softmax(-1) @ v)
        answers.append(attention.to_out(torch.cat(heads, -1)))
    found = attention(x, memory, mask[:, None, None])
    torch.testing.assert_close(found, torch.stack(answers))


def test_order_of_points_does_not_matter() -> None:
    w, motions, features, mask = inputs()
    order = torch.tensor([3, 0, 4, 1, 2])
    network = build()
    shuffled = network(w, motions[:, order], features[:, order], mask)
    torch.testing.assert_close(network(w, motions, features, mask), shuffled, atol=1e-5, rtol=0)


def test_padded_batch_equals_samples_one_by_one_whatever_the_padding_holds() -> None:
    w, motions, features, mask = inputs()
    numbers = [1, 3, 5]
    mask = torch.arange(5) < torch.tensor(numbers)[:, None]
    motions[~mask], features[~mask] = torch.nan, torch.inf
    network = build()
    together = network(w, motions, features, mask)
    for i, k in enumerate(numbers):
        row = slice(i, i + 1)
        alone = network(w[row], motions[row, :k], features[row, :k], mask[row, :k])
        torch.testing.assert_close(together[row], alone, atol=1e-5, rtol=0)


def test_an_image_without_points_keeps_its_latents_and_gradients_stay_finite() -> None:
    w, motions, features, mask = inputs()
    mask[1], motions[1] = False, torch.nan
    network = build()
    out = network(w, motions, features, mask)
    assert torch.equal(out[1], w[1])
    assert not torch.equal(out[0], w[0])
    out.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


def test_change_is_proportional_to_alpha() -> None:
    w, motions, features, mask = inputs()
    network = build()
    once = network(w, motions, features, mask) - w
    alpha = torch.tensor([0.5, -2.0, 3.0])[:, None, None]
    changed = network(w, motions, features, mask, alpha) - w
    torch.testing.assert_close(changed, alpha * once, atol=1e-5, rtol=1e-5)


def test_zero_head_changes_nothing_at_first() -> None:
    w, *rest = inputs()
    assert torch.equal(build(zero_init_head=True)(w, *rest), w)


@pytest.mark.parametrize(
    ("part", "ignored"), [("motions", [0]), ("features", [1]), ("expansion", []), ("nothing", [])]
)
def test_an_ablation_does_not_see_what_it_leaves_out(part: Part, ignored: list[int]) -> None:
    w, motions, features, mask = inputs()
    network = build(without=part)
    before = network(w, motions, features, mask)
    others = [network(w, motions + 1, features, mask), network(w, motions, features + 1, mask)]
    for i, other in enumerate(others):
        assert torch.equal(before, other) == (i in ignored)
    deeper = network(w, motions + torch.tensor([0.0, 0.0, 1.0]), features, mask)
    assert torch.equal(before, deeper) == (part in ("motions", "expansion"))


def test_without_self_attention_marks_do_not_see_each_other() -> None:
    network = build(without="self_attention")
    names = {name for name, _ in network.encoder.named_parameters()}
    assert not any("attention" in name for name in names)
    w, motions, features, mask = inputs()
    network(w, motions, features, mask).sum().backward()


def test_blocks_are_as_many_as_depth_says() -> None:
    network = build(depth=3)
    assert isinstance(network.encoder, nn.ModuleList)
    assert (len(network.encoder), len(network.decoder)) == (3, 3)
