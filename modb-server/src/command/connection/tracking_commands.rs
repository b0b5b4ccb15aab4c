//! `CLIENT TRACKING`, and what goes with it: clients that keep what they have read.

use std::sync::Arc;

use modb_net::resp::Args;

use crate::command::language::error::{CommandError, err};
use crate::command::language::parse::{Options, int, is, lossy};
use crate::command::language::reply::Reply;
use crate::command::machine::client::Client;
use crate::command::machine::clients::ClientInfo;
use crate::command::machine::context::{Ctx, in_thread};
use crate::command::machine::tracking::{Caching, Mode};
use crate::data::{Tracker, Way};

/// What was asked for.
#[derive(Default)]
struct Asked<'a> {
    redirect: Option<Arc<ClientInfo>>,
    broadcast: bool,
    opt_in: bool,
    opt_out: bool,
    noloop: bool,
    prefixes: Vec<&'a [u8]>,
}

impl<'a> Asked<'a> {
    fn read(ctx: &Ctx<'_, '_>, args: Args<'a>) -> Result<Self, CommandError> {
        let (mut asked, mut options) = (Self::default(), Options::from(args, 3));
        while let Some(word) = options.next() {
            let has_value = options.left() >= 1;
            match () {
                () if is(word, "redirect") && has_value => {
                    let value = options.value()?;
                    if asked.redirect.is_some() {
                        return err("ERR A client can only redirect to a single other client");
                    }
                    let id = u64::try_from(int(value)?).ok();
                    asked.redirect = id.and_then(|id| ctx.instance.clients.get(id));
                    if asked.redirect.is_none() {
                        return err("ERR The client ID you want redirect to does not exist");
                    }
                }
                () if is(word, "bcast") => asked.broadcast = true,
                () if is(word, "optin") => asked.opt_in = true,
                () if is(word, "optout") => asked.opt_out = true,
                () if is(word, "noloop") => asked.noloop = true,
                () if is(word, "prefix") && has_value => asked.prefixes.push(options.value()?),
                () => return Err(CommandError::Syntax),
            }
        }
        Ok(asked)
    }

    /// Which keys are to be tracked, if that fits what the client has asked for before.
    fn mode(&self, before: Option<&Caching>) -> Result<Mode, CommandError> {
        if !self.broadcast && !self.prefixes.is_empty() {
            return err("ERR PREFIX option requires BCAST mode to be enabled");
        }
        let was = before.map(|caching| caching.mode);
        if was.is_some_and(|was| (was == Mode::Broadcast) != self.broadcast) {
            return err(
                "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then \
                 re-enabling it with a different mode.",
            );
        }
        if self.broadcast && (self.opt_in || self.opt_out) {
            return err("ERR OPTIN and OPTOUT are not compatible with BCAST");
        }
        if self.opt_in && self.opt_out {
            return err("ERR You can't use both OPTIN mode and OPTOUT mode");
        }
        if self.opt_in && was == Some(Mode::OptOut) || self.opt_out && was == Some(Mode::OptIn) {
            return err(
                "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then \
                 re-enabling it with a different mode.",
            );
        }
        self.check_prefixes(before)?;
        Ok(match () {
            () if self.broadcast => Mode::Broadcast,
            () if self.opt_in => Mode::OptIn,
            () if self.opt_out => Mode::OptOut,
            () => Mode::Read,
        })
    }

    /// A key has one prefix at most.
    fn check_prefixes(&self, before: Option<&Caching>) -> Result<(), CommandError> {
        const RULE: &str = "Prefixes for a single client must not overlap.";
        let overlap = |a: &[u8], b: &[u8]| a.starts_with(b) || b.starts_with(a);
        for (at, prefix) in self.prefixes.iter().enumerate() {
            let existing = before.map_or(&[][..], |caching| caching.tracking.prefixes());
            if let Some(other) = existing.iter().find(|other| overlap(prefix, other)) {
                let (prefix, other) = (lossy(prefix), lossy(other));
                let text =
                    format!("ERR Prefix '{prefix}' overlaps with an existing prefix '{other}'. {RULE}");
                return Err(CommandError::Text(text.into()));
            }
            if let Some(other) = self.prefixes[at + 1..].iter().find(|other| overlap(prefix, other)) {
                let (prefix, other) = (lossy(prefix), lossy(other));
                let text =
                    format!("ERR Prefix '{prefix}' overlaps with another provided prefix '{other}'. {RULE}");
                return Err(CommandError::Text(text.into()));
            }
        }
        Ok(())
    }
}

pub(super) fn tracking(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let asked = Asked::read(ctx, args)?;
    match () {
        () if is(&args[2], "on") => {
            let mode = asked.mode(ctx.client.caching())?;
            turn_on(ctx, asked, mode)
        }
        () if is(&args[2], "off") => {
            turn_off(ctx.client);
            Ok(Reply::Ok)
        }
        () => Err(CommandError::Syntax),
    }
}

fn turn_on(ctx: &mut Ctx<'_, '_>, asked: Asked<'_>, mode: Mode) -> Result<Reply, CommandError> {
    let Some(ear) = ctx.network.ear(&ctx.client.info) else {
        return err("ERR a program that embeds the database cannot track keys");
    };
    let awaited = asked.redirect.as_ref().filter(|other| !other.ear().has_place());
    if awaited.is_some() && ctx.client.is_executing() {
        return err("ERR in a transaction REDIRECT takes only a client that is told of keys already");
    }
    let redirect = asked.redirect.as_ref().map(|other| (other.id, other.ear()));
    let way = Way { redirect, noloop: asked.noloop };
    let before = ctx.client.change_rare(|rare| rare.caching.take());
    let mut tracking = match before {
        Some(Caching { tracking, .. }) => {
            tracking.tracker().set_way(way);
            tracking
        }
        None => ctx.tx.data().track(Tracker::new(ctx.client.info.id, ear, way)),
    };
    if mode == Mode::Broadcast {
        // Without prefixes of all keys.
        let all: &[&[u8]] = if asked.prefixes.is_empty() { &[b""] } else { &asked.prefixes };
        all.iter().for_each(|prefix| tracking.add_prefix(prefix));
    }
    ctx.client.set_caching(Some(Caching { tracking, mode, excepted: false }));
    match awaited {
        None => Ok(Reply::Ok),
        // From the answer on nothing is missed.
        Some(other) => {
            let placed = ctx.network.place(other);
            in_thread(move || {
                placed();
                Ok(Reply::Ok)
            })
        }
    }
}

/// `CLIENT TRACKING OFF`, or `RESET`.
pub(super) fn turn_off(client: &mut Client) {
    if client.tracks() {
        client.set_caching(None);
    }
}

pub(super) fn caching(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let mode = ctx.client.caching().map(|caching| caching.mode);
    let Some(mode) = mode else {
        return err(
            "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode \
             enabled",
        );
    };
    match () {
        () if is(&args[2], "yes") && mode != Mode::OptIn => {
            return err("ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.");
        }
        () if is(&args[2], "no") && mode != Mode::OptOut => {
            return err("ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.");
        }
        () if is(&args[2], "yes") || is(&args[2], "no") => {}
        () => return Err(CommandError::Syntax),
    }
    ctx.client.change_rare(|rare| rare.caching.as_mut().map(|caching| caching.excepted = true));
    Ok(Reply::Ok)
}

pub(super) fn getredir(ctx: &mut Ctx<'_, '_>, _: Args<'_>) -> Result<Reply, CommandError> {
    Ok(Reply::Int(redirect(ctx.client)))
}

/// The client that is told in the place of this one: 0 is none, -1 that it tracks nothing.
fn redirect(client: &Client) -> i64 {
    client.caching().map_or(-1, |caching| caching.tracking.tracker().redirect().unwrap_or(0) as i64)
}

pub(super) fn trackinginfo(ctx: &mut Ctx<'_, '_>, _: Args<'_>) -> Result<Reply, CommandError> {
    let (mut flags, mut prefixes) = (Vec::new(), Vec::new());
    if let Some(Caching { tracking, mode, excepted }) = ctx.client.caching() {
        flags.push("on");
        flags.extend(match mode {
            Mode::Read => &[][..],
            Mode::Broadcast => &["bcast"],
            Mode::OptIn if *excepted => &["optin", "caching-yes"],
            Mode::OptIn => &["optin"],
            Mode::OptOut if *excepted => &["optout", "caching-no"],
            Mode::OptOut => &["optout"],
        });
        flags.extend(tracking.tracker().is_noloop().then_some("noloop"));
        flags.extend(tracking.tracker().is_broken().then_some("broken_redirect"));
        prefixes.extend(tracking.prefixes().iter().cloned().map(Reply::Bulk));
    } else {
        flags.push("off");
    }
    Ok(Reply::Map(vec![
        (Reply::text("flags"), Reply::Set(flags.into_iter().map(Reply::text).collect())),
        (Reply::text("redirect"), Reply::Int(redirect(ctx.client))),
        (Reply::text("prefixes"), Reply::Array(prefixes)),
    ]))
}

#[cfg(test)]
mod tests {
    use crate::command::testing::run;

    run! {
        what_is_wrong_is_refused_as_in_redis {
            "CLIENT TRACKING MAYBE" => "-ERR syntax error", "CLIENT TRACKING ON FOO" => "-ERR syntax error", "CLIENT TRACKING ON PREFIX" => "-ERR syntax error",
            "CLIENT TRACKING ON PREFIX a" => "-ERR PREFIX option requires BCAST mode to be enabled",
            "CLIENT TRACKING ON BCAST OPTIN" => "-ERR OPTIN and OPTOUT are not compatible with BCAST",
            "CLIENT TRACKING ON OPTOUT OPTIN" => "-ERR You can't use both OPTIN mode and OPTOUT mode",
            "CLIENT TRACKING ON REDIRECT x" => "-ERR value is not an integer or out of range",
            "CLIENT TRACKING OFF REDIRECT 99" => "-ERR The client ID you want redirect to does not exist",
            "CLIENT TRACKING ON BCAST PREFIX a PREFIX ab" => "-ERR Prefix 'a' overlaps with another provided prefix 'ab'. Prefixes for a single client must not overlap.",
            "CLIENT TRACKING ON" => "-ERR a program that embeds the database cannot track keys", "CLIENT TRACKING OFF" => "+OK",
            "CLIENT CACHING YES" => "-ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled",
            "CLIENT GETREDIR" => ":-1", "CLIENT TRACKINGINFO" => "[flags [off] redirect :-1 prefixes []]"
        }
    }
}
