"""Pictures to try: faces of the embedded domain, rendered on first use, and a public-domain photo from scikit-image."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

import numpy as np

from inversion import images, synthetic

SIDE = 256
# Held-out faces that differ in pose, hair, age and accessories, then one from outside the domain.
SEEDS = (1_000_000, 1_000_003, 1_000_007, 1_000_012, 2_000_002)
PHOTO = "astronaut.png"


def examples() -> list[Path]:
    """The pictures as files, made when they are not there yet."""
    folder = _folder()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    faces = {seed: folder / f"face-{seed}.png" for seed in SEEDS}
    paths = [*faces.values(), folder / PHOTO]
    if not all(path.is_file() for path in paths):
        drawn = synthetic.faces(SEEDS, SIDE).picture
        for path, picture in zip(faces.values(), drawn, strict=True):
            _write(path, images.to_array(picture))
        _write(folder / PHOTO, _photo())
    return paths


def _photo() -> np.ndarray:
    """A portrait of Eileen Collins, NASA, public domain: uint8 (256, 256, 3)."""
    from skimage import data

    return np.ascontiguousarray(data.astronaut()[:256, 96:352])


def _folder() -> Path:
    """A folder per version of the renderer and of this file, so that no old picture is served."""
    source = Path(synthetic.__file__).parent
    digest = hashlib.sha256()
    for path in [*sorted(source.glob("*.py")), Path(__file__)]:
        digest.update(path.read_bytes())
    return (
        Path(tempfile.gettempdir()) / f"inversion-hub-examples-{getattr(os, 'getuid', int)()}-{digest.hexdigest()[:12]}"
    )


def _write(path: Path, picture: np.ndarray) -> None:
    """Write beside and rename: another process may be doing the same."""
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    images.write_png(beside, picture)
    beside.replace(path)
