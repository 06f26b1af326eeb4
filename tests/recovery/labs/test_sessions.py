"""The clients of etcd and ZooKeeper, against servers that answer wrongly: what became of a write is unknown then."""

import contextlib
import json
import socket
import struct
import threading

import pytest

from accrual.recovery.labs.etcd import EtcdSession
from accrual.recovery.labs.zookeeper import ZooKeeperSession


@pytest.fixture
def server():
    """Starts a server that takes one connection and sends these pieces, one for each thing that it is sent."""
    with contextlib.ExitStack() as stack:

        def start(*pieces):
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))

            def serve():
                with listener.accept()[0] as connection:
                    for piece in pieces:
                        if asked(connection):
                            connection.sendall(piece)
                    if not pieces or pieces[-1]:  # else it stays silent until the client goes
                        return
                    connection.recv(65536)

            thread = threading.Thread(target=serve)
            thread.start()
            stack.callback(thread.join)
            return listener.getsockname()[1]

        yield start


def asked(connection):
    """Whether a whole request has come: HTTP's ends with its JSON, ZooKeeper's says how long it is."""
    data = b""
    while part := connection.recv(65536):
        data += part
        if data.endswith(b"}") if data.startswith(b"POST") else data[:4] == struct.pack("!i", len(data) - 4):
            return True
    return False


def http(status, body):
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (http(503, json.dumps({"message": "etcdserver: request timed out"}).encode()), "503 etcdserver: request timed"),
        (http(500, b"oops"), "500 oops"),
        (http(200, b"oops"), "an answer that is no JSON"),
        (b"oops\r\n\r\n", "no answer: BadStatusLine"),
        (b"HTTP/1.1 200 X\r\nContent-Length: 9\r\n\r\n{}", "no answer: IncompleteRead"),
        (b"", "timed out"),
    ],
)
def test_etcd_answers_wrongly(server, answer, says):
    session = EtcdSession("127.0.0.1", server(answer))
    try:
        with pytest.raises(OSError, match=says):
            session.write("k")
    finally:
        session.close()


def test_etcd_answers(server):
    found = json.dumps({"kvs": [{"key": "YQ=="}, {"key": "YjE="}]}).encode()
    session = EtcdSession("127.0.0.1", server(http(200, b"{}"), http(200, found), http(200, b"{}")))
    session.write("a")
    assert session.read(5.0) == {"a", "b1"}
    assert session.read(5.0) == set()
    session.close()


def framed(data):
    return struct.pack("!i", len(data)) + data


def reply(number, body=b"", error=0):
    return framed(struct.pack("!iqi", number, 1, error) + body)


WELCOME = framed(struct.pack("!iiqi16s", 0, 10_000, 7, 16, b""))


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (reply(2), "answer 2 to request 1, error 0"),
        (reply(1, error=-110), "answer 1 to request 1, error -110"),
        (framed(b"short"), "an answer of 5 bytes"),
        (struct.pack("!i", 2**30), "an answer of 1073741824 bytes"),
        (struct.pack("!i", -1), "an answer of -1 bytes"),
        (reply(1)[:-2], "closed by the server"),
        (b"", "timed out"),
    ],
)
def test_zookeeper_answers_wrongly(server, answer, says):
    session = ZooKeeperSession("127.0.0.1", server(WELCOME, answer))
    try:
        with pytest.raises(OSError, match=says):
            session.write("k")
    finally:
        session.close()


@pytest.mark.parametrize(
    "data", [struct.pack("!i", 3), struct.pack("!ii", 1, 9) + b"abc", struct.pack("!ii", 1, 1) + b"\xff"]
)
def test_zookeeper_lists_what_is_none(server, data):
    session = ZooKeeperSession("127.0.0.1", server(WELCOME, reply(1, data)))
    with pytest.raises(OSError, match="no list of names"):
        session.read(5.0, stale=True)
    session.close()


def test_zookeeper_answers(server):
    names = struct.pack("!i", 2) + framed(b"a") + framed(b"zookeeper")
    session = ZooKeeperSession("127.0.0.1", server(WELCOME, reply(1), reply(2), reply(3, names)))
    session.write("a")
    assert session.read(5.0) == {"a"}
    session.close()


def test_no_session_is_no_write():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    for kind in (EtcdSession, ZooKeeperSession):
        with pytest.raises(OSError, match="refused"):
            kind("127.0.0.1", port)


def test_zookeeper_that_is_not_in_service_closes(server):
    with pytest.raises(OSError, match="closed by the server"):
        ZooKeeperSession("127.0.0.1", server(b"\0"))
