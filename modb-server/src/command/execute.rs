//! How a command is executed: takes the stripes that it needs, runs it, commits, gives them back; and how one goes on that had
//! to wait.
//!
//! Invariants: a command takes no stripe itself (the rule of docs/ARCHITECTURE.md is applied here, for all); its writes are
//! one batch, applied before its stripes are given back; its reply is encoded only after that.

use modb_net::Seq;
use modb_net::resp::Args;

use super::machine::begun::{On, Waits};
use super::machine::env::{Env, Host};
use super::machine::errands::Brought;
use super::machine::lent::Long;
use super::machine::monitor;
use super::machine::outcome::Outcome;
#[cfg(test)]
use super::machine::room::sleep_until;
use super::machine::spec::Words;
use super::machine::stopwatch::Stopwatch;
use super::machine::tracking;
use super::machine::weight::{self, Weight};
use super::transactions;
use crate::command::{Begun, Client, CommandError, Ctx, Flags, Instance, Load, Reply, Resolved, Spec, TABLE};
use crate::data::{Committed, Data, Held, Many, Missed, Need, Parker, Tally, Ticket, Tx, ensure_memory};
use crate::messages::Rooms;

/// Space that is used again for every command of a worker.
#[derive(Debug, Default)]
pub struct Scratch {
    pub(super) key: Vec<u8>,
    /// What the command that is being executed has waited for, to tell others.
    rooms: Rooms,
    /// Its keys, if they are very many.
    many: Option<Many>,
}

/// From so many words on keys are brought into order before they are held.
const MANY_WORDS: usize = if cfg!(test) { 4 } else { 256 };

/// Finds the command of a request of a client, or says why it cannot be executed: then nothing of what the client has queued
/// will be.
///
/// # Errors
/// The error reply for an unknown command or a wrong number of arguments.
#[inline(always)]
pub fn resolve(args: Args<'_>, client: &mut Client, instance: &Instance) -> Result<Resolved, CommandError> {
    TABLE.find_right(args).ok_or_else(|| not_found(args, client, instance))
}

#[cold]
#[inline(never)]
fn not_found(args: Args<'_>, client: &mut Client, instance: &Instance) -> CommandError {
    let error = TABLE.refusal(args);
    refuse(args, client, instance, error)
}

/// What a request is answered with that is not executed for this reason. Nothing of what the client has queued will be.
#[cold]
pub fn refuse(args: Args<'_>, client: &mut Client, instance: &Instance, error: CommandError) -> CommandError {
    transactions::refuse(args, client, instance, error)
}

/// What a request is weighed by before it may run.
#[inline(always)]
pub fn load(resolved: Resolved, args: Args<'_>, bytes: usize, client: &Client) -> Load {
    let load = Load { flags: resolved.spec.flags, words: args.len(), bytes };
    if load.flags.has(Flags::EXECUTES) { client.queued_load().unwrap_or(load) } else { load }
}

/// Executes a resolved command: takes the stripes it needs, runs it, commits, gives them back.
///
/// # Errors
/// It has to wait for something that others hold or do, and has changed nothing: to be [gone on](go_on) with once
/// [`Host::waker`]'s was called.
pub fn execute(
    resolved: Resolved,
    args: Args<'_>,
    client: &mut Client,
    env: &Env<'_>,
    scratch: &mut Scratch,
) -> Result<Outcome, Begun> {
    let data = &env.instance.data;
    note_begun(resolved, client, env);
    if client.is_in_multi() && !resolved.spec.flags.has(Flags::AT_ONCE) {
        return Ok(match transactions::queue(resolved, args, client, env.instance) {
            None => Outcome { reply: Ok(Reply::Queued), committed: Committed::default() },
            Some(error) => outcome(Err(error), Committed::default(), env.tally),
        });
    }
    if resolved.spec.flags.has(Flags::WEIGHED) && !is_short_by_its_queue(resolved.spec, client, env.instance)
    {
        return execute_weighed(resolved, args, client, env, scratch);
    }
    match data.try_hold(need(resolved.spec, args, client, data)) {
        Ok(held) => run(resolved, args, client, env, scratch, held),
        Err(need) => {
            let held = data.hold_or_queue(need, &|| env.host.waker());
            run_if_held(resolved, args, client, env, scratch, held)
        }
    }
}

/// It is seen of a client that it has given this command.
#[inline(always)]
pub(super) fn note_begun(resolved: Resolved, client: &Client, env: &Env<'_>) {
    env.tally.commands.bump();
    client.info.touch(resolved.number, env.now_ms);
}

/// Whether it executes what is queued, whose words tell that it takes no longer than it may: most transactions do.
#[inline]
fn is_short_by_its_queue(spec: &Spec, client: &Client, instance: &Instance) -> bool {
    spec.flags.has(Flags::EXECUTES)
        && client.queued_weight().is_some_and(|queued| {
            let weight = Weight::of_words(spec, 1).and(queued);
            !weight::is_long(weight, instance)
        })
}

/// As [`execute`], of what may take long.
#[inline(never)]
fn execute_weighed(
    resolved: Resolved,
    args: Args<'_>,
    client: &mut Client,
    env: &Env<'_>,
    scratch: &mut Scratch,
) -> Result<Outcome, Begun> {
    // Before the places of its keys are looked at, which takes long by itself.
    if !env.may_sleep && weight::is_long_by_words(resolved.spec, args.len(), env.instance) {
        return Err(left_to_a_thread(resolved, Weight::default(), scratch));
    }
    hold_and_run(resolved, args, client, env, scratch)
}

/// Takes the stripes that a command needs, weighs it, and runs it.
fn hold_and_run(
    resolved: Resolved,
    args: Args<'_>,
    client: &mut Client,
    env: &Env<'_>,
    scratch: &mut Scratch,
) -> Result<Outcome, Begun> {
    let data = &env.instance.data;
    scratch.many = if env.may_sleep { many(resolved.spec, args, client, data) } else { None };
    let need = scratch.many.as_ref().map_or_else(|| need(resolved.spec, args, client, data), Many::need);
    let held = data.hold(need, &|| env.host.waker());
    run_if_held(resolved, args, client, env, scratch, held)
}

/// The keys of a command, if they are very many: what can be done with them before they are held. Where events of keys are told it would be in
/// vain: they are taken in the order in which they came.
fn many(spec: &Spec, args: Args<'_>, client: &Client, data: &Data) -> Option<Many> {
    let words = spec.many.filter(|_| args.len() >= MANY_WORDS && data.exchange().events().bits() == 0)?;
    match words {
        Words::Keys => Many::new(data, client.database, args.iter().skip(1).map(|key| (key, None))),
        // A key without a value is refused.
        Words::Pairs if args.len().is_multiple_of(2) => None,
        Words::Pairs => {
            let pairs = (1..args.len()).step_by(2).filter_map(|at| Some((args.get(at)?, args.get(at + 1))));
            Many::new(data, client.database, pairs)
        }
    }
}

/// What takes long has done nothing, and keeps nothing.
#[cold]
fn left_to_a_thread(resolved: Resolved, weight: Weight, scratch: &mut Scratch) -> Begun {
    scratch.rooms = Rooms::default();
    let reply_bytes = usize::try_from(weight.reply_bytes).unwrap_or(usize::MAX);
    Begun::long(resolved, Long::found(reply_bytes))
}

/// What a command takes that would hold so much of large values: a thread, once there is room for it.
#[cold]
fn lacks_room(
    resolved: Resolved,
    bytes: usize,
    env: &Env<'_>,
    scratch: &mut Scratch,
) -> Result<Outcome, Begun> {
    // A reply is somewhat more than the values in it.
    let bytes = bytes.saturating_add(modb_net::Limits::SMALL_REPLY_BYTES);
    if !env.may_sleep {
        let weight = Weight { reply_bytes: bytes as u64, ..Weight::default() };
        return Err(left_to_a_thread(resolved, weight, scratch));
    }
    let has_room = env.host.has_room(bytes);
    debug_assert!(!has_room, "it was told of less");
    Ok(outcome(Err(CommandError::NoRoom), Committed::default(), env.tally))
}

/// Executes on a thread what was found to take long: the thread sleeps while it waits for stripes, which it has only from now on;
/// `watch` stands still then.
///
/// # Errors
/// It waits for what others bring.
pub(crate) fn execute_long(
    resolved: Resolved,
    args: Args<'_>,
    client: &mut Client,
    env: &Env<'_>,
    scratch: &mut Scratch,
    parker: &Parker,
    watch: &mut Stopwatch,
) -> Result<Outcome, Begun> {
    watch.pause(|| wait_for_room(resolved, args, client, env.instance));
    let mut ran = hold_and_run(resolved, args, client, env, scratch);
    loop {
        match ran {
            Err(begun) if !begun.waits_for_others() => {
                watch.pause(|| parker.wait());
                // No thread is left to do anything for what a thread does.
                ran = go_on(begun, args, client, env, scratch, &mut 0);
            }
            ran => return ran,
        }
    }
}

/// Sleeps until there is room for what a command writes: before it holds what others want.
pub fn wait_for_room(resolved: Resolved, args: Args<'_>, client: &Client, instance: &Instance) {
    if load(resolved, args, 0, client).flags.has(Flags::WRITE) {
        instance.data.store().wait_for_room();
    }
}

/// Goes on with a request that had to wait. What others have worked for it is added to `worked_ns`.
///
/// # Errors
/// It still has to, or again.
#[cold]
pub fn go_on(
    begun: Begun,
    args: Args<'_>,
    client: &mut Client,
    env: &Env<'_>,
    scratch: &mut Scratch,
    worked_ns: &mut u64,
) -> Result<Outcome, Begun> {
    let Waits { resolved, on, rooms, .. } = *begun.0;
    let data = &env.instance.data;
    match on {
        On::Stripes(ticket) => {
            scratch.rooms = rooms;
            let held = data.hold_queued(ticket, &|| env.host.waker());
            run_if_held(resolved, args, client, env, scratch, held)
        }
        On::Rooms if rooms.are_there() => {
            scratch.rooms = rooms;
            hold_and_run(resolved, args, client, env, scratch)
        }
        // Whoever serves the client sees to it.
        On::Long(long) => Err(Begun::long(resolved, long)),
        On::Thread(done) => match done.take() {
            Some(Brought { reply, worked_ns: by_thread_ns }) => {
                // What waits for the disk, as `WAITAOF`, is not worked on.
                if !resolved.spec.flags.has(Flags::BLOCKING) {
                    *worked_ns += by_thread_ns;
                }
                // It may have another part.
                begin(resolved, reply, client, env, data.hold_sleeping(Need::NOTHING))
            }
            None => Err(Begun::new(resolved, On::Thread(done), rooms)),
        },
        On::Others(waiting) => match waiting.take() {
            Some(answer) => {
                *worked_ns += answer.worked_ns;
                Ok(outcome(answer.reply, answer.committed, env.tally))
            }
            None => Err(Begun::new(resolved, On::Others(waiting), rooms)),
        },
        On::Rooms => Err(Begun::new(resolved, On::Rooms, rooms)),
    }
}

/// As [`execute`], for a thread that sleeps while it waits.
#[cfg(test)]
pub fn execute_sleeping(
    resolved: Resolved,
    args: Args<'_>,
    client: &mut Client,
    env: &Env<'_>,
    scratch: &mut Scratch,
    parker: &Parker,
) -> Outcome {
    let env = Env { may_sleep: true, ..*env };
    wait_for_room(resolved, args, client, env.instance);
    let mut outcome = execute(resolved, args, client, &env, scratch);
    loop {
        match outcome {
            Ok(outcome) => return outcome,
            Err(begun) => {
                sleep_until(parker, begun.deadline());
                outcome = go_on(begun, args, client, &env, scratch, &mut 0);
            }
        }
    }
}

/// Weighs and runs a command that has its stripes, apart from [`execute`], which is short.
#[inline(never)]
pub(super) fn run_if_held<'d>(
    resolved: Resolved,
    args: Args<'_>,
    client: &mut Client,
    env: &Env<'d>,
    scratch: &mut Scratch,
    held: Result<Held<'d>, Ticket>,
) -> Result<Outcome, Begun> {
    match held {
        Ok(held) => match if_long(resolved, args, client, env, scratch, &held) {
            Some(long) => Err(long),
            None => {
                let ran = run(resolved, args, client, env, scratch, held);
                if ran.is_ok() {
                    scratch.many = None;
                }
                ran
            }
        },
        Err(ticket) => Err(Begun::new(resolved, On::Stripes(ticket), std::mem::take(&mut scratch.rooms))),
    }
}

/// Whether a command takes longer than who has it executed may work, now that its stripes are held. Nothing is done of it.
fn if_long(
    resolved: Resolved,
    args: Args<'_>,
    client: &Client,
    env: &Env<'_>,
    scratch: &mut Scratch,
    held: &Held<'_>,
) -> Option<Begun> {
    if env.may_sleep || resolved.spec.weigh.is_none() {
        return None;
    }
    let mut tx = Tx::new(&env.instance.data, held, env.tally, &mut scratch.key, env.now_ms).at_once(true);
    let weight = weight::long(&mut tx, env.instance, client, resolved.spec, args)?;
    drop(tx);
    Some(left_to_a_thread(resolved, weight, scratch))
}

/// What a command sees of the data with its stripes, and how much it may take of them.
#[inline(always)]
pub(super) fn view<'v>(env: &Env<'v>, held: &'v Held<'v>, key: &'v mut Vec<u8>) -> Tx<'v> {
    let &Env { instance, tally, now_ms, host, may_sleep, .. } = env;
    Tx::new(&instance.data, held, tally, key, now_ms).at_once(!may_sleep).within(host.room_bytes())
}

/// Runs a command with its stripes.
#[inline(always)]
fn run<'d>(
    resolved: Resolved,
    args: Args<'_>,
    client: &mut Client,
    env: &Env<'d>,
    scratch: &mut Scratch,
    mut held: Held<'d>,
) -> Result<Outcome, Begun> {
    let spec = resolved.spec;
    let &Env { instance, network, tally, host, .. } = env;
    let data = &instance.data;
    if spec.walks() {
        // What it waited for is whole; it takes long, and needs no more.
        held.give_back();
    }
    let frees = !spec.flags.has(Flags::DENYOOM);
    let mut tx = view(env, &held, &mut scratch.key).freeing(frees);
    tx.set_many(scratch.many.as_ref());
    if let Some(hash) = held.hash_of_key()
        && let Some(key) = spec.only_key()
    {
        tx.set_hash(&args[key], hash);
    }
    let mut reply = (spec.run)(&mut Ctx { tx: &mut tx, client, instance, network }, args);
    if let Some(missed) = tx.missed() {
        // It has changed nothing, and is run again.
        drop(tx);
        client.take_back();
        match missed {
            Missed::Time => return Err(left_to_a_thread(resolved, Weight::default(), scratch)),
            Missed::Room(bytes) => return lacks_room(resolved, bytes, env, scratch),
            Missed::One(_) | Missed::All => {}
        }
        let held = data.hold(data.need_more(held, missed), &|| host.waker());
        return run_if_held(resolved, args, client, env, scratch, held);
    }
    let is_attended = data.exchange().is_attended();
    if is_attended {
        attend(&mut tx, client, spec, args, reply.is_ok());
    }
    let mut committed = Committed { read: tx.read_seq(), written: Seq::ZERO };
    if let Ok(large) = &reply
        && large.is_large()
        && let Err(error) = has_room(large.bytes(), host)
    {
        reply = Err(error);
    } else if let Err(CommandError::Waits(until)) = &reply
        && until.bytes() > modb_net::Limits::SMALL_REQUEST_BYTES
        && let Err(error) = has_room(until.bytes(), host)
    {
        // It would hold as much for as long as it waits.
        reply = Err(error);
    }
    // Also what fails may tell of something.
    if !tx.messages().is_empty() && !matches!(reply, Err(CommandError::NoRoom)) {
        match room_to_tell(&tx, env, &mut scratch.rooms) {
            Telling::Now(rooms) => tx.tell_in(rooms),
            Telling::Later(rooms) => {
                client.take_back();
                return Err(Begun::new(resolved, On::Rooms, rooms));
            }
            Telling::NoMemory => reply = Err(CommandError::NoRoom),
        }
    }
    if reply.is_ok() {
        match tx.commit() {
            Ok(done) => committed = done,
            Err(error) => reply = Err(error.into()),
        }
    } else {
        fail(tx, &reply);
    }
    if !scratch.rooms.is_empty() {
        // Run again, it had nothing to tell.
        scratch.rooms = Rooms::default();
    }
    if let Err(CommandError::InThread(_) | CommandError::Waits(_)) = &reply {
        // It has read nothing, and what is left of it is done without being run again.
        tracking::is_over(client, args);
        // Before the stripes are given back: what comes next comes to who waits.
        return begin(resolved, reply, client, env, held);
    }
    held.end();
    if spec.keys.is_empty() {
        if spec.flags.has(Flags::READONLY) {
            // It has seen a whole database.
            committed.read = data.store().committed();
        } else if spec.flags.has(Flags::EXECUTES) {
            if let Ok(reply) = &reply {
                transactions::count(client, reply, env);
            }
            transactions::has_run(client, &mut reply);
        }
    }
    if is_attended && !matches!(reply, Err(CommandError::NoRoom)) {
        // Behind the end of a transaction, which is over with its `EXEC`.
        tracking::is_over(client, args);
    }
    Ok(outcome(reply, committed, tally))
}

/// Those who monitor see a command that has run, and those who track keys what it has read and changed.
#[cold]
#[inline(never)]
fn attend(tx: &mut Tx<'_>, client: &Client, spec: &Spec, args: Args<'_>, is_ok: bool) {
    tracking::remember(tx, client, spec, args);
    let last = if is_ok { tx.tell_trackers(Some(client.info.id)) } else { Vec::new() };
    monitor::show(tx, client, spec, args);
    last.into_iter().for_each(|frame| tx.announce(frame));
}

/// Ends what failed, or is to be gone on with: nothing of it is done. What is run again tells nothing now.
#[cold]
fn fail(tx: Tx<'_>, reply: &Result<Reply, CommandError>) {
    match reply {
        Err(CommandError::NoRoom) => drop(tx),
        _ => tx.fail(),
    }
}

/// Whether a large reply can be made now.
#[cold]
fn has_room(bytes: usize, host: &dyn Host) -> Result<(), CommandError> {
    ensure_memory(bytes)?;
    if host.has_room(bytes) { Ok(()) } else { Err(CommandError::NoRoom) }
}

/// Begins what a command has left to a thread, or waits for.
#[cold]
#[inline(never)]
fn begin(
    resolved: Resolved,
    reply: Result<Reply, CommandError>,
    client: &Client,
    env: &Env<'_>,
    held: Held<'_>,
) -> Result<Outcome, Begun> {
    let Env { instance, host, .. } = env;
    let on = match reply {
        Err(CommandError::InThread(work)) => {
            On::Thread(instance.errands.begin(work, held.keep(), host.waker()))
        }
        Err(CommandError::Waits(until)) => {
            let who = (client.info.id, client.database);
            On::Others(instance.waiting.begin(*until, who, &instance.data, &held, host.waker()))
        }
        reply => return Ok(outcome(reply, Committed::default(), env.tally)),
    };
    Err(Begun::new(resolved, on, Rooms::default()))
}

/// Whether what a command tells others can be posted.
enum Telling {
    /// Into these rooms.
    Now(Rooms),
    /// Once they are there: it has changed nothing, and is run again.
    Later(Rooms),
    /// There is no memory for what will be written to them.
    NoMemory,
}

/// Asks for room for what a command tells others, before it is applied.
#[cold]
#[inline(never)]
fn room_to_tell(tx: &Tx<'_>, env: &Env<'_>, rooms: &mut Rooms) -> Telling {
    let mut rooms = std::mem::take(rooms);
    let tell = || {
        let waker = env.host.waker();
        Box::new(move || waker.wake()) as modb_net::Tell
    };
    let bytes = tx.data().exchange().reserve(tx.messages(), &mut rooms, &tell);
    if !rooms.are_there() {
        return Telling::Later(rooms);
    }
    if bytes > modb_net::Limits::SMALL_REPLY_BYTES && !env.host.has_room(bytes) {
        return Telling::NoMemory;
    }
    Telling::Now(rooms)
}

fn outcome(reply: Result<Reply, CommandError>, committed: Committed, tally: &Tally) -> Outcome {
    if reply.as_ref().is_err_and(|error| !matches!(error, CommandError::NoRoom)) {
        tally.errors.bump();
    }
    Outcome { reply, committed }
}

/// The stripes that the rule asks for.
#[inline(always)]
fn need(spec: &Spec, args: Args<'_>, client: &Client, data: &Data) -> Need {
    if spec.flags.has(Flags::ALL_KEYS) {
        return Need::everything();
    }
    if let Some(index) = spec.only_key() {
        let one_record = spec.flags.has(Flags::READONLY) && !spec.flags.has(Flags::MANY_RECORDS);
        return if one_record && !client.tracks() { Need::NOTHING } else { data.need_one(&args[index]) };
    }
    if spec.keys.is_empty() {
        return match () {
            () if spec.walks() => data.need_to_walk(),
            () if spec.flags.has(Flags::EXECUTES) => client.needs_to_execute(),
            () => Need::NOTHING,
        };
    }
    need_several(spec, args, data)
}

#[inline(never)]
fn need_several(spec: &Spec, args: Args<'_>, data: &Data) -> Need {
    let mut places = Vec::new();
    spec.for_each_key(args, |index, _| places.push(index));
    data.need_many(places.into_iter().map(|index| &args[index]))
}
