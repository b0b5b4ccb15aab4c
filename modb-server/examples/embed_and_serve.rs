//! A program that uses a database and serves it to Redis clients at the same time:
//! `cargo run -p modb-server --example embed_and_serve`, then `redis-cli -p PORT GET ticks`.

use std::time::Duration;

use modb_server::{Durability, Options, Server};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let database = Options::temporary().durability(Durability::Always).cache_mb(64).open()?;
    let server = Server::bind(&database, "127.0.0.1:0".parse()?)?;
    println!("serving on {}; SHUTDOWN from a client ends it", server.local_addrs()[0]);

    let ticking = database.clone();
    std::thread::spawn(move || {
        // Ends with the database: then every call is an error.
        while ticking.increment("ticks", 1).is_ok() {
            std::thread::sleep(Duration::from_secs(1));
        }
    });

    server.join()?;
    database.close()?;
    Ok(())
}
