"""`photoanimer estimate`."""

from photoanimer_async.cli.exit_status import ExitStatus
from photoanimer_async.cli.options import PhotoOptions, Photos
from photoanimer_async.cli.output import Output, format_estimate
from photoanimer_async.cli.photo_sources import select_photos
from photoanimer_async.jobs import budget


def estimate(*photos: Photos, photo_options: PhotoOptions = PhotoOptions()) -> ExitStatus:
    """Show what animating photos will cost; see `photoanimer estimate --help`."""
    selection = select_photos(photos, photo_options)
    console = Output()
    console.print(format_estimate(budget.estimate(selection.requests)))
    for error in selection.refused:
        console.print(f"not counted: {error}")
    return ExitStatus.FAILED if selection.refused else ExitStatus.DONE
