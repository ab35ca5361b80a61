"""The templates' names, as they are typed, and as they appear in the names of results."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, TypeAlias

from attrs import evolve

from photoanimer_async.cli.earlier_photos import EarlierPhoto, source_of
from photoanimer_async.models import AnimationRequest, Template
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
    requests: Sequence[AnimationRequest], earlier: Iterable[EarlierPhoto] = ()
) -> list[AnimationRequest]:
    """Return the photos with the expression in the result's name where one photo has several.

    `anna.jpg` then gives `anna-wink.mp4` and `anna-kiss.mp4`. Photos with a name of their own keep
    it.

    Args:
        requests: the photos of a batch.
        earlier: the photos of earlier batches.
    """
    templates = defaultdict[str, set[int]](set)
    for request in requests:
        templates[source_of(request.photo)].add(request.options.template)
    for one in earlier:
        templates[one.source].add(one.template)
    return [
        evolve(request, name=f"{stem_of(request.photo)}-{_expression(request)}")
        if request.name is None and len(templates[source_of(request.photo)]) > 1
        else request
        for request in requests
    ]


def _expression(request: AnimationRequest) -> str:
    return Template(request.options.template).expression
