"""Recipes of the encoders: the inputs, and the weights of the terms of the loss; one recipe for each paper or task."""

from __future__ import annotations

from dataclasses import dataclass, replace

from inversion.translations import TRANSLATIONS, input_of


@dataclass(frozen=True)
class EncoderRecipe:
    """Weights of the loss terms; 0 leaves a term out. The defaults are pSp's for faces (Richardson et al. 2021).

    - pixel, perceptual, identity: distances between the reconstruction and the picture.
    - norm: distance of the styles from the mean style; 1 for a random code.
    - codes: squared error of the styles, predicted for samples of the generator, or, if the recipe has `reads`, for
      renders. The codes of both are known.
    - compared: "entries" compares styles entry by entry in units of their spread. "axes" compares them along the
      principal axes of W, each in its own unit: small changes of a style (nose, gaze) count as much as the pose.
    - adversarial: against a discriminator that is trained at the same time (In-Domain).
    - delta, latent: the size of e4e's offsets, and its discriminator of styles.
    - turns: passes of ReStyle.
    - rows: "pyramid" (pSp), "last" (naive W+) or "single" (one style).
    - reads: the encoder's input instead of the picture, a key of DEGRADED or TRANSLATIONS, or "".
    - warm: fraction of the run at its start, 0 to 1, in which only codes are compared: a step then takes a third.
    """

    pixel: float = 1.0
    perceptual: float = 0.8
    identity: float = 0.1
    norm: float = 0.0
    codes: float = 0.0
    compared: str = "entries"
    adversarial: float = 0.0
    delta: float = 0.0
    latent: float = 0.0
    turns: int = 1
    rows: str = "pyramid"
    reads: str = ""
    warm: float = 0.0

    @property
    def translates(self) -> bool:
        """Whether the encoder learns a translation, from rendered pairs."""
        return self.reads in TRANSLATIONS

    def inputs(self, classes: int) -> int:
        """Input channels: those of `reads`, of a picture, or (ReStyle) of a picture and its reconstruction.

        classes: number of classes of a label map.
        """
        if self.translates:
            return input_of(self.reads).channels(classes)
        return 3 if self.turns == 1 else 6


# pSp's weights for its other tasks: no identity if the input shows no person, and a penalty on the distance from the
# mean style. The paper's 0.005 is per unit of FFHQ's styles, where a random code lies about 40 from the mean: 0.2 in
# our units. Our weight is smaller, and the loss includes the codes: renders have exact codes, photographs have none.
_CONDITIONAL = EncoderRecipe(identity=0, norm=0.05, codes=0.3, compared="axes", warm=0.9)
RECIPES: dict[str, EncoderRecipe] = {
    "encoder": EncoderRecipe(pixel=0, perceptual=0, identity=0, codes=1),
    "indomain": EncoderRecipe(identity=0, adversarial=0.08),  # the paper's text has 0.1, its published script 0.08
    "psp": EncoderRecipe(),
    "e4e": EncoderRecipe(delta=2e-4, latent=0.1),
    "restyle": EncoderRecipe(turns=3),  # the paper has 5: a pass costs as much as another batch
    "sketch": replace(_CONDITIONAL, reads="sketch"),
    "map": replace(_CONDITIONAL, reads="map"),
    # The paper has no true frontal pictures. So its weight of the pixels is tiny (0.001), and that of identity is 1.
    "frontalize": EncoderRecipe(identity=1, norm=0.05, codes=0.3, compared="axes", reads="frontalize", warm=0.85),
    "superres": EncoderRecipe(norm=0.05, codes=0.1, reads="shrunk", warm=0.2),
    "inpaint": EncoderRecipe(norm=0.05, codes=0.1, reads="holed", warm=0.2),
    # Our own: the paper trains one encoder per task. This one serves all tasks and also reads complete pictures.
    "restore": EncoderRecipe(norm=0.01, codes=0.1, compared="axes", warm=0.65, reads="damaged"),
}
