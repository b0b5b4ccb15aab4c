//! Commands that cannot be sent to both servers in one pipeline: what they do depends on chance, or on a cursor of the
//! server's own.

use modb_tests::{Peer, Reply};

use crate::grammar::Arg;
use crate::program::written;

/// What has to be compared in a way of its own.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Apart {
    /// Members are popped by the server under test, and then removed from the other.
    Pop,
    /// All of a collection is read, step by step.
    Walk,
}

impl Apart {
    /// What `command` is, if it is to be sent apart.
    pub(crate) fn of(command: &[Arg]) -> Option<Self> {
        let name = command[0].to_ascii_uppercase();
        // Nothing at all is 0, and so is what a zero byte begins.
        let is_walk = matches!(&name[..], b"HSCAN" | b"SSCAN")
            && command.get(2).is_some_and(|cursor| matches!(&cursor[..], b"0" | b"" | [0, ..]));
        if name == b"SPOP" { Some(Self::Pop) } else { is_walk.then_some(Self::Walk) }
    }

    /// Compares one command.
    ///
    /// # Errors
    /// The difference, in words.
    pub(crate) fn compare(self, subject: &mut Peer, redis: &mut Peer, command: &[Arg]) -> Result<(), String> {
        match self {
            Self::Pop => pop(subject, redis, command),
            Self::Walk => {
                let (ours, theirs) = (walk(subject, command), walk(redis, command));
                if ours == theirs {
                    return Ok(());
                }
                Err(format!("all of {}: {ours:?}, redis: {theirs:?}", written(command)))
            }
        }
    }
}

fn pop(subject: &mut Peer, redis: &mut Peer, command: &[Arg]) -> Result<(), String> {
    let ours = subject.call(command);
    let members = match &ours {
        Reply::Bulk(member) => vec![member.clone()],
        Reply::Set(members) | Reply::Array(members) => members.iter().map(|m| m.bytes().to_vec()).collect(),
        _ => Vec::new(),
    };
    let card = redis.call([b"SCARD", &command.get(1).cloned().unwrap_or_default()[..]]);
    // All or nothing: nothing is left to chance.
    if members.is_empty() || card == Reply::Int(members.len() as i64) {
        let mut theirs = redis.call(command);
        let mut same = ours.clone();
        for reply in [&mut same, &mut theirs] {
            if let Reply::Set(members) | Reply::Array(members) = reply {
                members.sort_by(|a, b| a.bytes().cmp(b.bytes()));
            }
        }
        return if same == theirs { Ok(()) } else { Err(differs(command, &ours, &theirs)) };
    }
    let wanted = match command.get(2) {
        None => 1,
        Some(count) => std::str::from_utf8(count).ok().and_then(|count| count.parse().ok()).unwrap_or(0),
    };
    let remove = [&[b"SREM".to_vec(), command[1].clone()][..], &members].concat();
    let removed = redis.call(&remove);
    if removed != Reply::Int(members.len() as i64) || members.len() != wanted {
        return Err(differs(command, &ours, &removed));
    }
    Ok(())
}

fn differs(command: &[Arg], ours: &Reply, theirs: &Reply) -> String {
    format!("{}: {ours:?}, redis: {theirs:?}", written(command))
}

/// Everything that a walk returns, in order; nothing may come twice. Fields come with their values.
fn walk(peer: &mut Peer, command: &[Arg]) -> Result<Vec<Vec<u8>>, String> {
    let mut command = command.to_vec();
    let mut found = Vec::new();
    loop {
        let reply = peer.call(&command);
        if let Some(error) = reply.error() {
            return Err(error);
        }
        let Reply::Array(parts) = &reply else { return Err(format!("{reply:?}")) };
        let [next, items] = &parts[..] else { return Err(format!("{reply:?}")) };
        let width = if command[0].eq_ignore_ascii_case(b"HSCAN") { 2 } else { 1 };
        for item in items.items().chunks(width) {
            found.push(item.iter().flat_map(|part| [part.bytes(), b" = "].concat()).collect());
        }
        if next.bytes() == b"0" {
            found.sort_unstable();
            return Ok(found);
        }
        command[2] = next.bytes().to_vec();
    }
}
