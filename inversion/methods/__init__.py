"""Stages, and the methods of the papers as pipelines of stages. A new stage is one file and one line here."""

from __future__ import annotations

from inversion.common.settings import SettingError
from inversion.methods.base import Descent, Outcome, Result, Stage, Step, descend
from inversion.methods.clone import Clone
from inversion.methods.codes import Code, MultiCode, W, WPlus, Z
from inversion.methods.dip import DeepImagePrior
from inversion.methods.embed import MeanLatent, RandomLatent
from inversion.methods.encode import ClassicEncoder, E4EEncoder, GuidedEncoder, PSPEncoder, ReStyle
from inversion.methods.indomain import OptimiseInDomain
from inversion.methods.keep import KeepCode
from inversion.methods.latent import OptimiseW, OptimiseWPlus, OptimiseZ
from inversion.methods.multicode import OptimiseMultiCode
from inversion.methods.pipeline import Method
from inversion.methods.projector import Projector
from inversion.methods.pti import PTI, tuned
from inversion.methods.sphere import OptimiseSphere

STAGES: dict[str, type[Stage]] = {
    "mean": MeanLatent,
    "random": RandomLatent,
    "encoder": ClassicEncoder,
    "guided": GuidedEncoder,
    "psp": PSPEncoder,
    "e4e": E4EEncoder,
    "restyle": ReStyle,
    "keep": KeepCode,
    "z": OptimiseZ,
    "w": OptimiseW,
    "wplus": OptimiseWPlus,
    "projector": Projector,
    "multicode": OptimiseMultiCode,
    "indomain": OptimiseInDomain,
    "pulse": OptimiseSphere,
    "pti": PTI,
    "clone": Clone,
    "dip": DeepImagePrior,
}

METHODS: dict[str, Method] = {
    "z": Method(
        "z",
        "Single Z code",
        (RandomLatent(), OptimiseZ()),
        "Creswell and Bharath 2016, arXiv 1611.05644",
        "Optimises one random input of the generator. Always realistic, but rarely close.",
    ),
    "w": Method(
        "w",
        "W",
        (MeanLatent(), OptimiseW()),
        "Karras et al. 2020, arXiv 1912.04958",
        "Optimises one style for all layers. Editable, but less faithful than W+.",
    ),
    "wplus": Method(
        "wplus",
        "W+",
        (MeanLatent(), OptimiseWPlus()),
        "Abdal et al. 2019, arXiv 1904.03189",
        "Optimises one style per layer: the usual choice for editing. Faithful and easy to edit.",
    ),
    "projector": Method(
        "projector",
        "Projector",
        (MeanLatent(), Projector()),
        "Karras et al. 2020, arXiv 1912.04958",
        "StyleGAN2's own projector: optimises one style and the noise maps. Realistic and easy to edit.",
    ),
    "encoder": Method(
        "encoder",
        "Encoder",
        (ClassicEncoder(),),
        "Zhu et al. 2016, arXiv 1609.03552",
        "One pass of a network that was trained on generated pictures. Very fast, but only a rough match.",
    ),
    "hybrid": Method(
        "hybrid",
        "Hybrid",
        (ClassicEncoder(), OptimiseWPlus(steps=50, principal=True)),
        "Bau et al. 2019, arXiv 1910.11626",
        "Starts at the encoder's code and optimises W+ for a few steps. Faster than W+, similarly faithful.",
    ),
    "indomain": Method(
        "indomain",
        "In-Domain",
        (GuidedEncoder(), OptimiseInDomain()),
        "Zhu et al. 2020, arXiv 2004.00049",
        "Optimises W+ but stays close to the codes of an encoder. Edits better than W+, less faithful.",
    ),
    "mganprior": Method(
        "mganprior",
        "mGANprior",
        (MeanLatent(), OptimiseMultiCode()),
        "Gu et al. 2020, arXiv 1912.07116",
        "Mixes the features of many codes. Faithful, but slow and hard to edit.",
    ),
    "psp": Method(
        "psp",
        "pSp",
        (PSPEncoder(),),
        "Richardson et al. 2021, arXiv 2008.00951",
        "One pass of an encoder with one style per layer. Very fast and fairly faithful.",
    ),
    "e4e": Method(
        "e4e",
        "e4e",
        (E4EEncoder(),),
        "Tov et al. 2021, arXiv 2102.02766",
        "One pass of an encoder that stays close to W. Edits better than pSp, less faithful.",
    ),
    "restyle": Method(
        "restyle",
        "ReStyle",
        (ReStyle(),),
        "Alaluf et al. 2021, arXiv 2104.02699",
        "An encoder that corrects its own result in five passes. Slightly more faithful than one pass.",
    ),
    "pulse": Method(
        "pulse",
        "PULSE",
        (OptimiseSphere(),),
        "Menon et al. 2020, arXiv 2003.03808",
        "Searches among typical random codes only. Always realistic, but rarely close.",
    ),
    "pti": Method(
        "pti",
        "PTI",
        (MeanLatent(), OptimiseWPlus(), PTI()),
        "Roich et al. 2022, arXiv 2106.05744",
        "Finds a W+ code, then tunes the generator to your picture. Very faithful and editable, but slow.",
    ),
    "clone": Method(
        "clone",
        "Clone",
        (MeanLatent(), OptimiseWPlus(), Clone()),
        "Feng et al. 2022, arXiv 2202.11833",
        "Like PTI, but keeps the other pictures of the generator almost unchanged. Very faithful, but slow.",
    ),
    "dip": Method(
        "dip",
        "Deep Image Prior",
        (DeepImagePrior(),),
        "Ulyanov et al. 2018, arXiv 1711.10925",
        "Fits an untrained network to your picture and needs no generator. Slow, and cannot be edited.",
    ),
}


# Default of comparisons: methods that need a generator with styles and no other network.
BASIC = ("z", "w", "wplus", "mganprior", "pti")


def parse_method(text: str) -> Method:
    """A preset by its key, or a combination of stages such as "mean+wplus+pti". Raises SettingError.

    A preset inside a combination stands for its stages. A combination without an embed stage gets that of the preset of
    its first stage, or the mean if there is no such preset.
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
            presets, parts = ", ".join(METHODS), ", ".join(STAGES)
            raise SettingError(f"Unknown method {part!r}. Choose one of: {presets}. Or join stages with +: {parts}.")
    if stages[0].kind != "embed" and not stages[0].standalone:
        preset = METHODS.get(stages[0].key, METHODS["w"]).stages
        stages[:0] = [stage for stage in preset if stage.kind == "embed"]
    default_starts = (MeanLatent, RandomLatent)  # left out of the label
    label = " + ".join(stage.label for stage in stages if not isinstance(stage, default_starts) or len(stages) == 1)
    return Method(text, label, tuple(stages))


__all__ = [
    "BASIC",
    "METHODS",
    "STAGES",
    "Code",
    "Descent",
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
