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

# %% [markdown] {"items": [1, 44]}
# # 1 · Faults, and what they look like
#
# **About 30 minutes.** Every system of many machines has something broken in it, all the time. High availability is not
# the art of having no faults; it is the art of having them without anybody noticing. Afterwards you can
#
# - say what *reliable* and *available* mean, and turn one into the other with MTTF, MTTR and nines;
# - sort faults by where they are and what they are, and say what each looks like from outside;
# - say which faults an observer cannot tell apart, however long he waits;
# - show in numbers why isolating what failed is not enough.
#
# In every section, commit to an answer first and move the slider then. Wrong guesses teach the most.

# %%
import socket
import time

from accrual.course import check
from accrual.show.faults import Nines, Recovery, WhichFailed

# %% [markdown] {"items": [1]}
# ## Reliable or available? *(6 minutes)*
#
# Load balancing and flow control keep a system from breaking: they make it **reliable**. But whatever can break will.
# What users see is whether it works *now*: whether it is **available**.
#
# - **MTTF**, the mean time to failure: how long it works before it breaks. This is reliability.
# - **MTTR**, the mean time to repair: how long until it works again, noticing included.
#
# **Predict.** Service A breaks every single day and is back after 30 seconds. Service B breaks once a year and then it
# takes 8 hours. Which one is available for a larger share of the time?

# %%
more_available = None  # "A", "B" or "the same"?

# %%
Nines()

# %% [markdown] {"items": [1]}
# **Slide** both sliders to A, and then to B. Click a slider once, and the arrow keys, Home and End move it.
#
# **See.** A day is 86,400 seconds, so A loses 0.035 % of its time; B loses 8 of 8766 hours, 0.09 %. The service that
# fails 365 times as often is the more available one. But it is *not* more reliable: whoever runs a job of two days on
# it will never finish.
#
# **Explain.** In the long run the service goes through rounds of one MTTF and one MTTR:
#
# $$A = \frac{MTTF}{MTTF + MTTR}$$
#
# Breaking half as often and being repaired twice as fast do the same to A. The second is usually the cheaper one, and
# **noticing is part of MTTR**: what this course is about.
#
# **Do.** Write it.


# %%
def availability(mttf, mttr):
    """The share of the time that it works."""
    # solution
    return mttf / (mttf + mttr)


check("01.1", availability)

# %% [markdown] {"items": [1]}
# Sellers count **nines**: 99.9 % are three. One nine more is a tenth of the downtime.
#
# **Do.** A service fails **once a week** on average (it works for 7 days, then breaks). It is to have **four nines**.
# How many seconds are there for noticing the fault, deciding what to do, and doing it? With the sliders you come near;
# the formula, solved for MTTR, is exact.

# %%
seconds_to_repair = None
# solution
seconds_to_repair = 7 * 86_400 * (1 - 0.9999) / 0.9999

check("01.2", seconds_to_repair)

# %% [markdown] {"items": [1, 54]}
# That is about the time in which a human being finds the right window on the screen. From four nines on, machines have
# to notice by themselves.

# %% [markdown] {"items": [2, 3, 6]}
# ## One fault, one module *(4 minutes)*
#
# The night of a great sale. A shop takes orders, payments and deliveries; each of the three works 99.9 % of the time,
# and they fail independently. If all three run as one piece, a fault in any of them stops the shop, and customers
# leave.
#
# **Predict.** How available is the shop then?

# %%
shop_in_one_piece = None  # about 0.9999, 0.999, 0.997 or 0.97?

# %% [markdown] {"items": [2, 3, 6]}
# **Do.** Compute it.

# %%
all_three = None
# solution
all_three = 0.999**3

check("01.3", all_three)

# %%
year = 365.25 * 24  # h
alone = 1 - 0.999
print(f"in one piece: everything is down for {year * (1 - 0.999**3):5.1f} h a year")
print(f"isolated:     each part is down for  {year * alone:5.1f} h a year, the other two go on")
print(f"              all at the same time   {year * 3600 * alone**3:5.3f} s a year")
print("You said:", shop_in_one_piece)

# %% [markdown] {"items": [3, 4, 5, 6, 7]}
# **Explain.** **Fault isolation** keeps what is broken from breaking the rest. A car that fails on the motorway is
# pushed to the hard shoulder, with a warning triangle behind it: it is no less broken, but nobody runs into it.
#
# The shoulder must have been built *before*. Isolation is a decision of design: which parts share a process, a machine,
# a power supply. It limits the loss, and it has a second gift: if only payment shows symptoms, you know where to look.
#
# The table above believes in independence. A shared database, a shared switch or the same bug in all three, and the
# last line is a dream. Part two of the course puts isolation to the test, with real processes.

# %% [markdown] {"items": [45, 46, 47, 50, 53]}
# ## What breaks *(5 minutes)*
#
# Two cuts through all faults:
#
# - **Physical** (a disk dies, the power goes, a machine is taken out for an upgrade) or **software** (a bug, too many
#   requests, an attack).
# - **Node** (one machine by itself) or **network** (two machines cannot reach each other, and both are well).
#
# **Do.** Sort the cards. Each gets a pair: `"node"` or `"network"` first, `"physical"` or `"software"` second.

# %%
cards = {
    "disk": "The disk of machine A reports errors; the database on it stops.",
    "memory": "A memory module of machine B has a loose contact; it reboots again and again.",
    "cable": "An excavator cuts the fibre between two halls.",
    "overload": "Machine C gets three times the requests that it can serve, and answers none.",
    "DNS": "Somebody deletes a DNS record; nobody finds machine D any more. D is idle.",
    "bug": "A release crashes at the first order with an umlaut in it.",
    "router": "A router between two racks burns out.",
    "firewall": "A new firewall rule drops what goes from rack 1 to rack 2, but not what comes back.",
}
sorted_cards = dict.fromkeys(cards)
# solution
sorted_cards = {
    "disk": ("node", "physical"),
    "memory": ("node", "physical"),
    "cable": ("network", "physical"),
    "overload": ("node", "software"),
    "DNS": ("network", "software"),
    "bug": ("node", "software"),
    "router": ("network", "physical"),
    "firewall": ("network", "software"),
}

check("01.4", sorted_cards)

# %% [markdown] {"items": [46, 48]}
# **A word on scope.** The lecture leaves software faults to those who wrote the software and treats physical ones,
# which have much in common everywhere. As a division of labour that is fair. As a picture of the world it is not: in
# many post-mortems a small physical fault only *starts* the trouble. A short cut makes thousands of clients retry; the
# retries keep the machines overloaded long after the cable is whole again. Such **metastable** overload looks like a
# dead node, and isolating the node sends its load to the next.

# %% [markdown] {"items": [49, 50, 51, 52]}
# ## What it looks like *(5 minutes)*
#
# Nobody sees a loose contact. What a client sees is an answer, or none. Here are three servers of our own on this
# machine: one works, one hangs (its process stands still, so that the kernel still takes connections for it), one is
# gone.
#
# **Predict.** Which of the two broken ones does a client find out faster?

# %%
found_faster = None  # "the one that hangs" or "the one that is gone"?

# %%
works, hangs, gone = (socket.create_server(("127.0.0.1", 0)) for _ in range(3))
ports = [server.getsockname()[1] for server in (works, hangs, gone)]
gone.close()
patience = 0.5  # s

for name, port in zip(("works", "hangs", "is gone"), ports, strict=True):
    started = time.monotonic()
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=patience) as client:
            if name == "works":  # the server's part: take the connection and answer
                connection, _ = works.accept()
                with connection:
                    connection.sendall(b"hello")
            seen = client.recv(100)
    except OSError as error:
        seen = type(error).__name__
    print(f"{name:8} {seen!s:24} after {1000 * (time.monotonic() - started):6.1f} ms")
works.close(), hangs.close()
print("You said:", found_faster)

# %% [markdown] {"items": [49, 51, 52]}
# **See.** The one that is gone is noticed at once: the machine is up, and its kernel says that nobody listens. That is
# a piece of luck. Had the *machine* lost its power, there would be no kernel to say so, and the client would wait as it
# does for the one that hangs: for as long as its own patience lasts.
#
# **Explain.** A node fault shows itself in that the node *does not serve*. A network fault shows itself in that two
# nodes *do not reach each other*. Seen from one place, both are the same nothing. Seen from several places, they are
# not: a dead node is silent to all, a cut link is silent for two.
#
# **Do.** Machines A, B, C … talk to each other directly. Some are down, some links between two of them are cut. Write a
# function that returns the set of machines that are silent *to one observer*.


# %%
def silent(observer, machines, down, cut):
    """The machines that an observer, which is well itself, hears nothing of.

    machines and down are sets of names; cut is a set of links, each a pair of names in either order.
    """
    # solution
    unreachable = {m for m in machines if (observer, m) in cut or (m, observer) in cut}
    return (down | unreachable) - {observer}


check("01.5", silent)

# %%
machines = set("ABCDE")
for what, down, cut in (("B is down", {"B"}, set()), ("link A–B is cut", set(), {("A", "B")})):
    seen = {observer: silent(observer, machines, down, cut) or "nobody" for observer in sorted(machines - down)}
    print(f"{what:16}", " · ".join(f"{observer} misses {whom}" for observer, whom in seen.items()))

# %% [markdown] {"items": [52, 53]}
# **See.** A's own report is the same in both lines. Only the reports of the others make the difference: which is why
# detectors that must be right ask around, and why lesson 11 draws such reports as a matrix. And if the reports cannot
# get through either?

# %% [markdown] {"items": [53, 54, 55]}
# ## Can you tell which failed? *(5 minutes)*
#
# A fire alarm does not see fire, it sees smoke. Faults of hardware are hard to look at, so one looks at a symptom of
# the software: does its **heartbeat** still come? A peer sends one a second, each with its number. Then it falls
# silent. It may be
#
# - a **crash**: the process has ended;
# - a **cut cable**: the peer is well, and nobody will ever hear of it again;
# - a **partition**: the network loses everything for a while;
# - a **pause**: the process stands still for a while, reclaiming memory or moving to another host;
# - a **slow network**: everything queues somewhere, nothing is lost.
#
# **Predict.** How many seconds of silence do you need to see to tell a crash from a pause of 20 seconds?

# %%
seconds_needed = None  # 5, 10, 20 or "it depends on what I cannot see"?

# %%
WhichFailed()

# %% [markdown] {"items": [53, 54, 55]}
# **Do.** In each of the five cases: slide back and forth, wait as long as you dare, then say what it is. How early were
# you right, and how early were you *sure*?
#
# **See.** While it lasts, silence is silence. Afterwards the peer gives itself away: a paused one goes on with the next
# number, a partition leaves a hole in the numbers, a queue empties all at once. But afterwards is too late for a client
# who is waiting.
#
# **Do.** Two of the five look the same even at the end. Which?

# %%
never_told_apart = None  # a set of two names, as on the buttons
# solution
never_told_apart = {"crash", "cut cable"}

check("01.6", never_told_apart)

# %% [markdown] {"items": [54, 55]}
# **Explain.** With messages alone, and no bound on how long they take, a dead peer cannot be told from a slow one. No
# detector gets round that; what it can do is to *suspect*, and to be taken at no more than that. All the rest of this
# part is about suspecting **soon** and **seldom wrongly**, which pull against each other: an alarm that goes off at
# every toast is switched off, and one that waits for flames is too late. Lesson 2 begins with the simplest of them.
#
# And because a suspect may be alive, whatever is done about it must be harmless if it is. That is the business of part
# three.

# %% [markdown] {"items": [44, 56]}
# ## Isolating is not enough *(5 minutes)*
#
# Three nodes do the same work. When one fails, it is detected and isolated: nobody sends it anything any more, the
# others go on. Each node fails once in 30 days on average.
#
# **Predict.** Nobody repairs anything. How long until no node is left, on average?

# %%
days_until_the_last = None  # 30, 55, 90 or 900?

# %%
Recovery()

# %% [markdown] {"items": [44, 56]}
# **Slide**
#
# 1. **Nodes** from 1 to 5. How much does each further node add to the dashed line?
# 2. **MTTR** from 30 days down to 1 minute. What happens to the other one?
#
# **See.** Isolation alone only delays the end: the three nodes together last 30 + 15 + 10 = 55 days, for the first of
# them to fail comes soonest. Repaired within a day, the same three last for decades.
#
# **Explain.** That is **fault recovery**: *know the error and correct it*, as the old Chinese saying in the lecture's
# title has it. Isolation contains the fault, recovery takes it away; and detection comes before both, because its time
# is part of every MTTR.
#
# **Do.** Isolated only: with how many nodes would the mean time until none is left reach **365 days**? (With *n* nodes
# it is 30 days × (1 + 1/2 + 1/3 + … + 1/n).) Guess first.

# %%
nodes_for_a_year = None
# solution
days, nodes_for_a_year = 0, 0
while days < 365:
    nodes_for_a_year += 1
    days += 30 / nodes_for_a_year

check("01.7", nodes_for_a_year)

# %% [markdown] {"items": [44, 54, 56]}
# ## Take away
#
# - **Available** is not **reliable**. A = MTTF / (MTTF + MTTR), and noticing is part of MTTR.
# - Faults are physical or of software, of a node or of the network. From outside all of them are **silence**, or
#   slowness; a single observer cannot tell which, and between a crash and a cut no waiting helps.
# - **Isolation** keeps a fault small and is built in beforehand. **Recovery** takes it away; without it every cluster
#   runs down.
# - Both begin with **detection**: a suspicion, soon enough and seldom wrong. That is lesson 2.
#
# **Go on thinking.** Take a service that you use every day. What is its MTTF, what its MTTR, and for how much of the
# MTTR has nobody noticed yet?
#
# **Sources.** J. Gray, *Why do computers stop and what can be done about it?*, 1985 (availability, MTTF and MTTR).
# M. Fischer, N. Lynch and M. Paterson, *Impossibility of distributed consensus with one faulty process*, Journal of the
# ACM 32, 1985, and T. Chandra and S. Toueg, *Unreliable failure detectors for reliable distributed systems*, Journal of
# the ACM 43, 1996 (a dead process and a slow one). N. Bronson and others, *Metastable failures in distributed systems*,
# HotOS 2021.
