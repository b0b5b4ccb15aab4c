//! The program's log: one line per event on standard error, in words or as JSON.
//!
//! The program's, not the library's: whoever embeds Modb installs a subscriber of their own for the same `tracing` events.
//! Invariants: a line is one write and holds no control characters, whatever a client sent that it repeats; a log that
//! cannot be written, or that nobody reads, stops nothing and holds nobody up (`writer`).

mod writer;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::fmt::{self, Write as _};
use std::io;
use std::panic::PanicHookInfo;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};

use self::writer::Writer;
use crate::output::in_plain_words;

/// How long the end of the process waits for a reader that has stopped.
const PATIENCE: Duration = Duration::from_secs(1);

/// The writer of this process, which has one standard error.
static WRITER: OnceLock<Writer> = OnceLock::new();

/// How lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `2026-11-27T04:14:18.123Z warning: text name=value`.
    Text,
    /// `{"time":"2026-11-27T04:14:18.123Z","level":"warning","message":"text","name":"value"}`.
    Json,
}

/// The log of this process, once it is started.
#[derive(Clone)]
pub struct Log {
    /// One of [`LEVELS`].
    level: Arc<AtomicU8>,
    format: Format,
    writer: Writer,
}

/// Waits until all that was logged is written, but no longer than a second: for the moment before the process ends, and for
/// whoever says something elsewhere that is to stand behind it.
pub fn flush() {
    if let Some(writer) = WRITER.get() {
        writer.flush(PATIENCE);
    }
}

/// What `loglevel` takes, from the quietest on, with the least of what is logged.
const LEVELS: [(&str, LevelFilter); 5] = [
    ("nothing", LevelFilter::OFF),
    ("warning", LevelFilter::WARN),
    ("notice", LevelFilter::INFO),
    ("verbose", LevelFilter::DEBUG),
    ("debug", LevelFilter::TRACE),
];

impl Log {
    /// Logs from now on what `loglevel` says, and every panic. Does nothing but set the level if the process has a log
    /// already.
    ///
    /// # Errors
    /// If there can be no thread that writes.
    pub fn start(level: &str, format: Format) -> io::Result<Self> {
        let note = move |lost| {
            let text = format!(
                "{lost} lines of the log are missing here: they could not be written as fast as they came"
            );
            Line::of(text).print(format, &Level::WARN, SystemTime::now())
        };
        let writer = match WRITER.get() {
            Some(writer) => writer.clone(),
            None => WRITER
                .get_or_init({
                    let writer = Writer::start(io::stderr(), note)?;
                    || writer
                })
                .clone(),
        };
        let log = Self { level: Arc::new(AtomicU8::new(0)), format, writer };
        log.set_level(level);
        if tracing::subscriber::set_global_default(log.clone()).is_ok() {
            let panics = log.clone();
            // The standard library's own message would wait for the reader.
            std::panic::set_hook(Box::new(move |info| panics.say(&Level::ERROR, Line::of(of_panic(info)))));
        }
        Ok(log)
    }

    /// Changes what is logged.
    pub fn set_level(&self, level: &str) {
        let at = LEVELS.iter().position(|(name, _)| *name == level).unwrap_or(0);
        self.level.store(at as u8, Ordering::Relaxed);
        tracing::callsite::rebuild_interest_cache();
    }

    /// Says why the process ends, whatever the level.
    pub fn fatal(&self, text: &str) {
        let line = match self.format {
            // What is a picture in several lines stays one for people.
            Format::Text if text.contains('\n') => format!("modb-server: {text}\n"),
            format => Line::of(text.to_owned()).print(format, &Level::ERROR, SystemTime::now()),
        };
        self.writer.say_at_last(line, PATIENCE);
    }

    fn say(&self, level: &Level, mut line: Line) {
        self.writer.say(line.print(self.format, level, SystemTime::now()));
    }

    fn filter(&self) -> LevelFilter {
        LEVELS[usize::from(self.level.load(Ordering::Relaxed)).min(LEVELS.len() - 1)].1
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && *metadata.level() <= self.filter()
    }

    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        // Asked anew whenever the level changes.
        if self.enabled(metadata) { Interest::always() } else { Interest::never() }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.filter())
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        self.say(event.metadata().level(), line);
    }

    // Nothing here opens spans.
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// What an event says.
#[derive(Default)]
struct Line {
    message: String,
    fields: Vec<(&'static str, Value)>,
}

enum Value {
    /// A number, true or false.
    Bare(String),
    Text(String),
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = in_plain_words(&format!("{value:?}"));
        match field.name() {
            "message" => self.message = text,
            name => self.fields.push((name, Value::Text(text))),
        }
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => value.clone_into(&mut self.message),
            name => self.fields.push((name, Value::Text(value.to_owned()))),
        }
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.fields.push((field.name(), Value::Bare(value.to_string())));
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.fields.push((field.name(), Value::Bare(value.to_string())));
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.fields.push((field.name(), Value::Bare(value.to_string())));
    }
}

/// The thread, the place and the message, and what called it where `RUST_BACKTRACE` asks for it.
fn of_panic(info: &PanicHookInfo<'_>) -> String {
    let thread = std::thread::current();
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    let payload = info.payload();
    let text = payload.downcast_ref::<&str>().copied();
    let message = text.or(payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message");
    let trace = Backtrace::capture();
    let trace =
        if trace.status() == BacktraceStatus::Captured { format!("\n{trace}") } else { String::new() };
    format!("thread '{}' panicked at {place}: {message}{trace}", thread.name().unwrap_or("without a name"))
}

impl Line {
    fn of(message: String) -> Self {
        Self { message, fields: Vec::new() }
    }

    /// With its line end.
    fn print(&mut self, format: Format, level: &Level, at: SystemTime) -> String {
        let level = match *level {
            Level::ERROR => "error",
            Level::WARN => "warning",
            Level::INFO => "notice",
            Level::DEBUG => "verbose",
            Level::TRACE => "debug",
        };
        let time = Utc(at);
        let mut line = String::new();
        match format {
            Format::Text => {
                let _ = write!(line, "{time} {level}: ");
                escape_controls(&mut line, &self.message);
                for (name, value) in &self.fields {
                    let (Value::Bare(text) | Value::Text(text)) = value;
                    let _ = write!(line, " {name}=");
                    escape_controls(&mut line, text);
                }
            }
            Format::Json => {
                let _ = write!(line, "{{\"time\":\"{time}\",\"level\":\"{level}\",\"message\":");
                json_string(&mut line, &self.message);
                for (name, value) in &self.fields {
                    let _ = write!(line, ",\"{name}\":");
                    match value {
                        Value::Bare(text) => line += text,
                        Value::Text(text) => json_string(&mut line, text),
                    }
                }
                line.push('}');
            }
        }
        line.push('\n');
        line
    }
}

fn escape_controls(line: &mut String, text: &str) {
    for c in text.chars() {
        if c.is_control() { line.extend(c.escape_default()) } else { line.push(c) }
    }
}

fn json_string(line: &mut String, text: &str) {
    line.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => line.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(line, "\\u{:04x}", u32::from(c));
            }
            c => line.push(c),
        }
    }
    line.push('"');
}

/// A time as `2026-11-27T04:14:18.123Z`.
struct Utc(SystemTime);

impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since = self.0.duration_since(UNIX_EPOCH).unwrap_or_default();
        let seconds = since.as_secs();
        let (year, month, day) = date(seconds / 86_400);
        let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
        let millis = since.subsec_millis();
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
    }
}

/// The date so many days after 1970-01-01. Years begin in March here, so that the day which some lack is the last one.
fn date(days: u64) -> (u64, u64, u64) {
    const DAYS_IN_400_YEARS: u64 = 146_097;
    let days = days + 719_468;
    let (era, day) = (days / DAYS_IN_400_YEARS, days % DAYS_IN_400_YEARS);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn printed(format: Format) -> String {
        let mut line = Line {
            message: "a \"client\"\nsaid \u{7}".into(),
            fields: vec![("left_out", Value::Bare("3".into())), ("why", Value::Text("C:\\x".into()))],
        };
        line.print(format, &Level::INFO, UNIX_EPOCH + Duration::from_millis(951_827_696_789))
    }

    #[test]
    fn a_line_is_one_line_in_words() {
        let expected = "2000-02-29T12:34:56.789Z notice: a \"client\"\\nsaid \\u{7} left_out=3 why=C:\\x\n";
        assert_eq!(printed(Format::Text), expected);
    }

    #[test]
    fn a_line_is_one_object_of_json() {
        let expected = r#"{"time":"2000-02-29T12:34:56.789Z","level":"notice","message":"a \"client\"\u000asaid \u0007","left_out":3,"why":"C:\\x"}"#;
        assert_eq!(printed(Format::Json).trim_end(), expected);
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (days, expected) in [
            (0, (1970, 1, 1)),
            (58, (1970, 2, 28)),
            (59, (1970, 3, 1)),
            (364, (1970, 12, 31)),
            (10_956, (1999, 12, 31)),
            (11_016, (2000, 2, 29)),
            (47_540, (2100, 2, 28)),
            (47_541, (2100, 3, 1)),
        ] {
            assert_eq!(date(days), expected);
        }
    }

    #[test]
    fn each_level_logs_itself_and_what_is_more_urgent() {
        let writer = Writer::start(io::sink(), |_| String::new()).unwrap();
        let log = Log { level: Arc::new(AtomicU8::new(0)), format: Format::Text, writer };
        let logged = |level: &str| {
            log.set_level(level);
            [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE]
                .map(|level| level <= log.filter())
                .iter()
                .filter(|logged| **logged)
                .count()
        };
        assert_eq!(["nothing", "warning", "notice", "verbose", "debug"].map(logged), [0, 2, 3, 4, 5]);
    }
}
