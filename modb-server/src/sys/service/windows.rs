//! Windows: the service control manager, through the crate `windows-service`.
#![allow(unsafe_code)]

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io;
use std::os::windows::io::IntoRawHandle as _;
use std::path::Path;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use windows_service::service::{
    Service, ServiceAccess, ServiceControl, ServiceControlAccept, ServiceErrorControl, ServiceExitCode,
    ServiceInfo, ServiceStartType, ServiceState, ServiceStatus, ServiceType,
};
use windows_service::service_control_handler::{
    self, ServiceControlHandlerResult as Answer, ServiceStatusHandle,
};
use windows_service::service_manager::{ServiceManager, ServiceManagerAccess};
use windows_service::{define_windows_service, service_dispatcher};
use windows_sys::Win32::Foundation::{ERROR_SERVICE_DOES_NOT_EXIST, ERROR_SERVICE_NEVER_STARTED};
use windows_sys::Win32::System::Console::{STD_ERROR_HANDLE, SetStdHandle};

use super::{Main, NAME, OnEnd, State};
use crate::sys::Told;

/// The user that the service runs as: one that may do little, and is on every machine.
pub const ACCOUNT: &str = "NT AUTHORITY\\LocalService";

/// How long a start or an end may take before the service manager says that it hangs.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two looks at a service that is about to end.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

fn plain(error: windows_service::Error) -> io::Error {
    match error {
        windows_service::Error::Winapi(error) => error,
        other => io::Error::other(other),
    }
}

fn manager(more: ServiceManagerAccess) -> io::Result<ServiceManager> {
    ServiceManager::local_computer(None::<&str>, ServiceManagerAccess::CONNECT | more).map_err(plain)
}

/// The service, if there is one.
fn service(access: ServiceAccess) -> io::Result<Option<Service>> {
    match manager(ServiceManagerAccess::empty())?.open_service(NAME, access).map_err(plain) {
        Ok(service) => Ok(Some(service)),
        Err(error) if error.raw_os_error() == Some(ERROR_SERVICE_DOES_NOT_EXIST as i32) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Has the service manager start this program with `words`, when the system starts.
///
/// # Errors
/// What the service manager says: there is one already, or it is not for this user.
pub fn install(words: Vec<OsString>) -> io::Result<()> {
    let info = ServiceInfo {
        name: NAME.into(),
        display_name: "Modb".into(),
        service_type: ServiceType::OWN_PROCESS,
        start_type: ServiceStartType::AutoStart,
        error_control: ServiceErrorControl::Normal,
        executable_path: std::env::current_exe()?,
        launch_arguments: words,
        dependencies: Vec::new(),
        account_name: Some(ACCOUNT.into()),
        account_password: None,
    };
    let manager = manager(ServiceManagerAccess::CREATE_SERVICE)?;
    let service = manager.create_service(&info, ServiceAccess::CHANGE_CONFIG).map_err(plain)?;
    // It serves without it as well.
    let _ = service.set_description("A key-value database that speaks RESP, the protocol of Redis");
    Ok(())
}

/// Ends the service, waits until it has ended, and takes it away.
///
/// # Errors
/// What the service manager says, or that it does not end.
pub fn remove() -> io::Result<()> {
    let access = ServiceAccess::QUERY_STATUS | ServiceAccess::STOP | ServiceAccess::DELETE;
    let Some(service) = service(access)? else {
        return Err(io::Error::new(io::ErrorKind::NotFound, format!("there is no service '{NAME}'")));
    };
    let deadline = Instant::now() + PATIENCE;
    let mut asked = false;
    while service.query_status().map_err(plain)?.current_state != ServiceState::Stopped {
        // While it starts it takes no request; that is no reason to leave it there.
        asked = asked || service.stop().is_ok();
        if Instant::now() > deadline {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the service does not end"));
        }
        std::thread::sleep(POLL_INTERVAL);
    }
    service.delete().map_err(plain)
}

/// What the service manager says.
///
/// # Errors
/// If it says nothing.
pub fn state() -> io::Result<State> {
    let Some(service) = service(ServiceAccess::QUERY_STATUS)? else { return Ok(State::NotInstalled) };
    let status = service.query_status().map_err(plain)?;
    Ok(match (status.current_state, status.exit_code) {
        (ServiceState::Stopped, ServiceExitCode::Win32(ERROR_SERVICE_NEVER_STARTED)) => {
            State::Stopped { status: 0 }
        }
        (
            ServiceState::Stopped,
            ServiceExitCode::ServiceSpecific(status) | ServiceExitCode::Win32(status),
        ) => State::Stopped { status },
        _ => State::Running { pid: status.process_id },
    })
}

/// How far this process is as a service.
enum Stage {
    /// It is none, or not yet.
    Before(Option<Main>),
    /// The service manager has called it.
    Known(ServiceStatusHandle),
    /// It has ended with this exit status.
    Over(u8),
}

static STAGE: Mutex<Stage> = Mutex::new(Stage::Before(None));
static ON_END: OnceLock<Mutex<OnEnd>> = OnceLock::new();

fn stage() -> std::sync::MutexGuard<'static, Stage> {
    STAGE.lock().unwrap_or_else(PoisonError::into_inner)
}

define_windows_service!(entry, service_main);

/// Does `main` as the service manager wants it; its exit status. This thread waits for the end.
///
/// # Errors
/// If no service manager has started this process.
pub fn run(main: Main) -> io::Result<u8> {
    *stage() = Stage::Before(Some(main));
    service_dispatcher::start(NAME, entry).map_err(plain)?;
    match *stage() {
        Stage::Over(status) => Ok(status),
        _ => Err(io::Error::other("the service manager did not start the service")),
    }
}

fn service_main(_: Vec<OsString>) {
    let Stage::Before(Some(main)) = std::mem::replace(&mut *stage(), Stage::Before(None)) else { return };
    let Ok(handle) = service_control_handler::register(NAME, control) else { return };
    *stage() = Stage::Known(handle);
    report(ServiceState::StartPending, 0);
    let status = main(Box::new(|on_end| {
        ON_END.set(Mutex::new(on_end)).map_err(|_| io::Error::other("a handler is there already"))
    }));
    report(ServiceState::Stopped, status);
    *stage() = Stage::Over(status);
}

/// What the service manager asks for.
fn control(asked: ServiceControl) -> Answer {
    match asked {
        ServiceControl::Interrogate => Answer::NoError,
        ServiceControl::Stop | ServiceControl::Shutdown | ServiceControl::Preshutdown => {
            report(ServiceState::StopPending, 0);
            if let Some(on_end) = ON_END.get() {
                on_end.lock().unwrap_or_else(PoisonError::into_inner)(Told::End("the service manager"));
            }
            Answer::NoError
        }
        _ => Answer::NotImplemented,
    }
}

/// Tells the service manager, if it has started this process, as systemd is told.
pub(in crate::sys) fn tell(what: &str) {
    match what {
        "READY=1" => report(ServiceState::Running, 0),
        "STOPPING=1" => report(ServiceState::StopPending, 0),
        _ => {}
    }
}

fn report(state: ServiceState, status: u8) {
    let Stage::Known(handle) = &*stage() else { return };
    let running = state == ServiceState::Running;
    let accepted =
        ServiceControlAccept::STOP | ServiceControlAccept::SHUTDOWN | ServiceControlAccept::PRESHUTDOWN;
    // If it cannot be told, it finds out by itself when the process ends.
    let _ = handle.set_service_status(ServiceStatus {
        service_type: ServiceType::OWN_PROCESS,
        current_state: state,
        controls_accepted: if running { accepted } else { ServiceControlAccept::empty() },
        exit_code: match status {
            0 => ServiceExitCode::Win32(0),
            status => ServiceExitCode::ServiceSpecific(status.into()),
        },
        checkpoint: 0,
        wait_hint: if running || state == ServiceState::Stopped { Duration::ZERO } else { PATIENCE },
        process_id: None,
    });
}

/// From now on standard error is this file, to whose end it writes: a service has none of its own.
///
/// # Errors
/// If the file cannot be written.
pub fn send_errors_to(file: &Path) -> io::Result<()> {
    let file = OpenOptions::new().create(true).append(true).open(file)?;
    // SAFETY: the handle is open, and since it is given away nothing else closes it.
    match unsafe { SetStdHandle(STD_ERROR_HANDLE, file.into_raw_handle()) } {
        0 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}
