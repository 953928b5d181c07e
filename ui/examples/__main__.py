"""Renders the example pictures again: `python -m ui.examples`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from inversion import images
from inversion.synthetic import DOMAINS, HELD_OUT, Domain, latents
from inversion.translations import INPUTS
from ui.examples import FOLDER, SIDE, drawing_stem, stems

TURNED = 0.35  # of 1: a face with a larger yaw is an example for frontalisation


def rendered() -> dict[str, np.ndarray]:
    """The pictures of all files in FOLDER by name, uint8 (SIDE, SIDE, 3)."""
    pictures: dict[str, np.ndarray] = {}
    for domain in DOMAINS.values():
        if domain.examples:
            batch = domain.draw(domain.examples, SIDE).picture
            pictures |= {f"{stem}.png": images.to_array(one) for stem, one in zip(stems(domain), batch, strict=True)}
    for name, kind in INPUTS.items():
        for domain in DOMAINS.values():
            if seeds := domain.drawn if kind.drawn else turned_seeds(domain):
                drawn = kind.rendered(domain.draw(seeds, SIDE))
                pictures |= {f"{drawing_stem(name, domain)}-{i}.png": one for i, one in enumerate(drawn)}
    return pictures


def turned_seeds(domain: Domain) -> Sequence[int]:
    """Seeds of the first held-out pictures that are turned away, two to the left and two to the right.

    () if the domain has no frontal view.
    """
    if not domain.frontal:
        return ()
    seeds = range(HELD_OUT, HELD_OUT + 200)
    yaws = domain.factors(latents(seeds))[:, domain.names.index("yaw")].tolist()
    left = [seed for seed, yaw in zip(seeds, yaws, strict=True) if yaw < -TURNED]
    right = [seed for seed, yaw in zip(seeds, yaws, strict=True) if yaw > TURNED]
    return [*left[:2], *right[:2]]


if __name__ == "__main__":
    for name, picture in rendered().items():
        Image.fromarray(picture).save(FOLDER / name, optimize=True)
