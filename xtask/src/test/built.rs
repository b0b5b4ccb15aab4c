//! The test programs of a platform, as one call of cargo has built them, and how each is started.
//!
//! Invariant: every program is one of [`Built::units`] or one of [`Built::integration`].

use crate::artifacts::Artifact;
use crate::process;
use crate::windows::Kit;

use super::jobs::Job;

/// The package whose tests start servers, clients and whatever else there is.
const INTEGRATION: &str = "tests";

/// Measures how soon an honest client is served.
const QUIET: &str = "it";

/// What was built.
pub(super) struct Built<'k> {
    pub(super) programs: Vec<Artifact>,
    /// What runs programs for Windows, if they are.
    pub(super) kit: Option<&'k Kit>,
}

impl Built<'_> {
    /// The tests that stand beside the code.
    pub(super) fn units(&self) -> Vec<Job> {
        self.jobs(|program| !is_integration(program))
    }

    /// The tests that start programs.
    pub(super) fn integration(&self) -> Vec<Job> {
        self.jobs(is_integration)
    }

    /// The one of a name.
    pub(super) fn named(&self, name: &str) -> Vec<Job> {
        self.jobs(|program| program.name == name)
    }

    fn jobs(&self, is_wanted: impl Fn(&Artifact) -> bool) -> Vec<Job> {
        let wanted = self.programs.iter().filter(|program| program.is_test && is_wanted(program));
        wanted.map(|program| self.job(program)).collect()
    }

    /// As cargo starts it: in the folder of its package.
    fn job(&self, program: &Artifact) -> Job {
        let mut command = match self.kit {
            Some(kit) => kit.program(&program.program),
            None => process::command(&program.program),
        };
        command.current_dir(&program.package);
        let package = program.package.file_name().unwrap_or_default().to_string_lossy();
        let name = match program.kind.as_str() {
            _ if is_integration(program) => program.name.clone(),
            "test" => format!("{package} {}", program.name),
            kind => format!("{package} {kind}"),
        };
        // One thread of Wine's server serves all programs: what opens thousands of sockets keeps all others waiting.
        let is_alone = self.kit.is_some() || program.name == QUIET;
        Job { name, command, is_alone }
    }
}

fn is_integration(program: &Artifact) -> bool {
    program.kind == "test" && program.package.ends_with(INTEGRATION)
}
