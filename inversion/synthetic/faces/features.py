"""Layers of the face itself: each function paints one part on the canvas."""

from __future__ import annotations

import torch

from inversion.synthetic.canvas import Canvas
from inversion.synthetic.faces.head import Face
from inversion.synthetic.shapes import box, bump, cover, ellipse, palette, smooth_min, step

IRIS = (
    (0.24, 0.15, 0.10),
    (0.44, 0.28, 0.14),
    (0.38, 0.46, 0.22),
    (0.22, 0.52, 0.46),
    (0.27, 0.47, 0.72),
    (0.46, 0.56, 0.66),
)
FRAMES = ((0.10, 0.10, 0.12), (0.42, 0.22, 0.12), (0.70, 0.20, 0.20), (0.20, 0.26, 0.48), (0.78, 0.60, 0.28))
EYE_Y, MOUTH_Y = -0.035, 0.285  # rows of the eyes and of the closed mouth, in head units


def skin(face: Face, canvas: Canvas) -> None:
    """The skin of the face, shaded by cheeks, eye sockets and nose, with blush and gloss."""
    v, head = face.v, face.head
    x, y = head.x, head.y
    bridge = EYE_Y - 0.03
    tip = EYE_Y + v["nose_length"]
    along = step(bridge, tip, y) * step(tip + 0.055, tip + 0.005, y)
    width = v["nose_width"] * (0.55 + 0.55 * step(bridge, tip, y))
    ridge = (x / width) * bump(x, width) * along
    socket = bump((x.abs() - v["eye_spacing"]) / 0.13, 1.0) * bump((y - EYE_Y) / 0.085, 1.0)
    cheek = bump((x.abs() - 0.20) / 0.14, 1.0) * bump((y - 0.13) / 0.13, 1.0) * (0.6 + 0.4 * v["smile"].clamp_min(0))
    under = bump((y - tip - 0.035) / 0.022, 1.0) * bump(x, 1.15 * v["nose_width"])
    normal = (
        head.normal[0] + 0.75 * ridge + 0.22 * cheek * torch.sign(x) * (x.abs() - 0.20) / 0.14,
        head.normal[1] + 0.20 * cheek * (y - 0.13) / 0.13 - 0.10 * socket,
        head.normal[2],
    )
    shade = face.lit(normal)
    shade = shade * (1 - 0.13 * socket) * (1 - 0.26 * under) * (1 + 0.05 * cheek)
    rim = 1 - 0.20 * step(-0.10, 0.0, head.edge)
    colour = face.skin * (shade * rim)[:, None]
    red = v["blush"] * bump((x.abs() - 0.225) / 0.10, 1.0) * bump((y - 0.15) / 0.085, 1.0)
    tint = torch.tensor([1.04, 0.80, 0.78], device=colour.device)[None, :, None, None]
    colour = torch.lerp(colour, colour * tint, red[:, None])
    gloss = bump((x - 0.05 * face.light[0]) / 0.04, 1.0) * bump((y - tip + 0.025) / 0.035, 1.0) * 0.10
    gloss = gloss + 0.05 * bump((x - 0.16 * face.light[0]) / 0.16, 1.0) * bump((y + 0.28) / 0.10, 1.0)
    canvas.paint(cover(head.edge, face.pixel), colour + gloss[:, None], "face")


def nose(face: Face, canvas: Canvas) -> None:
    """Nostrils and wings of the nose, and the class of the nose."""
    v, head = face.v, face.head
    x, y = head.x, head.y
    tip = EYE_Y + v["nose_length"]
    dark = face.skin * 0.52
    for side in (-1.0, 1.0):
        nostril = ellipse(x - side * 0.50 * v["nose_width"], y - tip - 0.014, 0.017, 0.010)
        canvas.paint(0.75 * cover(nostril, 1.5 * face.pixel), dark)
        wing = ellipse(x - side * 0.98 * v["nose_width"], y - tip + 0.004, 0.012, 0.026)
        canvas.paint(0.32 * cover(wing, 2.5 * face.pixel), dark)
    if canvas.planes.shape[1]:  # the nose is visible by its shading alone, only its class has an outline
        outline = smooth_min(
            ellipse(x, y - tip, 1.1 * v["nose_width"], 0.036),
            ellipse(x, y - tip + 0.07, 0.6 * v["nose_width"], 0.10),
            0.03,
        )
        canvas.paint(cover(outline, face.pixel), canvas.rgb, "nose")


def wrinkles(face: Face, canvas: Canvas) -> None:
    """Forehead lines, folds beside the mouth and bags under the eyes; they grow with age and smile."""
    v, head = face.v, face.head
    x, y = head.x, head.y
    age = step(0.45, 1.0, v["age"])
    dark = face.skin * 0.60
    for row in (-0.245, -0.285):
        line = y - row - 0.10 * x.square()
        canvas.paint(0.42 * age * bump(line / 0.009, 1.0) * bump(x / 0.17, 1.0), dark)
    fold_x = 0.075 + 0.32 * (y - 0.12) + 0.015 * v["smile"]
    fold = (x.abs() - fold_x) / 0.014
    within = step(0.10, 0.15, y) * step(0.30, 0.22, y)
    canvas.paint((0.48 * age + 0.13 * v["smile"].clamp_min(0)) * bump(fold, 1.0) * within, dark)
    bag = (y - EYE_Y - 0.072 + 0.9 * (x.abs() - v["eye_spacing"]).square() * 4) / 0.011
    canvas.paint(0.34 * age * bump(bag, 1.0) * bump((x.abs() - v["eye_spacing"]) / 0.075, 1.0), dark)


def beard(face: Face, canvas: Canvas) -> None:
    """Beard and moustache."""
    v, head = face.v, face.head
    x, y = head.x, head.y
    amount = step(0.25, 0.55, v["beard"])
    length = v["beard_length"]
    line = 0.205 - 0.05 * length + 0.16 * bump(x / 0.17, 1.0) - 0.40 * (x.abs() - 0.20).clamp_min(0)
    chin = step(-0.07, 0.06, y - line)
    moustache = cover(ellipse(x, y - MOUTH_Y + 0.055, 0.125, 0.030), 5 * face.pixel)
    alpha = amount * torch.maximum(chin * (0.72 + 0.24 * length), 0.86 * moustache)
    shade = face.lit(head.normal) * (0.80 + 0.05 * torch.sin(26 * x))
    canvas.paint(alpha * cover(head.edge, face.pixel), face.hair * shade[:, None], "beard")


def mouth(face: Face, canvas: Canvas) -> None:
    """Lips, opening and teeth."""
    v, head = face.v, face.head
    half = v["mouth_width"] * (1 + 0.16 * v["smile"])
    x, t = head.x, (head.x / (v["mouth_width"] * (1 + 0.16 * v["smile"]))).clamp(-1.25, 1.25)
    arch = 1 - t.square()
    y = head.y - MOUTH_Y + 0.055 * v["smile"] * (t.square() - 0.35)
    gap = 0.062 * v["mouth_open"].clamp_min(0) * (0.7 + 0.3 * v["smile"].abs())
    full = v["lip_fullness"]
    upper = -0.42 * gap * arch - 0.80 * full * arch * (1 - 0.35 * bump(x / 0.022, 1.0))
    lower = 0.58 * gap * arch + full * arch
    ends = x.abs() - half
    lips = torch.maximum(torch.maximum(upper - y, y - lower), ends)
    red = torch.tensor([0.74, 0.26, 0.27], device=x.device)[None, :, None, None]
    colour = torch.lerp(face.skin * 0.86, red * (0.55 + 0.45 * face.skin), v["lip_redness"][:, None])
    tone = face.lit(head.normal) * (0.93 + 2.6 * (y - 0.5 * (upper + lower)).clamp(-0.03, 0.03))
    below = bump((y - lower - 0.026) / 0.018, 1.0) * bump(x / (0.6 * half), 1.0)
    canvas.paint(0.22 * below, face.skin * 0.6)
    canvas.paint(cover(lips, face.pixel), colour * tone[:, None], "mouth")
    opening = torch.maximum(torch.maximum(-0.42 * gap * arch - y, y - 0.58 * gap * arch), ends)
    inside = cover(opening, face.pixel) * step(0.0, 0.016, gap)
    canvas.paint(inside, torch.tensor([0.25, 0.07, 0.08], device=x.device)[None, :, None, None])
    teeth = cover(torch.maximum(opening + 0.004, y - 0.06 * gap * arch), face.pixel) * step(0.008, 0.024, gap)
    canvas.paint(teeth, torch.tensor([0.96, 0.95, 0.92], device=x.device)[None, :, None, None])
    line = bump((y - 0.08 * gap) / 0.0085, 1.0) * step(half * 1.04, half * 0.90, x.abs()) * (1 - inside)
    canvas.paint(0.72 * line, face.skin * torch.tensor([0.45, 0.26, 0.26], device=x.device)[None, :, None, None])


def eyes(face: Face, canvas: Canvas) -> None:
    """Whites, irises, pupils, lids and creases."""
    v, head = face.v, face.head
    iris = palette(v["iris_colour"][:, 0, 0], IRIS)[:, :, None, None]
    white = torch.tensor([0.97, 0.96, 0.95], device=iris.device)[None, :, None, None]
    half, tall = 0.098 * v["eye_size"], 0.066 * v["eye_size"] * v["eye_openness"]
    squint = 1 - 0.22 * v["smile"].clamp_min(0)
    for side in (-1.0, 1.0):
        dx, dy = head.x - side * v["eye_spacing"], head.y - EYE_Y
        tilt = side * v["eye_tilt"]
        x, y = dx + tilt * dy, dy - tilt * dx
        arch = 1 - (x / half).square()
        upper, lower = -tall * arch, 0.62 * tall * squint * arch
        inside = torch.maximum(upper - y, y - lower) * 0.9
        alpha = cover(torch.maximum(inside, x.abs() - half), face.pixel)
        shade = (0.80 + 0.20 * step(upper, upper + 0.035, y)) * (1.04 - 0.15 * v["light_contrast"])
        canvas.paint(alpha, white * shade[:, None], "eyes")
        gx, gy = x - 0.026 * v["gaze_x"], y + 0.010 - 0.016 * v["gaze_y"]
        radius = 0.048 * v["eye_size"]
        ring = (gx.square() + gy.square() + 1e-8).sqrt()
        limb = 0.62 + 0.46 * step(radius, 0.55 * radius, ring)
        canvas.paint(alpha * cover(ring - radius, face.pixel), iris * (limb * shade)[:, None], "eyes")
        canvas.paint(alpha * cover(ring - 0.46 * radius, face.pixel), torch.full_like(iris, 0.05), "eyes")
        glint = (gx - 0.018).square() + (gy + 0.020).square()
        canvas.paint(alpha * cover((glint + 1e-8).sqrt() - 0.014, face.pixel), torch.ones_like(iris), "eyes")
        lid = bump((y - upper + 0.006) / 0.0115, 1.0) * step(1.10 * half, 0.92 * half, x.abs())
        canvas.paint(0.90 * lid, face.skin * 0.20, "eyes")
        rim = bump((y - lower - 0.004) / 0.008, 1.0) * step(half, 0.7 * half, x.abs())
        canvas.paint(0.32 * rim, face.skin * 0.45)
        crease = bump((y + tall * arch + 0.034) / 0.010, 1.0) * step(1.05 * half, 0.75 * half, x.abs())
        canvas.paint(0.30 * crease, face.skin * 0.58)


def brows(face: Face, canvas: Canvas) -> None:
    """Eyebrows."""
    v, head = face.v, face.head
    colour = torch.lerp(face.hair * 0.72, face.skin * 0.42, 0.35)
    for side in (-1.0, 1.0):
        x = side * head.x - v["eye_spacing"]  # outwards
        t = x / 0.125
        middle = EYE_Y - v["brow_height"] - 0.020 * (1 - t.square()) + 0.6 * v["brow_angle"] * x * -1
        thick = v["brow_thickness"] * (1 - 0.55 * step(-0.3, 1.0, t))
        distance = torch.maximum((head.y - middle).abs() - thick, x.abs() - 0.125)
        canvas.paint(0.92 * cover(distance, 1.4 * face.pixel), colour, "brows")


def glasses(face: Face, canvas: Canvas) -> None:
    """Glasses on a plane in front of the head."""
    v, head = face.v, face.head
    shown = step(0.30, 0.42, v["glasses"])
    frame = palette(v["glasses_colour"][:, 0, 0], FRAMES)[:, :, None, None]
    x, y = face.plane(0.47)
    size = v["glasses_size"]
    wide, high = 0.142 * size, (0.120 - 0.022 * v["glasses_shape"]) * size
    corner = torch.lerp(0.98 * high, 0.34 * high, v["glasses_shape"])
    centre = v["eye_spacing"] + 0.006
    lens = box(x.abs() - centre, y - EYE_Y - 0.012, wide, high, corner)
    tint = torch.lerp(torch.ones_like(frame), frame, 0.25)
    canvas.paint(0.10 * shown * cover(lens, face.pixel), tint)
    rim = lens.abs() - 0.0135
    bridge = torch.maximum((y - EYE_Y + 0.030 - 1.6 * x.square()).abs() - 0.012, x.abs() - centre + 0.9 * wide)
    temple = torch.maximum((head.y - EYE_Y + 0.028).abs() - 0.012, centre + 0.9 * wide - x.abs())
    temple = torch.maximum(temple, head.edge + 0.004)
    shape = torch.minimum(torch.minimum(rim, bridge), temple)
    shine = 1 + 0.25 * step(0.02, -0.06, y - EYE_Y)
    canvas.paint(shown * cover(shape, face.pixel), frame * shine[:, None], "glasses")
