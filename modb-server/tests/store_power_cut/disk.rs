//! A disk that plays a trace and can lose power after any event: what was synced is there, of the rest any part.
//!
//! The model is as unkind as POSIX allows. Bytes written after a file's last sync may be there or not, sector by sector, in any order;
//! so may its new size; a name made, moved or removed after the folder's last sync may be there or not, whatever
//! happened to the file behind it. A sync counts for what was done before it began, once it has ended. Only
//! this is kept together: one sector, and both ends of a move.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use bytes::Bytes;

use super::random::Random;
use super::trace::What;

const SECTOR_BYTES: usize = 512;

type NodeId = usize;
type Names = BTreeMap<String, NodeId>;

/// A change of a file that is not synced yet.
enum Change {
    Size(usize),
    Bytes { at: usize, bytes: Bytes },
    Zeros { at: usize, length: usize },
}

/// A change of a folder's names that is not synced yet.
enum NameChange {
    Link { name: String, node: NodeId },
    Move { from: String, to: String, node: NodeId },
    Unlink { name: String },
}

enum Node {
    File { synced: Vec<u8>, unsynced: Vec<Change> },
    Folder { synced: Names, unsynced: Vec<NameChange>, now: Names },
}

/// How much of what was not synced a power cut leaves.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Left {
    /// Nothing: the disk did only what it had to.
    Nothing,
    /// Everything: no more than the process ended.
    Everything,
    /// All bytes, no names.
    BytesOnly,
    /// All names and no bytes: new files are there and empty.
    NamesOnly,
    /// For each file and folder something else: nothing, all, all up to a torn change, or any part.
    AnyPart,
}

/// What one file or folder keeps.
enum Fate {
    Nothing,
    All,
    UpTo(usize),
    AnyPart,
}

/// The files below the root, as the process sees them and as the platters have them.
pub(crate) struct Disk {
    nodes: Vec<Node>,
    by_inode: HashMap<u64, NodeId>,
    /// How many changes of the node were made before a sync that is under way began.
    syncs: HashMap<u64, (NodeId, usize)>,
    /// Changes of each node that were synced and are in `unsynced` no more.
    done: HashMap<NodeId, usize>,
}

const ROOT: NodeId = 0;

impl Disk {
    /// What lies below `root` now, all of it synced.
    pub(crate) fn of(root: &Path) -> Self {
        let mut disk =
            Self { nodes: Vec::new(), by_inode: HashMap::new(), syncs: HashMap::new(), done: HashMap::new() };
        disk.load(root);
        disk
    }

    fn load(&mut self, path: &Path) -> NodeId {
        let inode = fs::metadata(path).expect("it is there").ino();
        if !path.is_dir() {
            let synced = fs::read(path).expect("readable");
            return self.add(inode, Node::File { synced, unsynced: Vec::new() });
        }
        let folder = self.add(inode, new_folder());
        for entry in fs::read_dir(path).expect("readable") {
            let entry = entry.expect("readable");
            let node = self.load(&entry.path());
            let name = entry.file_name().into_string().expect("the store's names are ASCII");
            let Node::Folder { synced, now, .. } = &mut self.nodes[folder] else { continue };
            now.insert(name.clone(), node);
            synced.insert(name, node);
        }
        folder
    }

    fn add(&mut self, inode: u64, node: Node) -> NodeId {
        self.nodes.push(node);
        let id = self.nodes.len() - 1;
        self.by_inode.insert(inode, id);
        id
    }

    /// Plays one event.
    pub(crate) fn play(&mut self, what: &What) {
        match what {
            What::Create { path, inode } => {
                let node = self.add(*inode, Node::File { synced: Vec::new(), unsynced: Vec::new() });
                self.link(path, node);
            }
            What::MakeFolder { path, inode } => {
                let node = self.add(*inode, new_folder());
                self.link(path, node);
            }
            What::Truncate { inode, size } => self.change(*inode, Change::Size(index(*size))),
            What::Write { inode, at, bytes } => {
                self.change(*inode, Change::Bytes { at: index(*at), bytes: bytes.clone() });
            }
            What::Zeros { inode, at, length } => {
                self.change(*inode, Change::Zeros { at: index(*at), length: index(*length) });
            }
            What::Rename { from, to } => {
                let (folder, from) = self.place(from);
                let (to_folder, to) = self.place(to);
                assert_eq!(
                    folder, to_folder,
                    "a move between folders is two changes, which are not modelled"
                );
                self.change_name(folder, |now| {
                    let node = now.remove(&from).expect("it was there");
                    now.insert(to.clone(), node);
                    NameChange::Move { from, to, node }
                });
            }
            What::Unlink { path } => {
                let (folder, name) = self.place(path);
                self.change_name(folder, |now| {
                    now.remove(&name).expect("it was there");
                    NameChange::Unlink { name }
                });
            }
            What::SyncBegin { inode, sync } => {
                let node = self.by_inode[inode];
                let unsynced = match &self.nodes[node] {
                    Node::File { unsynced, .. } => unsynced.len(),
                    Node::Folder { unsynced, .. } => unsynced.len(),
                };
                let made = self.done.get(&node).copied().unwrap_or(0) + unsynced;
                self.syncs.insert(*sync, (node, made));
            }
            What::SyncEnd { sync } => {
                let (node, made) = self.syncs.remove(sync).expect("it began");
                let done = self.done.entry(node).or_default();
                let count = made.saturating_sub(*done);
                *done += count;
                match &mut self.nodes[node] {
                    Node::File { synced, unsynced } => {
                        unsynced.drain(..count).for_each(|change| change.apply(synced));
                    }
                    Node::Folder { synced, unsynced, .. } => {
                        unsynced.drain(..count).for_each(|change| change.apply(synced));
                    }
                }
            }
        }
    }

    fn change(&mut self, inode: u64, change: Change) {
        match &mut self.nodes[self.by_inode[&inode]] {
            Node::File { unsynced, .. } => unsynced.push(change),
            Node::Folder { .. } => panic!("the bytes of a folder"),
        }
    }

    /// The folder in which a path's last name is, and that name.
    fn place(&self, path: &str) -> (NodeId, String) {
        let mut folder = ROOT;
        let mut names = path.split('/').peekable();
        while let Some(name) = names.next() {
            if names.peek().is_none() {
                return (folder, name.to_owned());
            }
            let Node::Folder { now, .. } = &self.nodes[folder] else { panic!("{path}: not a folder") };
            folder = now[name];
        }
        panic!("an empty path");
    }

    fn link(&mut self, path: &str, node: NodeId) {
        let (folder, name) = self.place(path);
        self.change_name(folder, |now| {
            now.insert(name.clone(), node);
            NameChange::Link { name, node }
        });
    }

    fn change_name(&mut self, folder: NodeId, change: impl FnOnce(&mut Names) -> NameChange) {
        let Node::Folder { unsynced, now, .. } = &mut self.nodes[folder] else { panic!("not a folder") };
        unsynced.push(change(now));
    }

    /// Writes into the new folder `target` what a power cut now leaves of the folder `name` in the root. If its name
    /// is lost, nothing is written.
    pub(crate) fn cut(&self, name: &str, left: Left, random: &mut Random, target: &Path) {
        if let Some(node) = self.names_after_cut(ROOT, left, random).get(name) {
            self.write_node(*node, left, random, target);
        }
    }

    fn write_node(&self, node: NodeId, left: Left, random: &mut Random, target: &Path) {
        match &self.nodes[node] {
            Node::Folder { .. } => {
                fs::create_dir(target).expect("a new folder");
                for (name, node) in self.names_after_cut(node, left, random) {
                    self.write_node(node, left, random, &target.join(name));
                }
            }
            Node::File { synced, unsynced } => {
                let fate = left.of_bytes(unsynced.len(), random);
                let mut bytes = synced.clone();
                for (n, change) in unsynced.iter().enumerate() {
                    match fate {
                        Fate::Nothing => break,
                        Fate::UpTo(last) if n > last => break,
                        Fate::UpTo(last) if n == last => change.apply_torn(&mut bytes, random),
                        Fate::UpTo(_) | Fate::All => change.apply(&mut bytes),
                        Fate::AnyPart => change.apply_torn(&mut bytes, random),
                    }
                }
                if matches!(fate, Fate::AnyPart) && random.below(2) == 0 {
                    // The size got there, the bytes did not.
                    let end = unsynced.iter().map(Change::end).max().unwrap_or(0);
                    bytes.resize(end.max(bytes.len()), 0);
                }
                write_sparse(target, &bytes);
            }
        }
    }

    fn names_after_cut(&self, folder: NodeId, left: Left, random: &mut Random) -> Names {
        let Node::Folder { synced, unsynced, .. } = &self.nodes[folder] else { panic!("not a folder") };
        let fate = left.of_names(unsynced.len(), random);
        let mut names = synced.clone();
        for (n, change) in unsynced.iter().enumerate() {
            let survives = match fate {
                Fate::Nothing => false,
                Fate::All => true,
                Fate::UpTo(last) => n < last,
                Fate::AnyPart => random.below(2) == 0,
            };
            if survives {
                change.apply(&mut names);
            }
        }
        names
    }
}

impl Left {
    fn of_bytes(self, changes: usize, random: &mut Random) -> Fate {
        match self {
            Self::Nothing | Self::NamesOnly => Fate::Nothing,
            Self::Everything | Self::BytesOnly => Fate::All,
            Self::AnyPart => Fate::any(changes, random),
        }
    }

    fn of_names(self, changes: usize, random: &mut Random) -> Fate {
        match self {
            Self::Nothing | Self::BytesOnly => Fate::Nothing,
            Self::Everything | Self::NamesOnly => Fate::All,
            Self::AnyPart => Fate::any(changes, random),
        }
    }
}

impl Fate {
    fn any(changes: usize, random: &mut Random) -> Self {
        match random.below(4) {
            0 => Self::Nothing,
            1 => Self::All,
            2 => Self::UpTo(random.below(changes as u64 + 1) as usize),
            _ => Self::AnyPart,
        }
    }
}

impl Change {
    fn end(&self) -> usize {
        match self {
            Self::Size(size) => *size,
            Self::Bytes { at, bytes } => at + bytes.len(),
            Self::Zeros { at, length } => at + length,
        }
    }

    fn apply(&self, file: &mut Vec<u8>) {
        match self {
            Self::Size(size) => file.resize(*size, 0),
            Self::Bytes { at, bytes } => room(file, *at, bytes.len()).copy_from_slice(bytes),
            Self::Zeros { at, length } => room(file, *at, *length).fill(0),
        }
    }

    /// Any part of it, sector by sector.
    fn apply_torn(&self, file: &mut Vec<u8>, random: &mut Random) {
        let (at, length) = match self {
            Self::Size(_) => {
                if random.below(2) == 0 {
                    self.apply(file);
                }
                return;
            }
            Self::Bytes { at, bytes } => (*at, bytes.len()),
            Self::Zeros { at, length } => (*at, *length),
        };
        // Long runs of one fate and short ones: a torn end, holes, and single sectors.
        let end = at + length;
        let mut from = at;
        while from < end {
            let scale = random.below(8);
            let sectors = 1 + random.below(1 << scale) as usize;
            let upto = ((from / SECTOR_BYTES + sectors) * SECTOR_BYTES).min(end);
            if random.below(2) == 0 {
                let part = room(file, from, upto - from);
                match self {
                    Self::Bytes { bytes, .. } => part.copy_from_slice(&bytes[from - at..upto - at]),
                    _ => part.fill(0),
                }
            }
            from = upto;
        }
    }
}

impl NameChange {
    fn apply(&self, names: &mut Names) {
        match self {
            Self::Link { name, node } => drop(names.insert(name.clone(), *node)),
            Self::Move { from, to, node } => {
                names.remove(from);
                names.insert(to.clone(), *node);
            }
            Self::Unlink { name } => drop(names.remove(name)),
        }
    }
}

fn new_folder() -> Node {
    Node::Folder { synced: Names::new(), unsynced: Vec::new(), now: Names::new() }
}

fn index(offset: u64) -> usize {
    usize::try_from(offset).expect("files fit into memory")
}

/// The part of a file that a write goes to; the file grows to hold it.
fn room(file: &mut Vec<u8>, at: usize, length: usize) -> &mut [u8] {
    if file.len() < at + length {
        file.resize(at + length, 0);
    }
    &mut file[at..at + length]
}

/// Log files are mostly zeros.
fn write_sparse(path: &Path, bytes: &[u8]) {
    const PIECE: usize = 64 << 10;
    static ZEROS: [u8; PIECE] = [0; PIECE];
    let mut file = File::create_new(path).expect("a new file");
    file.set_len(bytes.len() as u64).expect("a size");
    for (n, piece) in bytes.chunks(PIECE).enumerate() {
        if *piece != ZEROS[..piece.len()] {
            file.seek(SeekFrom::Start((n * PIECE) as u64)).expect("seekable");
            file.write_all(piece).expect("written");
        }
    }
}
