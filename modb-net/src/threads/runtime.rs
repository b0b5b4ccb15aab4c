//! Starting, watching and ending a server: one acceptor thread and one thread per worker.
//!
//! Invariants: no global state, no signal handlers; when [`Server::join`] has returned, or the server was
//! dropped, its threads have ended and its sockets are closed; a panic in a worker ends the server and comes out
//! of `join`, it never leaves a zombie that still gets connections.

use std::any::Any;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use crate::base::limits::Limits;
use crate::connection::service::Service;
use crate::connection::workers::{Control, Workers};
use crate::many::handoff::Handoff;
use crate::many::handoff::shared::SharedQueue;
use crate::many::hub::Hub;
use crate::system::notify::Waker;
use crate::system::peer::Peer;
use crate::system::unix_listener::UnixListener;
use crate::threads::accept::{Acceptor, Listener, RefusalWords};
use crate::threads::refuse::Refusals;
use crate::threads::trial::Trial;
use crate::threads::worker::{Station, Worker};

/// Why a server could not start, or ended before it was asked to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// There is nothing to listen on.
    #[error("no listener was given")]
    NoListener,
    /// A thread, a poller or a socket pair could not be had.
    #[error("the server could not start")]
    Start(#[source] io::Error),
    /// The acceptor's poller failed.
    #[error("the acceptor failed")]
    Acceptor(#[source] io::Error),
    /// A worker's poller failed.
    #[error("worker {worker} failed")]
    Worker {
        /// Which one.
        worker: usize,
        /// What the system said.
        source: io::Error,
    },
    /// The service of a worker could not be made.
    #[error("the service of worker {worker} could not be made")]
    Service {
        /// Which one.
        worker: usize,
        /// What the factory said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The service, or this crate, has a defect.
    #[error("thread {thread} panicked: {message}")]
    Panicked {
        /// The name of the thread.
        thread: String,
        /// What it said.
        message: String,
    },
}

/// What a worker's service is made with.
pub struct WorkerContext<M> {
    /// Which worker it is, from 0.
    pub index: usize,
    /// Wakes this worker: its next turn asks [`Service::end_turn`] again.
    pub waker: Waker,
    /// All workers.
    pub workers: Arc<dyn Workers<M>>,
}

/// How a server is to be. Begin with [`Server::builder`].
#[derive(Default)]
pub struct Builder {
    listeners: Vec<Listener>,
    workers: Option<usize>,
    handoff: Handoff,
    limits: Limits,
    words: Option<Box<RefusalWords>>,
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl Builder {
    /// Accepts from this listener, too.
    #[must_use]
    pub fn listen(mut self, listener: TcpListener) -> Self {
        self.listeners.push(Listener::Tcp(listener.into()));
        self
    }

    /// Accepts from this Unix-domain socket, too. Its file is removed when the server ends.
    #[must_use]
    pub fn listen_unix(mut self, listener: UnixListener) -> Self {
        self.listeners.push(Listener::Unix(listener));
        self
    }

    /// What a client is told for which there is no seat, on the acceptor's thread. Default: nothing, it is closed.
    #[must_use]
    pub fn refuse_with(mut self, words: impl Fn(&Peer) -> Vec<u8> + Send + Sync + 'static) -> Self {
        self.words = Some(Box::new(words));
        self
    }

    /// How many workers, at least 1. Default: as many as the system says can run at once.
    #[must_use]
    pub fn workers(mut self, count: usize) -> Self {
        self.workers = Some(count.max(1));
        self
    }

    /// Which worker gets a new connection.
    #[must_use]
    pub fn handoff(mut self, handoff: Handoff) -> Self {
        self.handoff = handoff;
        self
    }

    /// The bounds.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Starts the threads. `service` is called once on each worker's thread, before it serves.
    ///
    /// # Errors
    /// [`ServerError::NoListener`] and [`ServerError::Start`]; whatever was started has ended again.
    pub fn start<S, F>(self, service: F) -> Result<Server<S::Message>, ServerError>
    where
        S: Service,
        F: Fn(WorkerContext<S::Message>) -> S + Send + Sync + 'static,
    {
        self.try_start(move |context| Ok(service(context)))
    }

    /// As [`Builder::start`], with a factory that can fail.
    ///
    /// # Errors
    /// As [`Builder::start`], and [`ServerError::Service`]: the first error of the factory.
    pub fn try_start<S, F>(self, service: F) -> Result<Server<S::Message>, ServerError>
    where
        S: Service,
        F: Fn(WorkerContext<S::Message>) -> Result<S, Box<dyn std::error::Error + Send + Sync>>
            + Send
            + Sync
            + 'static,
    {
        if self.listeners.is_empty() {
            return Err(ServerError::NoListener);
        }
        let (limits, said) = self.limits.clamped();
        for text in said {
            tracing::warn!("{text}");
        }
        let count = self.workers.unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from));
        let refusals = Refusals::new(limits.max_refusing, limits.refusal_timeout);
        let words = self.words.unwrap_or_else(|| Box::new(|_| Vec::new()));
        let acceptor =
            Acceptor::new(self.listeners, refusals, words, limits.keep_alive).map_err(ServerError::Start)?;
        let stations: Vec<Station> =
            (0..count).map(|_| Station::new()).collect::<Result<_, _>>().map_err(ServerError::Start)?;
        let shared = match self.handoff {
            Handoff::Shared => Some(
                SharedQueue::new(limits.mailbox_capacity)
                    .map_err(|error| ServerError::Start(io::Error::other(error)))?,
            ),
            Handoff::RoundRobin | Handoff::LeastConnections => None,
        };
        let wakers: Vec<Waker> = stations.iter().map(|station| station.notifier().waker()).collect();
        let hub = Arc::new(Hub::<S>::new(
            limits,
            self.handoff,
            wakers.clone(),
            acceptor.notifier().waker(),
            shared,
        ));
        let mut server =
            Server { local_addrs: acceptor.local_addrs(), workers: hub.clone(), threads: Vec::new() };
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let looks = Trial::where_cores_are_shared(count, cores, Instant::now());
        let service = Arc::new(service);
        let (made, makings) = mpsc::channel();
        for (index, (station, waker)) in stations.into_iter().zip(wakers).enumerate() {
            let (hub, service, made, looks) = (hub.clone(), service.clone(), made.clone(), looks.clone());
            server.spawn(format!("worker-{index}"), move || {
                let _guard = EndOfWorker { hub: hub.clone(), index };
                let context = WorkerContext { index, waker, workers: hub.clone() as Arc<dyn Workers<_>> };
                let service = match service(context) {
                    Ok(service) => service,
                    Err(source) => {
                        // Told by the start, which waits for it.
                        let _ = made.send(Err(ServerError::Service { worker: index, source }));
                        return Ok(());
                    }
                };
                let _ = made.send(Ok(()));
                drop(made);
                Worker::new(index, hub, station, looks, service)
                    .and_then(Worker::run)
                    .map_err(|source| ServerError::Worker { worker: index, source })
            })?;
        }
        drop(made);
        // One that panics sends nothing, and comes out of `join`.
        makings.iter().take(count).collect::<Result<(), _>>()?;
        server.spawn("acceptor".into(), move || {
            let _guard = EndOfAcceptor { hub: hub.clone() };
            acceptor.run(&hub).map_err(ServerError::Acceptor)
        })?;
        Ok(server)
    }
}

/// A running server. Dropping it shuts it down and waits for its threads.
pub struct Server<M> {
    local_addrs: Vec<SocketAddr>,
    workers: Arc<dyn Workers<M>>,
    threads: Vec<JoinHandle<Result<(), ServerError>>>,
}

impl Server<()> {
    /// A builder with the defaults. (The service, and with it the type of messages, comes with
    /// [`Builder::start`].)
    pub fn builder() -> Builder {
        Builder::default()
    }
}

impl<M> Server<M> {
    /// Where it listens, in the order of the listeners given.
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.local_addrs
    }

    /// The workers, for messages, counts and limits. Outlives the server harmlessly.
    pub fn workers(&self) -> Arc<dyn Workers<M>> {
        self.workers.clone()
    }

    /// Begins the graceful shutdown: stop accepting, answer what was read, send it, close; at most for the
    /// shutdown timeout. Returns at once.
    pub fn shutdown(&self) {
        self.workers.shutdown();
    }

    /// Waits until the server has ended, by [`Server::shutdown`] or [`Control::shutdown`] or by a failure.
    ///
    /// # Errors
    /// The first failure of a thread, if that is what ended it.
    pub fn join(mut self) -> Result<(), ServerError> {
        self.join_threads()
    }

    fn spawn(
        &mut self,
        name: String,
        body: impl FnOnce() -> Result<(), ServerError> + Send + 'static,
    ) -> Result<(), ServerError> {
        // On failure the caller drops `self`, which ends the threads that run already.
        let thread = thread::Builder::new().name(name).spawn(body).map_err(ServerError::Start)?;
        self.threads.push(thread);
        Ok(())
    }

    fn join_threads(&mut self) -> Result<(), ServerError> {
        let mut first = Ok(());
        for handle in self.threads.drain(..) {
            let thread = handle.thread().name().unwrap_or_default().to_owned();
            let ended = handle
                .join()
                .unwrap_or_else(|panic| Err(ServerError::Panicked { thread, message: message(&*panic) }));
            first = first.and(ended);
        }
        first
    }
}

impl<M> Drop for Server<M> {
    fn drop(&mut self) {
        self.workers.shutdown();
        if let Err(error) = self.join_threads() {
            tracing::error!(%error, "a server that was dropped had failed");
        }
    }
}

impl<M> std::fmt::Debug for Server<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("local_addrs", &self.local_addrs).finish_non_exhaustive()
    }
}

/// However a worker ends, the server ends, and what is left in its mailbox is closed and counted, or left to the others,
/// who are there until they are told to end.
struct EndOfWorker<S: Service> {
    hub: Arc<Hub<S>>,
    index: usize,
}

impl<S: Service> Drop for EndOfWorker<S> {
    fn drop(&mut self) {
        self.hub.end_worker(self.index);
        self.hub.shutdown();
    }
}

struct EndOfAcceptor<S: Service> {
    hub: Arc<Hub<S>>,
}

impl<S: Service> Drop for EndOfAcceptor<S> {
    fn drop(&mut self) {
        self.hub.shutdown();
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".into())
}
