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

# %% [markdown] {"items": [8, 9]}
# # 6 · Threads and processes
#
# **About 30 minutes.** Something will break. How much breaks with it was decided long before, when somebody drew the
# boundaries: this lesson is about the two innermost ones. Afterwards you can
#
# - place any design on a map of strategies, and say which faults its boundary stops;
# - keep a hanging service from taking the others along, and size the pools and timeouts that do it;
# - say when threads are enough, and when it has to be processes;
# - count what a boundary costs: in threads, in memory, and in time for each question that has to cross it.
#
# In every section, commit to an answer first and move the slider then. Wrong guesses teach the most.

# %%
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np

import accrual.isolation as iso
from accrual.course import check
from accrual.isolation.labs import ladder, threads
from accrual.lab import recorded
from accrual.show.pools import RATES, Blast, Ladder, Pools, Rush, Strategies, TwoAxes, rush
from accrual.show.run_lab import RunLab

# %% [markdown] {"items": [8, 9]}
# ## Two axes *(4 minutes)*
#
# Whatever is to be kept apart, there are two questions to ask.
#
# - **What is divided?** *By function*: this part takes orders, that part payments. Or *by resource*: this part gets two
#   cores and 4 GB, that part gets two others, whatever they do with them.
# - **At which boundary?** A pool of threads, a process, a container, a virtual machine, a host, a cluster, a
#   datacenter: from the finest to the coarsest. Two things that share something fall with it.
#
# **Predict.** Six designs are waiting. How many will you place rightly at the first try?

# %%
right_at_once = None  # from 0 to 6

# %%
TwoAxes()

# %% [markdown] {"items": [8, 9]}
# **Do.** Choose a design, then click the field where it belongs; Tab and Enter will do, too. The number shows what you
# have placed.
#
# **See.** The lecture puts threads and processes on the first axis, and containers, virtual machines, hosts and
# datacenters on the second. Real systems do both at once: three services (by function) in three containers (by
# resource). The axis tells you *what to write down*: an interface, or a budget.
#
# The row is what matters when something breaks. Find **the innermost thing that two parts still share**: a fault that
# breaks it takes both.

# %% [markdown] {"items": [11, 12, 13]}
# ## A pool of threads for each *(7 minutes)*
#
# A shop in one program, one process on one machine, serves orders, payments and deliveries, 40 a second of each. A
# request keeps a thread for 10 ms, so that one or two busy threads are enough, and it has 12.
#
# At 5 s, the bank stops answering. Nothing crashes: every call to it just *hangs*, and its thread waits.
#
# **Predict.** All twelve threads are in one pool. Which share of the *orders*, which never talk to the bank, fails
# during the ten seconds?

# %%
orders_failing = None  # in per cent

# %%
Pools()

# %% [markdown] {"items": [11, 12]}
# **See.** One pool, and 98 % of the orders fail with the payments. After 0.3 s twelve calls are hanging, and the
# thirteenth request waits, whatever it is for.
#
# Now choose *a pool for each*: 4 + 4 + 4 threads, not one more than before. Orders and deliveries do not notice. These
# are **bulkheads**, like the walls in a ship's hull. Then let *order* hang: whoever has ordered still pays and gets the
# goods. Each service can be the broken one.
#
# **Predict.** Could one pool be saved without walls? By more threads, or by calls that give up sooner?

# %%
saved_by = None  # "more threads", "giving up", "both" or "neither"?

# %%
Pools("threads", "timeout")

# %% [markdown] {"items": [11, 12]}
# **Slide** the threads of the one pool, from 12 up to 72. Then take 12 again, and let a call **give up** after 0.3 s,
# after 0.2 s.
#
# **Explain.** More threads buy time, not isolation: 72 are full after 1.8 s instead of 0.3 s. A **timeout** works, for
# it gives threads back. How many are kept follows from *Little's law*: calls a second × how long each of them stays.
# At 5 s that is 40 × 5 = 200 threads.
#
# **Do.** Orders and deliveries keep 0.8 threads busy on average. Up to which timeout do 12 threads in *one* pool have
# room for them and for the hanging payments, on average?

# %%
longest_timeout = None  # in seconds
# solution
longest_timeout = (12 - 0.8) / 40

check("06.1", longest_timeout)

# %% [markdown] {"items": [11]}
# In Python it takes a line. Here it is for real, in this very notebook: four threads, and a bank that does not answer.

# %%
print("You said:", orders_failing, "%, saved by", saved_by)
bank_answers = threading.Event()  # nobody sets it yet


def pay():
    bank_answers.wait()


def order():
    return "ordered"


def try_to_order(pool_of_payments, pool_of_orders):
    for _ in range(10):
        pool_of_payments.submit(pay)
    try:
        return pool_of_orders.submit(order).result(timeout=0.5)
    except TimeoutError:
        return "no answer within 0.5 s"


shared = ThreadPoolExecutor(4)
print("one pool of 4:  ", try_to_order(shared, shared))
payments, orders = ThreadPoolExecutor(2), ThreadPoolExecutor(2)
print("two pools of 2: ", try_to_order(payments, orders))

bank_answers.set()  # let them all go
for pool in (shared, payments, orders):
    pool.shutdown()

# %% [markdown] {"items": [11]}
# **Do.** Write what makes the bulkheads: for each name a pool with so many threads.


# %%
def make_bulkheads(names, workers):
    """A dict with a ThreadPoolExecutor for each name."""
    # solution
    return {name: ThreadPoolExecutor(workers) for name in names}


check("06.2", make_bulkheads)

# %% [markdown] {"items": [11, 12]}
# **Is the model right?** `accrual lab threads` does it with a real server, real threads, and customers that come at
# random. Beside it is what the model says of the same 1.5 s, over 40 seeds. You see what was recorded; the button
# measures it on *your* machine, which takes some twenty seconds, and the table below changes.

# %%
measured = RunLab(threads)
measured


# %%
def beside_the_model(found):
    """The shares of requests that fail, as the lab found them and as the model says."""
    lines = [f"share of requests failing [{found.recorded or 'measured here'}]"]
    lines += [f"{'pool':8}{'service':10}{'lab':>6}{'model':>16}"]
    for row in found.rows:
        if row["fault"] == "hang":
            shared = row["pool"] == "shared"
            runs = [
                iso.simulate(fault="hang", shared_pool=shared, duration=8, strikes=0.5, lasts=1.5, seed=k)
                for k in range(40)
            ]
            for number, name in enumerate(iso.SHOP):
                model = [run.services[number].failing for run in runs]
                said = f"{np.mean(model):9.2f} ± {np.std(model):.2f}"
                lines += [f"{row['pool']:8}{name:10}{row[f'bad_{name}']:6.2f}{said}"]
    return "\n".join(lines)


measured.then(beside_the_model)

# %% [markdown] {"items": [11]}
# The shares are lower than in the widget because one looks for 1.5 s instead of ten: twelve calls need 0.3 of them to
# take the pool. (In the lab the fault is a request, too, and a payment or two get in before it.)

# %% [markdown] {"items": [10, 19]}
# ## The night of the great sale *(5 minutes)*
#
# The lecture says: who has resources of his own has no contention, **and so performs better**. Test it. On the night of
# the sale ("double 11", or the morning on which the holiday trains go on sale) the bank does not stop, it is slow:
# payments take 20 times as long. There are 12 threads again, in one pool or in bulkheads.
#
# **Predict.** On a quiet evening with 120 requests a second: which loses fewer requests, one pool or bulkheads? And in
# the rush, with 240?

# %%
better_at_120, better_at_240 = None, None  # "one pool" or "bulkheads"?

# %%
Rush()

# %% [markdown] {"items": [10, 19]}
# **Slide** the rate, and choose the ticket sale, in which most people only look for a train.
#
# **Do.** From which of the slider's rates on do bulkheads lose fewer requests than one pool, in the shop?

# %%
bulkheads_from = None
# solution
for rate in RATES:
    one_pool, bulkheads = (rush("shop", rate, shared=shared).every for shared in (True, False))
    if bulkheads.failing < one_pool.failing:
        bulkheads_from = rate
        break

check("06.3", bulkheads_from)
print("You said:", better_at_120, "and", better_at_240)

# %% [markdown] {"items": [10, 19]}
# **Explain.** At 120 a second slow payments need 8 threads. One pool has them: it loses 51 requests. The bulkhead of
# payments has 4, and while 8 threads next door are idle, 408 requests are lost. **Here isolation costs eight times as
# many.** At 240 slow payments would need 16 threads. Now the one pool is full, and loses 2,240, orders and deliveries
# among them; bulkheads lose 827, all of them payments.
#
# So the lecture is right where there is contention, and wrong where there is none: own resources are also resources
# that cannot be borrowed. A bulkhead is an insurance. It costs something on every quiet evening, and pays on the
# night on which the whole year's money is made.
#
# With tickets the price is lower, since few requests pay: at 480 a second one pool loses 3,828 of them, searches and
# all, and bulkheads 254.

# %% [markdown] {"items": [13, 14]}
# ## Where threads are enough, and where they leak *(5 minutes)*
#
# Pools of threads are everywhere, above all in **monoliths**, one process with many threads: they need no network, no
# second program, and 13 to 36 µs for a question. They talk through **shared variables**. That is the convenience, and
# the leak:

# %%
prices = {"train ticket": 47}  # a global that all threads see
for work in (lambda: prices.update({"train ticket": -1}), lambda: print("order: that will be", prices["train ticket"])):
    with ThreadPoolExecutor(1) as own_pool:  # a bulkhead of its own for each
        own_pool.submit(work).result()

# %% [markdown] {"items": [14]}
# Two pools, one variable. The first pool was broken, the second one gives train tickets away. A pool keeps *threads*
# apart, and nothing else.
#
# **Predict.** Three pools of threads in one process. Of these faults in payment, which take order and delivery along:
# an exception, a hang, a corrupted variable, a segmentation fault, `kill -9`, C code that holds Python's lock (GIL)?

# %%
take_all = None  # for instance ["exception", "hang"]

# %%
Blast()

# %% [markdown] {"items": [13, 14, 15, 16, 17]}
# **Slide** through the faults, first with the three pools of threads. Then let the shop run as **three processes**, the
# lecture's next step when the monolith has grown too large, and go through them again. The last line is what the lab
# found when it did it, to real threads and to real processes.

# %%
compared = {row["level"]: row for row in recorded("compare").rows}
print(f"{'services failing, of 3':26}{'threads':>8}{'processes':>11}")
for fault in iso.FAULTS:
    print(f"{fault:26}{compared['thread'][fault]:8}{compared['process'][fault]:11}")
print("You said that these take all:", take_all)

# %% [markdown] {"items": [13, 14, 15]}
# **Explain.** The kernel knows processes. A segmentation fault, a signal, the killer that comes when memory is short:
# each ends a *process*, and all threads in it. And the interpreter's lock is one for a process: a C function that
# computes without giving it back (a regular expression can do that) freezes every Python thread.
#
# **Threads are enough** for what goes wrong *in Python code*: exceptions, hangs, slow calls. **They are not** against
# memory that runs out, native code that crashes or keeps the lock, and wrong values in what is shared.
#
# Two rows need a word. *memory-hog*: in the lab each process had a cap of its own (`RLIMIT_AS`, 64 MiB more than it
# needs), so that the hog ended alone. Without a cap it takes memory from everybody on the machine, and the picture
# above shows that worst case. *cpu-hog*: nobody fails, for 120 small requests a second need little; they only get
# slower. Caps are what lesson 7 is about.

# %% [markdown] {"items": [15, 16, 17]}
# ## kill -9 *(3 minutes)*
#
# Do it yourself: order, payment and delivery are three processes of this machine, and one of them gets killed.
#
# **Predict.** Which of the three still answer afterwards?

# %%
still_answer = None  # for instance ["order"]

# %%
SERVICE = "for line in iter(input, 'stop'): print('served', line, flush=True)"
shop = {
    name: subprocess.Popen(
        [sys.executable, "-c", SERVICE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    for name in iso.SHOP
}


def ask(service, what):
    try:
        service.stdin.write(f"{what}\n")
        service.stdin.flush()
        return service.stdout.readline().strip() or "no answer"
    except OSError as error:  # the pipe has nobody at its other end
        return f"no answer ({type(error).__name__})"


print({name: ask(service, "Ada") for name, service in shop.items()})
shop["payment"].kill()  # kill -9
shop["payment"].wait()
print({name: ask(service, "Bob") for name, service in shop.items()})
print("You said:", still_answer)

for service in shop.values():
    service.kill()
    service.communicate()

# %% [markdown] {"items": [15, 16, 17]}
# You may replace `kill()` by anything that ends a process: it makes no difference, the boundary is the same.
#
# Processes need not be on one machine. Go back to the picture, choose **two machines**, and pull the plug (the last
# fault) of payment's: order is on the same machine and goes down, too, delivery on the other one stays. Then **a
# machine for each**: process isolation has become **host isolation**, and only the plug knows the difference.
# Boundaries nest: a service is as isolated as the *outermost* thing that it shares with nobody.

# %% [markdown] {"items": [13, 15]}
# ## Guess the culprit *(3 minutes)*
#
# A boundary helps twice. It limits the damage, and it tells where to look. It is 3 o'clock, you are called out of bed,
# and you see *who fails*. Which service is the fault in?
#
# **Do.** Write it: the services whose fault would take exactly those that fail. `iso.place(level, services)` gives a
# placement, and `.reach(fault, service)` all that a fault in that service takes; each has a `.service`.


# %%
def suspects(level, fault, failing):
    """The services that the fault may be in."""
    # solution
    services = ["order", "payment", "delivery"]
    shop = iso.place(level, services)
    return [name for name in services if {of.service for of in shop.reach(fault, name)} == set(failing)]


check("06.4", suspects)

# %% [markdown] {"items": [13, 15]}
# After a segmentation fault among threads all three are suspects, and the log of the one process says little. Among
# processes it is one. That is log₂ 3 = 1.6 bits of information, for free, at 3 o'clock.

# %% [markdown] {"items": [18]}
# ## What it costs to talk *(4 minutes)*
#
# Threads have variables. Processes have nothing in common, so they must be given something: on one machine **pipes,
# message queues, semaphores, shared memory**; between machines **remote procedure calls**, RPC. That is inter-process
# communication, IPC.
#
# **Predict.** A function call is a question and an answer. How many times as long does a remote procedure call take, on
# the *same* machine?

# %%
times_as_long = None  # about 10, 100, 1000 or 10_000?

# %%
Ladder()

# %% [markdown] {"items": [18]}
# **Slide** how many questions the parts of the shop ask each other for one order.
#
# **See.** Each dot is a question and its answer, on a logarithmic scale; the last column is the time for an order.
# Three things are on it. A remote procedure call takes some 2,500 times as long as a function call, and most of that is
# not the network but text to be written and read again (this one is XML over HTTP): plain loopback TCP is 22 times as
# fast. *Shared memory with semaphores*, between two processes, is as fast as a queue between two threads, which have to
# take turns with the interpreter's lock: what costs time is to be woken, on whichever side of a boundary. And the slow
# ones: 99 in 100 took up to twice as long as the half, of the remote procedure calls four times. That was a quiet
# machine; climb the ladder on yours while it is busy, and look again.
#
# **Do.** An order may take 0.1 s. How many remote procedure calls may it make, one after the other, at the recorded
# median?

# %%
rungs = {row["rung"]: row["p50"] for row in recorded("ladder").rows}
calls_in_an_order = None
# solution
calls_in_an_order = int(0.1 / rungs["remote procedure call"])

check("06.5", calls_in_an_order)
print(f"RPC: {recorded('ladder').facts['times_of_a_call']:,.0f} times a function call. You said: {times_as_long}")

# %% [markdown] {"items": [18]}
# The button climbs the ladder on your machine, in a few seconds: the picture below it becomes yours, and the one above
# stays the recorded one.

# %%
climbed = RunLab(ladder)
climbed

# %%
climbed.then(Ladder)

# %% [markdown] {"items": [34]}
# ## All strategies side by side *(4 minutes)*
#
# The lecture ends in a table, and it is yours to fill in. A fault strikes payment; at each level, order, payment and
# delivery have to themselves what the first column says. How many of the three does the fault take?
#
# **Predict.** Fill in what you can, *then* reveal it.

# %%
Strategies()

# %% [markdown] {"items": [34]}
# **See.** The 1s make a staircase: pools of threads let all four faults through, a datacenter of one's own none.
# Process and container look alike here, and so do host and cluster; what tells them apart are caps and a network, in
# the full table below (*memory-hog*, *switch*).
#
# The second table is the bill. From a thread to a process, both measured, an idle part's memory grows some
# seventyfold. From a process to a datacenter (assumed; nobody measures that on a laptop) memory and start-up grow by
# three or four more powers of ten. So one does not isolate as much as possible, but **what must not fall together, at
# the level that stops the fault one fears**.

# %%
iso.compare_levels()

# %% [markdown] {"items": [8, 11, 13, 15, 18, 19, 34]}
# ## Take away
#
# - **Two axes**: what is divided, and at which boundary. A fault takes all that shares what it breaks.
# - **Bulkheads**: a pool of threads for each kind of request keeps a hang where it is, for the same number of threads.
#   The price is that idle threads help nobody: at 120 requests a second it cost eight times the losses, at 240 it saved
#   most of them.
# - **A timeout** gives threads back. Calls a second × timeout is how many it keeps: do this product for every call.
# - **Threads** are enough against exceptions and hangs, **processes** also against crashes, `kill -9`, the GIL and
#   corrupted variables. Neither limits memory or CPU: that takes caps, and a container has them (lesson 7).
# - Processes **talk** by pipes, queues, shared memory, sockets, RPC: a question takes from some 14 µs to most of a
#   millisecond.
#
# **Your own system:** `accrual lab threads --rate 300 --workers 24`, `accrual lab processes --fault segfault`,
# `accrual lab ladder`, and for sizes `accrual plan pools --rate 120 --latency 50ms --hang service-1`.
#
# **Sources.** M. Nygard, *Release It!*, 2nd edition 2018, on bulkheads and timeouts. J. Little, *A proof for the
# queuing formula L = λW*, Operations Research 9, 1961.
