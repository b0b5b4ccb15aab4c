//! The link shortener over fjall, for `cargo xtask embedder`: the program of `modb-server/examples/shortener.rs`, less `serve`.

use std::error::Error;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Mutex;

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let [folder, command @ ..] = &words[..] else { return Err("the folder is missing".into()) };
    let database = Database::builder(folder).open()?;
    let shortener = Shortener {
        links: database.keyspace("links", KeyspaceCreateOptions::default)?,
        visits: database.keyspace("visits", KeyspaceCreateOptions::default)?,
        changing: Mutex::default(),
    };
    match command {
        ["add", url] => println!("{}", shortener.add(url)?),
        ["open", code] => println!("{}", shortener.open(code)?.ok_or("there is no such link")?),
        ["list"] => shortener.list()?,
        _ => return Err("add URL, open CODE or list".into()),
    }
    Ok(database.persist(PersistMode::SyncAll)?)
}

struct Shortener {
    links: Keyspace,
    visits: Keyspace,
    /// Reads that a write depends on.
    changing: Mutex<()>,
}

impl Shortener {
    fn add(&self, url: &str) -> Result<String, Box<dyn Error>> {
        let _alone = self.changing.lock().map_err(|_| "a thread panicked")?;
        loop {
            let code = code();
            if self.links.get(&code)?.is_none() {
                self.links.insert(&code, url)?;
                return Ok(code);
            }
        }
    }

    fn open(&self, code: &str) -> Result<Option<String>, Box<dyn Error>> {
        let _alone = self.changing.lock().map_err(|_| "a thread panicked")?;
        let Some(url) = self.links.get(code)? else { return Ok(None) };
        let before = self.count(code.as_bytes())?;
        self.visits.insert(code, (before + 1).to_be_bytes())?;
        Ok(Some(String::from_utf8(url.to_vec())?))
    }

    fn count(&self, code: &[u8]) -> Result<u64, Box<dyn Error>> {
        Ok(self.visits.get(code)?.map_or(Ok(0), |count| count[..].try_into().map(u64::from_be_bytes))?)
    }

    fn list(&self) -> Result<(), Box<dyn Error>> {
        for link in self.links.iter() {
            let (code, url) = link.into_inner()?;
            let count = self.count(&code)?;
            println!("{}  {count}  {}", String::from_utf8_lossy(&code), String::from_utf8_lossy(&url));
        }
        Ok(())
    }
}

fn code() -> String {
    let mut random = RandomState::new().hash_one(0);
    let mut letter = || {
        let letter = b"0123456789abcdefghijklmnopqrstuvwxyz"[(random % 36) as usize];
        random /= 36;
        char::from(letter)
    };
    (0..6).map(|_| letter()).collect()
}
