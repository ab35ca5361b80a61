"""TCP ports on loopback."""

import socket

_RESERVATIONS: list[socket.socket] = []


def free_port() -> int:
    """A port that refuses connections, and that the system gives to nobody until this process ends.

    A server that sets SO_REUSEADDR, as most do, can listen on it meanwhile.
    """
    reservation = socket.socket()
    _RESERVATIONS.append(reservation)
    reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    reservation.bind(("127.0.0.1", 0))
    port: int = reservation.getsockname()[1]
    return port
