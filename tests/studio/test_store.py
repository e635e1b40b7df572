import pytest
import torch

from semsynth.studio.store import MissingError, Store


def test_a_key_is_the_digest_of_content_and_shape() -> None:
    store, other = Store(), Store()
    tensor = torch.randn(2, 3)
    assert store.put(tensor) == other.put(tensor.clone())
    assert store.put(tensor) != store.put(tensor.view(3, 2))
    assert store.put(tensor) != store.put(tensor + 1)
    assert torch.equal(store.get(other.put(tensor)), tensor)


def test_what_was_used_last_is_kept_up_to_a_size() -> None:
    store = Store(most=4 * 4 * 2)
    keys = [store.put(torch.full((4,), float(i))) for i in range(2)]
    store.get(keys[0])
    store.put(torch.zeros(4) - 1)
    assert store.get(keys[0])[0] == 0
    with pytest.raises(MissingError, match="expired"):
        store.get(keys[1])
