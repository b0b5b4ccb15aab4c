//! The data folder: who may read it, what may stand in it, and what is said when something else stands in its place.

use std::fs;
use std::path::Path;
use std::process::Command;

use modb_tests::sys::{self, mode_of};
use modb_tests::{Launch, Platform, Reply, binary, skip, wait};

/// Every file and folder in and below `folder`, itself included.
fn walk(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
    found.push(folder.to_path_buf());
    for entry in fs::read_dir(folder).expect("a test may read its own folder") {
        let path = entry.expect("a test may read its own folder").path();
        if path.is_dir() { walk(&path, found) } else { found.push(path) }
    }
}

fn assert_private(folder: &Path) {
    let mut found = Vec::new();
    walk(folder, &mut found);
    assert!(found.len() > 4, "{found:?}");
    for path in found {
        let expected = if path.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode_of(&path), expected, "{}", path.display());
    }
}

pub(crate) fn a_new_folder_is_for_its_owner_alone_whatever_the_umask(platform: &Platform) {
    for umask in ["000", "077", "777"] {
        let around = tempfile::tempdir().expect("a folder can be made");
        let (data, copy) = (around.path().join("data"), around.path().join("copy"));
        let launch = Launch::new(platform).in_folder(&data).in_shell(&format!("umask {umask}; exec \"$@\""));
        let server = launch.start();
        let mut peer = server.peer();
        assert_eq!(peer.ask("SET a 1"), Reply::ok());
        assert_eq!(peer.call(["MODB", "BACKUP", &copy.to_string_lossy()]), Reply::Int(1));
        wait::until("the backup is done", || {
            format!("{:?}", peer.ask("MODB STATUS")).contains("done").then_some(())
        });
        assert_eq!(peer.ask("MODB COMPACT"), Reply::Int(2));
        wait::until("the compaction is done", || {
            format!("{:?}", peer.ask("MODB STATUS")).contains("done").then_some(())
        });
        assert_private(&data);
        assert_private(&copy);
        assert!(!server.says("open to others"), "{}", server.output());
    }
}

pub(crate) fn an_older_folder_that_others_can_read_is_warned_about_and_not_changed(platform: &Platform) {
    let around = tempfile::tempdir().expect("a folder can be made");
    let data = around.path().join("data");
    fs::create_dir(&data).expect("a test may write its own folder");
    sys::set_mode(&data, 0o755);
    let server = Launch::new(platform).in_folder(&data).start();
    assert!(server.comes_to_say("open to others (mode 755)"), "{}", server.output());
    assert_eq!(mode_of(&data), 0o755);
    drop(server);
    sys::set_mode(&data, 0o750);
    let server = Launch::new(platform).in_folder(&data).start();
    assert!(!server.says("open to others"), "a group may be let in: {}", server.output());
}

pub(crate) fn a_fresh_file_system_is_an_empty_folder(platform: &Platform) {
    let launch = Launch::new(platform);
    fs::create_dir(launch.folder().join("lost+found")).expect("a test may write its own folder");
    assert_eq!(launch.start().peer().ask("SET a 1"), Reply::ok());
    assert_eq!(launch.start().peer().ask("GET a"), Reply::bulk("1"));
}

pub(crate) fn a_folder_of_somebody_else_is_left_as_it_was(platform: &Platform) {
    let launch = Launch::new(platform);
    fs::write(launch.folder().join("holiday.jpg"), "x").expect("a test may write its own folder");
    let refusal = launch.start_expecting_refusal();
    assert_eq!(refusal.status.code(), Some(2), "{}", refusal.output);
    assert!(refusal.output.contains("holds holiday.jpg: name an empty folder"), "{}", refusal.output);
    let names: Vec<_> = fs::read_dir(launch.folder()).expect("it is there").flatten().collect();
    assert_eq!(names.len(), 1, "{names:?}");
}

pub(crate) fn the_folder_of_another_user_is_named_with_its_owner_and_what_to_do(platform: &Platform) {
    let around = tempfile::tempdir().expect("a folder can be made");
    let mut launch = Launch::new(platform).in_folder("/modb-data-of-nobody");
    let (mut owner, mut place) = ("root".to_owned(), "/".to_owned());
    if sys::is_root() {
        const AS_NOBODY: &str = "setpriv --reuid=65534 --regid=65534 --clear-groups";
        let program = binary::server().path.display().to_string();
        let can = format!("{AS_NOBODY} '{program}' --version");
        if !Command::new("sh").args(["-c", &can]).output().is_ok_and(|output| output.status.success()) {
            skip!("another user may not start the program");
        }
        sys::set_mode(around.path(), 0o755);
        let data = around.path().join("data");
        let own = Launch::new(platform).in_folder(&data);
        drop(own.start());
        owner = "root".to_owned();
        place = data.display().to_string();
        launch = own.in_shell(&format!("exec {AS_NOBODY} \"$@\""));
    }
    let refusal = launch.start_expecting_refusal();
    assert_eq!(refusal.status.code(), Some(2), "{}", refusal.output);
    let named = format!("{place} belongs to the user {owner}, and this process runs as ");
    let advice = if place == "/" { "name a folder elsewhere" } else { "chown -R nobody" };
    assert!(refusal.output.contains(&named) && refusal.output.contains(advice), "{}", refusal.output);
}

pub(crate) fn what_stands_in_place_of_the_folder_is_named(platform: &Platform) {
    let around = tempfile::tempdir().expect("a folder can be made");
    let at = |name: &str| around.path().join(name);
    fs::write(at("file"), "x").expect("a test may write its own folder");
    let mut cases =
        vec![(at("file"), "file as a folder: it is a file"), (at("file").join("data"), "it is a file")];
    if !platform.windows_server {
        for (link, target) in [("dangling", "nowhere"), ("loop", "loop"), ("to-file", "file")] {
            sys::make_link(&at(link), Path::new(target));
        }
        cases.push((at("dangling"), "it is a link to nowhere, which does not exist"));
        cases.push((at("dangling").join("data"), "it is a link to nowhere, which does not exist"));
        cases.push((at("loop"), "it is a link to loop, which cannot be followed"));
        cases.push((at("to-file"), "it is a link to file, which is a file"));
    }
    for (folder, expected) in cases {
        let refusal = Launch::new(platform).in_folder(&folder).start_expecting_refusal();
        assert_eq!(refusal.status.code(), Some(2), "{}", refusal.output);
        assert!(refusal.output.contains(expected), "{}: {}", folder.display(), refusal.output);
        assert!(!refusal.output.contains("exists"), "{}", refusal.output);
        assert!(refusal.output.lines().count() <= 2, "{}", refusal.output);
    }
}
