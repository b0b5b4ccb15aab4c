//! Room for the messages of one command, in every inbox that they concern.

use modb_net::Room;

use super::few::Few;

/// Rooms, each with the number of its inbox; the drop gives them back.
#[derive(Debug, Default)]
pub struct Rooms(Few<(u64, Room)>);

impl Rooms {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether all of them are there.
    pub fn are_there(&self) -> bool {
        self.0.iter().all(|(_, room)| room.is_there())
    }

    pub(super) fn add(&mut self, inbox: u64, room: Room) {
        self.0.push((inbox, room));
    }

    /// Takes the one at `inbox`.
    pub(super) fn take(&mut self, inbox: u64) -> Option<Room> {
        self.0.take(|(at, _)| *at == inbox).map(|(_, room)| room)
    }
}
