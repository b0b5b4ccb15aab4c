//! `modb-server`: configuration, start, signals, exit status.

use std::io::Write as _;
use std::process::ExitCode;

use modb_server::care;
use modb_server::config::{Settings, args};
use modb_server::database::Options;
use modb_server::server::Server;
use modb_server::sys;

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1).peekable();
    if let Some(task) = words.next_if(|word| care::TASKS.contains(&word.as_str())) {
        return ExitCode::from(care::run(&task, words));
    }
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("modb-server: {}", one_line(&*error));
            ExitCode::FAILURE
        }
    }
}

/// The error and its causes, in one line.
fn one_line(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text.replace(['\r', '\n'], " ")
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let settings = Settings::default();
    let file = match args::read(std::env::args().skip(1), &settings)? {
        args::Asked::Help => {
            print!("{}", args::help());
            return Ok(());
        }
        args::Asked::Version => {
            println!("modb-server {}", env!("CARGO_PKG_VERSION"));
            return Ok(());
        }
        args::Asked::Serve { file } => file,
    };
    log_to_stderr(&settings.get("loglevel"));
    let database = Options::from_settings(settings).open()?;
    if let Some(file) = file {
        // Just opened: nobody has set it before.
        let _ = database.instance().config_file.set(file);
    }
    let server = Server::start(&database)?;
    let shutdown = server.shutdown_handle();
    sys::on_end(move || shutdown.begin())?;
    announce(&server, &database.instance().settings)?;
    let ended = server.join();
    database.close()?;
    ended?;
    Ok(())
}

/// The start-up line, which programs that start the server read: `name=value` behind the colon, addresses with
/// commas between, the folder last because it may contain spaces.
fn announce(server: &Server, settings: &Settings) -> std::io::Result<()> {
    let addresses: Vec<String> = server.local_addrs().iter().map(ToString::to_string).collect();
    let folder = settings.get("dir");
    let folder = std::path::absolute(&folder).unwrap_or_else(|_| folder.into());
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "modb-server {} ready: listen={} workers={} durability={} store={} pid={} dir={}",
        env!("CARGO_PKG_VERSION"),
        addresses.join(","),
        server.workers(),
        settings.get("durability"),
        settings.get("store"),
        std::process::id(),
        folder.display(),
    )?;
    out.flush()
}

fn log_to_stderr(level: &str) {
    let level = match level {
        "debug" => tracing::Level::DEBUG,
        "verbose" => tracing::Level::INFO,
        "nothing" => return,
        _ => tracing::Level::WARN,
    };
    tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr).with_ansi(false).init();
}
