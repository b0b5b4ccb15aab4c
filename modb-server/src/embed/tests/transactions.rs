//! Transactions of a client in this process, beside typed calls.

use super::*;

#[test]
fn a_client_in_this_process_has_transactions_which_typed_calls_break() {
    let database = in_memory();
    let mut client = database.client().unwrap();
    let mut ask = |line: &str| client.run(line.split(' ').collect::<Vec<_>>()).unwrap();
    let ok = || Reply::Simple(b"OK".to_vec());
    let queued = || Reply::Simple(b"QUEUED".to_vec());
    for (line, reply) in [
        ("MULTI", ok()),
        ("INCR n", queued()),
        ("INCR n", queued()),
        ("BLPOP none 0", queued()),
        ("EXEC", Reply::Array(vec![Reply::Integer(1), Reply::Integer(2), Reply::Null])),
    ] {
        assert_eq!(ask(line), reply, "{line}");
    }
    assert_eq!(database.get("n").unwrap().unwrap(), b"2");

    let changes: [&dyn Fn(); 3] =
        [&|| database.set("n", "7").unwrap(), &|| assert!(database.delete("n").unwrap()), &|| {
            database.update(&["n"], |keys| keys.increment("n", 1)).unwrap();
        }];
    for change in changes {
        assert_eq!(ask("WATCH n"), ok());
        change();
        assert_eq!((ask("MULTI"), ask("SET n lost"), ask("EXEC")), (ok(), queued(), Reply::Null));
    }
    assert_eq!(ask("WATCH n"), ok());
    database.set("other", "1").unwrap();
    assert_eq!((ask("MULTI"), ask("EXEC")), (ok(), Reply::Array(vec![])));
    // What is queued goes with the client.
    for line in ["WATCH n", "MULTI", "SET n 9"] {
        ask(line);
    }
    drop(client);
    assert_eq!(database.get("n").unwrap().unwrap(), b"1");
}
