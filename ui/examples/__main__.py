"""Renders the example pictures again: `python -m ui.examples`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

from inversion import images
from inversion.synthetic import DEFAULT, DOMAINS, HELD_OUT, latents
from inversion.translations import INPUTS
from ui.examples import FOLDER, SIDE, drawing_stem, stems

# Domain -> held-out seeds of the pictures whose sketches and label maps are examples.
DRAWN: Mapping[str, Sequence[int]] = {
    "synthetic-faces": (1_000_001, 1_000_004, 1_000_008, 1_000_010),
    "synthetic-houses": (1_000_001, 1_000_003, 1_000_005, 1_000_012),
}
TURNED = 0.35  # of 1: a face with a larger yaw is an example for frontalisation


def rendered() -> dict[str, np.ndarray]:
    """The pictures of all files in FOLDER by name, uint8 (SIDE, SIDE, 3)."""
    pictures: dict[str, np.ndarray] = {}
    for domain in DOMAINS.values():
        if domain.examples:
            batch = domain.draw(domain.examples, SIDE).picture
            pictures |= {f"{stem}.png": images.to_array(one) for stem, one in zip(stems(domain), batch, strict=True)}
    for name, kind in INPUTS.items():
        for of, seeds in (DRAWN if kind.drawn else {DEFAULT: turned_seeds()}).items():
            drawn = kind.rendered(DOMAINS[of].draw(seeds, SIDE))
            pictures |= {f"{drawing_stem(name, DOMAINS[of])}-{i}.png": one for i, one in enumerate(drawn)}
    return pictures


def turned_seeds() -> Sequence[int]:
    """Seeds of the first held-out faces that are turned away, two to the left and two to the right."""
    seeds = range(HELD_OUT, HELD_OUT + 200)
    domain = DOMAINS[DEFAULT]
    yaws = domain.factors(latents(seeds))[:, domain.names.index("yaw")].tolist()
    left = [seed for seed, yaw in zip(seeds, yaws, strict=True) if yaw < -TURNED]
    right = [seed for seed, yaw in zip(seeds, yaws, strict=True) if yaw > TURNED]
    return [*left[:2], *right[:2]]


if __name__ == "__main__":
    for name, picture in rendered().items():
        Image.fromarray(picture).save(FOLDER / name, optimize=True)
