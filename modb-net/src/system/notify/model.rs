//! Models of the notifier under loom: every order of events that the memory model allows, with two
//! producers, three notifies and two preemptions. loom is used as a library, without `--cfg loom`.
//!
//! The queue is the weakest that could be: one relaxed flag per item, so that the state alone must make
//! items visible. The socket is a counter of bytes with a condition variable. A lost wake-up is a loop
//! that waits for ever, which loom reports as a deadlock.
//!
//! The protocol itself runs here as the notifier has it ([`State`]), over loom's atomic. Beside it stand
//! seven plausible variants, each of which has been written by somebody, and each loses a wake-up.

use loom::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use loom::sync::{Condvar, Mutex};
use loom::thread;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};

use crate::system::sys::model_tests;

use super::pace::Pace;
use super::state::{ASLEEP, AWAKE, Cell, NOTIFIED, State};

impl Cell for AtomicU64 {
    fn new(value: u64) -> Self {
        Self::new(value)
    }
    fn fetch_add(&self, value: u64, order: Ordering) -> u64 {
        self.fetch_add(value, order)
    }
    fn swap(&self, value: u64, order: Ordering) -> u64 {
        self.swap(value, order)
    }
    fn compare_exchange(&self, old: u64, new: u64, success: Ordering, failure: Ordering) -> Result<u64, u64> {
        self.compare_exchange(old, new, success, failure)
    }
}

/// What a way of notifying consists of.
trait Protocol: Send + Sync + 'static {
    fn new() -> Self;
    /// `true`: write a byte.
    fn notify(&self) -> bool;
    /// `true`: block. `is_empty` looks at the queue once more.
    fn try_sleep(&self, is_empty: &dyn Fn() -> bool) -> bool;
    /// The wait is over; `empty_socket` is to be called in here.
    fn wake(&self, empty_socket: &dyn Fn());
    /// Whether a write is reported by one wait only.
    const REPORTS_ONCE: bool = false;
}

/// The one that the notifier uses.
impl Protocol for State<AtomicU64> {
    fn new() -> Self {
        Self::new()
    }
    fn notify(&self) -> bool {
        self.notify()
    }
    fn try_sleep(&self, _: &dyn Fn() -> bool) -> bool {
        self.try_sleep()
    }
    fn wake(&self, empty_socket: &dyn Fn()) {
        empty_socket();
        self.wake();
    }
}

/// The same where each write is reported once, emptied or not.
struct ReportedOnce(State<AtomicU64>);

impl Protocol for ReportedOnce {
    fn new() -> Self {
        Self(State::new())
    }
    fn notify(&self) -> bool {
        self.0.notify()
    }
    fn try_sleep(&self, _: &dyn Fn() -> bool) -> bool {
        self.0.try_sleep()
    }
    fn wake(&self, empty_socket: &dyn Fn()) {
        if self.0.wake() == 0 {
            empty_socket();
        }
    }
    const REPORTS_ONCE: bool = true;
}

/// The same in a loop that in a burst looks more often than it asks, as the notifier has it.
struct Paced(State<AtomicU64>, std::sync::Mutex<(Pace, bool)>);

impl Protocol for Paced {
    fn new() -> Self {
        // The shortest burst in which a look does not ask: each look more has as many orders again.
        let pace = Pace::Calm.told(true).told(true);
        Self(State::new(), std::sync::Mutex::new((pace, false)))
    }
    fn notify(&self) -> bool {
        self.0.notify()
    }
    fn try_sleep(&self, _: &dyn Fn() -> bool) -> bool {
        let (pace, asleep) = &mut *self.1.lock().unwrap();
        *asleep = !pace.looks() && self.0.try_sleep();
        *asleep
    }
    fn wake(&self, empty_socket: &dyn Fn()) {
        let (pace, asleep) = &mut *self.1.lock().unwrap();
        *pace = pace.without_asking().unwrap_or_else(|| {
            empty_socket();
            pace.told(self.0.wake() > u64::from(*asleep))
        });
    }
}

/// The model of the socket: bytes that nobody has read yet, and whether its stream has ended.
struct Socket {
    state: Mutex<(usize, bool)>,
    /// How many bytes there were when they were last reported. Under the lock.
    reported: AtomicUsize,
    changed: Condvar,
}

impl Socket {
    fn new() -> Self {
        Self { state: Mutex::new((0, false)), reported: AtomicUsize::new(0), changed: Condvar::new() }
    }
    fn write(&self) {
        self.state.lock().unwrap().0 += 1;
        self.changed.notify_one();
    }
    fn shutdown(&self) {
        self.state.lock().unwrap().1 = true;
        self.changed.notify_one();
    }
    fn wait_readable(&self) {
        let mut state = self.state.lock().unwrap();
        while *state == (0, false) {
            state = self.changed.wait(state).unwrap();
        }
    }
    /// Of what was written since the last report. What was emptied meanwhile is not reported.
    fn wait_report(&self) {
        let mut state = self.state.lock().unwrap();
        while state.0 == self.reported.load(Relaxed) || state.0 == 0 {
            state = self.changed.wait(state).unwrap();
        }
        self.reported.store(state.0, Relaxed);
    }
    fn has_ended(&self) -> bool {
        self.state.lock().unwrap().1
    }
    fn empty(&self) {
        let mut state = self.state.lock().unwrap();
        state.0 = 0;
        self.reported.store(0, Relaxed);
    }
}

/// What the loop may meet besides being woken.
#[derive(Clone, Copy, PartialEq)]
enum Weather {
    /// It sleeps until it is woken.
    Calm,
    /// Its first wait ends by itself, as by a timeout or for another socket.
    TimesOut,
}

const PRODUCERS: [&[usize]; 2] = [&[0, 1], &[2]];
const ITEMS: usize = 3;

fn check<P: Protocol>(weather: Weather) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(move || {
        let protocol = Arc::new(P::new());
        let socket = Arc::new(Socket::new());
        let items: Arc<[AtomicBool; ITEMS]> = Arc::new(std::array::from_fn(|_| AtomicBool::new(false)));
        for numbers in PRODUCERS {
            let (protocol, socket, items) = (protocol.clone(), socket.clone(), items.clone());
            thread::spawn(move || {
                for &number in numbers {
                    items[number].store(true, Relaxed);
                    if protocol.notify() {
                        socket.write();
                    }
                }
            });
        }
        let mut seen = [false; ITEMS];
        let mut times_out = weather == Weather::TimesOut;
        loop {
            for (seen, item) in seen.iter_mut().zip(&*items) {
                *seen |= item.load(Relaxed);
            }
            if seen == [true; ITEMS] {
                break;
            }
            let is_empty = || seen.iter().zip(&*items).all(|(seen, item)| *seen || !item.load(Relaxed));
            if protocol.try_sleep(&is_empty) && !std::mem::take(&mut times_out) {
                if P::REPORTS_ONCE { socket.wait_report() } else { socket.wait_readable() }
            }
            protocol.wake(&|| socket.empty());
        }
    });
}

model_tests! {
    fn the_protocol_loses_nothing() {
        check::<State<AtomicU64>>(Weather::Calm);
    }

    fn the_protocol_loses_nothing_when_the_loop_wakes_by_itself() {
        check::<State<AtomicU64>>(Weather::TimesOut);
    }

    fn the_protocol_loses_nothing_in_a_burst_that_is_looked_at_more_often_than_asked_about() {
        check::<Paced>(Weather::Calm);
    }

    fn the_protocol_loses_nothing_where_each_write_is_reported_once() {
        check::<ReportedOnce>(Weather::Calm);
        check::<ReportedOnce>(Weather::TimesOut);
    }
}

/// A variant of the protocol: what the notifier has, unless a method is given.
macro_rules! variant {
    ($name:ident, $doc:literal, { $($own:tt)* }) => {
        #[doc = $doc]
        struct $name(AtomicU64);
        impl Variant for $name {
            fn over(cell: AtomicU64) -> Self { Self(cell) }
            fn cell(&self) -> &AtomicU64 { &self.0 }
            $($own)*
        }
    };
}

trait Variant: Send + Sync + 'static {
    fn over(cell: AtomicU64) -> Self;
    fn cell(&self) -> &AtomicU64;
    fn notify(&self) -> bool {
        self.cell().fetch_add(NOTIFIED, Release) == ASLEEP
    }
    fn try_sleep(&self, _: &dyn Fn() -> bool) -> bool {
        self.cell().compare_exchange(AWAKE, ASLEEP, Relaxed, Relaxed).is_ok()
    }
    fn wake(&self, empty_socket: &dyn Fn()) {
        empty_socket();
        self.cell().swap(AWAKE, Acquire);
    }
}

impl<V: Variant> Protocol for V {
    fn new() -> Self {
        Self::over(AtomicU64::new(AWAKE))
    }
    fn notify(&self) -> bool {
        Variant::notify(self)
    }
    fn try_sleep(&self, is_empty: &dyn Fn() -> bool) -> bool {
        Variant::try_sleep(self, is_empty)
    }
    fn wake(&self, empty_socket: &dyn Fn()) {
        Variant::wake(self, empty_socket);
    }
}

variant!(Unchanged, "As it is, so that what (b), (d), (e) and (f) are found by is their one change.", {});

variant!(TwoStates, "Sound too, with a byte per wait even while awake: what (a) and (c) change.", {
    fn notify(&self) -> bool {
        self.0.swap(NOTIFIED, Release) != NOTIFIED
    }
    fn try_sleep(&self, _: &dyn Fn() -> bool) -> bool {
        true
    }
});

variant!(
    ChecksAgainWithFence,
    "Sound too, with a fence per notify and a byte per notify: what (g) changes.",
    {
        fn notify(&self) -> bool {
            fence(SeqCst);
            self.0.load(Relaxed) == ASLEEP
        }
        fn try_sleep(&self, is_empty: &dyn Fn() -> bool) -> bool {
            self.0.store(ASLEEP, Relaxed);
            fence(SeqCst);
            is_empty()
        }
        fn wake(&self, empty_socket: &dyn Fn()) {
            empty_socket();
            self.0.store(AWAKE, Relaxed);
        }
    }
);

variant!(SkipsIfExchangeFails, "(a) Two states; a failed exchange releases nothing.", {
    fn notify(&self) -> bool {
        self.0.compare_exchange(AWAKE, NOTIFIED, SeqCst, SeqCst).is_ok()
    }
    fn try_sleep(&self, _: &dyn Fn() -> bool) -> bool {
        true
    }
});

variant!(SkipsIfAlreadySet, "(b) A relaxed look first, as libuv has it.", {
    fn notify(&self) -> bool {
        self.0.load(Relaxed) < NOTIFIED && self.0.fetch_add(NOTIFIED, SeqCst) == ASLEEP
    }
});

variant!(WakesBeforeEmptying, "(c) The flag is cleared first: the byte of a later notify is swallowed.", {
    fn notify(&self) -> bool {
        self.0.swap(NOTIFIED, SeqCst) != NOTIFIED
    }
    fn try_sleep(&self, _: &dyn Fn() -> bool) -> bool {
        true
    }
    fn wake(&self, empty_socket: &dyn Fn()) {
        self.0.swap(AWAKE, SeqCst);
        empty_socket();
    }
});

variant!(SleepsUnasked, "(d) Goes to sleep whatever the state is.", {
    fn try_sleep(&self, _: &dyn Fn() -> bool) -> bool {
        self.0.store(ASLEEP, SeqCst);
        true
    }
});

variant!(WakesByStore, "(e) A store acquires nothing.", {
    fn wake(&self, empty_socket: &dyn Fn()) {
        empty_socket();
        self.0.store(AWAKE, SeqCst);
    }
});

variant!(NotifiesRelaxed, "(f) The item is not published before the state.", {
    fn notify(&self) -> bool {
        self.0.fetch_add(NOTIFIED, Relaxed) == ASLEEP
    }
});

variant!(ChecksAgainWithoutFence, "(g) The loop looks again, but the producer has no fence to pair with.", {
    fn notify(&self) -> bool {
        self.0.load(Relaxed) == ASLEEP
    }
    fn try_sleep(&self, is_empty: &dyn Fn() -> bool) -> bool {
        self.0.store(ASLEEP, Relaxed);
        fence(SeqCst);
        is_empty()
    }
    fn wake(&self, empty_socket: &dyn Fn()) {
        empty_socket();
        self.0.store(AWAKE, Relaxed);
    }
});

model_tests! {
    fn what_the_mutants_change_loses_nothing() {
        check::<Unchanged>(Weather::Calm);
        check::<TwoStates>(Weather::Calm);
        check::<ChecksAgainWithFence>(Weather::Calm);
    }
}

// Each passes if loom finds that the loop sleeps for ever.
model_tests! {
    #[should_panic(expected = "deadlock")]
    fn a_skipping_if_the_exchange_fails_loses() {
        check::<SkipsIfExchangeFails>(Weather::Calm);
    }

    #[should_panic(expected = "deadlock")]
    fn b_skipping_if_already_set_loses() {
        check::<SkipsIfAlreadySet>(Weather::Calm);
    }

    #[should_panic(expected = "deadlock")]
    fn c_waking_before_emptying_loses() {
        check::<WakesBeforeEmptying>(Weather::Calm);
    }

    #[should_panic(expected = "deadlock")]
    fn d_sleeping_unasked_loses() {
        check::<SleepsUnasked>(Weather::Calm);
    }

    #[should_panic(expected = "deadlock")]
    fn e_waking_by_store_loses() {
        check::<WakesByStore>(Weather::Calm);
    }

    #[should_panic(expected = "deadlock")]
    fn f_notifying_relaxed_loses() {
        check::<NotifiesRelaxed>(Weather::Calm);
    }

    #[should_panic(expected = "deadlock")]
    fn g_checking_again_without_a_fence_loses() {
        check::<ChecksAgainWithoutFence>(Weather::Calm);
    }
}

/// What a producer does when its write fails for good.
#[derive(Clone, Copy)]
enum OnFailure {
    /// Ends the stream, which the loop sees: what the notifier does.
    EndTheStream,
    /// Puts the state back, so that the next notify tries again.
    PutTheStateBack,
}

/// Two producers, one notify each; the first write fails. The loop must see both items, or learn that it can
/// no longer be woken.
fn check_failed_write(on_failure: OnFailure) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(move || {
        let state = Arc::new(State::<AtomicU64>::new());
        let socket = Arc::new(Socket::new());
        let fails = Arc::new(AtomicBool::new(true));
        let items: Arc<[AtomicBool; 2]> = Arc::new(std::array::from_fn(|_| AtomicBool::new(false)));
        for number in 0..2 {
            let (state, socket, items) = (state.clone(), socket.clone(), items.clone());
            let fails = fails.clone();
            thread::spawn(move || {
                items[number].store(true, Relaxed);
                if !state.notify() {
                    return;
                }
                match on_failure {
                    _ if !fails.swap(false, SeqCst) => socket.write(),
                    OnFailure::EndTheStream => socket.shutdown(),
                    OnFailure::PutTheStateBack => state.put_back_asleep(),
                }
            });
        }
        while !items.iter().all(|item| item.load(Relaxed)) {
            if state.try_sleep() {
                socket.wait_readable();
            }
            if socket.has_ended() {
                break;
            }
            socket.empty();
            state.wake();
        }
    });
}

model_tests! {
    fn a_failed_write_is_told_to_the_loop() {
        check_failed_write(OnFailure::EndTheStream);
    }

    #[should_panic(expected = "deadlock")]
    fn putting_the_state_back_loses_whoever_coalesced() {
        check_failed_write(OnFailure::PutTheStateBack);
    }
}
