"""Data: one record for every data set, drawn, bundled or downloaded.

The record: `ImageSet`.
Bundled with a dependency: `load_digits`, `load_photos`, `load_photo`, `PHOTOS`.
"""

from coursekit.datasets.bundled_digits import load_digits
from coursekit.datasets.bundled_photos import PHOTOS, load_photo, load_photos
from coursekit.datasets.imageset import ImageSet

__all__ = ["PHOTOS", "ImageSet", "load_digits", "load_photo", "load_photos"]
