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

# %% [markdown] {"items": [74, 75]}
# # 9 · Failover
#
# **About 35 minutes.** A fault has been detected; now the system has to recover. The lecture knows two kinds of
# recovery: of a **node** that fails, which is this lesson, and of a **network** that fails, which is lesson 11. For a
# node the usual remedy is a **primary and its backups** (the lecture says master and slaves): one node serves, others
# hold copies, and when the one fails another takes over. Afterwards you can
#
# - say what a failover consists of, and how much of it is detection;
# - measure what the user notices of it, and what a *false* suspicion costs;
# - tell four elections apart, and choose timeouts that do not split the vote;
# - recognise two primaries, and say which fence stops the old one;
# - decide how long to wait before a backup is promoted.
#
# Most of what follows is a simulated cluster: the library's own detectors, elections and clients, on a clock of its
# own. The same seed gives the same run. Real servers come in between: Valkey, Redis Sentinel and ZooKeeper.

# %%
import numpy as np

import accrual as ac
from accrual.course import check
from accrual.lab import recorded
from accrual.recovery import Cluster, Crash, Partition, simulate, waiting_cost
from accrual.recovery.labs import failover
from accrual.show.failover import NeedlessFailovers, SplitVotes, WaitOrPromote, trials, writable_again
from accrual.show.run_lab import RunLab
from accrual.show.scrubber import Scrubber, story_of_run

# %% [markdown] {"items": [75, 76]}
# ## The backup takes over *(6 minutes)*
#
# The lecture's picture: user A talks to the primary, which has three backups. The primary fails. The backups elect one
# of themselves, and user A talks to that one from now on. Here it is, with times. Heartbeats come every 100 ms, a
# message takes 1 ms, and five missed heartbeats make a suspicion.
#
# **Predict.** Of the time between the crash and the first write that succeeds again, how much goes to the *election*?

# %%
share_of_the_election = None  # in per cent: 80, 50, 20 or less than 10?

# %%
cluster = Cluster(nodes=4, detector=ac.FixedTimeout(period=0.1), threshold=5, clients=4, rate=100)
run = simulate(cluster, [Crash(at=2)], seconds=4, seed=1)
Scrubber(story_of_run(run, begin=1.8, end=2.8))

# %% [markdown] {"items": [76]}
# **Slide** the time, or press ▶ and ◀ to go from event to event. Each node has a lane: tall blue while it is the
# primary, flat grey as a backup, a hollow box while it stands for election, dashed when it is down. Each dot is one of
# the events listed below. A client's lane says what became of the request that it sent at that time: *answered*
# (flat), or *slow* (after more than 100 ms, on a second or later try). On the right are the states at the line.
#
# **See.** The crash; then nothing, for 401 ms; then everything at once.
#
# **Do.** Write it down as a function: how long after the fault does a client first hear OK from *another* node, for a
# write? `run.operations` has what the clients saw: `kind`, `status`, `node` (who answered), `start` and `end`;
# `run.faults[0].at` is when the fault struck.


# %%
def first_ok(run):
    """Seconds from the fault until a write is answered by another node than before."""
    # solution
    fault = run.faults[0].at
    writes = [o for o in run.operations if o.kind == "write" and o.status == "ok"]
    before = {o.node for o in writes if o.end < fault}
    return min(o.end for o in writes if o.node not in before) - fault


check("09.1", first_ok)

# %%
outcome, again = run.outcome, writable_again(run)
rest = again - outcome.detection - outcome.election
parts = {"detection": outcome.detection, "election": outcome.election, "redirect": rest}
for name, part in parts.items():
    print(f"{name:10} {1e3 * part:6.0f} ms {part / again:6.0%}")
print("You said:", share_of_the_election, "% for the election")

# %% [markdown] {"items": [75, 76]}
# **Explain.** Three things follow each other: a backup **detects** the silence, the backups **elect**, and the
# clients are **redirected** or find out by trying. In a datacenter an election is a few messages. What takes time is
# to be sure that somebody is dead. That is why this course spends five lessons on detectors.

# %% [markdown] {"items": [77]}
# ## Does the user notice? *(5 minutes)*
#
# "When the backup takes over, the user notices nothing", says the lecture. Let us count.
#
# **Predict.** 100 requests per second, heartbeats every 100 ms, k = 5, as above. How many requests are slow or fail?
# And with a heartbeat every second?

# %%
hurt_at_100_ms, hurt_at_1_s = None, None

# %%
print("period    k   writes again after   slow   failed   of 100 requests a second, means of ten crashes")
for period, k in ((0.1, 3), (0.1, 5), (1.0, 3), (1.0, 5)):
    timeout = ac.FixedTimeout(period=period)
    one = Cluster(detector=timeout, threshold=k, period=period, clients=4, rate=100)
    crashes = [
        simulate(one, [Crash(at=5 + seed * period / 10)], seconds=12, seed=seed) for seed in range(10)
    ]
    slow = np.mean([crash.outcome.slow for crash in crashes])
    failed = np.mean([crash.outcome.failed for crash in crashes])
    again = np.mean([writable_again(crash) for crash in crashes])
    print(f"{period:4g} s  {k:3}   {again:16.2f} s   {slow:4.0f}   {failed:6.0f}")
print("You said:", hurt_at_100_ms, "and", hurt_at_1_s)

# %% [markdown] {"items": [77]}
# **See.** At 100 ms and k = 5 no request fails, and 50 are slow: about half a second's worth. At one second and
# k = 5, clients that give up after 1 s see 359 requests fail, and 92 are slow.
#
# **Explain.** The user does notice: as a wait, if the client tries again and is patient for longer than the failover
# takes; as an error, if not. "Notices nothing" is a promise about *patience*: the failover must be shorter than the
# client's timeout, and the client must look for the new primary. A client that keeps its old connection notices most
# of all, and libraries have had just that bug: in redis-py's issue 460 (2014) clients went on writing to the old
# primary, which had become a replica and refused, and asked nobody for the new one.
#
# **On real servers.** The lab `failover` kills the primary of three Valkey servers and lets our `FailoverController`
# bring writing back, with φ and with k × T on a PING every 100 ms, and then three Sentinels with `down-after` 1 s.
# 500 writes a second, 20 ms between the nodes. The times are seconds after the kill. The button runs it here, in some
# 15 seconds; until then you see what was recorded.

# %%
servers = RunLab(failover)
servers

# %%
servers.then(trials)

# %% [markdown] {"items": [77, 79]}
# **Slide.** The servers are a, b and c; choose whose failover you want to see.
#
# **See.** In the recording φ had writes back after 0.30 s, k × T after 0.41 s, Sentinel after 2.14 s: of these 1.02 s
# for detection, as `down-after` says, and 1.11 s more until a new primary was promoted. Some 30, 40 and 210 writes
# failed, and none that was acknowledged is lost. Of ours, too, nearly all of the time is detection.
#
# That does not make φ the better detector: it has the shorter wait. The answers come so punctually that φ's deviation
# is at its least, 50 ms, and then Φ = 8 is 0.38 s after the last answer; k = 5 is 0.50 s after it. To compare the two,
# set them to the same detection time first, as lesson 4 does.

# %% [markdown] {"items": [77]}
# ## The price of a false suspicion *(6 minutes)*
#
# A suspicion that is wrong starts a failover all the same. Here a cluster of three runs for five minutes in which
# *nothing fails*, on a bad network: one heartbeat in twenty is lost, the others are late by 10 ms on average. Upwards:
# failovers that nobody needed. To the right: how soon after a *real* crash it is decided to fail over.
#
# **Predict.** Now a *majority* has to suspect before anybody is promoted, as with Sentinel's quorum. At Φ = 1, 98
# needless failovers become how many?

# %%
needless_with_a_majority = None  # about 98, 50 or 10?

# %%
NeedlessFailovers()

# %% [markdown] {"items": [77]}
# **Slide** both thresholds, then change who decides, and slide again.
#
# **See.** With one backup deciding, φ makes 98 needless failovers at Φ = 1 and still 5 at Φ = 12; k = 1.5 makes 83, and
# k = 3 none. The two lie nearly on one line: here it matters how long they wait, not which of them does. (Below ten,
# chance has its say: with other seeds k = 3 makes up to three.)
#
# With a majority Φ = 1 makes 10. It decides 24 ms later, at 0.109 s instead of 0.085 s, for the second backup has to
# suspect, too. One backup that waits as long, with Φ = 2, still makes 78: **two backups rarely miss the same
# heartbeat.** A second opinion helps against trouble on *one* path, not against a primary that stalls or a switch that
# all share.
#
# **Do.** The primary crashes ten times a year. With a heartbeat every second, k = 3 instead of k = 5 has writes back
# 2 s sooner each time (the table above says so). But it also makes for failovers that nobody needed. Read in the figure
# what one needless failover costs: one backup decides, Φ = 1, seconds without writes. How many of them *a year* would
# eat up what k = 3 saves?

# %%
needless_a_year = None
# solution
needless_a_year = 10 * 2 / (6.55 / 98)

check("09.2", needless_a_year)

# %% [markdown] {"items": [77]}
# **Explain.** A needless failover costs less time than a real one, for nothing has to be noticed first. But look at
# the last figure in the words below the picture: at Φ = 1 **19 acknowledged writes are gone**, of 20 writes a second.
# The old primary was well, and had told clients OK for writes that no backup had yet. Seconds were not the price.

# %% [markdown] {"items": [78]}
# ## Who takes over: election *(5 minutes)*
#
# The backups have to agree on one. The lecture names no algorithm here; three are common, and one is Sentinel's way:
#
# - **Bully** (Garcia-Molina 1982): the highest number that lives. Ask those above you; if none answers in time, you
#   are it.
# - **Raft-like** (Ongaro 2014): after a *random* time stand for a new **term** and ask for votes. Each node has one
#   vote a term; a majority wins.
# - **ZAB-like** (ZooKeeper): those who look for a primary compare their logs; the longest stands for a new **epoch**.
# - **Majority**: first a majority must suspect; then a vote, as in Raft; the winner promotes the longest log.
#
# Five nodes now, whose messages take 5 ms. Node 0 has crashed, and the other four suspect it in the same instant.
#
# **Predict.** Which of these elections may end without a winner, and have to be held again?

# %%
held_again = None  # "bully", "raft", "zab", "majority": one or more

# %%
elections = {}
for name in ("bully", "raft", "zab", "majority"):
    five = Cluster(nodes=5, delay=0.005, election=name, election_timeout=(0.15, 0.17), clients=1)
    told = simulate(five, [Crash(at=2)], seconds=4, seed=8)
    elections[name] = story_of_run(told, begin=2.35, end=2.75)
Scrubber(elections, choice="Election")

# %% [markdown] {"items": [78]}
# **Slide.** Step through all four.
#
# **See.** In `raft` three nodes stand within 4 ms, each votes for itself, and nobody gets three of five votes: a
# **split vote**. Only after another timeout, in term 2, is there a winner. In `majority` the same happens, for it votes
# in the same way. Bully needs no votes, but waits 150 ms for those above to answer, always; the highest number wins,
# however short its log is. ZAB-like waits as long to hear of longer logs, and then one alone stands.
#
# What a node may do in which state is a *table*, and the simulation runs on that very table. Here is the Raft-like
# one, as a diagram and as the table that it is drawn from:

# %%
run.machine

# %% [markdown] {"items": [78]}
# ## Split votes *(3 minutes)*
#
# That is why Raft's timeouts are random. The wider their range, the rarer a split, and the longer the first one takes.
#
# **Predict.** A message takes 5 ms. Which range gives the shortest election: 10, 50 or 600 ms?

# %%
best_range = None  # ms

# %%
SplitVotes()

# %% [markdown] {"items": [78]}
# **Slide** the range. Each is a hundred elections; grey are the other ranges; on the left is fast.
#
# **See.** With a range of 10 ms two thirds of the first votes are split (69 of 100; the formula says 69 %): the median
# is 165 ms, and an election takes up to 1.1 s. With 600 ms none of the hundred is, but the median is 125 ms. In
# between, at 20 to 50 ms, the median is 14 to 19 ms, and at 50 ms the longest of a hundred is 0.22 s. Too short a range
# is worse than one too long.
#
# **Explain.** The vote is split if too many others time out while the first request is still under way, *l* = 5 ms
# of the range *r*: with s nodes up of n and c = s − ⌊n/2⌋ + 1,
#
# $$P(\text{split}) = \sum_{k=c-1}^{s} \binom{s}{k} \left(\tfrac{l}{r}\right)^k \left(1-\tfrac{l}{r}\right)^{s-k}$$
#
# **Do.** `ac.recovery.split_vote(nodes=5, up=4, latency=l / r)` computes it. How wide must the range be, in ms and at
# the least, so that at most 1 % of the first votes are split?

# %%
range_for_1_per_cent = None
# solution
ranges = np.arange(5, 1000, 0.5)
splits = [ac.recovery.split_vote(nodes=5, up=4, latency=5 / r) for r in ranges]
range_for_1_per_cent = next(r for r, split in zip(ranges, splits, strict=True) if split <= 0.01)

check("09.3", range_for_1_per_cent)

# %% [markdown] {"items": [76, 78]}
# ## Two primaries *(5 minutes)*
#
# The old primary need not be dead. It may have been stopped for a while and wake up, or be cut off with a client of
# its own. It does not know that its time is over, and goes on telling OK: a **zombie**. Here node 0 and client 0 are
# cut off from 2 s to 5 s.
#
# **Predict.** "With terms, there is one primary in each term." Does that keep the old one from telling OK for writes
# that will be lost?

# %%
terms_are_enough = None  # True or False?

# %%
fences = {
    "nothing": {"fencing": "none", "demote_after": 2.0},
    "terms": {"fencing": "terms"},
    "power-off": {"fencing": "stonith"},
    "lease of 0.4 s": {"lease": 0.4},
    "quorum": {"replication": "quorum"},
}
cut = Partition(at=2, until=5, groups=((0, "c0"), (1, 2, "c1", "c2", "c3")))
stories = {}
print("                 two primaries   lost writes   writes stood still")
for name, fence in fences.items():
    zombie = simulate(Cluster(clients=4, **fence), [cut], seconds=8, seed=0)
    stories[name] = story_of_run(zombie, begin=1.5, end=7.5)
    o = zombie.outcome
    print(f"{name:16} {o.split_brain:11.2f} s   {o.lost_writes:11}   {o.unavailability:16.2f} s")
print("You said:", terms_are_enough)

# %%
Scrubber(stories, choice="Fence")

# %% [markdown] {"items": [76, 78]}
# **Slide**, and choose the fence. Client 0 is on the old primary's side. Its writes are *lost* (in the colour of the
# letters: told OK, and gone in the end) or *unknown* (hollow: nobody told it what became of them).
#
# **See.** With nothing there are two primaries for 4.6 s, and 62 acknowledged writes are lost. Terms make it 2.55 s
# and 38 writes: a term stops the old primary only *when it hears of the newer one*, and cut off it hears nothing.
# Power-off (STONITH: it is switched off before another is promoted) and a lease (it stops by itself when no majority
# has answered for 0.4 s) never have two. They still lose some: what had been told OK before the fence fell. A quorum
# loses nothing, though two call themselves primary for 2.55 s: the old one tells nobody OK. (With the lease node 0
# stands for election all by itself, and its term, grown high, unseats node 2 when it is back: lesson 11.)
#
# **Explain.** There are two questions, and each needs its own answer. *Who is primary?* A majority, and a **fence**
# for the old one. *What does OK mean?* That so many copies have the write, which is lesson 10.
#
# **On real servers.** The same lab with another fault (`accrual lab failover --fault stop`): the primary is stopped
# (SIGSTOP) and woken up soon after another took over, and a second client still writes to it. Our controller fences
# the old one off the network first, and none of the writes was lost. Sentinel cannot fence: it told the zombie 10.0 s
# after it woke that it was a replica now, and until then that had taken 4,977 writes, told OK, and lost every one of
# them.

# %%
stopped = recorded("failover-stop")
for row in stopped.rows:
    writes = f"{row['lost']:5,} of {row['acknowledged']:6,} acknowledged writes lost"
    print(f"{row['driver'].split(':')[0]:26} demoted after {row['demoted']:6.3f} s, {writes}")
trials(stopped)

# %% [markdown] {"items": [78]}
# **Do.** Build a `Cluster(clients=4, ...)` that is cut as above and has *never* two primaries, loses *no* acknowledged
# write, and still fails over.

# %%
safe = None
# solution
safe = Cluster(clients=4, lease=0.4, replication="quorum")

check("09.4", safe)

# %% [markdown] {"items": [79]}
# ## Redis and ZooKeeper *(3 minutes)*
#
# Primary and backup raise availability a lot, and are everywhere, says the lecture, and names Redis and ZooKeeper.
# Both are in this library: Redis Sentinel's detector as a preset, ZooKeeper as a lab.
#
# **Predict.** With the values that Sentinel ships with, how long is nobody able to write after a crash?

# %%
seconds_with_sentinel = None  # 1, 5, 10 or 30?

# %%
detector, threshold = ac.presets.sentinel()
shipped = Cluster(
    detector=detector, threshold=threshold, period=1, election="majority", fencing="none", clients=4
)
crashes = [simulate(shipped, [Crash(at=5 + seed / 10)], seconds=45, seed=seed) for seed in range(10)]
again = np.mean([writable_again(crash) for crash in crashes])
print(f"Sentinel as shipped, {detector}, k = {threshold:g}: {again:.1f} s")
print("You said:", seconds_with_sentinel)

ticks = ac.FixedTimeout(period=0.5)
zookeeper = Cluster(
    detector=ticks, threshold=4, period=0.5, election="zab", election_timeout=(0.2, 0.4), clients=4
)
crashes = [simulate(zookeeper, [Crash(at=5 + seed / 20)], seconds=15, seed=seed) for seed in range(10)]
again = np.mean([writable_again(crash) for crash in crashes])
print(f"ZooKeeper, tickTime 0.5 s, syncLimit 4, modelled: {again:.1f} s")
for row in recorded("election-zookeeper").rows:
    print(f"ZooKeeper, leader {row['fault']:8} {row['write_gap']:.2f} s without writes, {row['lost']} lost")

# %% [markdown] {"items": [79]}
# **See.** Sentinel ships with `down-after-milliseconds` 30,000: half a minute without writes. Whoever wants less has
# to say so, as the lab above does. ZooKeeper gives a leader up after syncLimit ticks of silence, here 2 s, and the
# model says 2.0 s. On three real servers a *stopped* leader cost 2.6 to 2.8 s. But a *killed* one cost 0.3 to 0.7 s.
#
# **Explain.** Nothing told ZooKeeper sooner, except the operating system: when a *process* dies, its kernel closes
# its connections, and the others see that at once. A heartbeat is for the other faults: a machine without power, a cut
# cable, a process that is stopped. Whoever tests failover with `kill` alone has not tested these.

# %% [markdown] {"items": [88]}
# ## Wait, or promote? *(4 minutes)*
#
# A fault may be temporary: the node restarts, catches up, and all is as before. Or it is permanent, and every second
# of waiting is lost. At the time of the suspicion nobody knows which. A failover costs 2 s here, and something
# besides: lost writes, cold caches, a copy to be made anew, counted in seconds of outage.
#
# **Predict.** Outages last 3 s in the median and 9.6 s on average, and one in ten never ends. A failover costs 30 s
# besides. How long should one wait before a backup is promoted?

# %%
seconds_to_wait = None  # 0, 2, 20 or for ever?

# %%
WaitOrPromote()

# %% [markdown] {"items": [88]}
# **Slide** the wait along the curve, then what a failover costs besides, down to 0 and up; then how many outages never
# end. Then choose `no memory`.
#
# **See.** Promoting at once costs 32 s on average, waiting 19 s costs 13.5 s, and waiting ten minutes 71.7 s. If a
# failover costs nothing besides, one should promote at once. The more it costs, the longer the best wait; the more
# outages never end, the shorter.
#
# **Explain.** While you wait you learn. Most short outages are over after some seconds; what has lasted 20 s is
# probably one of the long ones, and then it is cheaper to promote. Where outages have **no memory** (exponential) and
# all end, waiting teaches nothing: promote at once if a failover costs less in all than the mean outage, 9.2 s, else
# never (the figure then says 98 s, when the last outage of its sample has ended). With a share that never ends there
# is something to learn again.
#
# **Do.** These are your outages. A failover takes 2 s and costs 20 s besides; one outage in twenty never ends. Which
# wait is best? (`waiting_cost` computes it, `.best` is its answer on the waits that you give.)

# %%
mine = [0.4, 0.6, 1.2, 2.0, 2.5, 3.0, 4.0, 6.0, 9.0, 15.0, 40.0, 300.0]
best_wait = None
# solution
best_wait = waiting_cost(mine, np.linspace(0, 400, 4001), failover=2, penalty=20, permanent=0.05).best

check("09.5", best_wait)

# %% [markdown] {"items": [74, 75, 76, 77, 78, 79, 88]}
# ## Take away
#
# - **Recovery is of a node or of a network.** Of a node: a primary fails, a backup takes over: detection, election,
#   redirect. Nearly all of the time is detection.
# - **The user notices** a wait, if the client retries and is patient enough; else errors.
# - **A false suspicion costs a failover**, little time, and acknowledged writes. A majority's opinion takes some
#   hundredths of a second, and prevents more of them than a threshold that waits as long.
# - **Elections** need a majority, and timeouts whose random range is ten to twenty times a message's way.
# - **A term does not fence.** The old primary must be stopped before the new one starts, or stop by itself in time.
# - **Wait or promote** follows from how long your outages last and what a failover costs besides. Measure both.
#
# **Your own system:** `WaitOrPromote([...])` takes your outages; `FailoverController` in `accrual.recovery` is the
# part that decides, with your functions for fence, promote and redirect; `accrual lab failover --help` has the options.
#
# **Sources.** H. Garcia-Molina, *Elections in a distributed computing system*, IEEE Transactions on Computers C-31,
# 1982. D. Ongaro, *Consensus: bridging theory and practice*, Stanford 2014, chapter 9 on split votes. F. Junqueira, B.
# Reed and M. Serafini, *Zab: high-performance broadcast for primary-backup systems*, DSN 2011. Redis, *High
# availability with Redis Sentinel*. The model is `accrual.recovery.simulate`; recorded labs carry the machine they ran
# on, two virtual processors here.
