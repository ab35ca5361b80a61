"""The studio's settings."""

from pathlib import Path

from attrs import field, frozen
from attrs.validators import ge, le, optional

from photoanimer_async.photos.loopback import is_loopback


@frozen(kw_only=True)
class StudioSettings:
    """Settings of a studio.

    Example:
        `StudioSettings(data_dir="my-studio", port=0)`

    Attributes:
        data_dir: folder for photos, voices, journals and videos; created if missing. Only one
            studio may use it at a time, and always with the same service.
        host: address to listen on.
        port: port to listen on; 0 selects a free one.
        token: secret that a browser must open once; required unless `host` is loopback.
        names: host names, besides addresses, under which the studio may be opened.
        service: the service's name on the page; `None` for the local service.
        most_photos: the album's capacity in photos.
        in_flight: clips of one start that the service has at once, at most; `None` for the
            client's own limit. Where tasks wait in line anyway, a small number lets the page say
            which clips wait.
        use_engine: whether to find faces and render previews with the local engine, if it is
            installed.

    Raises:
        ValueError: a value is out of range, or `host` is not loopback and there is no token.
    """

    data_dir: Path = field(converter=Path)
    host: str = "127.0.0.1"
    port: int = field(default=8766, validator=[ge(0), le(65535)])
    token: str | None = field(default=None, repr=lambda token: "None" if token is None else "...")
    names: frozenset[str] = frozenset()
    service: str | None = None
    most_photos: int = field(default=2000, validator=ge(1))
    in_flight: int | None = field(default=None, validator=optional(ge(1)))
    use_engine: bool = True

    def __attrs_post_init__(self) -> None:
        if not self.token and not is_loopback(self.host):
            raise ValueError(
                f"without a token anybody could open the studio: set token, or set host to a "
                f"loopback address such as 127.0.0.1, not {self.host!r}"
            )

    @property
    def allowed_names(self) -> frozenset[str]:
        """The host names accepted in the Host header."""
        return self.names | {"localhost"}
