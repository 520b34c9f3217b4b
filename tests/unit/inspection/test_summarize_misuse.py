"""Wrong calls of summarize: the error says what was given and what to do."""

import warnings

import pytest
import torch
from torch import nn

from coursekit.errors import CourseError, SettingsError, ShapeError
from coursekit.inspection import summarize

CONV = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))


class Values(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


class Two(nn.Module):
    def forward(self, a, b):
        return a + b


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda: summarize("resnet", (3, 8, 8)), SettingsError, "nn.Module, got str"),
        (lambda: summarize(CONV), SettingsError, r"Give either input_size.*got none"),
        (
            lambda: summarize(CONV, (3, 8, 8), example=torch.ones(1, 3, 8, 8)),
            SettingsError,
            "got both",
        ),
        (lambda: summarize(CONV, (3, 0, 8)), ShapeError, r"positive integers.*\(3, 0, 8\)"),
        (lambda: summarize(CONV, (3, 8.5, 8)), ShapeError, "positive integers"),
        (lambda: summarize(CONV, 3), ShapeError, "positive integers.*got 3"),
        (lambda: summarize(CONV, ()), ShapeError, "positive integers"),
        (lambda: summarize(CONV, [(3, 8, 8), (0,)]), ShapeError, "list of such sizes"),
        (lambda: summarize(CONV, (3, 8, 8), batch_size=0), ShapeError, "at least 1, got 0"),
        (
            lambda: summarize(CONV, example=torch.ones(0, 3, 8, 8)),
            ShapeError,
            "at least one element.*batch of at least one",
        ),
        (
            lambda: summarize(CONV, (1, 8, 8)),
            ShapeError,
            r"'0' \(Conv2d\) fails on input of shape \(1, 1, 8, 8\).*without the batch",
        ),
        (lambda: summarize(CONV, (1, 3, 8, 8)), ShapeError, "without the batch"),
        (lambda: summarize(CONV, (3, 2, 2)), ShapeError, "'0' .Conv2d. fails"),
        (
            lambda: summarize(nn.Sequential(nn.Flatten(), nn.Linear(9, 2)), (1, 4, 4)),
            ShapeError,
            r"'1' \(Linear\).*cannot be multiplied",
        ),
        (lambda: summarize(nn.Embedding(9, 2), (5,)), ShapeError, "give the input itself"),
        (
            lambda: summarize(CONV, (3, 3, 3)),
            ShapeError,
            r"'1' \(BatchNorm2d\).*batch_size=2, or model.eval",
        ),
        (lambda: summarize(Two(), (3,)), SettingsError, "missing 1 required"),
        (
            lambda: summarize(CONV, example={"image": torch.ones(1, 3, 8, 8)}),
            SettingsError,
            "unexpected keyword argument 'image'",
        ),
        (lambda: summarize(nn.Sequential(), (3,)), SettingsError, "has no modules"),
        (lambda: summarize(nn.Module(), (3,)), SettingsError, "has no modules"),
        (lambda: summarize(nn.ModuleList([CONV]), (3, 8, 8)), ShapeError, "forward"),
        (lambda: summarize(CONV, (3, 8, 8), device="cuda"), SettingsError, r"model.to\("),
        (
            lambda: summarize(CONV, example=torch.ones(1, 3, 8, 8, device="meta")),
            SettingsError,
            r"model is on cpu, the example on meta.*device='meta'",
        ),
        (
            lambda: summarize(Values(), (3,), device="meta"),
            SettingsError,
            r"\(Values\) needs values.*device=None",
        ),
        (lambda: summarize(nn.LazyLinear(3), (3,)), SettingsError, "no shapes yet"),
    ],
)
def test_misuse_is_explained(call, kind, words):
    with pytest.raises(kind, match=rf"(?s){words}") as caught:
        call()
    assert isinstance(caught.value, CourseError)


def test_a_script_is_refused_with_the_way_out():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scripts are deprecated, and still met
        scripted = torch.jit.script(nn.Sequential(nn.Conv2d(3, 4, 3)))
    with pytest.raises(SettingsError, match="Pass the model that it was made from"):
        summarize(scripted, (3, 8, 8))


@pytest.mark.parametrize("call", [lambda s: s.at_depth(-1)])
def test_a_negative_depth_is_refused(call):
    with pytest.raises(SettingsError, match="0 or more, got -1"):
        call(summarize(CONV, (3, 8, 8)))


def test_an_interrupt_passes_through():
    class Interrupted(nn.Module):
        def forward(self, x):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        summarize(Interrupted(), (3,))
    assert torch.backends.mha.get_fastpath_enabled()
