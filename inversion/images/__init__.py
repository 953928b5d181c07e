"""Pictures and masks in files and arrays. Only this room handles files, formats, colour profiles and orientation."""

from __future__ import annotations

from inversion.images.decode import Decoded, decode, read, read_stack
from inversion.images.errors import BadImage
from inversion.images.files import MAX_BYTES, packed_png, save_png, thumbnail, unpacked_png, write_png
from inversion.images.formats import FORMATS, MAX_PIXELS, MAX_SIDE, MIN_SIDE
from inversion.images.masks import ERASED, DecodedMask, decode_mask, is_unknown, read_layer, read_mask
from inversion.images.tensors import fit, known_pixels, quantise, to_array, to_tensor
from inversion.images.video import write_mp4, write_webp

__all__ = [
    "ERASED",
    "FORMATS",
    "MAX_BYTES",
    "MAX_PIXELS",
    "MAX_SIDE",
    "MIN_SIDE",
    "BadImage",
    "Decoded",
    "DecodedMask",
    "decode",
    "decode_mask",
    "fit",
    "is_unknown",
    "known_pixels",
    "packed_png",
    "quantise",
    "read",
    "read_layer",
    "read_mask",
    "read_stack",
    "save_png",
    "thumbnail",
    "to_array",
    "to_tensor",
    "unpacked_png",
    "write_mp4",
    "write_png",
    "write_webp",
]
