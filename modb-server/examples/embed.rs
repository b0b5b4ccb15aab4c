//! Modb inside a program, without a network: `cargo run -p modb-server --example embed`.

use std::time::Duration;

use modb_server::Database;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // A folder that is removed at the end; `Database::open("data")` keeps its own.
    let database = Database::temporary()?;

    // Typed calls. Each returns when what it wrote is as safe as the durability mode promises.
    let visits = database.increment("visits", 1)?;
    println!("this database was visited {visits} times");

    // Several keys at once: nobody sees half of it, and it is one commit.
    database.update(&["balance:ann", "balance:bob"], |keys| {
        keys.increment("balance:ann", -10)?;
        keys.increment("balance:bob", 10)
    })?;

    // Another of the 16 keyspaces, and keys that expire.
    let sessions = database.keyspace(1)?;
    sessions.set_for("session:1", "ann", Duration::from_secs(60))?;
    for key in sessions.keys() {
        println!("a session: {}", key?);
    }

    // Any other command, by its words.
    let mut client = database.client()?;
    println!("visits is a {}", client.run(["TYPE", "visits"])?);

    // Dropping the last handle does the same, but cannot say what went wrong.
    database.close()?;
    Ok(())
}
