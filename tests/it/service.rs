//! The program as a service of Windows; elsewhere it says what to do instead.

use std::fs;
use std::process::Command;

use modb_tests::tool::{self, Outcome};
use modb_tests::wait::{self, DEADLINE};
use modb_tests::{Peer, Platform, Reply, Where, binary, skip};

pub(crate) fn elsewhere_the_service_manager_has_a_file_and_that_is_said(_: &Platform) {
    for action in ["install", "remove", "status"] {
        let outcome = tool::run(binary::server().command().args(["service", action]), b"", DEADLINE);
        assert_eq!((outcome.status, outcome.stdout.as_str()), (Some(2), ""), "{action}");
        assert!(outcome.stderr.contains("packaging/modb.service"), "{}", outcome.stderr);
    }
}

/// Takes the service away also if the test fails.
struct Installed;

impl Drop for Installed {
    fn drop(&mut self) {
        // It may be gone.
        let _ = binary::server().command().args(["service", "remove"]).output();
    }
}

pub(crate) fn long_a_service_starts_ends_gracefully_and_is_taken_away(platform: &Platform) {
    if !platform.is(Where::WindowsHost) {
        skip!("services are a matter of Windows");
    }
    let folder = tempfile::tempdir().expect("a folder can be made");
    let service = |words: &[&str]| -> Outcome {
        let mut server = binary::server().command();
        tool::run(server.current_dir(folder.path()).arg("service").args(words), b"", DEADLINE)
    };
    let manager =
        |action: &str| tool::run(Command::new("sc").args([action, "modb"]), b"", DEADLINE).success();
    let log = || fs::read_to_string(folder.path().join("modb-server.log")).unwrap_or_default();
    let serves_at = |starts: usize| {
        wait::until("the service serves", || {
            let log = log();
            let line = log.lines().filter(|line| line.contains("ready after")).nth(starts - 1)?;
            line.split("listen=").nth(1)?.split([',', ' ']).next()?.parse().ok()
        })
    };
    for wrong in [&["install", "--port", "x"][..], &["install", "--requirepass", "secret"], &["instal"]] {
        assert_eq!(service(wrong).status, Some(2), "{wrong:?}");
    }
    assert_eq!(service(&["status"]).status, Some(1), "there is a service 'modb' on this machine already");

    let installed = service(&["install", "--port", "0", "--dir", "data"]);
    if installed.stderr.to_lowercase().contains("denied") {
        skip!("services are for administrators: {}", installed.stderr.trim());
    }
    let _installed = Installed;
    assert!(installed.success().contains("NT AUTHORITY\\LocalService"));
    assert!(service(&["status"]).stdout.contains("does not run"));
    assert_eq!(service(&["install"]).status, Some(2), "there is one");

    manager("start");
    assert_eq!(Peer::connect(serves_at(1)).ask("SET a 1"), Reply::ok());
    assert!(service(&["status"]).success().contains("runs: pid="));
    manager("stop");
    wait::until("the service ends", || (service(&["status"]).status == Some(1)).then_some(()));
    assert!(log().contains("asked to end by the service manager") && log().contains("ended as asked"));

    manager("start");
    assert_eq!(Peer::connect(serves_at(2)).ask("GET a").text(), "1", "its paths mean what they meant");
    service(&["remove"]).success();
    assert_eq!(log().matches("ended as asked").count(), 2);
    assert!(service(&["status"]).stdout.contains("there is no service"));
}
