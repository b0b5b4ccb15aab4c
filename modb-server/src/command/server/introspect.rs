//! `COMMAND`: the table of commands, for clients.

use modb_net::resp::Args;

use crate::command::language::error::err;
use crate::command::language::parse::is;
use crate::command::language::syntax::{self, Arg, Shape};
use crate::command::machine::help::help_for;
use crate::command::machine::spec::{Access, Find, Flags, KeySpec, Spec};
use crate::command::machine::table::Table;
use crate::command::{CommandError, Ctx, Reply};
use crate::data::glob_matches;

const ANY: &[Flags] = &[Flags::LOADING, Flags::STALE];

#[rustfmt::skip]
pub(crate) static COMMANDS: [Spec; 1] = [
    Spec::new("server", "command", command, -1).flags(ANY).acl(&["@connection"])
        .docs("", "2.8.13", "O(N) with N commands", "Returns what is known about every command.")
        .with(&[
            Spec::new("server", "count", count, 2).flags(ANY).acl(&["@connection"]).docs("", "2.8.13", "O(1)", "Returns how many commands there are."),
            Spec::new("server", "info", info, -2).flags(ANY).acl(&["@connection"]).docs("[command-name...]", "2.8.13", "O(N) with N commands", "Returns what is known about commands."),
            Spec::new("server", "docs", docs, -2).flags(ANY).acl(&["@connection"]).docs("[command-name...]", "7.0.0", "O(N) with N commands", "Returns the documentation of commands."),
            Spec::new("server", "list", list, -2).flags(ANY).acl(&["@connection"])
                .docs("[FILTERBY <MODULE module-name|ACLCAT category|PATTERN pattern>]", "7.0.0", "O(N) with N commands", "Returns the names of commands."),
            Spec::new("server", "getkeys", getkeys, -3).flags(ANY).acl(&["@connection"]).docs("command [arg...]", "2.8.13", "O(N) with N arguments", "Returns the keys of a command."),
            Spec::new("server", "getkeysandflags", getkeysandflags, -3).flags(ANY).acl(&["@connection"])
                .docs("command [arg...]", "7.0.0", "O(N) with N arguments", "Returns the keys of a command and what happens to them."),
            Spec::new("server", "help", help, 2).flags(ANY).acl(&["@connection"]).docs("", "5.0.0", "O(1)", "Says what the subcommands do."),
        ]),
];

fn help(_: &mut Ctx<'_, '_>, _: Args<'_>) -> Result<Reply, CommandError> {
    Ok(help_for(&COMMANDS[0]))
}

fn command(ctx: &mut Ctx<'_, '_>, _: Args<'_>) -> Result<Reply, CommandError> {
    Ok(Reply::Array(ctx.instance.table.commands().iter().map(|spec| describe(spec, None)).collect()))
}

fn count(ctx: &mut Ctx<'_, '_>, _: Args<'_>) -> Result<Reply, CommandError> {
    Ok(Reply::count(ctx.instance.table.commands().len()))
}

/// Finds `client` or `client|list`.
fn by_full_name(table: &Table, name: &[u8]) -> Option<(&'static Spec, Option<&'static Spec>)> {
    let mut parts = name.splitn(2, |byte| *byte == b'|');
    let spec = table.lookup(parts.next()?)?;
    match parts.next() {
        None => Some((spec, None)),
        Some(sub) => Some((spec, Some(spec.subcommands.iter().find(|each| is(sub, each.name))?))),
    }
}

fn info(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    if args.len() == 2 {
        return command(ctx, args);
    }
    let one = |name| match by_full_name(ctx.instance.table, name) {
        None => Reply::NullArray,
        Some((spec, None)) => describe(spec, None),
        Some((spec, Some(sub))) => describe(sub, Some(spec)),
    };
    Ok(Reply::Array(args.iter().skip(2).map(one).collect()))
}

fn full_name(spec: &Spec, parent: Option<&Spec>) -> String {
    parent.map_or_else(|| spec.name.to_owned(), |parent| format!("{}|{}", parent.name, spec.name))
}

/// One element of `COMMAND INFO`.
fn describe(spec: &Spec, parent: Option<&Spec>) -> Reply {
    let all_keys = spec.keys.iter().chain(spec.channels);
    // Those behind words have no place of their own.
    let ranges: Vec<_> = all_keys
        .clone()
        .filter_map(|keys| match keys.find {
            Find::Range { first, last, step } => Some((first as i64, i64::from(last), step as i64)),
            Find::Counted { .. } | Find::Behind { .. } => None,
        })
        .collect();
    let (first, last, step) = match (&ranges[..], spec.keys.last().map(|keys| keys.find)) {
        ([], _) | (_, Some(Find::Counted { .. })) => (0, 0, 0),
        ([(first, ..), ..], _) => {
            let (_, last, step) = ranges[ranges.len() - 1];
            (*first, last, step)
        }
    };
    Reply::Array(vec![
        Reply::string(full_name(spec, parent)),
        Reply::Int(i64::from(spec.arity)),
        Reply::Set(spec.flags.names().map(Reply::Status).collect()),
        Reply::Int(first),
        Reply::Int(last),
        Reply::Int(step),
        Reply::Set(spec.categories().into_iter().map(Reply::Status).collect()),
        Reply::Array(Vec::new()),
        Reply::Array(all_keys.map(describe_keys).collect()),
        Reply::Array(spec.subcommands.iter().map(|sub| describe(sub, Some(spec))).collect()),
    ])
}

fn describe_keys(keys: &KeySpec) -> Reply {
    let index = |index: usize| {
        Reply::Map(vec![
            (Reply::text("type"), Reply::text("index")),
            (Reply::text("spec"), Reply::Map(vec![(Reply::text("index"), Reply::count(index))])),
        ])
    };
    let (begin, find) = match keys.find {
        Find::Range { first, last, step } => {
            let last = if last < 0 { i64::from(last) } else { i64::from(last) - first as i64 };
            let spec = Reply::Map(vec![
                (Reply::text("lastkey"), Reply::Int(last)),
                (Reply::text("keystep"), Reply::count(step)),
                (Reply::text("limit"), Reply::Int(0)),
            ]);
            (
                index(first),
                Reply::Map(vec![(Reply::text("type"), Reply::text("range")), (Reply::text("spec"), spec)]),
            )
        }
        Find::Behind { .. } => {
            let unknown = || {
                Reply::Map(vec![
                    (Reply::text("type"), Reply::text("unknown")),
                    (Reply::text("spec"), Reply::Map(Vec::new())),
                ])
            };
            (unknown(), unknown())
        }
        Find::Counted { count } => {
            let spec = Reply::Map(vec![
                (Reply::text("keynumidx"), Reply::Int(0)),
                (Reply::text("firstkey"), Reply::Int(1)),
                (Reply::text("keystep"), Reply::Int(1)),
            ]);
            (
                index(count),
                Reply::Map(vec![(Reply::text("type"), Reply::text("keynum")), (Reply::text("spec"), spec)]),
            )
        }
    };
    let flags = keys.access.flags().iter().map(|flag| Reply::Status(flag)).collect();
    Reply::Map(vec![
        (Reply::text("flags"), Reply::Set(flags)),
        (Reply::text("begin_search"), begin),
        (Reply::text("find_keys"), find),
    ])
}

fn docs(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let mut pairs = Vec::new();
    if args.len() == 2 {
        pairs.extend(ctx.instance.table.commands().iter().map(|spec| document(spec, None)));
    }
    for name in args.iter().skip(2) {
        pairs.extend(by_full_name(ctx.instance.table, name).map(|(spec, sub)| match sub {
            None => document(spec, None),
            Some(sub) => document(sub, Some(spec)),
        }));
    }
    Ok(Reply::Map(pairs))
}

/// One pair of `COMMAND DOCS`.
fn document(spec: &Spec, parent: Option<&Spec>) -> (Reply, Reply) {
    let mut map = vec![
        (Reply::text("summary"), Reply::text(spec.summary)),
        (Reply::text("since"), Reply::text(spec.since)),
        (Reply::text("group"), Reply::text(spec.group)),
        (Reply::text("complexity"), Reply::text(spec.complexity)),
    ];
    let arguments = syntax::parse(spec.syntax);
    if !arguments.is_empty() {
        map.push((Reply::text("arguments"), Reply::Array(arguments.iter().map(argument).collect())));
    }
    if !spec.subcommands.is_empty() {
        let subcommands = spec.subcommands.iter().map(|sub| document(sub, Some(spec))).collect();
        map.push((Reply::text("subcommands"), Reply::Map(subcommands)));
    }
    (Reply::string(full_name(spec, parent)), Reply::Map(map))
}

fn argument(arg: &Arg) -> Reply {
    let (kind, inner) = match &arg.shape {
        Shape::Word(kind) => (*kind, None),
        Shape::PureToken => ("pure-token", None),
        Shape::OneOf(args) => ("oneof", Some(args)),
        Shape::Block(args) => ("block", Some(args)),
    };
    let mut map = vec![
        (Reply::text("name"), Reply::string(arg.name.clone())),
        (Reply::text("type"), Reply::text(kind)),
    ];
    if let Some(token) = &arg.token {
        map.push((Reply::text("token"), Reply::string(token.clone())));
    }
    let mut flags = Vec::new();
    flags.extend(arg.optional.then_some(Reply::Status("optional")));
    flags.extend(arg.multiple.then_some(Reply::Status("multiple")));
    if !flags.is_empty() {
        map.push((Reply::text("flags"), Reply::Array(flags)));
    }
    if let Some(args) = inner {
        map.push((Reply::text("arguments"), Reply::Array(args.iter().map(argument).collect())));
    }
    Reply::Map(map)
}

fn list(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let mut wanted: Box<dyn Fn(&Spec) -> bool> = Box::new(|_| true);
    match args.len() {
        2 => {}
        5 if is(&args[2], "filterby") => {
            let value = args[4].to_vec();
            if is(&args[3], "module") {
                wanted = Box::new(|_| false);
            } else if is(&args[3], "aclcat") {
                wanted =
                    Box::new(move |spec| spec.categories().iter().any(|category| is(&value, &category[1..])));
            } else if is(&args[3], "pattern") {
                wanted = Box::new(move |spec| glob_matches(&value, spec.name.as_bytes(), true));
            } else {
                return Err(CommandError::Syntax);
            }
        }
        _ => return Err(CommandError::Syntax),
    }
    let mut names = Vec::new();
    for spec in ctx.instance.table.commands() {
        names.extend(wanted(spec).then(|| Reply::text(spec.name)));
        let subcommands = spec.subcommands.iter().filter(|sub| args.len() > 2 && wanted(sub));
        names.extend(subcommands.map(|sub| Reply::string(full_name(sub, Some(spec)))));
    }
    Ok(Reply::Array(names))
}

fn keys_of<'a>(table: &Table, args: Args<'a>) -> Result<Vec<(&'a [u8], Access)>, CommandError> {
    let inner = args.skip(2);
    if table.lookup(&inner[0]).is_none() {
        return err("ERR Invalid command specified");
    }
    let Ok(resolved) = table.resolve(inner) else {
        return err("ERR Invalid number of arguments specified for command");
    };
    if resolved.spec.keys.is_empty() {
        return err("ERR The command has no key arguments");
    }
    let mut keys = Vec::new();
    let valid =
        resolved.spec.for_each_key(inner, |at, access| keys.extend(inner.get(at).map(|key| (key, access))));
    if valid { Ok(keys) } else { err("ERR Invalid arguments specified for command") }
}

fn getkeys(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    Ok(Reply::Array(
        keys_of(ctx.instance.table, args)?.into_iter().map(|(key, _)| Reply::copied(key)).collect(),
    ))
}

fn getkeysandflags(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let one = |(key, access): (&[u8], Access)| {
        let flags = access.flags().iter().map(|flag| Reply::Status(flag)).collect();
        Reply::Array(vec![Reply::copied(key), Reply::Set(flags)])
    };
    Ok(Reply::Array(keys_of(ctx.instance.table, args)?.into_iter().map(one).collect()))
}

#[cfg(test)]
mod tests {
    use crate::command::testing::run;

    run! {
        commands_describe_themselves {
            "COMMAND GETKEYS MSET a 1 b 2" => "[a b]", "COMMAND GETKEYS PING" => "-ERR The command has no key arguments",
            "COMMAND GETKEYS FOO" => "-ERR Invalid command specified", "COMMAND GETKEYS GET" => "-ERR Invalid number of arguments specified for command",
            "COMMAND GETKEYSANDFLAGS GET a" => "[[a [+RO +access]]]", "COMMAND INFO nope" => "[nil]",
            "COMMAND INFO get" => "[[get :2 [+readonly +fast] :1 :1 :1 [+@string +@read +@fast] [] [[flags [+RO +access] begin_search [type index spec [index :1]] find_keys [type range spec [lastkey :0 keystep :1 limit :0]]]] []]]",
            "COMMAND INFO sunsubscribe" => "[[sunsubscribe :-1 [+pubsub +noscript +loading +stale] :1 :-1 :1 [+@pubsub +@slow] [] [[flags [+not_key] begin_search [type index spec [index :1]] find_keys [type range spec [lastkey :-1 keystep :1 limit :0]]]] []]]",
            "COMMAND GETKEYS SPUBLISH a b" => "-ERR The command has no key arguments",
            "COMMAND LIST FILTERBY PATTERN incr*" => "[incr incrby incrbyfloat]", "COMMAND LIST FILTERBY" => "-ERR syntax error", "COMMAND DOCS nope" => "[]"
        }
    }
}
