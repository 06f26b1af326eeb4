"""Failover for one's own service: who is suspected, when to act, and in which order."""

from __future__ import annotations

import dataclasses
import inspect
import logging
import math
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from accrual.core import engine
from accrual.detectors import NS, as_detector, seconds
from accrual.monitor import Monitor, State
from accrual.recovery.machine import Machine, Transition

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    from accrual.detectors import Detector

    Node = Hashable
    Callback = Callable[..., Any]

__all__ = ["CONTROLLER", "Action", "Entry", "FailoverController"]

log = logging.getLogger("accrual")

CONTROLLER: Final = Machine(
    "failover controller",
    "watching",
    (
        Transition("watching", "primary suspected", "waiting"),
        Transition("watching", "redirect owed", "redirecting", "redirect(primary)"),
        Transition("watching", "old primary back", "rejoining", "rejoin(old)"),
        Transition("waiting", "primary trusted", "watching", "a failover averted"),
        Transition("waiting", "no quorum", "watching", "too few observers say anything"),
        Transition("waiting", "time is up", "fencing", "fence(old)"),
        Transition("fencing", "fence failed", "fencing", "fence(old) again after retry_after"),
        Transition("fencing", "fenced", "choosing", "choose among the trusted backups"),
        Transition("fencing", "unfenced allowed", "choosing", "only with promote_unfenced_after"),
        Transition("choosing", "choose failed", "choosing", "choose again after retry_after"),
        Transition("choosing", "only fenced ones back", "readmitting", "rejoin(node, None): no primary yet"),
        Transition("choosing", "candidate found", "promoting", "a new term; promote(candidate)"),
        Transition("promoting", "promote failed", "promoting", "promote(candidate) again after retry_after"),
        Transition("promoting", "candidate suspected", "fencing", "fence(candidate): it may have been promoted"),
        Transition("promoting", "promoted", "redirecting", "redirect(new)"),
        Transition("redirecting", "redirect failed", "redirecting", "redirect(new) again after retry_after"),
        Transition("redirecting", "primary suspected", "waiting"),
        Transition("redirecting", "redirected", "watching"),
        Transition("rejoining", "rejoined", "watching", "it may be chosen again"),
        Transition("rejoining", "rejoin failed", "watching", "again after retry_after"),
        Transition("readmitting", "rejoined", "choosing", "it may be chosen"),
        Transition("readmitting", "rejoin failed", "choosing", "again after retry_after"),
    ),
)
"""What a `FailoverController` runs on."""

Kind = Literal["fence", "promote", "redirect", "rejoin"]
_ENDS: Final[Mapping[Kind, tuple[str, str]]] = {  # the events of an action that is done, and that failed
    "fence": ("fenced", "fence failed"),
    "promote": ("promoted", "promote failed"),
    "redirect": ("redirected", "redirect failed"),
    "rejoin": ("rejoined", "rejoin failed"),
}


@dataclass(frozen=True, kw_only=True)
class Action:
    """Something that the controller wants done, or had done.

    Attributes
    ----------
    kind : {"fence", "promote", "redirect", "rejoin"}
    node : hashable
        Whom to fence, promote, redirect to or take back.
    term : int
        Of a fence the term that it makes way for; of the others the current one.
    attempt : int
        1, 2, ...: of the same kind for the same node and term.
    at : int
        When it was begun [ns].
    error : Exception or None
        Why it failed; None where it did not, or is not over.
    """

    kind: Kind
    node: Node
    term: int
    attempt: int
    at: int
    error: BaseException | None = None


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One line of a controller's log.

    Attributes
    ----------
    at : int
        When it noticed [ns].
    event, state : str
        What happened, in the words of the `CONTROLLER` table, and the state thereafter.
    node : hashable or None
        Whom it is about.
    term : int
    detail : str
    """

    at: int
    event: str
    state: str
    node: Node = None
    term: int = 0
    detail: str = ""


class FailoverController:
    """Promotes a backup when the primary is gone: detector, policy, and your four callbacks in a safe order.

    It holds no thread, timer or socket. Feed it heartbeats, and call `tick` at `deadline()` and after heartbeats;
    or run `accrual.recovery.drive` under asyncio. Use it from one thread.

    **Order.** ``fence(old, term)`` -> ``promote(new, term)`` -> ``redirect(new, term)``, and once the old primary is
    heard again ``rejoin(old, new, term)``. Each begins only after the one before returned; a callback that raises is
    called again after `retry_after` and the state stays what it was (`CONTROLLER` is the whole table). Since a failure
    may mean that only the answer was lost, callbacks must be idempotent: fencing the fenced, promoting the promoted.

    **What is guaranteed** (by tests over random schedules), of one controller that lives:

    - Where *fence succeeds*, nobody is promoted before every node that may be primary was fenced: the old one, and a
      candidate whose promotion was begun and never confirmed. With a fence that is true and lasting there are never
      two primaries. *True*: when it returns, the node acknowledges nothing any more. *Lasting*: until `rejoin`, also
      when it wakes up, restarts, or a promotion that was under way arrives late.
    - Where *fence fails* (raises, times out), nobody is promoted, however long that takes: safety before
      availability. `promote_unfenced_after` is the one way round it.
    - Where *fence hangs*, `tick` hangs with it, and nobody is promoted. `drive` gives up after its timeout and counts
      that as failed. While any callback runs nothing else begins, so let `redirect` and `rejoin` start things, not
      wait for them: a primary that dies meanwhile is not replaced before they are over.
    - Terms only grow, and in a term only one node is ever promoted.
    - Once fencing has begun there is no way back, even if the primary is heard again: it may have been hit. If at last
      only fenced nodes are heard, they are taken back with ``rejoin(node, None, term)``, as backups of nobody yet, and
      one is promoted, in a new term.
    - Where no backup is trusted nobody is fenced: a primary that answers somebody is better than none.

    **What is not guaranteed.** Two controllers at once may promote two nodes: let them hold a lock or elect one.
    A controller that was restarted knows nothing of an unfinished failover: give it the true primary and a `term` not
    below the last. Acknowledged writes that the new primary never received are lost: that is replication's part
    (`choose` the backup that has most). Clients that `redirect` does not reach go on writing to the old primary: the
    fence has to stop those. A suspicion may be wrong: then a fence kills a healthy primary. That is the price.

    **A pause of the controller itself** makes all peers late at once. Waiting times count from when a suspicion is
    noticed, so with `stable_after` or `wait_before_promote` of some heartbeats' time the heartbeats that lay unread
    come first.

    Parameters
    ----------
    nodes : sequence of hashable
        All, in the order in which backups are preferred; None is no name.
    primary : hashable
        Who it is at the start.
    detector, threshold
        As `accrual.Monitor`; one monitor for each observer and node.
    fence, promote : callable
        ``fence(old, term)``, ``promote(new, term)``: done when they return, failed when they raise.
    redirect : callable, optional
        ``redirect(new, term)``: tell the clients.
    rejoin : callable, optional
        ``rejoin(old, new, term)``: lift the fence, and make it a backup of `new`; of nobody yet where that is None.
        Without it, call `rejoined` yourself.
    observers : sequence of hashable
        Who sees heartbeats; by default one, ``"here"``.
    quorum : int, optional
        How many observers must suspect a node; by default a majority of all, reporting or not.
    stable_after : float
        So long nothing may have changed in who is suspected before it acts [s]: against flapping, and deciding on half
        of a partition's picture.
    wait_before_promote : float
        So long the primary must have been suspected [s]: time for a temporary fault to pass.
    min_between : float
        From a promotion to the next fence [s].
    retry_after : float
        From a failed callback to the next try [s]; above 0.
    report_expires : float
        So long a `report` counts [s].
    promote_unfenced_after : float, optional
        So long after fencing began, s, promote although it did not succeed: after one try at least, and not while one
        is under way. None: never. Give it only where a node that cannot be fenced stops by itself sooner than that
        (lease, watchdog, min-replicas-to-write): it is then you who guarantee it.
    choose : callable, optional
        ``choose(candidates)`` gives one of these nodes, or None to wait; by default the first. Where it gives None or
        another node, or raises, it is asked again after `retry_after`. Never awaited.
    unknown_after : float, optional
        As `accrual.Monitor`.
    term : int
        The current one.
    clock : callable
        Gives the present instant [ns].

    Attributes
    ----------
    state : str
    primary, candidate : hashable, hashable or None
    term : int
    failovers, averted : int
        Promotions, and suspicions of the primary that passed while waiting.
    unfenced : set
        Old primaries that were never fenced for sure, and did not rejoin.
    log : deque of Entry
        The last thousand.

    Raises
    ------
    ValueError
        For nodes or observers that are none or twice, a primary that is no node, a quorum over the observers, negative
        times; names the parameter and the value.

    Examples
    --------
    >>> import accrual as ac
    >>> from accrual.recovery import FailoverController
    >>> said = []
    >>> controller = FailoverController(
    ...     ["a", "b"], "a", detector=ac.FixedTimeout(period=1), threshold=3, clock=lambda: 0,
    ...     fence=lambda old, term: said.append(f"fence {old}"),
    ...     promote=lambda new, term: said.append(f"promote {new} in term {term}"),
    ... )
    >>> for second in range(5):
    ...     _ = controller.heartbeat("b", now=second * 10**9)
    >>> _ = controller.heartbeat("a", now=10**9)
    >>> [action.kind for action in controller.tick(now=4 * 10**9)], said, controller.primary
    (['fence', 'promote', 'redirect'], ['fence a', 'promote b in term 1'], 'b')
    """

    def __init__(
        self,
        nodes: Sequence[Node],
        primary: Node,
        *,
        detector: Detector,
        threshold: float = 8.0,
        fence: Callback,
        promote: Callback,
        redirect: Callback | None = None,
        rejoin: Callback | None = None,
        observers: Sequence[Node] = ("here",),
        quorum: int | None = None,
        stable_after: float = 0.0,
        wait_before_promote: float = 0.0,
        min_between: float = 0.0,
        retry_after: float = 1.0,
        report_expires: float = 10.0,
        promote_unfenced_after: float | None = None,
        choose: Callable[[tuple[Node, ...]], Node | None] | None = None,
        unknown_after: float | None = None,
        term: int = 0,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.nodes, self.observers = _distinct("nodes", nodes), _distinct("observers", observers)
        if primary not in self.nodes:
            raise ValueError(f"primary must be one of the nodes {', '.join(map(repr, self.nodes))}, got {primary!r}")
        most = len(self.observers)
        self.quorum = most // 2 + 1 if quorum is None else quorum
        if isinstance(self.quorum, bool) or not isinstance(self.quorum, int) or not 1 <= self.quorum <= most:
            raise ValueError(f"quorum must be from 1 to the number of observers, {most}, got {quorum!r}")
        if isinstance(term, bool) or not isinstance(term, int) or term < 0:
            raise ValueError(f"term must be a whole number from 0 on, got {term!r}")
        self._stable = _ns("stable_after", stable_after)
        self._wait = _ns("wait_before_promote", wait_before_promote)
        self._between = _ns("min_between", min_between)
        self._retry = _ns("retry_after", retry_after)
        if self._retry < 1:
            raise ValueError(f"retry_after must be above 0 s, got {retry_after!r}")
        self._expires = _ns("report_expires", report_expires)
        self._unfenced_after = (
            None if promote_unfenced_after is None else _ns("promote_unfenced_after", promote_unfenced_after)
        )
        callbacks: dict[Kind, Callback | None] = {
            "fence": fence, "promote": promote, "redirect": redirect, "rejoin": rejoin,
        }  # fmt: skip
        given: list[tuple[str, object]] = [*callbacks.items(), ("choose", choose), ("clock", clock)]
        for name, callback in given:
            if not callable(callback) and (callback is not None or name in ("fence", "promote", "clock")):
                raise TypeError(f"{name} must be callable, got {callback!r}")
        self.callbacks, self._choose, self.clock = callbacks, choose, clock
        self._monitors = {
            (observer, node): Monitor(as_detector(detector), threshold, clock, unknown_after=unknown_after)
            for observer in self.observers
            for node in self.nodes
        }
        self._reports: dict[tuple[Node, Node], tuple[bool, int]] = {}
        self.primary, self.term = primary, term
        self.candidate: Node | None = None
        self.state = CONTROLLER.initial
        self.failovers = self.averted = 0
        self.unfenced: set[Node] = set()
        self.log: deque[Entry] = deque(maxlen=1000)
        self._latest: int | None = None  # the largest `now` so far: time does not go back in here
        self._picture: dict[Node, State] = dict.fromkeys(self.nodes, State.UNKNOWN)
        self._changed = 0  # when that changed [ns]
        self._suspected_at = 0  # when the primary's suspicion was noticed
        self._fencing_at = 0  # when the first try to fence was made
        self._promoted_at: int | None = None
        self._to_fence: Node | None = None  # whom, in the state "fencing"
        self._ousted: list[Node] = []  # old primaries that have not rejoined
        self._redirect_owed = False
        self._again_at: dict[tuple[Kind, Node], int] = {}  # not to be tried before [ns]
        self._choose_at: int | None = None  # `choose` is not to be asked before [ns]
        self._attempts: dict[tuple[Kind, Node, int], int] = {}
        self._running: Action | None = None
        self._wakers: list[Callable[[], object]] = []  # called when deadline() may have come nearer

    def __repr__(self) -> str:
        candidate = "" if self.candidate is None else f", candidate {self.candidate!r}"
        return f"<FailoverController {self.state}: primary {self.primary!r}{candidate}, term {self.term}>"

    # ---- what it is told ----------------------------------------------------------------------------------------

    def heartbeat(
        self,
        node: Node,
        now: int | None = None,
        observer: Node | None = None,
        sequence: int | None = None,
        epoch: int | None = None,
    ) -> bool:
        """Take in that `observer` (the first by default) heard a node at `now` [ns].

        Returns
        -------
        bool
            Whether it counts, as `accrual.Monitor.heartbeat`.

        Raises
        ------
        ValueError
            If there is no such node or observer.
        """
        observer = self.observers[0] if observer is None else observer
        monitor = self._monitors[self._pair(observer, node)]
        arrived = engine.as_instant(self.clock() if now is None else now, "now")
        now = self._advance(arrived)
        counts = monitor.heartbeat(arrived, sequence, epoch)
        if counts:  # a late or repeated one is older than what was reported
            self._reports.pop((observer, node), None)
        if self._picture[node] is not State.TRUSTED:
            self._look(now)
            self._wake()
        return counts

    def report(self, observer: Node, node: Node, suspected: bool, now: int | None = None) -> None:
        """Take in another process's verdict: it counts in place of heartbeats, for `report_expires`."""
        pair = self._pair(observer, node)
        now = self._advance(now)
        self._reports[pair] = bool(suspected), now
        self._look(now)
        self._wake()

    def expect(self, within: float, now: int | None = None) -> None:
        """Suspect nodes that are not heard within so many seconds: for those that may never have lived."""
        by = self._advance(now) + _ns("within", within)
        for monitor in self._monitors.values():
            monitor.expect(by)
        self._wake()

    def rejoined(self, node: Node, now: int | None = None) -> None:
        """Say that an old primary, or another that was fenced, is a backup again, and may be chosen."""
        if node not in self._ousted:
            raise ValueError(f"node must be an old primary that has not rejoined, got {node!r}")
        self._ousted.remove(node)
        self.unfenced.discard(node)
        self._note(self._advance(now), "rejoined by hand", node)
        self._wake()

    # ---- what it says -------------------------------------------------------------------------------------------

    def suspicions(self, now: int | None = None) -> dict[Node, dict[Node, bool | None]]:
        """Who suspects whom: ``[observer][node]``, None where an observer cannot say; as `recognise` takes it."""
        now = self._advance(now)
        return {
            observer: {node: _SUSPICION[self._opinion(observer, node, now)] for node in self.nodes}
            for observer in self.observers
        }

    def verdict(self, node: Node, now: int | None = None) -> State:
        """SUSPECTED or TRUSTED where a quorum of observers says so, else UNKNOWN."""
        self._pair(self.observers[0], node)
        return self._verdict(node, self._advance(now))

    def deadline(self) -> int | None:
        """When `tick` may have something to do if nothing is heard until then [ns]; None: never.

        That is also None while an action that `poll` gave out is neither done nor failed.
        """
        if self._running is not None:
            return None
        latest = -math.inf if self._latest is None else self._latest
        if self._latest is not None:  # time may have passed a monitor's deadline in a question, with nobody to see it
            self._look(self._latest)
        dues = [due for monitor in self._monitors.values() if (due := monitor.deadline()) is not None]
        dues += [at + self._expires for _, at in self._reports.values()]
        dues = [due for due in dues if due > latest]
        dues += self._due()
        return min(dues, default=None)

    def _due(self) -> list[int]:
        """When the state itself has something to do."""
        needed = self.candidate if self.state == "promoting" else self.primary
        if self.state in ("watching", "redirecting", "promoting") and self._picture[needed] is State.SUSPECTED:
            return [self._latest or 0]
        if self.state == "watching":
            return self._due_back()
        if self.state == "waiting":
            # Over, but nobody to promote: only a heartbeat can change that.
            due = self._time_is_up()
            over = self._latest is not None and due <= self._latest
            if self._picture[self.primary] is not State.SUSPECTED:
                return [self._latest or 0]
            return [due] if not over or self._candidates() else []
        if self.state == "fencing":
            again = self._again_at.get(("fence", self._to_fence), self._latest or 0)
            if self._unfenced_after is None or not self._attempted():
                return [again]
            return [again, self._fencing_at + self._unfenced_after]
        if self.state == "promoting":
            return [self._again_at.get(("promote", self.candidate), self._latest or 0)]
        if self.state == "redirecting":
            return [self._again_at.get(("redirect", self.primary), self._latest or 0)]
        return [self._choose_at or self._latest or 0] if self._candidates() else self._due_back()  # choosing

    def _due_back(self) -> list[int]:
        return [self._again_at.get(("rejoin", node), self._latest or 0) for node in self._returned()]

    # ---- what it does -------------------------------------------------------------------------------------------

    def tick(self, now: int | None = None) -> tuple[Action, ...]:
        """Do all that is due at `now` [ns]: calls the callbacks, in this thread, and gives what it called.

        What a callback raises is logged to "accrual" and kept in the action's `error`, not raised; KeyboardInterrupt
        and its like are raised, and count as a failure. So does a callback that is a coroutine function: `drive` is for
        those.
        """
        carried = []
        while (action := self.poll(now)) is not None:
            error: BaseException | None = None
            try:
                answer = self.call(action)
                if inspect.isawaitable(answer):  # nothing was done yet: taken for success it would promote unfenced
                    if inspect.iscoroutine(answer):
                        answer.close()
                    raise TypeError(f"tick awaits nothing: {action.kind} is asynchronous; use accrual.recovery.drive")
            except BaseException as raised:
                error = raised
                self.failed(action, raised, now)
                if not isinstance(raised, Exception):
                    raise
            else:
                self.done(action, now)
            carried.append(dataclasses.replace(action, error=error))
        return tuple(carried)

    def call(self, action: Action) -> Any:
        """Call the callback of an action, and give what that gives: an awaitable, where it is a coroutine function."""
        callback = self.callbacks[action.kind]
        if callback is None:
            return None
        if action.kind == "rejoin":
            return callback(action.node, None if self.state == "readmitting" else self.primary, action.term)
        return callback(action.node, action.term)

    def poll(self, now: int | None = None) -> Action | None:
        """Say what to do next at `now` [ns], for those who call the callbacks themselves; None: nothing.

        What it gives has to be answered with `done` or `failed`; until then it gives None.
        """
        now = self._advance(now)
        self._look(now)
        if self._running is not None:
            return None
        while True:
            state = self.state
            action: Action | None = getattr(self, f"_while_{state}")(now)
            if action is not None or self.state == state:
                self._running = action
                return action

    def done(self, action: Action, now: int | None = None) -> None:
        """Say that an action of `poll` succeeded.

        Raises
        ------
        ValueError
            If that is not the action that is under way.
        """
        self._finish(action)
        now = self._advance(now)
        event = _ENDS[action.kind][0]
        self._again_at.pop((action.kind, action.node), None)
        if action.kind == "fence":
            self._to_fence = None
            self._oust(action.node)
            self.unfenced.discard(action.node)
        elif action.kind == "promote":
            self.primary, self.candidate = action.node, None
            self.failovers += 1
            self._promoted_at, self._redirect_owed = now, True
        elif action.kind == "redirect":
            self._redirect_owed = False
        else:
            if action.node in self._ousted:  # its callback may have called `rejoined` itself
                self._ousted.remove(action.node)
            self.unfenced.discard(action.node)
        self._go(now, event, action.node)

    def failed(self, action: Action, error: BaseException, now: int | None = None) -> None:
        """Say that an action of `poll` failed, or that nobody knows."""
        self._finish(action)
        now = self._advance(now)
        log.warning("%r: %s(%r) failed: %r", self, action.kind, action.node, error)
        self._again_at[action.kind, action.node] = now + self._retry
        self._go(now, _ENDS[action.kind][1], action.node, repr(error))

    def _finish(self, action: Action) -> None:
        if action is not self._running:
            raise ValueError(f"action must be the one under way, {self._running!r}, got {action!r}")
        self._running = None

    # ---- the states ---------------------------------------------------------------------------------------------

    def _while_watching(self, now: int) -> Action | None:
        if self._picture[self.primary] is State.SUSPECTED:
            self._suspected_at = now
            self._go(now, "primary suspected", self.primary)
        elif self._redirect_owed:
            self._go(now, "redirect owed", self.primary)
        else:
            return self._take_back("old primary back", now)
        return None

    def _while_waiting(self, now: int) -> Action | None:
        verdict = self._picture[self.primary]
        if verdict is State.TRUSTED:
            self.averted += 1
            self._go(now, "primary trusted", self.primary)
        elif verdict is State.UNKNOWN:  # reports have expired
            self._go(now, "no quorum", self.primary)
        elif now >= self._time_is_up() and self._candidates():
            self._to_fence = self.primary
            self._fencing_at = now
            self._go(now, "time is up", self.primary)
        return None

    def _while_fencing(self, now: int) -> Action | None:
        if self._unfenced_after is not None and now - self._fencing_at >= self._unfenced_after and self._attempted():
            node, self._to_fence = self._to_fence, None
            self._oust(node)
            self.unfenced.add(node)
            self._go(now, "unfenced allowed", node)
        elif now >= self._again_at.get(("fence", self._to_fence), now):
            return self._begin("fence", self._to_fence, self.term + 1, now)
        return None

    def _while_choosing(self, now: int) -> Action | None:
        candidates = self._candidates()
        if not candidates:
            return self._take_back("only fenced ones back", now)
        if self._choose_at is not None and now < self._choose_at:
            return None
        self._choose_at = now + self._retry  # if nothing comes of it
        try:
            chosen = candidates[0] if self._choose is None else self._choose(candidates)
            if chosen is not None and chosen not in candidates:
                names = ", ".join(map(repr, candidates))
                raise ValueError(f"choose must give one of {names}, or None, gave {chosen!r}")
        except Exception as error:  # the old primary is fenced: giving up here would leave the service without any
            log.warning("%r: choose(%r) failed: %r", self, candidates, error)
            self._go(now, "choose failed", None, repr(error))
            return None
        if chosen is None:
            return None
        self._choose_at = None
        self.candidate = chosen
        self.term += 1
        self._attempts = {key: tries for key, tries in self._attempts.items() if key[2] >= self.term}
        self._go(now, "candidate found", chosen)
        return None

    def _while_promoting(self, now: int) -> Action | None:
        candidate = self.candidate
        assert candidate is not None
        if self._picture[candidate] is State.SUSPECTED:
            self.candidate, self._fencing_at = None, now
            self._go(now, "candidate suspected", candidate)
            if ("promote", candidate, self.term) in self._attempts:  # may have been promoted
                self._to_fence = candidate
            else:
                self._go(now, "fenced", candidate, "its promotion had not begun")
        elif now >= self._again_at.get(("promote", candidate), now):
            return self._begin("promote", candidate, self.term, now)
        return None

    def _while_redirecting(self, now: int) -> Action | None:
        if self._picture[self.primary] is State.SUSPECTED:
            self._suspected_at = now
            self._go(now, "primary suspected", self.primary)
        elif now >= self._again_at.get(("redirect", self.primary), now):
            return self._begin("redirect", self.primary, self.term, now)
        return None

    def _take_back(self, event: str, now: int) -> Action | None:
        for node in self._returned():
            if now >= self._again_at.get(("rejoin", node), now):
                self._go(now, event, node)
                return self._begin("rejoin", node, self.term, now)
        return None

    def _begin(self, kind: Kind, node: Node, term: int, now: int) -> Action:
        attempt = self._attempts.get((kind, node, term), 0) + 1
        self._attempts[kind, node, term] = attempt
        return Action(kind=kind, node=node, term=term, attempt=attempt, at=now)

    def _attempted(self) -> bool:
        """Whether it was tried to fence, for this failover."""
        return ("fence", self._to_fence, self.term + 1) in self._attempts

    def _oust(self, node: Node) -> None:
        if node not in self._ousted:
            self._ousted.append(node)
        self._again_at.pop(("rejoin", node), None)

    def _returned(self) -> list[Node]:
        """Whom `rejoin` has to be called for."""
        if self.callbacks["rejoin"] is None:
            return []
        return [node for node in self._ousted if self._picture[node] is State.TRUSTED]

    def _candidates(self) -> tuple[Node, ...]:
        """Who may be promoted: trusted backups, preferred first; a fenced primary that was taken back is one."""
        return tuple(
            node
            for node in self.nodes
            if (node != self.primary or self.state == "choosing")
            and node not in self._ousted
            and self._picture[node] is State.TRUSTED
        )

    def _time_is_up(self) -> int:
        """When a failover may begin."""
        due = max(self._suspected_at + self._wait, self._changed + self._stable)
        return due if self._promoted_at is None else max(due, self._promoted_at + self._between)

    # ---- time and sight -----------------------------------------------------------------------------------------

    def _advance(self, now: int | None) -> int:
        given = engine.as_instant(self.clock() if now is None else now, "now")
        self._latest = given if self._latest is None else max(self._latest, given)
        return self._latest

    def _pair(self, observer: Node, node: Node) -> tuple[Node, Node]:
        for name, value, known in (("observer", observer, self.observers), ("node", node, self.nodes)):
            if value not in known:
                raise ValueError(f"{name} must be one of {', '.join(map(repr, known))}, got {value!r}")
        return observer, node

    def _opinion(self, observer: Node, node: Node, now: int) -> State:
        report = self._reports.get((observer, node))
        if report is None:
            return self._monitors[observer, node].state(now)
        suspected, at = report
        if now - at >= self._expires:
            return State.UNKNOWN
        return State.SUSPECTED if suspected else State.TRUSTED

    def _verdict(self, node: Node, now: int) -> State:
        opinions = [self._opinion(observer, node, now) for observer in self.observers]
        for state in (State.SUSPECTED, State.TRUSTED):
            if opinions.count(state) >= self.quorum:
                return state
        return State.UNKNOWN

    def _look(self, now: int) -> None:
        picture = {node: self._verdict(node, now) for node in self.nodes}
        if picture != self._picture:
            self._picture, self._changed = picture, now

    def _wake(self) -> None:
        for waker in tuple(self._wakers):
            waker()

    def _go(self, now: int, event: str, node: Node, detail: str = "") -> None:
        target = CONTROLLER.target(self.state, event)
        assert target is not None, f"the table has no row for {event!r} while {self.state}"
        self.state = target
        self._note(now, event, node, detail)

    def _note(self, now: int, event: str, node: Node, detail: str = "") -> None:
        self.log.append(Entry(at=now, event=event, state=self.state, node=node, term=self.term, detail=detail))


_SUSPICION: Final = {State.UNKNOWN: None, State.TRUSTED: False, State.SUSPECTED: True}


def _ns(name: str, value: float) -> int:
    return round(seconds(name, value) * NS)


def _distinct(name: str, values: Sequence[Node]) -> tuple[Node, ...]:
    if isinstance(values, str):
        raise ValueError(f"{name} must be a sequence of names, got one: {values!r}")
    found = tuple(values)
    if not found or len(set(found)) != len(found):
        raise ValueError(f"{name} must be one or more, each once, got {values!r}")
    if None in found:  # it means nobody: `choose` gives it to wait
        raise ValueError(f"{name} must be names other than None, got {values!r}")
    return found
