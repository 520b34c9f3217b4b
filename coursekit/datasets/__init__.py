"""Data: one record for every data set, drawn, bundled or downloaded."""

from coursekit.datasets.imageset import ImageSet

__all__ = ["ImageSet"]
