//! `cargo xtask setup`: installs what the tests need and says what; asks nothing.

use crate::process::Result;
use crate::windows::{StdLibrary, Wine};

pub(crate) fn command(_args: &[String]) -> Result<()> {
    match StdLibrary::installed()? {
        Some(library) => println!("setup: the Windows library is {}", library.describe()),
        None => {
            if !StdLibrary::add_with_rustup() {
                StdLibrary::build_from_debian()?;
            }
        }
    }
    Wine::prepare()?;
    if let Some(wine) = Wine::installed()? {
        println!("setup: Windows programs run in {}", wine.describe());
    }
    Ok(())
}
