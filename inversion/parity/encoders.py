"""Runs the encoders and perceptual networks of golden cases: from a case to every output that it may store.

A function that runs a case raises CaseError if the manifest describes another network.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from inversion.checkpoints.layouts import Found
from inversion.encoders import E4E, PSP, ArcFace, Encoder, InDomain, SingleW, SingleWPlus
from inversion.encoders.restyle import average_image, corrections
from inversion.parity.cases import Case, Computed, recorded_outputs, wrong_network
from inversion.parity.generators import any_prior
from inversion.perception import LPIPS, KerasVGG16, LPIPSNetwork


def encoder(kind: str | None = None) -> Callable[[Case], Computed]:
    """The function that runs an encoder alone; `kind` is the architecture if two have the same tensors."""

    def run(case: Case) -> Computed:
        zero = torch.zeros(case.shape("codes")[-1:])  # without a decoder there is no mean style
        net = _network(case, case.found(latent_avg=zero), kind)
        if not isinstance(net, PSP | SingleW | SingleWPlus):
            raise wrong_network(net, "pSp, e4e or single-style encoder")
        taps = {name: f"backbone.body.{name.removeprefix('body')}" for name in case.bases(r"body\d+")}
        taps |= {name: f"backbone.body.{net.backbone.taps[int(name[1:]) - 4]}" for name in case.bases(r"c[123]")}
        taps |= {name: name for name in case.bases(r"latlayer\d")}
        taps |= {name: f"backbone.{name}" for name in case.bases("input_layer")}
        x = case.picture()
        with recorded_outputs(net, taps) as recorded:
            codes = net.offsets(x)
        out: Computed = {**recorded, "codes": codes[:, 0] if isinstance(net, SingleW) else codes}
        for name in case.bases(r"codes_stage\d+"):
            if isinstance(net, E4E):
                out[name] = net.offsets(x, stage=int(name.removeprefix("codes_stage")))
        return out

    return run


def in_domain_encoder(case: Case) -> Computed:
    """IDInvert's encoder."""
    net = _network(case, case.found())
    if not isinstance(net, InDomain):
        raise wrong_network(net, "encoder of IDInvert")
    numbers = {name: int(name.removeprefix("block")) for name in case.bases(r"block\d+")}
    taps = {name: f"blocks.{n - 1}" if n else "stem" for name, n in numbers.items()}
    with recorded_outputs(net, taps) as recorded:
        codes = net(case.picture())
    return {**recorded, "codes": codes}


def encoder_and_decoder(kind: str) -> Callable[[Case], Computed]:
    """The function that runs an encoder with its decoder; `kind` is the encoder's architecture."""

    def run(case: Case) -> Computed:
        average = case.input("latent_avg")
        prior = any_prior(case, "decoder", latent_avg=average)
        net = _network(case, case.found("encoder", latent_avg=average, num_ws=prior.num_ws), kind)
        if not isinstance(net, Encoder):
            raise wrong_network(net, "encoder")
        x = case.picture()
        if net.reads == "pair":
            steps = list(corrections(net, prior, x, case.shape("images")[0]))
            latents, images = (torch.cat(parts) for parts in zip(*steps, strict=True))
            return {"latents": latents, "images": images, "average_image": lambda: average_image(net, prior)[0]}
        ws = net(x)
        image = prior.synthesis(ws)

        def mixed() -> Tensor:
            half = prior.num_ws // 2
            return prior.synthesis(torch.cat([ws[:, :half], (0.5 * (ws + case.input("inject")))[:, half:]], dim=1))

        return {"latents": ws, "image": image, "image_resized": lambda: net.fit(image), "image_mixed": mixed}

    return run


def arcface(case: Case) -> Computed:
    """ArcFace on crops and on whole faces."""
    net = _network(case, case.found())
    if not isinstance(net, ArcFace):
        raise wrong_network(net, "ArcFace")
    taps = {name: f"backbone.body.{name.removeprefix('body')}" for name in case.bases(r"body\d+")}
    with recorded_outputs(net, {**taps, "prenorm": "output_layer"}) as recorded:
        embedding = net.embed(case.picture())
    whole = net(case.picture("image256"))
    cosine = (whole[:1] * whole[1:]).sum(dim=1)
    faces = {"embedding_from256": whole, "cosine_from256": cosine, "id_loss": 1.0 - cosine}
    return {**recorded, "embedding": embedding, **faces}


def lpips(case: Case) -> Computed:
    """LPIPS with the package's own linear weights."""
    net = _network(case, case.found())
    if not isinstance(net, LPIPSNetwork):
        raise wrong_network(net, "trunk of LPIPS")
    a, b = case.input("a"), case.input("b")
    maps = list(net.trunk((a - net.shift) / net.scale))
    as_01 = [((x + 1.0) / 2.0) * 2.0 - 1.0 for x in (a, b)]  # to [0, 1] and back, as normalize=True does
    measure = LPIPS(net)
    per_layer = measure.per_layer(measure.features(a), measure.features(b))
    relus = {f"relu{i + 1}": f for i, f in enumerate(maps)}
    return {"distance": measure(a, b), "per_layer": per_layer, "distance_01": measure(*as_01), **relus}


def keras_vgg16(case: Case) -> Computed:
    """IDInvert's perceptual features."""
    net = _network(case, case.found())
    if not isinstance(net, KerasVGG16):
        raise wrong_network(net, "VGG16 of Keras")
    features = net(case.picture())
    stored = case.shape("features")
    return {"features": features[:, : stored[1]] if len(stored) > 1 else features, "features_all": features}


def _network(case: Case, found: Found, architecture: str | None = None) -> nn.Module:
    """The network that was found, built as `architecture`."""
    return replace(found, architecture=architecture or found.architecture).build().to(case.device)
