"""Find the photos in a folder, and count what is skipped."""

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path

from attrs import field, frozen

from photoanimer_async.errors import InvalidPhotoError
from photoanimer_async.redaction import shown_photo

PHOTO_SUFFIXES = frozenset(
    {
        *{".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".bmp", ".webp"},
        # Formats that need preparation, and are refused one by one without it.
        *{".heic", ".heif", ".hif", ".avif", ".tif", ".tiff"},
    }
)
"""Suffixes of the files that count as photos in a folder. GIFs do not: they are results."""

_SYSTEM_FOLDERS = frozenset(
    {
        *{"@eadir", "#recycle", "#snapshot", "@recycle", "@recently-snapshot"},  # network drives
        *{"$recycle.bin", "system volume information"},  # Windows
        *{"__macosx", "lost+found"},  # ZIP files from macOS; ext4
    }
)
_SYSTEM_FILES = frozenset({"thumbs.db", "desktop.ini"})


class Skipped(StrEnum):
    """What is skipped in a folder; the values are part of the output for machines."""

    VIDEO = "video"
    GIF = "gif"
    CAMERA_RAW = "camera_raw"
    SOUND = "sound"
    OTHER = "other"
    SYSTEM_FOLDER = "system_folder"
    FOLDER_BELOW = "folder_below"


_NAMES = {
    Skipped.VIDEO: ("video", "videos"),
    Skipped.GIF: ("GIF", "GIFs"),
    Skipped.CAMERA_RAW: ("camera raw file", "camera raw files"),
    Skipped.SOUND: ("sound", "sounds"),
    Skipped.OTHER: ("other file", "other files"),
    Skipped.SYSTEM_FOLDER: ("system folder", "system folders"),
    Skipped.FOLDER_BELOW: (
        "folder below (--recursive searches it)",
        "folders below (--recursive searches them)",
    ),
}
_KINDS: Mapping[str, Skipped] = {
    **dict.fromkeys(
        (".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".3gp", ".mts", ".mpg", ".mpeg", ".wmv"),
        Skipped.VIDEO,
    ),
    ".gif": Skipped.GIF,
    **dict.fromkeys(
        (".dng", ".nef", ".cr2", ".cr3", ".arw", ".orf", ".rw2", ".raf", ".pef", ".srw"),
        Skipped.CAMERA_RAW,
    ),
    **dict.fromkeys((".mp3", ".wav", ".m4a", ".aac", ".flac", ".ogg", ".opus"), Skipped.SOUND),
}


@frozen
class FolderContents:
    """What is in a folder, and with `recursive` in those below.

    Attributes:
        photos: sorted by name; those of a folder before those of the folders below it.
        errors: folders that cannot be read.
        skipped: how much of each kind was skipped. Hidden files and folders are not counted.
    """

    photos: list[Path] = field(factory=list)
    errors: list[InvalidPhotoError] = field(factory=list)
    skipped: Counter[Skipped] = field(factory=Counter)


def search_folder(folder: Path, *, recursive: bool = False) -> FolderContents:
    """Return the photos of a folder; links to folders are not followed below it.

    A folder without a photo has an error that says what was looked for.
    """
    contents = FolderContents()

    def refuse(error: OSError) -> None:
        where = Path(error.filename or folder)
        contents.errors.append(refused_photo(where, f"the folder cannot be read: {error.strerror}"))

    for where, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = _searched(folders, contents.skipped, recursive=recursive)
        for name in sorted(files):
            if is_left_alone(name):
                continue
            suffix = _suffix(name)
            if suffix in PHOTO_SUFFIXES:
                contents.photos.append(Path(where, name))
            else:
                contents.skipped[_KINDS.get(suffix, Skipped.OTHER)] += 1
    if not contents.photos and not contents.errors:
        contents.errors.append(_nothing_found(folder, recursive=recursive))
    return contents


def describe_skipped(skipped: Mapping[Skipped, int]) -> str:
    """Return `3 videos, 1 GIF`."""
    ordered = [(kind, skipped[kind]) for kind in Skipped if skipped.get(kind)]
    return ", ".join(f"{count} {_NAMES[kind][count != 1]}" for kind, count in ordered)


def is_left_alone(name: str) -> bool:
    """Return whether a file or folder of this name is hidden, or the system's."""
    return name.startswith(".") or name.lower() in _SYSTEM_FOLDERS | _SYSTEM_FILES


def refused_photo(path: Path, why: str) -> InvalidPhotoError:
    """Return the error for a name that stands for no photo."""
    name = shown_photo(path)
    return InvalidPhotoError(f"{name}: {why}", photo=name)


def _searched(folders: list[str], skipped: Counter[Skipped], *, recursive: bool) -> list[str]:
    usual = sorted(name for name in folders if not is_left_alone(name))
    skipped[Skipped.SYSTEM_FOLDER] += sum(name.lower() in _SYSTEM_FOLDERS for name in folders)
    if recursive:
        return usual
    skipped[Skipped.FOLDER_BELOW] += len(usual)
    return []


def _nothing_found(folder: Path, *, recursive: bool) -> InvalidPhotoError:
    kinds = ", ".join(sorted(suffix[1:] for suffix in PHOTO_SUFFIXES))
    why = f"there is no photo in the folder (looked for {kinds})"
    if not recursive and next(_photos_below(folder), None) is not None:
        why = "there is no photo in the folder itself, but in folders below it: add --recursive"
    return refused_photo(folder, why)


def _photos_below(folder: Path) -> Iterator[str]:
    for _, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not is_left_alone(name)]
        yield from (n for n in files if not is_left_alone(n) and _suffix(n) in PHOTO_SUFFIXES)


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()  # noqa: PTH122 - names by the thousand
