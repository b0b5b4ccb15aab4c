//! The connection itself: who speaks, in which protocol, to which database.

pub(crate) mod client_commands;
mod tracking_commands;

use modb_net::resp::{Args, Protocol};

use crate::command::language::error::err;
use crate::command::language::parse::{self, Options, is, lossy};
use crate::command::machine::help::unreachable_parent;
use crate::command::machine::spec::{Flags, Spec};
use crate::command::{CommandError, Ctx, Reply, Then};

/// The version of Redis whose commands these are. Clients choose features by it.
pub(super) const REDIS_VERSION: &str = "7.2.4";

const OPEN: &[Flags] =
    &[Flags::NOSCRIPT, Flags::LOADING, Flags::STALE, Flags::FAST, Flags::NO_AUTH, Flags::ALLOW_BUSY];

#[rustfmt::skip]
pub(super) static COMMANDS: [Spec; 8] = [
    Spec::new("connection", "ping", ping, -1).flags(&[Flags::FAST])
        .docs("[message]", "1.0.0", "O(1)", "Answers PONG, or the message."),
    Spec::new("connection", "echo", echo, 2).flags(&[Flags::LOADING, Flags::STALE, Flags::FAST])
        .docs("message", "1.0.0", "O(1)", "Returns the message."),
    Spec::new("connection", "hello", hello, -1).flags(OPEN)
        .docs("[protover [AUTH username password] [SETNAME clientname]]", "6.0.0", "O(1)",
            "Says who the server is, and changes the protocol."),
    Spec::new("connection", "auth", auth, -2).flags(OPEN)
        .docs("[username] password", "1.0.0", "O(1)", "Gives the password.")
        .differs("there is one user, `default`"),
    Spec::new("connection", "select", select, 2).flags(&[Flags::LOADING, Flags::STALE, Flags::FAST])
        .docs("index", "1.0.0", "O(1)", "Selects a database."),
    Spec::new("connection", "quit", quit, -1).flags(OPEN).flags(&[Flags::AT_ONCE])
        .docs("", "1.0.0", "O(1)", "Closes the connection."),
    Spec::new("connection", "reset", reset, 1).flags(OPEN).flags(&[Flags::AT_ONCE])
        .docs("", "6.2.0", "O(1)", "Sets the connection back to how it began."),
    Spec::new("connection", "client", unreachable_parent, -2)
        .docs("", "2.4.0", "Depends on subcommand.", "The connections of the server.")
        .with(&client_commands::SUBCOMMANDS),
];

fn ping(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    if ctx.client.only_listens() && args.len() <= 2 {
        let message = args.get(1).map_or(Reply::text(""), Reply::copied);
        return Ok(Reply::Array(vec![Reply::text("pong"), message]));
    }
    match args.len() {
        1 => Ok(Reply::Status("PONG")),
        2 => Ok(Reply::copied(&args[1])),
        _ => err("ERR wrong number of arguments for 'ping' command"),
    }
}

fn echo(_: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    Ok(Reply::copied(&args[1]))
}

fn select(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let database = parse::database(&args[1], ctx.tx.data().databases())?;
    ctx.client.select(database);
    Ok(Reply::Ok)
}

fn quit(ctx: &mut Ctx<'_, '_>, _: Args<'_>) -> Result<Reply, CommandError> {
    ctx.client.then = Then::Close;
    Ok(Reply::Ok)
}

fn reset(ctx: &mut Ctx<'_, '_>, _: Args<'_>) -> Result<Reply, CommandError> {
    super::messages::leave_all(ctx);
    tracking_commands::turn_off(ctx.client);
    ctx.client.reset(!ctx.instance.settings.has_password());
    Ok(Reply::Status("RESET"))
}

fn auth(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    match args.len() {
        2 if !ctx.instance.settings.has_password() => err(
            "ERR AUTH <password> called without any password configured for the default user. Are you sure your \
             configuration is correct?",
        ),
        2 => check_password(ctx, b"default", &args[1]).map(|()| Reply::Ok),
        3 => check_password(ctx, &args[1], &args[2]).map(|()| Reply::Ok),
        _ => Err(CommandError::Syntax),
    }
}

fn check_password(ctx: &mut Ctx<'_, '_>, user: &[u8], password: &[u8]) -> Result<(), CommandError> {
    let wanted = ctx.instance.settings.get("requirepass");
    let right = wanted.is_empty() || same_in_constant_time(wanted.as_bytes(), password);
    if user == b"default" && right {
        ctx.client.authenticated = true;
        Ok(())
    } else {
        err("WRONGPASS invalid username-password pair or user is disabled.")
    }
}

/// Takes a time that depends only on the length of `given`, so that it tells nothing about `wanted`.
fn same_in_constant_time(wanted: &[u8], given: &[u8]) -> bool {
    let mut differs = u8::from(wanted.len() != given.len());
    for (at, byte) in given.iter().enumerate() {
        differs |= byte ^ wanted[at % wanted.len()];
    }
    std::hint::black_box(differs) == 0
}

fn hello(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let mut protocol = None;
    if let Some(version) = args.get(1) {
        let text = "ERR Protocol version is not an integer or out of range";
        protocol = Some(match parse::int_or(version, text)? {
            2 => Protocol::Resp2,
            3 => Protocol::Resp3,
            _ => return err("NOPROTO unsupported protocol version"),
        });
    }
    let (mut login, mut name) = (None, None);
    let mut options = Options::from(args, 2);
    while let Some(word) = options.next() {
        if is(word, "auth") && options.left() >= 2 {
            login = Some((options.value()?, options.value()?));
        } else if is(word, "setname") && options.left() >= 1 {
            let wanted = options.value()?;
            client_commands::check_name(wanted)?;
            name = Some(wanted);
        } else {
            return Err(format!("ERR Syntax error in HELLO option '{}'", lossy(word)).into());
        }
    }
    if let Some((user, password)) = login {
        check_password(ctx, user, password)?;
    }
    if !ctx.client.authenticated {
        return err(
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH \
             <user> <pass> option can be used to authenticate the client and select the RESP protocol version at \
             the same time",
        );
    }
    if let Some(name) = name {
        ctx.client.info.set_name(name);
    }
    if let Some(protocol) = protocol {
        ctx.client.protocol = protocol;
        ctx.client.info.set_protocol(protocol);
    }
    let version = if ctx.client.protocol == Protocol::Resp3 { 3 } else { 2 };
    Ok(Reply::Map(vec![
        (Reply::text("server"), Reply::text("redis")),
        (Reply::text("version"), Reply::text(REDIS_VERSION)),
        (Reply::text("proto"), Reply::Int(version)),
        (Reply::text("id"), Reply::Int(ctx.client.info.id as i64)),
        (Reply::text("mode"), Reply::text("standalone")),
        (Reply::text("role"), Reply::text("master")),
        (Reply::text("modules"), Reply::Array(Vec::new())),
        (Reply::text("modb_version"), Reply::text(env!("CARGO_PKG_VERSION"))),
    ]))
}

#[cfg(test)]
mod tests {
    use crate::command::testing::{Bench, run};

    run! {
        greetings {
            "PING" => "+PONG", "PING a" => "a", "PING a b" => "-ERR wrong number of arguments for 'ping' command", "ECHO x" => "x",
            "SELECT 15" => "+OK", "SELECT 16" => "-ERR DB index is out of range", "SELECT x" => "-ERR value is not an integer or out of range",
            "SELECT 99999999999" => "-ERR value is out of range, value must between -2147483648 and 2147483647",
            "RESET" => "+RESET", "QUIT" => "+OK", "HELLO 4" => "-NOPROTO unsupported protocol version",
            "HELLO x" => "-ERR Protocol version is not an integer or out of range", "HELLO 3 SETNAME" => "-ERR Syntax error in HELLO option 'SETNAME'"
        }
        nobody_needs_a_password_that_is_not_set {
            "AUTH x" => "-ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?",
            "AUTH default x" => "+OK", "AUTH other x" => "-WRONGPASS invalid username-password pair or user is disabled.", "AUTH a b c" => "-ERR syntax error"
        }
        unknown_commands_are_named {
            "FOO a b" => "-ERR unknown command 'FOO', with args beginning with: 'a' 'b' ", "GET" => "-ERR wrong number of arguments for 'get' command",
            "CLIENT FOO" => "-ERR unknown subcommand 'FOO'. Try CLIENT HELP.", "CLIENT" => "-ERR wrong number of arguments for 'client' command",
            "CLIENT SETNAME" => "-ERR wrong number of arguments for 'client|setname' command"
        }
    }

    #[test]
    fn only_the_right_password_authenticates() {
        let bench = Bench::new();
        bench.instance.settings.set("requirepass", "secret").unwrap();
        for wrong in ["secre", "secrets", "x", "secretsecret"] {
            assert!(bench.text(&format!("AUTH {wrong}")).starts_with("-WRONGPASS"), "{wrong}");
        }
        assert_eq!(bench.text("AUTH secret"), "+OK");
        assert!(bench.text("HELLO 3 AUTH default secret SETNAME me").contains("proto::3"));
        assert_eq!(bench.text("CLIENT GETNAME"), "me");
    }
}
