//! What cargo has built, as it tells with `--message-format=json`: where each program is, and what it is of.

use std::path::PathBuf;

/// A program that cargo has built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Artifact {
    /// The folder of its package.
    pub(crate) package: PathBuf,
    /// `lib`, `bin`, `test`, `bench` or `example`.
    pub(crate) kind: String,
    pub(crate) name: String,
    /// Whether the test harness, or what stands for it, is in it.
    pub(crate) is_test: bool,
    pub(crate) program: PathBuf,
}

/// The programs that cargo tells of in what it printed, one message a line. Other lines may stand between.
pub(crate) fn programs(printed: &str) -> Vec<Artifact> {
    let messages = printed.lines().filter(|line| line.starts_with("{\"reason\":\"compiler-artifact\""));
    messages.filter_map(artifact).collect()
}

/// `None`: what was built is no program.
fn artifact(message: &str) -> Option<Artifact> {
    let program = text_after(message, "\"executable\":")?.into();
    let manifest = PathBuf::from(text_after(message, "\"manifest_path\":")?);
    let (_, target) = message.split_once("\"target\":")?;
    // The target says whether it may be tested, the profile whether this is the test.
    let (target, profile) = target.split_once("\"profile\":")?;
    Some(Artifact {
        package: manifest.parent()?.to_owned(),
        kind: text_after(target, "\"kind\":[")?,
        name: text_after(target, "\"name\":")?,
        is_test: profile.contains("\"test\":true}"),
        program,
    })
}

/// The text in quotes that follows `key`; `None` also where something else follows, as `null`.
fn text_after(message: &str, key: &str) -> Option<String> {
    let (_, rest) = message.split_once(key)?;
    let mut characters = rest.strip_prefix('"')?.chars();
    let mut text = String::new();
    loop {
        match characters.next()? {
            '"' => return Some(text),
            // Of all escapes these are what paths have.
            '\\' => text.push(characters.next()?),
            other => text.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::programs;

    const PRINTED: &str = r#"   Compiling modb-net v0.1.0
{"reason":"compiler-artifact","package_id":"path+file:///w/modb-net#0.1.0","manifest_path":"/w/modb-net/Cargo.toml","target":{"kind":["lib"],"crate_types":["lib"],"name":"modb_net","src_path":"/w/modb-net/src/lib.rs","edition":"2024","doc":true,"doctest":true,"test":true},"profile":{"opt_level":"0","debuginfo":1,"debug_assertions":true,"overflow_checks":true,"test":false},"features":[],"filenames":["/w/libmodb_net.rlib"],"executable":null,"fresh":true}
{"reason":"compiler-artifact","package_id":"path+file:///w/modb-net#0.1.0","manifest_path":"C:\\w\\modb-net\\Cargo.toml","target":{"kind":["test"],"crate_types":["bin"],"name":"faults","src_path":"/w/modb-net/tests/faults/main.rs","edition":"2024","doc":false,"doctest":false,"test":true},"profile":{"opt_level":"0","debuginfo":1,"debug_assertions":true,"overflow_checks":true,"test":true},"features":[],"filenames":["C:\\w\\faults.exe"],"executable":"C:\\w\\faults.exe","fresh":false}
{"reason":"build-finished","success":true}
"#;

    #[test]
    fn a_program_of_a_package_that_has_tests_is_not_its_test() {
        let program = PRINTED.replace("\"test\":true},\"features\"", "\"test\":false},\"features\"");
        assert!(program != PRINTED && !programs(&program)[0].is_test);
    }

    #[test]
    fn programs_are_found_and_what_is_none_is_left_out() {
        let found = programs(PRINTED);
        let [only] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!((only.kind.as_str(), only.name.as_str(), only.is_test), ("test", "faults", true));
        assert_eq!(only.program, Path::new("C:\\w\\faults.exe"));
    }
}
