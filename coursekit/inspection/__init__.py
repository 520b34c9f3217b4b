"""See inside a network: what an output looks at.

Nothing here knows of data or training, and every model is left as it was.

receptive_field
    The part of the input that an output can depend on, computed from the layers.
measured_receptive_field
    The part that it does depend on, and how strongly, measured by gradients.
ReceptiveField, LayerField, MeasuredField
    What they return.
count_parameters
    The numbers that a model learns.
"""

from coursekit.inspection.counting import count_parameters
from coursekit.inspection.fields import LayerField, ReceptiveField
from coursekit.inspection.measured import MeasuredField, measured_receptive_field
from coursekit.inspection.receptive import receptive_field

__all__ = [
    "LayerField",
    "MeasuredField",
    "ReceptiveField",
    "count_parameters",
    "measured_receptive_field",
    "receptive_field",
]
