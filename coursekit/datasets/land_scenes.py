"""Ten kinds of land as a satellite sees them: which painter paints which class.

Nothing here paints.
"""

from collections.abc import Callable

from coursekit.datasets.land_built import paint_highway, paint_industrial, paint_residential
from coursekit.datasets.land_farmed import (
    paint_annual_crop,
    paint_pasture,
    paint_permanent_crop,
)
from coursekit.datasets.land_parts import Canvas, Land
from coursekit.datasets.land_wild import (
    paint_forest,
    paint_herbaceous_vegetation,
    paint_river,
    paint_sea_lake,
)

__all__ = ["LAND_COVER_CLASSES", "paint_land"]


_PAINTERS: dict[str, Callable[[Land], Canvas]] = {
    "AnnualCrop": paint_annual_crop,
    "Forest": paint_forest,
    "HerbaceousVegetation": paint_herbaceous_vegetation,
    "Highway": paint_highway,
    "Industrial": paint_industrial,
    "Pasture": paint_pasture,
    "PermanentCrop": paint_permanent_crop,
    "Residential": paint_residential,
    "River": paint_river,
    "SeaLake": paint_sea_lake,
}

LAND_COVER_CLASSES = tuple(_PAINTERS)
"""Names of the classes, as in EuroSAT."""


def paint_land(label: int, land: Land) -> Canvas:
    """Return pictures of one class.

    Parameters
    ----------
    label : int
        Index into `LAND_COVER_CLASSES`.
    land : Land

    Returns
    -------
    ndarray of shape (n_images, 3, image_size, image_size), float32
    """
    return _PAINTERS[LAND_COVER_CLASSES[label]](land)
