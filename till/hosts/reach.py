"""Whether hosts answer at all."""

from __future__ import annotations


def ask_ssh(address: str, port: int, timeout_s: float) -> str:
    """Empty when an SSH server greets there, else why it was not reached."""
    import socket

    try:
        with socket.create_connection((address, port), timeout=timeout_s) as connection:
            greeting = connection.recv(4)
    except OSError as reason:
        return str(reason)
    return "" if greeting == b"SSH-" else "what listens there is no SSH server"
