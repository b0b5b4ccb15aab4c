//! A link shortener that keeps its links in Modb, small and whole, and lets Redis clients look:
//!
//! ```console
//! $ cargo run -p modb-server --example shortener -- links add https://example.org/a/long/way
//! 7xq1mz
//! $ cargo run -p modb-server --example shortener -- links open 7xq1mz
//! https://example.org/a/long/way
//! $ cargo run -p modb-server --example shortener -- links list
//! 7xq1mz  1  https://example.org/a/long/way
//! $ cargo run -p modb-server --example shortener -- links serve 127.0.0.1:6380
//! ```
//!
//! It was written from the documentation alone; `cargo xtask embedder` builds it beside the same program over redb and fjall.

use std::error::Error;
use std::hash::{BuildHasher as _, RandomState};

use modb_server::{Database, Keyspace, Server};

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let [folder, command @ ..] = &words[..] else { return Err("the folder is missing".into()) };
    let database = Database::open(folder)?;
    let shortener = Shortener { links: database.keyspace(0)?, visits: database.keyspace(1)? };
    match command {
        ["add", url] => println!("{}", shortener.add(url)?),
        ["open", code] => println!("{}", shortener.open(code)?.ok_or("there is no such link")?),
        ["list"] => shortener.list()?,
        ["serve", addr] => Server::bind(&database, addr.parse()?)?.join()?,
        _ => return Err("add URL, open CODE, list or serve ADDRESS".into()),
    }
    Ok(database.close()?)
}

struct Shortener {
    links: Keyspace,
    visits: Keyspace,
}

impl Shortener {
    /// A new code that leads to `url`.
    fn add(&self, url: &str) -> Result<String, modb_server::Error> {
        loop {
            let code = code();
            if self.links.set_if_absent(&code, url)? {
                return Ok(code);
            }
        }
    }

    /// Where a code leads; counted.
    fn open(&self, code: &str) -> Result<Option<String>, modb_server::Error> {
        let Some(url) = self.links.get(code)? else { return Ok(None) };
        self.visits.increment(code, 1)?;
        Ok(Some(url.to_string()))
    }

    fn list(&self) -> Result<(), modb_server::Error> {
        for code in self.links.keys() {
            let code = code?;
            let visits = self.visits.get(&code)?.unwrap_or("0".into());
            if let Some(url) = self.links.get(&code)? {
                println!("{code}  {visits}  {url}");
            }
        }
        Ok(())
    }
}

/// Six letters and digits, from the randomness of the standard library.
fn code() -> String {
    let mut random = RandomState::new().hash_one(0);
    let mut letter = || {
        let letter = b"0123456789abcdefghijklmnopqrstuvwxyz"[(random % 36) as usize];
        random /= 36;
        char::from(letter)
    };
    (0..6).map(|_| letter()).collect()
}
