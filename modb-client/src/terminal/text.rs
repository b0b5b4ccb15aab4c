//! Text in lines of a given width. Pure.

use super::Charset;

/// Blocks that fill a character from the left, in eighths.
const LEFT_EIGHTHS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];

/// A bar that is `share` (0 to 1) of `width` characters long, not padded. What is not nothing is seen.
pub fn bar(share: f64, width: usize, charset: Charset) -> String {
    let share = share.clamp(0.0, 1.0);
    let parts = match charset {
        Charset::Unicode => 8,
        Charset::Ascii => 1,
    };
    let filled = (share * (width * parts) as f64).round() as usize;
    let filled = if share > 0.0 { filled.max(1) } else { 0 };
    let full = match charset {
        Charset::Unicode => "█",
        Charset::Ascii => "#",
    };
    let mut text = full.repeat(filled / parts);
    if filled % parts > 0 {
        text.push(LEFT_EIGHTHS[filled % parts]);
    }
    text
}

/// The first `width` characters of a line.
pub fn cut(line: &str, width: usize) -> &str {
    line.char_indices().nth(width).map_or(line, |(end, _)| &line[..end])
}

/// The words of `text` in lines of at most `width` characters, unless one word is longer. Its own line ends and what is
/// indented stay as they are.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        if paragraph.starts_with(' ') {
            lines.push(paragraph.to_owned());
            continue;
        }
        let mut line = String::new();
        for word in paragraph.split_whitespace() {
            if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    lines
}

/// What `name` means, wrapped from column `at` on: beside the name, or below it if that is too long.
pub fn explained(name: &str, meaning: &str, at: usize, width: usize) -> Vec<String> {
    let mut lines = vec![name.to_owned()];
    for (number, line) in wrap(meaning, width - at).into_iter().enumerate() {
        let is_beside = number == 0 && name.chars().count() + 2 <= at;
        let before = if is_beside { lines.pop().unwrap_or_default() } else { String::new() };
        lines.push(format!("{before:at$}{line}"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_grow_by_eighths_and_never_vanish() {
        let of = |share| bar(share, 10, Charset::Unicode);
        assert_eq!([of(0.0), of(0.001), of(0.25)], ["", "▏", "██▌"]);
        assert_eq!(of(1.0).chars().count(), 10);
        assert_eq!(bar(0.26, 10, Charset::Ascii), "###");
        assert_eq!(bar(0.001, 10, Charset::Ascii), "#");
    }

    #[test]
    fn lines_break_between_words_and_what_is_indented_stays() {
        assert_eq!(
            wrap("one two three\n  as it is here\nlast", 8),
            ["one two", "three", "  as it is here", "last"]
        );
        assert_eq!(wrap("extraordinarily long", 4), ["extraordinarily", "long"]);
        assert_eq!(cut("größe", 3), "grö");
        assert_eq!(cut("a", 3), "a");
    }
}
