"""Layers of the house itself: walls with windows, shutters, beams and door, roof, chimney, porch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from inversion.synthetic.canvas import Canvas
from inversion.synthetic.houses.scene import SNOW, Plane, Scene, dot, strip
from inversion.synthetic.shapes import bump, hsl, palette, step

if TYPE_CHECKING:
    from torch import Tensor

    from inversion.synthetic.houses.scene import Vector

# Colours in [0, 1]; those of roofs and walls are interpolated between neighbours.
ROOFS = (
    (0.30, 0.33, 0.40),
    (0.36, 0.44, 0.52),
    (0.48, 0.36, 0.30),
    (0.66, 0.30, 0.22),
    (0.80, 0.42, 0.26),
    (0.44, 0.50, 0.36),
)
WALLS = (
    (0.95, 0.93, 0.87),
    (0.95, 0.82, 0.52),
    (0.90, 0.60, 0.46),
    (0.70, 0.30, 0.26),
    (0.88, 0.66, 0.70),
    (0.62, 0.68, 0.84),
    (0.52, 0.74, 0.76),
    (0.66, 0.76, 0.56),
    (0.94, 0.94, 0.90),
)
TRIM = (0.96, 0.95, 0.92)
BEAMS = (0.36, 0.23, 0.16)
BRICK = (0.62, 0.34, 0.28)
STONE = (0.70, 0.68, 0.66)
GLASS = (0.36, 0.47, 0.58)
GLOW = (1.0, 0.84, 0.48)
EDGE_ON = 0.08  # a slope is hidden if the eye is closer to its plane, where rounding errors would be visible
ROWS = 7  # of tiles
TALL = 9.0  # a height above every roof
FRONT, RIGHT = (0.0, 0.0, 1.0), (1.0, 0.0, 0.0)  # normals of the walls


def wall_colour(scene: Scene) -> Tensor:
    """Colour (B, 3, 1, 1) of the plaster."""
    plaster = palette(scene.v["wall_colour"][:, 0, 0], WALLS)[:, :, None, None]
    return plaster * scene.v["wall_lightness"][:, None]


def bright(scene: Scene, name: str, saturation: float, lightness: float) -> Tensor:
    """A saturated colour (B, 3, 1, 1) with the hue of a factor."""
    hue = scene.v[name][:, 0, 0]
    return hsl(hue, saturation, torch.full_like(hue, lightness))[:, :, None, None]


def roof_colour(scene: Scene) -> Tensor:
    """Colour (B, 3, 1, 1) of the tiles, under snow in winter."""
    tiles = palette(scene.v["roof_colour"][:, 0, 0], ROOFS)[:, :, None, None]
    return torch.lerp(tiles, scene.solid(SNOW), 0.86 * scene.snow[:, None])


def chimney(scene: Scene, canvas: Canvas) -> None:
    """A chimney behind the ridge, with smoke."""
    v = scene.v
    shown = step(-0.25, -0.10, v["chimney"])
    x, z, half = v["chimney_x"] * scene.half, -0.25 * scene.front, 0.115
    top = scene.ridge - 0.75 * (x.abs() * scene.slope) + 0.34
    _smoke(scene, canvas, (x, top, z), shown * step(0.0, 0.4, v["smoke"]))
    brick = scene.solid(BRICK) * scene.ambient
    front, side = scene.upright(z + half), scene.flank(x + half)
    facing, turned = (brick * scene.lit(normal)[:, None] for normal in (FRONT, RIGHT))
    canvas.paint(shown * side.box(z - half, z + half, 0.5, top), turned, "chimney")
    canvas.paint(shown * front.box(x - half, x + half, 0.5, top), facing, "chimney")
    cap = front.box(x - half - 0.03, x + half + 0.03, top - 0.03, top + 0.05)
    canvas.paint(shown * cap, torch.lerp(brick * 0.7, scene.solid(SNOW), 0.8 * scene.snow[:, None]), "chimney")


def _smoke(scene: Scene, canvas: Canvas, source: Vector, shown: Tensor) -> None:
    """Puffs that drift as they rise; the class of the sky is unchanged."""
    x, y, scale = scene.project(*source)
    colour = scene.solid((0.96, 0.96, 0.97)) * scene.ambient
    for i in range(4):
        dx = (scene.px - x) / scale - 0.05 * i - 0.036 * i**2
        dy = (y - scene.py) / scale - 0.16 - 0.20 * i
        puff = bump((dx.square() + dy.square() + 1e-8).sqrt(), 0.13 + 0.05 * i)
        canvas.paint(shown * (0.62 - 0.12 * i) * puff, colour)


@dataclass(frozen=True)
class Slope:
    """One side of the roof: outward normal, plane with coordinates along the ridge and upwards, sizes (B, 1, 1)."""

    normal: Vector
    plane: Plane
    top: Tensor  # the second coordinate at the ridge
    length: Tensor  # from the ridge to the eaves
    end: Tensor  # half the length of the ridge

    def coverage(self, height: float | Tensor) -> Tensor:
        """Coverage (B, H, W) of the strip from the eaves to this height above them, measured along the slope."""
        low = self.top - self.length
        return self.plane.box(-self.end, self.end, low, low + height)


def slope(scene: Scene, side: float) -> Slope:
    """The right (side = 1) or the left (-1) half of the roof."""
    v = scene.v
    slant = _slant(scene)
    sine, cosine, none = scene.slope / slant, 1 / slant, torch.zeros_like(slant)
    normal = (side * sine, cosine, none)
    plane = scene.plane(normal, cosine * scene.ridge, (none, none, none + 1), (-side * cosine, sine, none))
    return Slope(normal, plane, sine * scene.ridge, (scene.half + v["eaves"]) * slant, scene.front + v["eaves"])


def _slant(scene: Scene) -> Tensor:
    """Length of the slope for each unit across."""
    return (1 + scene.slope.square()).sqrt()


def far_roof(scene: Scene, canvas: Canvas) -> None:
    """The far half of the roof: its dark underside is visible between wall and eaves."""
    far = slope(scene, -1.0)
    canvas.paint(far.coverage(far.length), roof_colour(scene) * (0.42 * scene.ambient), "roof")


def near_roof(scene: Scene, canvas: Canvas) -> None:
    """The near half of the roof with rows of tiles, and the boards along the gable."""
    v, near = scene.v, slope(scene, 1.0)
    above = dot(near.normal, scene.eye) - near.normal[1] * scene.ridge  # the eye's height over the slope
    visible = step(0.0, EDGE_ON, above)
    height = (near.plane.b - near.top) / near.length + 1
    shade = scene.lit(near.normal) * (0.90 + 0.16 * height) * (1 + 0.05 * torch.sin(2 * torch.pi * ROWS * height))
    colour = roof_colour(scene) * scene.ambient
    canvas.paint(visible * near.coverage(near.length), colour * shade[:, None], "roof")
    canvas.paint(0.5 * visible * near.coverage(0.05), colour * 0.55, "roof")
    gable = scene.upright(scene.front + v["eaves"])
    line = scene.ridge - gable.a.abs() * scene.slope
    board = gable.under(line, scene.slope) * (1 - gable.under(line - 0.085 * _slant(scene), scene.slope))
    within = gable.box(-scene.half - v["eaves"], scene.half + v["eaves"], 0.0, TALL)
    trim = torch.lerp(roof_colour(scene) * 0.72, scene.solid(TRIM), 0.80) * scene.lit(FRONT)[:, None]
    canvas.paint(board * within, trim * scene.ambient, "roof")


@dataclass(frozen=True)
class Wall:
    """A visible wall: its plane, and its brightness (B, 1, 1)."""

    plane: Plane
    light: Tensor


def front_wall(scene: Scene) -> Wall:
    """The wall with the door, with coordinates x and y."""
    return Wall(scene.facade, scene.lit(FRONT))


def side_wall(scene: Scene) -> Wall:
    """The wall at the right, with coordinates z and y."""
    return Wall(scene.flank(scene.half), scene.lit(RIGHT))


def walls(scene: Scene, canvas: Canvas) -> None:
    """The front and the right wall, and the timber frame."""
    v = scene.v
    colour = wall_colour(scene) * scene.ambient
    front, side = front_wall(scene), side_wall(scene)
    gable = scene.ridge - front.plane.a.abs() * scene.slope
    pentagon = front.plane.box(-scene.half, scene.half, 0.0, TALL) * front.plane.under(gable, scene.slope)
    rectangle = side.plane.box(-scene.front, scene.front, 0.0, v["height"])
    for wall, top, alpha in ((side, v["height"], rectangle), (front, gable, pentagon)):
        eaves, ground = step(0.32, 0.0, top - wall.plane.b), step(0.25, 0.0, wall.plane.b)
        shade = wall.light * (1 - 0.30 * eaves) * (1 - 0.14 * ground)
        canvas.paint(alpha, colour * shade[:, None], "wall")
    _beams(scene, canvas, front, pentagon)


def _beams(scene: Scene, canvas: Canvas, wall: Wall, inside: Tensor) -> None:
    """The timber frame of the front, with a post in the gable and two struts."""
    v, front = scene.v, wall.plane
    shown = step(0.22, 0.38, v["beams"])
    half, top, thick = scene.half, v["height"], 0.075
    pieces = [
        front.box(-half, half, top - thick, top),
        front.box(-half, half, 0.0, thick),
        front.box(-thick / 2, thick / 2, top, TALL),
    ]
    gable = strip(front.b, top, scene.ridge, front.foot_b)
    foot = (front.foot_a.square() + (0.85 * front.foot_b).square()).sqrt()
    for side in (-1.0, 1.0):
        edge = side * (half - thick / 2)
        pieces.append(front.box(edge - thick / 2, edge + thick / 2, 0.0, top))
        strut = (side * front.a + 0.85 * (front.b - top) - 0.16).abs() - 0.05
        pieces.append((0.5 - strut / foot).clamp(0, 1) * gable * (side * front.a > 0))
    frame = torch.stack(pieces).amax(dim=0)
    colour = scene.solid(BEAMS) * scene.ambient * wall.light[:, None]
    canvas.paint(shown * frame * inside, colour, "beams")


def windows(scene: Scene, canvas: Canvas) -> None:
    """Windows beside the door, on the side wall, on the upper floor of tall houses, and in the gable."""
    v = scene.v
    front, flank, door = front_wall(scene), side_wall(scene), v["door_x"] * scene.half
    low, high, width = torch.full_like(door, 0.44), v["height"] - 0.27, v["window_width"]
    upper = step(1.14, 1.20, v["height"])
    for side in (-1.0, 1.0):
        room = scene.half - side * door - 0.22  # between the door's frame and the corner
        fitting = torch.minimum(width, room - 0.14)
        at = side * (scene.half - 0.06 - room / 2)
        _window(scene, canvas, front, (at, low), fitting, step(0.10, 0.18, fitting))
        _window(scene, canvas, front, (side * 0.52 * scene.half, high), width, upper)
        z = side * 0.48 * scene.front
        _window(scene, canvas, flank, (z, low), width, torch.ones_like(low))
        _window(scene, canvas, flank, (z, high), width, upper)
    _attic(scene, canvas)


def _glass(scene: Scene, plane: Plane, low: float | Tensor) -> Tensor:
    """Colour of a pane: it reflects the sky by day, more towards the top, and glows at night."""
    day = scene.solid(GLASS) * scene.ambient * (0.85 + 0.7 * (plane.b - low).clamp(0, 0.4))[:, None]
    return torch.lerp(day, scene.solid(GLOW), (0.95 * step(0.15, 0.6, scene.night))[:, None])


def _window(
    scene: Scene, canvas: Canvas, wall: Wall, middle: tuple[Tensor, Tensor], width: Tensor, shown: Tensor
) -> None:
    """A window with frame, cross and sill, and shutters if the house has them."""
    v, plane = scene.v, wall.plane
    x, y = middle
    half, tall = width / 2, v["window_height"] / 2
    light = scene.ambient * wall.light[:, None]
    open_ = shown * step(-0.05, 0.10, v["shutters"])
    near, far = half + 0.03, half + 0.03 + 0.42 * width
    for left, right in ((x - far, x - near), (x + near, x + far)):
        leaf = plane.box(left, right, y - tall - 0.02, y + tall + 0.02)
        canvas.paint(open_ * leaf, bright(scene, "shutter_hue", 0.45, 0.38) * (1.05 * light), "shutters")
    frame = plane.box(x - half - 0.035, x + half + 0.035, y - tall - 0.045, y + tall + 0.035)
    canvas.paint(shown * frame, scene.solid(TRIM) * light, "window")
    pane = plane.box(x - half, x + half, y - tall, y + tall)
    canvas.paint(shown * pane, _glass(scene, plane, y - tall), "window")
    post = plane.box(x - 0.014, x + 0.014, y - tall, y + tall)
    bar = plane.box(x - half, x + half, y - 0.014, y + 0.014)
    canvas.paint(shown * torch.maximum(post, bar), scene.solid(TRIM) * light, "window")


def _attic(scene: Scene, canvas: Canvas) -> None:
    """A round window in the gable."""
    v, front = scene.v, scene.facade
    y = v["height"] + 0.36 * (scene.ridge - v["height"])
    radius = 0.16 * (scene.ridge - v["height"]) + 0.03
    shown = step(-0.10, 0.05, v["attic"])
    trim = scene.solid(TRIM) * scene.ambient * scene.lit(FRONT)[:, None]
    canvas.paint(shown * front.disc(0.0, y, radius + 0.035), trim, "window")
    canvas.paint(shown * front.disc(0.0, y, radius), _glass(scene, front, y - radius), "window")


def door(scene: Scene, canvas: Canvas) -> None:
    """The door with its frame, window, knob and step."""
    v, front = scene.v, scene.facade
    x, light = v["door_x"] * scene.half, scene.lit(FRONT)[:, None]
    trim = scene.solid(TRIM) * scene.ambient * light
    colour = bright(scene, "door_hue", 0.55, 0.36) * scene.ambient * light
    canvas.paint(front.box(x - 0.175, x + 0.175, 0.0, 0.64), trim, "door")
    canvas.paint(front.box(x - 0.135, x + 0.135, 0.0, 0.60), colour, "door")
    glass = front.box(x - 0.075, x + 0.075, 0.36, 0.52)
    canvas.paint(0.9 * glass, _glass(scene, front, 0.36), "door")
    canvas.paint(front.disc(x + 0.085, 0.28, 0.022), scene.solid((0.95, 0.82, 0.45)) * scene.ambient, "door")
    stone = scene.upright(scene.front + 0.12).box(x - 0.21, x + 0.21, 0.0, 0.05)
    canvas.paint(stone, scene.solid(STONE) * scene.ambient, "path")


def porch(scene: Scene, canvas: Canvas) -> None:
    """A small roof on two posts in front of the door."""
    v = scene.v
    shown = step(0.22, 0.38, v["porch"])
    x, y = v["door_x"] * scene.half, 0.70
    plane = scene.upright(scene.front + 0.36)
    posts = torch.maximum(plane.box(x - 0.27, x - 0.225, 0.0, y), plane.box(x + 0.225, x + 0.27, 0.0, y))
    trim = scene.solid(TRIM) * scene.ambient * scene.lit(FRONT)[:, None]
    canvas.paint(shown * posts, trim * 0.97, "door")
    line = y + 0.24 - 0.62 * (plane.a - x).abs()
    gable = plane.under(line, torch.full_like(x, 0.62)) * plane.box(x - 0.34, x + 0.34, y, y + 0.3)
    canvas.paint(
        shown * gable, roof_colour(scene) * scene.ambient * (0.95 * scene.lit((0, 0.5, 0.85)))[:, None], "roof"
    )
