# cython: cdivision=True, boundscheck=False, wraparound=False, initializedcheck=False, auto_pickle=False
"""The loops: one peer, many peers, one trace.

Nothing here knows a clock, a file or a detector's name. Instants and durations are int64 nanoseconds.
"""

from cpython.number cimport PyNumber_Index
from libc.math cimport INFINITY, NAN, llrint
from libc.stdint cimport INT64_MAX, int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy, memset

from accrual.core.estimators cimport (
    CONSTANT, FIXED_BITS, FIXED_LIMIT, SUM_LIMIT, WINDOW, denominator, estimator, first_elapsed, known, lateness,
    learn, location_fixed, nothing_known, square, sums, u128)
from accrual.core.laws cimport LINEAR, NORMAL, inverse_of, law as law_kind, level_of, levels_of

cdef extern from "window.h" nogil:
    const int BLOCK, TIER_BASE, TIER_V3, TIER_V4
    int accrual_tier
    int best_tier()
    uint64_t window_enter(const int64_t *c, int64_t n, int64_t r, int64_t *e, int64_t *total, uint64_t *squares,
                          int64_t count)
    uint64_t running_sum(uint64_t *x, uint64_t start, int64_t count)
    bint window_block_fits(u128 squares, uint64_t bits, int64_t count)
    void window_read(const int64_t *e, const int64_t *total, const uint64_t *squares, double n, int64_t pause,
                     double floor_n, double *z, double *denominator, int64_t count)

TIERS = {"base": TIER_BASE, "v3": TIER_V3, "v4": TIER_V4}
LAWS = {"linear": LINEAR, "normal": NORMAL}
NEVER = INT64_MAX
INSTANT_LIMIT = SUM_LIMIT
accrual_tier = best_tier()


def tier(name=None):
    """The instruction set in use, 'base', 'v3' or 'v4'; with a name, use that one from now on (for tests).

    All of them give equal bits. Raises ValueError where this CPU or this build lacks it.
    """
    global accrual_tier
    if name is not None:
        if TIERS.get(name, INT64_MAX) > best_tier():
            raise ValueError(f"tier must be one that this build and CPU have, got {name!r}")
        accrual_tier = TIERS[name]
    return next(known_name for known_name, number in TIERS.items() if number == accrual_tier)


# ---- a detector, compiled -------------------------------------------------------------------------------------------

cdef class Detector:
    """An estimator's parameters and a law. Immutable; checked by accrual.detectors, which makes it."""

    cdef estimator e
    cdef law_kind kind
    cdef readonly tuple parameters

    def __cinit__(self, *, str law, int64_t window=0, int64_t min_samples=0, int64_t pause=0, double floor=1.0,
                  double scale=0.0):
        self.parameters = (law, window, min_samples, pause, floor, scale)
        self.kind = LAWS[law]
        self.e.kind = WINDOW if window else CONSTANT
        self.e.window = window
        self.e.min_samples = min_samples
        self.e.pause = pause
        self.e.floor = floor if floor > 1 else 1
        self.e.scale = scale if scale > 1 else 1
        self.e.squares_limit = ~(<u128> 0) // <u128> (window if window else 1)

    def __reduce__(self):
        return _detector, self.parameters

    @property
    def memory(self):
        """How many intervals back a level can depend on."""
        return self.e.window

    @property
    def min_samples(self):
        """How many intervals must be known before there is a level."""
        return self.e.min_samples

    def level(self, double z):
        """The law's level at normalised lateness z."""
        if z != z:
            return NAN
        return level_of(self.kind, z)

    def inverse(self, double level):
        """The smallest z whose level is >= level; -inf when every z's is, inf when none is."""
        if level != level:
            raise ValueError("threshold must be a number, got nan")
        return inverse_of(self.kind, level)


def _detector(law, window, min_samples, pause, floor, scale):
    return Detector(law=law, window=window, min_samples=min_samples, pause=pause, floor=floor, scale=scale)


cdef Detector NO_DETECTOR = Detector(law="linear")


# ---- which heartbeats count -----------------------------------------------------------------------------------------

cdef enum verdict:
    FIRST      # the first of all
    COUNTS     # closes an interval
    STEP       # the clock went back: counts, closes no interval
    RESTART    # another epoch: counts, everything learned is void
    IGNORED    # late, duplicate or reordered: changes nothing
    UNLEARNED  # closes an interval that the window's sums cannot hold (take_in alone says so)
    VERDICTS

ctypedef struct peer_order:  # what decides that
    int64_t last, sequence, epoch
    bint heard, numbered, dated

VERDICT = dict(first=FIRST, counts=COUNTS, step=STEP, restart=RESTART, ignored=IGNORED, unlearned=UNLEARNED)


cdef inline verdict accept(peer_order *p, int64_t now, bint numbered, int64_t sequence, bint dated,
                           int64_t epoch) noexcept nogil:
    cdef verdict v
    if not p.heard:
        v = FIRST
    elif dated and p.dated and epoch != p.epoch:
        v = RESTART
        p.numbered = False
    elif numbered and p.numbered and sequence <= p.sequence:
        return IGNORED
    elif now < p.last:
        v = STEP
    else:
        v = COUNTS
    p.heard = True
    p.last = now
    if numbered:
        p.numbered = True
        p.sequence = sequence
    if dated:
        p.dated = True
        p.epoch = epoch
    return v


# ---- what one peer and many share -----------------------------------------------------------------------------------

cdef int64_t whole(value) except? -1:
    """An int64 from anything that is a whole number by type; a float is not, whatever its value."""
    return value if type(value) is int else PyNumber_Index(value)


cpdef int64_t instant(now) except? -1:
    """An instant as an int64; TypeError for anything but a whole number, ValueError beyond 2**62 ns."""
    cdef int64_t t
    try:
        t = whole(now)
    except OverflowError:
        t = INT64_MAX
    if t >= SUM_LIMIT or t <= -SUM_LIMIT:
        raise ValueError(f"now must lie within 2**62 ns (146 years) of the clock's zero, got {now}")
    return t


cdef inline verdict take_in(const estimator *e, peer_order *p, sums *w, int64_t *ring, int64_t *slot, int64_t now,
                            bint numbered, int64_t sequence, bint dated, int64_t epoch) noexcept nogil:
    """A heartbeat, whole: does it count, and what does the window learn from it?

    `ring` holds the window's intervals; slot[0] is where the next one goes, over the oldest once the window is full.
    """
    cdef int64_t last = p.last
    cdef verdict v = accept(p, now, numbered, sequence, dated, epoch)
    if v == RESTART:
        w[0] = nothing_known(e)
        slot[0] = 0
    elif v == COUNTS and e.kind == WINDOW:
        if not learn(e, w, now - last, ring[slot[0]] if w.n == e.window else 0):
            return UNLEARNED
        ring[slot[0]] = now - last
        slot[0] = 0 if slot[0] + 1 == e.window else slot[0] + 1
    return v


cdef inline int64_t silence(int64_t last, int64_t now) noexcept nogil:
    """Time since the last heartbeat; a query at an instant before it is one at it."""
    return now - last if now > last else 0


cdef inline int64_t deadline_of(const estimator *e, const sums *w, double n_scale, int64_t last,
                                double z) noexcept nogil:
    """The first ns at which the lateness reaches z; INT64_MAX where there is none. The level must be known."""
    cdef int64_t elapsed = first_elapsed(e, w.n, w.sum, n_scale, z)
    return INT64_MAX if elapsed > INT64_MAX - 1 - max(last, 0) else last + elapsed


# ---- one peer -------------------------------------------------------------------------------------------------------

cdef class Peer:
    """One peer's detector, one heartbeat at a time. accrual.monitor.Monitor is its public face."""

    cdef readonly Detector compiled
    cdef object clock
    cdef double _threshold, z  # z: the lateness at which the level reaches the threshold
    cdef peer_order order
    cdef sums w
    cdef int64_t *ring
    cdef int64_t room, slot  # room: intervals that the ring can hold now; slot: where the next one goes
    cdef readonly int64_t accepted, ignored, clock_steps, restarts, unlearned

    def __cinit__(self, *args, **kwargs):
        self.compiled = NO_DETECTOR  # never None, whatever a subclass forgets: methods read it without a check

    def __init__(self, Detector compiled not None, double threshold, clock):
        self.compiled = compiled
        self.clock = clock
        self.threshold = threshold
        self.reset()

    def __dealloc__(self):
        free(self.ring)

    def reset(self):
        """Forget the heartbeats, not the counters: as after a restart, but of this side's own will."""
        self.order = peer_order(last=0, sequence=0, epoch=0, heard=False, numbered=False, dated=False)
        self.w = nothing_known(&self.compiled.e)
        self.slot = 0

    @property
    def threshold(self):
        """The level from which on the peer is suspected; may be changed at any time."""
        return self._threshold

    @threshold.setter
    def threshold(self, double threshold):
        self.z = self.compiled.inverse(threshold)
        self._threshold = threshold

    cdef int64_t instant(self, now) except? -1:
        return instant(self.clock() if now is None else now)

    cdef int make_room(self) except -1:
        """Let the ring hold one interval more; it grows by doubling up to the window."""
        cdef int64_t *larger
        cdef int64_t room = min(self.compiled.e.window, max(64, 2 * self.room))
        if self.slot == self.room < room:
            larger = <int64_t *> realloc(self.ring, <size_t> room * sizeof(int64_t))
            if larger is NULL:
                raise MemoryError
            self.ring, self.room = larger, room
        return 0

    def heartbeat(self, now=None, sequence=None, epoch=None):
        """Take in a heartbeat that arrived at `now` (ns; the clock's reading by default).

        Returns whether it was accepted: a late, duplicate or reordered one (by `sequence`) is counted and ignored.
        """
        cdef int64_t t = self.instant(now)
        cdef bint numbered = sequence is not None, dated = epoch is not None
        cdef int64_t number = whole(sequence) if numbered else 0, boot = whole(epoch) if dated else 0
        cdef verdict v
        self.make_room()
        v = take_in(&self.compiled.e, &self.order, &self.w, self.ring, &self.slot, t, numbered, number, dated, boot)
        if v == IGNORED:
            self.ignored += 1
            return False
        self.accepted += 1
        self.clock_steps += v == STEP
        self.restarts += v == RESTART
        self.unlearned += v == UNLEARNED
        return True

    cdef bint unknown(self) noexcept:
        return not self.order.heard or not known(&self.compiled.e, self.w.n)

    cdef double lateness_at(self, int64_t now) noexcept:
        cdef estimator *e = &self.compiled.e
        return lateness(e, self.w.n, self.w.sum, denominator(e, &self.w), silence(self.order.last, now))

    def level(self, now=None):
        """The suspicion level at `now` (ns); NaN while too few intervals are known."""
        cdef int64_t t = self.instant(now)
        if self.unknown():
            return NAN
        return level_of(self.compiled.kind, self.lateness_at(t))

    def suspected(self, now=None, threshold=None):
        """Whether the level at `now` (ns) is at or above the threshold; an unknown level is not."""
        cdef int64_t t = self.instant(now)
        cdef double z = self.z if threshold is None else self.compiled.inverse(threshold)
        return not self.unknown() and self.lateness_at(t) >= z

    def deadline(self, threshold=None):
        """The first ns at which the peer will be suspected if it stays silent; None where there is none."""
        cdef double z = self.z if threshold is None else self.compiled.inverse(threshold)
        cdef estimator *e = &self.compiled.e
        cdef int64_t deadline = INT64_MAX
        if not self.unknown():
            deadline = deadline_of(e, &self.w, denominator(e, &self.w), self.order.last, z)
        return None if deadline == INT64_MAX else deadline

    @property
    def last(self):
        """Arrival of the last accepted heartbeat, ns, or None."""
        return self.order.last if self.order.heard else None

    @property
    def samples(self):
        """How many intervals the window holds."""
        return self.w.n if self.compiled.e.kind == WINDOW else 0


# ---- many peers -----------------------------------------------------------------------------------------------------

cdef extern from *:
    """
    /* How many of n deadlines have come, for each DUE_BLOCK of them; gives how many in all. */
    enum { DUE_BLOCK = 128 };
    ACCRUAL_INLINE int64_t count_due_body(const int64_t *restrict deadline, int64_t n, int64_t now,
                                          uint8_t *restrict due) {
        int64_t all = 0;
        for (int64_t low = 0; low < n; low += DUE_BLOCK) {
            const int64_t *block = deadline + low;
            int64_t count = 0;
            if (n - low >= DUE_BLOCK)
                for (int j = 0; j < DUE_BLOCK; j++) count += block[j] <= now;
            else
                for (int j = 0; j < n - low; j++) count += block[j] <= now;
            due[low / DUE_BLOCK] = (uint8_t)count;
            all += count;
        }
        return all;
    }
    TIERED_BODY(int64_t, count_due, (const int64_t *restrict deadline, int64_t n, int64_t now, uint8_t *restrict due),
                (deadline, n, now, due))

    /* The numbers of the `due` that have come, of the block that begins at `first`. Each number is written and kept
     * only where due: no branch for the CPU to mispredict. */
    static void list_due_base(const int64_t *restrict deadline, int64_t n, int64_t now, int64_t first, int64_t due,
                              int64_t *restrict out) {
        for (int64_t m = 0; m < due; first++) {
            out[m] = first;
            m += deadline[first] <= now;
        }
    }
    #if ACCRUAL_CLONES
    #define list_due_v3 list_due_base
    ACCRUAL_V4 static void list_due_v4(const int64_t *restrict deadline, int64_t n, int64_t now, int64_t first,
                                       int64_t due, int64_t *restrict out) {
        const __m512i count = _mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7), limit = _mm512_set1_epi64(now);
        int64_t m = 0;
        for (; m < due && first + 8 <= n; first += 8) {
            __mmask8 come = _mm512_cmple_epi64_mask(_mm512_loadu_si512(deadline + first), limit);
            int more = __builtin_popcount(come);
            /* Not _mm512_mask_compressstoreu_epi64, which Zen does in microcode. */
            __m512i number = _mm512_maskz_compress_epi64(come, _mm512_add_epi64(_mm512_set1_epi64(first), count));
            _mm512_mask_storeu_epi64(out + m, (__mmask8)((1u << more) - 1), number);
            m += more;
        }
        _mm256_zeroupper();
        list_due_base(deadline, n, now, first, due - m, out + m);
    }
    #endif
    TIERED(void, list_due, (const int64_t *restrict deadline, int64_t n, int64_t now, int64_t first, int64_t due,
                            int64_t *restrict out), (deadline, n, now, first, due, out))

    #define prefetch(address) __builtin_prefetch(address, 1)
    """
    const int DUE_BLOCK
    int64_t count_due(const int64_t *deadline, int64_t n, int64_t now, uint8_t *due) nogil
    void list_due(const int64_t *deadline, int64_t n, int64_t now, int64_t first, int64_t due, int64_t *out) nogil
    void prefetch(const void *address) nogil

ctypedef struct account:
    # What a bank keeps of one peer beside its deadline, sequence number, epoch and ring: 48 B. All zero: never heard.
    int64_t last, sum
    uint64_t squares_low, squares_high
    double denominator
    uint32_t slot  # where in the ring the next interval goes: how many there are, until the window is full
    uint8_t full, heard, numbered, dated

ACCOUNT = [("last", "<i8"), ("sum", "<i8"), ("squares_low", "<u8"), ("squares_high", "<u8"), ("denominator", "<f8"),
           ("slot", "<u4"), ("full", "u1"), ("heard", "u1"), ("numbered", "u1"), ("dated", "u1")]

cdef enum:
    # How many heartbeats ahead an account and its deadline, and then (the slot being there) its place in the ring, are
    # asked for. A million peers fit no cache: in random order 33 ns a heartbeat with this, 400 without.
    STATE_AHEAD = 24
    RING_AHEAD = 12
    # Learned, then read, then given deadlines, so many at a time: short loops overlap (19 ns a heartbeat against 25).
    BATCH = 32


cdef inline int64_t samples_of(const estimator *e, const account *a) noexcept nogil:
    return 1 if e.kind == CONSTANT else e.window if a.full else a.slot


cdef inline sums sums_of(const estimator *e, const account *a) noexcept nogil:
    cdef sums w = nothing_known(e)
    if e.kind == WINDOW:
        w.n = samples_of(e, a)
        w.sum = a.sum
        w.squares = <u128> a.squares_high << 64 | a.squares_low
    return w


cdef inline void put_down(account *a, const sums *w) noexcept nogil:
    a.sum = w.sum
    a.squares_low = <uint64_t> w.squares
    a.squares_high = <uint64_t> (w.squares >> 64)


cdef inline bint level_known(const estimator *e, const account *a) noexcept nogil:
    return a.heard and known(e, samples_of(e, a))


cdef inline double denominator_for(const estimator *e, const account *a) noexcept nogil:
    cdef sums w = sums_of(e, a)
    return denominator(e, &w)


cdef inline int64_t deadline_for(const estimator *e, const account *a, double z) noexcept nogil:
    cdef sums w = sums_of(e, a)
    return deadline_of(e, &w, a.denominator, a.last, z) if level_known(e, a) else INT64_MAX


cdef class Peers:
    """Many peers' detector, heartbeats in batches. accrual.monitor.Bank is its public face, owns the arrays and locks.

    Parameters
    ----------
    compiled : Detector
    threshold : float
    accounts : ACCOUNT array, shape (peers,)
        Their sums and denominators are not believed but added up from the ring.
    deadlines : int64 array, shape (peers,)
        Filled here: INT64_MAX where there is none.
    sequences, epochs : int64 arrays, shape (peers,)
    ring : int64 array, shape (peers, compiled.memory)
        Of an account whose window is not full the first `slot` intervals count, else all.

    Raises
    ------
    ValueError
        If an account or an interval is none that heartbeats can leave behind: gives its index.
    """

    cdef readonly Detector compiled
    cdef double _threshold, z
    cdef account[::1] accounts
    cdef int64_t[::1] deadlines, sequences, epochs
    cdef int64_t[:, ::1] ring
    cdef int64_t latest  # no last heartbeat is later

    def __cinit__(self, Detector compiled not None, double threshold, account[::1] accounts not None,
                  int64_t[::1] deadlines not None, int64_t[::1] sequences not None, int64_t[::1] epochs not None,
                  int64_t[:, ::1] ring not None):
        cdef Py_ssize_t k, j, n = accounts.shape[0]
        cdef const estimator *e = &compiled.e
        cdef account *a
        cdef sums w
        cdef bint good = True
        if not (deadlines.shape[0] == sequences.shape[0] == epochs.shape[0] == ring.shape[0] == n
                and ring.shape[1] == e.window):
            raise IndexError("Peers: arrays of the wrong shape")
        self.compiled = compiled
        self.accounts, self.deadlines, self.sequences, self.epochs, self.ring = (
            accounts, deadlines, sequences, epochs, ring)
        self.latest = -SUM_LIMIT
        self._threshold, self.z = threshold, compiled.inverse(threshold)
        with nogil:
            for k in range(n):
                a = &accounts[k]
                deadlines[k] = INT64_MAX
                if not (a.heard or a.slot or a.full or a.numbered or a.dated):
                    continue  # not even written to: memory that no heartbeat has touched costs nothing
                good = (a.heard == 1 and a.full <= 1 and a.numbered <= 1 and a.dated <= 1
                        and (a.slot < e.window or (a.slot == e.window == 0 and not a.full))
                        and -SUM_LIMIT < a.last < SUM_LIMIT)
                w = nothing_known(e)
                j = 0
                while good and j < (e.window if a.full else a.slot):
                    good = ring[k, j] >= 0 and learn(e, &w, ring[k, j], 0)
                    j += 1
                if not good:
                    break
                put_down(a, &w)
                a.denominator = denominator_for(e, a)
                deadlines[k] = deadline_for(e, a, self.z)
                self.latest = max(self.latest, a.last)
        if not good:
            raise ValueError(f"account {k} is none that heartbeats can leave behind")

    @property
    def threshold(self):
        """The level from which on a peer is suspected; a new one renews every deadline."""
        return self._threshold

    @threshold.setter
    def threshold(self, double threshold):
        cdef Py_ssize_t k
        self.z = self.compiled.inverse(threshold)
        self._threshold = threshold
        with nogil:
            for k in range(self.accounts.shape[0]):
                self.deadlines[k] = deadline_for(&self.compiled.e, &self.accounts[k], self.z)

    cdef int check(self, const int64_t[::1] peers) except -1:
        """Refuse numbers that no peer has."""
        cdef Py_ssize_t i, n = self.accounts.shape[0]
        cdef bint outside = False
        with nogil:
            for i in range(peers.shape[0]):
                outside |= not 0 <= peers[i] < n
        if outside:
            i = next(i for i in range(peers.shape[0]) if not 0 <= peers[i] < n)
            raise ValueError(f"peers[{i}] = {peers[i]} is no peer: there are {n}, numbered from 0")
        return 0

    def reset(self, const int64_t[::1] peers not None):
        """Forget these peers' heartbeats."""
        cdef Py_ssize_t i
        self.check(peers)
        with nogil:
            for i in range(peers.shape[0]):
                memset(&self.accounts[peers[i]], 0, sizeof(account))
                self.deadlines[peers[i]] = INT64_MAX

    def heartbeat(self, const int64_t[::1] peers not None, const int64_t[::1] now not None, const int64_t[::1] sequence,
                  const int64_t[::1] epoch, uint8_t[::1] accepted not None, int64_t[::1] counts not None):
        """Take in heartbeats in order; accepted[i]: whether that one was. Adds to `counts`, one for each verdict."""
        cdef Py_ssize_t i, k, low, high = 0, n = peers.shape[0]
        cdef estimator e = self.compiled.e
        cdef bint numbered = sequence is not None, dated = epoch is not None
        # Plain pointers: the compiler must take `accepted`, of bytes, for a name of anything behind self.
        cdef account *accounts
        cdef int64_t *deadlines
        cdef int64_t *sequences
        cdef int64_t *epochs
        cdef int64_t *ring
        cdef account *a
        cdef peer_order p
        cdef sums w
        cdef int64_t slot, latest = self.latest
        cdef verdict v
        if not (now.shape[0] == accepted.shape[0] == n and counts.shape[0] == VERDICTS
                and (not numbered or sequence.shape[0] == n) and (not dated or epoch.shape[0] == n)):
            raise IndexError("Peers.heartbeat: arrays of different lengths")
        self.check(peers)
        if n == 0:
            return
        accounts, deadlines = &self.accounts[0], &self.deadlines[0]
        sequences, epochs = &self.sequences[0], &self.epochs[0]
        ring = &self.ring[0, 0] if e.window else NULL
        with nogil:
            while high < n:
                low = high
                high = min(low + BATCH, n)
                for i in range(low, high):
                    if i + STATE_AHEAD < n:
                        k = peers[i + STATE_AHEAD]
                        prefetch(accounts + k)
                        prefetch(<char *> (accounts + k + 1) - 1)  # half of them lie on two cache lines
                        prefetch(deadlines + k)
                        if numbered:
                            prefetch(sequences + k)
                        if dated:
                            prefetch(epochs + k)
                    if i + RING_AHEAD < n:
                        k = peers[i + RING_AHEAD]
                        prefetch(ring + k * e.window + accounts[k].slot)
                    k = peers[i]
                    a = accounts + k
                    p.last, p.heard, p.numbered, p.dated = a.last, a.heard, a.numbered, a.dated
                    p.sequence = sequences[k] if p.numbered else 0
                    p.epoch = epochs[k] if p.dated else 0
                    w = sums_of(&e, a)
                    slot = a.slot
                    v = take_in(&e, &p, &w, ring + k * e.window, &slot, now[i],
                                numbered, sequence[i] if numbered else 0, dated, epoch[i] if dated else 0)
                    counts[<int64_t> v] += 1
                    accepted[i] = v != IGNORED
                    if v == IGNORED:
                        continue
                    a.last, a.heard, a.numbered, a.dated = p.last, p.heard, p.numbered, p.dated
                    if numbered:
                        sequences[k] = p.sequence
                    if dated:
                        epochs[k] = p.epoch
                    a.slot = <uint32_t> slot
                    a.full = e.window and w.n == e.window
                    put_down(a, &w)
                    latest = max(latest, p.last)
                for i in range(low, high):
                    accounts[peers[i]].denominator = denominator_for(&e, accounts + peers[i])
                for i in range(low, high):
                    deadlines[peers[i]] = deadline_for(&e, accounts + peers[i], self.z)
        self.latest = latest

    def levels(self, now, double[::1] out not None):
        """out[k]: the level of peer k at `now`; NaN where unknown."""
        cdef int64_t t = instant(now)
        cdef Py_ssize_t block, low, j, count, unknown, n = self.accounts.shape[0]
        cdef const estimator *e = &self.compiled.e
        cdef const account *a
        cdef double z[512]
        if out.shape[0] != n:
            raise IndexError("Peers.levels: arrays of different lengths")
        with nogil:
            for block in range((n + BLOCK - 1) // BLOCK):
                low = block * BLOCK
                count = min(<Py_ssize_t> BLOCK, n - low)
                unknown = 0
                for j in range(count):
                    a = &self.accounts[low + j]
                    if level_known(e, a):
                        z[j] = lateness(e, samples_of(e, a), a.sum, a.denominator, silence(a.last, t))
                    else:
                        z[j] = 0
                        unknown += 1
                levels_of(self.compiled.kind, z, &out[low], count)
                if unknown:
                    for j in range(count):
                        if not level_known(e, &self.accounts[low + j]):
                            out[low + j] = NAN

    cdef bint due(self, Py_ssize_t k, int64_t t) noexcept nogil:
        """Whether peer k is suspected; at an instant before its last heartbeat, as at it."""
        return self.deadlines[k] <= max(t, self.accounts[k].last)

    def suspected(self, now, allocate):
        """The peers that are suspected at `now`, ascending, in the int64 array that allocate(how many) gives."""
        cdef int64_t t = instant(now)
        cdef Py_ssize_t b, k, n = self.accounts.shape[0], blocks = (n + DUE_BLOCK - 1) // DUE_BLOCK, m = 0
        cdef bint plain = t >= self.latest  # so that the deadlines alone decide
        cdef int64_t[::1] out
        cdef uint8_t *count = <uint8_t *> malloc(blocks + 1)
        if count is NULL:
            raise MemoryError
        try:
            with nogil:
                if plain and n:
                    m = count_due(&self.deadlines[0], n, t, count)
                elif n:
                    memset(count, 0, blocks)
                    for k in range(n):
                        count[k // DUE_BLOCK] += self.due(k, t)
                        m += self.due(k, t)
            out = found = allocate(m)
            m = 0
            with nogil:
                for b in range(blocks):
                    if count[b] and plain:
                        list_due(&self.deadlines[0], n, t, b * DUE_BLOCK, count[b], &out[m])
                        m += count[b]
                    elif count[b]:
                        for k in range(b * DUE_BLOCK, min((b + 1) * DUE_BLOCK, n)):
                            if self.due(k, t):
                                out[m] = k
                                m += 1
        finally:
            free(count)
        return found


# ---- one trace ------------------------------------------------------------------------------------------------------
#
# A chain is what an estimator sees of a trace: instants whose differences are the learned intervals. Where every
# heartbeat counts it is the arrivals themselves. After a clock step back the chain goes on with an offset, so that
# the window slides over the step as if it were not there; a restart begins a new stretch.

def every_heartbeat_counts(const int64_t[::1] arrivals, const int64_t[::1] sequence, const int64_t[::1] epoch):
    """Whether no heartbeat of the trace is ignored, a clock step or a restart."""
    cdef Py_ssize_t i, n = arrivals.shape[0]
    cdef int64_t bad = 0
    with nogil:
        for i in range(1, n):
            bad |= arrivals[i] < arrivals[i - 1]
        if sequence is not None and not bad:
            for i in range(1, n):
                bad |= sequence[i] <= sequence[i - 1]
        if epoch is not None and not bad:
            for i in range(1, n):
                bad |= epoch[i] != epoch[i - 1]
    return not bad


def accept_all(const int64_t[::1] arrivals, const int64_t[::1] sequence, const int64_t[::1] epoch,
               int64_t[::1] chain, int64_t[::1] starts, int64_t[::1] state, int64_t[::1] latest):
    """Sort out which heartbeats count; all arrays are as long as the trace.

    Fills `chain` (instants) and `starts` (where in it a stretch begins), of which the returned (instants, stretches)
    are used, and for each heartbeat, once it was taken in: `state`, the index of the last instant of the chain, and
    `latest`, the index of the last accepted heartbeat. Returns (instants, stretches, ignored, steps, restarts).
    """
    cdef Py_ssize_t i, n = arrivals.shape[0]
    cdef int64_t length = 0, stretches = 0, ignored = 0, steps = 0, restarts = 0, last = 0, last_index = 0
    cdef peer_order p = peer_order(last=0, sequence=0, epoch=0, heard=False, numbered=False, dated=False)
    cdef bint numbered = sequence is not None, dated = epoch is not None
    cdef verdict v
    with nogil:
        for i in range(n):
            v = accept(&p, arrivals[i], numbered, sequence[i] if numbered else 0, dated, epoch[i] if dated else 0)
            if v == IGNORED:
                ignored += 1
            else:
                if v == COUNTS:
                    # Unsigned: after many steps the offsets may wrap, and only differences are ever used.
                    chain[length] = <int64_t> (<uint64_t> chain[length - 1] + <uint64_t> (arrivals[i] - last))
                    length += 1
                elif v == STEP:
                    steps += 1
                else:
                    restarts += v == RESTART
                    starts[stretches] = length
                    stretches += 1
                    chain[length] = arrivals[i]
                    length += 1
                last = arrivals[i]
                last_index = i
            state[i] = length - 1
            latest[i] = last_index
    return length, stretches, ignored, steps, restarts


cdef int open_window(const estimator *e, const int64_t *c, int64_t start, int64_t at, sums *w) noexcept nogil:
    """What the window knows once instant `at` of a stretch that begins at `start` was taken in; -1: refused."""
    cdef int64_t k, first = max(start, at - e.window)
    w[0] = nothing_known(e)
    if e.kind == WINDOW:
        for k in range(first, at):
            if not learn(e, w, <int64_t> (<uint64_t> c[k + 1] - <uint64_t> c[k]), 0):
                return -1
    return 0


cdef extern from *:
    """
    /* Up to BLOCK states: after instant i, i + 1, ... of the chain was taken in. Aligned to a cache line, which is
     * worth a tenth of the speed on v4. */
    typedef struct {
        double z[BLOCK];           /* lateness when the next instant of the chain comes */
        double denominator[BLOCK];
        int64_t total[BLOCK];      /* the window's sum less `base`, ns */
        int64_t e[BLOCK];
        uint64_t squares[BLOCK];
        int64_t base, n, most;     /* state j knows min(n + j, most) intervals */
    } __attribute__((aligned(64))) block;
    """
    ctypedef struct block:
        double z[512]
        double denominator[512]
        int64_t total[512]
        int64_t e[512]
        uint64_t squares[512]
        int64_t base, n, most


cdef int64_t read_block(const estimator *e, const int64_t *c, int64_t i, int64_t count, sums *w,
                        block *b) noexcept nogil:
    """Read the states after instants i ... i + count - 1 and move on to i + count, which must exist.

    `w` is the state after instant i. Blocks of a full window go through 64-bit arithmetic on intervals measured from
    the window's own mean, where it is proved to fit; the rest goes one by one. Gives how many heartbeats were read:
    less than count only where the sums would outgrow their bits.
    """
    cdef int64_t j, r, n = w.n
    cdef uint64_t bits, after
    cdef u128 shifted
    b.n = n
    b.most = e.window if e.kind == WINDOW else n
    b.base = 0
    if e.kind == CONSTANT:
        for j in range(count):
            b.total[j] = 0
            b.denominator[j] = e.scale
            b.z[j] = <double> (c[i + j + 1] - c[i + j]) / e.scale
        return count
    # 2^19: see window_block_fits. The last two conditions keep the numerator and what learn() guards in bounds.
    if n == e.window and n <= (1 << 19) and e.pause < (1LL << 33) and (w.sum // n + (1LL << 32)) * n < SUM_LIMIT:
        r = w.sum // n
        shifted = w.squares + <u128> n * square(r) - 2 * <u128> r * <u128> w.sum
        bits = window_enter(c + i, n, r, b.e, b.total, b.squares, count)
        if window_block_fits(shifted, bits, count):
            after = running_sum(b.squares, <uint64_t> shifted, count)
            window_read(b.e, b.total, b.squares, <double> n, e.pause, <double> n * e.floor, b.z, b.denominator, count)
            w.sum = <int64_t> (<uint64_t> c[i + count] - <uint64_t> c[i + count - n])
            w.squares = <u128> after + 2 * <u128> r * <u128> w.sum - <u128> n * square(r)
            b.base = n * r
            return count
    for j in range(count):
        b.total[j] = w.sum
        b.denominator[j] = denominator(e, w)
        b.e[j] = <int64_t> (<uint64_t> c[i + j + 1] - <uint64_t> c[i + j])
        b.z[j] = lateness(e, w.n, w.sum, b.denominator[j], b.e[j])
        if not learn(e, w, b.e[j],
                     <int64_t> (<uint64_t> c[i + j - w.n + 1] - <uint64_t> c[i + j - w.n]) if w.n == e.window else 0):
            return j
    return count


def levels(Detector detector not None, const int64_t[::1] chain, int64_t start, int64_t low, int64_t high,
           double[::1] out):
    """out[k]: the level when instant k of the chain comes, for low < k <= high, in the stretch that begins at start.

    Returns -1, or the index of an interval that the sums cannot hold.
    """
    cdef estimator *e = &detector.e
    cdef const int64_t *c
    cdef int64_t i = low, j, count, done
    cdef sums w
    cdef block b
    if high <= low:
        return -1
    if not (0 <= start <= low and high < chain.shape[0] and out.shape[0] == chain.shape[0]):
        raise IndexError("levels: range outside the chain")
    c = &chain[0]
    with nogil:
        if open_window(e, c, start, low, &w) < 0:
            i = -1 - low
        while 0 <= i < high:
            count = min(<int64_t> BLOCK, high - i)
            done = read_block(e, c, i, count, &w, &b)
            levels_of(detector.kind, b.z, &out[i + 1], count)
            for j in range(min(count, e.min_samples - b.n)):
                out[i + 1 + j] = NAN
            i = i + count if done == count else -1 - (i + done)
    return -1 if i >= 0 else -1 - i


def states(Detector detector not None, const int64_t[::1] chain, int64_t start, int64_t low, int64_t high,
           int32_t[::1] samples, int64_t[::1] total, double[::1] denominators):
    """What the estimator knows after each instant k of the chain, low <= k <= high: n, sum and denominator.

    samples[k - low] is negative, -1 - n, where that is too little for a level. Returns as levels does.
    """
    cdef estimator *e = &detector.e
    cdef const int64_t *c
    cdef int64_t i = low, j, n, count, done = 0, size = high + 1 - low
    cdef sums w
    cdef block b
    if high < low:
        return -1
    if not (0 <= start <= low and high < chain.shape[0] and samples.shape[0] >= size and total.shape[0] >= size
            and denominators.shape[0] >= size):
        raise IndexError("states: range outside the chain")
    c = &chain[0]
    with nogil:
        if open_window(e, c, start, low, &w) < 0:
            i = -1 - low
        while 0 <= i < high:
            count = min(<int64_t> BLOCK, high - i)
            done = read_block(e, c, i, count, &w, &b)
            for j in range(count):
                n = min(b.n + j, b.most)
                samples[i - low + j] = <int32_t> (n if known(e, n) else -1 - n)
                total[i - low + j] = b.total[j] + b.base
            memcpy(&denominators[i - low], b.denominator, count * sizeof(double))
            i = i + count if done == count else -1 - (i + done)
        if i == high:
            samples[i - low] = <int32_t> (w.n if known(e, w.n) else -1 - w.n)
            total[i - low] = w.sum
            denominators[i - low] = denominator(e, &w)
    return -1 if i >= 0 else -1 - i


def levels_at(Detector detector not None, const int32_t[::1] samples, const int64_t[::1] total,
              const double[::1] denominators, const int64_t[::1] state, const int64_t[::1] elapsed, double[::1] out):
    """out[i]: the level `elapsed[i]` ns after the last heartbeat, in the state number state[i]; NaN for state -1."""
    cdef Py_ssize_t i, n = state.shape[0]
    cdef int64_t k
    cdef double z
    if elapsed.shape[0] != n or out.shape[0] != n:
        raise IndexError("levels_at: arrays of different lengths")
    with nogil:
        for i in range(n):
            k = state[i]
            if k < 0 or samples[k] < 0:
                out[i] = NAN
            else:
                z = lateness(&detector.e, samples[k], total[k], denominators[k], elapsed[i])
                out[i] = level_of(detector.kind, z)


def timeouts(Detector detector not None, const int32_t[::1] samples, const int64_t[::1] total,
             const double[::1] denominators, double z, int64_t[::1] out):
    """out[k]: the first whole ns after the last heartbeat at which the lateness reaches z in state k, or NEVER."""
    cdef Py_ssize_t k, n = out.shape[0]
    if not samples.shape[0] == total.shape[0] == denominators.shape[0] == n:
        raise IndexError("timeouts: arrays of different lengths")
    with nogil:
        for k in range(n):
            out[k] = INT64_MAX
            if samples[k] >= 0:
                out[k] = first_elapsed(&detector.e, samples[k], total[k], denominators[k], z)


def latenesses(Detector detector not None, const int32_t[::1] samples, const int64_t[::1] total,
               const double[::1] denominators, const int64_t[::1] state, const int64_t[::1] elapsed, double[::1] out):
    """out[i]: z, `elapsed[i]` ns after the last heartbeat, in the state number state[i]; NaN where unknown."""
    cdef Py_ssize_t i, n = state.shape[0]
    cdef int64_t k
    if elapsed.shape[0] != n or out.shape[0] != n:
        raise IndexError("latenesses: arrays of different lengths")
    with nogil:
        for i in range(n):
            k = state[i]
            out[i] = NAN
            if k >= 0 and samples[k] >= 0:
                out[i] = lateness(&detector.e, samples[k], total[k], denominators[k], elapsed[i])


# ---- quality of service ---------------------------------------------------------------------------------------------

cdef extern from *:
    """
    /* A 128-bit sum in two words of an int64 array: whatever order it is added up in, the bits are the same. */
    static inline void add_wide(int64_t *wide, int64_t x) {
        uint64_t low = (uint64_t)wide[0], sum = low + (uint64_t)x;
        wide[0] = (int64_t)sum;
        wide[1] = (int64_t)((uint64_t)wide[1] + (uint64_t)(x >> 63) + (sum < low));
    }
    """
    void add_wide(int64_t *wide, int64_t x) nogil

cdef enum:  # columns of Tally.late: suspicions in whose lateness a threshold was the highest one passed
    COUNT
    EXCESS            # 128 bits: the sum of interval - location
    SCALE = 3         # 128 bits: the sum of the scale
    FIRST_START = 5   # of the first that began here: observed time before its interval (or -1), location, scale
    LAST_START = 8    # of the last that began here: the same
    LAST_UNTIL = 11   # observed time when the last interval ended
    LATE_COLUMNS

cdef enum:  # columns of Tally.early: heartbeats that leave the peer suspected, by the lateness they leave
    LOCATION = 1  # 128 bits
    WIDTH = 3     # 128 bits: the sum of the scale
    TOUCHING = 5  # how many suspicions went on across their heartbeat
    EARLY_COLUMNS

cdef enum:  # columns of Tally.resumed: one row for each threshold
    FIRST_RESUMED   # as FIRST_START and LAST_START, for suspicions that go on from the interval before at a
    LAST_RESUMED = 3  # lower threshold, but begin at this one
    LEAD = 6        # observed time until which a suspicion from before the observation goes on
    RESUMED_COLUMNS

cdef enum:  # Tally.whole: over all scored intervals
    INTERVALS
    KNOWN
    OBSERVED      # 128 bits
    ALL_LOCATION = 4
    ALL_SCALE = 6
    WHOLE = 8

LATE = dict(count=COUNT, excess=EXCESS, scale=SCALE, first=FIRST_START, last=LAST_START, until=LAST_UNTIL,
            columns=LATE_COLUMNS)
EARLY = dict(count=COUNT, location=LOCATION, scale=WIDTH, touching=TOUCHING, columns=EARLY_COLUMNS)
RESUMED = dict(first=FIRST_RESUMED, last=LAST_RESUMED, lead=LEAD, columns=RESUMED_COLUMNS)
TOTAL = dict(intervals=INTERVALS, known=KNOWN, observed=OBSERVED, location=ALL_LOCATION, scale=ALL_SCALE, columns=WHOLE)
SCORED_LIMIT = FIXED_LIMIT


cdef inline bint fixed(const estimator *e, int64_t n, int64_t total, double n_scale, int64_t *location,
                       int64_t *scale) noexcept nogil:
    """Location and scale in units of 2^-8 ns; False where they are 2^54 ns (208 days) or more."""
    cdef double width = n_scale / n
    if total // n >= FIXED_LIMIT - e.pause or width >= FIXED_LIMIT:
        return False
    location[0] = location_fixed(e, n, total)
    scale[0] = llrint(width * (1 << FIXED_BITS))
    return True


def fixed_points(Detector detector not None, const int32_t[::1] samples, const int64_t[::1] total,
                 const double[::1] denominators, int64_t[::1] locations, int64_t[::1] scales):
    """Location and scale of each state in units of 2^-8 ns; -1 where unknown or 2^54 ns and more."""
    cdef Py_ssize_t k, n = locations.shape[0]
    if not samples.shape[0] == total.shape[0] == denominators.shape[0] == scales.shape[0] == n:
        raise IndexError("fixed_points: arrays of different lengths")
    with nogil:
        for k in range(n):
            locations[k] = scales[k] = -1
            if samples[k] >= 0:
                fixed(&detector.e, samples[k], total[k], denominators[k], &locations[k], &scales[k])


cdef inline void began(int64_t *first, int64_t *last, int64_t elapsed, int64_t location,
                       int64_t scale) noexcept nogil:
    """Note a suspicion that begins in the interval after `elapsed`."""
    last[0] = elapsed
    last[1] = location
    last[2] = scale
    if first[0] < 0:
        memcpy(first, last, 3 * sizeof(int64_t))


cdef class Tally:
    """Everything that the quality of service at any of the thresholds adds up, in one pass.

    A scored interval is late at the thresholds below its lateness; so it is put down once, at the highest of them,
    and the columns are summed from the top at the end. Row k of `late` and `early` holds what passed the first k
    thresholds and no more. All sums are integers in units of 2^-8 ns, in 128 bits.

    Parameters
    ----------
    z : float64 array, ascending
        The lateness that belongs to each threshold.
    late, early, resumed, whole : int64 arrays
        Of the shapes (z + 1, LATE columns), (z + 1, EARLY columns), (z, RESUMED columns), (TOTAL columns); zero but
        for the starts, which are -1. The enums above say what they hold.
    cells : int32 array
        Scratch: a grid over the range of z, for finding a threshold in constant time.
    elapsed : int
        Observed time before the first interval, ns.
    previous : float
        The lateness just before the first heartbeat; NaN where there is none.
    """

    cdef const double[::1] z
    cdef int64_t[:, ::1] late, early, resumed
    cdef int64_t[::1] whole
    cdef int32_t[::1] cells
    cdef double cell_scale
    cdef readonly double previous  # lateness just before the last heartbeat
    cdef readonly int64_t elapsed  # observed time so far, ns
    cdef int64_t lead              # at how many thresholds a suspicion from before the observation still goes on

    def __cinit__(self, const double[::1] z, int64_t[:, ::1] late, int64_t[:, ::1] early, int64_t[:, ::1] resumed,
                  int64_t[::1] whole, int32_t[::1] cells, int64_t elapsed, double previous):
        cdef Py_ssize_t n = z.shape[0], k = 0, cell
        if not (n and cells.shape[0] and late.shape[0] == early.shape[0] == n + 1 and resumed.shape[0] == n
                and late.shape[1] == LATE_COLUMNS and early.shape[1] == EARLY_COLUMNS
                and resumed.shape[1] == RESUMED_COLUMNS and whole.shape[0] == WHOLE):
            raise IndexError("Tally: arrays of the wrong shape")
        self.z, self.late, self.early, self.resumed, self.whole, self.cells = z, late, early, resumed, whole, cells
        self.elapsed, self.previous = elapsed, previous
        self.lead = n  # until the first interval says otherwise
        self.cell_scale = 0
        if z[n - 1] - z[0] < INFINITY and z[n - 1] > z[0]:
            self.cell_scale = cells.shape[0] / (z[n - 1] - z[0])
        for cell in range(cells.shape[0]):
            while k < n and (z[k] - z[0]) * self.cell_scale < cell:
                k += 1
            cells[cell] = max(k - 1, 0)

    cdef int64_t passed(self, double z) noexcept nogil:
        """How many thresholds lie below z (none for NaN)."""
        cdef int64_t k = 0, n = self.z.shape[0]
        cdef double cell
        if not z > self.z[0]:
            return 0
        cell = (z - self.z[0]) * self.cell_scale
        if cell > 0:
            k = self.cells[<int64_t> min(cell, <double> (self.cells.shape[0] - 1))]
        while k < n and self.z[k] < z:
            k += 1
        return k

    cdef void lead_ends(self, int64_t above) noexcept nogil:
        """The suspicion from before the observation ends at the thresholds from number `above` on."""
        while self.lead > above:
            self.lead -= 1
            self.resumed[self.lead, LEAD] = self.elapsed

    def finish(self):
        """No more intervals follow."""
        self.lead_ends(0)

    def add(self, Detector detector not None, const int32_t[::1] samples, const int64_t[::1] total,
            const double[::1] denominators, const int64_t[::1] state, const int64_t[::1] interval):
        """Score intervals: interval[i] follows the heartbeat that left the estimator in state state[i] (i if None).

        Returns -1, or the index of an interval that is too long to be scored (2^54 ns, 208 days).
        """
        cdef Py_ssize_t i, n = interval.shape[0]
        cdef const estimator *e = &detector.e
        cdef int64_t k, late, touching, location = 0, scale = 0, bad = -1
        cdef int64_t *row
        cdef double before, after, z0 = self.z[0], previous = self.previous
        if (samples.shape[0] < n if state is None else state.shape[0] < n) or not (
                samples.shape[0] == total.shape[0] == denominators.shape[0]):
            raise IndexError("Tally.add: arrays of different lengths")
        with nogil:
            for i in range(n):
                k = i if state is None else state[i]
                self.whole[INTERVALS] += 1
                add_wide(&self.whole[OBSERVED], interval[i])
                if samples[k] < 0:
                    previous = NAN
                    self.lead_ends(0)
                    self.elapsed += interval[i]
                    continue
                before = lateness(e, samples[k], total[k], denominators[k], interval[i])
                if interval[i] >= FIXED_LIMIT or not fixed(e, samples[k], total[k], denominators[k],
                                                           &location, &scale):
                    bad = i
                    break
                self.whole[KNOWN] += 1
                add_wide(&self.whole[ALL_LOCATION], location)
                add_wide(&self.whole[ALL_SCALE], scale)
                late = self.passed(before)
                touching = 0
                if late and (z0 < 0 or location < 0):  # else the peer is trusted just after its heartbeat
                    after = lateness(e, samples[k], total[k], denominators[k], 0)
                    row = &self.early[self.passed(after), 0]
                    row[COUNT] += 1
                    add_wide(row + LOCATION, location)
                    add_wide(row + WIDTH, scale)
                    touching = self.passed(after if after < previous else previous)
                    self.early[touching, TOUCHING] += 1
                if self.lead > touching:
                    self.lead_ends(touching)
                if late:
                    row = &self.late[late, 0]
                    row[COUNT] += 1
                    add_wide(row + EXCESS, (interval[i] << FIXED_BITS) - location)
                    add_wide(row + SCALE, scale)
                    row[LAST_UNTIL] = self.elapsed + interval[i]
                    if touching == 0:
                        began(row + FIRST_START, row + LAST_START, self.elapsed, location, scale)
                    for k in range(touching if touching else late, late):
                        row = &self.resumed[k, 0]
                        began(row + FIRST_RESUMED, row + LAST_RESUMED, self.elapsed, location, scale)
                previous = before
                self.elapsed += interval[i]
            self.previous = previous
        return bad
