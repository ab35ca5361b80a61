"""TCP ports on loopback."""

import socket


def free_port() -> int:
    """A port that refuses connections, and that the system gives to nobody until this process ends.

    A server that sets SO_REUSEADDR, as most do, can listen on it meanwhile.
    """
    reservation = socket.socket()
    reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    reservation.bind(("127.0.0.1", 0))
    port: int = reservation.getsockname()[1]
    reservation.detach()  # it stays open
    return port
