//! Opening a store: the one place that knows every engine.

use std::sync::Arc;

#[cfg(feature = "fjall")]
use super::fjall::FjallStore;
use super::log::LogStore;
use super::memory::MemoryStore;
use super::options::{EngineKind, OpenOptions};
use super::whose::explained;
use super::{Store, StoreError};

/// Opens or creates the store.
///
/// # Errors
/// The folder is taken, unreadable, of another format or engine, or damaged.
pub fn open(options: &OpenOptions) -> Result<Arc<dyn Store>, StoreError> {
    open_engine(options).map_err(|error| explained(error, &options.folder))
}

fn open_engine(options: &OpenOptions) -> Result<Arc<dyn Store>, StoreError> {
    Ok(match options.engine {
        EngineKind::Log => Arc::new(LogStore::open(options)?),
        #[cfg(feature = "fjall")]
        EngineKind::Fjall => Arc::new(FjallStore::open(options)?),
        #[cfg(not(feature = "fjall"))]
        EngineKind::Fjall => {
            return Err(StoreError::Unsupported("this build has no storage engine but Modb's own"));
        }
        EngineKind::Memory => Arc::new(MemoryStore::new()),
    })
}
