"""See inside a network: what it costs, and what an output looks at.

Nothing here knows of data, and every model is left as it was.

summarize
    Shapes, parameters, multiply-adds, bytes saved for backward and receptive fields.
ModelSummary
    What it returns.
receptive_field
    The part of the input that an output can depend on, computed from the layers.
measured_receptive_field
    The part that it does depend on, and how strongly, measured by gradients.
ReceptiveField, LayerField, MeasuredField
    What they return.
count_parameters
    The numbers that a model learns.
record_activations, record_gradients
    What modules return while a block runs, and the gradients that come back to them.
Recording, Call, Statistics
    What is recorded.
track_memory
    A timeline of memory: of the process, of the GPUs, and what is saved for backward.
MemoryMonitor, MemoryTimeline, MemorySample, DeviceMemory, Phase, Mark
    What it returns, and what that holds.
largest_batch, LargestBatch, Trial
    The largest batch that a model can be trained with, by search.
measure_saved_bytes
    What a batch saves for the backward pass, counted without the memory for it.
release, ReleasedMemory
    Free what can be freed, and tell how much.
"""

from coursekit.inspection.batch_search import Trial
from coursekit.inspection.batch_size import LargestBatch, largest_batch
from coursekit.inspection.counting import count_parameters
from coursekit.inspection.device_memory import DeviceMemory
from coursekit.inspection.fields import LayerField, ReceptiveField
from coursekit.inspection.measured import MeasuredField, measured_receptive_field
from coursekit.inspection.memory import MemoryMonitor, track_memory
from coursekit.inspection.quantities import Mark, MemorySample, Phase
from coursekit.inspection.receptive import receptive_field
from coursekit.inspection.recorded import Call, Recording
from coursekit.inspection.recording import record_activations, record_gradients
from coursekit.inspection.releasing import ReleasedMemory, release
from coursekit.inspection.saved_batch import measure_saved_bytes
from coursekit.inspection.streams import Statistics
from coursekit.inspection.summarize import summarize
from coursekit.inspection.summary import ModelSummary
from coursekit.inspection.timeline import MemoryTimeline

__all__ = [
    "Call",
    "DeviceMemory",
    "LargestBatch",
    "LayerField",
    "Mark",
    "MeasuredField",
    "MemoryMonitor",
    "MemorySample",
    "MemoryTimeline",
    "ModelSummary",
    "Phase",
    "ReceptiveField",
    "Recording",
    "ReleasedMemory",
    "Statistics",
    "Trial",
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
