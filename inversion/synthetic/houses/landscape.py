"""Layers around the house: sky, hills, lawn with path and shadow, trees, bushes, fence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from inversion.synthetic.canvas import Canvas
from inversion.synthetic.houses.scene import SKY_LOW, SKY_TOP, SNOW, Scene, strip
from inversion.synthetic.shapes import bump, cover, ellipse, smooth_min, step

if TYPE_CHECKING:
    from torch import Tensor

HILLS = (0.36, 0.50, 0.44)
BARK = (0.36, 0.25, 0.18)
PATH = (0.80, 0.72, 0.58)
BEND = 0.16  # sideways shift of the path in house units, at one unit from the house
AHEAD = 1.15  # distance from the front of the house to the fence


def sky(scene: Scene) -> Tensor:
    """The sky as a gradient, (B, 3, H, W) in [0, 1]."""
    top, low = scene.shade("daytime", SKY_TOP), scene.shade("daytime", SKY_LOW)
    height = ((scene.py + 1) / (scene.horizon + 1)).clamp(0, 1)
    return torch.lerp(top, low, height[:, None].pow(1.3))


def sun(scene: Scene, canvas: Canvas) -> None:
    """The sun with its glow, or the moon at night."""
    v = scene.v
    x, y = scene.px - v["sun_x"], scene.py - v["sun_y"]
    warm, pale = scene.solid((1.0, 0.93, 0.70)), scene.solid((0.93, 0.94, 0.98))
    colour = torch.lerp(warm, pale, scene.night[:, None])
    distance = (x.square() + y.square() + 1e-8).sqrt()
    canvas.paint((0.55 - 0.25 * scene.night) * bump(distance, 0.34), colour)
    canvas.paint(cover(distance - 0.115, scene.pixel), colour)


def clouds(scene: Scene, canvas: Canvas) -> None:
    """Two soft clouds."""
    v = scene.v
    shown = step(-0.25, -0.05, v["clouds"])
    colour = torch.lerp(scene.solid((1.0, 1.0, 1.0)), scene.shade("daytime", SKY_LOW), 0.30) * (
        1 - 0.45 * scene.night[:, None]
    )
    for dx, dy, size in ((-0.42, -0.62, 1.0), (0.46, -0.78, 0.75)):
        x, y = (scene.px - v["cloud_x"] - dx) / size, (scene.py - dy) / size
        puff = smooth_min(ellipse(x, y, 0.30, 0.060), ellipse(x + 0.07, y + 0.05, 0.12, 0.10), 0.04)
        puff = smooth_min(puff, ellipse(x - 0.11, y + 0.03, 0.10, 0.075), 0.04)
        soft = cover(puff, 0.05 / size) * (0.92 - 1.4 * y.clamp(0, 0.1))
        canvas.paint(shown * soft, colour)


def hills(scene: Scene, canvas: Canvas) -> None:
    """Two ranges of hills; the far one is almost as pale as the sky."""
    v = scene.v
    haze = scene.shade("daytime", SKY_LOW)
    green = torch.lerp(scene.solid(HILLS), scene.lawn, 0.35)
    for far, rise, wave, phase in ((0.62, 1.0, 2.6, 0.0), (0.30, 0.62, 3.4, 2.1)):
        top = v["hills"] * rise * (0.62 + 0.38 * torch.sin(wave * scene.px + 2.6 * v["hill_shift"] + phase))
        colour = torch.lerp(green * scene.ambient, haze, far)
        canvas.paint(cover(scene.horizon - top - scene.py, scene.pixel), colour, "hills")


def lawn(scene: Scene, canvas: Canvas) -> None:
    """The ground up to the horizon."""
    near = ((scene.py - scene.horizon) / (1 - scene.horizon)).clamp(0, 1)
    shade = 1.02 - 0.16 * near + 0.06 * scene.v["sun_x"] * scene.px
    canvas.paint(cover(scene.horizon - scene.py, scene.pixel), scene.lawn * scene.ambient * shade[:, None], "lawn")


def path(scene: Scene, canvas: Canvas) -> None:
    """The path from the door to the viewer."""
    v, ground = scene.v, scene.ground
    away = (ground.b - scene.front).clamp(0, 4)
    middle = v["door_x"] * scene.half + BEND * v["path_bend"] * away.square()
    lean = ground.foot_a + 2 * BEND * v["path_bend"].abs() * away * ground.foot_b
    across = strip(ground.a - middle, -0.17, 0.17, lean)
    along = strip(ground.b, scene.front - 0.1, scene.front + 4, ground.foot_b)
    sand = torch.lerp(scene.solid(PATH), scene.solid(SNOW), 0.45 * scene.snow[:, None]) * scene.ambient
    canvas.paint(ground.seen * across * along, sand, "path")


def shadow(scene: Scene, canvas: Canvas) -> None:
    """The house's soft shadow on the ground, away from the light."""
    ground, light = scene.ground, scene.lamp
    x, z = ground.a + 0.54 * light[0], ground.b + 0.225 * light[2]
    outside = torch.maximum(x.abs() - scene.half - 0.12, z.abs() - scene.front - 0.12)
    dark = step(0.34, -0.10, outside) * ground.seen
    canvas.paint(0.36 * dark, canvas.rgb * scene.solid((0.35, 0.36, 0.50)))


def oak(scene: Scene, canvas: Canvas) -> None:
    """A leafy tree behind the house: three round crowns on a trunk."""
    v = scene.v
    grown = step(-0.45, 0.9, v["oak"])
    shown = step(-0.45, -0.30, v["oak"])
    zero = torch.zeros_like(grown)
    x0, y0, scale = scene.project(v["oak_x"], zero, zero - scene.front - 0.5)
    x, y = (scene.px - x0) / scale, (y0 - scene.py) / scale
    size = 0.85 + 0.35 * grown
    pixel = scene.pixel / scale
    trunk = strip(x, -0.075 * size, 0.075 * size, pixel) * strip(y, 0.0, 1.2 * size, pixel)
    canvas.paint(shown * trunk, scene.solid(BARK) * scene.ambient, "tree")
    light = scene.v["sun_x"]
    lobes = ((-0.32, 1.15, 0.42), (0.34, 1.20, 0.40), (0.0, 1.55, 0.48))
    outline = ellipse(x, y - 1.3 * size, 0.42 * size, 0.42 * size)
    for dx, dy, r in lobes:
        outline = smooth_min(outline, ellipse(x - dx * size, y - dy * size, r * size, r * size), 0.08)
    glow = 0.88 + 0.22 * (light * x + 0.7 * (y - 1.35 * size)) / size
    for dx, dy, r in lobes:
        glow = glow + 0.10 * bump((x - (dx + 0.12 * light) * size) / (r * size), 0.8) * bump(
            (y - (dy + 0.14) * size) / (r * size), 0.7
        )
    canvas.paint(shown * cover(outline, 1.3 * pixel), scene.leaves * scene.ambient * glow[:, None], "tree")


def pine(scene: Scene, canvas: Canvas) -> None:
    """A conifer of three tiers behind the house, green, and white in winter."""
    v = scene.v
    shown = step(-0.30, -0.15, v["pine"])
    size = 0.85 + 0.45 * step(-0.3, 0.9, v["pine"])
    zero = torch.zeros_like(size)
    x0, y0, scale = scene.project(v["pine_x"], zero, zero - scene.front - 0.9)
    x, y = (scene.px - x0) / scale / size, (y0 - scene.py) / scale / size
    pixel = scene.pixel / scale / size
    trunk = strip(x, -0.07, 0.07, pixel) * strip(y, 0.0, 0.4, pixel)
    canvas.paint(shown * trunk, scene.solid(BARK) * scene.ambient, "tree")
    needles = torch.lerp(scene.solid((0.16, 0.38, 0.28)), scene.solid(SNOW), 0.62 * scene.snow[:, None])
    for low, high, half in ((0.25, 1.15, 0.56), (0.75, 1.60, 0.46), (1.25, 2.05, 0.34)):
        edge = half * (high - y) / (high - low)
        tier = cover(torch.maximum((x.abs() - edge) * 0.85, low - y), 1.2 * pixel)
        glow = 0.78 + 0.42 * (y - low) / (high - low) + 0.30 * scene.v["sun_x"] * x
        canvas.paint(shown * tier, needles * scene.ambient * glow[:, None], "tree")


def bushes(scene: Scene, canvas: Canvas) -> None:
    """A round bush at each corner of the front."""
    v = scene.v
    shown = step(-0.20, -0.05, v["bushes"])
    radius = 0.14 + 0.13 * step(-0.2, 1.0, v["bushes"])
    colour = torch.lerp(scene.leaves, scene.solid((0.26, 0.50, 0.26)), 0.4) * scene.ambient
    for side in (-1.0, 1.0):
        x0, y0, scale = scene.project(side * (scene.half - 0.05), 0.72 * radius, scene.front + 0.16)
        x, y = (scene.px - x0) / scale, (y0 - scene.py) / scale
        outline = ellipse(x, y, 1.15 * radius, radius)
        glow = 0.86 + 0.30 * (0.6 * v["sun_x"] * x + y) / radius
        canvas.paint(shown * cover(outline, 1.2 * scene.pixel / scale), colour * glow[:, None], "bush")


def fence(scene: Scene, canvas: Canvas) -> None:
    """Posts and two rails along the lower edge of the picture, with a gap for the path."""
    v = scene.v
    shown = step(0.05, 0.20, v["fence"])
    bend = v["door_x"] * scene.half + BEND * v["path_bend"] * AHEAD**2
    gate, _, _ = scene.project(bend, torch.zeros_like(bend), scene.front + AHEAD)
    away = (scene.px - gate).abs()
    open_ = cover(0.17 - away, scene.pixel)
    y = scene.py - 0.80
    rails = strip(y, 0.035, 0.065, scene.pixel) + strip(y, 0.115, 0.145, scene.pixel)
    nearest = scene.px - (scene.px / 0.25).round() * 0.25
    posts = strip(nearest, -0.027, 0.027, scene.pixel) * strip(y, -0.01, 0.21, scene.pixel)
    wood = scene.solid((0.95, 0.94, 0.90)) * (0.94 * scene.ambient)
    canvas.paint(shown * open_ * torch.maximum(rails, posts), wood, "fence")
