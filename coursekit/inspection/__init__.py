"""See inside a network: what it computes, what it costs, and what an output looks at.

record_activations, record_gradients
    What layers return while a block runs, and the gradients that come back to them.
summarize, count_parameters, measure_saved_bytes
    Shapes, parameters, multiply-adds, and bytes saved for the backward pass.
receptive_field, measured_receptive_field
    What an output can see, by formula or by gradients.
track_memory, largest_batch, release
    Memory over time, the largest batch that fits, and what can be given back.
"""

from coursekit.inspection.cost import count_parameters, measure_saved_bytes, summarize
from coursekit.inspection.hooks import record_activations, record_gradients
from coursekit.inspection.memory import largest_batch, release, track_memory
from coursekit.inspection.receptive import measured_receptive_field, receptive_field

__all__ = [
    "count_parameters",
    "largest_batch",
    "measure_saved_bytes",
    "measured_receptive_field",
    "receptive_field",
    "record_activations",
    "record_gradients",
    "release",
    "summarize",
    "track_memory",
]
