"""How a studio is set up."""

from ipaddress import ip_address
from pathlib import Path

from attrs import field, frozen
from attrs.validators import ge, le


def is_loopback(host: str) -> bool:
    """Whether a host's name or address can only be reached from this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@frozen(kw_only=True)
class StudioSettings:
    """Everything about a studio that can be chosen.

    Attributes:
        data_dir: folder for photos, voices, journals and videos; made if it is not there. One
            studio at a time uses it, always with the same service.
        host: address to listen on.
        port: port to listen on; 0 takes a free one.
        token: what opens the studio, once in a browser. Needed beyond loopback.
        names: what the studio may be called in the address bar, besides addresses.
        service: what to call the service on the page; `None` if it is this machine.
        most_photos: how many photos the album takes.
        use_engine: whether the engine looks for faces and makes previews, where it is installed.

    Raises:
        ValueError: a value out of its range, or an open studio beyond loopback.
    """

    data_dir: Path = field(converter=Path)
    host: str = "127.0.0.1"
    port: int = field(default=8766, validator=[ge(0), le(65535)])
    token: str | None = field(default=None, repr=lambda token: "None" if token is None else "...")
    names: frozenset[str] = frozenset()
    service: str | None = None
    most_photos: int = field(default=2000, validator=ge(1))
    use_engine: bool = True

    def __attrs_post_init__(self) -> None:
        if not self.token and not is_loopback(self.host):
            raise ValueError(
                f"without a token the studio is open to everybody, so that host must be a loopback "
                f"address such as 127.0.0.1, not {self.host!r}"
            )

    @property
    def allowed_names(self) -> frozenset[str]:
        """The names in the header Host that are this studio's."""
        return self.names | {"localhost"}
