"""See inside a network: what it computes, what it costs, and what an output looks at.

record_activations, record_gradients
    What layers return while a block runs, and the gradients that come back to them.
summarize, ModelSummary
    Shapes, parameters, multiply-adds, bytes saved for backward and receptive fields.
count_parameters, measure_saved_bytes
    The numbers that a model learns, and what a batch saves for the backward pass.
receptive_field, ReceptiveField
    What an output of a chain of layers can see, by formula.
measured_receptive_field, MeasuredField
    What an output of any network depends on, and how strongly, by gradients.
track_memory, MemoryTimeline, MemorySample, DeviceMemory, Phase, Mark
    Memory of the process, of GPUs, and of what is saved for backward, over time.
largest_batch, release
    The largest batch that fits, and what can be given back.
"""

from coursekit.inspection.cost import (
    ModelSummary,
    count_parameters,
    measure_saved_bytes,
    summarize,
)
from coursekit.inspection.hooks import record_activations, record_gradients
from coursekit.inspection.memory import (
    DeviceMemory,
    Mark,
    MemorySample,
    MemoryTimeline,
    Phase,
    largest_batch,
    release,
    track_memory,
)
from coursekit.inspection.receptive import (
    MeasuredField,
    ReceptiveField,
    measured_receptive_field,
    receptive_field,
)

__all__ = [
    "DeviceMemory",
    "Mark",
    "MeasuredField",
    "MemorySample",
    "MemoryTimeline",
    "ModelSummary",
    "Phase",
    "ReceptiveField",
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
