//! A pair over loopback TCP. It needs the loopback interface up, and two ports while it lives.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};

use super::connect::{self, BACKLOG, Rendezvous};
use super::error::at;
use super::{Step, StepError, Strategy};
use crate::system::sys;

/// Makes a pair over `ip`, which is a loopback address, before `until`.
pub(super) fn pair(strategy: Strategy, ip: IpAddr, until: Instant) -> Result<(Socket, Socket), StepError> {
    let (listener, address) = listen(strategy, ip)?;
    connect_to(strategy, listener, address, until)
}

pub(super) fn listen(strategy: Strategy, ip: IpAddr) -> Result<(Socket, SocketAddr), StepError> {
    let any_port = SocketAddr::new(ip, 0);
    let listener = bound(strategy, any_port)?;
    listener.listen(BACKLOG).map_err(at(strategy, Step::Listen, any_port))?;
    let address = address_of(&listener, ip).map_err(at(strategy, Step::Listen, any_port))?;
    Ok((listener, address))
}

/// Where `listener`, which was bound to `ip`, can be reached. Only the port is taken from the system's
/// answer: some stacks and filters answer 0.0.0.0.
pub(super) fn address_of(listener: &Socket, ip: IpAddr) -> io::Result<SocketAddr> {
    let port = listener.local_addr()?.as_socket().map_or(0, |address| address.port());
    Ok(SocketAddr::new(ip, port))
}

pub(super) fn connect_to(
    strategy: Strategy,
    listener: Socket,
    address: SocketAddr,
    until: Instant,
) -> Result<(Socket, Socket), StepError> {
    let any_port = SocketAddr::new(address.ip(), 0);
    let (connector, accepted) = connect::rendezvous(Rendezvous {
        strategy,
        listener,
        address: address.into(),
        what: address.to_string(),
        make_connector: &|| bound(strategy, any_port),
        compare_addresses: true,
        until,
    })?;
    for socket in [&connector, &accepted] {
        socket.set_tcp_nodelay(true).map_err(at(strategy, Step::Configure, "TCP_NODELAY"))?;
        // A close without TIME_WAIT: a pair is made and closed without using up ports.
        socket.set_linger(Some(Duration::ZERO)).map_err(at(strategy, Step::Configure, "SO_LINGER"))?;
    }
    Ok((connector, accepted))
}

/// A socket on a port of the system's choice, which nobody else can bind. The connecting one is bound too:
/// its address is then known before it is connected, and a stranger's differs.
pub(super) fn bound(strategy: Strategy, any_port: SocketAddr) -> Result<Socket, StepError> {
    let socket = Socket::new(Domain::for_address(any_port), Type::STREAM, Some(Protocol::TCP))
        .map_err(at(strategy, Step::Create, any_port))?;
    sys::set_exclusive(&socket).map_err(at(strategy, Step::Configure, "exclusive address"))?;
    socket.bind(&any_port.into()).map_err(at(strategy, Step::Bind, any_port))?;
    socket.set_nonblocking(true).map_err(at(strategy, Step::Configure, "non-blocking"))?;
    Ok(socket)
}
