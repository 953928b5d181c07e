"""Convolutional bodies of the encoders: IR-SE (ArcFace's residual network) and a ResNet-34 without pooling."""

from collections.abc import Mapping, Sequence
from functools import partial

from torch import Tensor, nn
from torch.nn import functional as F

from inversion.generators.base import StateDictError, build_without_weights, count_keys, shapes_of

REDUCTION = 16  # factor of the channels inside squeeze and excitation
Table = Sequence[tuple[int, int]]  # input and output channels of every unit


def stages(*lengths: tuple[int, int]) -> Table:
    """The table of units, for stages given as (channels, number of units)."""
    widths = [width for width, length in lengths for _ in range(length)]
    return list(zip([widths[0], *widths[:-1]], widths, strict=True))


IR_SE_50 = stages((64, 3), (128, 4), (256, 14), (512, 3))


class _Excite(nn.Module):
    """Squeeze and excitation: scales channels by a function of their means."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, channels // REDUCTION, 1, bias=False)
        self.fc2 = nn.Conv2d(channels // REDUCTION, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, h, h) to itself."""
        return x * self.fc2(F.relu(self.fc1(x.mean(dim=(2, 3), keepdim=True)))).sigmoid()


class _Unit(nn.Module):
    """IR-SE unit; `stride` 2 halves the side. The shortcut is a 1x1 convolution if the number of channels changes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.shortcut_layer = None
        if inputs != outputs:
            project = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.shortcut_layer = nn.Sequential(project, nn.BatchNorm2d(outputs))
        self.res_layer = nn.Sequential(
            nn.BatchNorm2d(inputs),
            nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
            nn.PReLU(outputs),
            nn.Conv2d(outputs, outputs, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            _Excite(outputs),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, h, h) to (B, outputs, h / stride, h / stride)."""
        skip = x[:, :, :: self.stride, :: self.stride] if self.shortcut_layer is None else self.shortcut_layer(x)
        return self.res_layer(x) + skip


class _Basic(nn.Module):
    """ResNet's basic unit (He et al. 2016)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        stride = 1 if inputs == outputs else 2
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride == 2:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, 2, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, h, h) to (B, outputs, h / stride, h / stride)."""
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class Backbone(nn.Module):
    """A stem and units in stages. A stage starts where the number of channels changes, and halves the side there."""

    body: nn.Sequential
    inputs: int  # channels
    reduction: int  # side of the input over the side of the last map
    taps: tuple[int, ...]  # the last unit of every stage
    widths: tuple[int, ...]  # channels there

    def __init__(self, inputs: int, units: Table) -> None:
        super().__init__()
        self.inputs = inputs
        ends = [i for i, (_, outputs) in enumerate(units) if i + 1 == len(units) or units[i + 1][1] != outputs]
        self.taps = tuple(ends)
        self.widths = tuple(units[i][1] for i in ends)
        self.reduction = 2 ** len(ends)

    def stem(self, x: Tensor) -> Tensor:
        """Run the layers before the units on (B, inputs, H, H)."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map (B, inputs, H, H) to the maps at the end of every stage, largest first."""
        x = self.stem(x)
        maps = []
        for i, unit in enumerate(self.body):
            x = unit(x)
            if i in self.taps:
                maps.append(x)
        return maps


class IRSE(Backbone):
    """Improved residual network with squeeze and excitation (Deng et al. 2019); every stage halves the side."""

    def __init__(self, inputs: int = 3, units: Table = IR_SE_50) -> None:
        super().__init__(inputs, units)
        width = units[0][0]
        conv = nn.Conv2d(inputs, width, 3, padding=1, bias=False)
        self.input_layer = nn.Sequential(conv, nn.BatchNorm2d(width), nn.PReLU(width))
        starts = {0, *(i + 1 for i in self.taps)}
        self.body = nn.Sequential(*(_Unit(a, b, 2 if i in starts else 1) for i, (a, b) in enumerate(units)))

    def stem(self, x: Tensor) -> Tensor:
        """Map (B, inputs, H, H) to (B, C, H, H)."""
        return self.input_layer(x)


class ResNet(Backbone):
    """ResNet with a 7x7 stem of stride 2 and no pooling. The first stage keeps the side, the others halve it."""

    def __init__(self, inputs: int, units: Table) -> None:
        super().__init__(inputs, units)
        width = units[0][0]
        self.conv1 = nn.Conv2d(inputs, width, 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.PReLU(width)
        self.body = nn.Sequential(*(_Basic(a, b) for a, b in units))

    def stem(self, x: Tensor) -> Tensor:
        """Map (B, inputs, H, H) to (B, C, H/2, H/2)."""
        return self.relu(self.bn1(self.conv1(x)))


class Halving(nn.Module):
    """Residual pair of 3x3 convolutions on a halved map: the unit of the embedded networks."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.skip = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, H, H) to (B, outputs, H/2, H/2)."""
        x = F.avg_pool2d(x, 2)
        y = self.norm2(self.conv2(F.silu(self.norm1(self.conv1(x)))))
        return F.silu(self.skip(x) + y)


def backbone_of(owner: str, tensors: Mapping[str, Tensor], prefix: str = "backbone.") -> Backbone:
    """Build, without weights, the backbone that the tensors under `prefix` describe.

    Raises StateDictError, with `owner` in the text, if they describe none.
    """
    for kind, stem, conv in (
        (IRSE, "input_layer.0.weight", "body.{}.res_layer.1.weight"),
        (ResNet, "conv1.weight", "body.{}.conv1.weight"),
    ):
        if prefix + stem in tensors:
            pattern = prefix + conv
            names = [pattern.format(i) for i in range(count_keys(tensors, pattern))]
            stem_shape, *shapes = shapes_of(owner, tensors, [prefix + stem, *names], 4)
            if not shapes:
                raise StateDictError(f"{owner}: missing {pattern.format(0)}")
            units = [(shape[1], shape[0]) for shape in shapes]
            return build_without_weights(partial(kind, stem_shape[1], units))
    raise StateDictError(f"{owner}: missing {prefix}input_layer.0.weight")
