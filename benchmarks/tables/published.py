"""What the papers report, beside our rows. Data, networks and metrics differ: only the order of methods compares."""

from __future__ import annotations

from dataclasses import dataclass

VERIFIED, COPIED, RECALLED = "yes", "copied from another publication", "no, from memory"


@dataclass(frozen=True)
class Reported:
    """One line of a paper's table. status: whether the figures were compared with a public page."""

    table: str  # key of `TABLES`
    task: str
    method: str
    figures: str
    status: str = RECALLED


_MGANPRIOR = "Gu et al. 2020"
_IN_DOMAIN = "Zhu et al. 2020"
_HYPERSTYLE = "Alaluf et al. 2022, CelebA-HQ"
_GANINVERTER = "GANInverter's README, CelebA-HQ"

# Source and data -> lines.
REPORTED: dict[str, tuple[Reported, ...]] = {
    f"{_MGANPRIOR}, table 1, LSUN bedroom / church / CelebA-HQ face, PGGAN": (
        Reported("inversion", "reconstruct", "z", "PSNR 17.19 / 17.15 / 19.17"),
        Reported("inversion", "reconstruct", "encoder", "PSNR 11.59 / 11.58 / 11.18"),
        Reported("inversion", "reconstruct", "encoder+z", "PSNR 18.34 / 17.81 / 20.33"),
        Reported("inversion", "reconstruct", "mganprior", "PSNR 25.13 / 22.76 / 23.59"),
    ),
    f"{_IN_DOMAIN}, table 1, FFHQ face, StyleGAN": (
        Reported("inversion", "reconstruct", "wplus", "MSE 0.026, FID 58.04, 290 s"),
        Reported("inversion", "reconstruct", "guided", "MSE 0.062, FID 52.85, 0.017 s"),
        Reported("inversion", "reconstruct", "indomain", "MSE 0.030, FID 42.64, 8 s"),
    ),
    _HYPERSTYLE: (
        Reported("inversion", "reconstruct", "wplus", "ID 0.78, MS-SSIM 0.90, LPIPS 0.09, 227.6 s", COPIED),
        Reported("inversion", "reconstruct", "pti", "ID 0.85, MS-SSIM 0.92, LPIPS 0.09, 55.7 s", COPIED),
        Reported("inversion", "reconstruct", "psp", "ID 0.56, MS-SSIM 0.76, LPIPS 0.17, 0.1 s", COPIED),
        Reported("inversion", "reconstruct", "e4e", "ID 0.50, MS-SSIM 0.72, LPIPS 0.20, 0.1 s", COPIED),
        Reported("inversion", "reconstruct", "restyle", "ID 0.66, MS-SSIM 0.79, LPIPS 0.13, 0.4 s", COPIED),
    ),
    _GANINVERTER: (
        Reported("inversion", "reconstruct", "w", "PSNR 15.85, ID 0.32, FID 25.74", VERIFIED),
        Reported("inversion", "reconstruct", "wplus", "PSNR 20.59, ID 0.77, FID 17.08", VERIFIED),
        Reported("inversion", "reconstruct", "psp", "PSNR 18.03, ID 0.56, FID 25.25", VERIFIED),
        Reported("inversion", "reconstruct", "e4e", "PSNR 16.66, ID 0.50, FID 28.50", VERIFIED),
        Reported("inversion", "reconstruct", "restyle", "PSNR 17.09, ID 0.51, FID 25.51 (of e4e)", VERIFIED),
        Reported("inversion", "reconstruct", "pti", "PSNR 24.61, ID 0.85, FID 14.28 (without locality)", VERIFIED),
    ),
    f"{_MGANPRIOR}, LSUN bedroom / church, PGGAN": (
        Reported("restoration", "colorize", "measured", "AuC 88.02 / 85.50"),
        Reported("restoration", "colorize", "features", "AuC 85.41 / 86.10"),
        Reported("restoration", "colorize", "dip", "AuC 84.33 / 83.31"),
        Reported("restoration", "colorize", "mganprior", "AuC 90.02 / 89.43"),
    ),
    f"{_MGANPRIOR}, CelebA-HQ, x16": (
        Reported("restoration", "superres", "dip", "PSNR 26.87, LPIPS 0.424"),
        Reported("restoration", "superres", "mganprior", "PSNR 26.93, LPIPS 0.358"),
    ),
    f"{_MGANPRIOR}, LSUN bedroom, hole in the centre / random pixels": (
        Reported("restoration", "inpaint", "z", "PSNR 10.37 / 12.79"),
        Reported("restoration", "inpaint", "features", "PSNR 14.75 / 18.72"),
        Reported("restoration", "inpaint", "dip", "PSNR 17.92 / 18.02"),
        Reported("restoration", "inpaint", "mganprior", "PSNR 21.43 / 22.11"),
    ),
    "Menon et al. 2020, CelebA-HQ, x8, mean opinion of people (1 to 5)": (
        Reported("restoration", "superres", "measured", "1.34", COPIED),
        Reported("restoration", "superres", "pulse", "3.60", COPIED),
    ),
    f"{_IN_DOMAIN}, table 2, FFHQ face, FID between two inversions / after edits": (
        Reported("editing", "edit", "wplus", "112.09 / 83.69"),
        Reported("editing", "edit", "indomain", "91.18 / 76.43"),
    ),
}
