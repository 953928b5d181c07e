"""Runs the generators and discriminators of golden cases: from a case to every output that it may store.

A function that runs a case raises CaseError if the manifest describes another network.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from torch import Tensor

from inversion.generators import PGGAN, Discriminator, Prior, State, StyleGAN, StyleGAN2
from inversion.parity.cases import Case, Computed, recorded_outputs, wrong_network
from inversion.parity.fill import vector_input

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from inversion.checkpoints.layouts import Shared

PSI, PSI_LAYERS = 0.7, 8  # truncation of the published samplers
TINY = 1e-4  # factor of a z, for the epsilon of its normalisation


def stylegan2(case: Case) -> Computed:
    """StyleGAN2 of rosinality or NVIDIA."""
    shared: Shared = {"latent_avg": case.input("latent_avg")} if case.has("latent_avg") else {}
    prior = any_prior(case, **shared)
    if not isinstance(prior, StyleGAN2):
        raise wrong_network(prior, "StyleGAN2 generator")
    taps = {name: f"convs.{2 * _level(name)}" for name in case.bases(r"feat\d+")}
    taps |= {name: f"convs.{2 * _level(name) - 1}" for name in case.bases(r"featup\d+")}
    taps |= {name: f"rgbs.{_level(name)}" for name in case.bases(r"rgb\d+")}
    ws = case.input("ws")
    with recorded_outputs(prior, taps) as recorded:
        image = prior.synthesis(ws)
    out: Computed = {**recorded, "image_ws": image}
    z = case.input("z")
    w = prior.mapping(z)
    out["w"], out["w_tinyz"] = w[:, 0], prior.mapping(z * TINY)[:, 0]
    pulled = prior.truncate(w, PSI)
    out["latent_z"] = pulled[:, 0]
    out["image_z"] = lambda: prior.synthesis(pulled)
    for name in case.bases(r"latent_z_cutoff\d+"):
        cut = prior.truncate(w, PSI, int(name.removeprefix("latent_z_cutoff")))
        out[name] = _rows(case, name, cut, [0, 3, 4, prior.num_ws - 1])
    tags = case.meta.get("noise_tags") or []
    maps = [vector_input(tag, (1, 1, *shape)) for tag, shape in zip(tags, prior.noise_shapes, strict=False)]
    out["image_noise"] = lambda: prior.synthesis(ws, [m.to(ws) for m in maps])
    out["image_nonoise"] = lambda: prior.synthesis(ws, [ws.new_zeros(1, 1, *shape) for shape in prior.noise_shapes])
    return out


def discriminator(case: Case) -> Computed:
    """StyleGAN2's discriminator of rosinality or NVIDIA."""
    net = case.found().build().to(case.device)
    if not isinstance(net, Discriminator):
        raise wrong_network(net, "StyleGAN2 discriminator")
    net.group = case.config("epilogue_kwargs", {}).get("mbstd_group_size", 4)
    levels = len(net.blocks)
    taps = {name: _block(int(name.removeprefix("convs"))) for name in case.bases(r"convs\d+")}
    taps |= {name: f"blocks.{levels - _level(name)}" for name in case.bases(r"b\d+") if name != "b4"}
    x = case.picture()
    with recorded_outputs(net, {**taps, "final_conv": "conv"}) as recorded:
        logits = net(x)[:, None]
    out: Computed = {**recorded, f"logits{len(x)}": logits}
    for name in case.bases(r"logits\d+"):
        if name not in out:
            out[name] = net(x[: int(name.removeprefix("logits"))])[:, None]
    return out


def genforce(case: Case) -> Computed:
    """StyleGAN2, StyleGAN or PGGAN of GenForce."""
    prior = any_prior(case)
    z = case.input("z")
    w = prior.mapping(z)
    pulled = prior.truncate(w, case.config("trunc_psi", PSI), case.config("trunc_layers", PSI_LAYERS))
    return {
        "w": w[:, 0],
        "w_tinyz": lambda: prior.mapping(z * TINY)[:, 0],
        "image": lambda: prior(z),
        "image_wp": lambda: prior.synthesis(case.input("wp")),
        "image_z": lambda: prior.synthesis(pulled),
    }


def stylegan(case: Case) -> Computed:
    """StyleGAN of mGANprior or IDInvert."""
    prior = any_prior(case)
    if not isinstance(prior, StyleGAN):
        raise wrong_network(prior, "StyleGAN generator")
    z, out = case.input("z"), Computed()
    w, tiny = prior.mapping(z), prior.mapping(z * TINY)
    out["w"] = w if prior.in_domain else w[:, 0]
    out["w_tinyz"] = _rows(case, "w_tinyz", tiny, [0, 1]) if prior.in_domain else tiny[:, 0]
    psi, layers = case.config("truncation_psi", PSI), case.config("truncation_layers", PSI_LAYERS)
    pulled = prior.truncate(w, psi, layers)
    out["wp_truncated"] = _rows(case, "wp_truncated", pulled, [0, layers - 1, layers, prior.num_ws - 1])
    out["image_z"] = lambda: prior.synthesis(pulled)
    taps = {name: f"layers.{int(name.removeprefix('layer'))}" for name in case.bases(r"layer\d+")}
    with recorded_outputs(prior, {**taps, "rgb": "to_rgb"}) as recorded:
        out["image"] = prior.synthesis(case.input("wp"))
    out["pretanh"] = recorded["rgb"] + prior.bias[:, None, None]
    return {**recorded, **out}


def pggan(case: Case) -> Computed:
    """PGGAN of mGANprior, from one z or from several that are composed at a layer."""
    prior = any_prior(case)
    if not isinstance(prior, PGGAN):
        raise wrong_network(prior, "PGGAN generator")
    z, out = case.input("z"), Computed()
    for name in case.bases(r"image_L\d+"):
        k = int(name.removeprefix("image_L"))
        maps = prior.head(prior.mapping(z.flatten(0, 1)), k).features.unflatten(0, z.shape[:2])  # (B, N, C, h, h)
        mixed = (maps * case.input(f"alpha{k}")[..., None, None]).mean(dim=1)
        out[name] = prior.tail(State(mixed, None), k, prior.mapping(z[:, 0]))
    if z.ndim == 2:
        taps = {name: f"layers.{int(name.removeprefix('layer'))}" for name in case.bases(r"layer\d+")}
        with recorded_outputs(prior, taps) as recorded:
            out["image"] = prior(z)
        out |= recorded
        out["image_tinyz"] = lambda: prior(z * TINY)
        out["image_zscaled"] = lambda: prior(z * 3.0)
    return out


def any_prior(case: Case, part: str = "", **shared: Unpack[Shared]) -> Prior:
    """The case's generator, frozen. Raises CaseError if it is another network."""
    prior = case.found(part, **shared).build().to(case.device)
    if not isinstance(prior, Prior):
        raise wrong_network(prior, "generator")
    return prior.freeze()


def _level(name: str) -> int:
    """0 for a name that ends in 4, 1 for 8, 2 for 16, ..."""
    return int(re.sub(r"\D", "", name)).bit_length() - 3


def _block(index: int) -> str:
    """This package's name for rosinality's convs.N in a discriminator."""
    return f"blocks.{index - 1}" if index else "from_rgb"


def _rows(case: Case, name: str, ws: Tensor, published: list[int]) -> Tensor:
    """All rows of ws, or the published rows if the case stores that many."""
    shape = case.shape(name)
    return ws[:, published] if len(shape) == 3 and shape[1] == len(published) != ws.shape[1] else ws
