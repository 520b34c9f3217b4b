"""What inspection costs beside other tools: seconds, and whether the numbers are right.

Part A: `summarize` beside torchinfo, torchsummary and fvcore on eight torchvision models,
one image of 224 x 224, evaluation mode. Right means: parameters are the model's own,
multiply-adds lie within 1 % of what torchvision publishes.

Run: python tests/benchmarks/bench_inspection.py [--repeats 3]
"""

import argparse
import contextlib
import io
import logging
import os
import statistics
import sys
import time
import warnings

EIGHT = (
    "resnet50",
    "vgg16",
    "mobilenet_v2",
    "convnext_tiny",
    "vit_b_16",
    "efficientnet_b0",
    "googlenet",
    "densenet121",
)
SIZE = (3, 224, 224)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported
    import torch

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    return int(compare_summaries(repeats))


def compare_summaries(repeats: int) -> bool:
    """Print part A; return whether `summarize` was wrong anywhere."""
    print(f"summarize and others: CPU-seconds of one thread, median of {repeats} repeats")
    print(
        f"{'model':<16} {'tool':<18} {'seconds':>8} {'spread':>14}  parameters multiply-adds"
    )
    wrong = False
    for name in EIGHT:
        for tool, count in TOOLS.items():
            # Anew for each: torchsummary leaves its hooks behind when it crashes.
            model, n_parameters, giga = build(name)
            seconds, answer = timed(count, model, repeats)
            if isinstance(answer, str):
                print(f"{name:<16} {tool:<18} {answer}")
                continue
            right = [
                verdict(answer[0], n_parameters, 0),
                verdict(answer[1] and answer[1] / 1e9, giga, 0.01),
            ]
            wrong |= tool.startswith("summarize") and right != ["right", "right"]
            spread = f"{min(seconds):.3f}-{max(seconds):.3f}"
            print(
                f"{name:<16} {tool:<18} {statistics.median(seconds):>8.3f} {spread:>14}  "
                f"{right[0]:<10} {right[1]}",
                flush=True,
            )
    return wrong


def build(name: str):
    """Return a model, the sum of its parameters and the published giga multiply-adds."""
    from torchvision.models import get_model_builder, get_model_weights

    settings = {"aux_logits": False, "init_weights": False} if name == "googlenet" else {}
    model = get_model_builder(name)(weights=None, **settings).eval()
    n_parameters = sum(parameter.numel() for parameter in model.parameters())
    return model, n_parameters, next(iter(get_model_weights(name))).meta["_ops"]


def timed(count, model, repeats: int):
    """Return the seconds of each repeat, and the last answer or what went wrong."""
    seconds = []
    try:
        for _ in range(repeats):
            begin = time.process_time()
            with contextlib.redirect_stdout(io.StringIO()):
                answer = count(model)
            seconds.append(time.process_time() - begin)
    except ImportError:
        return seconds, "not installed"
    except Exception as error:  # noqa: BLE001 - a crash is the result
        return seconds, f"crashes: {type(error).__name__}: {str(error)[:60]}"
    return seconds, answer


def verdict(found, truth: float, tolerance: float) -> str:
    """Return "right", or how far the number found is from the truth."""
    if found is None:
        return "not told"
    if abs(found - truth) <= tolerance * truth:
        return "right"
    return f"x {found / truth:.3f}" if tolerance else f"{found - truth:+,}"


def by_summarize(model):
    """Run a copy for real."""
    from coursekit.inspection import summarize

    summary = summarize(model, SIZE)
    return summary.n_parameters, summary.multiply_adds


def by_summarize_on_meta(model):
    """Run shapes only."""
    from coursekit.inspection import summarize

    summary = summarize(model, SIZE, device="meta")
    return summary.n_parameters, summary.multiply_adds


def by_torchinfo(model):
    """Ask torchinfo, which runs the model."""
    import torchinfo

    found = torchinfo.summary(model, (1, *SIZE), verbose=0)
    return found.total_params, found.total_mult_adds


def by_torchsummary(model):
    """Ask torchsummary, which prints its answer and counts no operations."""
    import torchsummary

    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        torchsummary.summary(model, SIZE, device="cpu")
    line = next(line for line in printed.getvalue().splitlines() if "Total params" in line)
    return int(line.split(":")[1].replace(",", "")), None


def by_fvcore(model):
    """Ask fvcore, which traces the model."""
    import torch
    from fvcore.nn import FlopCountAnalysis

    found = FlopCountAnalysis(model, torch.rand(1, *SIZE))
    found.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    return sum(p.numel() for p in model.parameters()), found.total()


TOOLS = {
    "summarize": by_summarize,
    "summarize, meta": by_summarize_on_meta,
    "torchinfo": by_torchinfo,
    "torchsummary": by_torchsummary,
    "fvcore": by_fvcore,
}


if __name__ == "__main__":
    sys.exit(main())
