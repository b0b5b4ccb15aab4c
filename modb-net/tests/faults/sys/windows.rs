//! Windows: the pipe that cannot be selected, loops on `select` and `WSAPoll`, and what a child inherits.

#![allow(unsafe_code)] // Winsock.

use std::io::Write;
use std::os::windows::io::{AsRawHandle, AsRawSocket, RawSocket};
use std::time::Duration;

use modb_net::notify::Notifier;
use modb_net::socketpair::{self, DEFAULT_DEADLINE, Strategy, pair_by};
use socket2::Socket;
use windows_sys::Win32::Foundation::{GetHandleInformation, HANDLE, HANDLE_FLAG_INHERIT};
use windows_sys::Win32::Networking::WinSock::{
    FD_SET, POLLRDNORM, SO_EXCLUSIVEADDRUSE, SOCKET, SOCKET_ERROR, SOL_SOCKET, TIMEVAL, WSAGetLastError,
    WSAPOLLFD, WSAPoll, closesocket, getsockopt, select,
};

use crate::loops::runs_in;

/// Closes the socket's handle behind its back; the other end sees a reset.
pub(crate) fn breaker_of(socket: &Socket) -> impl FnOnce() + use<> {
    let handle = socket.as_raw_socket() as SOCKET;
    // SAFETY: the handle is open. That its owner has it no more is what the test is about; the process
    // opens no other handle that could get its number before it ends.
    move || assert_eq!(unsafe { closesocket(handle) }, 0)
}

/// `Ok(readable)`, or the error code.
fn is_readable(handle: RawSocket, timeout: Duration) -> Result<bool, i32> {
    let mut set = FD_SET { fd_count: 1, fd_array: [0; 64] };
    set.fd_array[0] = handle as SOCKET;
    let timeout = TIMEVAL { tv_sec: timeout.as_secs() as i32, tv_usec: timeout.subsec_micros() as i32 };
    // SAFETY: the set has one entry; the other two are absent.
    unsafe {
        match select(0, &mut set, std::ptr::null_mut(), std::ptr::null_mut(), &timeout) {
            SOCKET_ERROR => Err(WSAGetLastError()),
            count => Ok(count == 1),
        }
    }
}

#[test]
fn select_fails_on_a_pipe_and_works_on_our_pair() {
    let (near, mut far) = socketpair::pair().unwrap();
    assert_eq!(is_readable(near.as_raw_socket(), Duration::ZERO), Ok(false));
    far.write_all(b"x").unwrap();
    assert_eq!(is_readable(near.as_raw_socket(), Duration::from_secs(5)), Ok(true));

    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(b"x").unwrap();
    // WSAENOTSOCK; Wine says WSAEOPNOTSUPP.
    let error = is_readable(reader.as_raw_handle() as RawSocket, Duration::ZERO).unwrap_err();
    assert!(error == 10038 || error == 10045, "error {error}");
}

#[test]
fn the_notifier_works_in_a_select_loop() {
    runs_in(|notifier, timeout| is_readable(notifier.as_raw_socket(), timeout).unwrap());
}

#[test]
fn the_notifier_works_in_a_wsapoll_loop() {
    runs_in(|notifier, timeout| {
        let mut fd = WSAPOLLFD { fd: notifier.as_raw_socket() as SOCKET, events: POLLRDNORM, revents: 0 };
        // SAFETY: one entry, which is open.
        unsafe { WSAPoll(&mut fd, 1, timeout.as_millis() as i32) == 1 }
    });
}

#[test]
fn a_program_that_is_started_inherits_nothing() {
    let inherited = |socket: RawSocket| {
        let mut flags = 0;
        // SAFETY: the handle is open, and the flags are written by the call.
        assert_ne!(unsafe { GetHandleInformation(socket as HANDLE, &mut flags) }, 0);
        flags & HANDLE_FLAG_INHERIT != 0
    };
    for strategy in [Strategy::LoopbackV4, Strategy::LoopbackV6] {
        let (a, b) = pair_by(&[strategy], DEFAULT_DEADLINE).unwrap();
        assert!(!inherited(a.as_raw_socket()) && !inherited(b.as_raw_socket()), "{strategy}");
    }
    assert!(!inherited(Notifier::new().unwrap().as_raw_socket()));
}

#[test]
fn the_connecting_end_holds_its_address_alone() {
    for strategy in [Strategy::LoopbackV4, Strategy::LoopbackV6] {
        let (connected, _accepted) = pair_by(&[strategy], DEFAULT_DEADLINE).unwrap();
        let (mut exclusive, mut length) = (0i32, size_of::<i32>() as i32);
        // SAFETY: the value has the length given.
        let result = unsafe {
            getsockopt(
                connected.as_raw_socket() as SOCKET,
                SOL_SOCKET,
                SO_EXCLUSIVEADDRUSE,
                (&raw mut exclusive).cast(),
                &mut length,
            )
        };
        assert_eq!((result, exclusive), (0, 1), "{strategy}");
    }
}
