"""Example pictures: files of this folder, which `python -m ui.examples` renders, and a photo from scikit-image."""

from __future__ import annotations

import atexit
import functools
import importlib.util
import shutil
import tempfile
from pathlib import Path

from PIL import Image

from inversion.synthetic import DEFAULT, DOMAINS, Domain

FOLDER = Path(__file__).parent
SIDE = 256  # pixels
THUMBNAIL = 96  # pixels a side


def examples() -> list[Path]:
    """Files of pictures to invert: the default domain's, the photo if scikit-image is installed, other domains'."""
    paths = {name: [FOLDER / f"{stem}.png" for stem in stems(domain)] for name, domain in DOMAINS.items()}
    first = paths.pop(DEFAULT)
    return [*first, *photo(), *(path for others in paths.values() for path in others)]


def stems(domain: Domain) -> list[str]:
    """Names of the files of a domain's examples, without the ending."""
    return [f"{domain.noun}-{seed}" for seed in domain.examples]


def drawing_stem(kind: str, domain: Domain) -> str:
    """Beginning of the names of a domain's files of a kind of input of translations, such as "lines"."""
    return f"{domain.noun}-{kind}"


def drawings(kind: str, domain: str = DEFAULT) -> list[Path]:
    """Files of a kind of input of translations for a domain, a key of DOMAINS; [] if it has none."""
    return sorted(FOLDER.glob(f"{drawing_stem(kind, DOMAINS[domain])}-[0-9].png"))


@functools.cache
def photo() -> tuple[Path, ...]:
    """A portrait of Eileen Collins (NASA, public domain) cropped to SIDE pixels, () if its file is not installed.

    The file is read without running scikit-image, which is slow to import.
    """
    spec = importlib.util.find_spec("skimage")
    folders = [] if spec is None else spec.submodule_search_locations or []
    for source in (Path(folder) / "data" / "astronaut.png" for folder in folders):
        if source.is_file():
            path = private_folder() / "astronaut.png"
            with Image.open(source) as picture:
                picture.convert("RGB").crop((96, 0, 96 + SIDE, SIDE)).save(path)
            return (path,)
    return ()


@functools.cache
def thumbnail(path: Path) -> Path:
    """A small JPEG of a picture, made at the first call."""
    small = private_folder() / f"{path.stem}-{THUMBNAIL}.jpg"
    with Image.open(path) as picture:
        shown = picture.convert("RGB")
        shown.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
        shown.save(small, quality=85)
    return small


@functools.cache
def private_folder() -> Path:
    """A folder of this process, in which nobody else can put a file."""
    folder = tempfile.mkdtemp(prefix="examples-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)
