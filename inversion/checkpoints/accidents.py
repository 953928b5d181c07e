"""Messages about files that are not checkpoints: pointers, web pages, incomplete downloads, archives, and the like."""

from __future__ import annotations

import json
import re
from pathlib import Path

from inversion.common.texts import is_text

AGAIN = "download it again"
CUT = "it ends too early, so the download is incomplete: download it again"
PACKED = "unpack it, then use the file inside"

# The first bytes of a file -> its message: the kind of file, and what to do.
MAGIC: dict[bytes, str] = {
    b"\x1f\x8b": f"it is a gzip archive: {PACKED}",
    b"BZh": f"it is a bzip2 archive: {PACKED}",
    b"\xfd7zXZ": f"it is an xz archive: {PACKED}",
    b"7z\xbc\xaf": f"it is a 7-Zip archive: {PACKED}",
    b"Rar!": f"it is a RAR archive: {PACKED}",
    b"\x28\xb5\x2f\xfd": f"it is a Zstandard archive: {PACKED}",
    b"PK": "it is an empty or broken zip archive: download it again",
    b"\x89HDF": "it is an HDF5 file of TensorFlow or Keras, which cannot be read: use the PyTorch version of the model",
    b"MATLAB": "it is a MATLAB file, which cannot be read: save its array with `numpy.save`",
    b"GGUF": "it is a GGUF file of a language model, not a GAN: use a StyleGAN, StyleGAN2 or PGGAN checkpoint",
    b"\x89PNG": "it is a picture, not a checkpoint: give it as the input picture",
    b"\xff\xd8\xff": "it is a picture, not a checkpoint: give it as the input picture",
    b"GIF8": "it is a picture, not a checkpoint: give it as the input picture",
    b"RIFF": "it is a picture or a video, not a checkpoint",
    b"%PDF": "it is a PDF document, not a checkpoint: download the weights that it names",
}
TENSORFLOW = "it is a TensorFlow file, which cannot be read: use the PyTorch version of the model"
UNKNOWN = (
    "its format is unknown: give a safetensors file, a PyTorch file (.pt, .pth), an NVIDIA pickle or a NumPy array"
)


def explain(path: Path, head: bytes) -> str:
    """One line about a file that no reader accepts: its kind, then what to do. head: its first bytes."""
    size, text = path.stat().st_size, head.lstrip()
    if not size:
        return "it is empty, so the download has failed: download it again"
    if text.startswith(b"version https://git-lfs"):
        stated = re.search(rb"size (\d+)", head)
        real = f" of {int(stated[1]):,} bytes" if stated else ""
        return (
            f"it is a Git LFS pointer of {size} bytes, not the file{real} itself: run `git lfs pull` in its "
            "repository, or download the file from its page"
        )
    if not head.strip(b"\0"):
        return "it begins with zeros only, so its space was reserved but the download has failed: download it again"
    if text[:1] == b"<":
        return (
            "it is a web page, not a checkpoint. Sites send one when their quota is used up or a login is needed: "
            "open the link in a browser and download the file again"
        )
    if text[:1] in (b"{", b"["):
        return "it is a JSON text, for example a server's error message, not a checkpoint: download the file again"
    if is_text(head):
        return "it is a text, not a checkpoint: look for a link in it, or save its numbers with `numpy.save`"
    for magic, message in MAGIC.items():
        if head.startswith(magic):
            return message
    if head[257:262] == b"ustar":
        return f"it is a tar archive: {PACKED}"
    if path.suffix == ".onnx":
        return "it is an ONNX network, which cannot be inverted: use the PyTorch checkpoint that it was made from"
    if path.suffix == ".msgpack":
        return "it is a Flax file, which cannot be read: use the PyTorch version of the model"
    return TENSORFLOW if _is_tensorflow(path, head) else UNKNOWN


def safetensors_fault(path: Path) -> str:
    """Why a safetensors file cannot be read, by the sizes that its header states, and what to do."""
    size = path.stat().st_size
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > size - 8:
                return CUT
            header = json.loads(file.read(length))
        stated = 8 + length + max(part["data_offsets"][1] for name, part in header.items() if name != "__metadata__")
        if stated < size:
            return (
                f"it is {size - stated:,} bytes longer than its header states, so it was changed after it was saved: "
                "download it again"
            )
        return CUT if stated > size else f"its header does not fit its content: {AGAIN}"
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError, MemoryError):
        return f"its header is damaged: {AGAIN}"


def described(error: Exception) -> str:
    """Why a library cannot read a file, in plain words instead of its own, and what to do."""
    if isinstance(error, MemoryError) or "allocate memory" in str(error):
        return f"it takes more memory than a file of its size should: {AGAIN}"
    if isinstance(error, OSError) and error.strerror:
        return f"the system refuses it ({error.strerror})"
    if isinstance(error, EOFError) or "truncated" in str(error):
        return CUT
    return f"its content is damaged: {AGAIN}"


def _is_tensorflow(path: Path, head: bytes) -> bool:
    """Whether it is a graph, a part of a checkpoint, or a TFLite model."""
    if head[4:8] == b"TFL3" or path.suffix in (".pb", ".tflite", ".meta", ".h5", ".tfrecord"):
        return True
    return ".ckpt" in path.name and (path.suffix == ".index" or ".data-" in path.name)
