//! The link shortener over redb, for `cargo xtask embedder`: the program of `modb-server/examples/shortener.rs`, less `serve`.

use std::error::Error;
use std::hash::{BuildHasher as _, RandomState};

use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition};

const LINKS: TableDefinition<'_, &str, &str> = TableDefinition::new("links");
const VISITS: TableDefinition<'_, &str, u64> = TableDefinition::new("visits");

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let [file, command @ ..] = &words[..] else { return Err("the file is missing".into()) };
    let shortener = Shortener { database: Database::create(file)? };
    match command {
        ["add", url] => println!("{}", shortener.add(url)?),
        ["open", code] => println!("{}", shortener.open(code)?.ok_or("there is no such link")?),
        ["list"] => shortener.list()?,
        _ => return Err("add URL, open CODE or list".into()),
    }
    Ok(())
}

struct Shortener {
    database: Database,
}

impl Shortener {
    fn add(&self, url: &str) -> Result<String, Box<dyn Error>> {
        let write = self.database.begin_write()?;
        let code = {
            write.open_table(VISITS)?;
            let mut links = write.open_table(LINKS)?;
            loop {
                let code = code();
                if links.get(&*code)?.is_none() {
                    links.insert(&*code, url)?;
                    break code;
                }
            }
        };
        write.commit()?;
        Ok(code)
    }

    fn open(&self, code: &str) -> Result<Option<String>, Box<dyn Error>> {
        let write = self.database.begin_write()?;
        let url = {
            let links = write.open_table(LINKS)?;
            let mut visits = write.open_table(VISITS)?;
            let url = links.get(code)?.map(|url| url.value().to_owned());
            if url.is_some() {
                let before = visits.get(code)?.map_or(0, |count| count.value());
                visits.insert(code, before + 1)?;
            }
            url
        };
        write.commit()?;
        Ok(url)
    }

    fn list(&self) -> Result<(), Box<dyn Error>> {
        let read = self.database.begin_read()?;
        let (links, visits) = (read.open_table(LINKS)?, read.open_table(VISITS)?);
        for link in links.iter()? {
            let (code, url) = link?;
            let count = visits.get(code.value())?.map_or(0, |count| count.value());
            println!("{}  {count}  {}", code.value(), url.value());
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
