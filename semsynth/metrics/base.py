"""What a metric of images is."""

from torchmetrics import Metric


class ImageMetric(Metric):
    """A metric whose ``update`` names what it wants and whose ``compute`` names what it gives.

    The parameters of ``update`` are ``fake`` (B, 3, H, W), the generated images, ``fakes``
    (B, K, 3, H, W), K of them for each mask, or keys of the batch. ``compute`` returns a dictionary
    of the names to log. States are sums, so that several processes add up.
    """

    full_state_update = False
    is_differentiable = False
