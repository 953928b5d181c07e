"""The geometry of one batch of faces: pose, the ellipsoids of head and hair, their colours, the light.

An ellipsoid head is turned by yaw and pitch, and parallel rays intersect it. The features are drawn in the frontal
coordinates of the hit points, so that they are foreshortened as on a real face.

Head units: x to the right, y down, z to the viewer; the head is about 0.85 wide and 1.1 high.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from inversion.synthetic.base import factor_values
from inversion.synthetic.faces.factors import FACTORS
from inversion.synthetic.shapes import hsl, palette, step

if TYPE_CHECKING:
    from torch import Tensor

SKIN = ((0.97, 0.85, 0.77), (0.92, 0.74, 0.62), (0.80, 0.59, 0.45), (0.62, 0.42, 0.30), (0.42, 0.27, 0.19))
CENTRED = 0.7  # fraction of the features' shift under yaw and pitch that the crop follows
HAIR = (
    (0.10, 0.08, 0.08),
    (0.23, 0.15, 0.11),
    (0.40, 0.25, 0.15),
    (0.55, 0.26, 0.12),
    (0.80, 0.42, 0.18),
    (0.80, 0.62, 0.33),
    (0.92, 0.80, 0.54),
)


@dataclass(frozen=True)
class Surface:
    """A turned ellipsoid seen along z: the hit point of each ray in head coordinates."""

    x: Tensor  # (B, H, W) frontal coordinates of the hit point
    y: Tensor
    z: Tensor
    edge: Tensor  # signed distance to the silhouette in head units
    normal: tuple[Tensor, Tensor, Tensor]  # unit, in head coordinates


class Face:
    """The parts of one batch of faces that several layers use: grid, pose, surfaces, colours, light.

    u (B, len(FACTORS)) in (-1, 1); extras: name -> (B,), see `render`.
    """

    def __init__(self, u: Tensor, resolution: int, extras: Mapping[str, Tensor]) -> None:
        self.v: dict[str, Tensor] = {name: value[:, None, None] for name, value in factor_values(u, FACTORS).items()}
        self.extras = {name: value[:, None, None] for name, value in extras.items()}
        v = self.v
        line = (torch.arange(resolution, device=u.device, dtype=u.dtype) + 0.5) * (2 / resolution) - 1
        self.px, self.py = line.expand(1, resolution, -1), line[:, None].expand(1, -1, resolution)
        yaw, pitch = torch.deg2rad(v["yaw"]), torch.deg2rad(v["pitch"])
        sy, cy, sp, cp = torch.sin(yaw), torch.cos(yaw), torch.sin(pitch), torch.cos(pitch)
        # Rows of the rotation from head to camera, yaw after pitch.
        self.rotation = ((cy, sy * sp, sy * cp), (torch.zeros_like(cy), cp, -sp), (-sy, cy * sp, cy * cp))
        self.turn, self.lift = sy, sp
        # Portraits are cropped around eyes and mouth (as in FFHQ), so a turning head moves more than its features.
        follow_x, follow_y = CENTRED * 0.42 * sy * cp, -CENTRED * 0.42 * sp
        x = (self.px - v["shift_x"]) / v["scale"] + follow_x
        y = (self.py + 0.03 - v["shift_y"]) / v["scale"] + follow_y
        roll = torch.deg2rad(v["roll"])
        self.x, self.y = torch.cos(roll) * x + torch.sin(roll) * y, torch.cos(roll) * y - torch.sin(roll) * x
        self.pixel = (2.6 / resolution) / v["scale"]
        self.skull = (v["head_width"], v["head_height"], 0.9 * v["head_height"])
        azimuth, elevation = torch.deg2rad(v["light_azimuth"]), torch.deg2rad(v["light_elevation"])
        self.light = (
            torch.sin(azimuth) * torch.cos(elevation),
            -torch.sin(elevation),
            torch.cos(azimuth) * torch.cos(elevation),
        )
        self.skin, self.hair = self._skin(), self._hair()
        self.head = self.surface(self.skull)
        self.cap = self._cap()

    def _skin(self) -> Tensor:
        v = {name: value[:, 0, 0] for name, value in self.v.items()}
        colour = palette(v["skin_tone"], SKIN)
        warmth = torch.tensor([0.02, 0.0, -0.03], device=colour.device) * v["skin_warmth"][:, None]
        colour = colour + warmth
        if "skin_hue" in self.extras:
            odd = hsl(self.extras["skin_hue"][:, 0, 0], 0.5, torch.full_like(v["age"], 0.6))
            colour = torch.lerp(colour, odd, self.extras["skin_odd"][:, 0, 0][:, None])
        return colour[:, :, None, None]

    def _hair(self) -> Tensor:
        v = {name: value[:, 0, 0] for name, value in self.v.items()}
        colour = palette(v["hair_colour"], HAIR) * v["hair_lightness"][:, None]
        grey = torch.tensor([0.74, 0.73, 0.73], device=colour.device) * v["hair_lightness"][:, None]
        return torch.lerp(colour, grey, (0.92 * step(0.62, 0.95, v["age"]))[:, None])[:, :, None, None]

    def _cap(self) -> Surface:
        """The ellipsoid of the hair. Short hair is close to the temples: a gap would look like a floating line."""
        v = self.v
        full = torch.maximum(step(0.06, -0.14, self.y), step(0.3, 0.6, v["hair_length"]))
        grown = 1.006 + v["hair_volume"] * full
        return self.surface(
            (v["head_width"] * grown, v["head_height"] * (1 + 0.75 * v["hair_volume"]), self.skull[2] * grown)
        )

    def surface(self, radii: tuple[Tensor, Tensor, Tensor]) -> Surface:
        """Intersect the ray of every pixel with the ellipsoid of these radii (B, 1, 1), which narrows at the chin."""
        v = self.v
        rx, ry, rz = radii
        taper = step(-0.1, 1.0, self.y / ry)
        x, y = self.x / (1 - v["jaw"] * taper), self.y / (1 + v["chin"] * taper)
        columns = [[self.rotation[i][j] / r for j, r in enumerate((rx, ry, rz))] for i in range(3)]
        flat = [columns[0][j] * x + columns[1][j] * y for j in range(3)]
        depth = columns[2]
        a = depth[0] * depth[0] + depth[1] * depth[1] + depth[2] * depth[2]
        b = depth[0] * flat[0] + depth[1] * flat[1] + depth[2] * flat[2]
        c = flat[0] * flat[0] + flat[1] * flat[1] + flat[2] * flat[2]
        rest = a * (1 - c) + b * b  # discriminant: positive inside the silhouette, a on its axis
        z = (rest.clamp_min(0).sqrt() - b) / a
        reach = (1 - rest / a).clamp_min(1e-6).sqrt()
        edge = (reach - 1) * (self.x.square() + self.y.square() + 1e-6).sqrt() / reach
        q = [(flat[j] + depth[j] * z) for j in range(3)]  # on the unit sphere
        n = [q[j] / r for j, r in enumerate((rx, ry, rz))]
        length = (n[0] * n[0] + n[1] * n[1] + n[2] * n[2] + 1e-8).rsqrt()
        return Surface(q[0] * rx, q[1] * ry, q[2] * rz, edge, (n[0] * length, n[1] * length, n[2] * length))

    def plane(self, z: float) -> tuple[Tensor, Tensor]:
        """Head coordinates x, y (B, H, W) on the plane at depth z in front of the centre of the head, for glasses."""
        r = self.rotation
        depth = (z - r[0][2] * self.x - r[1][2] * self.y) / r[2][2]
        x = r[0][0] * self.x + r[1][0] * self.y + r[2][0] * depth
        y = r[0][1] * self.x + r[1][1] * self.y + r[2][1] * depth
        return x, y

    def lit(self, normal: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        """Wrapped Lambert shading (B, H, W) of a normal in head coordinates: about 1 where it faces the light."""
        r, light = self.rotation, self.light
        towards = [sum(r[i][j] * light[i] for i in range(3)) for j in range(3)]  # the light in head coordinates
        cosine = normal[0] * towards[0] + normal[1] * towards[1] + normal[2] * towards[2]
        wrapped = (0.5 + 0.5 * cosine).clamp_min(0)
        contrast = self.v["light_contrast"]
        return (1 - contrast) + contrast * 1.42 * wrapped * wrapped.sqrt()
