# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown] {"items": [54, 56, 57]}
# # 2 · The fixed timeout k × T
#
# **About 25 minutes.** A fault that nobody notices is never repaired: detection comes before recovery, as the fire
# alarm comes before the fire brigade. And as with a fire alarm there are two ways to be bad at it: to ring for nothing,
# and to ring too late. Afterwards you can
#
# - say how long a crash stays unnoticed with a timeout of k × T, in the worst case and on average;
# - count the heartbeats that a layout of watchers and watched costs;
# - choose k and T on a recording, and say what each of them buys.
#
# There are two families of heartbeat detectors: **fixed** ones, which wait for a time that somebody chose, and those
# that **predict** from the history of heartbeats. This lesson is about the first, lesson 3 about the second.
#
# In every section, commit to an answer first and move the slider then. Wrong guesses teach the most.

# %%
import gc
import threading
import time

import numpy as np

import accrual as ac
from accrual.course import check
from accrual.show.fixed import CrashTimeline, KTimesT, Topologies, thinned

# %% [markdown] {"items": [55, 57]}
# ## Heartbeats, pushed or pulled *(2 minutes)*
#
# A broken disk or a loose memory module is hard to see from outside. What software can see is whether another machine
# still *answers*. So it is made to speak regularly, and its silence is the symptom:
#
# - **push**: each node sends "I am alive" every T, unasked: one message a period;
# - **pull**: the watcher asks every T, the node answers: two messages a period, and the way there and back to wait for.
#
# Either way the watcher has one thing to go by: how long it has been since the last heartbeat. A dead node, a cut cable
# and a node that is merely slow all look the same from here (lesson 1).

# %% [markdown] {"items": [58]}
# ## Who watches whom? *(4 minutes)*
#
# In a *centralised* system one node watches all others. In a *decentralised* one the nodes watch each other: their
# neighbour in a ring, everybody everybody, or by gossip, where each tells two others by chance what it has heard of
# all. The heartbeats with a fixed timeout are the same in all of them.
#
# **Predict.** 100 nodes, T = 200 ms. How many heartbeats a second if everybody sends to everybody?

# %%
messages_a_second = None

# %%
Topologies()

# %% [markdown] {"items": [58]}
# **Slide** the number of nodes, and choose among the layouts. The arrow keys move both.
#
# **See.** A centre and a ring grow with n, "each sends to all" with n². With a centre, the busiest node touches
# everything, and when the centre is gone nobody watches. In a ring one watcher notices, and has to tell the others; if
# it dies together with the one it watches, nobody does. Gossip is cheap and everybody knows in the end, a few periods
# later: the timeout must be longer by those.
#
# **Do.** Work out your number for 100 nodes, each sending to all others every 200 ms.

# %%
# solution
messages_a_second = 100 * 99 / 0.2

check("02.1", messages_a_second)

# %% [markdown] {"items": [89, 90]}
# ## k × T: when is a crash noticed? *(6 minutes)*
#
# The rule is simple. A heartbeat comes every T; after **k** periods without one the sender is suspected. So the timeout
# is k × T. The lecture's example: to detect within a second, send every T = 200 ms; then k = 1000 / 200 = **5**.
#
# **Predict.** With T = 200 ms and k = 5, and heartbeats that take 30 ms to arrive: how long does a crash stay unnoticed
# in the *worst* case? And on average?

# %%
worst_case = None  # "less than 1 s", "1 s" or "more than 1 s"?

# %%
CrashTimeline()

# %% [markdown] {"items": [89, 90]}
# **Slide** the crash, or drag it in the picture. Then k and T.
#
# **See.** The clock of the timeout starts when the last heartbeat *arrives*. If the sender crashes just after sending
# it, the watcher learns of nothing for the time that heartbeat is under way, and then waits the whole k × T:
#
# - **worst case**: k × T + transit, here 1.03 s. Always *more* than k × T;
# - **on average**, for a crash at any time: half a period less, here 0.93 s;
# - at best, just before the next heartbeat was due: a whole period less.
#
# So k × T ≤ 1 s is not detection within a second, if only by the time under way. It is no large correction here; over a
# satellite it is.
#
# **Do.** Write the detection time of a crash that comes `after` seconds after a heartbeat was sent (and before the next
# one is due).


# %%
def detection_time(after, k, period, transit):
    """From the crash until the suspicion [s]."""
    # solution
    return transit + k * period - after


check("02.2", detection_time)

# %% [markdown] {"items": [89, 90]}
# That was the best a watcher can do: its alarm is set to the nanosecond. Many look at their list only every so often,
# once a period, say, and count: *no heartbeat since I last looked* makes one miss. They suspect at the k-th.
#
# **Predict.** How much later is the suspicion of such a counting watcher, in its worst case?

# %%
counting_watcher_adds = None  # "nothing", "half a period" or "a period"?

# %%
k, period, transit = 5, 200, 30  # ms


def counting_watcher(crash, phase):
    """When a watcher that looks at phase, phase + period, ... suspects the sender [ms]."""
    arrivals = [sent + transit for sent in range(0, crash + 1, period)]
    misses, look = 0, phase
    while misses < k:
        look += period
        heard = any(look - period < arrival <= look for arrival in arrivals)
        misses = 0 if heard or look < arrivals[-1] else misses + 1
    return look


one_period = range(0, period, 5)
print("You said of the worst case:", worst_case)
waits = [counting_watcher(2000 + after, phase) - 2000 - after for after in one_period for phase in one_period]
worst = k * period + transit
print(f"counting watcher: worst {max(waits)} ms, on average {np.mean(waits):.0f} ms")
print(f"set alarm:        worst {worst} ms, on average {worst - period // 2} ms")
print("You said that it adds:", counting_watcher_adds)

# %% [markdown] {"items": [90]}
# **Explain.** Up to one more period passes between the arrival of the last heartbeat and the look that finds it. The
# worst case of a counting watcher comes close to (k + 1) × T + transit. Two systems with the same k and T need not be
# equally fast; read how they count.
#
# **Do.** You must detect *every* crash within **1 s**. T = 100 ms, heartbeats are under way for 30 ms at most, and the
# watcher sets an alarm. Which is the largest k you may choose? (The lecture's way, 1000 / 100, gives 10.)

# %%
largest_k = None
# solution
largest_k = int((1.0 - 0.03) / 0.1)

check("02.3", largest_k)

# %% [markdown] {"items": [91]}
# ## Alive, and silent all the same *(4 minutes)*
#
# A short timeout finds crashes soon, and suspects nodes that have not crashed: the machine may be collecting garbage or
# be busy with something large, and the heartbeat is late. That is easily seen at home. Here a thread of *this* Python
# process sends a heartbeat every 10 ms, while the process goes about other work: nothing; making and collecting some
# hundred thousand objects; sorting two million numbers.
#
# **Predict.** With k × T = 5 × 10 ms: which of the three is taken for dead?

# %%
taken_for_dead = None  # "none", "the sorting one", "both that work"?


# %%
class Node:
    """An object that refers to itself: only the garbage collector gets rid of it."""

    def __init__(self):
        self.itself = self


def collecting():
    nodes = [Node() for _ in range(300_000)]
    del nodes
    gc.collect()


def sorting():
    sorted(np.random.default_rng(91).random(2_000_000).tolist())


def heartbeats_during(work, period=0.01):
    """When a thread of this process could send its heartbeats [ns]."""
    sent, over = [], threading.Event()

    def beat():
        while not over.wait(period):
            sent.append(time.monotonic_ns())

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        time.sleep(0.3)
        work()
        time.sleep(0.3)
    finally:
        over.set()
        thread.join()
    return np.array(sent)


for name, work in {"nothing": lambda: None, "collecting": collecting, "sorting": sorting}.items():
    beats = heartbeats_during(work)
    found = ac.qos(beats, ac.FixedTimeout(period=0.01), threshold=5)
    longest = np.diff(beats).max() / 1e6
    print(f"{name:11} longest silence {longest:6.1f} ms, taken for dead {found.mistakes} times")
print("You said:", taken_for_dead)

# %% [markdown] {"items": [91]}
# **Explain.** Nobody crashed, and nothing was lost on the way. The process was busy, and the heartbeat had to wait for
# it. (Your numbers differ from mine, and from run to run; that is the point.) Pauses of this kind last as long as they
# last, whatever T is; a timeout is safe from them if it is longer than they are, and only then.

# %% [markdown] {"items": [91, 92]}
# ## k and T on recorded heartbeats *(7 minutes)*
#
# These were recorded with processes fighting for the processor, and the sender stopped outright now and then for a
# tenth of a second or more. Nobody crashed, so **every suspicion is a mistake**. The sender beat every 10 ms; a longer
# T is what it would have sent, had it left out every second heartbeat, four of five, and so on.
#
# **Predict.** A timeout of one second can be 100 × 10 ms, 10 × 100 ms or 2 × 500 ms. Which is wrong most often?

# %%
wrong_most_often = None  # "100 x 10 ms", "10 x 100 ms", "2 x 500 ms" or "all alike"?

# %%
contended = ac.load("contended")

KTimesT(contended)

# %% [markdown] {"items": [92]}
# **Slide**, one at a time.
#
# 1. **k** from 1 to 100 at T = 10 ms. The square runs down its curve: fewer mistakes, later detection. Both at once is
#    not to be had; there is no "right" timeout, only one that suits what a mistake and a delay cost you.
# 2. **T** to 100 ms, and k down to 10: the same timeout at a tenth of the traffic. What does it do to the mistakes?
# 3. Now **k = 1**. Whatever T is, every second heartbeat or so is a little late, and that is enough.
#
# **Do.** At T = 10 ms, which is the smallest k that is wrong **at most once a minute** (mistake rate ≤ 1/60 per
# second)?

# %%
smallest_k = None
# solution
curve = ac.curve(contended, ac.FixedTimeout(period=0.01), np.arange(1, 201))
smallest_k = int(curve.thresholds[curve.mistake_rate <= 1 / 60][0])

check("02.4", smallest_k)

# %% [markdown] {"items": [92]}
# The lecture says: where delay matters less, choose k *or* T larger. Are the two the same? Four ways to a second, on
# three paths: one where single heartbeats get lost now and then, one where they get lost in bursts of five or so, and
# the recording above.

# %%
paths = {
    "single losses": ac.load("synthetic-stationary"),
    "bursts of losses": ac.load("synthetic-bursty"),
    "contended": contended,
}


def mistakes_with(path, period, k):
    """How often k x period is wrong, had the sender sent with that period."""
    every = round(period / path.period)
    return ac.qos(thinned(path, every), ac.FixedTimeout(period=period), threshold=k).mistakes


print("mistakes         heartbeats/s", "".join(f"{name:>18}" for name in paths))
for k, period in ((10, 0.1), (5, 0.2), (2, 0.5), (1, 1.0)):
    print(f"{k:2} × {1000 * period:4.0f} ms {1 / period:17g}", end=" ")
    print("".join(f"{mistakes_with(path, period, k):18,}" for path in paths.values()))
print("You said:", wrong_most_often)

# %% [markdown] {"items": [89, 92]}
# **Explain.** All four time out after a second and notice a crash equally fast. But they are not equally often wrong:
#
# - with ten heartbeats in that second, ten have to get lost in a row before there is a mistake; with two, only two;
# - a *stop* begins somewhere between two heartbeats, up to a T after the last of them. So stops of little more than
#   (k − 1) × T can be enough, and with k = 2 that is only half the timeout;
# - at k = 1 any heartbeat that is late by a hair is a mistake: never do that.
#
# **T costs traffic, k buys tolerance.** Up to k = 5 or so more heartbeats are worth their price; beyond, they bring
# less.
#
# **Do.** In the table: where losses come in bursts, how many times as many mistakes as 10 × 100 ms does 2 × 500 ms
# make?

# %%
times_as_many = None
# solution
bursts = paths["bursts of losses"]
times_as_many = mistakes_with(bursts, 0.5, 2) / mistakes_with(bursts, 0.1, 10)

check("02.5", times_as_many)

# %% [markdown] {"items": [54, 57, 90, 92]}
# ## Take away
#
# - Only silence is seen. **k × T** turns it into a verdict: simple, cheap, and the choice of most systems.
# - A crash stays unnoticed for up to **k × T + transit**, half a period less on average; and up to a period more if the
#   watcher counts misses by looking now and then.
# - A short timeout takes garbage collection and load for death. A longer one finds everything later. **k and T are not
#   the same**: T is traffic, k is how many losses in a row are forgiven.
# - A timeout must be chosen for each path, by measuring, and again when the path changes: lesson 3 lets the heartbeats
#   themselves choose.
#
# **In the wild:** `ac.presets.sentinel()` and `ac.presets.kubernetes()` are fixed timeouts that you may have relied on
# today.
#
# **Your own heartbeats:** run `accrual record mine.parquet --period 0.01 --count 6000`, and then
# `KTimesT(ac.read_trace("mine.parquet"))`.
#
# **Source.** W. Chen, S. Toueg and M. Aguilera, *On the quality of service of failure detectors*, IEEE Transactions on
# Computers 51, 2002, who say what detection time, mistake rate and mistake duration are.
