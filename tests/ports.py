# SPDX-License-Identifier: Apache-2.0
"""Ports for programs that must be told one: found free, and held until the program listens there, or the test ends, while servers come and go."""
import socket


class Ports:
    """Nobody else is given these ports; they are bound and not listened on, so that a server that reuses addresses, as most do, may have them."""

    def __init__(self, count):
        self.sockets = [socket.socket() for _ in range(count)]
        for s in self.sockets:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            s.bind(("", 0))

    def __iter__(self):
        return (s.getsockname()[1] for s in self.sockets)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for s in self.sockets:
            s.close()
