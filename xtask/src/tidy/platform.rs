//! What differs between systems, and what the compiler cannot check, each has one place.

use super::{File, Finding};

/// What a platform is named by in `cfg`.
const PLATFORM_WORDS: &[&str] =
    &["unix", "windows", "target_os", "target_family", "target_env", "target_vendor"];

/// Where `unsafe` may stand besides `sys/`: `polling` makes its callers promise to delete before they drop.
const UNSAFE_FILES: &[&str] = &["modb-net/src/system/poll.rs"];

pub(super) fn check(files: &[File]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| file.is_rust() && !in_sys(&file.path)) {
        for (number, line) in (1..).zip(file.code.lines()) {
            if !file.is_test() && names_platform(line) {
                findings.push(file.finding(number, "cfg of a platform outside sys/"));
            }
            if has_word(line, "unsafe") && !UNSAFE_FILES.contains(&file.path.as_str()) {
                findings.push(file.finding(number, "unsafe outside sys/ and the poller's wrapper"));
            }
        }
    }
    findings
}

fn in_sys(path: &str) -> bool {
    path.contains("/sys/") || path.ends_with("/sys.rs")
}

fn names_platform(line: &str) -> bool {
    let Some(at) = line.find("cfg") else { return false };
    let cfg = &line[at..];
    ["cfg(", "cfg!(", "cfg_attr("].iter().any(|open| cfg.contains(open))
        && PLATFORM_WORDS.iter().any(|word| has_word(cfg, word))
}

fn has_word(line: &str, word: &str) -> bool {
    line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|w| w == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> usize {
        check(&[File::new(path, text)]).len()
    }

    #[test]
    fn a_platform_outside_sys_is_found() {
        for code in [
            "#[cfg(unix)]",
            "if cfg!(windows) {}",
            "#[cfg(all(test, target_os = \"linux\"))]",
            "#[cfg_attr(unix, path = \"a\")]",
        ] {
            assert_eq!(found("modb-net/src/threads/accept.rs", code), 1, "{code}");
            assert_eq!(found("modb-net/src/system/sys/mod.rs", code), 0, "{code}");
        }
        assert_eq!(found("modb-net/src/threads/accept.rs", "#[cfg(test)]"), 0);
        assert_eq!(found("tests/it/main.rs", "#[cfg(unix)]"), 0);
    }

    #[test]
    fn unsafe_outside_sys_is_found_in_code_only() {
        assert_eq!(found("modb-server/src/data/mod.rs", "unsafe { f() }"), 1);
        assert_eq!(found("modb-server/src/data/mod.rs", "// unsafe\n#![allow(unsafe_code)]"), 0);
        assert_eq!(found("modb-net/src/system/poll.rs", "unsafe { f() }"), 0);
        assert_eq!(found("modb-net/src/system/sys/unix.rs", "unsafe { f() }"), 0);
    }
}
