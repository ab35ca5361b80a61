"""The templates' names, as they are typed, and as they appear in the names of results."""

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal, TypeAlias

from attrs import evolve

from photoanimer_async.jobs.journal import read_journal
from photoanimer_async.models import AnimationRequest, Photo, Template
from photoanimer_async.redaction import is_url
from photoanimer_async.storage.result_names import stem_of

TemplateName: TypeAlias = Literal[
    "talking", "looking-around", "wink", "laughter", "head-shake", "kiss",
    "0", "1", "2", "3", "4", "5",
]  # fmt: skip
"""A template's name or number. Cyclopts lists these in the help, completes them, and suggests one
for a mistyped one."""

TEMPLATES: Mapping[str, Template] = {
    **{str(template.value): template for template in Template},
    **{template.expression: template for template in Template},
}
"""The templates by their numbers and names."""


def name_by_expression(
    requests: Sequence[AnimationRequest], journal: Path | None
) -> list[AnimationRequest]:
    """Return the photos with the expression in the result's name where one photo has several.

    `anna.jpg` then gives `anna-wink.mp4` and `anna-kiss.mp4`. Photos with a name of their own keep
    it.

    Args:
        requests: the photos of a batch.
        journal: the journal of earlier batches with the same photos; it need not exist.

    Raises:
        JournalError: the journal cannot be read.
    """
    templates = defaultdict[str, set[int]](set)
    for request in requests:
        templates[_source(request.photo)].add(request.options.template)
    for photo, template in _earlier(journal):
        templates[_source(photo)].add(template)
    return [
        evolve(request, name=f"{stem_of(request.photo)}-{_expression(request)}")
        if request.name is None and len(templates[_source(request.photo)]) > 1
        else request
        for request in requests
    ]


def _earlier(journal: Path | None) -> Iterable[tuple[Photo, int]]:
    if journal is None or not journal.exists():
        return []
    with read_journal(journal) as store:
        return list(store.templates())


def _expression(request: AnimationRequest) -> str:
    return Template(request.options.template).expression


def _source(photo: Photo) -> str:
    """Return what the same photo has in common in a command and in a journal."""
    name = os.fsdecode(photo)
    return name if is_url(name) else os.path.abspath(name)  # noqa: PTH100 - as the journal does
