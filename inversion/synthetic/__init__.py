"""The embedded domains: procedural faces and houses with exact factors, segmentation map and sketch for every picture.

A new domain is one file or folder with a `Domain`, and one line in `DOMAINS`.
"""

from __future__ import annotations

from inversion.synthetic.base import HELD_OUT, OUT_OF_DOMAIN, Batch, Domain, latents, words_of
from inversion.synthetic.faces import FACES
from inversion.synthetic.houses import HOUSES

# Keys are the `domain` of entries in checkpoints.yaml.
DOMAINS: dict[str, Domain] = {
    "synthetic-faces": FACES,
    "synthetic-houses": HOUSES,
}
DEFAULT = next(iter(DOMAINS))  # of commands that take a domain

__all__ = ["DEFAULT", "DOMAINS", "HELD_OUT", "OUT_OF_DOMAIN", "Batch", "Domain", "latents", "words_of"]
