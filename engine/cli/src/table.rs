//! Columns that are as wide as what is in them.

use crate::paint::Paint;

/// Rows below a line of titles. The last column may be of any length.
pub(crate) fn table<const COLUMNS: usize>(
    titles: [&str; COLUMNS],
    rows: &[[String; COLUMNS]],
    paint: Paint,
) -> String {
    let titles = titles.map(str::to_owned);
    let width = |column: usize| {
        let cells = rows.iter().chain([&titles]);
        cells.map(|row| row[column].chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..COLUMNS).map(width).collect();
    let line = |row: &[String; COLUMNS]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let mut text = paint.faint(&line(&titles)) + "\n";
    rows.iter().for_each(|row| text += &(line(row) + "\n"));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_they_must_be() {
        let rows = [["v1", "a"].map(str::to_owned), ["v10", ""].map(str::to_owned)];
        let text = table(["NO", "WHAT"], &rows, Paint::Plain);
        assert_eq!(text, "NO   WHAT\nv1   a\nv10\n");
    }
}
