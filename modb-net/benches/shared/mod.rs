//! What the benchmarks share: medians, pictures, and their part of `layer.md`.

use std::fmt::Write;
use std::io;
use std::path::Path;

pub fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

pub fn or_dash(value: Option<f64>, digits: usize) -> String {
    value.map_or("-".to_owned(), |value| format!("{value:.digits$}"))
}

pub fn or_null(value: Option<f64>) -> String {
    value.map_or("null".to_owned(), |value| format!("{value:.3}"))
}

/// One line of a picture.
pub struct Bar {
    pub name: String,
    pub value: f64,
    /// Drawn in another colour than what it is compared with.
    pub is_ours: bool,
}

/// Horizontal bars. One that would flatten all others is cut off, shown by a gap near its end; its value stands beside it.
pub fn bars(title: &str, values: &[Bar]) -> String {
    const ROW: usize = 24;
    const LABELS: usize = 260;
    const WIDTH: f64 = 380.0;
    // One outlier would flatten all others.
    let shortest = values.iter().map(|bar| bar.value).fold(f64::INFINITY, f64::min);
    let longest = values.iter().map(|bar| bar.value).fold(0.0, f64::max).min(shortest * 12.0);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"720\" height=\"{}\" font-family=\"sans-serif\" \
         font-size=\"13\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"8\" y=\"20\" font-weight=\"bold\">{title}</text>\n",
        values.len() * ROW + 40
    );
    for (row, Bar { name, value, is_ours }) in values.iter().enumerate() {
        let (y, width) = (row * ROW + 34, (value / longest).min(1.0) * WIDTH);
        let colour = if *is_ours { "#2a6f97" } else { "#a9b4c2" };
        writeln!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{name}</text>\
             <rect x=\"{LABELS}\" y=\"{y}\" width=\"{width:.1}\" height=\"16\" fill=\"{colour}\"/>\
             <text x=\"{:.1}\" y=\"{}\">{value:.1}</text>",
            LABELS - 8,
            y + 13,
            LABELS as f64 + width + 6.0,
            y + 13
        )
        .unwrap();
        if *value > longest {
            let x = LABELS as f64 + WIDTH - 24.0;
            writeln!(svg, "<path d=\"M{x:.1} {}l8 -24\" stroke=\"#fff\" stroke-width=\"4\"/>", y + 20)
                .unwrap();
        }
    }
    svg + "</svg>\n"
}

/// Replaces the part of `layer.md` in `folder` that the benchmark `name` wrote before, or adds one; what
/// others wrote stays as it is.
///
/// # Errors
/// What the file system says.
pub fn write_section(folder: &Path, name: &str, text: &str) -> io::Result<()> {
    let (begin, end) = (format!("<!-- bench {name}: begin -->"), format!("<!-- bench {name}: end -->"));
    let file = folder.join("layer.md");
    let page = match std::fs::read_to_string(&file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            "# The layer: waking loops, handing connections over\n".to_owned()
        }
        page => page?,
    };
    let (before, after) = match (page.find(&begin), page.find(&end)) {
        (Some(from), Some(to)) => (&page[..from], &page[to + end.len()..]),
        _ => (page.as_str(), "\n"),
    };
    let gap = if before.ends_with("\n\n") { "" } else { "\n" };
    std::fs::write(file, format!("{before}{gap}{begin}\n{text}\n{end}{after}"))
}
