"""Requests and results: frozen attrs classes that check their values when they are created.

Data flows from `AnimationRequest` (a photo and its `AnimationOptions`) over `TaskInfo` (the state
of a task) to `Animation` (a finished result) and, in a batch, `Outcome`. Every `repr` leaves out
photo contents and the queries of URLs.
"""

from photoanimer_async.models.requests import (
    AnimationOptions,
    AnimationRequest,
    OutputFormat,
    Photo,
    PhotoUrl,
    Template,
    require_count,
    require_file_name,
    require_many,
    require_seconds,
)
from photoanimer_async.models.results import (
    Animation,
    Balance,
    Evidence,
    Location,
    Outcome,
    TaskId,
    TaskInfo,
    TaskStatus,
)

__all__ = [
    "Animation",
    "AnimationOptions",
    "AnimationRequest",
    "Balance",
    "Evidence",
    "Location",
    "Outcome",
    "OutputFormat",
    "Photo",
    "PhotoUrl",
    "TaskId",
    "TaskInfo",
    "TaskStatus",
    "Template",
    "require_count",
    "require_file_name",
    "require_many",
    "require_seconds",
]
