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

# %% [markdown] {"items": [80, 87, 97]}
# # 11 · Partitions
#
# **About 35 minutes.** No node is dead, and yet they do not hear each other: a switch has lost its mind. Now both
# sides hold the other for dead. Afterwards you can
#
# - say what a cut network costs you, in refused requests or in stale reads, and which of the two you have bought;
# - tell what happens to the writes of both sides when the network heals;
# - read a matrix of mutual suspicions, and know when it cannot tell a dead node from a dead link;
# - answer the lecture's question: how do you *recognise* a partition, and what do you do then?
#
# In every section, commit to an answer first and press the button then. Wrong guesses teach the most.

# %%
import dataclasses

from accrual.course import check
from accrual.lab import recorded
from accrual.recovery import ClockError, Cluster, Partition, recognise, simulate
from accrual.recovery.labs import partition, recognition
from accrual.show.partition import (
    BASE,
    CUT,
    POLICIES,
    STRATEGIES,
    CutNetwork,
    DeadOrCut,
    acted_wrongly,
    goes_on,
    policies,
    real_servers,
    step_by_step,
    table_of_servers,
    verdicts,
    wrongly_lost,
)
from accrual.show.run_lab import RunLab
from accrual.show.scrubber import Scrubber

# %% [markdown] {"items": [80, 81, 82]}
# ## CAP as a button *(8 minutes)*
#
# Three nodes keep 16 values; node 0 is the primary (the lecture's *master*). Two clients send 50 requests a second
# each, half of them writes. From 3 s to 9 s the network is cut: node 0 and client 0 here, nodes 1 and 2 and client 1
# there. The lecture: whoever must answer keeps A and P and gives up C; a bank keeps C and P and gives up A.
#
# - **CP**: a write counts once a majority has it, and a primary that has reached no majority for 1 s stops.
# - **AP**: each side answers with what it has, and elects a primary of its own; the sides are merged after the heal.
#
# **Predict.** 1400 requests in all, from 0 s to 14 s. How many does CP refuse or leave unanswered, and how many does
# AP? How many reads are stale, that is, give an older value than one that had been acknowledged before?

# %%
refused_cp, refused_ap = None, None
stale_cp, stale_ap = None, None

# %%
CutNetwork()

# %% [markdown] {"items": [80, 81, 82]}
# **Press** *cut*, then *AP* and *CP* in turn: the *same* requests at the same times. Press *healed* last. Then slide
# through the first second of the cut.
#
# **See.** CP: 294 refused or unanswered, no stale read, nothing lost. AP: none refused, 121 stale reads, and 16 writes
# that somebody was told are safe and that are gone in the end.
#
# **Explain.** Nobody chooses whether there is a P: cables do. What you choose is what happens *while* it lasts, and for
# how much of your system: a shop may take orders (AP) and refuse payments (CP). And C, A are not all or nothing: CP
# kept on answering client 1, who stood on the side of the majority, after an interruption of a second.
#
# How does the price grow with the length of the cut?

# %%
print("cut [s]   CP: refused  stale  lost   AP: refused  stale  lost")
for length in (0.2, 0.5, 1, 2, 6, 20, 60):
    counts = []
    for run in policies(length).values():
        found = run.outcome
        counts += [found.failed + found.unknown, found.stale_reads, found.lost_writes]
    print("{:7g} {:13} {:6} {:5} {:13} {:6} {:5}".format(length, *counts))
print("You said: CP", refused_cp, stale_cp, " AP", refused_ap, stale_ap)

# %% [markdown] {"items": [80, 81, 82]}
# Both prices grow as the cut lasts, 50 requests a second here, 25 stale reads a second there. (Why *lost* ends at 16,
# the next section says.) A cut below the detection time, 0.4 s here, is nobody's failover and costs nothing under
# either. Step through the two runs: who is primary when?

# %%
Scrubber(policies(), choice="Policy")

# %% [markdown] {"items": [80, 82]}
# Under CP node 0 stops at 3.9 s, and only then does another stand: the **lease** keeps the two apart. Look also at
# the heal. Node 0 has asked for votes in vain for four seconds, and comes back with term 18: the healthy primary
# steps down before it, and the majority elects once more. That is a needless failover of a second, at the *end* of the
# partition. (Raft's *PreVote* exists for it: ask whether you could win before you raise the term. With
# `Cluster(..., prevote=True)` there is one failover instead of two here, and 249 are refused or unanswered, not 294.)
#
# **Do.** A majority alone is not enough. `Cluster(**BASE, replication="quorum")` loses no write in this cut, but 124
# of its reads are stale: node 0 does not know that it has been replaced, and reads need no majority. Make a cluster
# that has no stale read, no lost write, and never two primaries. (`help(Cluster)` says what there is to set.)

# %%
safe = Cluster(**BASE, replication="quorum")
# solution
safe = Cluster(**BASE, replication="quorum", lease=0.5)

check("11.1", safe)

# %% [markdown] {"items": [83]}
# ## The heal *(8 minutes)*
#
# The network is back. Now, says the lecture, it is a matter of replication: the nodes have to agree again. Two
# primaries have written different things under the same keys. Who wins?
#
# - **Cut the log**: the old primary throws away what the new one does not have.
# - **Last writer wins**: of each key, the write with the later time stamp stays.
#
# **Predict.** The AP cluster, the same cut: node 0 has acknowledged 150 writes that the others do not have, to 16 keys.
# How many acknowledged writes are lost with each? And what does it change if node 0's clock is 5 s slow, or 5 s fast?

# %%
lost_cut, lost_merged, lost_slow_clock, lost_fast_clock = None, None, None, None

# %%
truncating = dataclasses.replace(POLICIES["AP"], heal="truncate")
healed = {"log cut": simulate(truncating, [CUT], seconds=14, seed=1)}
for name, seconds in {"all clocks right": 0, "node 0 is 5 s slow": -5, "node 0 is 5 s fast": 5}.items():
    clock = ClockError(at=0.5, until=13, node=0, offset=seconds)
    healed[f"last writer wins, {name}"] = simulate(POLICIES["AP"], [CUT, clock], seconds=14, seed=1)

print(f"{'':38}lost   of node 0   later than what stayed")
for name, run in healed.items():
    lost = run.findings.lost
    later = len(wrongly_lost(run)) if name != "log cut" else ""
    print(f"{name:38}{len(lost):4}{sum(o.node == 0 for o in lost):12}{later:25}")
print("You said:", lost_cut, lost_merged, lost_slow_clock, lost_fast_clock)
print("\nOne of them:", *healed["last writer wins, all clocks right"].smallest(lambda found: found.lost))

# %% [markdown] {"items": [83]}
# **See.** With the log cut all 150 are lost. Merged, 16 are lost, whatever the clocks say; but *which* 16?
#
# **Explain.** A write that a later one of its *own side* replaced is not lost: that is what writing is. So at most one
# is lost for each key that both sides wrote: 16. With right clocks it is the earlier of the two, 9 times node 0's and 7
# times the other side's. With a slow clock all that node 0 wrote looks old: it loses each time, and 7
# times its write was the later one. With a fast clock it wins each time, and 9 times against a later one. Half a
# second is enough to spoil 3 (slow) or 6 (fast). **Last writer wins is last clock wins.**
#
# And 16 only looks small because a later write replaces an earlier one. If a write is "add 10 to the account", each of
# the 150 counts. Merging needs values that can be merged: sets, counters per node (CRDTs), or somebody who decides.
#
# **Do.** Each side of a cut has a list of writes `(time, key, number)`. Which numbers are lost with *last writer
# wins*, counted as above? Of each side only its last write to a key counts, and of these two the earlier is lost.


# %%
def lost_to_the_last_writer(one, two):
    """The numbers of the writes that are lost when both sides are merged, in a set."""
    # solution
    last_one = {key: (time, number) for time, key, number in sorted(one)}
    last_two = {key: (time, number) for time, key, number in sorted(two)}
    return {min(last_one[key], last_two[key])[1] for key in last_one.keys() & last_two.keys()}


check("11.2", lost_to_the_last_writer)

# %% [markdown] {"items": [86]}
# ### Semi-synchronous replication in a cut
#
# The lecture recommends it for network faults, too (lesson 10 measures it). The primary waits until *one* backup has
# the write; if none answers for `fallback_after`, it goes on without, silently.

# %%
print("falls back after   unanswered   stale   acknowledged writes lost")
for fallback in (None, 10.0, 3.0, 1.0):
    cluster = Cluster(**BASE, replication="semi-sync", fallback_after=fallback)
    found = simulate(cluster, [CUT], seconds=14, seed=1).outcome
    after = "never" if fallback is None else f"{fallback:g} s"
    print(f"{after:>16} {found.failed + found.unknown:12} {found.stale_reads:7} {found.lost_writes:10}")

# %% [markdown] {"items": [86]}
# Without fallback, or with one that comes after the heal, no acknowledged write is lost: node 0, alone, acknowledges
# nothing. After 1 s it does, and 149 writes go. The lecture's advice is right **as long as the fallback is longer than
# your partitions**; and it says nothing about reads: all four have more than a hundred stale ones.

# %% [markdown] {"items": [80, 83]}
# ## Real servers *(5 minutes)*
#
# The same, with three real servers in three network namespaces, cut for 6 s with the leader alone. Two clients, one
# on each side, write up to 200 times a second. etcd and ZooKeeper keep consistent. Redis has a primary, two replicas
# and three Sentinels.
#
# **Predict.** How many of the writes that Redis acknowledges on the minority's side will survive? And how long after
# the heal are writes to the old primary safe again?

# %%
survive, safe_after = None, None

# %%
redis = RunLab(partition, recording="partition-redis", system="redis")
redis.then(lambda result: table_of_servers(real_servers(redis=result)))

# %%
print("You said:", survive, safe_after)
redis.then(lambda result: step_by_step(real_servers(redis=result)))

# %% [markdown] {"items": [80, 83]}
# Choose *Redis* above, and go to the end of the cut, at 6 s. Who is primary? And what becomes of the minority's writes?
#
# **See** (recorded on one machine with two processors; etcd 3.5.1, ZooKeeper 3.8.0, Redis 7.0.15). Redis acknowledges
# 1202 writes on the side of the minority, and **none** survives. Worse: the old primary is demoted only 10 s *after*
# the heal, and what it acknowledges until then, 2055 writes, is lost as well. etcd and ZooKeeper lose none.
#
# **Explain.** Redis with Sentinel elects by majority, but nobody can tell the old primary to stop while it is cut off,
# and Sentinel took 10 s to do so afterwards. That is neither CP (it accepts what will be lost) nor AP in the sense
# above (nobody merges). `min-replicas-to-write 1` narrows the window: the primary refuses once it has had no replica
# for a second or so. 322 were lost until then, and none after the heal: a client that is refused asks Sentinel again
# who is primary, and one that gets its OK has no reason to.
#
# A look at etcd: for 0.66 s *two* nodes believed to lead, and nothing was lost, as a write needs a majority. But a
# **local** ("serializable") read on the minority's side missed 707 writes: a CP system answers stale reads if asked
# to. ZooKeeper's server in the minority closed the connection, and answered no read at all.
#
# **On your machine** (as root or with user namespaces; 21 s). The table and the picture above change with the result.

# %%
redis

# %% [markdown] {"items": [87, 97]}
# ## Can you tell a dead node from a dead link? *(7 minutes)*
#
# Each node watches every other, with any detector of lessons 2 to 5, and reports whom it suspects. Put together, the
# reports are a **matrix of mutual suspicions**. Five kinds of faults leave different traces there: a dead node, one
# dead link, a link that is deaf in one direction (*one-way*), several dead links (*partial*), two groups (*whole*).
#
# **Predict.** Can you always tell which, from all the reports that reach you?

# %%
always = None  # True or False?

# %%
DeadOrCut()

# %% [markdown] {"items": [87, 97]}
# **Play** all seven rounds. Then compare 3 with 5, and 5 with 7.
#
# **See.** Rounds 3 and 5 are the same cut, seen from outside and from within. Rounds 5 and 7 show *the same* matrix: in
# one, d and e live, serve and believe that a, b, c are dead; in the other they *are* dead.
#
# **Explain.** That is the lecture's remark that node and network faults overlap, and no detector is clever enough for
# it: in both cases a, b, c get exactly the same messages, and from the same messages every rule draws the same
# conclusion. Only somebody who reaches both sides, a **witness** (round 3), can tell. Where you have none, act so that
# you are right in both cases: *fence first, then promote*.
#
# What can be told is worth telling. One link down (round 2) is **no** reason to fail over: two nodes suspect each
# other, and all others reach both. Who watches alone would have promoted. So ask several, as Sentinel's quorum does.
#
# `recognise` reads a matrix of your own:

# %%
recognise({"a": {"b": True, "c": False}, "b": {"a": True, "c": False}, "c": {"a": False, "b": False}})

# %% [markdown] {"items": [97]}
# ### Not too soon
#
# A partition is not noticed by all in the same instant. In the lab `recognition` four real nodes watch each other with
# φ = 8 while a recogniser looks on; a verdict is told when the matrix has stood still for 0.3 s. The button runs it
# here (8 s):

# %%
watchers = RunLab(recognition)
watchers


# %%
def told(result):
    """What the recogniser said of each fault, and when."""
    return "\n".join(
        f"{fault:12}" + ", then ".join(f"after {at:.2f} s: {kind}" for at, kind in rows)
        for fault, rows in verdicts(result).items()
    )


watchers.then(told)

# %% [markdown] {"items": [97]}
# In the recording the first verdict on *partial* was wrong: n1 suspected n2 already, but n2 did not yet suspect n1, and
# a cut link looked as if it were deaf on one side. It was right 0.45 s later. Your own run may be
# right at once; a rule must hold for the others, too. Akka's `stable-after` (20 s by default) is there for this.
#
# **Do.** How much longer than it did must the recogniser let a verdict stand before somebody acts, so that on none of
# the faults *of the recording* a wrong one is acted on? In seconds, with no more than a tenth of a second to spare.
# (`acted_wrongly(said, stable_after)` names the faults on which it goes wrong.)

# %%
said = verdicts(recorded("recognition"))
stable_after = None
# solution
stable_after = next(wait / 100 for wait in range(200) if not acted_wrongly(said, wait / 100))

check("11.3", stable_after)

# %% [markdown] {"items": [97]}
# ## Who goes on? *(5 minutes)*
#
# It is a partition; each side must decide **for itself**, and just one may go on. Five strategies, on four cuts:

# %%
for name, meaning in STRATEGIES.items():
    print(f"{name:9} {meaning}")

cases = {"3 | 2": (["abc", "de"], ""), "2 | 3": (["ab", "cde"], ""), "2 | 2": (["ab", "cd"], "")}
cases["2, 3 dead"] = (["ab", "cde"], "cde")
print(f"\n{'':9}", *(f"{case:>12}" for case in cases))
for name in STRATEGIES:
    print(f"{name:9}", end="")
    for sides, dead in cases.values():
        going = " + ".join("".join(side) for side in goes_on(name, sides, dead))
        print(f"{going or 'nobody':>13}", end="")
    print()

# %% [markdown] {"items": [97]}
# **See.** *Nothing* gives two sides that go on, a split brain, in every cut. *Majority* never does; but it stops all
# where nobody has one (2 | 2), and where the *majority has died*. *Oldest* (a is the oldest) may keep the smaller
# side, and stops all if a itself dies. A *witness* decides every case as long as it is up itself; here a's side asked
# first. *Stop all* is safe, and no service until somebody starts it again.
#
# **Do.** Write the rule of the majority. A node reaches `reached` nodes, itself included, of `nodes` in all. May it go
# on? Mind even numbers.


# %%
def may_go_on(reached, nodes):
    """Whether a side with so many nodes may go on, if no other side may."""
    # solution
    return reached > nodes / 2


check("11.4", may_go_on)

# %% [markdown] {"items": [97]}
# It works because any two majorities share a node. The same count says which quorums are safe: of n nodes, any two
# sets of W share one if 2 W > n, and whoever asks R of them meets the last write if R + W > n
# (`accrual.recovery.overlap`).

# %% [markdown] {"items": [88]}
# ## Wait, or promote? *(2 minutes)*
#
# A short cut is over before a failover is. The lecture: a temporary fault is waited for and synchronised, a permanent
# one is answered with a promotion. So wait a little before promoting, 2 s here?
#
# **Predict.** The CP cluster, cut for 1 s: does the wait save the failover? And without its lease?

# %%
saves_with_lease, saves_without = None, None  # True or False?

# %%
print("                with a lease of 1 s             without a lease")
print("               at once    after 2 s           at once    after 2 s")
for length in (0.5, 1, 2, 6):
    print(f"cut {length:3g} s:", end="")
    for lease in (1.0, None):
        for wait in (0.0, 2.0):
            cluster = dataclasses.replace(POLICIES["CP"], lease=lease, wait_before_promote=wait)
            cut = Partition(at=3, until=3 + length, groups=CUT.groups)
            outcome = simulate(cluster, [cut], seconds=8 + length, seed=1).outcome
            print(f"{outcome.failovers:7} / {outcome.failed + outcome.unknown:3}", end="")
        print(end="      ")
    print()
print("(failovers / requests refused or unanswered)   You said:", saves_with_lease, saves_without)

# %% [markdown] {"items": [88]}
# Without a lease the wait saves the failover in the cuts of up to 2 s; after 2 s of cut 73 requests are refused for
# that instead of 20. With the lease it saves none: node 0 stops after 1 s whatever you wait for, somebody
# has to be elected anyway, and 11 refused become 123. **A wait is worth something only if the old primary goes on
# meanwhile**, and costs as long as it lasts. Lesson 09 has the curve: what to wait for when outages are short or long,
# and what a failover costs besides.

# %% [markdown] {"items": [97]}
# ## The lecture's question
#
# *How do you recognise a network partition, and what do you do then?* Answer it in five sentences, for a system that
# you know, before you open this.

# %% [markdown] {"tags": ["solution"], "items": [97]}
# **Recognise.** Let several nodes watch each other, and put their suspicions together. Two who suspect each other while
# all others reach both: a *link*. Groups that do not hear each other: a *partition*. Nodes that are silent for all who
# report: *dead*, or *cut off*; who is inside can tell these two apart only with help from outside: a witness, a shared
# disk, another network. Let the matrix stand still for a while (`stable-after`) before you believe it. One-way
# links show as suspicions without a return; take out one of the ends.
#
# **Decide**, before it happens, what gives: refuse (CP) or answer what may be old, and merge (AP). Data by data.
#
# **Act** so that at most one side writes: a *majority* of all nodes, counting the dead; with two nodes or two sites,
# a *witness* in a third place; *oldest* only if losing the larger side is fine. The losing side must stop **by
# itself**, for nobody can tell it to: a *lease* that runs out. And the storage must refuse whoever does not know
# yet: *fencing*, by terms or by power.
#
# **Heal.** Truncate or merge, count what was lost, and tell somebody. Expect the heal itself to cost: an old primary
# that still accepts, a node that comes back with a high term, a rush of resynchronisation.

# %% [markdown] {"items": [80, 83, 87, 97]}
# ## Take away
#
# - **P is not chosen.** In a cut of 6 s the same workload costs 294 refused requests (CP), or 121 stale reads and 16
#   lost writes (AP). Choose by the data, and say so beforehand.
# - A **majority** keeps writes safe. Reads need a **lease** (or a majority, too).
# - **The heal is a phase of its own.** Real Redis lost 1202 writes of the cut, and 2055 acknowledged after it.
# - **Last writer wins is last clock wins.** One write is lost for each key that both sides wrote; wrong clocks choose
#   the wrong one.
# - From inside, **a dead node and one that is cut off look the same**. Fence first, then promote.
# - A verdict needs time to become right: `stable-after`.
#
# **Your own:** `accrual lab partition --system redis` and `accrual lab recognition` run it on your machine;
# `accrual.recovery.FailoverController` does the fencing and promoting in the right order.
#
# **Sources.** S. Gilbert and N. Lynch, *Brewer's conjecture and the feasibility of consistent, available,
# partition-tolerant web services*, SIGACT News 33, 2002. E. Brewer, *CAP twelve years later*, Computer 45, 2012. A.
# Alquraan and others, *An analysis of network-partitioning failures in cloud systems*, OSDI 2018: 136 failures of 25
# systems. D. Ongaro, *Consensus: bridging theory and practice*, 2014, section 9.6 on PreVote. Akka's documentation,
# *Split brain resolver*.
