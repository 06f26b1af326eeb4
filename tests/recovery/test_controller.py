"""The failover controller: its order, its promise under random schedules, and what it refuses."""

import asyncio
import logging
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from virtual_loop import VirtualLoop

import accrual as ac
from accrual.recovery import CONTROLLER, FailoverController, drive

S = 10**9


class Service:
    """A service whose callbacks can be told to fail; a fence is true and lasting."""

    def __init__(self, nodes="abc", **arguments):
        self.calls, self.failing = [], set()
        self.primaries, self.fenced = {nodes[0]}, set()
        self.promoted = {}  # term -> who
        self.controller = FailoverController(
            tuple(nodes),
            nodes[0],
            **{
                "detector": ac.FixedTimeout(period=1),
                "threshold": 3,
                "clock": lambda: 0,
                "fence": self.fence,
                "promote": self.promote,
                "redirect": self.redirect,
                "rejoin": self.rejoin,
                **arguments,
            },
        )

    def called(self, kind, node):
        self.calls.append(f"{kind} {node}")
        if kind in self.failing:
            raise OSError(f"{kind} of {node}")

    def fence(self, old, term):
        self.called("fence", old)
        self.fenced.add(old)
        self.primaries.discard(old)

    def promote(self, new, term):
        self.called("promote", new)
        assert self.promoted.setdefault(term, new) == new
        if new not in self.fenced:
            self.primaries.add(new)

    def redirect(self, new, term):
        self.called("redirect", new)

    def rejoin(self, old, new, term):
        assert new == (None if self.controller.state == "readmitting" else self.controller.primary)
        self.called("rejoin", old)
        self.fenced.discard(old)
        self.primaries.discard(old)

    def beats(self, nodes, *seconds):
        for second in seconds:
            for node in nodes:
                self.controller.heartbeat(node, now=round(second * S))

    def tick(self, second):
        return [f"{a.kind} {a.node}" for a in self.controller.tick(now=round(second * S))]


@pytest.fixture(autouse=True)
def quiet(caplog):
    caplog.set_level(logging.CRITICAL, "accrual")


def test_fence_then_promote_then_redirect_then_rejoin():
    service = Service()
    service.beats("abc", 0)
    service.beats("bc", 1, 2)
    assert service.tick(2.999) == []
    assert service.controller.deadline() == 3 * S
    assert service.tick(3) == ["fence a", "promote b", "redirect b"]
    assert (service.controller.primary, service.controller.term, service.controller.state) == ("b", 1, "watching")
    service.beats("abc", 4)
    assert service.controller.deadline() == 4 * S
    assert service.tick(4) == ["rejoin a"]
    service.beats("ac", 5, 6, 7)
    assert service.tick(7) == ["fence b", "promote a", "redirect a"]


def test_every_event_of_its_log_is_a_row_of_the_table():
    service = Service()
    service.beats("abc", 0)
    service.beats("bc", 1, 2, 3)
    service.tick(3)
    state = CONTROLLER.initial
    for entry in service.controller.log:
        state = CONTROLLER.target(state, entry.event)
        assert state == entry.state


@pytest.mark.parametrize(
    ("failing", "stays", "then"),
    [
        ("fence", "fencing", ["fence a", "promote b", "redirect b"]),
        ("promote", "promoting", ["promote b", "redirect b"]),
        ("redirect", "redirecting", ["redirect b"]),
    ],
)
def test_a_callback_that_raises_is_called_again(failing, stays, then):
    service = Service(retry_after=0.5)
    service.failing = {failing}
    service.beats("abc", 0)
    service.beats("bc", 1, 2, 3)
    failed = service.controller.tick(now=3 * S)[-1]
    assert (failed.kind, type(failed.error), failed.attempt) == (failing, OSError, 1)
    assert service.controller.state == stays
    assert service.tick(3.4) == []
    assert service.controller.deadline() == round(3.5 * S)
    assert service.tick(3.5) == then[:1]
    service.failing = set()
    assert service.tick(4) == then


def test_rejoin_that_raises_is_called_again_and_watching_goes_on():
    service = Service(retry_after=0.5)
    service.failing = {"rejoin"}
    service.beats("abc", 0)
    service.beats("bc", 1, 2, 3)
    service.tick(3)
    service.beats("abc", 3.1)
    assert service.tick(3.1) == ["rejoin a"]
    assert service.controller.state == "watching"
    assert service.controller.deadline() == round(3.6 * S)
    service.failing = set()
    assert service.tick(3.6) == ["rejoin a"]


def test_nobody_is_promoted_unfenced_but_by_explicit_permission():
    for allowed, expected in ((None, {"a"}), (5, {"a", "b"})):
        service = Service(promote_unfenced_after=allowed)
        service.failing = {"fence"}
        service.beats("abc", 0)
        for second in range(1, 60):
            service.beats("bc", second)
            service.tick(second)
            if allowed and second == 7:
                assert service.controller.primary == "a"
                assert service.controller.deadline() == 8 * S
        assert service.primaries == expected
        assert service.controller.unfenced == ({"a"} if allowed else set())


def test_a_primary_that_comes_back_while_waiting_is_left_alone():
    service = Service(wait_before_promote=2)
    service.beats("abc", 0)
    service.beats("bc", 1, 2, 3)
    assert service.tick(3) == []
    assert service.controller.deadline() == 5 * S
    service.beats("abc", 4.9)
    assert service.tick(5) == []
    assert (service.controller.averted, service.controller.failovers) == (1, 0)


def test_stable_after_waits_until_the_picture_stands():
    service = Service(stable_after=2)
    service.beats("abc", 0)
    service.beats("c", 1, 2, 3)
    assert service.tick(3) == []
    service.beats("bc", 4.5)  # b is back: the picture has changed
    assert service.tick(5) == []
    service.beats("bc", 6)
    assert service.tick(6.5) == ["fence a", "promote b", "redirect b"]


def test_min_between():
    service = Service(min_between=10)
    service.beats("abc", 0)
    service.beats("bc", 1, 2, 3)
    service.tick(3)
    for second in range(4, 13):
        service.beats("c", second)
        assert service.tick(second) == []
    service.beats("c", 13)
    assert service.tick(13) == ["fence b", "promote c", "redirect c"]


def test_nobody_is_fenced_where_nobody_could_be_promoted():
    service = Service()
    service.beats("abc", 0)
    assert service.tick(10) == []
    assert service.controller.state == "waiting"
    assert service.controller.deadline() is None
    service.beats("c", 11)
    assert service.controller.deadline() == 11 * S
    assert service.tick(11) == ["fence a", "promote c", "redirect c"]


def test_a_candidate_that_dies_while_promoted_is_fenced_too():
    service = Service(retry_after=1)
    service.failing = {"promote"}
    service.beats("abc", 0)
    service.beats("bc", 1, 2, 3)
    assert service.tick(3) == ["fence a", "promote b"]
    service.beats("c", 4, 5, 6)
    service.failing = set()
    assert service.tick(6) == ["fence b", "promote c", "redirect c"]
    assert service.controller.term == 2


def test_where_all_were_fenced_one_is_taken_back_and_promoted():
    """Found by 2000 random schedules: nobody was left to be chosen, and none could rejoin without a primary."""
    service = Service("ab", retry_after=1)
    service.failing = {"promote"}
    service.beats("ab", 0)
    service.beats("b", 1, 2, 3)
    assert service.tick(3) == ["fence a", "promote b"]
    assert service.tick(6) == ["fence b"]
    assert (service.primaries, service.fenced, service.controller.deadline()) == (set(), {"a", "b"}, None)
    service.failing = {"rejoin"}
    service.beats("a", 7)
    assert service.tick(7) == ["rejoin a"]
    assert (service.controller.state, service.controller.deadline()) == ("choosing", 8 * S)
    service.failing = set()
    assert service.tick(8) == ["rejoin a", "promote a", "redirect a"]
    assert (service.primaries, service.controller.primary, service.controller.term) == ({"a"}, "a", 2)
    service.beats("ab", 9)
    assert service.tick(9) == ["rejoin b"]
    by_hand = Service("ab", rejoin=None)
    by_hand.beats("ab", 0)
    by_hand.beats("b", 1, 2)
    by_hand.failing = {"promote"}
    by_hand.beats("b", 3)
    by_hand.tick(3)
    by_hand.tick(6)
    by_hand.beats("a", 7)
    assert by_hand.tick(7) == []
    by_hand.controller.rejoined("a", now=7 * S)
    assert by_hand.tick(7) == ["promote a"]


def test_a_majority_of_all_observers_not_of_those_that_report():
    service = Service(observers=("x", "y", "z"))
    for observer in "xyz":
        for node in "abc":
            service.controller.report(observer, node, suspected=False, now=0)
    service.controller.report("x", "a", suspected=True, now=S)
    assert service.tick(1) == []
    assert service.controller.verdict("a", now=S) is ac.State.TRUSTED
    service.controller.report("y", "a", suspected=True, now=2 * S)
    assert service.tick(2) == ["fence a", "promote b", "redirect b"]
    lonely = Service(observers=("x", "y", "z"))
    lonely.beats("abc", 0)
    lonely.beats("bc", 1, 2, 3)  # seen by x alone
    assert lonely.tick(3) == []
    assert lonely.controller.suspicions(now=3 * S)["x"] == {"a": True, "b": False, "c": False}
    assert lonely.controller.suspicions(now=3 * S)["y"] == {"a": None, "b": None, "c": None}


def test_reports_expire():
    service = Service(report_expires=5)
    service.controller.report("here", "a", suspected=True, now=0)
    assert service.controller.deadline() == 0  # the suspicion is there to be noticed
    assert service.tick(0) == []
    assert service.controller.deadline() == 5 * S
    assert service.controller.verdict("a", now=5 * S) is ac.State.UNKNOWN


def test_reports_that_expire_while_waiting_are_no_averted_failover():
    service = Service(observers=("x", "y", "z"), report_expires=5, wait_before_promote=20)
    for observer in "xy":
        service.controller.report(observer, "a", suspected=True, now=0)
        service.controller.report(observer, "b", suspected=False, now=0)
    service.tick(0)
    assert service.controller.state == "waiting"
    assert service.tick(5) == []
    assert (service.controller.state, service.controller.averted) == ("watching", 0)
    assert service.controller.log[-1].event == "no quorum"


def test_a_heartbeat_that_does_not_count_leaves_a_report_standing():
    service = Service()
    service.controller.heartbeat("a", now=0, sequence=5)
    service.controller.report("here", "a", suspected=True, now=S)
    assert not service.controller.heartbeat("a", now=2 * S, sequence=4)  # overtaken on its way
    assert service.controller.verdict("a", now=2 * S) is ac.State.SUSPECTED
    assert service.controller.heartbeat("a", now=2 * S, sequence=6)
    assert service.controller.verdict("a", now=2 * S) is ac.State.TRUSTED


def test_years_of_failovers_leave_nothing_behind():
    service = Service(retry_after=0.5)

    def size():
        return sum(len(value) for value in vars(service.controller).values() if isinstance(value, dict | list | set))

    sizes, now = [], 0.0
    for _ in range(60):
        living = [node for node in "abc" if node != service.controller.primary]
        for k in range(12):
            now += 0.5
            service.failing = set(["fence", "promote", "redirect", "rejoin"][k:])
            service.beats(living if k < 8 else "abc", now)
            service.tick(now)
        sizes.append(size())
    assert service.controller.failovers > 30
    assert max(sizes[30:]) <= max(sizes[:30])


def test_a_primary_that_never_lived():
    service = Service()
    service.beats("bc", 0)
    service.controller.expect(within=4, now=0)
    service.beats("bc", 2)
    assert service.tick(3.9) == []
    assert service.tick(4) == ["fence a", "promote b", "redirect b"]


def test_choose():
    service = Service(choose=lambda candidates: candidates[-1])
    service.beats("abc", 0)
    service.beats("bc", 1, 2, 3)
    assert service.tick(3) == ["fence a", "promote c", "redirect c"]


def test_choose_that_gives_a_stranger_is_asked_again():
    """The old primary is fenced by then: an error that ends the loop would leave the service without any."""
    answers = ["a", "z", "c"]
    service = Service(choose=lambda candidates: answers.pop(0), retry_after=1)
    service.beats("abc", 0)
    service.beats("bc", 1, 2, 3)
    assert service.tick(3) == ["fence a"]
    assert (service.controller.state, service.controller.log[-1].event) == ("choosing", "choose failed")
    assert "choose must give one of 'b', 'c', or None, gave 'a'" in service.controller.log[-1].detail
    assert service.controller.deadline() == 4 * S
    assert service.tick(4) == []
    service.beats("bc", 4)
    assert service.tick(5) == ["promote c", "redirect c"]


def test_choose_that_waits_is_asked_again_after_a_while():
    """Not at once: `drive` would ask without a pause."""
    asked = []
    service = Service(choose=asked.append, retry_after=2)
    service.beats("abc", 0)
    service.beats("bc", 1, 2, 3)
    service.tick(3)
    service.tick(3)
    assert (len(asked), service.controller.deadline()) == (1, 5 * S)
    service.tick(5)
    assert len(asked) == 2


def test_choose_that_raises_is_asked_again():
    errors = [OSError("no answer")]

    def choose(candidates):
        if errors:
            raise errors.pop()
        return candidates[0]

    service = Service(choose=choose, retry_after=1)
    service.beats("abc", 0)
    service.beats("bc", 1, 2, 3)
    assert service.tick(3) == ["fence a"]
    assert (service.controller.state, service.controller.log[-1].event) == ("choosing", "choose failed")
    assert service.tick(4) == ["promote b", "redirect b"]


def test_a_coroutine_function_is_never_taken_for_done():
    """`tick` cannot await it: what it gives is no fence, and promoting after it would be the second primary."""
    fenced = []

    async def fence(old, term):
        fenced.append(old)

    service = Service(fence=fence)
    service.beats("abc", 0)
    service.beats("bc", 1, 2, 3)
    [failed] = service.controller.tick(now=3 * S)
    assert str(failed.error) == "tick awaits nothing: fence is asynchronous; use accrual.recovery.drive"
    assert (service.controller.state, service.primaries, fenced) == ("fencing", {"a"}, [])


def test_a_rejoin_that_calls_rejoined():
    service = Service()
    service.controller.callbacks["rejoin"] = lambda old, new, term: service.controller.rejoined(old, now=4 * S)
    service.beats("abc", 0)
    service.beats("bc", 1, 2, 3)
    service.tick(3)
    service.beats("abc", 4)
    service.tick(4)
    assert service.controller.state == "watching"


@pytest.mark.parametrize("ask", ["suspicions", "verdict"])
def test_a_question_does_not_make_it_miss_a_deadline(ask):
    service = Service()
    service.beats("ab", 0)
    service.beats("b", 1, 2)
    assert service.controller.deadline() == 3 * S
    getattr(service.controller, ask)(*(["b"] if ask == "verdict" else []), now=round(3.5 * S))
    assert service.controller.deadline() == round(3.5 * S)
    assert service.tick(3.5) == ["fence a", "promote b", "redirect b"]


def test_drive_goes_on_when_what_a_callback_awaits_is_cancelled():
    """Cancelled by somebody else: the callback failed, and the controller has to try again."""
    loop = VirtualLoop()
    tries = []

    async def fence(old, term):
        tries.append(old)
        if len(tries) == 1:
            inner = asyncio.ensure_future(asyncio.sleep(1))
            inner.cancel()
            await inner

    async def run():
        controller = FailoverController(
            ["a", "b"],
            "a",
            detector=ac.FixedTimeout(period=1),
            threshold=3,
            fence=fence,
            promote=lambda new, term: None,
            clock=lambda: round(loop.time() * S),
        )
        driving = asyncio.ensure_future(drive(controller))
        controller.heartbeat("a")
        for _ in range(8):
            controller.heartbeat("b")
            await asyncio.sleep(1)
        ended = driving.done()
        driving.cancel()
        await asyncio.gather(driving, return_exceptions=True)
        return ended, controller.primary

    try:
        assert loop.run_until_complete(run()) == (False, "b")
    finally:
        loop.close()
    assert tries == ["a", "a"]


def test_an_interrupt_goes_through_and_leaves_a_state_to_go_on_from():
    service = Service()
    interrupts = [KeyboardInterrupt()]

    def fence(old, term):
        if interrupts:
            raise interrupts.pop()

    service.controller.callbacks["fence"] = fence
    service.beats("abc", 0)
    service.beats("bc", 1, 2, 3)
    with pytest.raises(KeyboardInterrupt):
        service.tick(3)
    assert service.controller.state == "fencing"
    assert service.tick(4) == ["fence a", "promote b", "redirect b"]


def test_by_hand():
    service = Service(rejoin=None)
    controller = service.controller
    service.beats("abc", 0)
    service.beats("bc", 1, 2, 3)
    action = controller.poll(now=3 * S)
    assert (action.kind, action.node, action.term) == ("fence", "a", 1)
    assert controller.poll(now=3 * S) is None
    assert controller.deadline() is None
    with pytest.raises(ValueError, match="action must be the one under way"):
        controller.done(None)
    controller.done(action, now=3 * S)
    with pytest.raises(ValueError, match="action must be the one under way"):
        controller.failed(action, OSError())
    assert controller.poll(now=3 * S).kind == "promote"
    controller.rejoined("a", now=3 * S)
    with pytest.raises(ValueError, match="node must be an old primary that has not rejoined, got 'c'"):
        controller.rejoined("c")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"quorum": 2}, "quorum must be from 1 to the number of observers, 1, got 2"),
        ({"quorum": 0}, "quorum must be from 1 to the number of observers, 1, got 0"),
        ({"observers": ()}, "observers must be one or more, each once, got ()"),
        ({"observers": ("x", "x")}, "observers must be one or more, each once, got ('x', 'x')"),
        ({"observers": ("x", None)}, "observers must be names other than None, got ('x', None)"),
        ({"stable_after": -1}, "stable_after must be"),
        ({"wait_before_promote": -0.1}, "wait_before_promote must be"),
        ({"min_between": float("nan")}, "min_between must be"),
        ({"retry_after": 0}, "retry_after must be above 0 s, got 0"),
        ({"promote_unfenced_after": -1}, "promote_unfenced_after must be"),
        ({"term": -1}, "term must be a whole number from 0 on, got -1"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        Service(**arguments)


def test_bad_nodes():
    arguments = {"detector": ac.FixedTimeout(period=1), "fence": print, "promote": print}
    with pytest.raises(ValueError, match="primary must be one of the nodes 'a', got 'b'"):
        FailoverController(["a"], "b", **arguments)
    with pytest.raises(ValueError, match="nodes must be a sequence of names, got one: 'ab'"):
        FailoverController("ab", "a", **arguments)
    with pytest.raises(ValueError, match=re.escape("nodes must be one or more, each once, got ['a', 'a']")):
        FailoverController(["a", "a"], "a", **arguments)
    with pytest.raises(TypeError, match="fence must be callable, got None"):
        FailoverController(["a"], "a", **{**arguments, "fence": None})
    with pytest.raises(ValueError, match="node must be one of 'a', got 'z'"):
        FailoverController(["a"], "a", **arguments).heartbeat("z", now=0)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("beats"), st.sets(st.sampled_from("abcd"))),
        st.tuples(st.just("wait"), st.sampled_from([0.1, 0.5, 1.0, 3.0])),
        st.tuples(st.just("fail"), st.sets(st.sampled_from(["fence", "promote", "redirect", "rejoin"]))),
    ),
    min_size=20,
    max_size=120,
)


class Doubtful(Service):
    """Whose failures may have taken effect, only the answer being lost; promotions may arrive late."""

    def __init__(self, lost, **arguments):
        self.lost = lost
        self.late = []
        self.promote_is_safe = True
        super().__init__("abcd", **arguments)

    def called(self, kind, node):
        self.calls.append(f"{kind} {node}")

    def answer(self, kind):
        if kind in self.failing:
            raise OSError(kind)

    def does(self, kind, *arguments):
        if kind not in self.failing or self.lost:
            getattr(Service, kind)(self, *arguments)
        elif kind == "promote":
            self.late.append(arguments)
        self.answer(kind)

    def fence(self, old, term):
        self.does("fence", old, term)

    def promote(self, new, term):
        # The promise: whoever may be primary was fenced before.
        assert self.primaries <= {new} or not self.promote_is_safe
        self.does("promote", new, term)

    def rejoin(self, old, new, term):
        self.late = [(node, of) for node, of in self.late if node != old]  # it refuses older terms from now on
        self.does("rejoin", old, new, term)

    def arrive(self):
        for new, term in self.late:
            Service.promote(self, new, term)
        self.late = []


@given(
    steps=STEPS,
    lost=st.booleans(),
    wait=st.sampled_from([0.0, 0.7]),
    stable=st.sampled_from([0.0, 0.7]),
    between=st.sampled_from([0.0, 5.0]),
)
def test_never_two_primaries_whatever_fails(steps, lost, wait, stable, between):
    service = Doubtful(lost, wait_before_promote=wait, stable_after=stable, min_between=between, retry_after=0.5)
    now, terms = 0.0, []
    for step, what in steps:
        if step == "wait":
            now += what
        elif step == "fail":
            service.failing = what
            service.arrive()
        else:
            service.beats(sorted(what), now)
        service.tick(now)
        assert len(service.primaries) <= 1, service.calls
        terms.append(service.controller.term)
        due = service.controller.deadline()
        assert due is None or service.controller.state in CONTROLLER.states
    assert terms == sorted(terms)


NEWS = st.lists(
    st.one_of(
        st.tuples(st.just("beats"), st.sets(st.sampled_from("abcd")), st.sampled_from("xyz")),
        st.tuples(st.just("old beat"), st.sampled_from("abcd"), st.sampled_from("xyz")),
        st.tuples(st.just("report"), st.sampled_from("abcd"), st.sampled_from("xyz"), st.booleans()),
        st.tuples(st.just("wait"), st.sampled_from([0.1, 0.5, 1.0, 3.0, 20.0])),
        st.tuples(st.just("fail"), st.sets(st.sampled_from(["fence", "promote", "redirect", "rejoin"]))),
        st.tuples(st.just("choose"), st.sampled_from(["first", "last", "nobody", "stranger", "raises"])),
        st.tuples(st.just("rejoined"), st.sampled_from("abcd")),
    ),
    min_size=20,
    max_size=120,
)


@given(
    steps=NEWS,
    quorum=st.sampled_from([1, 2, 3]),
    unfenced=st.sampled_from([None, 0.0, 2.0]),
    stable=st.sampled_from([0.0, 0.7]),
    between=st.sampled_from([0.0, 5.0]),
)
def test_whatever_it_is_told_it_acts_by_its_table_and_never_spins(steps, quorum, unfenced, stable, between):
    """No callback and no news raise from `tick`; after one nothing is due that it could have done at once."""
    way = "first"

    def choose(candidates):
        if way == "raises":
            raise OSError("no answer")
        return {"first": candidates[0], "last": candidates[-1], "nobody": None, "stranger": "z"}[way]

    service = Doubtful(
        lost=True,
        observers=tuple("xyz"),
        choose=choose,
        quorum=quorum,
        promote_unfenced_after=unfenced,
        stable_after=stable,
        min_between=between,
        retry_after=0.5,
    )
    service.promote_is_safe = unfenced is None
    controller, now = service.controller, 0.0
    state, term, seen = CONTROLLER.initial, 0, 0
    controller.log = []  # all of it
    for step, *what in steps:
        at = round(now * S)
        if step == "wait":
            now += what[0]
        elif step == "fail":
            service.failing = what[0]
        elif step == "choose":
            [way] = what
        elif step == "beats":
            for node in sorted(what[0]):
                controller.heartbeat(node, now=at, observer=what[1], sequence=at)
        elif step == "old beat":
            controller.heartbeat(what[0], now=at - S, observer=what[1], sequence=at - S)
        elif step == "report":
            controller.report(what[1], what[0], what[2], now=at)
        elif what[0] in controller._ousted:
            service.fenced.discard(what[0])
            service.primaries.discard(what[0])
            controller.rejoined(what[0], now=at)
        service.tick(now)
        due = controller.deadline()
        assert due is None or due > round(now * S), controller
        for entry in controller.log[seen:]:
            if entry.event != "rejoined by hand":
                state = CONTROLLER.target(state, entry.event)
            assert (state, entry.term >= term) == (entry.state, True), entry
            term = entry.term
        seen = len(controller.log)
        assert unfenced is not None or len(service.primaries) <= 1, service.calls


@given(steps=STEPS)
def test_after_all_failures_there_is_a_primary_again(steps):
    service = Doubtful(lost=True, retry_after=0.5)
    now = 0.0
    for step, what in steps:
        now += what if step == "wait" else 0
        service.failing = what if step == "fail" else service.failing
        if step == "beats":
            service.beats(sorted(what), now)
        service.tick(now)
    service.failing = set()
    for _ in range(20):
        now += 0.5
        service.beats("abcd", now)
        service.tick(now)
    assert service.controller.state == "watching"
    assert service.primaries == {service.controller.primary}


@given(steps=STEPS, wait=st.sampled_from([0.0, 0.7]))
def test_deadline_tells_when_to_tick(steps, wait):
    """Ticking at the deadlines gives what ticking every 50 ms gives, but for when it is noticed."""
    calls = []
    for polled in (False, True):
        service = Service("abcd", wait_before_promote=wait, retry_after=0.5)
        now = 0.0
        for step, what in steps:
            if step == "fail":
                service.failing = what
            elif step == "beats":
                service.beats(sorted(what), now)
            else:
                until = round((now + what) * S)
                if polled:
                    for at in range(round(now * S) + 50_000_000, until, 50_000_000):
                        service.controller.tick(now=at)
                else:
                    while (due := service.controller.deadline()) is not None and due < until:
                        service.controller.tick(now=due)
                now += what
            service.tick(now)
        calls.append(service.calls)
    assert calls[0] == calls[1]


def test_without_fencing_there_are_two_primaries():
    """The counter-example: what the fence is for."""
    service = Service(fence=lambda old, term: None)
    service.beats("abc", 0)
    service.beats("bc", 1, 2, 3)
    service.tick(3)
    assert service.primaries == {"a", "b"}


# ---- under asyncio ---------------------------------------------------------------------------------------------------


def driven(scenario):
    loop = VirtualLoop()
    try:
        loop.run_until_complete(scenario(loop))
    finally:
        loop.close()


async def _until(condition):
    while not condition():
        await asyncio.sleep(0.1)


async def _stopped(task):
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_drive_calls_coroutines_and_gives_up_on_those_that_hang():
    async def scenario(loop):
        calls = []

        async def fence(old, term):
            calls.append(("fence", loop.time()))
            if len(calls) == 1:
                await asyncio.Event().wait()  # hangs

        async def promote(new, term):
            calls.append(("promote", loop.time()))

        controller = FailoverController(
            ["a", "b"],
            "a",
            detector=ac.FixedTimeout(period=1),
            threshold=3,
            fence=fence,
            promote=promote,
            clock=loop.now,
            retry_after=0.5,
        )
        controller.heartbeat("a")
        controller.heartbeat("b")
        task = asyncio.create_task(drive(controller, timeout=2))
        for _ in range(60):
            await asyncio.sleep(0.25)
            controller.heartbeat("b")
        assert [(kind, round(at, 6)) for kind, at in calls] == [("fence", 3), ("fence", 5.5), ("promote", 5.5)]
        assert controller.primary == "b"
        await _stopped(task)
        assert controller._wakers == []

    driven(scenario)


def test_drive_is_woken_by_news_and_can_be_cancelled_in_a_callback():
    async def scenario(loop):
        async def fence(old, term):
            await asyncio.Event().wait()

        controller = FailoverController(
            ["a", "b"], "a", detector=ac.FixedTimeout(period=1), fence=fence, promote=print, clock=loop.now
        )
        task = asyncio.create_task(drive(controller))
        await asyncio.sleep(1)
        controller.report("here", "b", suspected=False)
        controller.report("here", "a", suspected=True)
        await _until(lambda: controller.state == "fencing")
        assert loop.time() < 1.2
        await _stopped(task)
        assert controller.log[-1].event == "fence failed"

    driven(scenario)


def test_drive_refuses_no_time():
    controller = Service().controller
    with pytest.raises(ValueError, match="timeout must be above 0 s, got 0"):
        asyncio.run(drive(controller, timeout=0))
