//! Those who wait, with a waiter that this floor knows nothing of but what it is asked.

use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use super::*;
use crate::data::{End, Kind, List, Places, Served, Waiter};

/// Takes the first element of a list, and puts it into another if there is one.
#[derive(Default)]
struct Taker {
    from: &'static str,
    to: Option<&'static str>,
    /// He has given up, and is still in the queue.
    gone: AtomicBool,
    got: Mutex<Option<String>>,
    /// Those who are served together with him.
    others: Mutex<Vec<Arc<Self>>>,
}

impl Taker {
    fn got(&self) -> Option<String> {
        self.got.lock().unwrap().clone()
    }
}

impl Waiter for Taker {
    fn kind(&self) -> Kind {
        Kind::List
    }

    fn serve(self: Arc<Self>, tx: &mut Tx<'_>) -> Option<Served> {
        assert!(tx.holds(tx.data().hash(self.from.as_bytes())), "nobody is served without his stripes");
        let mut list = List::open(tx, 0, self.from.as_bytes()).unwrap();
        let mut element = Bytes::new();
        list.remove(tx, 0, 1, |first| element = first).unwrap();
        list.save(tx, Event::SET).unwrap();
        if let Some(to) = self.to {
            assert!(tx.holds(tx.data().hash(to.as_bytes())), "nobody is served without his stripes");
            let mut list = List::open(tx, 0, to.as_bytes()).unwrap();
            list.push(tx, End::Right, &element).unwrap();
            list.save(tx, Event::SET).unwrap();
        }
        if self.gone.load(Ordering::Relaxed) {
            return None;
        }
        tx.commit().unwrap();
        let before = self.got.lock().unwrap().replace(String::from_utf8(element.to_vec()).unwrap());
        assert_eq!(before, None, "he was served already");
        let others = self.others.lock().unwrap().clone();
        Some(Served::new(move || {
            let left = others.iter().filter(|other| other.got().is_none()).count();
            assert_eq!(left, 0, "nobody is answered before all are served");
        }))
    }
}

/// One who waits in the queues of these keys.
fn wait(data: &Data, keys: &[&'static str], to: Option<&'static str>) -> (Arc<Taker>, Places) {
    let taker = Arc::new(Taker { from: keys[0], to, ..Taker::default() });
    let keys: Vec<Bytes> = keys.iter().map(|key| Bytes::from_static(key.as_bytes())).collect();
    let target = to.map(|key| Bytes::from_static(key.as_bytes()));
    let held = data.hold_sleeping(data.need_many(keys.iter().chain(&target).map(|key| &key[..])));
    let waiter: Arc<dyn Waiter> = taker.clone();
    let places = data.wait(&held, 0, &keys, target.as_ref(), &waiter);
    (taker, places)
}

/// Puts elements into a list, with the stripe of that key alone as far as the caller knows.
fn push(data: &Data, database: u32, key: &str, elements: &[&str]) {
    let held = data.hold_sleeping(data.need_one(key.as_bytes()));
    let (tally, mut buf) = (Tally::default(), Vec::new());
    let mut tx = Tx::new(data, &held, &tally, &mut buf, 1000);
    let mut list = List::open(&mut tx, database, key.as_bytes()).unwrap();
    for element in elements {
        list.push(&mut tx, End::Right, element.as_bytes()).unwrap();
    }
    list.save(&mut tx, Event::SET).unwrap();
    tx.commit().unwrap();
}

fn len(data: &Data, key: &str) -> u64 {
    at(data, 1000, |tx| List::open(tx, 0, key.as_bytes()).unwrap().len())
}

fn all_got(waiting: &[(Arc<Taker>, Places)]) -> Vec<Option<String>> {
    waiting.iter().map(|(taker, _)| taker.got()).collect()
}

#[test]
fn who_came_first_is_served_first_and_who_has_gone_is_passed() {
    let data = data();
    let waiting: Vec<_> = (0..5).map(|_| wait(&data, &["q", "other", "q"], None)).collect();
    waiting[0].0.gone.store(true, Ordering::Relaxed);
    push(&data, 0, "q", &["a"]);
    push(&data, 0, "q", &["b", "c"]);
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(all_got(&waiting), [None, some("a"), some("b"), some("c"), None]);
    assert_eq!(len(&data, "q"), 0);
    drop(waiting);
    assert_eq!(data.interests.count(), 0);
    push(&data, 0, "q", &["d"]);
    assert_eq!(len(&data, "q"), 1);
}

#[test]
fn what_others_bring_elsewhere_serves_nobody() {
    let data = data();
    let (taker, _places) = wait(&data, &["q"], None);
    push(&data, 1, "q", &["a"]);
    push(&data, 0, "q2", &["a"]);
    set(&data, 0, "q");
    assert_eq!(taker.got(), None);
    at(&data, 1000, |tx| assert!(tx.delete(0, b"q").unwrap()));
    // What is written and removed again in one batch was never there.
    at(&data, 1000, |tx| {
        let mut list = List::open(tx, 0, b"q").unwrap();
        list.push(tx, End::Right, b"x").unwrap();
        list.save(tx, Event::SET).unwrap();
        tx.delete(0, b"q").unwrap();
    });
    assert_eq!(taker.got(), None);
    at(&data, 1000, |tx| tx.swap_databases(0, 1));
    assert_eq!(taker.got().as_deref(), Some("a"), "another database has come into its place");
}

#[test]
fn chains_and_circles_are_served_by_who_knows_one_key_only() {
    let data = data();
    let chain = [wait(&data, &["c"], None), wait(&data, &["b"], Some("c")), wait(&data, &["a"], Some("b"))];
    push(&data, 0, "a", &["v"]);
    assert!(all_got(&chain).iter().all(|got| got.as_deref() == Some("v")));
    let circle =
        [wait(&data, &["x"], Some("y")), wait(&data, &["y"], Some("x")), wait(&data, &["z"], Some("z"))];
    push(&data, 0, "y", &["v"]);
    push(&data, 0, "z", &["v"]);
    assert!(all_got(&circle).iter().all(|got| got.as_deref() == Some("v")));
    assert_eq!(["a", "b", "c", "x", "y", "z"].map(|key| len(&data, key)), [0, 0, 0, 0, 1, 1]);
    drop((chain, circle));
    assert_eq!(data.interests.count(), 0);
}

#[test]
fn whoever_holds_a_stripe_holds_what_is_needed_by_those_who_wait_there() {
    let data = data();
    let stripes = |key: &str| data.hold_sleeping(data.need_one(key.as_bytes())).stripes().len();
    assert_eq!(stripes("a"), 1);
    let last = wait(&data, &["b"], Some("c"));
    let first = wait(&data, &["a"], Some("b"));
    assert_eq!(["a", "b", "c"].map(stripes), [3, 2, 1]);
    // Who reads together with others serves nobody.
    let shared = data.hold_sleeping(data.need_one(b"a").shared());
    assert_eq!(shared.stripes().len(), 1);
    drop(shared);
    // What is held by others is waited for, and nothing else is held meanwhile.
    let held = data.hold_sleeping(data.need_one(b"c"));
    assert!(data.try_hold(data.need_one(b"a")).is_err());
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| push(&data, 0, "a", &["v"]));
        drop(held);
        writer.join().unwrap();
    });
    assert_eq!(len(&data, "c"), 1);
    drop((first, last));
    assert_eq!(["a", "b", "c"].map(stripes), [1, 1, 1]);
}

/// Many threads bring elements to the beginnings of chains that cross each other, while others wait and give up.
#[test]
fn crossing_chains_neither_lose_an_element_nor_wait_for_each_other() {
    const THREADS: usize = 4;
    const ROUNDS: usize = 60;
    const KEYS: [&str; 4] = ["k0", "k1", "k2", "k3"];
    let data = data();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let data = &data;
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    let at = |n: usize| KEYS[(thread + round + n) % KEYS.len()];
                    // In either direction.
                    let (from, to) = if thread % 2 == 0 { (at(0), at(1)) } else { (at(1), at(0)) };
                    let waiting = wait(data, &[from], Some(to));
                    push(data, 0, at(2), &["v"]);
                    drop(waiting);
                }
            });
        }
    });
    assert_eq!(KEYS.map(|key| len(&data, key)).iter().sum::<u64>(), (THREADS * ROUNDS) as u64);
    assert_eq!(data.interests.count(), 0);
}

#[test]
fn nobody_is_answered_before_all_are_served() {
    let data = data();
    let waiting = [wait(&data, &["q"], None), wait(&data, &["q"], Some("r")), wait(&data, &["r"], None)];
    let all: Vec<Arc<Taker>> = waiting.iter().map(|(taker, _)| Arc::clone(taker)).collect();
    for (taker, _) in &waiting {
        taker.others.lock().unwrap().clone_from(&all);
    }
    push(&data, 0, "q", &["1", "2"]);
    assert_eq!(all_got(&waiting), [Some("1".to_owned()), Some("2".to_owned()), Some("2".to_owned())]);
    all.iter().for_each(|taker| taker.others.lock().unwrap().clear());
}
