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
from accrual.course.lesson_12 import FAILOVER, PENALTY, PERMANENT, WAITS, WARM, chosen, three_faults, to_tune_on, wanted
from accrual.recovery import FailoverController, waiting_cost
from accrual.recovery.labs import failover
from accrual.show.design import make_design
from accrual.show.health import (
    INDICATORS,
    Moves,
    SymptomsOfFaults,
    incidents,
    outages,
    rehearse,
    share_of_detection,
    symptoms,
)
from accrual.show.own import nominal_period
from accrual.show.run_lab import RunLab
from accrual.show.scrubber import Scrubber, story_of_run

# %% [markdown] {"items": [42]}
# ## Which indicator moves first? *(8 minutes)*
#
# The shop of part two again: order, payment and delivery, 120 requests a second, 12 workers, and clients who give up
# after half a second. At the strike, a fault begins in payment. We watch nine indicators, each from what was *known* at
# that instant: a call that hangs has failed when its client gives up; its latency is known when its answer comes. Among
# them are the *four golden signals* of Google's SRE book: latency, traffic (here: good answers), errors, saturation.
#
# An indicator has **moved** when it is worse than it ever was in the same run without the fault; the heartbeat (one
# every 100 ms), when it is overdue by the fixed timeout of lesson 2, k = 5.
#
# **Predict.** Payment hangs, and all services share one pool. Which indicator moves first, and when does the 99 %
# latency?

# %%
first_to_move = None  # one of the names below
seconds_until_the_latency_moves = None

for name, indicator in INDICATORS.items():
    print(f"{name:13} {indicator.title}")

# %%
shop = SymptomsOfFaults()
shop

# %% [markdown] {"items": [42]}
# **Slide** the time after the strike, or step from one move to the next. Then choose another fault.
#
# **See.** All faults in one table: seconds after the strike.

# %%
print("You said:", first_to_move, "first, the 99 % latency after", seconds_until_the_latency_moves, "s")
Moves(shop.found)

# %% [markdown] {"items": [42]}
# **Explain.**
#
# - **Saturation** leads for everything that *holds* work: a hang, slow answers, a frozen interpreter. Requests pile up
#   before a single one has failed. With what fails fast, it never moves.
# - **Error rate** follows when the clients' patience is over, and leads where a fault fails fast: an exception, a
#   crash.
# - **Latency of the answered** sees a hang only after five seconds, when the first hung call returns: until then the
#   slow ones are missing from it. Count a request that is still open as *at least* so slow as it is old.
# - **A heartbeat** sees what ends or freezes the process, and nothing else. A service that hangs beats on: to its
#   monitor it is well, to its users it is not, and that difference is what a *grey failure* is (Huang and others). A
#   detector judges what the heartbeat goes through, so let it go through the service's own work; but not through the
#   services that it calls, or one of these takes all its callers down with it.
# - **Availability since the start** and the **users hit** move with the first error, but by a hair. They say how bad it
#   was, and are for the report afterwards.
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
print("You said:", score_while_no_payment_works)
heads = ("score", "all errors", "worst service", "p50", "p99")
print(f"{'5 s after the strike':41} {heads[0]:>6}", *(f"{head:>13}" for head in heads[1:]))
for name, found in shop.found.items():
    at = np.searchsorted(found.times, found.run.window[0] + 5 - 1e-6)
    now = {one: float(values[at]) for one, values in found.values.items()}
    answered = not np.isnan(now["p99"])  # where nothing is, nothing is in time
    late, busy = min(1, now["p99"] / 500) if answered else 1, min(1, now["in_flight"])
    parts = [1 - now["errors"] / 100, 1 - late, 1 - busy, now["availability"] / 100]
    p50, p99 = (f"{now[one]:.0f} ms" if answered else "–" for one in ("p50", "p99"))
    shares = (f"{now[one]:.1f}%" for one in ("errors", "errors_worst"))
    print(f"{name:41} {np.mean(parts):6.2f}", *(f"{cell:>13}" for cell in (*shares, p50, p99)))

# %% [markdown] {"items": [42]}
# **See.** With every payment failing, the exception's score is 0.89: three parts are fine, and the fourth is diluted by
# two healthy services. A corrupt shop, where *all* answers are wrong, still scores 0.68. And a score has no memory: the
# process that crashed was started again after a second, and four seconds later all is well, at 0.98.
#
# **Explain.** A mean lets a good part pay for a bad one; users are not paid that way. So: alert on the **worst** part,
# by service and by kind of user, and on what users see (errors, latency). Keep the causes (saturation, heartbeats) to
# find out why. A score is for a poster.

# %% [markdown] {"items": [42]}
# ## How long, and how much is gone? *(6 minutes)*
#
# Now a cluster of three, two minutes and three faults: a crash, a partition that cuts the primary off *together with
# its client*, a crash. The client sends 100 requests a second, half of them writes. What there is to measure:
#
# | indicator | what it is |
# |---|---|
# | **MTTD** | mean time to detect: from the fault to the first suspicion |
# | **MTTR** | mean time to recover: from the fault until users are served again, detection included |
# | **MTBF** | mean time between failures, here from the start of one to the start of the next |
# | **RTO** | recovery time objective: the longest outage that you *allow*; each single one is held against it |
# | **RPO** | recovery point objective: the loss that you *allow*, in seconds of acknowledged work |
#
# Ask whoever says MTBF which one is meant: some, IEC's vocabulary among them, count the *operating* time between two
# failures only, which is lesson 1's MTTF. Ours is MTTF + MTTR.
#
# **Predict.** Which of the three faults is worst by the time to recover, and which by what is lost?

# %%
worst_by_time, worst_by_loss = None, None  # "first crash", "partition", "second crash"

# %%
run = three_faults()
spans = {"first crash": (19.8, 21.2), "partition": (59.5, 64.5), "second crash": (89.8, 91.2)}
Scrubber({name: story_of_run(run, *span, reads=False) for name, span in spans.items()}, choice="Fault")

# %% [markdown] {"items": [42]}
# **Slide** the time, or step from event to event; then choose the next fault. The client's lane says what became of the
# write that was sent then. *lost*: it was told OK, and is gone in the end.

# %%
found = incidents(run)
for name, incident in zip(spans, found, strict=True):
    print(f"{name:12} detected in {incident.detect:.2f} s,", end=" ")
    print(f"served again in {incident.repair:.2f} s,", end=" ")
    print(f"{incident.lost:3} acknowledged writes lost, over {incident.lost_span:.2f} s")
print(f"MTTD {np.mean([i.detect for i in found]):.2f} s,", end=" ")
print(f"MTTR {np.mean([i.repair for i in found]):.2f} s,", end=" ")
print(f"MTBF {np.mean(np.diff([i.struck for i in found])):.0f} s")
print(f"availability for writes {1 - run.outcome.unavailability / run.seconds:.2%}")
print("You said:", worst_by_time, worst_by_loss)

# %% [markdown] {"items": [42]}
# **See.** The partition looks best: its client was served all the time, and every write was acknowledged. And four
# seconds of them are gone, for the other side had elected a new primary, whose log won. **Time and loss are two
# indicators; neither stands for the other.** And three faults make for a poor mean: look at each, and say how many
# there were.
#
# The same on real servers: the lab `failover` kills the primary of three Valkey servers. Our `FailoverController`
# brings writing back, with φ and with k × T; then three Sentinels do. You see what was recorded; the button runs it
# here, in some 20 seconds.

# %%
lab = RunLab(failover)
lab

# %%
lab.then(share_of_detection)

# %% [markdown] {"items": [42]}
# **See.** In the recording, where our controller decides alone, detection is 95 % and 98 % of the outage: 0.28 of 0.30
# s with φ, 0.40 of 0.41 s with k × T. With Sentinel it is half: 1.02 s, as its `down-after` of 1 s says, and 1.1 s more
# until three of them have agreed, one was elected to do it, and a new primary writes. **Take MTTR apart before you work
# on it.** No acknowledged write was lost here; with asynchronous replication that is no promise (lesson 10).

# %% [markdown] {"items": [42]}
# **Do.** Write the availability of a system from its MTBF (as above: start to start), the mean time to detect and the
# mean time to repair thereafter.


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
    """Seconds of acknowledged work that are gone; survivors: numbers of the writes that are there."""
    # solution
    lost = [o for o in operations if o.kind == "write" and o.status == "ok" and o.number not in survivors]
    return max(o.end for o in lost) - min(o.start for o in lost) if lost else 0.0


check("12.3", recovery_point)

# %% [markdown] {"items": [42]}
# **The detector has a health, too.** It decides on a failover, so watch how good it is: detection time T_D, mistake
# rate λ_M, mistake duration T_M, and the share of the time in which its answer is right, P_A. All from one recorded
# trace, of a sender that was stopped now and then and never dead:

# %%
quality = ac.qos(ac.load("paused"), ac.FixedTimeout(period=0.01), 50)
print(f"T_D {quality.detection_time:.3f} s, λ_M {3600 * quality.mistake_rate:.0f} an hour,", end=" ")
print(f"T_M {quality.mistake_duration:.2f} s, P_A {quality.query_accuracy:.1%}")

# %% [markdown] {"items": [42]}
# **The lecture's question.** By which indicators do you judge that a system has failed, and how healthy it is? Write
# your answer down, in five lines, before you unfold ours.

# %% [markdown] {"items": [42], "tags": ["solution"]}
# *That it has failed* is shown, in the users' terms, by the **error rate** and the **latency quantiles** of each
# service (open requests counted), and by **availability** against a target; ahead of them moves **saturation**. *Which
# node* it is, a **heartbeat** through the real work shows; how far to trust it, its **T_D, λ_M, T_M and P_A**.
#
# *How bad it is*: the **blast radius**, the share of users who were hit. *How well it is handled*: **MTTD** and
# **MTTR** for time, each outage against the **RTO**; the acknowledged work that is gone against the **RPO**; and
# **MTBF** for how often. Look at the worst, not the mean, and mix nothing into one number.

# %% [markdown] {"items": [99]}
# ## Capstone: detector and threshold *(5 minutes)*
#
# Now a system of your own. Record its heartbeats: `accrual record mine.parquet --period 0.01 --count 6000` takes a
# minute on this machine, and with `accrual send` on another one (`accrual record --help`) it is your network's, too.
# Set `MINE = "mine.parquet"`; it takes 4,000 heartbeats or more, and what cannot be used is explained in words. Without
# one, take the trace `paused`: a sender that was stopped for up to some seconds, now and then.
#
# On a quiet machine your trace may hold no mistake at all, which is good to know, and dull: with `--disturb
# pause:every=8,median=0.8,sigma=0.5` your sender is stopped as that of `paused` was.

# %%
NAME, MINE = "My system", None

system = to_tune_on(MINE, NAME)
trace = system.trace
half = len(trace) // 2
print(f"{system.name}: {len(trace):,} heartbeats; you tune on the first {half:,}.")
print(f"Asked for: detection in fifty periods, {wanted(trace):.3g} s.")

# %% [markdown] {"items": [99]}
# **Predict.** Which detector makes the fewest mistakes, if all detect a crash in that time?

# %%
fewest_mistakes = None  # "fixed", "phi", "chen"?

# %%
print("You said:", fewest_mistakes)
period = nominal_period(trace)
detectors = [ac.FixedTimeout(period=period), ac.PhiNormal(window=1000), ac.Chen(window=1000)]
ac.compare(trace[:half], detectors, detection_time=wanted(trace))

# %% [markdown] {"items": [99]}
# **See.** In `paused`, the fixed timeout makes 23 mistakes, φ (normal) 36 and Chen 78; the multiple of the mean, which
# is always in the table, 23 again. Nothing announces a pause, so there is nothing to learn from the window; yet each
# pause stays in the window for a thousand heartbeats and makes φ and Chen slow meanwhile (their T_D p99). At an equal
# *mean* they are the hastier for it the rest of the time, and that is when the next pause comes. Your own trace may say
# otherwise: read the intervals in brackets. Where no mistake was seen, all that you know is a bound.
#
# **Do.** Choose a detector, and a threshold for that detection time. It is judged by the second half, of which
# `ac.tune` learns nothing.

# %%
detector, threshold = None, None
# solution
tuned = [ac.tune(trace, one, detection_time=wanted(trace), skip=WARM) for one in detectors]
best = min((one for one in tuned if one.learnt), key=lambda one: one.learnt.mistakes)
detector, threshold = best.detector, best.threshold

check("12.4", (trace, detector, threshold) if detector else None)

# %% [markdown] {"items": [99]}
# ## Capstone: wait, or promote? *(4 minutes)*
#
# The sender of this trace was never dead (nor was yours, if you watched it). Each mistake is a *temporary* outage, and
# lesson 9's question is back: how long to wait before a backup is promoted? Here a failover takes 0.5 s, and costs as
# much as 10 s of outage besides (cold caches, a resynchronisation); of all outages 5 % never end by themselves. These
# three are assumed. Your own system has its own.
#
# **Predict.** What is the best wait, in seconds?

# %%
best_wait = None

# %%
print("You said:", best_wait)
if chosen(detector, threshold):
    learnt = outages(trace[:half], detector, threshold, skip=WARM)
    print(f"{len(learnt)} outages in the first half, the longest {max(learnt, default=0):.2f} s")
    if len(learnt):
        costs = waiting_cost(learnt, WAITS, failover=FAILOVER, penalty=PENALTY, permanent=PERMANENT)
        for k in range(0, len(WAITS), 5):
            print(f"wait {WAITS[k]:3.1f} s: {costs.cost[k]:5.2f} s an outage,", end=" ")
            print(f"{costs.promoted[k]:4.0%} promoted")
    else:
        print("Nothing passed by itself, so nothing speaks for waiting. Perhaps in a longer recording.")

# %% [markdown] {"items": [99]}
# **See.** In `paused` the cost falls from 10.50 s to a floor of 1.3 s, and stays there: once every temporary outage is
# waited out, another half second costs only the 5 % that never end. So it is cheap to wait a little too long, and dear
# to wait a little too short. The floor begins at the longest outage *that was seen*, one of 23: not a bound, only the
# longest so far.
#
# **Do.** Choose the wait.

# %%
wait = None
# solution
wait = costs.best if chosen(detector, threshold) and len(learnt) else 0.0

check("12.5", (trace, detector, threshold, wait) if detector and wait is not None else None)

# %% [markdown] {"items": [99]}
# ## Capstone: the controller, and the report *(3 minutes)*
#
# Last, what runs in production: `FailoverController`, with your detector, threshold and wait. You hand it two
# callbacks. It never promotes before the fence has succeeded.
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
rehearsal = None
if chosen(detector, threshold, wait) and isinstance(build(print, print), FailoverController):
    rehearsal = rehearse(build, trace[half:], warm=WARM)
print(rehearsal or "There is nothing to rehearse yet: choose detector, threshold and wait, and build.")

# %% [markdown] {"items": [99]}
# **See.** Needless failovers are those that the wait did not avert. The time until a backup is promoted is detection
# *and* wait: patience with temporary faults is paid for at every real crash.
#
# And the page to show to others: one file, no network. First your design, with what it does, what it rests on and what
# the fence guarantees; then the evidence, as `accrual report` makes it of any trace.

# %%
if rehearsal:
    prices = {"failover": FAILOVER, "penalty": PENALTY, "permanent": PERMANENT}
    design = make_design(system, detector, threshold, wait, rehearsal, wanted=wanted(trace), **prices)
    design.write("my-system.html")
    print(design.in_short(), "\n\nWritten: my-system.html")

# %% [markdown] {"items": [99]}
# **Do.** Open `my-system.html` from the file browser at the left, and give it to somebody who would be called at night
# for this system. Which line do they doubt? Mostly it is an assumption; measure that one next.

# %% [markdown] {"items": [42, 99]}
# ## Take away
#
# - **Saturation leads, errors tell, latency of the answered lags**, and a heartbeat sees only what it goes through.
# - Look at the **worst** service and user. A mean hides, a mixed score hides more.
# - **Time and loss are two things**: MTTD and MTTR against the RTO, lost acknowledged work against the RPO.
# - A design is a chain: **trace → detector at a detection time → threshold → wait → fence, then promote → report**.
#   Each link is tuned on one part of the evidence and judged by another.
#
# **Sources.** B. Beyer and others, *Site Reliability Engineering*, 2016, chapters 4 and 6, on indicators and alerts. P.
# Huang and others, *Gray failure: the Achilles' heel of cloud-scale systems*, HotOS 2017. W. Chen, S. Toueg and M.
# Aguilera, *On the quality of service of failure detectors*, IEEE Transactions on Computers 51, 2002.
