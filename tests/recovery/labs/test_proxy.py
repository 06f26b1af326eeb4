"""Links delay, hold and lose what they are told to, and keep the order of a stream."""

import contextlib
import socket
import time

import pytest

from accrual.lab import LabError, Scene
from accrual.recovery.labs.proxy import Proxy


@pytest.fixture
def proxy(tmp_path):
    proxy = Proxy(Scene(tmp_path))
    yield proxy
    proxy.close()
    assert proxy._process.wait(10) == 0  # it ends by itself when nobody steers it


@pytest.fixture
def far():
    """A listening socket: the far end."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(10)
        yield listening


@contextlib.contextmanager
def connected(proxy, name, far):
    """Both ends of a connection over a link."""
    with socket.create_connection(("127.0.0.1", proxy.ports[name]), timeout=10) as near:
        end, _ = far.accept()
        with end:
            end.settimeout(10)
            yield near, end


def receive(end, size):
    found = b""
    while len(found) < size:
        piece = end.recv(size - len(found))
        assert piece, f"closed after {len(found)} bytes"
        found += piece
    return found


def quiet(end, seconds=0.15):
    """Whether nothing comes: more time could only make it less likely, and a slow machine never fails it."""
    end.settimeout(seconds)
    try:
        return end.recv(1) is None
    except TimeoutError:
        return True
    finally:
        end.settimeout(10)


def test_bytes_arrive_whole_in_order_and_late(proxy, far):
    proxy.link("a to b", far.getsockname()[1], delay=0.03)
    proxy.set("a to b", jitter=0.02, loss=0.2, stall=0.01)
    sent = bytes(range(256)) * 2000
    with connected(proxy, "a to b", far) as (near, end):
        began = time.monotonic()
        for start in range(0, len(sent), 16_000):
            near.sendall(sent[start : start + 16_000])
        assert receive(end, len(sent)) == sent
        proxy.set("a to b", jitter=0, loss=0)
        began = time.monotonic()
        near.sendall(b"ping")
        end.sendall(receive(end, 4))
        assert receive(near, 4) == b"ping"
        assert time.monotonic() - began >= 0.06  # there and back
        near.shutdown(socket.SHUT_WR)
        assert end.recv(1) == b""
    assert proxy.carried("a to *") == {"forward": len(sent) + 4, "backward": 4}


def test_a_loss_is_a_stall(proxy, far):
    proxy.link("a to b", far.getsockname()[1])
    proxy.set("a to b", loss=1)
    with connected(proxy, "a to b", far) as (near, end):
        began = time.monotonic()
        near.sendall(b"1")
        assert receive(end, 1) == b"1"
        assert time.monotonic() - began >= 0.2


def test_a_cut_holds_one_way_or_both_until_it_heals(proxy, far):
    proxy.link("a to b", far.getsockname()[1])
    with connected(proxy, "a to b", far) as (near, end):
        proxy.cut("a to b", backward=False)
        near.sendall(b"held")
        end.sendall(b"back")
        assert receive(near, 4) == b"back"
        assert quiet(end)
        proxy.cut("a to b")
        end.sendall(b"held too")
        assert quiet(near)
        proxy.heal("a to b")
        assert receive(end, 4) == b"held"
        assert receive(near, 8) == b"held too"


def test_a_dropped_link_forgets_what_is_under_way(proxy, far):
    proxy.link("a to b", far.getsockname()[1], delay=0.5)
    with connected(proxy, "a to b", far) as (near, end):
        near.sendall(b"lost")
        proxy.drop("a to *")
        for one in (near, end):  # a reset or an end, as the system likes
            with contextlib.suppress(ConnectionError):
                assert one.recv(1) == b""
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", proxy.ports["a to b"]), timeout=10)
    assert proxy.carried("a to b")["forward"] == 0
    proxy.heal("a to b")
    proxy.set("a to b", delay=0)
    with connected(proxy, "a to b", far) as (near, end):
        near.sendall(b"new")
        assert receive(end, 3) == b"new"


def test_nobody_at_the_far_end(proxy, far):
    port = far.getsockname()[1]
    proxy.link("a to b", port)
    far.close()
    with socket.create_connection(("127.0.0.1", proxy.ports["a to b"]), timeout=10) as near:
        assert near.recv(1) == b""


def test_bad_input_is_told(proxy, far):
    port = far.getsockname()[1]
    proxy.link("a to b", port)
    with pytest.raises(ValueError, match="name must be new, got 'a to b' again"):
        proxy.link("a to b", port)
    with pytest.raises(ValueError, match=r"delay must be a finite number from 0 on, got -0\.1"):
        proxy.link("b to a", port, delay=-0.1)
    with pytest.raises(ValueError, match="delay must be a finite number from 0 on, got nan"):
        proxy.set("a to b", delay=float("nan"))
    with pytest.raises(ValueError, match="loss must be from 0 to 1, got 2"):
        proxy.set("a to b", loss=2)
    with pytest.raises(ValueError, match="not 'speed'"):
        proxy.set("a to b", speed=2)
    with pytest.raises(LabError, match="no link is named 'x to y', there are a to b"):
        proxy.cut("x to y")
    with pytest.raises(LabError, match=f"port {port}: .*[Aa]ddress already in use"):
        proxy.link("c to a", port, listen=port)


def test_an_ended_proxy_is_told(tmp_path):
    proxy = Proxy(Scene(tmp_path))
    proxy._process.kill()
    proxy._process.wait()
    with pytest.raises(LabError, match="the proxy has ended"):
        proxy.heal("*")
    proxy.close()
