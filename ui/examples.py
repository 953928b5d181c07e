"""Pictures to try: of the embedded domains, rendered on first use, and a public-domain photo from scikit-image."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

import numpy as np

from inversion import images, synthetic
from inversion.synthetic import latents
from inversion.synthetic.faces import NAMES, draw_faces
from inversion.synthetic.faces.factors import factors_of
from inversion.translations.drawings import PALETTE

SIDE = 256
# Held-out faces that differ in pose, hair, age and accessories, then one from outside the domain.
SEEDS = (1_000_000, 1_000_003, 1_000_007, 1_000_012, 2_000_002)
HOUSES = (1_000_002, 1_000_008)
PHOTO = "astronaut.png"
DRAWN = (1_000_001, 1_000_004, 1_000_008, 1_000_010)  # held-out faces whose sketches and maps are drawings to try
TURNED = 0.35  # of 1: a face that looks aside by more is one to turn to the front


def examples() -> list[Path]:
    """The pictures as files, made when they are not there yet."""
    folder = _folder()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    faces = [folder / f"face-{seed}.png" for seed in SEEDS]
    houses = [folder / f"house-{seed}.png" for seed in HOUSES]
    paths = [*faces, folder / PHOTO, *houses]
    if not all(path.is_file() for path in paths):
        drawn = draw_faces(SEEDS, SIDE).picture, synthetic.DOMAINS["synthetic-houses"].draw(HOUSES, SIDE).picture
        for path, picture in zip([*faces, *houses], [*drawn[0], *drawn[1]], strict=True):
            _write(path, images.to_array(picture))
        _write(folder / PHOTO, _photo())
    return paths


def drawings() -> dict[str, list[Path]]:
    """Sketches ("lines"), label maps ("map") and faces that look aside ("picture"), made when they are not there."""
    folder = _folder()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    files = {kind: [folder / f"{kind}-{i}.png" for i in range(len(DRAWN))] for kind in ("lines", "map", "picture")}
    if not all(path.is_file() for paths in files.values() for path in paths):
        drawn = draw_faces(DRAWN, SIDE)
        colours = np.asarray(PALETTE, np.uint8)
        for i in range(len(DRAWN)):
            _write(files["lines"][i], images.to_array(drawn.sketch[i].expand(3, -1, -1)))
            _write(files["map"][i], colours[drawn.segmentation[i].argmax(dim=0).cpu().numpy()])
        for path, picture in zip(files["picture"], draw_faces(turned(), SIDE).picture, strict=True):
            _write(path, images.to_array(picture))
    return files


def turned() -> list[int]:
    """Seeds of the first held-out faces that look aside, as many to the left as to the right."""
    seeds = range(synthetic.HELD_OUT, synthetic.HELD_OUT + 200)
    yaws = factors_of(latents(seeds))[:, NAMES.index("yaw")].tolist()
    half = len(DRAWN) // 2
    left = [seed for seed, yaw in zip(seeds, yaws, strict=True) if yaw < -TURNED]
    right = [seed for seed, yaw in zip(seeds, yaws, strict=True) if yaw > TURNED]
    return [*left[:half], *right[:half]]


def _photo() -> np.ndarray:
    """A portrait of Eileen Collins, NASA, public domain: uint8 (256, 256, 3)."""
    from skimage import data

    return np.ascontiguousarray(data.astronaut()[:256, 96:352])


def _folder() -> Path:
    """A folder per version of the renderer and of this file, so that no old picture is served."""
    source = Path(synthetic.__file__).parent
    digest = hashlib.sha256()
    for path in [*sorted(source.rglob("*.py")), Path(__file__)]:
        digest.update(path.read_bytes())
    return (
        Path(tempfile.gettempdir()) / f"inversion-hub-examples-{getattr(os, 'getuid', int)()}-{digest.hexdigest()[:12]}"
    )


def _write(path: Path, picture: np.ndarray) -> None:
    """Write beside and rename: another process may be doing the same."""
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    images.write_png(beside, picture)
    beside.replace(path)
