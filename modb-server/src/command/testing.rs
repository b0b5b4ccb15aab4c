//! Executing commands in tests: text in, text out, an engine in memory.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use modb_net::resp::{Args, Decoded, Encoder, Limits, Protocol, ReplyDecoder, RequestDecoder, Value};

use super::machine::weight;
use crate::command::{
    Client, CommandError, Env, Executed, Flags, Followers, Host, Instance, NoNetwork, Notes, Reply, Resolved,
    Scratch, Stopwatch, TABLE, changes_one_key, execute, execute_sleeping, execute_together, follower,
    hold_for_leader, may_lead, resolve,
};
use crate::config::Settings;
use crate::data::{Data, Need, Parker, Tally, Tx, Wake};
use crate::store::{EngineKind, OpenOptions, Store, open};

/// A database in memory with one client, and a clock that stands still unless moved.
pub(crate) struct Bench {
    pub(crate) instance: Instance,
    client: RefCell<Client>,
    scratch: RefCell<Scratch>,
    pub(crate) tally: Tally,
    parker: Parker,
    /// There is no room for a large reply.
    pub(crate) is_short: Cell<bool>,
    pub(crate) now_ms: Cell<u64>,
}

/// When the clock of a [`Bench`] starts, in milliseconds since 1970.
pub(crate) const START_MS: u64 = 1_700_000_000_000;

impl Host for Bench {
    fn has_room(&self, _: usize) -> bool {
        !self.is_short.get()
    }

    fn waker(&self) -> Box<dyn Wake> {
        self.parker.waker()
    }
}

impl Bench {
    pub(crate) fn new() -> Self {
        let options = OpenOptions { engine: EngineKind::Memory, ..OpenOptions::new("") };
        Self::on(open(&options).unwrap())
    }

    pub(crate) fn on(store: Arc<dyn Store>) -> Self {
        let settings = Settings::default();
        let data = Arc::new(Data::open(store, 16, false).unwrap());
        let instance = Instance::new(&TABLE, data, settings, START_MS);
        let client = Client::new(instance.clients.add(None, START_MS), true);
        Self {
            instance,
            client: RefCell::new(client),
            scratch: RefCell::default(),
            tally: Tally::default(),
            parker: Parker::default(),
            is_short: Cell::new(false),
            now_ms: Cell::new(START_MS),
        }
    }

    /// Has `work` do something with the words of an inline command.
    fn with_request<R>(line: &str, work: impl FnOnce(Args<'_>) -> R) -> R {
        let (mut decoder, input) = (RequestDecoder::new(), format!("{line}\r\n"));
        let Ok(Decoded::Request { .. }) = decoder.decode(input.as_bytes(), &Limits::default()) else {
            panic!("not a command: {line}");
        };
        work(decoder.args(input.as_bytes()))
    }

    fn env(&self, may_sleep: bool) -> Env<'_> {
        Env {
            instance: &self.instance,
            network: &NoNetwork,
            tally: &self.tally,
            now_ms: self.now_ms.get(),
            host: self,
            may_sleep,
        }
    }

    /// Executes an inline command.
    pub(crate) fn run(&self, line: &str) -> Value {
        let mut client = self.client.borrow_mut();
        let reply = Self::with_request(line, |args| {
            resolve(args, &mut client, &self.instance).and_then(|resolved| {
                let (env, scratch) = (self.env(true), &mut self.scratch.borrow_mut());
                execute_sleeping(resolved, args, &mut client, &env, scratch, &self.parker).reply
            })
        });
        value(&reply, client.protocol)
    }

    /// Executes the first of these inline commands as whoever serves others does, with as many of those behind it as go together; the
    /// replies as [`show`] writes them, and `None` of what waits.
    pub(crate) fn together(&self, lines: &[&str]) -> Vec<Option<String>> {
        let (mut client, scratch) = (self.client.borrow_mut(), &mut self.scratch.borrow_mut());
        let (first, behind) = lines.split_first().unwrap();
        let mut behind = Lines { lines: behind.iter(), last: None };
        let (mut ran, mut watch) = (Vec::new(), Stopwatch::start());
        let executed = Self::with_request(first, |args| {
            let resolved = TABLE.resolve(args).unwrap();
            assert!(
                changes_one_key(resolved) && may_lead(resolved, args.len(), &client, &self.instance),
                "{first}"
            );
            let notes = Notes { watch: &mut watch, ran: &mut ran };
            let env = self.env(false);
            let held = hold_for_leader(resolved, args, &client, &env);
            execute_together((resolved, args), held, &mut behind, &mut client, &env, scratch, notes)
        });
        let text = |reply: &Result<Reply, CommandError>| show(&value(reply, client.protocol));
        match executed {
            Executed::Alone(ran) => vec![ran.ok().map(|outcome| text(&outcome.reply))],
            Executed::Together(_) => ran.iter().map(|ran| Some(text(&ran.reply))).collect(),
        }
    }

    /// Whether an inline command would be left to a thread by whoever serves others. Nothing is done.
    pub(crate) fn is_long(&self, line: &str) -> bool {
        Self::with_request(line, |args| {
            let (client, spec) = (self.client.borrow(), TABLE.resolve(args).unwrap().spec);
            let (data, mut key) = (&self.instance.data, Vec::new());
            let held = data.hold_sleeping(Need::everything());
            let mut tx = Tx::new(data, &held, &self.tally, &mut key, self.now_ms.get());
            spec.flags.has(Flags::WEIGHED)
                && (weight::is_long_by_words(spec, args.len(), &self.instance)
                    || weight::long(&mut tx, &self.instance, &client, spec, args).is_some())
        })
    }

    /// Executes an inline command as whoever serves others does; whether it is left to a thread.
    pub(crate) fn is_left_to_a_thread(&self, line: &str) -> bool {
        Self::with_request(line, |args| {
            let (mut client, scratch) = (self.client.borrow_mut(), &mut self.scratch.borrow_mut());
            let resolved = TABLE.resolve(args).unwrap();
            execute(resolved, args, &mut client, &self.env(false), scratch)
                .is_err_and(|begun| begun.is_long())
        })
    }

    pub(crate) fn with_client<R>(&self, work: impl FnOnce(&mut Client) -> R) -> R {
        work(&mut self.client.borrow_mut())
    }

    /// Executes an inline command; the reply as [`show`] writes it.
    pub(crate) fn text(&self, line: &str) -> String {
        show(&self.run(line))
    }
}

/// Inline commands behind another one.
struct Lines<'l> {
    lines: std::slice::Iter<'l, &'l str>,
    last: Option<(RequestDecoder, String)>,
}

impl Followers for Lines<'_> {
    fn next(&mut self, instance: &Instance) -> Option<(Resolved, Args<'_>)> {
        let (mut decoder, input) = (RequestDecoder::new(), format!("{}\r\n", self.lines.next()?));
        decoder.decode(input.as_bytes(), &Limits::default()).unwrap();
        let (decoder, input) = self.last.insert((decoder, input));
        let args = decoder.args(input.as_bytes());
        follower(args, input.len(), instance).map(|resolved| (resolved, args))
    }
}

/// What a client reads.
fn value(reply: &Result<Reply, CommandError>, protocol: Protocol) -> Value {
    let mut out = Vec::new();
    let mut encoder = Encoder::new(&mut out, protocol);
    match reply {
        Ok(reply) => reply.encode(&mut encoder),
        Err(error) => encoder.error(error.text()),
    }
    if out.is_empty() {
        return Value::Null;
    }
    ReplyDecoder::default().decode(&mut &out[..]).unwrap().unwrap()
}

/// A reply in one line: `nil`, `:1`, `+OK`, `-ERR ..`, `[a b]`, strings as they are.
pub(crate) fn show(value: &Value) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let list = |items: &[Value]| items.iter().map(show).collect::<Vec<_>>().join(" ");
    match value {
        Value::Null => "nil".into(),
        Value::Integer(n) => format!(":{n}"),
        Value::Simple(bytes) => format!("+{}", text(bytes)),
        Value::Error(bytes) => format!("-{}", text(bytes)),
        Value::Bulk(bytes) => text(bytes),
        Value::Array(items) => format!("[{}]", list(items)),
        Value::Set(items) => format!("~[{}]", list(items)),
        Value::Map(pairs) => {
            let pairs: Vec<String> = pairs.iter().map(|(k, v)| format!("{}:{}", show(k), show(v))).collect();
            format!("{{{}}}", pairs.join(" "))
        }
        other => format!("{other:?}"),
    }
}

/// Tests that each run commands in sequence on a new database and compare the replies, as [`show`] writes them.
macro_rules! run {
    ($($name:ident { $($line:literal => $expected:literal),* $(,)? })*) => {$(
        #[test]
        fn $name() {
            let bench = $crate::command::testing::Bench::new();
            $(assert_eq!(bench.text($line), $expected, "{}", $line);)*
        }
    )*};
}
pub(crate) use run;
