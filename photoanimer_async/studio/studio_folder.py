"""The folder of a studio: where everything is, and that only one studio is at work in it."""

from pathlib import Path

from attrs import frozen

from photoanimer_async import PhotoAnimerError


@frozen
class StudioFolder:
    """The places in a studio's folder.

    Args:
        root: the folder.
    """

    root: Path

    @property
    def album(self) -> Path:
        """The file that lists everything."""
        return self.root / "album.json"

    @property
    def photos(self) -> Path:
        """Photographs as they will be sent, and what has not arrived whole."""
        return self.root / "photos"

    @property
    def small(self) -> Path:
        """The same, small."""
        return self.root / "small"

    @property
    def voices(self) -> Path:
        """Voices."""
        return self.root / "voices"

    @property
    def previews(self) -> Path:
        """Expressions on photographs of one's own."""
        return self.root / "previews"

    @property
    def journals(self) -> Path:
        """One journal for each batch."""
        return self.root / "journals"

    @property
    def videos(self) -> Path:
        """What came of it."""
        return self.root / "videos"

    def create(self) -> None:
        """Makes what is not there, and removes what never arrived whole. Blocking.

        Raises:
            PhotoAnimerError: it can not be used.
        """
        try:
            for place in (
                self.root,
                self.photos,
                self.small,
                self.voices,
                self.previews,
                self.journals,
                self.videos,
            ):
                place.mkdir(mode=0o700, parents=True, exist_ok=True)
            for place in (self.photos, self.voices):
                for part in place.glob("*.part"):
                    part.unlink(missing_ok=True)
        except OSError as error:
            raise PhotoAnimerError(f"{self.root}: can not be used: {error.strerror}") from error

    def journal(self, batch: str) -> Path:
        """The journal of a batch."""
        return self.journals / f"{batch}.journal"

    def preview(self, photograph: str, template: int) -> Path:
        """An expression on a photograph."""
        return self.previews / f"{photograph}-{template}.mp4"

    def small_photo(self, photograph: str) -> Path:
        """A photograph, small."""
        return self.small / f"{photograph}.jpg"
