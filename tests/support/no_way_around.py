"""A program that tries to reach the network other than by the proxy of its sandbox."""

from __future__ import annotations

# Then what names and interfaces there are: nothing but loopback.
PROGRAM = """
import errno, socket
for address in (("127.0.0.1", PORT), ("10.0.0.1", 443), ("1.1.1.1", 443)):
    try:
        socket.create_connection(address, 5)
        print("connected")
    except OSError as error:
        print(errno.errorcode[error.errno])
try:
    print(socket.getaddrinfo("HOST", 443))
except socket.gaierror:
    print("no names")
print([name for _, name in socket.if_nameindex()])
"""
NONE_FOUND = ["ECONNREFUSED", "ENETUNREACH", "ENETUNREACH", "no names", "['lo']"]


def attempts(host: str, port: int) -> str:
    """The program, for a server of the host's own loopback and its name; it prints NONE_FOUND when there is no way."""
    return PROGRAM.replace("HOST", host).replace("PORT", str(port))
