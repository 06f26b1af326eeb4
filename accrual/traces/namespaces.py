"""Where a recorded sender and its receiver live: on the loopback interface, or in network namespaces of their own.

The namespaces have no name, no file and no process of their own: they are there as long as somebody holds one of their
files open or runs inside, and the kernel removes them with the last of these. So nothing is left to clean up, whoever
is killed.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Final, Self

from accrual.traces.child import UnavailableError

_CLONE_NEWNET: Final = 0x40000000
_TUNSETIFF: Final = 0x400454CA
_IFF_TUN_NO_PI: Final = 0x1001
_SIOCSIFFLAGS, _SIOCSIFADDR, _SIOCSIFNETMASK = 0x8914, 0x8916, 0x891C
_IFF_UP: Final = 1
_NAME: Final = "path"
_OURS: Final = "/proc/thread-self/ns/net"


class Loopback:
    """Both ends on this machine's loopback interface, which only this machine reaches.

    Attributes
    ----------
    host : str
        The receiver's address.
    """

    def __init__(self, ipv6: bool = False) -> None:
        """Choose the address."""
        self.host = "::1" if ipv6 else "127.0.0.1"

    def __enter__(self) -> Self:
        """Enter a with statement, for symmetry with `Link`."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Leave it."""

    def at_sender(self) -> AbstractContextManager[None]:
        """What is created in this context belongs to the sender's end."""
        return nullcontext()

    def at_receiver(self) -> AbstractContextManager[None]:
        """What is created in this context belongs to the receiver's end."""
        return nullcontext()


class Namespace:
    """A network namespace of our own. What is created in it, sockets and processes, stays in it.

    Raises
    ------
    OSError
        The system has none, or this user may not make one.
    """

    def __init__(self) -> None:
        """Create it; the calling thread is back where it was afterwards."""
        with ExitStack() as stack:
            home = _opened(stack, _OURS, os.O_RDONLY)
            _enter(home)  # where we are: who may not do that could not come back either
            try:
                _change("unshare", _CLONE_NEWNET)
                self.file = os.open(_OURS, os.O_RDONLY)
            finally:
                _enter(home)

    def __enter__(self) -> Self:
        """Enter a with statement that lets go of it."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Let go of it; it ends with the last socket and process in it."""
        os.close(self.file)

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Move this thread, and the processes and threads that it starts, there for as long as the context lasts."""
        with ExitStack() as stack:
            before = _opened(stack, _OURS, os.O_RDONLY)
            _enter(self.file)
            try:
                yield
            finally:
                _enter(before)


class Link(Loopback):
    """Two network namespaces, each with one TUN device: what is sent in one comes out of a file, and the other way.

    Whoever reads one file and writes to the other is the network between them, and decides what arrives when. That
    needs neither netem, which many kernels lack, nor the ``ip`` command. There are IP packets only, no ARP to wait for.

    Attributes
    ----------
    sender, receiver : int
        The two files, not blocking. A packet sent by the one end is read from `sender`, and what is written to
        `receiver` arrives at the other.

    Raises
    ------
    UnavailableError
        This machine or this user cannot have them; says what is missing and how to get it.
    """

    _ENDS: Final = {False: ("192.0.2.1", "192.0.2.2"), True: ("2001:db8::1", "2001:db8::2")}  # for documentation

    def __init__(self, ipv6: bool = False) -> None:
        """Create both; the calling thread is back where it was afterwards."""
        if not os.path.exists(_OURS):
            raise UnavailableError("path needs Linux with network namespaces")
        here, self.host = self._ENDS[ipv6]
        with ExitStack() as stack:
            devices = []
            self._namespaces = []
            for address in (here, self.host):
                try:
                    namespace = stack.enter_context(Namespace())
                except OSError as error:
                    raise _unavailable(error) from None
                self._namespaces.append(namespace)
                with namespace.inside():
                    devices.append(_device(stack, address))
            self.sender, self.receiver = devices
            self._files = stack.pop_all()

    def __exit__(self, *exception: object) -> None:
        """Let go of the namespaces; they end with the last socket and process in them."""
        self._files.close()

    def at_sender(self) -> AbstractContextManager[None]:
        """Move this thread, and the processes that it starts, to the sender's end."""
        return self._namespaces[0].inside()

    def at_receiver(self) -> AbstractContextManager[None]:
        """Move this thread to the receiver's end: a socket stays where it was created."""
        return self._namespaces[1].inside()


def _opened(stack: ExitStack, path: str, flags: int) -> int:
    file = os.open(path, flags)
    stack.callback(os.close, file)
    return file


def _enter(namespace: int) -> None:
    _change("setns", namespace, _CLONE_NEWNET)


def _change(call: str, *arguments: int) -> None:
    """Change this thread's namespace by what Python's os module has from 3.12 on."""
    import ctypes  # here, for few who record need it

    if getattr(ctypes.CDLL(None, use_errno=True), call)(*arguments):
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")


def _unavailable(error: OSError) -> UnavailableError:
    if error.errno == errno.EPERM:
        return UnavailableError(
            "path needs root: sudo accrual record ... or unshare --map-root-user --net accrual record ..."
        )
    return UnavailableError(f"path needs network namespaces, which this system refuses: {error.strerror}")


def _device(stack: ExitStack, address: str) -> int:
    """Create a TUN device in this thread's namespace, with this address and a route to its neighbour."""
    try:
        file = _opened(stack, "/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(file, _TUNSETIFF, struct.pack("16sH22x", _NAME.encode(), _IFF_TUN_NO_PI))
    except OSError as error:
        raise UnavailableError(
            f"path needs /dev/net/tun ({error.strerror}): modprobe tun; in a container, --device /dev/net/tun and "
            "--cap-add NET_ADMIN"
        ) from None
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        if ":" not in address:
            for request, value in ((_SIOCSIFADDR, address), (_SIOCSIFNETMASK, "255.255.255.252")):
                packed = struct.pack("16sHH4s8x", _NAME.encode(), socket.AF_INET, 0, socket.inet_aton(value))
                fcntl.ioctl(control, request, packed)
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sH22x", _NAME.encode(), _IFF_UP))
    if ":" in address:
        try:
            with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as control:
                packed = socket.inet_pton(socket.AF_INET6, address)
                fcntl.ioctl(control, _SIOCSIFADDR, struct.pack("16sIi", packed, 126, socket.if_nametoindex(_NAME)))
                _wait_for(control, address)
        except OSError as error:
            raise UnavailableError(f"path over IPv6 needs IPv6, which this system lacks: {error.strerror}") from None
    return file


def _wait_for(control: socket.socket, address: str) -> None:
    """Wait until the kernel has made up its mind that nobody else has the address, which it does in the background."""
    end = time.monotonic() + 5
    while True:
        try:
            control.bind((address, 0))
            return
        except OSError as error:
            if error.errno != errno.EADDRNOTAVAIL or time.monotonic() > end:
                raise
            time.sleep(0.001)
