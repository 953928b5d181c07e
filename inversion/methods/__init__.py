"""Stages and the papers' methods made of them. A new stage or method is one file and one line here."""

from __future__ import annotations

from inversion.methods.base import Outcome, Result, Stage, Step, descend
from inversion.methods.codes import Code, MultiCode, W, WPlus, Z
from inversion.methods.embed import MeanLatent, RandomLatent
from inversion.methods.latent import OptimiseW, OptimiseWPlus, OptimiseZ
from inversion.methods.multicode import OptimiseMultiCode
from inversion.methods.pipeline import Method
from inversion.methods.pti import PTI, tuned
from inversion.methods.settings import SettingError

STAGES: dict[str, type[Stage]] = {
    "mean": MeanLatent,
    "random": RandomLatent,
    "z": OptimiseZ,
    "w": OptimiseW,
    "wplus": OptimiseWPlus,
    "multicode": OptimiseMultiCode,
    "pti": PTI,
}

METHODS: dict[str, Method] = {
    "z": Method(
        "z",
        "Single Z code",
        (RandomLatent(), OptimiseZ()),
        "Creswell and Bharath 2016, arXiv 1611.05644",
        "One code in the space the generator was trained on: always a picture of its domain, seldom yours.",
    ),
    "w": Method(
        "w",
        "W",
        (MeanLatent(), OptimiseW()),
        "Karras et al. 2020, arXiv 1912.04958",
        "One style for all layers: still within the domain, a little nearer.",
    ),
    "wplus": Method(
        "wplus",
        "W+",
        (MeanLatent(), OptimiseWPlus()),
        "Abdal et al. 2019, arXiv 1904.03189",
        "One style per layer: nearer again, and the usual code for editing.",
    ),
    "mganprior": Method(
        "mganprior",
        "mGANprior",
        (MeanLatent(), OptimiseMultiCode()),
        "Gu et al. 2020, arXiv 1912.07116",
        "Several codes mixed channel by channel: reaches pictures that no single code does.",
    ),
    "pti": Method(
        "pti",
        "PTI",
        (MeanLatent(), OptimiseWPlus(), PTI()),
        "Roich et al. 2022, arXiv 2106.05744",
        "A W+ code, then the generator itself is tuned until it renders your picture.",
    ),
}


def parse_method(text: str) -> Method:
    """A preset by its key, or a combination of stages such as "mean+wplus+pti". Raises SettingError.

    Without an embed stage a combination starts at the mean; a preset inside one stands for its stages.
    """
    if text in METHODS:
        return METHODS[text]
    stages: list[Stage] = []
    for part in text.split("+"):
        if part in STAGES:
            stages.append(STAGES[part]())
        elif part in METHODS:
            stages += [stage for stage in METHODS[part].stages if stage.kind != "embed" or not stages]
        else:
            raise SettingError(f"unknown method {part!r}: choose from {', '.join(METHODS)}, or join {'+'.join(STAGES)}")
    if stages[0].kind != "embed":
        stages.insert(0, MeanLatent())
    label = " + ".join(stage.label for stage in stages if stage.kind != "embed" or len(stages) == 1)
    return Method(text, label, tuple(stages))


__all__ = [
    "METHODS",
    "STAGES",
    "Code",
    "Method",
    "MultiCode",
    "Outcome",
    "Result",
    "SettingError",
    "Stage",
    "Step",
    "W",
    "WPlus",
    "Z",
    "descend",
    "parse_method",
    "tuned",
]
