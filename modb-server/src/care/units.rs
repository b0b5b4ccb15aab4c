//! Sizes in units of people. Pure.

/// `17 bytes`, `1.5 KiB`, `120.0 MiB`.
pub(super) fn size(bytes: u64) -> String {
    let units = [("TiB", 1_u64 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match units.into_iter().find(|(_, size)| bytes >= *size) {
        Some((unit, size)) => format!("{:.1} {unit}", bytes as f64 / size as f64),
        None => format!("{bytes} bytes"),
    }
}

/// What a compaction did to a folder of these sizes; `log_bytes` of what is left are files of the log.
pub(super) fn compacted(before: u64, after: u64, log_bytes: u64) -> String {
    let change = match before.checked_sub(after) {
        Some(0) => "nothing to give back".to_owned(),
        Some(less) => format!("{} given back", size(less)),
        None => format!("nothing to give back, it grew by {}", size(after - before)),
    };
    let log = match log_bytes {
        0 => String::new(),
        bytes => format!("; {} of it are files of the log, which are used again", size(bytes)),
    };
    format!("{} before, {} now: {change}{log}", size(before), size(after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_the_largest_unit_that_fits() {
        let sizes = [0, 1023, 1024, 1536, 120 << 20, 3 << 30, 1 << 40].map(size);
        let expected = ["0 bytes", "1023 bytes", "1.0 KiB", "1.5 KiB", "120.0 MiB", "3.0 GiB", "1.0 TiB"];
        assert_eq!(sizes, expected);
    }

    #[test]
    fn a_folder_that_grew_or_gave_back_nothing_is_not_passed_over_in_silence() {
        assert_eq!(compacted(3 << 20, 1 << 20, 0), "3.0 MiB before, 1.0 MiB now: 2.0 MiB given back");
        assert_eq!(compacted(5, 5, 0), "5 bytes before, 5 bytes now: nothing to give back");
        assert_eq!(
            compacted(5, 4101, 4096),
            "5 bytes before, 4.0 KiB now: nothing to give back, it grew by 4.0 KiB; 4.0 KiB of it are files of \
             the log, which are used again"
        );
    }
}
