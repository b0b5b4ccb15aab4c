//! The hub: who gets what, what comes back, and what is counted.

use std::time::{Duration, Instant};

use super::*;
use crate::connection::io::{Handle, In, Out};
use crate::connection::service::{Flow, Opening, Turn};
use crate::connection::workers::{Control, Counts, Joining, Messages};
use crate::many::handoff::aside::Thing;
use crate::many::handoff::{Arrival, Way};
use crate::system::notify::Notifier;
use crate::system::peer::Peer;

struct Mute;

impl Service for Mute {
    type Session = ();
    type Message = ();
    fn open(&mut self, _: Handle<'_>, _: &Peer, _: &mut Out<'_>, _: &Turn<'_, Self>) -> Opening<()> {
        Opening::Serve(())
    }
    fn on_input(
        &mut self,
        _: Handle<'_>,
        (): &mut (),
        _: &mut In<'_>,
        _: &mut Out<'_>,
        _: &Turn<'_, Self>,
    ) -> Flow {
        Flow::NeedInput
    }
}

/// Two workers that never take their mail, and connections for them.
fn hub(handoff: Handoff, capacity: usize) -> (Hub<Mute>, impl Fn(&Hub<Mute>) -> Arrival<()>) {
    let waker = || Notifier::new().unwrap().waker();
    let limits = Limits { mailbox_capacity: capacity, ..Limits::default() };
    let shared = (handoff == Handoff::Shared).then(|| SharedQueue::new(capacity).unwrap());
    let hub = Hub::new(limits, handoff, vec![waker(), waker()], waker(), shared);
    let arrive = move |hub: &Hub<Mute>| {
        let (stream, _) = crate::system::socketpair::pair().unwrap();
        let peer = Peer::Unix { path: std::path::Path::new("here").into() };
        Arrival { stream, seat: hub.admission.take(true).unwrap(), way: Way::Accepted(peer) }
    };
    (hub, arrive)
}

#[test]
fn what_is_left_for_a_worker_that_ended_is_counted_and_what_comes_later_is_given_back() {
    let (hub, arrive) = hub(Handoff::RoundRobin, 10);
    for _ in 0..6 {
        hub.place(arrive(&hub)).unwrap();
    }
    hub.post(0, ()).unwrap();
    assert_eq!((hub.connections(), hub.load(0), hub.load(1)), (6, 3, 3));
    hub.end_worker(0);
    assert_eq!((hub.acceptor_stats().unserved, hub.connections()), (3, 3));
    assert!(hub.post(0, ()).is_err());
    hub.place(arrive(&hub)).unwrap();
    hub.end_worker(1);
    assert_eq!((hub.acceptor_stats().unserved, hub.connections()), (7, 0));
    assert!(hub.place(arrive(&hub)).is_err());
    assert_eq!(hub.connections(), 0);
}

#[test]
fn the_shared_queue_gives_back_what_it_has_no_room_for_and_counts_what_is_left() {
    let (hub, arrive) = hub(Handoff::Shared, 2);
    hub.place(arrive(&hub)).unwrap();
    hub.place(arrive(&hub)).unwrap();
    assert!(hub.place(arrive(&hub)).is_err());
    let (taken, room_awaited) = hub.shared.as_ref().unwrap().take();
    assert!(taken.is_some() && room_awaited);
    let unserved = hub.acceptor_stats().unserved;
    hub.end_worker(0);
    assert_eq!(hub.acceptor_stats().unserved, unserved + 1);
    assert!(hub.place(arrive(&hub)).is_err());
}

#[test]
fn a_connection_that_is_opened_from_here_is_kept_alive_like_all_others() {
    let (hub, _) = hub(Handoff::RoundRobin, 2);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    for after in [Some(Duration::from_secs(77)), None] {
        hub.set_keep_alive(after);
        hub.connect(listener.local_addr().unwrap(), Duration::from_secs(5), ()).unwrap();
        let mut mail = Vec::new();
        for desk in &hub.desks {
            desk.mailbox.take(10, &mut mail);
        }
        let Some(Letter::Arrived(arrival)) = mail.pop() else { panic!("nothing came") };
        assert_eq!(arrival.stream.keepalive().unwrap(), after.is_some());
    }
}

#[test]
fn a_draining_worker_is_passed_over_and_a_full_one_too() {
    let (hub, arrive) = hub(Handoff::LeastConnections, 2);
    hub.drain(0, true);
    hub.place(arrive(&hub)).unwrap();
    hub.place(arrive(&hub)).unwrap();
    assert!(hub.place(arrive(&hub)).is_err(), "worker 1 is full and worker 0 is drained");
    hub.drain(0, false);
    hub.place(arrive(&hub)).unwrap();
    assert_eq!(hub.connections(), 3);
}

#[test]
fn a_worker_that_does_not_exist_takes_nothing_and_breaks_nothing() {
    let (hub, _) = hub(Handoff::RoundRobin, 2);
    assert!(hub.post(2, ()).is_err() && !hub.move_away(2, 1));
    hub.drain(2, true);
    assert_eq!((hub.stats(2), hub.load(2)), (WorkerStats::default(), 0));
}

#[test]
fn a_resume_reaches_the_worker_once_whatever_its_mailbox_holds() {
    let (hub, arrive) = hub(Handoff::RoundRobin, 1);
    let arrival = arrive(&hub);
    let address = arrival.seat.address();
    hub.resume(&address);
    hub.place(arrival).unwrap();
    assert!(hub.take_aside(0).is_empty(), "nobody has it yet, and whoever takes it sees the mark");
    assert!(address.take_resumed());
    assert!(hub.post(0, ()).is_err(), "the mailbox is full");
    hub.resume(&address);
    hub.resume(&address);
    assert_eq!(hub.take_aside(0).len(), 1);
}

#[test]
fn a_worker_that_ended_leaves_its_mail_to_those_who_are_to_be_told() {
    let (hub, arrive) = hub(Handoff::RoundRobin, 10);
    let seat = hub.admission.take(true).unwrap();
    seat.assign(0);
    hub.post_to(&seat.address(), (), Some(1)).unwrap();
    hub.post_to(&seat.address(), (), None).unwrap();
    hub.post(0, ()).unwrap();
    let remote = "192.0.2.1:1".parse().unwrap();
    let brought = |way| Letter::Arrived(Arrival { way, ..arrive(&hub) });
    let here = Peer::Unix { path: std::path::Path::new("here").into() };
    let adopted = brought(Way::Adopted { peer: here, purpose: () });
    let opens = brought(Way::Opens { remote, deadline: Instant::now(), purpose: () });
    for letter in [adopted, opens] {
        assert!(hub.desks[0].mailbox.try_send(letter, false, |_| ()).is_ok());
    }
    hub.give_back((), Some(0), 0);
    hub.end_worker(0);
    let told = hub.take_aside(1);
    assert_eq!(told.iter().filter(|thing| matches!(thing, Thing::CameBack(()))).count(), 5);
    assert_eq!(told.iter().filter(|thing| matches!(thing, Thing::NotOpened { .. })).count(), 1);
    assert_eq!(told.len(), 6);
    hub.give_back((), Some(0), 0);
    assert_eq!(hub.take_aside(1).len(), 1, "later, too");
}
