"""ĥ: the feed-forward network that learns the homeomorphism (section 2, table 2)."""

from __future__ import annotations

from torch import Tensor, nn

from gtn_fast.inputs.arguments import check_integer
from gtn_fast.learn.presets import Preset, check_slope
from gtn_fast.learn.sizes import MAX_LAYERS, MAX_WIDTH, check_weights
from gtn_fast.learn.training.generators import seeded


class HHat(nn.Module):
    """ĥ: (b, d) source points -> (b, d) data points, float32.

    ``layers`` times Linear -> LeakyReLU(``negative_slope``) -> BatchNorm, all ``width`` wide,
    batch norm on the first ``batch_norm_layers`` only, then a linear output. ValueError or
    TypeError for sizes that make no network.
    """

    def __init__(
        self,
        d: int,
        *,
        layers: int,
        width: int,
        batch_norm_layers: int = 0,
        negative_slope: float = 0.5,
    ) -> None:
        super().__init__()
        self.d = check_integer(d, "d", 1, 2**31 - 1)
        layers = check_integer(layers, "layers", 1, MAX_LAYERS)
        width = check_integer(width, "width", 1, MAX_WIDTH)
        check_integer(batch_norm_layers, "batch_norm_layers", 0, layers)
        check_slope(negative_slope)
        slope = float(negative_slope)  # torch refuses an integer of more than 64 bits
        weights = (2 * self.d + (layers - 1) * width) * width
        check_weights(weights, f"a network of {layers} layers of width {width} for d = {self.d}")
        stack: list[nn.Module] = []
        for layer in range(layers):
            stack.append(nn.Linear(self.d if layer == 0 else width, width))
            stack.append(nn.LeakyReLU(slope, inplace=slope > 0))
            if layer < batch_norm_layers:
                stack.append(nn.BatchNorm1d(width))
        self.net = nn.Sequential(*stack, nn.Linear(width, self.d))

    @classmethod
    def of(cls, d: int, preset: Preset, seed: int) -> HHat:
        """Make the preset's network, weights drawn from ``seed``, not from torch's generator."""
        shape = {
            name: getattr(preset, name)
            for name in ("layers", "width", "batch_norm_layers", "negative_slope")
        }
        return seeded(lambda: cls(d, **shape), seed)

    def forward(self, y: Tensor) -> Tensor:
        """Map (b, d) to (b, d)."""
        x: Tensor = self.net(y)
        return x
