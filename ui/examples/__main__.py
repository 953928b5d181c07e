"""Renders the example pictures again: `python -m ui.examples`."""

from __future__ import annotations

import numpy as np
from PIL import Image

from inversion import images
from inversion.synthetic import DOMAINS, HELD_OUT, latents
from inversion.translations import INPUTS
from ui.examples import DOMAIN, FOLDER, SIDE, stems

DRAWN = (1_000_001, 1_000_004, 1_000_008, 1_000_010)  # held-out faces; their sketches and label maps are examples
TURNED = 0.35  # of 1: a face with a larger yaw is an example for frontalisation


def rendered() -> dict[str, np.ndarray]:
    """The pictures of all files in FOLDER by name, uint8 (SIDE, SIDE, 3)."""
    pictures: dict[str, np.ndarray] = {}
    for domain in DOMAINS.values():
        if domain.examples:
            batch = domain.draw(domain.examples, SIDE).picture
            pictures |= {f"{stem}.png": images.to_array(one) for stem, one in zip(stems(domain), batch, strict=True)}
    for name, kind in INPUTS.items():
        drawn = DOMAINS[DOMAIN].draw(DRAWN if kind.drawn else turned_seeds(), SIDE)
        pictures |= {f"{name}-{i}.png": one for i, one in enumerate(kind.rendered(drawn))}
    return pictures


def turned_seeds() -> list[int]:
    """Seeds of the first held-out faces that are turned away, two to the left and two to the right."""
    seeds = range(HELD_OUT, HELD_OUT + 200)
    domain = DOMAINS[DOMAIN]
    yaws = domain.factors(latents(seeds))[:, domain.names.index("yaw")].tolist()
    left = [seed for seed, yaw in zip(seeds, yaws, strict=True) if yaw < -TURNED]
    right = [seed for seed, yaw in zip(seeds, yaws, strict=True) if yaw > TURNED]
    return [*left[:2], *right[:2]]


if __name__ == "__main__":
    for name, picture in rendered().items():
        Image.fromarray(picture).save(FOLDER / name, optimize=True)
