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

# %% [markdown] {"items": [84]}
# # 10 · Replication
#
# **About 35 minutes.** A backup can take over only what it has. So the question of this lesson is when the primary may
# say "done" to its client: at once, or when one, some or all backups have the write, too. Afterwards you can
#
# - say what each mode of replication costs per commit, and what a client's "OK" is worth in it;
# - compute how many acknowledged writes die with a primary, before it dies;
# - say who may read a write that is not safe yet, and what a link that loses packets does to all of this;
# - explain what a semi-synchronous timeout does, and to which promise;
# - read the figures of real servers against that.
#
# The course says master and slave; here it is **primary** and **backup** (databases say *replica* or *standby*).

# %%
import numpy as np

from accrual.course import check
from accrual.recovery import Cluster, Crash, simulate
from accrual.recovery.labs import replication
from accrual.show.replication import (
    CommitCosts,
    Fallback,
    RealServers,
    costs,
    cut_off,
    dies_while_it_waits,
    over_a_lossy_link,
    with_requests,
)
from accrual.show.run_lab import RunLab
from accrual.show.scrubber import Scrubber, story_of_run

# %% [markdown] {"items": [84]}
# ## The smallest lost write *(4 minutes)*
#
# Three nodes; replication is **asynchronous**: the primary writes to its own disk, says OK, and sends the write to its
# backups meanwhile. One way takes 20 ms. At 2 s the primary's machine dies, and what is under way to its backups dies
# with it. (So it is if the write still waits in the machine, or in its rack's switch, which has the same plug. What is
# on the long wire already would arrive.)
#
# **Predict.** The failover works without a flaw. Can a client that was told OK find its write gone?

# %%
can_it_be_gone = None  # True or False?

# %%
three = Cluster(nodes=3, replication="async", delay=0.02, rate=100, keys=2, clients=2)
run = simulate(three, [Crash(at=2)], seconds=3.5, seed=1)
print(run.findings)
print("\nThe smallest part of the history that shows it:")
for operation in run.smallest(lambda found: found.stale):
    print(" ", operation)

# %%
Scrubber(with_requests(run, run.smallest(lambda found: found.stale), begin=1.9, end=2.6))

# %% [markdown] {"items": [84]}
# **Step** through it with the buttons: the clients' lines tell what those three requests came to.
#
# **See.** 191 was written, then 197, each acknowledged; after the failover a read gives 191. Nothing is reported
# anywhere: no error, no line in a log. For a moment client 1's lane says "lost".
#
# **Explain.** Write 197 was on the primary's disk, and its OK on the way to the client, before it had arrived at
# another node. That is the whole mechanism. *A write is lost if it is acknowledged sooner than it is safe on the backup
# that is promoted.* If the primary says OK after `wait` seconds and the write takes `delay` seconds to be safe there,
# every write of the last `delay - wait` seconds is at risk.
#
# **Do.** Write that down: how many acknowledged writes are lost on average, at `rate` a second?


# %%
def lost(rate, delay, wait):
    """Acknowledged writes that die with the primary's machine; times in seconds."""
    # solution
    return rate * max(0, delay - wait)


check("10.1", lost)
print("You said:", can_it_be_gone)

# %% [markdown] {"items": [84]}
# ## What a commit costs *(6 minutes)*
#
# - **asynchronous**: waits for no backup;
# - **semi-synchronous**: waits for one, or some;
# - **synchronous**: waits for all;
# - a **quorum** is reached when a majority of *all* nodes, the primary among them, has the write.
#
# **Predict.** There are four backups, and each message takes a somewhat different time. Which commit is faster: the
# one that waits for one of *four* backups, or the one that waits for the only backup there is?

# %%
faster = None  # "one of four", "one of one", or "the same"?

# %%
CommitCosts()

# %% [markdown] {"items": [84]}
# **Slide** the number of backups, then the round trip.
#
# **See.** With four backups and a round trip of 20 ms, waiting for none, one, two, three, four takes 0.5, 24, 27, 31
# and 37 ms. The first step, from none to one, is the expensive one: that is the round trip. Waiting for the only backup
# takes 30 ms, for the first of four 24 ms: **the first of many is faster than the only one**, and the last of many is
# the slowest. (Simulated times, the same on any machine. On its way out each write takes 5 ms more on average, by
# chance; and as writes arrive in order, one that is late holds up those behind it.)
#
# **Explain.** The last two columns are the two sides of one bargain. With k acknowledgements k machines may die at
# once, the primary among them, and somebody still has the write. With n backups n − k may be away, and writes still
# go on. Synchronous replication has no spare at all: *one* backup that is away stops every write.
#
# **Do.** Four backups. *Any two* of the five machines may die at once, and no acknowledged write must be lost; and
# with any two backups away writes must go on. How many backups should be waited for?

# %%
backups_waited_for = None
# solution
backups_waited_for = 2

check("10.2", backups_waited_for)

# %%
for cost in costs(round_trip=0.02, backups=4):
    print(f"waits for {cost.acks}: {1e3 * cost.latency:4.1f} ms, lost in three runs: {cost.lost}")
print("You said:", faster)

# %% [markdown] {"items": [84]}
# ## A link that loses packets *(4 minutes)*
#
# What the network loses, TCP sends again; after 0.2 s, if nothing else tells it sooner (the shortest timeout of Linux).
# And a stream keeps its order: what is behind waits. Round trip 20 ms, 100 writes a second, each write and each answer
# one packet.
#
# **Predict.** One packet of a hundred is lost. How many of a hundred commits are late?

# %%
late = None  # about 1, 2, 10 or 30?

# %%
print("lost      waits for the one backup      waits for the first of two")
for loss in (0, 0.001, 0.01, 0.05):
    cells = []
    for backups in (1, 2):
        took = over_a_lossy_link(loss, backups, stall=0.2)
        middle, slow = 1e3 * np.quantile(took, [0.5, 0.99])
        cells.append(f"{np.mean(took > 0.021):4.0%} late, p50 {middle:3.0f}, p99 {slow:3.0f} ms")
    print(f"{loss:5.1%}  ", "   ".join(cells))
print("You said:", late)

# %% [markdown] {"items": [84]}
# **See.** At 1 % a *third* of the commits is late. The median does not move; the slowest of a hundred takes 280 ms
# instead of 20.
#
# **Explain.** In the 0.2 s that a lost packet is missing, 20 more are sent, and all of them wait behind it; on the way
# back it is the same. So a commit is late if any of some 40 packets was lost: 1 − 0.99⁴⁰ = 33 %. Two backups have two
# links, and seldom late *together*: 12 %. **A spare backup hides a bad link**, as it hides a slow one.
#
# Who waits for nobody is never late, and pays in writes: while a packet is missing, the backup lacks up to 0.21 s of
# them instead of 0.01 s. A primary that dies then takes 21 acknowledged writes along, not one.
#
# **Do.** Where enough packets follow, TCP notices the gap after a round trip or two and does not wait for its timeout.
# Run the cell again with `stall=0.05`: at 1 %, 10 % are late, and with two backups 1 %.

# %% [markdown] {"items": [84, 85]}
# ## Who may read it meanwhile? *(5 minutes)*
#
# While a commit waits for its backup, somebody else reads the same row. The primary has two choices, and MySQL has a
# switch for them, `rpl_semi_sync_source_wait_point`:
#
# - `AFTER_SYNC`, its default: wait **before the commit**. Others see the old value until the backup has the new one.
# - `AFTER_COMMIT`: wait **after the commit**. Others see the new value at once; only the writer still waits.
#
# Here the primary dies while writes wait; there is no fallback. Twenty runs of each.
#
# **Predict.** In which of the two is an *acknowledged* write lost? In which has a client *read* something that is gone?

# %%
acknowledged_and_lost = None  # "before", "after", "both" or "neither"?
read_and_gone = None  # "before", "after", "both" or "neither"?

# %%
for point in ("before commit", "after commit"):
    outcomes = [dies_while_it_waits(point, seed).outcome for seed in range(1, 21)]
    gone = [outcome.phantom_reads for outcome in outcomes]
    print(f"Wait {point}: {sum(outcome.lost_writes for outcome in outcomes)} acknowledged writes lost;")
    print(f"  {sum(gone)} reads gave what is gone, in {np.count_nonzero(gone)} of {len(gone)} runs")
print("You said:", acknowledged_and_lost, "and", read_and_gone)

# %%
meanwhile = {point: dies_while_it_waits(point, seed=2) for point in ("after commit", "before commit")}
smallest = meanwhile["after commit"].smallest(lambda found: found.phantom)
stories = {
    point: with_requests(one, [one.operations[request.number] for request in smallest], begin=1.95, end=2.03)
    for point, one in meanwhile.items()
}
Scrubber(stories, choice="The primary waits")

# %% [markdown] {"items": [84, 85]}
# **Step** to the end, then choose "before commit" and do it again.
#
# **See.** Client 0 writes 982 and hears nothing more. Client 1 asks for the same key 2 ms later: waiting after the
# commit the primary gives 982, waiting before it 961. Then it dies, and 982 is nowhere. No acknowledged write was lost
# in any of the forty runs; what was *read* and is gone, 26 times, in 16 of the 20 runs that wait after the commit.
#
# **Explain.** That is a **phantom read**: "paid", says the screen; the parcel is posted; and the payment never was.
# *OK* is a promise to the writer, but a read promises, too. **Nobody should see what is not safe.** The writer is no
# better off either way: without an answer it may be there or not, and it has to ask. MariaDB's default is
# `AFTER_COMMIT`. Valkey's `WAIT` comes after the write, too: others read it at once. PostgreSQL
# lets nobody read it before.
#
# **Do.** Write the checker that counted them: the numbers of the reads that were answered with a write which is not
# among `run.survivors`. Each of `run.operations` has a `number`, a `kind` ("write" or "read"), a `status` ("ok" if it
# was answered) and, if it is a read, a `value`: the number of the write that it gave, or None if there was none yet.


# %%
def phantoms(run):
    """Numbers of the reads that gave a write which did not survive."""
    # solution
    reads = [o for o in run.operations if o.kind == "read" and o.status == "ok"]
    return [o.number for o in reads if o.value is not None and o.value not in run.survivors]


check("10.3", phantoms)

# %% [markdown] {"items": [85]}
# ## "Safe and fast, hence most popular" *(7 minutes)*
#
# That is what the lecture says of semi-synchronous replication, and in the table it looked so. But what if no backup
# answers? MySQL, whose word this is, waits for a **timeout**, 10 s by default, and then **turns asynchronous**: the
# clients are told OK again. They are told nothing else.
#
# **Predict.** 20 writes a second, a timeout of 2 s. The link to the backup is cut, and 6 s later the primary's machine
# dies. How many *acknowledged* writes are lost: those of 2 s, of 4 s, or of 6 s?

# %%
lost_writes = None  # 40, 80 or 120?

# %%
Fallback()

# %% [markdown] {"items": [85]}
# **Slide** to 2 s and 6 s; then the death before the timeout, and back.
#
# **See.** With 2 s and 6 s it is 120: all that were sent since the cut. The writes that had waited, up to two seconds,
# are told OK *at the fallback*, and are no safer for it. Die before the timeout, and none is lost, but clients hang.
#
# **Explain.** The timeout does not bound the loss. It is the moment at which the promise is exchanged for another
# one: from "nothing acknowledged is lost" to "writes go on". **With a fallback, semi-synchronous is safe against the
# death of the primary alone. It is not safe against the death of the primary after that of the link**, and a
# switch or a rack takes both. So the lecture's sentence holds with an "or": safe, *or* fast, and the timeout says
# which when it matters. Its popularity is well deserved: a known, adjustable bargain. Only, set the timeout on purpose
# and watch for the fallback: the server's log has a line of it, and `Rpl_semi_sync_source_status` says OFF (in MariaDB,
# and in MySQL before 8.0.26, `Rpl_semi_sync_master_status`). PostgreSQL has made the other choice: it does not fall
# back, and commits hang until a standby is there or an operator says otherwise.
#
# **Do.** Write it: acknowledged writes lost, of `rate` a second, if the primary dies `outage` seconds after the link.
# (The one that may have been under way is not asked for.)


# %%
def lost_after_cut(rate, outage, timeout):
    """Acknowledged writes that only the dead primary had; times in seconds."""
    # solution
    return rate * outage if outage > timeout else 0


check("10.4", lost_after_cut)

# %%
print(cut_off(timeout=2.0, outage=6.0).outcome.lost_writes)
print("You said:", lost_writes)

# %% [markdown] {"items": [86]}
# ## When the network comes back *(4 minutes)*
#
# The lecture recommends semi-synchronous replication for network faults. Here is the same pair with a timeout of 1 s:
# the link is cut at 2 s and the primary dies at 5 s; between them the link **heals, at 4 s**, or does not.
#
# **Predict.** 40 writes are sent during the cut that heals, and most of them were acknowledged by a primary that had
# fallen back. How many are lost?

# %%
lost_though_healed = None  # 0, 20 or 40?

# %%
histories = {
    "heals at 4 s": cut_off(timeout=1.0, outage=3.0, heals_after=2.0),
    "does not heal": cut_off(timeout=1.0, outage=3.0),
}
for name, history in histories.items():
    outcome = history.outcome
    print(f"{name}: {outcome.lost_writes} of {outcome.acknowledged_writes} acknowledged writes lost")
print("You said:", lost_though_healed)
Scrubber({name: story_of_run(one, begin=1.5) for name, one in histories.items()}, choice="The link")

# %% [markdown] {"items": [86]}
# **Step** to "catches up" and "semi-synchronous again"; then choose "does not heal", and see the client's lane.
#
# **Explain.** After the cut the backup compares logs, is sent what it lacks, and the old promise holds again: 0 writes
# lost instead of 60. So the lecture is right about network faults *that heal before the primary dies*. What if the
# backup had been promoted meanwhile, and both took writes? That is lesson 11: a timeout that falls back chooses
# *available* there, one that never comes chooses *consistent*.

# %% [markdown] {"items": [84, 85]}
# ## Real servers *(6 minutes)*
#
# Valkey and PostgreSQL, a primary with a near replica (20 ms one way) and a far one (100 ms), on links with that delay.
# Clients beside the primary write for a second; then its machine dies, and what is under way on its links. In Valkey a
# client asks with `WAIT` for one or both replicas; in PostgreSQL `synchronous_commit` says what is waited for, with
# `ANY 1` of two standbys. *Computed* is your formula of 10.1; and how many writes 4 clients get done, one upon the
# other: 4 a round trip.
#
# **Predict.** A commit waited for one replica, and an operator promotes *the other one*. Is anything lost?

# %%
lost_on_the_other = None  # True or False?

# %%
RealServers()

# %% [markdown] {"items": [84, 85]}
# **Switch** the server, and which replica is promoted. (Recorded on a machine of two cores, one trial each.)
#
# **See.** Valkey, asynchronous: 20 computed and 21 lost, on the far replica 100 and 101. A commit that waits takes one
# round trip and little more: 43 ms for 40, 203 for 200. PostgreSQL's `local` is asynchronous as well: 22 and 102.
# `off` does not even wait for the primary's *own* disk, and what is not there is not sent, either. It lost 139 on each
# replica: for 0.139 s nothing had been sent to either. The manual bounds that by three times `wal_writer_delay`, 0.6 s.
#
# **Explain.** Promote the near replica, and modes that waited for one lose nothing. Promote the far one, and they do:
# **an acknowledgement is worth something only if the election finds who gave it.** That is why votes go to whoever has
# the longest log. (It is 4 where 6 were computed: the four clients write nearly in step, and lose 4 at a time; 4 or, in
# one run of three, 8.) A quorum settles it: any majority that elects shares a node with any majority that acknowledged.
#
# **Do.** Run it on your own machine: press the button, and the table below it is of your run. Which figures change, and
# which cannot?

# %%
valkey = RunLab(replication)
valkey

# %%
valkey.then(lambda result: RealServers({"Valkey": result}))

# %%
postgresql = RunLab(replication, recording="replication-postgresql", system="postgresql")
postgresql

# %%
postgresql.then(lambda result: RealServers({"PostgreSQL": result}))

# %% [markdown] {"tags": ["solution"], "items": [84, 85]}
# What is computed cannot change; nor can the zeros of the modes that waited for whoever is promoted. On any machine the
# far replica lacks what was sent in the last tenth of a second. All others are one trial, and vary: most of all `off`,
# which depends on when the log was last written to the disk.

# %%
print("You said:", lost_on_the_other)

# %% [markdown] {"items": [84, 85, 86]}
# ## Take away
#
# - **Lost = rate × (delay − wait)**, if that is positive. Asynchronous: rate × delay. It is counted in writes, so a
#   fast service loses more.
# - **The price is the round trip** to the k-th fastest backup. Spare backups make it smaller, and hide a lossy link,
#   on which one lost packet makes dozens of commits late.
# - k acknowledgements: **k machines may die, n − k backups may be away**. A majority is the balance.
# - **Wait before the commit**, or others read what may never have been.
# - **A timeout that falls back** makes semi-synchronous replication safe against one fault, not against two. Clients
#   are not told: watch it.
# - **Promote who has the most.** The best acknowledgement is worth nothing if somebody else becomes primary.
#
# **Sources.** MySQL Reference Manual, *Semisynchronous Replication*. PostgreSQL documentation, *Asynchronous Commit*
# and *Synchronous Replication*. Valkey documentation, `WAIT`. MariaDB documentation, *Semisynchronous Replication*.
# RFC 6298 on TCP's timeout, RFC 5681 on fast retransmit. D. Ongaro, *Consensus: Bridging Theory and Practice*, 2014, on
# elections that keep what was committed.
