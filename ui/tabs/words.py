"""Texts of the tasks' tabs. A task without an entry here uses its own label and description."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from inversion.editing.domain import outside_methods


@dataclass(frozen=True)
class Words:
    """Texts of a task's tab.

    measured: label of the tick box for pictures that are already the input to the methods; "" for no such box.
    methods: keys of the methods that are selected at first: an encoder, then the best optimisers in docs/results.md
    that together take less than 20 s on two cores. prefixes: of the choices of a field, by the field's name.
    opens_with_results: stored results of an example are shown before anything is chosen.
    start: label of the field for a code to start from.
    outside: methods that help if the model does not know the picture, named at upload; (): nothing is said.
    """

    label: str
    intro: str
    measured: str = "My picture is already the input"
    picture: str = "Picture"
    methods: tuple[str, ...] = ("psp", "w")
    prefixes: Mapping[str, str] = field(default_factory=dict)
    start: str = "Start from a code"
    outside: tuple[str, ...] = field(default_factory=outside_methods)
    opens_with_results: bool = False


WORDS: dict[str, Words] = {
    "reconstruct": Words(
        "Reconstruct",
        "Rebuild your picture with a GAN. The closer the result, the better the inversion.",
        measured="",
        methods=("psp", "restyle", "hybrid"),
        opens_with_results=True,
    ),
    "colorize": Words(
        "Colourise",
        "The methods get a grey picture, and the generator suggests the colours. The luminance of your picture is kept "
        "exactly.",
        "My picture is already grey",
        methods=("psp", "w", "mganprior"),
        # On a grey photo, pSp's colours are better than those of the methods that reach it (docs/results.md).
        outside=(),
    ),
    "superres": Words(
        "Super-resolve",
        "The methods get a shrunk picture, and the generator adds the detail. Shrunk again, every result is equal to "
        "the small picture.",
        "My picture is already small",
        methods=("psp", "w", "wplus"),
        prefixes={"factor": "\N{MULTIPLICATION SIGN}"},
    ),
    "inpaint": Words(
        "Inpaint",
        "Paint over a part, and the generator fills it. Everything outside the hole is unchanged.",
        "My picture already has the hole",
        "Paint over the part to fill",
        methods=("psp", "w", "mganprior"),
    ),
    "denoise": Words(
        "Denoise",
        "The methods get a noisy picture, and the generator makes a clean one.",
        "My picture is already noisy",
        methods=("psp", "wplus", "pti"),
        outside=("pti",),  # it gains 4 dB on a noisy photo; the others were not measured there
    ),
}
