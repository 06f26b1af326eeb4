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

# %% [markdown] {"items": [42, 99]}
# # 12 · Is it healthy? And: your own system
#
# **About 30 minutes.** The first lecture ends with a question: *by which indicators do you judge that a system has
# failed, and how healthy it is?* The second ends with a task: *design detection and recovery for your own system.* Here
# are both. Afterwards you can
#
# - name the indicators, compute each from what happened, and say which moves first for which fault;
# - say what an average, a latency of "the answered" and a single health score hide;
# - take a trace of heartbeats, choose detector, threshold and recovery policy for it, and show what the choice rests
#   on.

# %%
import numpy as np

import accrual as ac
from accrual.course import check
from accrual.course.lesson_12 import FAILOVER, LEAST, PENALTY, PERMANENT, WAITS, three_faults, wanted
from accrual.lab import recorded
from accrual.recovery import FailoverController, waiting_cost
from accrual.show.health import INDICATORS, SCENARIOS, SymptomsOfFaults, incidents, outages, rehearse, symptoms
from accrual.show.own import heartbeats
from accrual.show.report import Subject, make_report

# %% [markdown] {"items": [42]}
# ## Which indicator moves first? *(8 minutes)*
#
# The shop of part two again: order, payment and delivery, 120 requests a second, 12 workers, and clients who give up
# after half a second. At the strike, a fault begins in payment. We watch nine indicators, each from what was *known* at
# that instant: a call that hangs has failed when its client gives up; its latency is known when its answer comes.
#
# An indicator has **moved** when it is worse than it ever was in the same run without the fault.
#
# **Predict.** Payment hangs, and all services share one pool. Which indicator moves first, and when does the 99 %
# latency?

# %%
first_to_move = None  # one of the names below
seconds_until_the_latency_moves = None

list(INDICATORS)

# %%
SymptomsOfFaults()

# %% [markdown] {"items": [42]}
# **Slide** the time after the strike, or step from one move to the next. Then choose another fault.
#
# **See.** All faults in one table: seconds after the strike, "–" for an indicator that never moved.

# %%
print(f"{'':43}", *(f"{name.removesuffix('_worst') + '*' * name.endswith('_worst'):>9.9}" for name in INDICATORS))
for name, fault in SCENARIOS.items():
    moved = symptoms(**fault).moved()
    cells = (f"{moved[one]:.1f}" if np.isfinite(moved[one]) else "–" for one in INDICATORS)
    print(f"{name:43}", *(f"{cell:>9}" for cell in cells))
print("errors*: of the worst service.  You said:", first_to_move, seconds_until_the_latency_moves)

# %% [markdown] {"items": [42]}
# **Explain.**
#
# - **Saturation** leads for everything that *holds* work: a hang, slow answers, a frozen interpreter. Requests pile up
#   before a single one has failed.
# - **Error rate** follows when the clients' patience is over, and leads where a fault fails fast: an exception, a
#   crash.
# - **Latency of the answered** sees a hang only after five seconds, when the first hung call returns: until then the
#   slow ones are missing from it. Count a request that is still open as *at least* so slow as it is old.
# - **A heartbeat** sees what ends or freezes the process, and nothing else. A service that hangs beats on. That is a
#   *grey failure*; a detector judges what the heartbeat goes through, so let it go through the real work.
# - **Availability since the start** and the **users hit** move with the first error, but by a hair. They say how bad
#   it was, and are for the report afterwards.
# - *Corrupt data* is counted here by someone who knows the right answer. The service itself would report no error: it
#   takes a check of the content.
#
# **Do.** Which indicator moves first for the hang in the shared pool? Give its name.

# %%
first = None
# solution
moved = symptoms(fault="hang", shared_pool=True).moved()
first = min(moved, key=moved.get)

check("12.1", first)

# %% [markdown] {"items": [42]}
# ## What averages and scores hide *(4 minutes)*
#
# **Predict.** Payment answers nothing but errors. You have a *health score*, the mean of four parts, each from 0 to 1:
# good answers, latency within the deadline, free workers, availability since the start. What does it say?

# %%
score_while_no_payment_works = None  # from 0, dead, to 1, well

# %%
print(f"{'5 s after the strike':43} {'score':>6} {'all errors':>11} {'worst service':>14} {'p50':>9} {'p99':>9}")
for name, fault in SCENARIOS.items():
    found = symptoms(**fault)
    at = np.searchsorted(found.times, found.run.window[0] + 5 - 1e-6)
    now = {one: float(values[at]) for one, values in found.values.items()}
    late, busy = min(1, now["p99"] / 500), min(1, now["in_flight"])
    parts = [1 - now["errors"] / 100, 1 - late, 1 - busy, now["availability"] / 100]
    print(f"{name:43} {np.mean(parts):6.2f} {now['errors']:10.1f}% {now['errors_worst']:13.1f}%", end=" ")
    print(f"{now['p50']:6.0f} ms {now['p99']:6.0f} ms")
print("You said:", score_while_no_payment_works)

# %% [markdown] {"items": [42]}
# **See.** With every payment failing, the exception's score is 0.89: three parts are fine, and the fourth is diluted by
# two healthy services. A corrupt shop, where *all* answers are wrong, still scores above one half.
#
# **Explain.** A mean lets a good part pay for a bad one; users are not paid that way. So: alert on the **worst** part,
# by service and by kind of user, and on what users see (errors, latency). Keep the causes (saturation, heartbeats) to
# find out why. A score is for a poster.

# %% [markdown] {"items": [42]}
# ## How long, and how much is gone? *(6 minutes)*
#
# Now a cluster of three, two minutes and three faults: a crash, a partition that cuts the primary off *together with
# its
# client*, a crash. From one run:
#
# | indicator | what it is |
# |---|---|
# | **MTTD** | mean time to detect: from the fault to the first suspicion |
# | **MTTR** | mean time to recover: from the fault until users are served again, detection included |
# | **MTBF** | mean time between failures, from one to the next |
# | **RTO** | the recovery time that you *allow*; every single outage is held against it |
# | **RPO** | the loss that you *allow*, in seconds of acknowledged work |
#
# **Predict.** Which of the three faults is worst by MTTR, and which by loss?

# %%
worst_by_time, worst_by_loss = None, None

# %%
run = three_faults()
found = incidents(run)
for incident in found:
    print(
        f"struck at {incident.struck:3.0f} s: detected in {incident.detect:.2f} s,"
        f" served again in {incident.repair:.2f} s,"
        f" {incident.lost:3} acknowledged writes lost, over {incident.lost_span:.2f} s"
    )
print(f"MTTD {np.mean([i.detect for i in found]):.2f} s, MTTR {np.mean([i.repair for i in found]):.2f} s,", end=" ")
print(f"MTBF {np.mean(np.diff([i.struck for i in found])):.0f} s")
print(f"availability for writes {1 - run.outcome.unavailability / run.seconds:.2%}")
print("You said:", worst_by_time, worst_by_loss)

# %% [markdown] {"items": [42]}
# **See.** The partition looks best: its client was served all the time, and every write was acknowledged. And four
# seconds of them are gone, for the other side had elected a new primary, whose log won. **Time and loss are two
# indicators; neither stands for the other.**
#
# The same on real servers: here is what `accrual lab failover` recorded (Valkey, the primary killed; on the machine
# that
# its manifest names). The detection time is most of the outage.

# %%
recorded("failover")

# %% [markdown] {"items": [42]}
# **Do.** Write the availability of a system from its MTBF, the mean time to detect and the mean time to repair
# thereafter.


# %%
def availability(mtbf, detect, repair):
    """The share of the time in which it serves, all in seconds."""
    # solution
    return 1 - (detect + repair) / mtbf


check("12.2", availability)

# %% [markdown] {"items": [42]}
# And the loss: from the *start* of the first acknowledged write that did not survive to the *end* of the last; 0 if all
# survived. An operation has `kind`, `number`, `start`, `end` and `status`.


# %%
def recovery_point(operations, survivors):
    """Seconds of acknowledged work that are gone; `survivors` are the numbers of the writes that are there."""
    # solution
    lost = [o for o in operations if o.kind == "write" and o.status == "ok" and o.number not in survivors]
    return max(o.end for o in lost) - min(o.start for o in lost) if lost else 0.0


check("12.3", recovery_point)

# %% [markdown] {"items": [42]}
# **The detector has a health, too.** It decides on a failover, so watch how good it is: detection time T_D, mistake
# rate
# λ_M, mistake duration T_M, and the share of the time in which its answer is right, P_A. All from one recorded trace:

# %%
quality = ac.qos(ac.load("paused"), ac.FixedTimeout(period=0.01), 50)
print(f"T_D {quality.detection_time:.3f} s, λ_M {3600 * quality.mistake_rate:.0f} an hour,", end=" ")
print(f"T_M {quality.mistake_duration:.2f} s, P_A {quality.query_accuracy:.1%}")

# %% [markdown] {"items": [42]}
# **The lecture's question.** By which indicators do you judge that a system has failed, and how healthy it is? Write
# your answer down, in five lines, before you unfold ours.

# %% [markdown] {"items": [42], "tags": ["solution"]}
# *That it has failed* show, in the users' terms: **error rate** and **latency quantiles** of each service (open
# requests
# counted), **availability** against a target; and ahead of them **saturation**. *Which node* it is, a **heartbeat**
# through the real work shows; how far to trust it, its **T_D, λ_M, T_M and P_A**.
#
# *How bad it is*: the **blast radius**, the share of users who were hit. *How well it is handled*: **MTTD** and
# **MTTR**
# for time, each outage against the **RTO**; the acknowledged work that is gone against the **RPO**; and **MTBF** for
# how
# often. Look at the worst, not the mean, and mix nothing into one number.

# %% [markdown] {"items": [99]}
# ## Capstone: detector and threshold *(5 minutes)*
#
# Now a system of your own. Without one, take the trace `paused`: a sender that a machine stopped for up to some
# seconds,
# now and then. With one: run `accrual record mine.parquet --period 0.01 --count 6000`, and set `MINE = "mine.parquet"`.
# It takes 4,000 heartbeats or more; what cannot be used is explained in words.

# %%
MINE = None

trace = heartbeats(ac.load("paused") if MINE is None else ac.read_trace(MINE), LEAST)
half = len(trace) // 2
print(f"{len(trace):,} heartbeats; you tune on {half:,} of them. Asked for: detection in {wanted(trace):.3g} s.")

# %% [markdown] {"items": [99]}
# **Predict.** Which detector makes the fewest mistakes, if all detect a crash in that time?

# %%
fewest_mistakes = None  # "fixed", "phi", "chen"?

# %%
period = trace.period or float(np.median(np.diff(trace.arrivals))) / 1e9
detectors = [ac.FixedTimeout(period=period), ac.PhiNormal(window=1000), ac.Chen(window=1000)]
ac.compare(trace[:half], detectors, detection_time=wanted(trace))

# %% [markdown] {"items": [99]}
# **Do.** Choose a detector, and a threshold for that detection time. It is judged by the second half, of which
# `ac.tune`
# learns nothing.

# %%
detector, threshold = None, None
# solution
tuned = [ac.tune(trace, one, detection_time=wanted(trace)) for one in detectors]
best = min((one for one in tuned if one.learnt), key=lambda one: one.learnt.mistakes)
detector, threshold = best.detector, best.threshold

check("12.4", (trace, detector, threshold) if detector else None)

# %% [markdown] {"items": [99]}
# ## Capstone: wait, or promote? *(4 minutes)*
#
# The sender of this trace was never dead. Each mistake is a *temporary* outage, and lesson 9's question is back: how
# long
# to wait before a backup is promoted? Here a failover takes 0.5 s, and costs as much as 10 s of outage besides (cold
# caches, a resynchronisation); of all outages 5 % never end by themselves.
#
# **Predict.** What is the best wait, in seconds?

# %%
best_wait = None

# %%
if detector:
    learnt = outages(trace[:half], detector, threshold)
    print(f"{len(learnt)} outages in the first half, the longest {max(learnt, default=0):.2f} s")
    if len(learnt):
        costs = waiting_cost(learnt, WAITS, failover=FAILOVER, penalty=PENALTY, permanent=PERMANENT)
        for k in range(0, len(WAITS), 5):
            print(f"wait {WAITS[k]:3.1f} s: {costs.cost[k]:5.2f} s an outage, {costs.promoted[k]:4.0%} promoted")
print("You said:", best_wait)

# %% [markdown] {"items": [99]}
# **Do.** Choose the wait.

# %%
wait = None
# solution
wait = costs.best if detector and len(learnt) else 0.0

check("12.5", (trace, detector, threshold, wait) if detector and wait is not None else None)

# %% [markdown] {"items": [99]}
# ## Capstone: the controller, and the report *(3 minutes)*
#
# Last, what runs in production: `FailoverController`, with your detector, threshold and wait. You hand it two
# callbacks.
# It never promotes before the fence has succeeded.
#
# **Do.** Build it. It is then rehearsed on the second half of the trace, at whose end the primary crashes.


# %%
def build(fence, promote):
    """A controller of the nodes "primary" and "backup", "primary" leading."""
    # solution
    return FailoverController(
        ["primary", "backup"],
        "primary",
        detector=detector,
        threshold=threshold,
        wait_before_promote=wait,
        fence=fence,
        promote=promote,
    )


check("12.6", (trace, build) if detector and wait is not None else None)

# %%
if detector and wait is not None and isinstance(build(print, print), FailoverController):
    print(rehearse(build, trace[half:]))

# %% [markdown] {"items": [99]}
# **See.** Needless failovers are those that the wait did not avert. The time until a backup is promoted is detection
# *and* wait: patience with temporary faults is paid for at every real crash.
#
# And the page to show to others, as `accrual report` makes it: one file, no network, with curves, tables, and what it
# was
# made from.

# %%
report = make_report([Subject("My system", MINE or "paused", 1, "", trace)], ["fixed", "phi:window=1000"])
report.write("my-system.html")
print("written: my-system.html")

# %% [markdown] {"items": [42, 99]}
# ## Take away
#
# - **Saturation leads, errors tell, latency of the answered lags**, and a heartbeat sees only what it goes through.
# - Look at the **worst** service and user. A mean hides, a mixed score hides more.
# - **Time and loss are two things**: MTTD and MTTR against the RTO, lost acknowledged work against the RPO.
# - A design is a chain: **trace → detector at a detection time → threshold → wait → fence, then promote → report**.
#   Each
#   link is tuned on one part of the evidence and judged by another.
#
# **Sources.** B. Beyer and others, *Site Reliability Engineering*, 2016, chapters 4 and 6, on indicators and alerts.
# P. Huang and others, *Gray failure: the Achilles' heel of cloud-scale systems*, HotOS 2017. W. Chen, S. Toueg and
# M. Aguilera, *On the quality of service of failure detectors*, IEEE Transactions on Computers 51, 2002.
