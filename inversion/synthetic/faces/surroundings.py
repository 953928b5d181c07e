"""Layers around the face: background, hair, neck, clothes, ears, and the extras of out-of-domain faces."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from inversion.synthetic.canvas import Canvas
from inversion.synthetic.faces.head import Face
from inversion.synthetic.shapes import box, bump, cover, ellipse, hsl, step

if TYPE_CHECKING:
    from torch import Tensor


def background(face: Face) -> Tensor:
    """A plain background with a soft glow, (B, 3, H, W) in [0, 1]."""
    v = face.v
    base = hsl(v["background_hue"][:, 0, 0], 0.27, v["background_lightness"][:, 0, 0])[:, :, None, None]
    tilt = v["background_tilt"] * 0.8
    along = torch.sin(tilt) * face.px - torch.cos(tilt) * face.py
    glow = 1 + 0.16 * along - 0.10 * (face.px.square() + face.py.square())
    return base * glow[:, None]


def _curtain(face: Face) -> tuple[Tensor, Tensor, Tensor]:
    """Long hair beside the face: signed distance to its outline, length (0 to 1), and coordinate across the strands."""
    v = face.v
    length = step(0.30, 0.95, v["hair_length"])
    wave = 0.020 * v["hair_wave"] * torch.sin(11 * face.y + 2.0 * v["parting"]) * step(0.0, 0.5, face.y)
    x = face.x - 0.06 * face.turn * step(-0.4, 0.5, face.y) + wave
    bottom = 0.02 + 0.86 * length
    hidden = 0.12 * step(0.10, 0.0, length)  # the shortest hair ends behind the head
    half = v["head_width"] * (1.02 + 1.1 * v["hair_volume"]) + 0.045 * step(0.0, 0.8, face.y) - hidden
    middle = (bottom - 0.25) / 2
    body = box(x, face.y - middle + 0.02, half, (bottom + 0.25) / 2, 0.14)
    dome = ellipse(x, face.y + 0.02, 0.985 * half, v["head_height"] * (1.0 + 0.8 * v["hair_volume"]))
    below = step(-0.05, 0.02, face.y)
    outline = torch.minimum(body, dome + 0.5 * below)
    return outline, length, x


def _strands(face: Face, angle: Tensor) -> Tensor:
    """Soft strands: a few broad waves of brightness across the hair."""
    phase = 3 * face.v["parting"]
    return 1 + 0.060 * torch.sin(17 * angle + phase) + 0.035 * torch.sin(31 * angle - 2 * phase)


def back_hair(face: Face, canvas: Canvas) -> None:
    """The hair behind the head."""
    outline, length, x = _curtain(face)
    alpha = torch.maximum(cover(outline, face.pixel), cover(torch.maximum(face.cap.edge, face.y + 0.02), face.pixel))
    dark = 0.52 + 0.10 * bump(x, 0.5)
    canvas.paint(alpha, face.hair * (dark * _strands(face, x * 1.5))[:, None], "hair")


def neck(face: Face, canvas: Canvas) -> None:
    """The neck with the shadow of the chin."""
    v = face.v
    x = face.x - 0.10 * face.turn * step(0.9, 0.2, face.y)
    half = 0.50 * v["head_width"] + 0.05 + 0.10 * step(0.55, 0.95, face.y)
    alpha = cover(torch.maximum(x.abs() - half, 0.1 - face.y), face.pixel)
    cylinder = 1.02 - 0.42 * (x / half).abs().pow(2.2) + 0.10 * (x / half) * face.light[0]
    chin = v["head_height"] * (1 + v["chin"])
    shadow = 1 - 0.38 * step(chin + 0.17, chin - 0.05, face.y + 0.35 * x.square())
    shade = cylinder.clamp_min(0.3) * shadow * (1.12 - 0.35 * v["light_contrast"])
    canvas.paint(alpha, face.skin * shade[:, None], "neck")


def clothes(face: Face, canvas: Canvas) -> None:
    """A garment with a collar."""
    v = face.v
    x, y = face.x, face.y
    top = 0.735 + 0.42 * x.abs().pow(2.0) - 0.05 * bump(x, 0.35)
    opening = ellipse(x, y - 0.635, 0.29, 0.19)
    garment = torch.maximum(top - y, -opening)
    colour = hsl(v["clothes_hue"][:, 0, 0], 0.42, v["clothes_lightness"][:, 0, 0])[:, :, None, None]
    shade = (1.04 - 0.30 * x.square() + 0.12 * x * face.light[0]) * (1.0 - 0.22 * step(0.22, 0.0, opening))
    canvas.paint(cover(garment, face.pixel), colour * shade[:, None], "clothes")
    collar = (opening - 0.03).abs() - 0.03
    canvas.paint(cover(torch.maximum(collar, top - y), face.pixel), colour * (0.80 * shade)[:, None], "clothes")


def side_hair(face: Face, canvas: Canvas) -> None:
    """Locks in front of the shoulders, on both sides of the neck."""
    v = face.v
    outline, length, x = _curtain(face)
    inner = 0.66 * v["head_width"] + 0.05 * step(0.3, 0.9, face.y)
    lock = torch.maximum(outline, torch.maximum(inner - x.abs(), -0.05 - face.y))
    alpha = cover(lock, face.pixel) * step(0.05, 0.15, length)
    roundness = 0.72 + 0.30 * bump((x.abs() - 1.15 * v["head_width"]) / 0.22, 1.0)
    shade = roundness * _strands(face, x * 1.5) * (1 + 0.25 * x * face.light[0])
    canvas.paint(alpha, face.hair * shade[:, None], "hair")


def ears(face: Face, canvas: Canvas) -> None:
    """Both ears, turned with the head."""
    v = face.v
    r = face.rotation
    for side in (-1.0, 1.0):
        hx, hy, hz = side * v["head_width"] * 0.99, 0.02, -0.06
        cx = r[0][0] * hx + r[0][1] * hy + r[0][2] * hz
        cy = r[1][0] * hx + r[1][1] * hy + r[1][2] * hz
        size = v["ear_size"]
        x, y = face.x - cx, face.y - cy
        outer = ellipse(x, y, 0.060 * size, 0.105 * size)
        inner = ellipse(x, y, 0.030 * size, 0.065 * size)
        shade = (0.92 + 0.16 * side * face.light[0]) * (1 - 0.22 * cover(inner, 3 * face.pixel))
        canvas.paint(cover(outer, face.pixel), face.skin * shade[:, None], "ears")


def front_hair(face: Face, canvas: Canvas) -> None:
    """The cap of hair: an ellipsoid larger than the head, open below the hairline."""
    v = face.v
    cap = face.cap
    x, y = cap.x, cap.y
    across = x - 0.17 * v["parting"]
    line = -0.355 + 0.14 * v["fringe"] - 0.045 * bump(across / 0.10, 1.0) * (1 - v["fringe"]) + 0.25 * across.square()
    side = v["head_width"] * 0.93
    lobe = 0.03 + 0.60 * step(0.25, 0.75, v["hair_length"])
    temple = step(side - 0.075, side + 0.03, x.abs())
    far = step(0.12, 0.32, torch.sign(x) * face.turn)  # the far temple is seen edge on and would become a broken line
    temple = temple * (1 - far)
    front = line + (lobe + 0.28) * temple
    behind = step(0.02, -0.12, cap.z)
    back = torch.lerp(front, line + lobe + 0.34, behind)
    alpha = cover(torch.maximum(cap.edge, (y - back) * 0.8), 1.25 * face.pixel)
    angle = torch.atan2(x - 0.25 * v["parting"] * (y + 0.6), 0.75 - y)
    band = bump((y + 0.36 + 0.10 * face.light[0] * x + 0.3 * x.square()) / 0.10, 1.0)
    shade = face.lit(cap.normal) * _strands(face, angle * 1.6) * (1 - 0.16 * step(-0.12, 0.0, cap.edge))
    root = 1 - 0.20 * bump((y - back) / 0.045, 1.0)
    lift = 0.10 * band * (0.4 + face.hair.mean(dim=1))
    contact = step(0.055, 0.0, y - back) * (y > back) * step(-0.01, -0.08, face.head.edge)
    canvas.paint(0.24 * contact, face.skin * 0.55)
    canvas.paint(alpha, face.hair * (shade * root)[:, None] + lift[:, None], "hair")


def paint(face: Face, canvas: Canvas) -> None:
    """Face paint of out-of-domain faces: bold stripes over cheeks and forehead."""
    if "paint" not in face.extras:
        return
    x, y = face.head.x, face.head.y
    hue = face.extras["paint_hue"][:, 0, 0]
    first = hsl(hue, 0.85, torch.full_like(hue, 0.5))[:, :, None, None]
    second = hsl((hue + 0.4) % 1, 0.85, torch.full_like(hue, 0.55))[:, :, None, None]
    amount = face.extras["paint"] * cover(face.head.edge + 0.02, face.pixel)
    stripes = cover((y - 0.13 - 0.25 * (x.abs() - 0.22)).abs() - 0.022, face.pixel) * step(0.09, 0.13, x.abs())
    canvas.paint(0.9 * amount * stripes, first, "extra")
    stripes = cover((y - 0.20 - 0.25 * (x.abs() - 0.22)).abs() - 0.022, face.pixel) * step(0.12, 0.16, x.abs())
    canvas.paint(0.9 * amount * stripes, second, "extra")
    canvas.paint(0.9 * amount * cover(ellipse(x, y + 0.24, 0.055, 0.055), face.pixel), second, "extra")


def hat(face: Face, canvas: Canvas) -> None:
    """A hat of out-of-domain faces: crown, band and brim above the brows."""
    if "hat" not in face.extras:
        return
    hue = face.extras["hat_hue"][:, 0, 0]
    colour = hsl(hue, 0.7, torch.full_like(hue, 0.45))[:, :, None, None]
    band = hsl((hue + 0.5) % 1, 0.6, torch.full_like(hue, 0.6))[:, :, None, None]
    x, y = face.x - 0.12 * face.turn, face.y - 0.25 * face.lift
    half = 1.16 * face.v["head_width"]
    amount = face.extras["hat"]
    shade = 1.05 - 0.9 * x.square() + 0.3 * x * face.light[0]
    crown = box(x, y + 0.62, half * (0.92 + 0.10 * y), 0.30, 0.10)
    canvas.paint(amount * cover(crown, face.pixel), colour * shade[:, None], "extra")
    canvas.paint(
        amount * cover(torch.maximum(crown, (y + 0.40).abs() - 0.05), face.pixel), band * shade[:, None], "extra"
    )
    brim = ellipse(x, y + 0.33 - 0.10 * x.square(), 1.42 * half, 0.055)
    canvas.paint(amount * cover(brim, face.pixel), colour * (0.85 * shade)[:, None], "extra")
