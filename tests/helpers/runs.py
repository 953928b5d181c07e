"""Quick runs of methods on tiny models, and comparisons of their results."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from inversion.methods import Method, Result, Step, parse_method
from inversion.methods.run import invert
from inversion.model import Model
from inversion.tasks import Reconstruct, Task

QUICK = {"steps": 4, "codes": 3, "candidates": 4, "batch": 2, "eps": 0.1}  # by field of a stage


def quick(key: str, **changes: object) -> Method:
    """The method with few steps and codes. changes: "stage__field" -> value."""
    method = parse_method(key)
    settings: dict[str, object] = {name: QUICK[spec.name] for name, _, spec in method.specs() if spec.name in QUICK}
    return method.configured({**settings, **{k.replace("__", "."): v for k, v in changes.items()}})


def finish(events: Iterator[Step | Result]) -> tuple[list[Step], Result]:
    """All steps of a run, and its result."""
    seen = list(events)
    result = seen.pop()
    assert isinstance(result, Result)
    steps = [event for event in seen if isinstance(event, Step)]
    assert len(steps) == len(seen)
    return steps, result


def run(model: Model, method: Method | str, y: Tensor, task: Task | None = None, **changes: object) -> Result:
    """The result of a method, quick if it is given by its key."""
    chosen = quick(method, **changes) if isinstance(method, str) else method
    return finish(invert(model, task or Reconstruct(), y, chosen))[1]


def state(model: Model) -> dict[str, Tensor]:
    """Every tensor of the model's networks; fails if a weight takes gradients or has one."""
    networks = {"prior": model.prior, "discriminator": model.discriminator, **model.encoders}
    tensors = {f"{name}.{k}": v.clone() for name, n in networks.items() if n for k, v in n.state_dict().items()}
    assert not any(p.requires_grad or p.grad is not None for n in networks.values() if n for p in n.parameters())
    return tensors


def same_tensors(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    """Whether two sets of tensors are equal to the bit."""
    return a.keys() == b.keys() and all(torch.equal(v, b[k]) for k, v in a.items())


def same_result(a: Result, b: Result) -> bool:
    """Whether two results are equal to the bit."""
    codes = [{} if r.code is None else r.code.tensors() for r in (a, b)]
    return (
        torch.equal(a.image, b.image)
        and repr(a.curves) == repr(b.curves)
        and same_tensors(*codes)
        and same_tensors(a.weights or {}, b.weights or {})
    )
