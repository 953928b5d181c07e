"""The geometry of one batch of houses: camera, planes, and the colours of hour and season.

The camera is to the right of the front, so that the front and the right wall are visible in every picture.
House units: the origin is on the ground below the middle of the house, x along the front, y up, z towards the viewer;
a house is about 1.7 wide. Every visible plane has two coordinates, so that drawings on it are foreshortened. The size
of a pixel in these coordinates is known in closed form, so edges are smooth at any angle.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch

from inversion.synthetic.base import factor_values
from inversion.synthetic.houses.factors import FACTORS
from inversion.synthetic.shapes import palette

if TYPE_CHECKING:
    from torch import Tensor

    Vector = tuple[Tensor, Tensor, Tensor]  # x, y, z in house coordinates, of shapes that broadcast to (B, H, W)
    Axis = tuple[float, float, float]  # a vector that is the same for all houses and pixels

FOCAL = 2.6  # focal length in half pictures
TARGET = 0.72  # height of the point that the camera looks at
# Hours: night, dusk, morning, noon, afternoon. Colours in [0, 1].
SKY_TOP = ((0.06, 0.08, 0.22), (0.33, 0.30, 0.56), (0.42, 0.66, 0.90), (0.27, 0.55, 0.90), (0.36, 0.66, 0.95))
SKY_LOW = ((0.22, 0.24, 0.44), (0.99, 0.64, 0.44), (0.99, 0.88, 0.74), (0.80, 0.91, 0.98), (0.92, 0.95, 0.95))
AMBIENT = ((0.40, 0.44, 0.66), (0.96, 0.80, 0.74), (1.03, 0.98, 0.92), (1.02, 1.02, 1.0), (1.04, 1.02, 0.98))
# Seasons: spring, (early) summer, autumn, winter.
LAWN = ((0.56, 0.76, 0.36), (0.38, 0.62, 0.27), (0.68, 0.62, 0.29), (0.93, 0.95, 0.98))
LEAVES = ((0.97, 0.70, 0.78), (0.56, 0.74, 0.34), (0.26, 0.54, 0.24), (0.90, 0.48, 0.14), (0.84, 0.89, 0.94))
SNOW = (0.90, 0.93, 0.98)

X_AXIS: Axis = (1.0, 0.0, 0.0)
Y_AXIS: Axis = (0.0, 1.0, 0.0)
Z_AXIS: Axis = (0.0, 0.0, 1.0)


def dot(a: Vector | Axis, b: Vector) -> Tensor:
    """Inner product of two vectors in house coordinates, in the shape to which they broadcast."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def strip(x: Tensor, low: float | Tensor, high: float | Tensor, foot: float | Tensor) -> Tensor:
    """Fraction of a pixel of width `foot` around x that is between low and high; exact for lines of any width.

    The arguments broadcast, usually to (B, H, W).
    """
    inside = (x + foot / 2).clamp(max=high) - (x - foot / 2).clamp(min=low)
    return (inside / foot).clamp(0, 1)


@dataclass(frozen=True)
class Plane:
    """A plane seen through every pixel, all (B, H, W): two coordinates on it, and the extent of a pixel in each.

    Coverages are (B, H, W) in [0, 1]; other arguments are in the plane's coordinates and broadcast.
    """

    a: Tensor
    b: Tensor
    foot_a: Tensor
    foot_b: Tensor
    seen: Tensor  # 1 where the plane is in front of the camera

    def box(self, left: float | Tensor, right: float | Tensor, low: float | Tensor, high: float | Tensor) -> Tensor:
        """Coverage of an upright rectangle."""
        return self.seen * strip(self.a, left, right, self.foot_a) * strip(self.b, low, high, self.foot_b)

    def disc(self, a: float | Tensor, b: float | Tensor, radius: float | Tensor) -> Tensor:
        """Coverage of a circle."""
        da, db = self.a - a, self.b - b
        distance = (da.square() + db.square() + 1e-8).sqrt()
        foot = ((da * self.foot_a).square() + (db * self.foot_b).square() + 1e-10).sqrt() / distance
        return self.seen * (0.5 - (distance - radius) / foot.clamp_min(1e-4)).clamp(0, 1)

    def under(self, height: Tensor, slope: Tensor) -> Tensor:
        """Coverage of the area below a line b = height, whose slope against a is at most `slope`."""
        foot = (self.foot_b.square() + (slope * self.foot_a).square()).sqrt()
        return self.seen * (0.5 + (height - self.b) / foot).clamp(0, 1)


class Scene:
    """The parts of one batch of houses that several layers use: grid, camera, sizes, colours and light.

    u (B, len(FACTORS)) in (-1, 1). Sizes are (B, 1, 1), in house units.
    """

    def __init__(self, u: Tensor, resolution: int) -> None:
        self.v: dict[str, Tensor] = {name: value[:, None, None] for name, value in factor_values(u, FACTORS).items()}
        v = self.v
        line = (torch.arange(resolution, device=u.device, dtype=u.dtype) + 0.5) * (2 / resolution) - 1
        self.px, self.py = line.expand(1, resolution, -1), line[:, None].expand(1, -1, resolution)
        self.pixel = 2 / resolution
        yaw, tilt = torch.deg2rad(v["yaw"]), torch.deg2rad(v["elevation"])
        sy, cy, st, ct = torch.sin(yaw), torch.cos(yaw), torch.sin(tilt), torch.cos(tilt)
        self.right: Vector = (cy, torch.zeros_like(cy), -sy)
        self.up: Vector = (-sy * st, ct, -cy * st)
        self.forward: Vector = (-sy * ct, -st, -cy * ct)
        eye = [m - v["distance"] * f for m, f in zip((0.0, TARGET, 0.0), self.forward, strict=True)]
        self.eye: Vector = (eye[0], eye[1], eye[2])
        x, y = self.px - v["shift_x"], self.py - self.lowered
        ray = [FOCAL * f + x * r - y * w for f, r, w in zip(self.forward, self.right, self.up, strict=True)]
        self.ray: Vector = (ray[0], ray[1], ray[2])
        self.horizon = self.lowered - FOCAL * st / ct
        self.half = v["width"] / 2
        self.front = v["depth"] / 2
        self.slope = torch.tan(torch.deg2rad(v["roof_pitch"]))
        self.ridge = v["height"] + self.half * self.slope
        self.lamp: Vector = self._lamp()
        self.night = (1 - v["daytime"] / 0.24).clamp(0, 1)
        self.snow = ((v["season"] - 0.78) / 0.12).clamp(0, 1)
        self.ambient = self.shade("daytime", AMBIENT)
        self.lawn, self.leaves = self.shade("season", LAWN), self.shade("season", LEAVES)

    @property
    def lowered(self) -> Tensor:
        """Row (B, 1, 1) of the camera's target, in half pictures below the middle. Tall houses are lower."""
        return 0.16 + 0.10 * (self.v["height"] - 0.72)

    def solid(self, colour: tuple[float, float, float]) -> Tensor:
        """A named colour (1, 3, 1, 1) on the scene's device."""
        return torch.tensor(colour, device=self.px.device)[None, :, None, None]

    def shade(self, name: str, colours: tuple[tuple[float, float, float], ...]) -> Tensor:
        """Colours (B, 3, 1, 1) at a factor's value on a polyline of colours."""
        return palette(self.v[name][:, 0, 0], colours)[:, :, None, None]

    def _lamp(self) -> Vector:
        """Unit vector to the light, in house coordinates: from the sun's side, in front of the house."""
        across, above = 0.85 * self.v["sun_x"], 0.55
        ahead = (1 - across.square() - above**2).clamp_min(0.04).sqrt()
        parts = [
            across * r + above * up - ahead * f for r, up, f in zip(self.right, self.up, self.forward, strict=True)
        ]
        return parts[0], parts[1], parts[2]

    def lit(self, normal: tuple[float | Tensor, float | Tensor, float | Tensor]) -> Tensor:
        """Brightness (B, 1, 1) of a plane with this normal: 1 where it faces the light."""
        cosine = normal[0] * self.lamp[0] + normal[1] * self.lamp[1] + normal[2] * self.lamp[2]
        return 0.62 + 0.44 * cosine.clamp_min(0)

    def plane(self, normal: Vector | Axis, offset: float | Tensor, a: Vector | Axis, b: Vector | Axis) -> Plane:
        """The plane of points p with normal . p = offset (house units), with coordinates along the axes a and b."""
        towards = dot(normal, self.ray)
        towards = torch.where(towards.abs() < 1e-3, torch.full_like(towards, 1e-3), towards)
        t = (offset - dot(normal, self.eye)) / towards
        tilt_x, tilt_y = dot(normal, self.right) / towards, dot(normal, self.up) / towards

        def read(axis: Vector | Axis) -> tuple[Tensor, Tensor]:
            along = dot(axis, self.ray)
            dx = t * (dot(axis, self.right) - along * tilt_x)
            dy = t * (dot(axis, self.up) - along * tilt_y)
            return dot(axis, self.eye) + t * along, self.pixel * (dx.square() + dy.square() + 1e-10).sqrt()

        (first, foot_a), (second, foot_b) = read(a), read(b)
        return Plane(first, second, foot_a, foot_b, (t > 0).to(first))

    def project(self, x: Tensor, y: Tensor, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Picture coordinates x, y of a point, and the half pictures that a house unit covers there; all (B, 1, 1)."""
        rest: Vector = (x - self.eye[0], y - self.eye[1], z - self.eye[2])
        scale = FOCAL / dot(rest, self.forward)
        return scale * dot(rest, self.right) + self.v["shift_x"], self.lowered - scale * dot(rest, self.up), scale

    @cached_property
    def ground(self) -> Plane:
        """The ground with coordinates x and z."""
        return self.plane(Y_AXIS, 0.0, X_AXIS, Z_AXIS)

    @cached_property
    def facade(self) -> Plane:
        """The front wall with coordinates x and y."""
        return self.upright(self.front)

    def upright(self, z: Tensor) -> Plane:
        """The plane parallel to the front at depth z (B, 1, 1), with coordinates x and y."""
        return self.plane(Z_AXIS, z, X_AXIS, Y_AXIS)

    def flank(self, x: Tensor) -> Plane:
        """The plane parallel to the side wall at x (B, 1, 1), with coordinates z and y."""
        return self.plane(X_AXIS, x, Z_AXIS, Y_AXIS)
