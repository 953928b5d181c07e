"""What is said about damaged files that a visitor adds is in the language of the page, whatever the damage."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from helpers.foreign import CONTAINED, small, write
from helpers.translation import english_left
from safetensors.torch import save_file
from torch import Tensor

from inversion.checkpoints.accidents import described
from inversion.checkpoints.layouts.search import survey_of
from inversion.checkpoints.transcribe import transcribe
from inversion.checkpoints.unpickle import Refused
from inversion.generators import StateDictError
from ui.languages import LANGUAGES

KEYS = 3  # of each layout that are damaged
PARTS = (0.0, 0.001, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99)  # of a file that are left, alone or with zeros behind them
# What may stay English: keys and types of tensors, and names of networks, projects and formats.
PROJECTS = "rosinality|safetensors|pickle|zip|pth|PyTorch|NumPy|[A-Z][a-z]*[A-Z]\\w*"
NAMES = rf"(?a:\([a-z0-9-]+\)|[\w*]+([./\[][\w*\]]+)+|'[^']*'|\b\w+_\w+\b|{PROJECTS})"


def damaged(tensors: dict[str, Tensor]) -> Iterator[dict[str, Tensor]]:
    """Copies with a tensor that is missing, has another shape, or is too much."""
    keys = [key for key in tensors if tensors[key].is_floating_point()]
    for key in keys[:: max(1, len(keys) // KEYS)]:
        yield {one: tensors[one] for one in tensors if one != key}
        yield tensors | {key: tensors[key].reshape(-1)[:3]}
        yield tensors | {key: tensors[key][None]}
    yield tensors | {"thing.weight": torch.zeros(1)}


def refusals_of_networks() -> Iterator[str]:
    """All that is said about checkpoints of every layout with damaged tensors."""
    for layout, (manifest, _) in CONTAINED.items():
        for tensors in damaged(small(manifest, channels=layout != "torchvision")):
            try:
                survey = survey_of({"g_ema": tensors}, None)
                yield from survey.notes
                for found in survey.found:
                    found.build()
            except (Refused, StateDictError) as error:
                yield str(error)


def refusals_of_files(folder: Path) -> Iterator[str]:
    """All that is said about files of each format that end too early or end in zeros."""
    torch.save({"a.weight": torch.zeros(40)}, folder / "archive.pt")
    torch.save({"a.weight": torch.zeros(40)}, folder / "old.pt", _use_new_zipfile_serialization=False)
    save_file({"a.weight": torch.zeros(40)}, folder / "plain.safetensors")
    write("nvidia-discriminator", folder / "network.pt")
    for path in sorted(folder.iterdir()):
        whole = path.read_bytes()
        for cut in (int(part * len(whole)) for part in PARTS):
            for data in (whole[:cut], whole[:cut] + bytes(len(whole) - cut)):
                path.write_bytes(data)
                try:
                    transcribe(str(path), None, None)
                except (Refused, StateDictError) as error:
                    yield str(error)
                except Exception as error:  # as the process does that reads a visitor's file
                    yield f"it cannot be read: {described(error)}"


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_refusal_of_a_damaged_file_is_translated(language: str, tmp_path: Path) -> None:
    texts = {*refusals_of_networks(), *refusals_of_files(tmp_path)}
    assert len(texts) > 60, len(texts)
    left = english_left(texts, language, NAMES)
    assert not left, "\n".join(f"{text!r} is shown as {own!r}" for text, own in left.items())
