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
# **About 30 minutes.** A backup can take over only what it has. So the question of this lesson is when the primary may
# say "done" to its client: at once, or when one, some or all backups have the write, too. Afterwards you can
#
# - say what each mode of replication costs per commit, and what a client's "OK" is worth in it;
# - compute how many acknowledged writes die with a primary, before it dies;
# - explain what a semi-synchronous timeout does, and to which promise;
# - read the figures of real servers against that.
#
# The course says master and slave; here it is **primary** and **backup** (databases say *replica* or *standby*).

# %%
from accrual.course import check
from accrual.lab import LABS, recorded
from accrual.recovery import Cluster, Crash, Cut, simulate
from accrual.show.replication import CommitCosts, Fallback, RealServers, costs, cut_off
from accrual.show.scrubber import Scrubber

# %% [markdown] {"items": [84]}
# ## The smallest lost write *(4 minutes)*
#
# Three nodes; replication is **asynchronous**: the primary writes to its own disk, says OK, and sends the write to its
# backups meanwhile. One way takes 20 ms. At 2 s the primary's machine loses power.
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
Scrubber(run)

# %% [markdown] {"items": [84]}
# **Step** through it with the buttons. **See.** 191 was written, then 197, each acknowledged; after the failover a read
# gives 191. Nothing is reported anywhere: no error, no line in a log.
#
# **Explain.** Write 197 was on the primary's disk, and told OK, before it had arrived anywhere else. That is the
# whole mechanism. *A write is lost if it is acknowledged sooner than it is safe on the backup that is promoted.* If a
# client is told OK after `wait` seconds and the write takes `delay` seconds to be safe there, every write of the last
# `delay - wait` seconds is at risk.
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
# ## What a commit costs *(7 minutes)*
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
# **Slide** the round trip, then what is waited for, then the number of backups.
#
# **See.** With four backups and a round trip of 20 ms or more, waiting for none, one, two, three, four takes 0.5, 24,
# 27, 31 and 37 ms. The first step, from none to one, is the expensive one: that is the round trip. Waiting for the one
# backup there is takes 30 ms, for the first of four 24 ms: **the first of many is faster than the only one**, and
# the last of many is the slowest. (These are simulated times; they are the same on any machine.)
#
# **Explain.** The last two columns are the two sides of one bargain. With k acknowledgements k machines may die at
# once, the primary among them, and somebody still has the write. With n backups n − k may be away, and writes still
# go on. Synchronous replication has no spare at all: *one* backup that is away stops every write.
#
# **Do.** Four backups. *Any two* of the five machines may die at once, and no acknowledged write must be lost; and
# with any two away (not the primary) writes must go on. How many backups should be waited for? If several numbers
# will do, the fastest.

# %%
backups_waited_for = None
# solution
backups_waited_for = 2

check("10.2", backups_waited_for)

# %%
print([(cost.acks, f"{1e3 * cost.latency:.1f} ms", cost.lost) for cost in costs(round_trip=0.02, backups=4)])
print("You said:", faster)

# %% [markdown] {"items": [85]}
# ## "Safe and fast, hence most popular" *(8 minutes)*
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
# **Slide** the death past the timeout, and back.
#
# **See.** With 2 s and 6 s it is 120: all that were sent since the cut. The writes that had waited for two seconds
# are told OK *at the fallback*, and are no safer for it. Die before the timeout, and none is lost, but clients hang.
#
# **Explain.** The timeout does not bound the loss. It is the moment at which the promise is exchanged for another
# one: from "nothing acknowledged is lost" to "writes go on". **With a fallback, semi-synchronous is safe against the
# death of the primary alone. It is not safe against the death of the primary after that of the link**, and a
# switch or a rack takes both. So the lecture's sentence holds with an "or": safe, *or* fast, and the timeout says
# which when it matters. Its popularity is well deserved: a known, adjustable bargain. Only, watch the fallback
# (MySQL: `Rpl_semi_sync_master_status`), and set the timeout on purpose.
#
# **Do.** Write it: acknowledged writes lost, of `rate` a second, if the primary dies `outage` seconds after the link.
# (The two or three that were under way are not asked for.)


# %%
def lost_after_cut(rate, outage, timeout):
    """Acknowledged writes that only the dead primary had; times in seconds."""
    # solution
    return rate * outage if outage > timeout else 0


check("10.3", lost_after_cut)

# %%
print(cut_off(timeout=2.0, outage=6.0).outcome.lost_writes)
print("You said:", lost_writes)

# %% [markdown] {"items": [86]}
# ## When the network comes back *(4 minutes)*
#
# The lecture recommends semi-synchronous replication for network faults. Here is the same pair, timeout 1 s, in two
# histories: the primary dies at 5 s, and the link **heals at 4 s**, or does not.

# %%
pair = Cluster(
    nodes=2, replication="semi-sync", fallback_after=1.0, delay=0.01, reads=0.0, rate=20,
    wait_before_promote=1000.0, patience=100.0, request_timeout=100.0,
)
histories = {
    "heals at 4 s": simulate(pair, [Cut(at=2, until=4, a=(0,), b=(1,)), Crash(at=5)], seconds=5.5),
    "does not heal": simulate(pair, [Cut(at=2, a=(0,), b=(1,)), Crash(at=5)], seconds=5.5),
}
for name, history in histories.items():
    print(f"{name}: {history.outcome.lost_writes} of {history.outcome.acknowledged_writes} acknowledged writes lost")
Scrubber(histories, choice="The link")

# %% [markdown] {"items": [86]}
# **Step** to "catches up" and "semi-synchronous again". **Explain.** After the cut the backup compares logs, is sent
# what it lacks, and the old promise holds again: 0 writes lost instead of 60. So the lecture is right about network
# faults *that heal before the primary dies*. What if the backup had been promoted meanwhile, and both took writes? That
# is lesson 11: a timeout that falls back chooses *available* there, one that never comes chooses *consistent*.

# %% [markdown] {"items": [84, 85]}
# ## Real servers *(5 minutes)*
#
# Valkey and PostgreSQL, a primary with a near replica (20 ms one way) and a far one (100 ms), on links with that delay.
# Clients beside the primary write for a second; then its machine dies. In Valkey a client asks with `WAIT` for one or
# both replicas; in PostgreSQL `synchronous_commit` says what is waited for, with `ANY 1` of two standbys. *Computed* is
# your formula of 10.1, and Little's law for the writes that 4 clients get done, one upon the other.
#
# **Predict.** A commit waited for one replica, and an operator promotes *the other one*. Is anything lost?

# %%
lost_on_the_other = None  # True or False?

# %%
RealServers()

# %% [markdown] {"items": [84, 85]}
# **Switch** the server, and which replica is promoted. (Recorded on a busy machine of two cores, one trial each.)
#
# **See.** Valkey, asynchronous: 20 computed and 20 lost, on the far replica 100 and 100. A commit that waits takes one
# round trip and little more. PostgreSQL's `local` is asynchronous as well; `off` does not even wait for the
# primary's *own* disk, sends late, and lost more than `local` on either replica; its manual bounds that delay by three
# times `wal_writer_delay`, 0.6 s.
#
# **Explain.** Promote the near replica, and modes that waited for one lose nothing. Promote the far one, and they do:
# **an acknowledgement is worth something only if the election finds who gave it.** That is why votes go to the longest
# log. The computed 6 is more than the measured 2 to 4, as the servers were slower than the links alone: a longer wait
# leaves a shorter time at risk, and fewer writes in it. A quorum settles it: any majority that elects shares a node
# with any majority that acknowledged.
#
# To run it yourself (some 10 to 30 s), set `LIVE = True`.

# %%
LIVE = False
if LIVE and not LABS["replication"].lacking():
    print(LABS["replication"]())
else:
    print(recorded("replication"))
print("You said:", lost_on_the_other)

# %% [markdown] {"items": [84, 85, 86]}
# ## Take away
#
# - **Lost = rate × (delay − wait)**, if that is positive. Asynchronous: rate × delay. It is counted in writes, so a
#   fast service loses more.
# - **The price is the round trip** to the k-th fastest backup. Spare backups make it smaller.
# - k acknowledgements: **k machines may die, n − k backups may be away**. A majority is the balance.
# - **A timeout that falls back** makes semi-synchronous replication safe against one fault, not against two. It is
#   silent: watch it.
# - **Promote who has the most.** The best acknowledgement is worth nothing if somebody else becomes primary.
#
# **Sources.** MySQL Reference Manual, *Semisynchronous Replication*. PostgreSQL documentation, *Asynchronous Commit*
# and *Synchronous Replication*. Valkey documentation, `WAIT`. D. Ongaro, *Consensus: Bridging Theory and Practice*,
# 2014, on elections that keep what was committed.
