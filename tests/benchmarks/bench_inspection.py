"""Multiply-adds of every torchvision classifier against torchvision's own table, and seconds.

Right means: within 0.1 % or 0.0006 G of what is published, and all parameters in the rows.

Run: python tests/benchmarks/bench_inspection.py [name ...]
"""

import sys
import time

import torch
import torchvision
from torch.overrides import TorchFunctionMode
from torchvision.models import get_model_builder, get_model_weights, list_models

from coursekit.inspection import summarize

WITH_HEADS = {"googlenet": False, "inception_v3": True}  # as their tables count them


class NoFirstWeights(TorchFunctionMode):
    """Leaves out the drawing of first weights, which takes longer than all the rest."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if getattr(func, "__module__", "") == "torch.nn.init" or func.__name__ == "normal_":
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


def build(name, **settings):
    """Build under the meta device; RegNets cannot be, because they compute with tensors."""
    if name in WITH_HEADS:
        settings |= {"aux_logits": WITH_HEADS[name], "init_weights": False}
        settings |= {"transform_input": True}
    with NoFirstWeights(), torch.device("cpu" if name.startswith("regnet") else "meta"):
        return get_model_builder(name)(weights=None, **settings).eval()


def tables_of(name):
    """Return what is published: one crop, with its parameters and operations, once each."""
    entries = get_model_weights(name)
    found = {(w.transforms().crop_size[0], w.meta["num_params"]): w.meta for w in entries}
    return [(crop, meta) for (crop, _), meta in found.items()]


def find_faults(name):
    """Return what is wrong with the numbers of one classifier, in words."""
    faults = []
    for crop, meta in tables_of(name):
        model = build(name, **({"image_size": crop} if name.startswith("vit") else {}))
        summary = summarize(model, (3, crop, crop))
        giga, published = summary.multiply_adds / 1e9, meta["_ops"]
        if abs(giga - published) > max(0.001 * published, 0.0006):
            faults.append(f"{giga:.4f} G at {crop}, published {published}")
        counted = summary.table["parameters"].sum()
        if not meta["num_params"] == summary.n_parameters == counted:
            faults.append(
                f"{counted:,} parameters in rows, {summary.n_parameters:,} in all"
            )
    return faults


def main():
    """Print the seconds of each network and what is wrong; return the number of faults."""
    torch.set_num_threads(1)
    names = sys.argv[1:] or list_models(module=torchvision.models)
    n_wrong, began = 0, time.process_time()
    for name in names:
        before = time.process_time()
        faults = find_faults(name)
        n_wrong += bool(faults)
        print(
            f"{name:<24} {time.process_time() - before:6.2f} s  {'; '.join(faults) or 'right'}"
        )
    seconds = time.process_time() - began
    print(
        f"torch {torch.__version__}: {len(names)} networks, {n_wrong} wrong, {seconds:.0f} s"
    )
    return n_wrong


if __name__ == "__main__":
    sys.exit(main())
