//! Amounts of memory, as they are written in a configuration. Pure.

/// Bytes, as Redis reads amounts of memory: `1k` is 1,000 and `1kb` is 1,024.
pub(super) fn memory(value: &str) -> Option<i64> {
    let digits = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
    let unit = match value[digits..].to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" => 1000,
        "kb" => 1 << 10,
        "m" => 1_000_000,
        "mb" => 1 << 20,
        "g" => 1_000_000_000,
        "gb" => 1 << 30,
        _ => return None,
    };
    value[..digits].parse::<i64>().ok()?.checked_mul(unit)
}
