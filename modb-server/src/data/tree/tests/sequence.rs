//! A list with its ends apart, against a `VecDeque`.

use std::collections::{HashMap, VecDeque};

use proptest::prelude::*;

use super::super::*;
use super::Shelf;

const SMALL: Limits = Limits { root_bytes: 48, inner_bytes: 64, leaf_bytes: 64, end_bytes: 24 };
const USUAL: Limits =
    Limits { root_bytes: 300, inner_bytes: 1_011, leaf_bytes: 1_011, end_bytes: MAX_END_BYTES };

/// A list with all that it stands on.
struct Planted {
    elements: Sequence,
    shelf: Shelf,
    numbers: Numbers,
    limits: Limits,
}

impl Planted {
    fn new(limits: Limits) -> Self {
        let (elements, shelf, numbers) = (Sequence::new(), Shelf::default(), Numbers::default());
        Self { elements, shelf, numbers, limits }
    }

    fn with<T>(&mut self, work: impl FnOnce(&mut Sequence, &mut Ground<'_, Shelf>) -> Result<T, Fault>) -> T {
        let mut ground = Ground { pages: &mut self.shelf, numbers: &mut self.numbers, limits: self.limits };
        work(&mut self.elements, &mut ground).unwrap()
    }

    fn push(&mut self, end: End, element: &[u8]) {
        let index = if end == End::Left { 0 } else { self.elements.len() };
        self.with(|elements, ground| elements.insert(ground, index, element));
    }

    fn pop(&mut self, end: End) -> Bytes {
        self.with(|elements, ground| {
            elements.fill(ground, end)?;
            let index = if end == End::Left { 0 } else { elements.len() - 1 };
            elements.take_some(ground, index, 1)
        })
        .remove(0)
    }

    fn remove(&mut self, from: usize, to: usize) -> Vec<Bytes> {
        let mut gone = Vec::new();
        while gone.len() < to - from {
            let left = (to - from - gone.len()) as u64;
            gone.extend(self.with(|elements, ground| elements.take_some(ground, from as u64, left)));
        }
        gone
    }

    /// The elements from `index` on, at most `most`.
    fn read(&mut self, index: usize, reverse: bool, most: usize) -> Vec<Bytes> {
        let mut all = Vec::new();
        self.with(|elements, ground| {
            elements.walk(ground, index as u64, reverse, |element| {
                all.push(element);
                all.len() < most
            })
        });
        all
    }

    fn verify(&mut self) {
        let mut seen = HashMap::<NodeNumber, usize>::new();
        self.with(|all, ground| all.verify(ground, &mut |number| *seen.entry(number).or_default() += 1));
        self.numbers.verify(&mut self.shelf, &mut |number| *seen.entry(number).or_default() += 1).unwrap();
        assert!(
            (1..self.numbers.next).all(|number| seen.get(&number) == Some(&1)),
            "a node is there once, or free once"
        );
        let Sequence { front, back, .. } = &self.elements;
        assert!(front.root.len().max(back.root.len()) <= self.limits.end_bytes.max(3));
    }
}

/// What is done, as numbers that the model makes sense of.
#[derive(Clone, Debug)]
enum Step {
    Push(bool, Vec<u8>),
    Pop(bool, u8),
    Insert(u16, Vec<u8>),
    Set(u16, Vec<u8>),
    Remove(u16, u8),
    Read(u16, bool, u8),
}

fn element() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => proptest::collection::vec(any::<u8>(), 0..12),
        1 => proptest::collection::vec(any::<u8>(), 40..400),
    ]
}

fn program() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (any::<bool>(), element()).prop_map(|(left, element)| Step::Push(left, element)),
        6 => (any::<bool>(), 1u8..8).prop_map(|(left, count)| Step::Pop(left, count)),
        2 => (any::<u16>(), element()).prop_map(|(at, element)| Step::Insert(at, element)),
        2 => (any::<u16>(), element()).prop_map(|(at, element)| Step::Set(at, element)),
        1 => (any::<u16>(), 1u8..6).prop_map(|(at, count)| Step::Remove(at, count)),
        2 => (any::<u16>(), any::<bool>(), 1u8..60).prop_map(|(at, reverse, count)| Step::Read(at, reverse, count)),
    ];
    proptest::collection::vec(step, 1..400)
}

fn end(left: bool) -> End {
    if left { End::Left } else { End::Right }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn a_list_with_its_ends_apart_is_a_deque(program in program(), limits in 0..3, begin in 0..300usize) {
        let limits = [SMALL, USUAL, Limits { end_bytes: 0, ..USUAL }][limits as usize];
        let (mut list, mut model) = (Planted::new(limits), VecDeque::new());
        for number in 0..begin {
            let element = Bytes::from(number.to_string());
            list.push(End::Right, &element);
            model.push_back(element);
        }
        for step in program {
            let len = model.len();
            let index = |number: u16| usize::from(number) % len.max(1);
            match step {
                Step::Push(left, element) => {
                    list.push(end(left), &element);
                    if left { model.push_front(element.into()) } else { model.push_back(element.into()) }
                }
                Step::Pop(left, count) => for _ in 0..usize::from(count).min(len) {
                    let expected = if left { model.pop_front() } else { model.pop_back() };
                    prop_assert_eq!(Some(list.pop(end(left))), expected);
                },
                Step::Insert(number, element) => {
                    let at = usize::from(number) % (len + 1);
                    list.with(|elements, ground| elements.insert(ground, at as u64, &element));
                    model.insert(at, element.into());
                }
                Step::Set(number, element) if len > 0 => {
                    list.with(|elements, ground| elements.set(ground, index(number) as u64, &element));
                    model[index(number)] = element.into();
                }
                Step::Remove(number, count) => {
                    let to = (index(number) + usize::from(count)).min(len);
                    let gone: Vec<Bytes> = model.drain(index(number)..to).collect();
                    prop_assert_eq!(list.remove(index(number), to), gone);
                }
                Step::Read(number, reverse, count) if len > 0 => {
                    let (at, count) = (index(number), usize::from(count));
                    let expected: Vec<Bytes> = if reverse {
                        model.iter().take(at + 1).rev().take(count).cloned().collect()
                    } else {
                        model.iter().skip(at).take(count).cloned().collect()
                    };
                    prop_assert_eq!(list.read(at, reverse, count), expected);
                }
                Step::Set(..) | Step::Read(..) => {}
            }
            prop_assert_eq!(list.elements.len(), model.len() as u64);
        }
        list.verify();
        if !model.is_empty() {
            prop_assert_eq!(list.read(0, false, usize::MAX), Vec::from(model));
        }
    }
}

#[test]
fn what_comes_and_goes_at_an_end_meets_the_tree_once_in_dozens() {
    let mut list = Planted::new(USUAL);
    // How many pages are read for each of some steps.
    let reads = |list: &mut Planted, steps: usize, step: &mut dyn FnMut(&mut Planted, usize)| {
        let before = list.shelf.reads;
        (0..steps).for_each(|number| step(list, number));
        (list.shelf.reads - before) as f64 / steps as f64
    };
    for end in [End::Right, End::Left] {
        let pushed = reads(&mut list, 10_000, &mut |list, _| list.push(end, b"xyz"));
        assert!(pushed < 0.06, "{pushed} pages a push");
    }
    let pages = list.shelf.pages.len();
    assert!(pages < 20_000 * 4 / 950, "leaves are full: {pages} pages");
    for end in [End::Right, End::Left] {
        for in_a_row in [1, 2, 3, 40, 80] {
            // To and fro, wherever the end is just now.
            let moved = reads(&mut list, 2_000, &mut |list, number| {
                if number / in_a_row % 2 == 0 { list.push(end, b"xyz") } else { drop(list.pop(end)) }
            });
            assert!(moved < 0.1, "{moved} pages a step, {in_a_row} in a row");
        }
        let popped = reads(&mut list, 9_000, &mut |list, _| drop(list.pop(end)));
        assert!(popped < 0.1, "{popped} pages a pop");
    }
    list.verify();
}
