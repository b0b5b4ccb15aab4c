//! The seam under the log: files of one folder. The real one is here; the tests have one that loses power.
//!
//! What the log relies on, and nothing more: bytes written before a `sync` that succeeded are there after a power
//! cut; of bytes written after it any part may be, sector by sector; a name is there after `sync_names`. What another
//! process wrote and did not sync is read as if it were there, and may be gone after a power cut.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::Arc;

/// How much is zeroed per write when a file is prepared or a torn end cut off.
pub(crate) static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// The files of the log.
pub(crate) trait Disk: Send + Sync + 'static {
    /// The names of all files.
    fn list(&self) -> io::Result<Vec<String>>;
    /// Opens a file, made if it is missing.
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;
    /// Opens a file that is there, to read it.
    fn read(&self, name: &str) -> io::Result<Box<dyn DiskReader>>;
    /// Deletes a file.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes created and deleted names survive a power cut.
    fn sync_names(&self) -> io::Result<()>;
    /// Space left, in bytes.
    fn free_bytes(&self) -> io::Result<u64>;
}

/// One file. Only one thread writes at a time; a sync may run beside it.
pub(crate) trait DiskFile: Send + Sync {
    /// Writes all of `bytes` at `offset`. After an error any part of them may be there.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Makes everything written before survive a power cut.
    fn sync(&self) -> io::Result<()>;
}

/// One file that is read.
pub(crate) trait DiskReader {
    /// Its size.
    fn bytes(&self) -> io::Result<u64>;
    /// Fills `into` with what is at `offset`; says how much there is, less only at the end of the file.
    fn read_at(&mut self, offset: u64, into: &mut [u8]) -> io::Result<usize>;
}

/// Whether an error says that the disk is full.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

/// A folder of the file system.
#[derive(Debug)]
pub(crate) struct RealDisk {
    folder: PathBuf,
}

impl RealDisk {
    /// Makes the folder if it is missing.
    pub(crate) fn open(folder: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        if let Some(parent) = folder.parent() {
            crate::sys::sync_folder(parent)?;
        }
        Ok(Self { folder })
    }

    /// The folder as it is, for reading only.
    pub(crate) fn look(folder: PathBuf) -> Self {
        Self { folder }
    }
}

impl Disk for RealDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(&self.folder) {
            // Never made: a process that ended before, or a copy that has no log.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut options = File::options();
        let file = crate::sys::private(options.create(true).truncate(false).write(true))
            .open(self.folder.join(name))?;
        Ok(Arc::new(RealFile { file }))
    }

    fn read(&self, name: &str) -> io::Result<Box<dyn DiskReader>> {
        Ok(Box::new(RealFile { file: File::open(self.folder.join(name))? }))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.folder.join(name))
    }

    fn sync_names(&self) -> io::Result<()> {
        crate::sys::sync_folder(&self.folder)
    }

    fn free_bytes(&self) -> io::Result<u64> {
        crate::sys::free_bytes(&self.folder)
    }
}

struct RealFile {
    file: File,
}

impl DiskFile for RealFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut file = &self.file;
        file.seek(SeekFrom::Start(offset))?;
        file.write_all(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

impl DiskReader for RealFile {
    fn bytes(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read_at(&mut self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        self.file.seek(SeekFrom::Start(offset))?;
        let mut filled = 0;
        while filled < into.len() {
            match self.file.read(&mut into[filled..]) {
                Ok(0) => break,
                Ok(bytes) => filled += bytes,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }
}
