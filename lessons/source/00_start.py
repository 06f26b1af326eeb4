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

# %% [markdown] {"items": [40, 95]}
# # 0 · Start here
#
# **About 15 minutes**, and a place to come back to. This is a course on how distributed systems stay available when
# parts of them fail: how a failure is **detected** from nothing but heartbeats, how it is **isolated**, and how the
# system **recovers**. It follows two lectures of a Chinese course on distributed systems (30, on fault isolation, and
# 31, on fault recovery), needs neither of them, and puts their claims to the test: on recorded heartbeats, on real
# processes and on real servers.
#
# On this page: a test whether everything works here; how a lesson goes; the way through the lessons; the two lectures
# in short and as maps to click through; a glossary; and half a page on each thing that the lectures presuppose.

# %% [markdown] {"items": []}
# ## Does everything work? *(3 minutes)*
#
# **Do.** Run the next two cells: click into the first and press Shift + Enter, twice. Every line that is for the
# *package* or the *lessons* should have a ✓; the *labs* of parts two and three do without what is not there.

# %%
import accrual as ac
from accrual.course import check, doctor, syllabus
from accrual.show.start import SelfTest

doctor.examine()

# %%
SelfTest()

# %% [markdown] {"items": []}
# **See.** The frame above says *works* by itself, after the page has put a few questions to the kernel (the Python
# process that runs your cells) and got its answers. If there is no frame but only a line of text, the notebook's front
# end does not show widgets: `accrual doctor` in a terminal says what is missing. All lessons can be read and their
# exercises solved without widgets; only the sliders are gone.
#
# Nothing in this course asks the network for anything, and nothing that you do here leaves this machine.

# %% [markdown] {"items": []}
# ## How a lesson goes *(3 minutes)*
#
# 1. **Predict.** Commit to an answer before you look. Write it into the cell.
# 2. **Slide.** Each picture has one or two controls. Click a slider once; then the arrow keys, Home and End move it.
# 3. **See**, and read on only when you have.
# 4. **Explain**: what is behind it.
# 5. **Do**: an exercise. `check()` judges it here and now, with a hint where it is wrong; nobody keeps marks. Any road
#    to the right answer will do, and the answer is folded under the cell.
# 6. **Take away**: what to remember.
#
# Each lesson takes 20 to 35 minutes. Cells may be run again, in any order, and broken: `accrual lessons` never touches
# your copy, and a fresh one is a deleted file away.
#
# **Do.** The package brings recordings of real heartbeats, and recipes for synthetic ones. How many heartbeats are in
# the recording `idle`? Answer wrongly first, and read the hint.

# %%
ac.datasets()

# %%
heartbeats = None
# solution
heartbeats = len(ac.load("idle"))

check("00.1", heartbeats)

# %% [markdown] {"items": []}
# ## The way through
#
# In order, if you can. In a hurry: 1, 2, 3, 4 for detection; 6, 8 for isolation; 9, 10, 11 for recovery.

# %%
syllabus.way()

# %% [markdown] {"items": [40, 95]}
# ## The two lectures in short
#
# **Isolation** is decided when a system is designed. *By function*, modules run in thread pools or processes of their
# own, so that what breaks one leaves the others; *by resource*, each gets its own container, virtual machine, host,
# cluster or datacenter. The coarser the unit, the less is shared, and the more it costs. Seen from *the users*, a fault
# is to reach only some of them: canary releases, sharded data, balanced load.
#
# **Recovery** begins with detection. Faults are *physical* or of *software*, of a *node* or of the *network*; from
# outside they are heartbeats that do not come. A *fixed timeout* suspects after k periods of T; *φ accrual detection*
# learns from history how long a silence is to be expected. Then, for a failed node, a *backup becomes the primary*; for
# a failed network one *chooses between consistency and availability*, and *replicates* what was missed when it heals.
#
# And what this course adds: neither a timeout nor φ is better as such, one can only measure; isolation has a price;
# users do notice a failover; and the safest-looking replication has a timeout of its own.

# %% [markdown] {"items": [41, 96]}
# ## The maps
#
# The lectures end with a mind map each. Here they are as an index: open a branch (click, or Tab and Enter), and each
# item leads to the section that covers it. It is made from the lessons themselves, so it says truly what is still to
# come.

# %%
syllabus.index()

# %% [markdown] {"items": []}
# ## Glossary
#
# | term | what it means here | in the lectures |
# |---|---|---|
# | fault, failure | something broken; the system no longer doing what it should | 故障 |
# | fault isolation | keeping what is broken from breaking the rest | 故障隔离 |
# | fault detection | finding out, from outside, that something may have failed | 故障检测 |
# | fault recovery | bringing the system back to normal | 故障恢复 |
# | node fault, network fault | one machine by itself; the way between two | 节点故障、网络故障 |
# | reliable, available | seldom broken; working now | 高可靠、高可用 |
# | MTTF, MTTR | mean time to failure, to repair | |
# | heartbeat | a short message that says "I am alive", sent every period T | 心跳 |
# | interval | the time between the arrivals of two heartbeats | 心跳间隔 |
# | elapsed | the time since the last heartbeat | |
# | fixed timeout, k × T | suspect after k periods without a heartbeat | 固定心跳检测 |
# | φ accrual detection | suspicion as a number that grows with silence, learned from history | φ值故障检测 |
# | sampling window | the last arrivals (the lecture) or intervals (this library) that are remembered | 采样窗口 |
# | threshold Φ | the φ from which on a peer is suspected; the lecture prints Ф, a Cyrillic letter | 阈值 |
# | to suspect, to trust | the detector's verdict; not to be confused with knowing | |
# | mistake | suspecting a peer that is alive | 误判 |
# | detection time | from a crash until it is suspected | |
# | deadline | the instant from which on a peer is suspected, if nothing comes | |
# | thread, process, resource isolation | pools of threads; processes; shares | 线程级、进程级、资源隔离 |
# | container, virtual machine | a process with caps and an environment; a machine inside a machine | 容器、虚拟机 |
# | blast radius | the share of requests, or of users, that one fault reaches | |
# | canary release | a release for a few users first | 灰度发布 |
# | sharding, load balancing | each database has some users; each server gets some requests | 数据分片、负载均衡 |
# | primary, backup | who serves, and who stands by; the lecture says master and slave | 主、备 |
# | promotion, failover | a backup becomes the primary | 备升主、主备策略 |
# | election | how those who are left agree on who | 分布式选举 |
# | term, view; fence | the number of a primary's reign; keeping a deposed primary from writing | |
# | synchronous, asynchronous, semi-synchronous | when a write is confirmed | 同步、异步、半同步复制 |
# | partition | a network in two parts that do not reach each other | 网络分区 |
# | consistency, availability, partition tolerance | C, A and P | 一致性、可用性、分区容错性 |

# %% [markdown] {"items": [98]}
# ## Primers
#
# Half a page on each thing that the two lectures take for known (the number is that of the lecture in their course).
# Skip what you know; the lessons link back to here.

# %% [markdown] {"items": [98]}
# ### Election (4)
#
# When the primary is gone, the rest must agree on *one* successor, although messages get lost and everybody may be
# wrong about who is alive. In the **bully** algorithm the live node with the highest number wins: whoever suspects the
# leader asks all nodes above him, and if nobody answers, he declares himself. It is simple, and two halves of a broken
# network get two leaders.
#
# **Majority** elections, as in **Raft** or ZooKeeper's **ZAB**, avoid that: a candidate needs the votes of more than
# half of *all* nodes, and each node votes once per **term** (an epoch with a number). Two majorities share a node, so
# one term has one leader at most. A node that hears nothing from the leader for a random **election timeout** becomes a
# candidate; random, because candidates that stand at the same time split the vote and all must wait for the next round.
# Five nodes survive two failures; four survive one, like three.
#
# What it has to do with us: the election timeout *is* a failure detector. Too short, and a healthy leader is deposed at
# every hiccup; too long, and nobody leads meanwhile.

# %% [markdown] {"items": [98]}
# ### Mesos and Kubernetes (9)
#
# Hundreds of machines, thousands of containers: a **scheduler** decides which runs where, restarts those that die and
# moves them when a machine is gone. **Mesos** offers free resources to frameworks, which take or refuse them.
# **Kubernetes** is told the state that is wanted ("five copies of this") and works until the world looks like that.
#
# An agent on each machine, the **kubelet**, starts containers and probes them: a *liveness* probe that fails restarts
# the container, a *readiness* probe that fails only takes it out of the load balancer. The machine itself is watched by
# heartbeat: the kubelet renews a **lease** every 10 seconds; after 50 seconds without (40 before version 1.32), the
# node counts as unknown, and after 5 more minutes its containers are started elsewhere. In the words of this course: a
# fixed timeout, k × T with T = 10 s and k = 5.
#
# Note the two steps: *suspect* after 50 seconds and stop sending requests there, which is easily undone; *act* only
# after minutes, for moving a thousand containers because of one slow switch would be the greater disaster.

# %% [markdown] {"items": [98]}
# ### Redis (10)
#
# **Redis** (and **Valkey**, its sister under a free licence) keeps data in memory and answers in a fraction of a
# millisecond. A primary takes the writes and streams them to its replicas, **asynchronously**: the client has its "OK"
# before any replica has the data. If the primary dies now, that write is gone. `WAIT` lets a client ask how many
# replicas have it; `min-replicas-to-write` makes a primary refuse writes when too few replicas are in touch.
#
# Who notices that the primary is gone? In a **Redis Cluster** the nodes ping each other, and the majority of primaries
# must agree. Otherwise **Sentinel**: three or more watchers ping the primary; one that gets no answer for
# `down-after-milliseconds` holds it to be *subjectively* down; when a quorum of them does, it is *objectively* down,
# one Sentinel is elected to lead the failover, and promotes a replica. Subjectively and objectively: that is suspicion,
# and the asking around of lesson 1.
#
# A deposed primary that was only paused wakes up and takes writes until it learns better. Lesson 9 counts them.

# %% [markdown] {"items": [98]}
# ### Remote procedure calls (19)
#
# An **RPC** looks like calling a function and is a message to another machine and one back. A stub packs the arguments,
# the network carries them, a skeleton at the other end unpacks them and calls; the result comes back the same way.
# gRPC, Thrift and Dubbo are well-known ones.
#
# What the looks hide: a local call returns or raises. A remote one can also *not return*, and then there is no telling
# whether the request was lost, is still queueing, was carried out and the answer was lost, or is being carried out
# right now. So each call needs a **deadline**, and each retry needs to be harmless: an **idempotent** request may be
# repeated ("set the address"), others ("withdraw 100") need a number by which the server knows that it has seen them.
#
# Retries have a dark side. When a server slows down, all clients retry, and the load doubles just when it should fall.
# Backing off, with some randomness, and budgets for retries are part of the same subject as failure detection: a
# timeout *is* a suspicion.

# %% [markdown] {"items": [98]}
# ### Who is alive? Heartbeats in two architectures (22)
#
# In a **centralised** architecture a coordinator keeps the list: every node sends it a heartbeat each period, or
# answers its pings, and after k missing ones is struck off. That is *n* messages a period and one opinion, simple and
# consistent; but the coordinator is itself a thing that can fail, and sees everything through its own network.
#
# In a **decentralised** one there is no such place. If everybody watches everybody, it takes n × (n − 1) messages a
# period, for a thousand nodes a million. So each watches its neighbours on a **ring**, or **gossips**: every period it
# tells a few random others what it has heard of whom, and news reach all after some log *n* periods. Opinions differ
# for a while, and a detector must live with that. Redis Cluster, Cassandra, Akka and Consul gossip.
#
# In both, what decides about one single peer is the same small machine: heartbeats in, suspicion out. The lectures mean
# a fixed timeout here; lesson 2 takes it apart.

# %% [markdown] {"items": [98]}
# ### CAP, and ZooKeeper (23)
#
# A network that is cut in two leaves a choice. A node that gets a request and cannot reach the others can answer from
# what it has, perhaps wrongly: it keeps **A**vailability and gives up **C**onsistency. Or it refuses, or waits: the
# other way round. **P**artitions are not chosen, they happen. That is the **CAP** theorem; "two of three" is a slogan
# for it. *Consistency* means here that every read sees the last write, as if there were only one copy.
#
# **ZooKeeper** chooses C. It is a small tree of data on three or five servers, for locks, leaders and lists of who is
# alive. Writes go through a leader and need a majority; the side of a partition without majority stops serving writes.
# Clients have **sessions**, kept alive by heartbeats; when a session times out (a fixed timeout, again), its
# *ephemeral* entries vanish, and whoever watched them is told: the usual way to notice that a worker died.
#
# Without a partition there is still a trade: waiting for other copies costs time. Consistency is paid in latency every
# day, and in availability on bad ones.

# %% [markdown] {"items": [98]}
# ### Sharding (25)
#
# When one database cannot hold or serve all the data, it is cut into **shards**: by *range* of keys, good for scans and
# bad for hot ranges; by *hash*, evenly spread, but nearly every key moves when the number of shards changes; by
# **consistent hashing**, where keys and servers lie on a ring and a new server takes over only its neighbour's share.
#
# For availability sharding has two faces. One fault reaches only the users of its shard: with ten shards, a tenth of
# them. But there are ten things to break now, and *some* users are unlucky ten times as often. What is gained is that a
# catastrophe has become a nuisance.
#
# **Shuffle sharding** goes further: each customer gets a few workers of many, in his own combination. Two customers
# seldom share all of theirs, so that one who kills his workers with a poisonous request takes hardly anybody along.
# Lesson 8 counts.

# %% [markdown] {"items": [98]}
# ### Replication (26)
#
# The same data on several machines, so that one may die. The question is when a write counts as done.
#
# - **Synchronous**: when all replicas have it. Nothing is lost; each write is as slow as the slowest replica, and one
#   dead replica stops all writes.
# - **Asynchronous**: at once. Fast; what was under way when the primary died is lost, and the backup that takes over
#   does not know it ever existed.
# - **Semi-synchronous**: when *some* have it, say one of two. Nearly as safe as the first and nearly as fast as the
#   second, which is why the lecture finds it everywhere. The small print: MySQL waits for that one replica only so long
#   (10 s by default) and then silently goes on asynchronously.
#
# **Quorums** make it arithmetic: of N copies, write to W and read from R; if R + W > N, every read meets the last
# write. And after a partition somebody has to reconcile what both sides wrote: the last writer wins, a merge, or one
# side's log is cut off.

# %% [markdown] {"items": [98]}
# ### Load balancing (28)
#
# Requests are spread over servers that all can do the same: **round robin** in turns; **weighted**, where machines
# differ; **least connections**, which notices the slow ones by itself; by **hash** of the client, so that the same one
# comes to the same server and finds its session. Two random choices, and then the less loaded of the two, are nearly as
# good as knowing all.
#
# A balancer is a failure detector, too. **Active** checks ping each server; **passive** ones count failed requests. A
# server that is suspected gets nothing until it answers again. If the check is too nervous, a short pause of one server
# sends its load to the others, which get slow, are suspected, and so on: so balancers stop ejecting when too many are
# out, on the ground that then it is probably the detector that is wrong.
#
# And the balancer is a single thing in front of many. There are two of it, with heartbeats between them.

# %% [markdown] {"items": [40, 95]}
# ## Take away
#
# - Everything works here, or you know what does not.
# - Predict, slide, see, explain, do. Wrong guesses teach the most.
# - The maps lead to every item of the lectures, the glossary to every term. Now on to **lesson 1**: [Faults, and what
#   they look like](01_faults.ipynb).
