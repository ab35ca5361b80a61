"""`photoanimer estimate`."""

from photoanimer_async.cli.exit_status import ExitStatus
from photoanimer_async.cli.json_report import EstimateEvent, print_event, print_refused
from photoanimer_async.cli.options import Json, PhotoOptions, Photos
from photoanimer_async.cli.output import Output, format_estimate
from photoanimer_async.cli.photo_sources import select_photos
from photoanimer_async.cli.reports import report_skipped
from photoanimer_async.jobs import budget


def estimate(
    *photos: Photos, photo_options: PhotoOptions = PhotoOptions(), json: Json = False
) -> ExitStatus:
    """Show what animating photos will cost; see `photoanimer estimate --help`."""
    selection = select_photos(photos, photo_options)
    cost = budget.estimate(selection.requests)
    report_skipped(selection, json=json)
    console = Output()
    if not json:
        console.print(format_estimate(cost))
    for error in selection.refused:
        if json:
            print_refused(error)
        else:
            console.print(f"not counted: {error}")
    if json:
        print_event(
            EstimateEvent(
                photos=cost.photos,
                video_seconds=cost.seconds,
                voices_assumed=cost.assumed,
                voices_unknown=cost.unknown,
            )
        )
    return ExitStatus.FAILED if selection.refused else ExitStatus.DONE
