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

# %% [markdown] {"items": [35, 36]}
# # 8 · Users and shards
#
# **About 30 minutes.** Lessons 6 and 7 asked which *services* a fault takes along. A user does not care. What a user
# asks is: does it hit *me*? So we look at the same faults from the other side, and isolate *users* from each other.
# Afterwards you can
#
# - give a blast radius in users beside the one in requests, and say why they differ;
# - choose a number of shards, and say what no number of shards will mend;
# - work out the odds of shuffle sharding, and when it makes things worse;
# - size a canary, and say what it will not see;
# - say when a load balancer should eject by φ and when by k × T, at *equal* detection time.
#
# In every section, commit to an answer first and move the slider then. Wrong guesses teach the most.

# %%
import math

import accrual as ac
import accrual.isolation as iso
from accrual.cli import main as accrual_command
from accrual.course import check
from accrual.qos import curve
from accrual.show.users import Canaries, Ejection, ShardLoad, ShuffleShards, WhoIsHit

# %% [markdown] {"items": [35, 36, 39]}
# ## Whom does it hit? *(6 minutes)*
#
# A load balancer has eight servers, and 1,000 users send 120 requests a second. One server dies. An eighth of the
# requests fails, whichever way the balancer sends them:
#
# - **in turn** (round robin): each request goes to the next server;
# - **sticky**: each user has a server, and stays with it.
#
# **Predict.** Nobody ejects the dead server. After a minute, how many of the 1,000 users have had an error: in turn,
# and sticky?

# %%
hit_in_turn, hit_sticky = None, None

# %%
WhoIsHit()

# %% [markdown] {"items": [35, 36, 39]}
# **Slide** the time, or step with ◀ and ▶. Each ring is a user; a full one has had an error. Then slide the timeout,
# after which the balancer ejects the dead server.
#
# **See.** It is the same fault, and nearly the same share of requests. But within a minute it has hit 605 users in
# turn and 114 sticky ones. The lecture says that a dead server hits only *its* users. That is so **if users have a
# server of their own**; in turn, every server is everybody's.
#
# The price is paid by the few: they fail with *every* request, seven times on average, while the many fail once or
# twice and may not notice. So one number does not do. Give three: **how many users, how often each, for how long**.
#
# And now the timeout. Ejected within 0.3 s, the two are alike: four users and five. Fast detection is worth more than
# either way of routing; where you cannot have it, stickiness bounds the loss.

# %%
print("You said:", hit_in_turn, "in turn and", hit_sticky, "sticky")

# %% [markdown] {"items": [36, 39]}
# **Explain.** Requests come at random. A user asks 0.12 times a second, and one request in eight meets the dead
# server; that is an error every 67 s. The chance of *none* in t seconds is exp(−t / 67), which tends to 0. A sticky
# user of a sound server never has any.
#
# **Do.** Write it for requests in turn: the share of users who have had at least one error after `t` seconds.


# %%
def share_hit(t, users=1000, rate=120, servers=8):
    """Share of users with an error, t seconds after one of the servers died; requests go in turn."""
    # solution
    return 1 - math.exp(-rate / users / servers * t)


check("08.1", share_hit)

# %% [markdown] {"items": [38]}
# ## Shards: one database for some of the users *(5 minutes)*
#
# What stickiness does by habit, a **shard** does by design: the data of a user lie in one of several databases, so a
# dead database hits the users who live there, and nobody else can help them. Here 1,000 users are spread over shards
# by chance, as a hash of their name does it. And users differ: by Zipf's law (skew 1), the second asks half as often
# as the most active one, the third a third.
#
# **Predict.** 20 shards, skew 1. Which share of all requests goes to the hottest shard?

# %%
hottest_shard = None  # in per cent; an even share would be 5

# %%
ShardLoad()

# %% [markdown] {"items": [38]}
# **Slide** the number of shards from 1 to 50, and watch the hottest shard on the left. Then choose the shard that
# dies, and take the skew away.
#
# **See.** The users cut off become fewer and fewer, from 1,000 to some 20. The requests lost do not: the hottest of
# 20 shards has 16.6 % of them, of 50 still 15.1 %. It is one user who makes it hot, with 13.4 % of all requests, and
# **a user cannot be split**. More shards isolate users from each other; they do not cool a hot one. For that you need
# a shard of its own for that user, a limit on what it may ask, or copies for reading.

# %%
spread = iso.assign("shards", customers=1000, workers=20)
for skew in (0.0, 1.0, 1.5):
    asked = iso.activity(1000, skew)
    print(f"skew {skew}: busiest user {asked.max():6.1%}, hottest of 20 shards {spread.load(asked).max():6.1%}")
print("You said:", hottest_shard, "%")

# %% [markdown] {"items": [36, 38]}
# **Explain.** Look at the first line: all users are alike, and still the hottest shard has 6.6 %, not 5. Chance is
# uneven. "20 shards, so one takes 5 % of the users" is what holds on average; the fullest one decides what you can
# promise.
#
# **Do.** Your promise: the loss of any one shard cuts off **at most 5 %** of the 1,000 users. Which is the smallest
# number of shards that keeps it, with `iso.assign("shards", 1000, number)` and its default seed? `spread.load()`
# says what share of the users each shard has.

# %%
smallest_number = None
# solution
smallest_number = next(n for n in range(1, 1001) if iso.assign("shards", 1000, n).load().max() <= 0.05)

check("08.2", smallest_number)

# %% [markdown] {"items": [38]}
# ## Shuffle sharding: a shard for everybody *(7 minutes)*
#
# A worse fault than a dead worker is a **poison customer**: their request ends whatever worker handles it, the client
# tries the next one, and so on, until every worker that this customer reaches has ended. With one pool that is all of
# them. With shards of two workers, it is one shard.
#
# **Shuffle sharding** gives each customer its own draw: two workers out of eight, say. There are 28 pairs, so instead
# of 4 shards there are 28, on the same machines. Another customer may share one worker with the poison one; it tries
# its other one, and goes on.
#
# **Predict.** 8 workers, 2 for each customer. In how many of 100 pairs of customers do the two share *both* workers?

# %%
share_both = None

# %%
ShuffleShards()

# %% [markdown] {"items": [38]}
# **Slide** the workers, and how many each customer has. Bars are what combinatorics says, on a logarithmic scale;
# rings were *counted*, in all 499,500 pairs of 1,000 customers (`iso.assign`, seed 0). Then put "needed of these" up
# to 2.
#
# **See.** The rings lie on the bars: 3.57 % by the law, 3.56 % counted. A poison customer takes 250 of 999 others
# along with shards, 36 with shuffle shards. With 4 of 32 workers it is 125 against 0.03: nobody, mostly.
#
# **And then it turns round.** If customers *need* both of their two workers, because the client does not try again or
# one worker is too small for the load, then to share a single one is fatal: 464 cut off, against 250 with plain
# shards. Shuffle sharding is not better isolation as such. It trades "a few lose everything" for "many lose a part",
# and that is a gain only if a part can be lost.

# %%
print("You said:", share_both, "of 100")

# %% [markdown] {"items": [38]}
# **Explain.** The first customer has drawn k of n workers. The second draws one of all the
# $\binom{n}{k}$ sets, each equally likely, and only one of them is the same.
#
# **Do.** Write the chance that two customers share all of their workers. (`math.comb` helps.)


# %%
def share_all(workers, shard_size):
    """The chance that two customers have drawn the very same workers."""
    # solution
    return 1 / math.comb(workers, shard_size)


check("08.3", share_all)

# %% [markdown] {"items": [38]}
# **Cells** go one step further. Shards still share the rest: the queue before them, the network, the deployment that
# reaches all of them at once. A *cell* is a complete system for some of the users, and shares nothing with the next
# one but the thin router before both. In the numbers above, cells are plain shards. What differs is *which* faults
# stay inside: a poisoned row in a common database takes along all shards on it, but one cell only. Release to one
# cell first, and you have the next section.
#
# **For your own system** there is a command. Here it is called from Python; in a terminal write
# `accrual plan shards --customers 5000 --workers 32 --shard-size 2`.

# %%
_ = accrual_command(["plan", "shards", "--customers", "5000", "--workers", "32", "--shard-size", "2"])

# %% [markdown] {"items": [36, 38]}
# **Do.** 5,000 customers, 32 workers, clients that try all of their workers (`needs` is 1). What is the smallest
# shard size with which a poison customer cuts off **fewer than one** other customer, on average? Use the command, or
# `iso.plan_shards(...).others_shuffled`.

# %%
smallest_size = None
# solution
smallest_size = next(k for k in range(1, 33) if iso.plan_shards(5000, 32, k).others_shuffled < 1)

check("08.4", smallest_size)

# %% [markdown] {"items": [37]}
# ## The canary: a bug for a few *(6 minutes)*
#
# The most frequent cause of a fault is a new version. So it goes to some of the users first: a **canary release**
# (the lecture: *grey* release). If it is bad, it is taken back. Who says that it is bad? Here, a failure detector.
# Once a second the canary's requests are looked at, and if at most 10 % of them failed, or there were none, a
# heartbeat is sent. Silence for 3 × 1 s, and the release is rolled back, which takes a second more.
#
# **Predict.** A canary of 5 % is 50 users. *Every* request of theirs fails. How many of them are hurt before it is
# taken back? And of a canary of 0.5 %, five users: how long until it is noticed?

# %%
hurt_of_50, noticed_after = None, None

# %%
Canaries()

# %% [markdown] {"items": [37]}
# **Slide** the canary from 0.5 % to 100 % (that is a release without one). Then go down with the bug: 50, 20, 10, 5
# %. Each ring is one of twelve runs.
#
# **See.**
#
# - With a blatant bug, suspicion saves users at any size: at 5 %, 20 of 51 are hurt, at 100 % 382 of 1,000; within a
#   minute without it, all of them.
# - **A small canary is slow.** Five users send 0.6 requests a second, and many seconds pass without any: they count as
#   good. It takes 8 s instead of 3, and one of twelve runs never noticed. Of a bug in every fifth request, only four of
#   twelve did. It hurts few because it *is* few, not because it is watched.
# - **A large canary is blind to a small bug.** 5 % of the requests fail, 10 % are allowed: at 100 % nobody notices, and
#   306 users are hurt. At 5 % ten of twelve runs take it back, by luck: of six requests a second, one failure is more
#   than a tenth.
# - Without a bug (0.1 %), no run was taken back. Check that too, or your alarm is worth nothing.

# %%
print("You said:", hurt_of_50, "users hurt, and noticed after", noticed_after, "s")

# %% [markdown] {"items": [37]}
# **Explain.** Until the canary is taken back, a user of it is exposed for, say, 4 s: three periods and the rollback.
# Each asks 0.12 times a second. Who is hurt is who asked at least once and met the bug.
#
# **Do.** Write how many users are hurt, on average, if the canary is exposed for `exposed` seconds.


# %%
def users_hurt(share, bug, exposed, users=1000, rate=120):
    """How many users of the canary have met the bug at least once, on average."""
    # solution
    return users * share * (1 - math.exp(-rate / users * bug * exposed))


check("08.5", users_hurt)

# %% [markdown] {"items": [37]}
# So there are three things to choose, and they pull at each other: the *share* bounds the loss, the *requests in a
# check* bound what can be seen, and k × T bounds how soon. A way out is to begin small and grow in steps, each as
# long as that size needs to see what it must see.

# %% [markdown] {"items": [39]}
# ## Ejecting by φ or by k × T *(7 minutes)*
#
# Back to the balancer. It ejects a server on suspicion and takes it back with its next heartbeat. A wrong ejection is
# not free: the load of a sound server falls on the others, and sticky users lose their session. Here is one run with
# each detector:

# %%
for detector, threshold in ((ac.FixedTimeout(period=0.1), 3), (ac.PhiNormal(window=100), 8)):
    run = iso.balance(detector, threshold)
    print(f"{run.detector:24} at {threshold}: ejected after {run.detection_time:.2f} s, {run.wrongly} wrong ejections")

# %% [markdown] {"items": [39]}
# **Predict.** What may you conclude?

# %%
conclusion = None  # "phi is better", "k x T is better" or "nothing yet"?

# %% [markdown] {"items": [39]}
# **Nothing yet**, for two reasons. It is *one* run of one minute, with one death. And the two are not comparable: one
# is quick and often wrong, the other slow and less often. k × T can be made quick as well, by a smaller k. So ask at
# **equal detection time** (lesson 4), on hours of heartbeats.
#
# **Do.** `arrivals` are the heartbeats of one server that lives, for an hour, with a pause of 0.3 s on average every
# 20 s. With which **k** does k × T detect just as soon as Φ = 8 with a window of 100? `curve(arrivals, detector,
# [threshold], skip=100).detection_time` says how soon.

# %%
arrivals = iso.heartbeats(3600, pauses=0.05)

k_as_soon = None
# solution
k_as_soon = curve(arrivals, ac.PhiNormal(window=100), [8], skip=100).detection_time[0] / 0.1

check("08.6", k_as_soon)

# %% [markdown] {"items": [39]}
# And how often is each wrong there? With the window of 100 above, and with one of 1000:

# %%
for window in (100, 1000):
    found = curve(arrivals, ac.PhiNormal(window=window), [8], skip=1000)
    as_soon = found.detection_time[0] / 0.1
    fixed = curve(arrivals, ac.FixedTimeout(period=0.1), [as_soon], skip=1000)
    print(f"both after {1000 * found.detection_time[0]:.0f} ms:", end=" ")
    print(f"Φ = 8, window {window:4}: {found.mistakes[0]} wrong,  k = {as_soon:.2f}: {fixed.mistakes[0]} wrong")

# %% [markdown] {"items": [39]}
# At equal detection time φ is **not** better here. Now three fleets of eight servers: alike and pausing, as above;
# four near and four far away, whose heartbeats take 40 ms and vary by as much; and far ones that also pause, though
# rarely. There is *one* Φ for the whole fleet, and one k.
#
# **Predict.** On which of the three does φ eject wrongly less often?

# %%
phi_is_better_on = None  # "alike", "near and far", "both with far ones", "all", "none"?

# %%
ejection = Ejection()
ejection

# %% [markdown] {"items": [39]}
# **Slide** Φ on each fleet. At each stop k is set so that both eject a dead server equally soon, on average over the
# fleet.

# %%
stops = ejection.stops
print(f"{'wrong ejections: φ / k × T':28}", *(f"{f'Φ = {threshold}':>18}" for threshold in (3, 8, 20, 80)))
for name, found in ejection.fleets.items():
    cells = []
    for threshold in (3, 8, 20, 80):
        index = stops.index(threshold)
        cells.append(f"{found['phi'][index]:,} / {found['fixed'][index]:,}{'' if found['apart'][index] else ' ='}")
    print(f"{name:28}", *(f"{cell:>18}" for cell in cells))
print("You said:", phi_is_better_on, "   (=: no difference beyond chance)")

# %% [markdown] {"items": [39]}
# **See.**
#
# - *Alike*: φ is never better. From 0.45 s on it is worse, at 0.6 s by 40 %.
# - *Near and far*: φ is better by far, at Φ = 8 27 wrong ejections against 542.
# - *Far ones that pause*: φ is better up to 0.29 s, from 0.6 s on k × T is, and between them there is no
#   difference to be seen.
#
# **Explain.** φ's gift is that one Φ makes a timeout **for each server**: 116 ms for the near ones, 361 ms for the
# far ones at Φ = 8, where k × T gives 238 ms to all. That is wasted where servers are alike. And pauses are not news
# about the path: they swell σ for the next 1000 heartbeats, so that φ waits longer after each of them, to no avail. A
# mean detection time is then made of quick times and slow ones, and the same mean without spread is the better
# bargain.
#
# So: servers near and far, or a path that changes, and a timeout that is near the jitter: φ. Alike servers in a rack,
# whose only trouble is pauses: k × T, longer than the pauses. Or set k for each server, and you have done by hand
# what φ does. (Simulated heartbeats, eight server-hours a fleet; the time under way comes on top, for both alike.
# Record yours and ask `accrual compare`.)

# %% [markdown] {"items": [35, 36, 37, 38, 39]}
# ## Take away
#
# - A blast radius is **in users, too**: how many, how often each, for how long. The same eighth of the requests is
#   605 users or 114.
# - **Shards** cut off fewer users, the more there are; the fullest one decides. They do not cool a hot user.
# - **Shuffle sharding** turns n workers into $\binom{n}{k}$ shards. It needs a client that tries its next worker;
#   without that it is worse than plain shards. **Cells** share nothing but a router.
# - A **canary** that is small is slow to see, and one that is large is blind to what is below its alarm. It needs an
#   alarm, or it is only a smaller accident.
# - **Ejection**: compare detectors at equal detection time, over hours, on your own heartbeats. φ wins where servers
#   differ, k × T where they are alike and pause.
#
# **For your own system:** `accrual plan shards --customers N --workers W --shard-size K --needs R`, and for pools
# `accrual plan pools`. `docs/isolation-model.md` says what the model leaves out.
#
# **Sources.** C. MacCárthaigh, *Workload isolation using shuffle-sharding*, Amazon Builders' Library, 2019, whose
# figures for 8 and for 2048 workers this library's tests reproduce. Lesson 12 comes back to the lecture's question on
# what shows a system's health.
