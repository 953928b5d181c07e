"""Pictures to try: faces of the embedded domain, rendered on first use, and a public-domain photo from scikit-image."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

import numpy as np

from inversion import images, synthetic
from ui.tab import Example

SIDE = 256
# Held-out faces that differ in pose, hair, age and accessories, then one from outside the domain.
SEEDS = {"Face 1": 1_000_000, "Face 2": 1_000_003, "Face 3": 1_000_007, "Face 4": 1_000_012, "Outsider": 2_000_002}
PHOTO = "Astronaut (NASA)"


def examples() -> list[Example]:
    """The pictures as files, made when they are not there yet."""
    folder = _folder()
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {name: folder / f"{name.lower().replace(' ', '-')}.png" for name in [*SEEDS, PHOTO]}
    if not all(path.is_file() for path in wanted.values()):
        drawn = synthetic.faces(list(SEEDS.values()), SIDE).picture
        for name, picture in zip(SEEDS, drawn, strict=True):
            _write(wanted[name], images.to_array(picture))
        _write(wanted[PHOTO], _photo())
    return [Example(path, name) for name, path in wanted.items()]


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
    return Path(tempfile.gettempdir()) / f"inversion-hub-examples-{os.getuid()}-{digest.hexdigest()[:12]}"


def _write(path: Path, picture: np.ndarray) -> None:
    """Write beside and rename: another process may be doing the same."""
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    images.write_png(beside, picture)
    beside.replace(path)
