"""`photoanimer estimate`."""

from photoanimer_async.cli.consent import shown_estimate
from photoanimer_async.cli.exits import ExitStatus
from photoanimer_async.cli.manifest import Defaults
from photoanimer_async.cli.options import (
    Manifest,
    Photos,
    Recursive,
    TemplateNumber,
    VoiceSeconds,
    VoiceUrl,
)
from photoanimer_async.cli.output import Output
from photoanimer_async.cli.requests import named_photos
from photoanimer_async.jobs import budget


def estimate(
    *photos: Photos,
    recursive: Recursive = False,
    manifest: Manifest = None,
    template: TemplateNumber = None,
    voice_url: VoiceUrl = None,
    voice_seconds: VoiceSeconds = None,
) -> ExitStatus:
    """Show what animating photos will cost; see `photoanimer estimate --help`."""
    defaults = Defaults(template=template, voice_url=voice_url, voice_seconds=voice_seconds)
    named = named_photos(photos, manifest, defaults, recursive=recursive)
    console = Output()
    console.print(shown_estimate(budget.estimate(named.requests)))
    for error in named.refused:
        console.print(f"not counted: {error}")
    return ExitStatus.FAILED if named.refused else ExitStatus.DONE
