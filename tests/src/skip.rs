//! A test that cannot run says so. It is counted as skipped by who runs the suite, never as green.

use std::fs::OpenOptions;
use std::io::Write;

/// Notes that the test `name` did not run, and why. The caller returns afterwards.
///
/// # Panics
/// If the log named by `MODB_SKIP_LOG` cannot be written: a skip that nobody sees would be a green one.
pub fn note(name: &str, reason: &str) {
    eprintln!("skipped {name}: {reason}");
    if let Some(log) = std::env::var_os("MODB_SKIP_LOG") {
        let mut file =
            OpenOptions::new().create(true).append(true).open(&log).expect("MODB_SKIP_LOG can be opened");
        // One write, so that tests that run side by side do not mix their lines.
        file.write_all(format!("{name}: {}\n", reason.replace('\n', " ")).as_bytes())
            .expect("MODB_SKIP_LOG can be written");
    }
}

/// Skips the test it stands in, with a reason: `skip!("needs {tool}")`.
#[macro_export]
macro_rules! skip {
    ($($reason:tt)*) => {{
        fn here() {}
        let name = std::any::type_name_of_val(&here);
        let name = name.strip_suffix("::here").unwrap_or(name);
        $crate::skip::note(name, &format!($($reason)*));
        return;
    }};
}
