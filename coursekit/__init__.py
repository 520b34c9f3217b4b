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
    The networks that the lessons build.
training
    `Trainer`, its callbacks, metrics and checkpoints.
inspection
    Receptive fields: what a network looks at.
figures
    Every figure of the course, as a matplotlib `Figure`.
course
    The table of lessons, the catalog of roles, and the checks of the exercises.
cli
    The ``coursekit`` command.
"""

__version__ = "0.1.0"

__all__ = ["__version__"]
