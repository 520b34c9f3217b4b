"""Helpers of a computer-vision course whose every lesson is a test.

Import the folder that you need; this file stays light, so ``import coursekit`` loads
neither torch nor matplotlib.

errors, seeds, devices
    Exceptions raised on purpose, random seeds, and the choice of a device.
assets
    Files that are downloaded once, checked by hash, and cached.
datasets
    `ImageSet`, drawn worlds, bundled and downloaded data, splits and loaders.
models
    The networks that the lessons build, the shipped ones, and their heads.
transforms
    Augmentations of our own, and the presets that belong to a network.
training
    `Trainer`, its callbacks, freezing and metrics.
inspection
    What a network computes, costs, remembers and looks at.
features
    Embeddings, nearest neighbors, probes and zero-shot classification.
figures
    Every figure of the course, as a matplotlib `Figure`.
recipes
    How the shipped weights are made, and comparisons over seeds.
course
    The table of lessons, the roles of data and models, and the checks of the exercises.
nbtest
    Notebooks as tests: several emulated machines, measured ranges.
cli
    The ``coursekit`` command.
"""

__version__ = "0.1.0"

__all__ = ["__version__"]
