//! What was measured, as a table for people or as JSON for programs.

use std::io::Write;

use serde_json::{Value, json};

/// A table with a title.
#[derive(Debug)]
pub(crate) struct Report {
    title: String,
    columns: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
    notes: Vec<String>,
}

/// What stands in a table.
#[derive(Debug, Clone)]
pub(crate) enum Cell {
    Text(String),
    /// One figure for each run; none where it could not be measured.
    Runs(Vec<f64>),
}

impl Report {
    pub(crate) fn new(title: impl Into<String>, columns: &[&'static str]) -> Self {
        Self {
            title: title.into(),
            columns: columns.to_vec(),
            rows: Vec::new(),
            notes: Vec::new(),
        }
    }

    pub(crate) fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    /// A sentence below the table.
    pub(crate) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    pub(crate) fn print(&self, as_json: bool) -> anyhow::Result<()> {
        let text = if as_json {
            self.to_json()?
        } else {
            self.to_table()
        };
        // Whoever reads this may have had enough before its end: `| head` is no error.
        let _ = writeln!(std::io::stdout(), "{text}");
        Ok(())
    }

    fn to_json(&self) -> anyhow::Result<String> {
        let row = |row: &Vec<Cell>| {
            let cells = self.columns.iter().zip(row);
            cells
                .map(|(column, cell)| ((*column).to_owned(), cell.to_json()))
                .collect()
        };
        let rows: Vec<Value> = self.rows.iter().map(row).collect();
        let report = json!({"title": self.title, "rows": rows, "notes": self.notes});
        Ok(serde_json::to_string_pretty(&report)?)
    }

    fn to_table(&self) -> String {
        let heads = self.columns.iter().map(|head| (*head).to_owned()).collect();
        let rows = self
            .rows
            .iter()
            .map(|row| row.iter().map(Cell::to_text).collect());
        let lines: Vec<Vec<String>> = std::iter::once(heads).chain(rows).collect();
        let width = |column: usize| {
            let cells = lines.iter().filter_map(|line| line.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let mut text = format!("{}\n", self.title);
        for line in &lines {
            let cells = line.iter().enumerate();
            let padded = cells.map(|(column, cell)| match column {
                0 => format!("{cell:<width$}", width = width(0)),
                _ => format!("{cell:>width$}", width = width(column)),
            });
            text.push_str(&format!("\n  {}", padded.collect::<Vec<_>>().join("  ")));
        }
        for note in &self.notes {
            text.push_str(&format!("\n\n{note}"));
        }
        text
    }
}

impl Cell {
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    fn to_json(&self) -> Value {
        match self {
            Self::Text(text) => json!(text),
            Self::Runs(runs) => match spread(runs) {
                None => Value::Null,
                Some([lowest, median, highest]) => json!({
                    "median": median, "lowest": lowest, "highest": highest, "runs": runs
                }),
            },
        }
    }

    fn to_text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Runs(runs) => match spread(runs) {
                None => "–".to_owned(),
                Some([_, median, _]) if runs.len() == 1 => short(median),
                Some([lowest, median, highest]) => {
                    format!("{} ({}–{})", short(median), short(lowest), short(highest))
                }
            },
        }
    }
}

/// The middle of some figures; none if there are none.
pub(crate) fn median(figures: &[f64]) -> Option<f64> {
    spread(figures).map(|[_, median, _]| median)
}

/// The lowest, the middle and the highest.
fn spread(figures: &[f64]) -> Option<[f64; 3]> {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let median = match sorted.len() % 2 {
        0 => (sorted.get(middle.checked_sub(1)?)? + sorted.get(middle)?) / 2.0,
        _ => *sorted.get(middle)?,
    };
    Some([*sorted.first()?, median, *sorted.last()?])
}

/// Three digits tell all that a measurement on one machine can tell.
fn short(figure: f64) -> String {
    match figure.abs() {
        size if size >= 99.95 => format!("{figure:.0}"),
        size if size >= 9.995 => format!("{figure:.1}"),
        _ => format!("{figure:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_few() {
        for (figures, expected) in [
            (&[][..], None),
            (&[3.0], Some(3.0)),
            (&[4.0, 1.0], Some(2.5)),
            (&[9.0, 1.0, 5.0], Some(5.0)),
        ] {
            assert_eq!(median(figures), expected, "{figures:?}");
        }
    }

    #[test]
    fn a_table_lines_up_and_json_has_each_run() {
        let mut report = Report::new("Orders", &["clients", "orders/s"]);
        report.row(vec![Cell::text("1"), Cell::Runs(vec![512.4])]);
        report.row(vec![Cell::text("64"), Cell::Runs(vec![12.25, 9.5, 0.004])]);
        report.row(vec![Cell::text("256"), Cell::Runs(vec![])]);
        let table = report.to_table();
        let lines: Vec<_> = table.lines().skip(2).collect();
        assert_eq!(
            lines,
            [
                "  clients          orders/s",
                "  1                     512",
                "  64       9.50 (0.00–12.2)",
                "  256                     –",
            ]
        );
        let json: Value = serde_json::from_str(&report.to_json().unwrap()).unwrap();
        assert_eq!(
            json["rows"][1]["orders/s"]["runs"],
            json!([12.25, 9.5, 0.004])
        );
        assert_eq!(json["rows"][2]["orders/s"], Value::Null);
    }
}
