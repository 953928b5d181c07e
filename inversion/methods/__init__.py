"""Stages and the papers' methods made of them. A new stage or method is one file and one line here."""

from __future__ import annotations

from inversion.common.settings import SettingError
from inversion.methods.base import Outcome, Result, Stage, Step, descend
from inversion.methods.clone import Clone
from inversion.methods.codes import Code, MultiCode, W, WPlus, Z
from inversion.methods.dip import DeepImagePrior
from inversion.methods.embed import MeanLatent, RandomLatent
from inversion.methods.encode import ClassicEncoder, E4EEncoder, GuidedEncoder, PSPEncoder, ReStyle
from inversion.methods.indomain import OptimiseInDomain
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
    "projector": Method(
        "projector",
        "Projector",
        (MeanLatent(), Projector()),
        "Karras et al. 2020, arXiv 1912.04958",
        "One style for all layers and the noise maps, searched for under noise that fades.",
    ),
    "encoder": Method(
        "encoder",
        "Encoder",
        (ClassicEncoder(),),
        "Zhu et al. 2016, arXiv 1609.03552",
        "One pass of a network that learnt the codes of the generator's own pictures: at once, and rough.",
    ),
    "hybrid": Method(
        "hybrid",
        "Hybrid",
        (ClassicEncoder(), OptimiseWPlus(steps=50, principal=True)),
        "Bau et al. 2019, arXiv 1910.11626",
        "The encoder's code, then a short W+ optimisation from there.",
    ),
    "indomain": Method(
        "indomain",
        "In-Domain",
        (GuidedEncoder(), OptimiseInDomain()),
        "Zhu et al. 2020, arXiv 2004.00049",
        "A W+ code that its encoder finds again on its own picture: fits a little less, edits better.",
    ),
    "mganprior": Method(
        "mganprior",
        "mGANprior",
        (MeanLatent(), OptimiseMultiCode()),
        "Gu et al. 2020, arXiv 1912.07116",
        "Several codes mixed channel by channel: reaches pictures that no single code does.",
    ),
    "psp": Method(
        "psp",
        "pSp",
        (PSPEncoder(),),
        "Richardson et al. 2021, arXiv 2008.00951",
        "One pass of an encoder with a network per style, trained to give pictures back.",
    ),
    "e4e": Method(
        "e4e",
        "e4e",
        (E4EEncoder(),),
        "Tov et al. 2021, arXiv 2102.02766",
        "An encoder that stays near W: fits less than pSp, edits better.",
    ),
    "restyle": Method(
        "restyle",
        "ReStyle",
        (ReStyle(),),
        "Alaluf et al. 2021, arXiv 2104.02699",
        "An encoder that sees what it made so far and corrects it, five times.",
    ),
    "pulse": Method(
        "pulse",
        "PULSE",
        (OptimiseSphere(),),
        "Menon et al. 2020, arXiv 2003.03808",
        "Searches only where random codes lie: always a picture of the domain that fits what was measured.",
    ),
    "pti": Method(
        "pti",
        "PTI",
        (MeanLatent(), OptimiseWPlus(), PTI()),
        "Roich et al. 2022, arXiv 2106.05744",
        "A W+ code, then the generator itself is tuned until it renders your picture.",
    ),
    "clone": Method(
        "clone",
        "Clone",
        (MeanLatent(), OptimiseWPlus(), Clone()),
        "Feng et al. 2022, arXiv 2202.11833",
        "As PTI, but the GAN's own game goes on meanwhile, so that other pictures hardly move.",
    ),
    "dip": Method(
        "dip",
        "Deep Image Prior",
        (DeepImagePrior(),),
        "Ulyanov et al. 2018, arXiv 1711.10925",
        "No generator: an untrained network, small unless you choose the published one, is fitted to your picture.",
    ),
}


# What comparisons take unless they are told: methods that a generator with styles is enough for.
BASIC = ("z", "w", "wplus", "mganprior", "pti")


def parse_method(text: str) -> Method:
    """A preset by its key, or a combination of stages such as "mean+wplus+pti". Raises SettingError.

    A preset inside a combination stands for its stages. Without an embed stage a combination starts as the preset of
    its first stage does, else at the mean.
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
    if stages[0].kind != "embed" and not stages[0].alone:
        preset = METHODS.get(stages[0].key, METHODS["w"]).stages
        stages[:0] = [stage for stage in preset if stage.kind == "embed"]
    plain = (MeanLatent, RandomLatent)  # every method starts somewhere: not worth a word
    label = " + ".join(stage.label for stage in stages if not isinstance(stage, plain) or len(stages) == 1)
    return Method(text, label, tuple(stages))


__all__ = [
    "BASIC",
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
