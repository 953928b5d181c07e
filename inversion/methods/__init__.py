"""Stages, and the methods of the papers as pipelines of stages. A new stage is one file and one line here."""

from __future__ import annotations

from inversion.common.settings import SettingError
from inversion.methods.base import Descent, Outcome, Result, Stage, Step, descend
from inversion.methods.clone import Clone
from inversion.methods.codes import Code, MultiCode, W, WPlus, Z
from inversion.methods.dip import DeepImagePrior
from inversion.methods.embed import MeanLatent, RandomLatent
from inversion.methods.encode import ClassicEncoder, E4EEncoder, GuidedEncoder, PSPEncoder, ReStyle
from inversion.methods.features import OptimiseFeatures
from inversion.methods.indomain import OptimiseInDomain
from inversion.methods.keep import KeepCode
from inversion.methods.latent import OptimiseEncoded, OptimiseW, OptimiseWPlus, OptimiseZ
from inversion.methods.multicode import OptimiseMultiCode
from inversion.methods.pipeline import PRESETS, Method
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
    "features": OptimiseFeatures,
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
        quick={"mean.encoder": True, "w.steps": 60, "w.sensitive": True, "w.steps_from_mean": 300},
        published={"w.steps": 1000, "w.lr": 0.1},
    ),
    "wplus": Method(
        "wplus",
        "W+",
        (MeanLatent(), OptimiseWPlus()),
        "Abdal et al. 2019, arXiv 1904.03189",
        "Optimises one style per layer: the usual choice for editing. Faithful and easy to edit.",
        quick={"mean.encoder": True, "wplus.steps": 28, "wplus.sensitive": True, "wplus.steps_from_mean": 300},
        published={"wplus.steps": 5000, "wplus.lr": 0.01},
    ),
    "projector": Method(
        "projector",
        "Projector",
        (MeanLatent(), Projector()),
        "Karras et al. 2020, arXiv 1912.04958",
        "StyleGAN2's own projector: optimises one style and the noise maps. Realistic and easy to edit.",
        quick={
            "mean.encoder": True,
            "projector.steps": 60,
            "projector.shake": 0.0,
            "projector.steps_from_mean": 300,
        },
        published={"projector.steps": 1000, "projector.lr": 0.1},
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
        (ClassicEncoder(), OptimiseEncoded(steps=50, principal=True)),
        "Bau et al. 2019, arXiv 1910.11626",
        "Starts at the encoder's code and optimises it for a few steps. Faster than W+, similarly faithful.",
        quick={"wplus.steps": 32, "wplus.sensitive": True},
        published={"wplus.steps": 500, "wplus.lr": 0.01, "wplus.principal": False},
    ),
    "indomain": Method(
        "indomain",
        "In-Domain",
        (GuidedEncoder(), OptimiseInDomain()),
        "Zhu et al. 2020, arXiv 2004.00049",
        "Optimises W+ but stays close to the codes of an encoder. For edits, less faithful than W+.",
        quick={"indomain.steps": 30, "indomain.lr": 0.02},
        published={"indomain.steps": 100, "indomain.lr": 0.01},
    ),
    "mganprior": Method(
        "mganprior",
        "mGANprior",
        (MeanLatent(), OptimiseMultiCode()),
        "Gu et al. 2020, arXiv 1912.07116",
        "Mixes the features of many codes. Faithful, but slow and hard to edit.",
        quick={
            "mean.encoder": True,
            "multicode.nearby": 0.1,
            "multicode.pixels": True,
            "multicode.steps": 75,
            "multicode.steps_from_mean": 300,
        },
        published={"multicode.steps": 3000, "multicode.lr": 1.0, "multicode.optimiser": "sgd"},
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
        "One pass of an encoder that stays close to W. For edits, less faithful than pSp.",
    ),
    "restyle": Method(
        "restyle",
        "ReStyle",
        (ReStyle(),),
        "Alaluf et al. 2021, arXiv 2104.02699",
        "An encoder that corrects its own result in five passes. Slightly more faithful than one pass.",
        published={"restyle.iterations": 5},
    ),
    "pulse": Method(
        "pulse",
        "PULSE",
        (OptimiseSphere(),),
        "Menon et al. 2020, arXiv 2003.03808",
        "Searches among typical random codes only. Always realistic, but rarely close.",
        published={"pulse.steps": 100, "pulse.lr": 0.4, "pulse.eps": 0.001},
    ),
    "pti": Method(
        "pti",
        "PTI",
        (MeanLatent(), OptimiseWPlus(), PTI()),
        "Roich et al. 2022, arXiv 2106.05744",
        "Finds a W+ code, then tunes the generator to your picture. Very faithful and editable, but slow.",
        quick={
            "mean.encoder": True,
            "wplus.steps": 28,
            "wplus.sensitive": True,
            "wplus.steps_from_mean": 300,
            "pti.steps": 110,
            "pti.rate_factor": 3.75,
            "pti.decay": 0.5,
            "pti.memory": 0.95,
            "pti.pixels": True,
        },
        published={"wplus.steps": 450, "wplus.lr": 0.01, "pti.steps": 350, "pti.lr": 0.0003},
    ),
    "clone": Method(
        "clone",
        "Clone",
        (MeanLatent(), OptimiseWPlus(), Clone()),
        "Feng et al. 2022, arXiv 2202.11833",
        "Like PTI, but keeps the other pictures of the generator almost unchanged. Very faithful, but slow.",
        quick={
            "mean.encoder": True,
            "wplus.steps": 28,
            "wplus.sensitive": True,
            "wplus.steps_from_mean": 300,
            "clone.steps": 50,
            "clone.probability": 1.0,
            "clone.lr": 0.002,
            "clone.decay": 0.5,
            "clone.memory": 0.95,
        },
    ),
    "dip": Method(
        "dip",
        "Deep Image Prior",
        (DeepImagePrior(),),
        "Ulyanov et al. 2018, arXiv 1711.10925",
        "Fits an untrained network to your picture and needs no generator. Slow, and cannot be edited.",
        published={"dip.steps": 3000, "dip.network": "published"},
    ),
}


# Default of comparisons: methods that need a generator with styles and no other network.
BASIC = ("z", "w", "wplus", "mganprior", "pti")


def parse_method(text: str, preset: str = "") -> Method:
    """A registered method by its key, or a combination of stages such as "mean+wplus+pti". Raises SettingError.

    A method inside a combination stands for its stages. A combination without an embed stage gets that of the method of
    its first stage, or the mean if there is no such method. preset: one of PRESETS, whose settings the method gets; ""
    for the defaults. A combination has no presets.
    """
    if text in METHODS:
        return METHODS[text].configured(METHODS[text].preset(preset)) if preset else METHODS[text]
    stages: list[Stage] = []
    for part in text.split("+"):
        if part in STAGES:
            stages.append(STAGES[part]())
        elif part in METHODS:
            stages += [stage for stage in METHODS[part].stages if stage.kind != "embed" or not stages]
        else:
            known, parts = ", ".join(METHODS), ", ".join(STAGES)
            raise SettingError(f"Unknown method {part!r}. Choose one of: {known}. Or join stages with +: {parts}.")
    if stages[0].kind != "embed" and not stages[0].standalone:
        own = METHODS.get(stages[0].key, METHODS["w"]).stages
        stages[:0] = [stage for stage in own if stage.kind == "embed"]
    default_starts = (MeanLatent, RandomLatent)  # left out of the label
    label = " + ".join(stage.label for stage in stages if not isinstance(stage, default_starts) or len(stages) == 1)
    return Method(text, label, tuple(stages))


def preset_of(method: Method) -> str:
    """The one of PRESETS whose settings a method has; "" for other settings, or if a preset changes none."""
    settings = method.settings()
    for name in PRESETS:
        if method.key in METHODS and METHODS[method.key].preset(name):
            whole = parse_method(method.key, name).settings()
            if settings.items() <= whole.items():  # a run from a given code lacks the settings of the embed stage
                return name
    return ""


__all__ = [
    "BASIC",
    "METHODS",
    "PRESETS",
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
    "preset_of",
    "tuned",
]
