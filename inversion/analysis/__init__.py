"""Analyses: the effects that the papers describe, on one picture. A new one is a file and a line here."""

from __future__ import annotations

from inversion.analysis.across import AcrossDomains
from inversion.analysis.attributes import AttributesOfCodes
from inversion.analysis.base import Analysis, Case, Run
from inversion.analysis.between import Between
from inversion.analysis.both import EncoderAndOptimiser
from inversion.analysis.codes import NumberOfCodes
from inversion.analysis.colours import ColourCurves
from inversion.analysis.identity import IdentityTerm
from inversion.analysis.layers import ComposingLayer
from inversion.analysis.mixing import StyleMixing
from inversion.analysis.report import Column, Report, Shown, Table
from inversion.analysis.roles import RolesOfCodes
from inversion.analysis.spaces import SpacesOfEncoders
from inversion.analysis.trade_offs import TradeOffs
from inversion.analysis.tuning import TuningMoves
from inversion.analysis.weight import DomainWeight
from inversion.common.settings import SettingError

ANALYSES: dict[str, type[Analysis]] = {
    "codes": NumberOfCodes,
    "layers": ComposingLayer,
    "roles": RolesOfCodes,
    "across": AcrossDomains,
    "colours": ColourCurves,
    "map": TradeOffs,
    "attributes": AttributesOfCodes,
    "both": EncoderAndOptimiser,
    "weight": DomainWeight,
    "between": Between,
    "tuning": TuningMoves,
    "spaces": SpacesOfEncoders,
    "identity": IdentityTerm,
    "mixing": StyleMixing,
}


def analysis_of(key: str) -> Analysis:
    """The analysis with its default settings. Raises SettingError for an unknown key."""
    if key not in ANALYSES:
        raise SettingError(f"Unknown analysis {key!r}. Choose one of: {', '.join(ANALYSES)}.")
    return ANALYSES[key]()


__all__ = ["ANALYSES", "Analysis", "Case", "Column", "Report", "Run", "Shown", "Table", "analysis_of"]
