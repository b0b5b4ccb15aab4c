//! What Modb's command lines share: options as one table, output that may fail, the window, a progress bar.
//!
//! Hidden, since it is for Modb's own programs: `modb-client`, and `modb-server`, which depends on this crate without its
//! command for it. Invariants: nothing here prints with a macro, which would panic where nobody reads any more; nothing is
//! drawn where nobody looks; everything but `output` and `window` is pure.

pub mod bar;
pub mod completion;
mod help;
mod man;
pub mod options;
pub mod output;
mod sys;
pub mod text;
pub mod window;

pub use bar::Bar;
pub use completion::Shell;
pub use options::{Args, Given, Group, Item, Opt, Page, Program, UsageError};
pub use window::{Charset, Stream};
