//! Runs a program on both servers, step by step, and stops at the first difference.

use std::thread;
use std::time::Duration;

use modb_tests::peer::encode;
use modb_tests::wait::{self, DEADLINE};
use modb_tests::{Launch, Peer, Reply, Server};

use crate::apart::Apart;
use crate::crowds::Crowds;
use crate::events::Listener;
use crate::grammar::Arg;
use crate::program::{CLIENTS, Program, Step, written};
use crate::transactions::Queue;

/// The server under test and the one that is right by definition.
pub(crate) struct Pair {
    /// `None` only while it restarts.
    subject: Option<Server>,
    redis: Server,
    /// Events of keys are compared, too.
    listens: bool,
    /// How many were.
    pub(crate) events: u64,
}

/// One client's connections to both.
struct Client {
    subject: Peer,
    redis: Peer,
    queue: Queue,
}

impl Pair {
    pub(crate) fn start(subject: &Launch, redis: &Launch) -> Self {
        Self { subject: Some(subject.start()), redis: redis.start(), listens: false, events: 0 }
    }

    /// Has events of keys compared as well.
    pub(crate) fn listening(self, listens: bool) -> Self {
        Self { listens, ..self }
    }

    pub(crate) fn subject(&self) -> &Server {
        self.subject.as_ref().expect("it runs between steps")
    }

    /// Runs `program` from empty databases; how many commands were compared.
    ///
    /// # Errors
    /// The first difference, in words.
    pub(crate) fn run(&mut self, program: &Program) -> Result<u64, String> {
        let mut clients = self.connect(program);
        clients[0].compare_all(&[words(&["FLUSHALL"])])?;
        let listen = |pair: &Self| pair.listens.then(|| Listener::new([pair.subject(), &pair.redis]));
        let mut listener = listen(self);
        let mut crowds = Crowds::default();
        let mut count = 0;
        for step in &program.steps {
            count += match step {
                Step::Burst { client, commands } => clients[*client].compare_all(commands)?,
                // These look at replies, which do not come while they are queued.
                Step::Scan { client, .. } | Step::RunOut { client, .. }
                    if clients[*client].queue.is_open() =>
                {
                    0
                }
                Step::Scan { client, options } => clients[*client].compare_scans(options)?,
                Step::RunOut { client, key } => clients[*client].compare_running_out(key)?,
                Step::Restart { kill } => {
                    drop((clients, listener.take()));
                    let server = self.subject.take().expect("it runs between steps");
                    self.subject = Some(if *kill { server.kill_and_restart() } else { server.restart() });
                    crowds.end();
                    clients = self.connect(program);
                    listener = listen(self);
                    0
                }
                Step::Crowd { waits } => {
                    crowds.come(self.subject());
                    if *waits {
                        crowds.end();
                    }
                    0
                }
            };
            if let Some(listener) = &mut listener {
                self.events += listener.compare()?;
            }
        }
        crowds.end();
        Ok(count)
    }

    fn connect(&self, program: &Program) -> Vec<Client> {
        let size = if program.small_pages { "yes" } else { "no" };
        assert_eq!(
            self.subject().peer().ask(&format!("DEBUG SMALL-PAGES {size}")),
            Reply::Simple(b"OK".to_vec())
        );
        let limits = program.limits.to_string();
        for server in [self.subject(), &self.redis] {
            assert_eq!(server.peer().ask(&limits), Reply::Simple(b"OK".to_vec()));
        }
        let connect = |server: &Server, resp3: bool| {
            let mut peer = server.peer();
            if resp3 {
                assert!(matches!(peer.ask("HELLO 3"), Reply::Map(_)));
            }
            peer
        };
        (0..CLIENTS)
            .map(|n| Client {
                subject: connect(self.subject(), program.resp3[n]),
                redis: connect(&self.redis, program.resp3[n]),
                queue: Queue::default(),
            })
            .collect()
    }
}

impl Client {
    /// Sends commands to both, in pipelines where that is possible, and compares the replies.
    fn compare_all(&mut self, commands: &[Vec<Arg>]) -> Result<u64, String> {
        let alone = |command: &[Arg]| Apart::of(command).is_some();
        for part in commands.chunk_by(|one, next| !alone(one) && !alone(next)) {
            match Apart::of(&part[0]) {
                Some(apart) => apart.compare(&mut self.subject, &mut self.redis, &part[0])?,
                None => self.compare_pipeline(part)?,
            }
        }
        Ok(commands.len() as u64)
    }

    /// Sends all commands to both at once, then compares reply by reply.
    fn compare_pipeline(&mut self, commands: &[Vec<Arg>]) -> Result<(), String> {
        let wire: Vec<u8> = commands.iter().flat_map(encode).collect();
        self.redis.send(&wire);
        // If the server under test has ended the connection, that shows at its reply.
        let _ = self.subject.try_send(&wire);
        for command in commands {
            let theirs = self.redis.reply();
            let ours = self
                .subject
                .try_reply()
                .map_err(|error| format!("{}: {error}, redis: {theirs:?}", written(command)))?;
            self.queue.compare(command, &ours, &theirs)?;
        }
        Ok(())
    }

    fn compare_scans(&mut self, options: &[Arg]) -> Result<u64, String> {
        let (ours, theirs) = (scan(&mut self.subject, options)?, scan(&mut self.redis, options)?);
        if ours != theirs {
            return Err(format!("a whole SCAN {}: {ours:?}, redis: {theirs:?}", written(options)));
        }
        Ok(1)
    }

    fn compare_running_out(&mut self, key: &Arg) -> Result<u64, String> {
        const TIME_MS: u64 = 1;
        let command = |name: &str, more: &[&str]| {
            let mut command = words(&[name]);
            command.push(key.clone());
            command.extend(words(more));
            command
        };
        self.compare_all(&[command("PEXPIRE", &[&TIME_MS.to_string()])])?;
        thread::sleep(Duration::from_millis(TIME_MS + 4)); // what is tested: time passing
        let count = self.compare_all(&[command("GET", &[]), command("TTL", &[])])?;
        // Redis removes it when it is asked for, Modb soon after of its own; then both count alike.
        let theirs = self.redis.ask("DBSIZE");
        let agree = || (self.subject.ask("DBSIZE") == theirs).then_some(count + 1);
        wait::within(DEADLINE, agree).ok_or_else(|| format!("DBSIZE never becomes {theirs:?}"))
    }
}

fn words(words: &[&str]) -> Vec<Arg> {
    words.iter().map(|word| word.as_bytes().to_vec()).collect()
}

/// All keys that a whole scan gives, each once, sorted.
fn scan(peer: &mut Peer, options: &[Arg]) -> Result<Vec<String>, String> {
    let mut keys = Vec::new();
    let mut cursor = b"0".to_vec();
    loop {
        let command = [&[b"SCAN".to_vec(), cursor][..], options].concat();
        let reply = peer.call(&command);
        let Reply::Array(parts) = &reply else { return Err(format!("{}: {reply:?}", written(&command))) };
        let [next, found] = &parts[..] else { return Err(format!("{}: {reply:?}", written(&command))) };
        keys.extend(found.items().iter().map(|key| key.bytes().escape_ascii().to_string()));
        cursor = next.bytes().to_vec();
        if cursor == b"0" {
            break;
        }
    }
    keys.sort_unstable();
    keys.dedup();
    Ok(keys)
}
