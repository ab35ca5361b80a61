"""From what was named on the command line to the photos of a batch."""

from collections.abc import Iterable
from pathlib import Path

from photoanimer_async.cli.exits import WrongUseError
from photoanimer_async.errors import InvalidPhotoError
from photoanimer_async.redaction import is_url, shown_photo

TAKEN = frozenset({".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".webp"})
"""Suffixes of the pictures that the service takes (API page, Frequently asked questions)."""

MEANT = TAKEN | {".heic", ".heif", ".avif", ".tif", ".tiff"}
"""Those and the suffixes of photos that it does not take: in a folder they are photos that
somebody wants animated, so that each is told about rather than passed over. GIFs are not among
them: they are what comes out."""


def find_photos(named: Iterable[str]) -> list[str | Path | InvalidPhotoError]:
    """Every URL and file as it was named, and for a folder its photos, sorted by name.

    A folder is not searched below its top, and its hidden files are left alone. One that can
    not be read, or in which there is no photo, has an error in its place.

    Raises:
        WrongUseError: a name is empty, as from an unset shell variable.
    """
    found: list[str | Path | InvalidPhotoError] = []
    for name in named:
        if not name:
            raise WrongUseError("the name of a photo is empty")
        if is_url(name):
            found.append(name)
        elif Path(name).is_dir():
            found += _photos_in(Path(name))
        else:
            found.append(Path(name))
    return found


def _photos_in(folder: Path) -> list[Path | InvalidPhotoError]:
    try:
        photos = sorted(path for path in folder.iterdir() if _is_photo(path))
    except OSError as error:
        return [_refused(folder, f"the folder can not be read: {error.strerror}")]
    if not photos:
        kinds = ", ".join(sorted(suffix[1:] for suffix in TAKEN))
        return [_refused(folder, f"there is no photo in the folder (looked for {kinds})")]
    return list(photos)


def _is_photo(path: Path) -> bool:
    hidden = path.name.startswith(".")
    return not hidden and path.suffix.lower() in MEANT and path.is_file()


def _refused(folder: Path, why: str) -> InvalidPhotoError:
    name = shown_photo(folder)
    return InvalidPhotoError(f"{name}: {why}", photo=name)
