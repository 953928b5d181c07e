"""Example pictures: files of the package that equal what the renderers draw, and a photo that is not in the package."""

from __future__ import annotations

import numpy as np
from PIL import Image

from inversion.synthetic import DOMAINS
from inversion.translations import INPUTS
from ui.examples import FOLDER, SIDE, drawings, examples
from ui.examples.__main__ import rendered

MEGABYTES = 1.2  # that all files may have together


def test_the_files_are_what_the_renderers_draw() -> None:
    files = {path.name: path for path in FOLDER.glob("*.png")}
    pictures = rendered()
    assert pictures.keys() == files.keys()
    for name, picture in pictures.items():
        with Image.open(files[name]) as image:
            shown = np.asarray(image.convert("RGB"))
        assert shown.shape == (SIDE, SIDE, 3)
        assert np.abs(shown.astype(int) - picture).max() <= 1, name
    assert sum(path.stat().st_size for path in files.values()) < MEGABYTES * 1e6


def test_every_example_can_be_read_and_only_the_photo_lies_outside() -> None:
    given = {(kind, domain): drawings(kind, domain) for kind in INPUTS for domain in DOMAINS}
    for (kind, domain), files in given.items():  # only a domain with a frontal view has turned pictures
        known = DOMAINS[domain]
        assert len(files) == (len(known.drawn) if INPUTS[kind].drawn else 4 * bool(known.frontal)), (kind, domain)
    paths = [*examples(), *(path for of_domain in given.values() for path in of_domain)]
    assert len(set(paths)) == len(paths)
    for path in paths:
        with Image.open(path) as image:
            assert image.size == (SIDE, SIDE)
    [photo] = [path for path in paths if path.parent != FOLDER]
    assert photo.parent.stat().st_mode & 0o077 == 0  # nobody else can put a file there
