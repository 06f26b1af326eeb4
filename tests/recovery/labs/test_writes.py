"""The writing client keeps a true account."""

import itertools
import threading

import pytest

from accrual.recovery.labs.resp import Client, ReplyError, encoded
from accrual.recovery.labs.writes import RefusedError, Write, Writer, account, gap, latencies


class Book:
    """Servers by name that do as they are told: how each of the next writes ends."""

    def __init__(self, *script):
        self.script, self.kept, self.done = list(script), {}, threading.Event()

    def connect(self, node):
        if self.script and self.script[0] == "no connection":
            self.script.pop(0)
            raise ConnectionRefusedError
        return _Session(self, node)


class _Session:
    def __init__(self, book, node):
        self.book, self.node = book, node

    def write(self, key):
        how = self.book.script.pop(0) if self.book.script else "stop"
        if how == "refuse":
            raise RefusedError("READONLY")
        if how != "lose":
            self.book.kept[key] = self.node
        if not self.book.script:
            self.book.done.set()
        if how == "break":
            raise TimeoutError
        if how == "bug":
            self.book.done.set()
            raise KeyError(key)

    def close(self):
        pass


def test_every_outcome_is_told():
    book = Book("no connection", "keep", "refuse", "break", "no connection", "lose", "keep")
    writer = Writer(book.connect, "a").start()
    assert book.done.wait(30)
    writes = writer.stop()[:7]
    outcomes = ["failed", "acknowledged", "failed", "unknown", "failed", "acknowledged", "acknowledged"]
    assert [write.outcome for write in writes] == outcomes
    assert [write.key for write in writes] == [f"w:{k}" for k in range(7)]
    found = account(writes, book.kept)
    assert (found.acknowledged, found.failed, found.unknown, found.lost, found.appeared) == (3, 3, 1, 1, 1)
    assert all(earlier.ended <= later.began for earlier, later in itertools.pairwise(writes))


def test_it_goes_where_it_is_redirected():
    book = Book(*["keep"] * 10)
    writer = Writer(book.connect, "a", rate=1e4)
    writer.redirect("b")
    writer.start()
    assert book.done.wait(30)
    writer.stop()
    assert set(book.kept.values()) == {"b"}
    assert writer.acknowledged("a") == 0
    assert writer.acknowledged("b") == writer.acknowledged() >= 10
    assert writer.acknowledged(since=writer.writes[4].ended) == writer.acknowledged() - 4


def test_a_bug_in_a_session_is_not_swallowed():
    book = Book("keep", "bug")
    writer = Writer(book.connect, "a").start()
    assert book.done.wait(30)
    with pytest.raises(KeyError):
        writer.stop()


def test_gap_and_latencies():
    told = [Write(f"w:{k}", "a", k, k + 0.25, "acknowledged") for k in range(5)]
    assert gap(told, fault=2.1) == (2.25, 3.25)
    assert gap(told, fault=9) is None
    assert gap(told, fault=-1) is None
    assert latencies(told, 0.5, 0.99) == [0.25, 0.25]
    assert latencies([], 0.5) is None


def test_the_protocol_of_valkey():
    """Every kind of answer, cut into pieces anywhere, against bytes as the protocol's document has them."""
    import socket

    wire = b"+OK\r\n:-7\r\n$5\r\na\r\nbc\r\n$-1\r\n*2\r\n:1\r\n*1\r\n$0\r\n\r\n*-1\r\n-READONLY no\r\n"
    with socket.create_server(("127.0.0.1", 0)) as listening:
        client = Client(listening.getsockname()[1], patience=10)
        end, _ = listening.accept()
        with end, client:
            sender = threading.Thread(target=lambda: [end.sendall(wire[k : k + 1]) for k in range(len(wire))])
            sender.start()
            answers = [client("X") for _ in range(6)]
            assert answers == ["OK", -7, "a\r\nbc", None, [1, [""]], None]
            with pytest.raises(ReplyError, match="READONLY no"):
                client("SET", "schlüssel", 1)
            sender.join()
            assert end.recv(1000) == encoded("X") * 6 + "*3\r\n$3\r\nSET\r\n$10\r\nschlüssel\r\n$1\r\n1\r\n".encode()
            end.shutdown(socket.SHUT_WR)
            with pytest.raises(ConnectionResetError, match="closed"):
                client("X")
